//! What an evaluation can cost at most, told before it starts.
//!
//! Only comprehensions and `+` on texts and lists can make more of what they are given; everything else is a few passes over the
//! arguments. The estimate walks the expression once, with weights in place of values: a value weighs [`VALUE`] and the bytes of
//! its text. As weights only add up and multiply, the items of a list cost together at most as much as one that weighs like all
//! of them, plus as many that weigh nothing.

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};

use super::super::bounds::{WHEN_LOOP_ARGUMENT_BYTES_MAX, WHEN_STEPS_MAX, WHEN_VISITS_MAX};
use super::check::ACCUMULATOR;
use super::scene::Scene;
use super::{When, roots};

/// What a value weighs besides its text.
pub(super) const VALUE: u64 = 64;
/// Passes over a text that our functions may need.
const PASSES: u64 = 8;

/// Whether evaluating `when` stays within bounds.
pub(super) fn is_bearable(when: &When, scene: &Scene<'_>) -> bool {
    if when.loops > 0 && when.reads.args {
        let size = scene.args_size();
        if size.bytes > WHEN_LOOP_ARGUMENT_BYTES_MAX || size.values.saturating_pow(when.loops) > WHEN_VISITS_MAX {
            return false;
        }
    }
    let mut estimate = Estimate { scene, variables: Vec::new() };
    estimate.of(&when.expr).steps <= WHEN_STEPS_MAX
}

/// Steps to make a value, and what it weighs.
#[derive(Clone, Copy)]
struct Cost {
    steps: u64,
    weight: u64,
}

impl Cost {
    fn new(steps: u64, weight: u64) -> Self {
        Self { steps, weight }
    }

    fn and(self, other: Self) -> Self {
        Self::new(self.steps.saturating_add(other.steps), self.weight.saturating_add(other.weight))
    }
}

struct Estimate<'e, 's> {
    scene: &'e Scene<'s>,
    variables: Vec<(&'e str, u64)>,
}

impl<'e> Estimate<'e, '_> {
    fn of(&mut self, expr: &'e IdedExpr) -> Cost {
        match &expr.expr {
            Expr::Literal(LiteralValue::String(text)) => Cost::new(1, VALUE.saturating_add(text.inner().len() as u64)),
            Expr::Literal(_) | Expr::Unspecified => Cost::new(1, VALUE),
            Expr::Ident(name) => Cost::new(1, self.weight(name)),
            Expr::Select(select) => {
                let operand = self.of(&select.operand);
                Cost::new(operand.steps.saturating_add(1), if select.test { VALUE } else { operand.weight })
            }
            Expr::List(list) => self.gathered(list.elements.iter()),
            Expr::Map(map) => {
                let parts = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some([&entry.key, &entry.value]),
                    EntryExpr::StructField(_) => None,
                });
                self.gathered(parts.flatten())
            }
            Expr::Struct(_) => Cost::new(u64::MAX, u64::MAX),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn weight(&self, name: &str) -> u64 {
        let variable = self.variables.iter().rev().find(|(variable, _)| *variable == name);
        match (variable, name) {
            (Some((_, weight)), _) => *weight,
            (None, roots::ARGS) => self.scene.args_size().weight,
            (None, _) => self.scene.slot_weight(name),
        }
    }

    /// Parts copied into one value.
    fn gathered(&mut self, parts: impl Iterator<Item = &'e IdedExpr>) -> Cost {
        let sum = parts.fold(Cost::new(1, 0), |sum, part| sum.and(self.of(part)));
        Cost::new(sum.steps.saturating_add(sum.weight), sum.weight.saturating_add(VALUE))
    }

    fn call(&mut self, call: &'e CallExpr) -> Cost {
        if let (op::ADD, [left, right]) = (call.func_name.as_str(), call.args.as_slice())
            && matches!(&left.expr, Expr::Ident(name) if name == ACCUMULATOR)
        {
            // A comprehension adds to what it gathers in place; the sum is the comprehension's to tell.
            return self.of(right);
        }
        let (mut sum, mut small) = (Cost::new(1, 0), false);
        for part in call.target.iter().map(|target| &**target).chain(&call.args) {
            let cost = self.of(part);
            // Comparing stops where the smaller one ends.
            small |= cost.weight <= VALUE;
            sum = sum.and(cost);
        }
        let touched = sum.steps.saturating_add(sum.weight);
        match call.func_name.as_str() {
            op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT => Cost::new(sum.steps, VALUE),
            op::CONDITIONAL | op::INDEX => Cost::new(sum.steps, sum.weight),
            op::EQUALS | op::NOT_EQUALS | op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS => {
                Cost::new(if small { sum.steps.saturating_add(VALUE) } else { touched }, VALUE)
            }
            op::ADD => Cost::new(touched, sum.weight),
            op::IN | "size" | "contains" | "startsWith" | "endsWith" => Cost::new(touched, VALUE),
            "string" | "lower" | "url_host" => {
                let steps = sum.steps.saturating_add(sum.weight.saturating_mul(PASSES));
                Cost::new(steps, sum.weight.saturating_mul(2).saturating_add(VALUE))
            }
            _ => Cost::new(sum.steps.saturating_add(sum.weight.saturating_mul(PASSES)), VALUE),
        }
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Cost {
        let range = self.of(&comprehension.iter_range);
        let count = range.weight / VALUE + 1;
        let whole = self.step(comprehension, range.weight);
        let empty = self.step(comprehension, VALUE);
        let steps = empty.steps.saturating_add(VALUE).saturating_mul(count);
        let steps = steps.saturating_add(whole.steps).saturating_add(range.steps).saturating_add(range.weight);
        let weight = match &comprehension.accu_init.expr {
            Expr::Literal(_) => VALUE,
            _ => empty.weight.saturating_mul(count).saturating_add(whole.weight).saturating_add(VALUE),
        };
        Cost::new(steps, weight)
    }

    fn step(&mut self, comprehension: &'e ComprehensionExpr, item: u64) -> Cost {
        self.variables.push((ACCUMULATOR, 0));
        self.variables.push((&comprehension.iter_var, item));
        let cost = self.of(&comprehension.loop_step);
        self.variables.truncate(self.variables.len().saturating_sub(2));
        cost
    }
}

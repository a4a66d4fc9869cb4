//! The checks of a condition: every name, field, function, count of arguments and kind of value that can be told at load.
//!
//! On the way the expression is rewritten: fields of fixed roots become identifiers of their own, and quoted patterns become
//! constants compiled here.

mod calls;

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo};

use super::super::bounds::{WHEN_DEPTH_MAX, WHEN_LOOPS_MAX, WHEN_NODES_MAX};
use super::super::report::nearest;
use super::functions::Constant;
use super::roots::{ARGS, Field, ROOTS, ROUTE, names};
use super::shape::Shape;
use super::{Flaw, Reads};

/// What the checks found out.
pub(super) struct Checked {
    pub(super) constants: Box<[Constant]>,
    pub(super) reads: Reads,
    pub(super) loops: u32,
    pub(super) grows: bool,
}

/// Checks and rewrites `expr`, which was read from `text`.
///
/// # Errors
/// Every mistake found.
pub(super) fn check(expr: &mut IdedExpr, text: &str, source: &SourceInfo) -> Result<Checked, Vec<Flaw>> {
    let mut checker = Checker {
        text,
        source,
        variables: Vec::new(),
        flaws: Vec::new(),
        constants: Vec::new(),
        reads: Reads::default(),
        loops: 0,
        open_loops: 0,
        grows: false,
        nodes: 0,
        depth: 0,
    };
    let whole = checker.visit(expr);
    if !whole.can_be(Shape::Bool) {
        let message = format!("a condition gives true or false, this gives {}", whole.noun());
        checker.flaws.push(Flaw::new(Some(0), text, message, "compare it with something"));
    }
    let Checker { constants, reads, loops, grows, flaws, .. } = checker;
    if flaws.is_empty() { Ok(Checked { constants: constants.into(), reads, loops, grows }) } else { Err(flaws) }
}

/// The accumulator of a comprehension; no text can spell it.
pub(super) const ACCUMULATOR: &str = "@result";

struct Checker<'t> {
    text: &'t str,
    source: &'t SourceInfo,
    /// Variables of the comprehensions around, innermost last.
    variables: Vec<(String, Shape)>,
    flaws: Vec<Flaw>,
    constants: Vec<Constant>,
    reads: Reads,
    loops: u32,
    open_loops: u32,
    grows: bool,
    nodes: usize,
    depth: usize,
}

impl Checker<'_> {
    /// The kind of `expr`. A part with a mistake passes for anything, so that one mistake is told once.
    fn visit(&mut self, expr: &mut IdedExpr) -> Shape {
        self.nodes += 1;
        self.depth += 1;
        let shape = if self.nodes == WHEN_NODES_MAX + 1 {
            self.flaw(expr.id, "", format!("more than {WHEN_NODES_MAX} parts"), "give each part a rule of its own")
        } else if self.nodes > WHEN_NODES_MAX {
            Shape::Any
        } else if self.depth > WHEN_DEPTH_MAX {
            self.flaw(expr.id, "", format!("nested more than {WHEN_DEPTH_MAX} deep"), "give each part a rule of its own")
        } else {
            self.known(expr)
        };
        self.depth -= 1;
        shape
    }

    fn known(&mut self, expr: &mut IdedExpr) -> Shape {
        let id = expr.id;
        if let Expr::Select(select) = &expr.expr
            && let Some((root, fields)) = self.root(&select.operand)
        {
            let (name, test) = (select.field.clone(), select.test);
            // `has()` stands where its bracket does.
            let id = if test { select.operand.id } else { id };
            return self.field((id, expr), root, fields, &name, test);
        }
        match &mut expr.expr {
            Expr::Literal(literal) => self.literal(id, literal),
            Expr::Ident(name) => {
                let name = name.clone();
                self.ident(id, &name)
            }
            Expr::Select(select) => self.select(id, select),
            Expr::Call(call) => self.call(id, call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.visit(&mut entry.key);
                        self.visit(&mut entry.value);
                    }
                }
                Shape::Map
            }
            Expr::Comprehension(comprehension) => self.comprehension(id, comprehension),
            Expr::Struct(strct) => {
                let name = strct.type_name.clone();
                self.flaw(id, &name, "there are no messages here", "a map is {\"key\": value}")
            }
            Expr::Unspecified => self.flaw(id, "", "cannot be read as an expression", ""),
        }
    }

    fn literal(&mut self, id: u64, literal: &LiteralValue) -> Shape {
        match literal {
            LiteralValue::Boolean(_) => Shape::Bool,
            LiteralValue::Double(_) => Shape::Double,
            LiteralValue::Int(_) => Shape::Int,
            LiteralValue::UInt(_) => Shape::Uint,
            LiteralValue::Null => Shape::Null,
            LiteralValue::String(_) => Shape::Text,
            LiteralValue::Bytes(_) => self.flaw(id, "", "nothing here is made of bytes", "leave the `b` before the quote out"),
        }
    }

    fn ident(&mut self, id: u64, name: &str) -> Shape {
        if let Some((_, shape)) = self.variables.iter().rev().find(|(variable, _)| variable == name) {
            return *shape;
        }
        match name {
            ARGS => {
                self.reads.args = true;
                Shape::Map
            }
            ROUTE => {
                self.reads.route = true;
                Shape::Text
            }
            _ => match ROOTS.iter().find(|root| root.name == name) {
                Some(root) => {
                    let fields: Vec<&str> = root.fields.iter().map(|field| field.name).collect();
                    self.flaw(id, name, "say which of its fields", format!("one of: {}", fields.join(", ")))
                }
                None => {
                    let known = names();
                    let hint = nearest(name, &known)
                        .map_or_else(|| format!("known here: {}; a text stands in quotes", known.join(", ")), did_you_mean);
                    self.flaw(id, name, format!("unknown name `{name}`"), hint)
                }
            },
        }
    }

    /// The fixed root that an expression names.
    fn root(&self, expr: &IdedExpr) -> Option<(&'static str, &'static [Field])> {
        let Expr::Ident(name) = &expr.expr else { return None };
        let root = ROOTS.iter().find(|root| root.name == name)?;
        Some((root.name, root.fields))
    }

    fn field(&mut self, (id, expr): (u64, &mut IdedExpr), root: &str, fields: &'static [Field], name: &str, test: bool) -> Shape {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
            let hint = nearest(name, &known).map_or_else(|| format!("known here: {}", known.join(", ")), did_you_mean);
            return self.flaw(id, name, format!("`{root}` has no field `{name}`"), hint);
        };
        self.reads.tool |= root == "tool";
        self.reads.time |= root == "time";
        match field.slot {
            "principal.groups" => self.reads.groups = true,
            "principal.scopes" => self.reads.scopes = true,
            "principal.claims" | "principal.tenant" | "principal.actor" => self.reads.claims = true,
            _ => self.reads.who |= root == "principal",
        }
        expr.expr = match (test, field.has) {
            (false, _) => Expr::Ident(field.slot.to_owned()),
            (true, Some(has)) => Expr::Ident(has.to_owned()),
            (true, None) => Expr::Literal(LiteralValue::Boolean(true.into())),
        };
        if test { Shape::Bool } else { field.shape }
    }

    fn select(&mut self, id: u64, select: &mut SelectExpr) -> Shape {
        let operand = self.visit(&mut select.operand);
        if !operand.can_be(Shape::Map) {
            let hint = if operand.item().is_some() { "list[0], or list.exists(x, ..)" } else { "" };
            return self.flaw(id, &select.field, format!("{} has no fields", operand.noun()), hint);
        }
        if select.test { Shape::Bool } else { Shape::Any }
    }

    fn list(&mut self, list: &mut ListExpr) -> Shape {
        let texts = list.elements.iter_mut().fold(true, |texts, item| {
            let shape = self.visit(item);
            texts && matches!(shape, Shape::Text | Shape::Word(_))
        });
        if texts && !list.elements.is_empty() { Shape::Texts } else { Shape::List }
    }

    /// What the parser made of `all`, `exists`, `exists_one`, `map` or `filter`.
    fn comprehension(&mut self, id: u64, comprehension: &mut ComprehensionExpr) -> Shape {
        let range = self.visit(&mut comprehension.iter_range);
        let item = range.item().unwrap_or_else(|| {
            let hint = "all, exists, exists_one, map and filter go through lists and keys of maps";
            self.flaw(id, "", format!("cannot go through {}", range.noun()), hint)
        });
        let variable = comprehension.iter_var.clone();
        if names().contains(&variable.as_str()) || self.variables.iter().any(|(other, _)| *other == variable) {
            self.flaw(id, &variable, format!("`{variable}` already means something"), "call it x");
        }
        self.open_loops += 1;
        if self.open_loops > WHEN_LOOPS_MAX && self.loops <= WHEN_LOOPS_MAX {
            let message = format!("comprehensions nested more than {WHEN_LOOPS_MAX} deep");
            self.flaw(id, "", message, "give each part a rule of its own");
        }
        self.loops = self.loops.max(self.open_loops);
        let (sum, whole) = match &comprehension.accu_init.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => (Shape::Bool, Shape::Bool),
            Expr::Literal(_) => (Shape::Int, Shape::Bool),
            _ => (Shape::List, Shape::List),
        };
        self.variables.push((ACCUMULATOR.to_owned(), sum));
        self.variables.push((variable, item));
        self.visit(&mut comprehension.loop_step);
        self.variables.truncate(self.variables.len().saturating_sub(2));
        self.open_loops -= 1;
        whole
    }

    /// Notes a mistake at the part with this id.
    fn flaw(&mut self, id: u64, value: &str, message: impl Into<String>, hint: impl Into<String>) -> Shape {
        let at = self.source.offset_for(id).and_then(|(start, _)| self.begin(usize::try_from(start).ok()?));
        self.flaws.push(Flaw::new(at, value, message, hint));
        Shape::Any
    }

    /// The first letter at or after the byte `start`: a field is found by the dot before it.
    fn begin(&self, start: usize) -> Option<usize> {
        let rest = self.text.get(start..)?;
        Some(start + rest.find(|c: char| c != '.' && !c.is_whitespace())?)
    }
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean `{near}`?")
}

//! Members whose presence a condition asks about, and keys that only look like them.
//!
//! What a condition reads and is not there is unknown anyway. Whether it is there is an answer, which a key that lenient readers take for
//! it would make wrong.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators as op};

use super::super::arguments::{Tree, folding_steps, is_disguise_of};
use super::super::pointer::{Pointer, Selected};
use super::paths;

/// What a condition asks the presence of.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// At these places: `has(args.a.b)`, `'b' in args.a`.
    places: Vec<Pointer>,
    /// In whatever it goes through: `args.files.exists(f, has(f.path))`, `args.exists(k, k == 'path')`, `args.opts == {'path': '/'}`.
    names: Vec<String>,
}

impl Presence {
    /// Of a checked condition.
    pub(super) fn of(expr: &IdedExpr) -> Self {
        let mut found = Self::default();
        found.visit(expr);
        found
    }

    /// Whether some member is not there, but a key that readers may take for it. So too where there are no steps left to find out
    /// ([`Tree::spend`]).
    pub(super) fn is_disguised(&self, tree: &Tree<'_>) -> bool {
        let disguised = |pointer: &Pointer| {
            let mut any = false;
            pointer.select(tree, &mut |selected| any |= matches!(selected, Selected::Disguise(_)));
            any
        };
        let keys = || tree.within(0).filter_map(|(_, item)| item.key.as_deref()).take_while(|key| tree.spend(folding_steps(key)));
        let found =
            self.places.iter().any(disguised) || self.names.iter().any(|name| keys().any(|key| is_disguise_of(key, name)));
        found || tree.is_spent()
    }

    fn visit(&mut self, expr: &IdedExpr) {
        match &expr.expr {
            Expr::Select(select) => {
                if select.test {
                    self.ask(&select.operand, &select.field);
                }
                self.visit(&select.operand);
            }
            Expr::Call(call) => {
                match (call.func_name.as_str(), call.args.as_slice()) {
                    (op::IN, [name, whole]) => match text(name) {
                        Some(name) => self.ask(whole, name),
                        None if is_variable(name) => self.spelled(whole),
                        None => {}
                    },
                    (op::EQUALS | op::NOT_EQUALS, [one, other]) => {
                        for (side, against) in [(one, other), (other, one)] {
                            if is_variable(against) || matches!(side.expr, Expr::Map(_)) {
                                self.spelled(side);
                            }
                        }
                    }
                    _ => {}
                }
                call.target.iter().map(|target| &**target).chain(&call.args).for_each(|part| self.visit(part));
            }
            Expr::List(list) => list.elements.iter().for_each(|part| self.visit(part)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key);
                        self.visit(&entry.value);
                    }
                }
            }
            Expr::Comprehension(it) => {
                [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result]
                    .into_iter()
                    .for_each(|part| self.visit(part));
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified | Expr::Struct(_) => {}
        }
    }

    /// Texts that a variable, which may be a key, is held against, and the keys of maps that are spelled out.
    fn spelled(&mut self, whole: &IdedExpr) {
        let mut named = |part: &IdedExpr| self.names.extend(text(part).map(str::to_owned));
        match &whole.expr {
            Expr::Literal(_) => named(whole),
            Expr::List(list) => list.elements.iter().for_each(named),
            Expr::Map(map) => map.entries.iter().for_each(|entry| {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    named(&entry.key);
                }
            }),
            _ => {}
        }
    }

    /// `name` is looked for in what `whole` comes to.
    fn ask(&mut self, whole: &IdedExpr, name: &str) {
        match paths::pointer(whole) {
            Some(pointer) if !matches!(name, "*" | "**") => match Pointer::parse(&paths::below(pointer, name)) {
                Ok(pointer) => self.places.push(pointer),
                Err(_) => self.names.push(name.to_owned()),
            },
            // A list that is spelled out, or what is known of the principal, holds no arguments.
            None if matches!(&whole.expr, Expr::List(_)) || is_fixed(whole) => {}
            Some(_) | None => self.names.push(name.to_owned()),
        }
    }
}

fn text(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Whether an expression is what a comprehension goes through.
fn is_variable(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if !name.contains('.'))
}

/// Whether an expression is a field of a fixed root, or something in it. Its identifier has a point, which no variable has.
fn is_fixed(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Ident(name) => name.contains('.'),
        Expr::Select(select) => is_fixed(&select.operand),
        _ => false,
    }
}

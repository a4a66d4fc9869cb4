//! Which parts of the arguments a condition reads.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use super::roots::ARGS;

/// What a condition reads of the arguments, as JSON pointers.
#[derive(Debug, Default)]
pub(in crate::policy) struct Pointers {
    /// Values that it names, `args.a.b`. With these the same, and nothing in `other`, it comes to the same.
    pub(in crate::policy) plain: BTreeSet<String>,
    /// Of what it looks for in other ways: whether a member is there, any key, or the whole (`/**`).
    pub(in crate::policy) other: BTreeSet<String>,
}

pub(super) fn read(expr: &IdedExpr) -> Pointers {
    let mut found = Pointers::default();
    visit(expr, &mut found);
    found
}

fn visit(expr: &IdedExpr, found: &mut Pointers) {
    match &expr.expr {
        Expr::Ident(name) if name == ARGS => _ = found.other.insert("/**".to_owned()),
        Expr::Select(select) => match (pointer(&select.operand), select.test) {
            // Whether a member of the whole is there depends on the whole; of a value below it, on that value.
            (Some(operand), true) if operand.is_empty() => _ = found.other.insert(below(operand, &select.field)),
            (Some(operand), true) => _ = found.plain.insert(operand),
            (Some(operand), false) => _ = found.plain.insert(below(operand, &select.field)),
            (None, _) => visit(&select.operand, found),
        },
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).for_each(|part| visit(part, found)),
        Expr::List(list) => list.elements.iter().for_each(|part| visit(part, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    visit(&entry.key, found);
                    visit(&entry.value, found);
                }
            }
        }
        Expr::Comprehension(it) => {
            // No variable can be called like a root.
            [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result]
                .into_iter()
                .for_each(|part| visit(part, found));
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        // Never past the checks.
        Expr::Struct(_) => _ = found.other.insert("/**".to_owned()),
    }
}

/// The pointer of `args.a.b`; empty for `args`.
pub(super) fn pointer(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Ident(name) if name == ARGS => Some(String::new()),
        Expr::Select(select) if !select.test => Some(below(pointer(&select.operand)?, &select.field)),
        _ => None,
    }
}

pub(super) fn below(mut pointer: String, name: &str) -> String {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    pointer
}

//! `when`: a condition in the Common Expression Language, for what the typed parts of a rule cannot say.
//!
//! The only place that knows the expression crate, which checks no types and bounds no cost. So texts are bounded before they are
//! parsed, every name, function and provable type is checked at load ([`check`]), and what an evaluation may cost is bounded
//! before it starts ([`cost`]). Whatever goes wrong while evaluating is unknown, never true or false.

mod check;
mod cost;
mod functions;
mod lex;
mod paths;
mod presence;
mod roots;
mod scene;
mod shape;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::common::types::CelBool;

use self::functions::Constant;
use self::presence::Presence;
use self::scene::Scope;
use super::asked::Moment;
use super::bounds::{WHEN_BYTES_MAX, WHEN_PARSE_DEPTH_MAX, WHEN_PARSE_STACK_BYTES};
use super::tri::Tri;
use crate::vocab::Principal;

pub(super) use self::paths::Pointers;
pub(super) use self::scene::Scene;

/// A condition that passed every check.
pub(super) struct When {
    /// The text without what means nothing: blanks and remarks.
    canonical: Box<str>,
    expr: IdedExpr,
    /// Patterns compiled at load; the expression names them by number.
    constants: Box<[Constant]>,
    pub(super) reads: Reads,
    presence: Presence,
    /// Comprehensions inside or after one another.
    loops: u32,
    /// Something is added, so that values can grow.
    grows: bool,
}

/// What a condition depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reads {
    /// Issuer, subject or client.
    pub(super) who: bool,
    pub(super) args: bool,
    /// The name, class, kind or upstream of the operation.
    pub(super) tool: bool,
    /// The clock.
    pub(super) time: bool,
    /// The path of the route.
    pub(super) route: bool,
    /// The groups claim.
    pub(super) groups: bool,
    /// Scopes.
    pub(super) scopes: bool,
    /// Any claim besides groups.
    pub(super) claims: bool,
}

/// A mistake in a condition.
#[derive(Debug)]
pub(super) struct Flaw {
    /// Where, in bytes from the start of the text; `None` where only the whole can be pointed at.
    pub(super) at: Option<usize>,
    pub(super) value: String,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Flaw {
    fn new(at: Option<usize>, value: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, value: value.into(), message: message.into(), hint: hint.into() }
    }
}

impl When {
    /// Reads and checks a condition.
    ///
    /// # Errors
    /// Every mistake found in it.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Flaw>> {
        if text.len() > WHEN_BYTES_MAX {
            let message = format!("longer than {WHEN_BYTES_MAX} bytes");
            return Err(vec![Flaw::new(None, "", message, "give each part a rule of its own")]);
        }
        let canonical = lex::canonical(text).map_err(|flaw| vec![flaw])?;
        let (mut expr, source) = match read(text) {
            Some(Ok(parsed)) => parsed,
            Some(Err(errors)) => return Err(vec![syntax(text, &errors)]),
            None => return Err(vec![Flaw::new(None, "", "cannot be read as an expression", "")]),
        };
        let checked = check::check(&mut expr, text, &source)?;
        let check::Checked { constants, reads, loops, grows } = checked;
        let presence = Presence::of(&expr);
        Ok(Self { canonical: canonical.into(), expr, constants, reads, presence, loops, grows })
    }

    /// The condition in the one spelling that digests count.
    pub(super) fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Which arguments the condition reads.
    pub(super) fn argument_pointers(&self) -> Pointers {
        paths::read(&self.expr)
    }

    /// Whether more arguments than those it reads can make an evaluation too expensive.
    pub(super) fn cost_depends_on_size(&self) -> bool {
        self.loops > 0 || self.grows
    }

    /// What it comes to, if that is the same whatever is asked and whoever asks.
    pub(super) fn constant(&self) -> Option<Tri> {
        let Reads { who, args, tool, time, route, groups, scopes, claims } = self.reads;
        let reads = [who, args, tool, time, route, groups, scopes, claims].contains(&true);
        let (nobody, moment) = (Principal::anonymous(), Moment { now_unix_ms: 0, route: "" });
        (!reads).then(|| self.holds(&Scene::new(&nobody, moment, None, None)))
    }

    /// Whether the condition holds.
    pub(super) fn holds(&self, scene: &Scene<'_>) -> Tri {
        if self.reads.args && (!scene.has_args() || scene.tree().is_some_and(|tree| self.presence.is_disguised(tree))) {
            return Tri::Unknown;
        }
        if (self.loops > 0 || self.grows) && !cost::is_bearable(self, scene) {
            return Tri::Unknown;
        }
        let Some(env) = functions::env() else { return Tri::Unknown };
        let scope = Scope { scene, constants: &self.constants };
        let evaluate = || {
            let mut context = cel::Context::with_env(env);
            context.set_variable_resolver(&scope);
            let value = cel::Value::resolve_val(&self.expr, &context).ok()?;
            value.downcast_ref::<CelBool>().map(|truth| *truth.inner())
        };
        // Nothing is known to panic, and a call must not be able to show otherwise.
        catch_unwind(AssertUnwindSafe(evaluate)).ok().flatten().map_or(Tri::Unknown, Tri::from)
    }
}

type Parsed = Result<(IdedExpr, SourceInfo), cel::ParseErrors>;

/// Parses a text whose words and brackets are bounded; `None` if the parser failed itself. It needs a hundred kilobytes of stack for
/// each bracket, which not every thread has, so it gets a thread of its own; and if it should panic, nothing else does.
fn read(text: &str) -> Option<Parsed> {
    let parse = || cel::parser::Parser::default().max_recursion_depth(WHEN_PARSE_DEPTH_MAX).parse_with_source_info(text);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(WHEN_PARSE_STACK_BYTES).spawn_scoped(scope, parse);
        thread.ok()?.join().ok()
    })
}

/// The first complaint of the parser: the others mostly follow from it.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Flaw {
    let first = errors.errors.iter().min_by_key(|error| error.pos);
    let Some(first) = first else { return Flaw::new(None, "", "cannot be read as an expression", "") };
    let (line, column) = (usize::try_from(first.pos.0).ok(), usize::try_from(first.pos.1).ok());
    let at = line.zip(column).and_then(|(line, column)| offset(text, line, column));
    let message = first.msg.lines().next().unwrap_or_default();
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    Flaw::new(at, "", format!("no expression: {message}"), "for example principal.tenant == \"acme\" && args.amount <= 100")
}

/// Bytes before the character at a line and column, both from 1.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut start = 0;
    for (n, content) in text.split_inclusive('\n').enumerate() {
        if n + 1 == line {
            let within = content.char_indices().nth(column.checked_sub(1)?).map_or(content.len(), |(at, _)| at);
            return Some(start + within);
        }
        start += content.len();
    }
    (line > 0).then_some(text.len())
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("When").field(&self.canonical).finish()
    }
}

#[cfg(test)]
mod tests;

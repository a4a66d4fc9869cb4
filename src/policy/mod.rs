//! Policy: files of rules compiled once, decisions in microseconds.
//!
//! Layer 2, pure: no I/O, clock or log; texts are handed in. Deny by default, deny overrides, order never matters, and every
//! evaluation problem is a refusal. [`compile`] makes a [`PolicySet`]; [`decide`] makes a [`Decision`] from it; the only way
//! from there to an upstream is [`Decision::permit`].

mod access;
mod address;
mod analyze;
mod arguments;
mod asked;
mod aspect;
mod bounds;
mod canonical;
pub mod cases;
mod compile;
mod constraint;
mod coverage;
mod decide;
mod decision;
mod explain;
mod glob;
mod index;
mod known;
mod literal;
mod matcher;
mod names;
mod number;
pub mod obligation;
mod origin;
mod outlook;
mod path;
mod pattern;
mod people;
pub mod permit;
mod pointer;
mod possible;
mod posting;
mod read;
mod read_matchers;
mod read_require;
mod read_rule;
mod replay;
mod report;
mod rule;
mod schedule;
mod schema;
mod set;
mod task;
mod things;
mod tri;
mod url;
mod visible;
mod when;
mod who;
mod words;
mod yaml;

pub use access::{Access, Cell, Change, ChangeKind, HintsOf, cell, changes};
pub use analyze::{Finding, Known, KnownTool, Severity, Tools, check, propose};
pub use asked::{Asked, Kind, Moment};
pub use compile::{Facts, compile};
pub use constraint::Constraints;
pub use coverage::{Coverage, CoverageReport, Gap};
pub use decide::{decide, decide_for, decide_list, decide_list_for};
pub use decision::{Decision, Effect, Shadow};
pub use explain::{Condition, Explanation, RuleAccount, Verdict, explain};
pub use glob::Glob;
pub use known::{Claims, Piece};
pub use obligation::{Approval, By, Limit, Quota};
pub use outlook::Ruling;
pub use path::hostile_uri;
pub use people::{Person, distinct, people};
pub use permit::{Evidence, Grant, Lease, MissingEvidence, ObserveOnly, Permit, Receipt, Used};
pub use possible::Missing;
pub use replay::{Again, Named, Past, replay};
pub use schema::schema;
pub use set::{Capabilities, Hints, PolicySet, Subject};
pub use task::{TaskStep, decide_task_for};
pub use things::{Thing, ThingKind, things};
pub use visible::{hostile_template, visible, visible_for, visible_template, visible_template_for};

#[cfg(test)]
mod tests;

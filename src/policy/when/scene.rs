//! The values a condition reads, made when first asked for and kept for all rules of one decision.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::super::arguments::Tree;
use super::super::asked::{Family, Kind, Moment, upstream_of};
use super::super::bounds::{WHEN_ARGUMENT_DEPTH_MAX, WHEN_VALUES_MAX};
use super::super::number;
use super::super::rule::Arguments;
use super::Reads;
use super::cost::VALUE;
use super::functions::Constant;
use super::roots::{ARGS, KINDS, ROUTE, WEEKDAYS};
use crate::mcp::json::{Kind as JsonKind, unquote};
use crate::vocab::Principal;

type Value<'d> = Box<dyn Val + 'd>;

/// One question to the policy, as conditions see it.
pub(in crate::policy) struct Scene<'d> {
    who: &'d Principal,
    /// `None` where only a part of a name is known.
    kind: Option<&'d Kind<'d>>,
    moment: Moment<'d>,
    arguments: Option<&'d Arguments<'d>>,
    args: OnceLock<Option<(Value<'d>, Size)>>,
    groups: OnceLock<Value<'d>>,
    scopes: OnceLock<Value<'d>>,
    claims: OnceLock<Value<'d>>,
}

/// How much the arguments are.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) bytes: usize,
    pub(super) values: u64,
    /// As [`super::cost`] counts.
    pub(super) weight: u64,
}

impl<'d> Scene<'d> {
    pub(in crate::policy) fn new(
        who: &'d Principal,
        moment: Moment<'d>,
        kind: Option<&'d Kind<'d>>,
        arguments: Option<&'d Arguments<'d>>,
    ) -> Self {
        let (args, groups) = (OnceLock::new(), OnceLock::new());
        Self { who, kind, moment, arguments, args, groups, scopes: OnceLock::new(), claims: OnceLock::new() }
    }

    /// Whether what a condition reads is known before the arguments are.
    pub(in crate::policy) fn suffices(&self, reads: Reads) -> bool {
        let Some(kind) = self.kind else { return !reads.args && !reads.tool };
        !reads.args || !kind.takes_arguments()
    }

    /// The wall clock, in milliseconds since the Unix epoch; `None` if it cannot be read.
    pub(in crate::policy) fn now_unix_ms(&self) -> Option<i64> {
        self.moment.readable_unix_ms()
    }

    /// Whether there are arguments that can be judged: no colliding keys, no number out of reach, not too many.
    pub(super) fn has_args(&self) -> bool {
        self.built_args().is_some()
    }

    /// The arguments, if there are any that can be read.
    pub(super) fn tree(&self) -> Option<&Tree<'d>> {
        self.arguments?.tree()
    }

    pub(super) fn args_size(&self) -> Size {
        self.built_args().map(|(_, size)| *size).unwrap_or_default()
    }

    fn built_args(&self) -> Option<&(Value<'d>, Size)> {
        let build = || {
            let Some(arguments) = self.arguments else {
                return Some((map(HashMap::new()), Size { bytes: 0, values: 1, weight: VALUE }));
            };
            let tree = arguments.tree().filter(|tree| !tree.collides())?;
            let values = u64::try_from(tree.len()).ok().filter(|values| *values <= WHEN_VALUES_MAX)?;
            let bytes = tree.item(0)?.raw.len();
            let weight = values.saturating_mul(VALUE).saturating_add(bytes as u64);
            Some((read(tree, 0, 0)?, Size { bytes, values, weight }))
        };
        self.args.get_or_init(build).as_ref()
    }

    fn groups(&self) -> &Value<'d> {
        self.groups.get_or_init(|| texts(self.who.claim_strings("groups")))
    }

    fn scopes(&self) -> &Value<'d> {
        self.scopes.get_or_init(|| texts(self.who.scopes.iter().map(|scope| &**scope)))
    }

    fn claims(&self) -> &Value<'d> {
        self.claims.get_or_init(|| {
            let members = self.who.claims.iter().map(|(key, value)| (CelMapKey::from(key.as_str()), claim(value)));
            map(members.collect())
        })
    }

    fn tenant(&self) -> Option<&'d str> {
        self.who.claims.get("tenant").and_then(Json::as_str)
    }

    fn civil(&self) -> Option<DateTime> {
        let now = Timestamp::from_millisecond(self.now_unix_ms()?).ok()?;
        Some(TimeZone::UTC.to_datetime(now))
    }

    /// A field that is a text.
    fn text(&self, slot: &str) -> Option<&str> {
        Some(match slot {
            ROUTE => self.moment.route,
            "principal.sub" => &self.who.sub,
            "principal.issuer" => &self.who.iss,
            "principal.client_id" => self.who.client_id.as_deref()?,
            "principal.tenant" => self.tenant()?,
            "principal.actor" => self.who.actors().next()?.1,
            "tool.name" => self.kind?.name(),
            "tool.upstream" => upstream_of(self.kind?.name()),
            "tool.class" => self.kind?.class().as_str(),
            "tool.kind" => {
                let at = match self.kind?.family() {
                    Family::Tool => 0,
                    Family::Resource => 1,
                    Family::Prompt => 2,
                    Family::Lists => return None,
                };
                KINDS.get(at)?
            }
            "time.weekday" => {
                let days = self.civil()?.weekday().to_monday_zero_offset();
                WEEKDAYS.get(usize::try_from(days).ok()?)?
            }
            _ => return None,
        })
    }

    fn number(&self, slot: &str) -> Option<i64> {
        let now = self.now_unix_ms();
        Some(match slot {
            "time.epoch_ms" => now?,
            "time.epoch" => now?.div_euclid(1000),
            "time.year" => self.civil()?.year().into(),
            "time.month" => self.civil()?.month().into(),
            "time.day" => self.civil()?.day().into(),
            "time.hour" => self.civil()?.hour().into(),
            "time.minute" => self.civil()?.minute().into(),
            "time.second" => self.civil()?.second().into(),
            _ => return None,
        })
    }

    /// What a fixed field weighs, as [`super::cost`] counts.
    pub(super) fn slot_weight(&self, slot: &str) -> u64 {
        let texts = |texts: &mut dyn Iterator<Item = &str>| texts.fold(VALUE, |sum, text| sum + VALUE + text.len() as u64);
        match slot {
            "principal.groups" => texts(&mut self.who.claim_strings("groups")),
            "principal.scopes" => texts(&mut self.who.scopes.iter().map(|scope| &**scope)),
            "principal.claims" => self.who.claims.iter().fold(VALUE, |sum, (key, value)| sum + key.len() as u64 + weight(value)),
            _ => self.text(slot).map_or(VALUE, |text| VALUE + text.len() as u64),
        }
    }
}

/// The scene as one condition sees it: with the constants it was compiled to.
pub(super) struct Scope<'s, 'd> {
    pub(super) scene: &'s Scene<'d>,
    pub(super) constants: &'s [Constant],
}

impl VariableResolver for Scope<'_, '_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let scene = self.scene;
        if let Some(number) = name.strip_prefix('@') {
            let constant = self.constants.get(number.parse::<usize>().ok()?)?;
            return Some(CowVal::Borrowed(constant));
        }
        Some(match name {
            ARGS => CowVal::Borrowed(&*scene.built_args()?.0),
            "principal.groups" => CowVal::Borrowed(&**scene.groups()),
            "principal.scopes" => CowVal::Borrowed(&**scene.scopes()),
            "principal.claims" => CowVal::Borrowed(&**scene.claims()),
            "has principal.client_id" => CowVal::owned(CelBool::from(scene.who.client_id.is_some())),
            "has principal.actor" => CowVal::owned(CelBool::from(scene.who.actors().next().is_some())),
            "has principal.tenant" => CowVal::owned(CelBool::from(scene.tenant().is_some())),
            other => match scene.text(other) {
                Some(text) => CowVal::owned(CelString::from(text)),
                None => CowVal::owned(CelInt::from(scene.number(other)?)),
            },
        })
    }
}

fn texts<'d>(texts: impl Iterator<Item = &'d str>) -> Value<'d> {
    let texts: Vec<Value<'d>> = texts.map(|text| -> Value<'d> { Box::new(CelString::from(text)) }).collect();
    Box::new(CelList::from(texts))
}

fn map<'d>(members: HashMap<CelMapKey<'d>, Value<'d>>) -> Value<'d> {
    Box::new(CelMap::from(members))
}

/// The value at `at` of the arguments; `None` for what has no exact or no finite meaning.
fn read<'d>(tree: &'d Tree<'d>, at: usize, depth: usize) -> Option<Value<'d>> {
    let item = tree.item(at).filter(|_| depth <= WHEN_ARGUMENT_DEPTH_MAX)?;
    Some(match item.kind {
        JsonKind::Null => Box::new(CelNull),
        JsonKind::Bool => Box::new(CelBool::from(item.raw == "true")),
        JsonKind::Number => numeric(item.raw)?,
        JsonKind::String => Box::new(match unquote(item.raw).ok()? {
            Cow::Borrowed(text) => CelString::from(text),
            Cow::Owned(text) => CelString::from(text),
        }),
        JsonKind::Array => {
            let items: Option<Vec<Value<'d>>> = tree.children(at).map(|(at, _)| read(tree, at, depth + 1)).collect();
            Box::new(CelList::from(items?))
        }
        JsonKind::Object => {
            let member = |(at, item): (usize, &'d super::super::arguments::Item<'d>)| {
                Some((CelMapKey::from(item.key.as_deref()?), read(tree, at, depth + 1)?))
            };
            map(tree.children(at).map(member).collect::<Option<_>>()?)
        }
    })
}

/// A whole number that fits 64 bits is whole however it is written; every other is the nearest double.
fn numeric<'d>(token: &str) -> Option<Value<'d>> {
    let whole = token.parse::<i64>().ok().or_else(|| number::canonical(token)?.parse().ok());
    if let Some(whole) = whole {
        return Some(Box::new(CelInt::from(whole)));
    }
    let double = token.parse::<f64>().ok().filter(|double| double.is_finite())?;
    Some(Box::new(CelDouble::from(double)))
}

/// A claim of a verified token.
fn claim(value: &Json) -> Value<'_> {
    match value {
        Json::Null => Box::new(CelNull),
        Json::Bool(truth) => Box::new(CelBool::from(*truth)),
        Json::Number(number) => numeric(&number.to_string()).unwrap_or_else(|| Box::new(CelNull)),
        Json::String(text) => Box::new(CelString::from(text.as_str())),
        Json::Array(items) => Box::new(CelList::from(items.iter().map(claim).collect::<Vec<_>>())),
        Json::Object(members) => map(members.iter().map(|(key, value)| (CelMapKey::from(key.as_str()), claim(value))).collect()),
    }
}

fn weight(value: &Json) -> u64 {
    match value {
        Json::String(text) => VALUE + text.len() as u64,
        Json::Array(items) => items.iter().fold(VALUE, |sum, item| sum + weight(item)),
        Json::Object(members) => members.iter().fold(VALUE, |sum, (key, value)| sum + key.len() as u64 + weight(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => VALUE,
    }
}

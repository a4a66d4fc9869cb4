//! A compiled rule.

use std::sync::{Arc, OnceLock};

use super::arguments::Tree;
use super::asked::Family;
use super::decision::Effect;
use super::glob::Glob;
use super::matcher::{Criterion, Quantifier};
use super::obligation::{Demands, Limit};
use super::schedule::Schedule;
use super::tri::Tri;
use super::when::{Scene, When};
use super::who::Who;
use crate::vocab::{Class, Principal};

/// One rule. Every list is sorted, so that equal rules are equal however a file spells them.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    pub(super) effect: Effect,
    pub(super) who: Box<[Who]>,
    pub(super) targets: Targets,
    pub(super) classes: Classes,
    /// All must hold.
    pub(super) arguments: Box<[Criterion]>,
    /// When it speaks at all.
    pub(super) schedule: Schedule,
    /// A condition on everything else.
    pub(super) when: Option<Arc<When>>,
    /// Scopes a call needs besides the rule.
    pub(super) scopes: Box<[Arc<str>]>,
    pub(super) limits: Box<[Arc<Limit>]>,
    pub(super) demands: Demands,
    /// Tried beside the others, decides nothing.
    pub(super) shadow: bool,
}

/// What a rule is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    pub(super) tools: Box<[Glob]>,
    pub(super) resources: Box<[Glob]>,
    pub(super) prompts: Box<[Glob]>,
    pub(super) capabilities: Box<[(Glob, Capability)]>,
}

/// What an upstream may ask of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Capability {
    ElicitationForm,
    ElicitationUrl,
    Sampling,
    Roots,
}

impl Capability {
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("elicitation.form", Self::ElicitationForm),
        ("elicitation.url", Self::ElicitationUrl),
        ("sampling", Self::Sampling),
        ("roots", Self::Roots),
    ];
}

/// A set of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Classes(u8);

impl Classes {
    pub(super) const EVERY: Self = Self(0b111);

    pub(super) fn of(classes: impl IntoIterator<Item = Class>) -> Self {
        Self(classes.into_iter().fold(0, |set, class| set | Self::bit(class)))
    }

    pub(super) fn has(self, class: Class) -> bool {
        self.0 & Self::bit(class) != 0
    }

    fn bit(class: Class) -> u8 {
        match class {
            Class::Read => 0b001,
            Class::Write => 0b010,
            Class::Destructive => 0b100,
        }
    }
}

impl Targets {
    pub(super) fn of(&self, family: Family) -> &[Glob] {
        match family {
            Family::Tool => &self.tools,
            Family::Resource => &self.resources,
            Family::Prompt => &self.prompts,
            Family::Lists => &[],
        }
    }

    /// Nothing named: in a deny rule, every operation.
    pub(super) fn is_empty(&self) -> bool {
        let Self { tools, resources, prompts, capabilities } = self;
        tools.is_empty() && resources.is_empty() && prompts.is_empty() && capabilities.is_empty()
    }
}

impl Rule {
    /// Whether the rule is about `who`.
    pub(super) fn is_about(&self, who: &Principal) -> bool {
        self.who.iter().any(|entry| entry.is(who))
    }

    /// A deny rule without targets.
    pub(super) fn names_everything(&self) -> bool {
        self.effect == Effect::Deny && self.targets.is_empty()
    }

    /// A rule about what upstreams may ask, and about no operation.
    pub(super) fn names_only_capabilities(&self) -> bool {
        let Targets { tools, resources, prompts, capabilities } = &self.targets;
        !capabilities.is_empty() && tools.is_empty() && resources.is_empty() && prompts.is_empty()
    }

    /// Whether everything holds that the rule says of the arguments, the hour and the rest. The condition is asked last, and only
    /// if it can matter.
    pub(super) fn holds(&self, arguments: Option<&Arguments<'_>>, scene: &Scene<'_>) -> Tri {
        let typed = Tri::all([self.accepts(arguments), self.schedule.is_open(scene.now_unix_ms())]);
        match &self.when {
            Some(when) if typed != Tri::False => Tri::all([typed, when.holds(scene)]),
            _ => typed,
        }
    }

    /// Whether some arguments could make the rule speak here and now, its argument criteria left aside. A condition that cannot be
    /// judged without knowing more is taken to favour the operation: to let an allow rule speak, and to keep a deny rule silent.
    pub(super) fn could_speak(&self, scene: &Scene<'_>) -> bool {
        let open = self.schedule.is_open(scene.now_unix_ms());
        let sum = match &self.when {
            Some(when) if !scene.suffices(when.reads) => Tri::all([open, (self.effect == Effect::Allow).into()]),
            Some(when) if open != Tri::False => Tri::all([open, when.holds(scene)]),
            _ => open,
        };
        match self.effect {
            Effect::Allow => sum == Tri::True,
            Effect::Deny => sum != Tri::False,
        }
    }

    /// Which way doubt about the arguments falls.
    pub(super) fn quantifier(&self) -> Quantifier {
        match self.effect {
            Effect::Allow => Quantifier::Every,
            Effect::Deny => Quantifier::Some,
        }
    }

    /// Whether the argument criteria hold. `arguments` is `None` for an operation without any: then nothing is selected, and
    /// only `absent` holds.
    pub(super) fn accepts(&self, arguments: Option<&Arguments<'_>>) -> Tri {
        if self.arguments.is_empty() {
            return Tri::True;
        }
        let Some(arguments) = arguments else { return Tri::all(self.arguments.iter().map(Criterion::holds_for_nothing)) };
        let Some(tree) = arguments.tree().filter(|tree| !tree.collides()) else { return Tri::Unknown };
        let quantifier = self.quantifier();
        Tri::all(self.arguments.iter().map(|criterion| criterion.holds(tree, quantifier)))
    }
}

/// Arguments that are read once, when the first rule asks.
pub(super) struct Arguments<'a> {
    text: &'a str,
    tree: OnceLock<Option<Tree<'a>>>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, tree: OnceLock::new() }
    }

    pub(super) fn tree(&self) -> Option<&Tree<'a>> {
        self.tree.get_or_init(|| Tree::read(self.text)).as_ref()
    }
}

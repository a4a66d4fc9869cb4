//! Sections 4 to 8 and 16: the truth of a rule, and the decision.

use crate::conditions::{self, texts};
use crate::language::{Ask, Class, Family, Person, Policy, Rule, Who};
use crate::text::{glob, is_hostile_uri};
use crate::truth::Truth::{self, True, Unknown};
use crate::truth::{all, seen};
use crate::{arguments, clock};

pub(crate) const KEYS: &str = "portcullis:keys";

/// What comes out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason: &'static str,
    pub(crate) rules: Vec<String>,
    pub(crate) scopes_missing: Vec<String>,
    pub(crate) obligations: Vec<&'static str>,
    /// Each as one text, sorted.
    pub(crate) limits: Vec<String>,
    pub(crate) approvals: Vec<String>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) audit: Vec<String>,
}

impl Policy {
    /// Section 5.
    pub(crate) fn class_of(&self, ask: &Ask) -> Class {
        if ask.family != Family::Tool {
            return Class::Read;
        }
        let given = self.classes.iter().filter(|(globs, _)| globs.iter().any(|pattern| glob(pattern, ask.name)));
        let (read_only, destructive) = ask.hints;
        let mut class = given.map(|(_, class)| *class).max().unwrap_or(Class::Destructive);
        if read_only == Some(false) {
            class = class.max(Class::Write);
        }
        if destructive == Some(true) {
            class = Class::Destructive;
        }
        class
    }

    /// Section 7.
    fn is(&self, entry: &Who, who: &Person) -> bool {
        let client = |pattern: &&str| who.client.is_some_and(|client| glob(pattern, client));
        match entry {
            Who::Any => true,
            Who::Sub(None, "anonymous") => who.anonymous,
            _ if who.anonymous => false,
            Who::Sub(Some(issuer), pattern) => who.iss == *issuer && glob(pattern, who.sub),
            Who::Sub(None, pattern) => (!pattern.starts_with("key:") || who.iss == KEYS) && glob(pattern, who.sub),
            Who::Client(pattern) => client(pattern),
            Who::Scope(scope) => who.scopes.contains(scope),
            Who::Group(name) => {
                let group = self.groups.iter().find(|group| group.name == *name).unwrap();
                let claim = group.claim.as_ref().is_none_or(|(claim, any_of)| {
                    let held = who.claims.iter().find(|(name, _)| name == claim);
                    held.is_some_and(|(_, value)| texts(value).iter().any(|text| any_of.contains(text)))
                });
                (group.issuers.is_empty() || group.issuers.contains(&who.iss))
                    && claim
                    && (group.clients.is_empty() || group.clients.iter().any(client))
            }
        }
    }

    fn is_about_person(&self, rule: &Rule, who: &Person) -> bool {
        rule.principals.is_empty() || rule.principals.iter().any(|entry| self.is(entry, who))
    }

    /// Whether a rule is about an operation: principals, target, class.
    pub(crate) fn is_about(&self, rule: &Rule, ask: &Ask) -> bool {
        let targets = match ask.family {
            Family::Tool => &rule.tools,
            Family::Resource => &rule.resources,
            Family::Prompt => &rule.prompts,
        };
        self.is_about_person(rule, &ask.who)
            && (rule.names_everything() || targets.iter().any(|pattern| glob(pattern, ask.name)))
            && rule.has_class(self.class_of(ask))
    }

    pub(crate) fn truth(&self, rule: &Rule, ask: &Ask) -> Truth {
        if !self.is_about(rule, ask) {
            return Truth::False;
        }
        let when = rule.when.map_or(True, |which| conditions::truth(which, ask, self.class_of(ask)));
        let args = ask.args.as_ref().filter(|_| ask.family != Family::Resource);
        all(&[clock::truth(&rule.schedule, ask.now_ms), arguments::truth(&rule.arguments, args, rule.allow), when])
    }

    /// Whether the name is refused before rules are asked.
    pub(crate) fn is_unknown(ask: &Ask) -> bool {
        let hostile = ask.family == Family::Resource && is_hostile_uri(ask.name.split_once("__").unwrap().1);
        !ask.known || hostile
    }

    /// Section 16, the table. `rules` are those that count; `visible` is section 17.
    pub(crate) fn decide(&self, rules: &[&Rule], ask: &Ask, visible: bool) -> Verdict {
        let judged: Vec<(&Rule, Truth)> = rules.iter().map(|rule| (*rule, self.truth(rule, ask))).collect();
        let those = |allow: bool, truth: Truth| -> Vec<&Rule> {
            judged.iter().filter(|(rule, t)| rule.allow == allow && *t == truth).map(|(rule, _)| *rule).collect()
        };
        let lacks = |rule: &&Rule| rule.require.scopes.iter().any(|scope| !ask.who.scopes.contains(scope));
        let allows = those(true, True);
        let denies = those(false, True);
        let doubts = those(false, Unknown);
        let conclude = |reason, rules: Vec<&Rule>| {
            let mut rules: Vec<String> = rules.into_iter().map(|rule| rule.id.clone()).collect();
            rules.sort();
            Verdict { reason, rules, ..Verdict::default() }
        };
        if Self::is_unknown(ask) {
            conclude("unknown_name", Vec::new())
        } else if !visible {
            conclude("not_visible", denies)
        } else if allows.iter().any(lacks) {
            let mut scopes: Vec<String> = Vec::new();
            scopes.extend(allows.iter().flat_map(|rule| &rule.require.scopes).map(|scope| (*scope).to_owned()));
            scopes.retain(|scope| !ask.who.scopes.contains(&scope.as_str()));
            scopes.sort();
            scopes.dedup();
            let asking = allows.into_iter().filter(lacks).collect();
            Verdict { scopes_missing: scopes, ..conclude("scope_required", asking) }
        } else if !denies.is_empty() {
            conclude("rule_denied", denies)
        } else if !doubts.is_empty() {
            conclude("indeterminate", doubts)
        } else if !allows.is_empty() {
            crate::obligations::join(conclude("allowed", allows.clone()), &allows)
        } else if !those(true, Unknown).is_empty() {
            conclude("indeterminate", those(true, Unknown))
        } else {
            conclude("no_rule", Vec::new())
        }
    }

    pub(crate) fn enforced(&self) -> Vec<&Rule> {
        self.rules.iter().filter(|rule| !rule.shadow).collect()
    }

    /// Whether the shadow decision is there: a shadow rule is True or Unknown.
    pub(crate) fn has_shadow(&self, ask: &Ask) -> bool {
        let speaks = |rule: &Rule| rule.shadow && self.truth(rule, ask) != Truth::False;
        !Self::is_unknown(ask) && self.rules.iter().any(speaks)
    }

    /// Section 14.
    pub(crate) fn capability(&self, ask: &Ask, upstream: &str, word: &str) -> bool {
        // No operation is known here, so a condition on one says nothing.
        let speaks = |rule: &Rule| {
            let reads_more = rule.when.is_some_and(|which| conditions::reads_args(which) || conditions::reads_tool(which));
            let when = || rule.when.map_or(True, |which| conditions::truth(which, ask, Class::Read));
            match (clock::truth(&rule.schedule, ask.now_ms), rule.allow) {
                (truth, true) => truth == True,
                (truth, false) => truth != Truth::False && !reads_more && when() != Truth::False,
            }
        };
        let about = |rule: &&Rule| {
            let named = rule.capabilities.iter().any(|(pattern, capability)| *capability == word && glob(pattern, upstream));
            let nothing_asked = arguments::truth(&rule.arguments, None, rule.allow) == True;
            let everything = rule.names_everything() && rule.has_class(Class::Read) && nothing_asked;
            self.is_about_person(rule, &ask.who) && (named || everything) && speaks(rule)
        };
        let (allows, denies): (Vec<&Rule>, Vec<&Rule>) = self.enforced().into_iter().filter(about).partition(|rule| rule.allow);
        let given = !allows.is_empty() && denies.is_empty();
        seen("capability", if given { "given" } else { "refused" });
        given
    }
}

impl Rule {
    pub(crate) fn names_everything(&self) -> bool {
        let named = [self.tools.len(), self.resources.len(), self.prompts.len(), self.capabilities.len()];
        !self.allow && named == [0; 4]
    }

    fn has_class(&self, class: Class) -> bool {
        match (self.classes.is_empty(), self.allow) {
            (true, true) => class == Class::Read,
            (true, false) => true,
            (false, _) => self.classes.contains(&class),
        }
    }
}

//! Argument criteria: a pointer, and what must hold for the values it selects.

use std::borrow::Cow;

use super::arguments::Tree;
use super::glob::Glob;
use super::literal::Literal;
use super::number;
use super::path::{Directory, Where, locate};
use super::pointer::{Pointer, Selected};
use super::tri::Tri;
use crate::mcp::json::{Kind, unquote};

/// One entry of `arguments`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Criterion {
    pub(super) pointer: Pointer,
    /// All of them must hold for one and the same value. Sorted.
    pub(super) matchers: Box<[Matcher]>,
}

/// What a value is held against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matcher {
    /// `equals` and `one_of`: any of these values.
    OneOf(Box<[Literal]>),
    /// `glob`: text that matches any of these.
    Glob(Box<[Glob]>),
    /// `path_under`: a path inside any of these.
    PathUnder(Box<[Directory]>),
}

/// Which way doubt falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// An allow rule: at least one value is selected, and every one satisfies.
    Every,
    /// A deny rule: one suffices.
    Some,
}

impl Criterion {
    /// Whether the criterion holds for these arguments.
    pub(super) fn holds(&self, tree: &Tree<'_>, quantifier: Quantifier) -> Tri {
        let mut any = Tri::False;
        let mut every = Tri::True;
        let mut selected_any = false;
        let searches = self.pointer.searches();
        self.pointer.select(tree, &mut |selected| {
            let value = self.satisfied(tree, selected, quantifier, searches);
            any = Tri::any([any, value]);
            every = Tri::all([every, value]);
            selected_any = true;
        });
        match quantifier {
            _ if !selected_any => Tri::False,
            Quantifier::Every => every,
            Quantifier::Some => any,
        }
    }

    fn satisfied(&self, tree: &Tree<'_>, selected: Selected<'_>, quantifier: Quantifier, searches: bool) -> Tri {
        Tri::all(self.matchers.iter().map(|matcher| matcher.satisfied(tree, selected, quantifier, searches)))
    }

    /// The values that alone can satisfy this in an allow rule, where they can be listed.
    pub(super) fn finite(&self) -> Option<impl Iterator<Item = &Literal>> {
        let values = self.matchers.iter().find_map(|matcher| match matcher {
            Matcher::OneOf(values) => Some(values),
            Matcher::Glob(_) | Matcher::PathUnder(_) => None,
        })?;
        Some(values.iter().filter(|value| self.holds_for(value, Quantifier::Every) == Tri::True))
    }

    /// Whether a selected `value` would satisfy this.
    pub(super) fn holds_for(&self, value: &Literal, quantifier: Quantifier) -> Tri {
        let text = value.to_json();
        let Some(tree) = Tree::read(&text) else { return Tri::Unknown };
        self.satisfied(&tree, Selected::Value(0), quantifier, self.pointer.searches())
    }

    /// Whether arguments that satisfy this in an allow rule always trip `deny`, told by the pattern alone.
    pub(super) fn implies(&self, deny: &Self) -> bool {
        if self.pointer != deny.pointer {
            return false;
        }
        if let Some(mut values) = self.finite() {
            return values.all(|value| deny.holds_for(value, Quantifier::Some) != Tri::False);
        }
        deny.matchers.iter().all(|deny| self.matchers.iter().any(|own| own.implies(deny)))
    }
}

impl Matcher {
    /// Whether one selected value satisfies this.
    pub(super) fn satisfied(&self, tree: &Tree<'_>, selected: Selected<'_>, quantifier: Quantifier, searches: bool) -> Tri {
        if let Self::OneOf(values) = self {
            return match selected {
                Selected::Value(at) => Tri::any(values.iter().map(|value| value.same(tree, at))),
                Selected::Key(key) => Tri::from(values.iter().any(|v| matches!(v, Literal::Text(text) if **text == *key))),
            };
        }
        // A value whose type a matcher of text cannot read.
        let Some(text) = text(tree, selected, searches) else { return Tri::Unknown };
        match self {
            Self::OneOf(_) => Tri::Unknown,
            Self::Glob(globs) => Tri::from(globs.iter().any(|glob| glob.matches(&text))),
            Self::PathUnder(directories) => match (locate(directories, &text), quantifier) {
                (Where::Under, _) => Tri::True,
                (Where::Outside, _) | (Where::Hostile, Quantifier::Every) => Tri::False,
                // A path in disguise may well be the one the rule forbids.
                (Where::Hostile, Quantifier::Some) => Tri::Unknown,
            },
        }
    }

    fn implies(&self, deny: &Self) -> bool {
        match (self, deny) {
            (own, deny) if own == deny => true,
            (Self::PathUnder(own), Self::PathUnder(deny)) => own.iter().all(|d| locate(deny, slashed(d)) == Where::Under),
            (Self::PathUnder(_) | Self::Glob(_), Self::Glob(deny)) => deny.iter().any(|glob| glob.covers("")),
            _ => false,
        }
    }
}

fn slashed(directory: &Directory) -> &str {
    match directory.as_str() {
        "" => "/",
        path => path,
    }
}

/// The text a matcher of text reads. A search at any depth meets every kind of scalar, so there numbers, booleans and null are
/// read in their one canonical spelling; a pointer to one place promises a text.
fn text<'t>(tree: &'t Tree<'_>, selected: Selected<'t>, searches: bool) -> Option<Cow<'t, str>> {
    let item = match selected {
        Selected::Key(key) => return Some(Cow::Borrowed(key)),
        Selected::Value(at) => tree.item(at)?,
    };
    match item.kind {
        Kind::String => unquote(item.raw).ok(),
        Kind::Number if searches => number::canonical(item.raw).map(Cow::Owned),
        Kind::Bool | Kind::Null if searches => Some(Cow::Borrowed(item.raw)),
        Kind::Number | Kind::Bool | Kind::Null | Kind::Object | Kind::Array => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(pointer: &str, matcher: Matcher) -> Criterion {
        Criterion { pointer: Pointer::parse(pointer).unwrap(), matchers: Box::new([matcher]) }
    }

    fn check(criterion: &Criterion, arguments: &str, allow: Tri, deny: Tri) {
        let tree = Tree::read(arguments).unwrap();
        assert_eq!(criterion.holds(&tree, Quantifier::Every), allow, "allow {arguments}");
        assert_eq!(criterion.holds(&tree, Quantifier::Some), deny, "deny {arguments}");
    }

    #[test]
    fn globs_read_texts_only() {
        let glob = |pointer| criterion(pointer, Matcher::Glob(Box::new([Glob::parse("a*").unwrap()])));
        check(&glob("/x"), r#"{"x":"\u0061b"}"#, Tri::True, Tri::True);
        check(&glob("/x"), r#"{"x":"b"}"#, Tri::False, Tri::False);
        check(&glob("/x"), r#"{"y":"a"}"#, Tri::False, Tri::False);
        check(&glob("/x"), r#"{"x":7}"#, Tri::Unknown, Tri::Unknown);
        check(&glob("/x"), r#"{"x":null}"#, Tri::Unknown, Tri::Unknown);
        check(&glob("/x"), r#"{"x":["a"]}"#, Tri::Unknown, Tri::Unknown);
        check(&glob("/x/*"), r#"{"x":["a","ab"]}"#, Tri::True, Tri::True);
        check(&glob("/x/*"), r#"{"x":["a","b"]}"#, Tri::False, Tri::True);
        check(&glob("/x/*"), r#"{"x":["a",1]}"#, Tri::Unknown, Tri::True);
        check(&glob("/x/*"), r#"{"x":["b",1]}"#, Tri::False, Tri::Unknown);
        check(&glob("/x/*"), r#"{"x":[]}"#, Tri::False, Tri::False);
    }

    #[test]
    fn searches_read_every_scalar_and_key() {
        let glob = |text| criterion("/**", Matcher::Glob(Box::new([Glob::parse(text).unwrap()])));
        check(&glob("*key*"), r#"{"n":1,"b":true,"z":null,"t":"my key"}"#, Tri::False, Tri::True);
        check(&glob("*key*"), r#"{"n":[{"a key":1}]}"#, Tri::False, Tri::True);
        check(&glob("*key*"), r#"{"n":1,"b":[true,null,[]]}"#, Tri::False, Tri::False);
        check(&glob("123"), r#"{"n":1.23e2}"#, Tri::False, Tri::True);
    }

    #[test]
    fn equality_is_by_meaning() {
        let values = ["1", r#""a""#, "true", r#"{"a":[1,{}],"b":null}"#];
        let one_of: Vec<Literal> = values.iter().map(|v| literal(v)).collect();
        let rule = criterion("/x", Matcher::OneOf(one_of.into()));
        for same in ["1", "1.0", "10e-1", r#""\u0061""#, "true", r#"{"b":null,"a":[1.0,{}]}"#] {
            check(&rule, &format!("{{\"x\":{same}}}"), Tri::True, Tri::True);
        }
        for other in [r#""1""#, "2", "false", "null", "[]", r#"{"a":[1,{}]}"#, r#"{"a":[1,{}],"b":null,"c":1}"#, r#""A""#] {
            check(&rule, &format!("{{\"x\":{other}}}"), Tri::False, Tri::False);
        }
        check(&rule, r#"{"x":1e99999999999999999999}"#, Tri::Unknown, Tri::Unknown);
    }

    #[test]
    fn a_disguised_path_satisfies_no_allow_and_escapes_no_deny() {
        let under = criterion("/p", Matcher::PathUnder(Box::new([Directory::parse("/srv").unwrap()])));
        check(&under, r#"{"p":"/srv/a"}"#, Tri::True, Tri::True);
        check(&under, r#"{"p":"/etc"}"#, Tri::False, Tri::False);
        check(&under, r#"{"p":"/x/../srv/a"}"#, Tri::False, Tri::Unknown);
        check(&under, r#"{"p":"\u002fsrv\u002f..\u002fetc"}"#, Tri::False, Tri::Unknown);
        check(&under, r#"{"p":5}"#, Tri::Unknown, Tri::Unknown);
    }

    fn literal(text: &str) -> Literal {
        let node = crate::policy::yaml::parse(text).unwrap_or_else(|_| panic!("{text}"));
        let mut report = crate::policy::report::Report::new("test", text);
        Literal::read(&mut report, &node, "").unwrap()
    }
}

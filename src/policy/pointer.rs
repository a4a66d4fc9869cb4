//! Pointers into arguments: RFC 6901, plus `*` for one level and `**` for any depth.

use super::arguments::{Item, Tree, folding_steps, is_disguise_of};
use super::bounds::{POINTER_DEEP_MAX, POINTER_SEGMENTS_MAX};
use crate::mcp::json::Kind;

/// A compiled pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer {
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A member of an object, or an element of an array if the text is an index.
    Name(Box<str>),
    /// `*`
    Each,
    /// `**`
    Deep,
}

/// What a pointer selects.
#[derive(Clone, Copy)]
pub(super) enum Selected<'t> {
    /// The value at this place of the tree.
    Value(usize),
    /// A key of an object.
    Key(&'t str),
    /// Nothing under the name that the pointer says, but this key, which a lenient reader takes for it. Nobody can tell what it is worth.
    Disguise(&'t str),
}

impl Pointer {
    /// Reads a pointer: empty for the whole arguments, else starting with `/`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self { steps: Box::default() });
        }
        let text = text.strip_prefix('/').ok_or("a pointer starts with `/`")?;
        let mut steps: Vec<Step> = Vec::new();
        for segment in text.split('/') {
            let step = match segment {
                "*" => Step::Each,
                "**" => Step::Deep,
                name => Step::Name(unescape(name)?.into()),
            };
            if step != Step::Deep || steps.last() != Some(&Step::Deep) {
                steps.push(step);
            }
        }
        if steps.len() > POINTER_SEGMENTS_MAX {
            return Err("the pointer is too long");
        }
        if steps.iter().filter(|step| **step == Step::Deep).count() > POINTER_DEEP_MAX {
            return Err("at most two `**` in a pointer");
        }
        Ok(Self { steps: steps.into() })
    }

    /// Whether it looks at any depth, so that matchers of text read every scalar as text.
    pub(super) fn searches(&self) -> bool {
        self.steps.contains(&Step::Deep)
    }

    /// The names on the way, if it leads through objects only, to one place.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        let mut names = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            match step {
                Step::Name(name) if index(name).is_none() => names.push(&**name),
                Step::Name(_) | Step::Each | Step::Deep => return None,
            }
        }
        Some(names).filter(|names| !names.is_empty())
    }

    /// Calls `found` for everything selected; a value reached on two ways counts twice.
    pub(super) fn select<'t>(&self, tree: &'t Tree<'_>, found: &mut dyn FnMut(Selected<'t>)) {
        self.select_while(tree, &mut |selected| {
            found(selected);
            true
        });
    }

    /// As [`Self::select`], as long as `found` answers true and there are steps left to [`Tree::spend`].
    pub(super) fn select_while<'t>(&self, tree: &'t Tree<'_>, found: &mut dyn FnMut(Selected<'t>) -> bool) {
        walk(tree, 0, &self.steps, found);
    }

    /// The pointer in canonical spelling.
    pub(super) fn canonical(&self) -> String {
        let mut out = String::new();
        for step in &self.steps {
            out.push('/');
            match step {
                Step::Name(name) => out.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Each => out.push('*'),
                Step::Deep => out.push_str("**"),
            }
        }
        out
    }
}

/// True unless `found` ended it, or it took more steps than there are.
fn walk<'t>(tree: &'t Tree<'_>, at: usize, steps: &[Step], found: &mut dyn FnMut(Selected<'t>) -> bool) -> bool {
    let Some(item) = tree.item(at) else { return true };
    if !tree.spend(1) {
        return false;
    }
    match steps.split_first() {
        None => found(Selected::Value(at)),
        Some((Step::Name(name), rest)) => match child(tree, at, item, name) {
            Some(child) => walk(tree, child, rest, found),
            None => disguises(tree, at, item, name).all(|key| found(Selected::Disguise(key))),
        },
        Some((Step::Each, rest)) => tree.children(at).all(|(child, _)| walk(tree, child, rest, found)),
        Some((Step::Deep, [])) => tree.within(at).all(|(here, item)| {
            let key = item.key.as_deref().filter(|_| here != at);
            let leaf = !matches!(item.kind, Kind::Object | Kind::Array);
            tree.spend(1) && key.is_none_or(|key| found(Selected::Key(key))) && (!leaf || found(Selected::Value(here)))
        }),
        Some((Step::Deep, rest)) => tree.within(at).all(|(here, _)| walk(tree, here, rest, found)),
    }
}

fn child(tree: &Tree<'_>, at: usize, item: &Item<'_>, name: &str) -> Option<usize> {
    let mut children = tree.children(at);
    let found = match item.kind {
        Kind::Object => children.find(|(_, item)| item.key.as_deref() == Some(name)),
        Kind::Array => children.nth(index(name)?),
        Kind::String | Kind::Number | Kind::Bool | Kind::Null => None,
    };
    found.map(|(at, _)| at)
}

/// Keys of an object that are not `name`, and that a lenient reader takes for it.
fn disguises<'t>(tree: &'t Tree<'_>, at: usize, item: &Item<'_>, name: &str) -> impl Iterator<Item = &'t str> {
    let is_object = item.kind == Kind::Object;
    tree.children(at)
        .take_while(move |_| is_object)
        .filter_map(|(_, member)| member.key.as_deref())
        .take_while(|key| tree.spend(folding_steps(key)))
        .filter(move |key| is_disguise_of(key, name))
}

/// An array index as RFC 6901 section 4 writes it.
fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit()));
    name.parse().ok().filter(|_| plain)
}

fn unescape(name: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("`~` in a pointer is written `~0`, `/` inside a name `~1`"),
            },
            other => other,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::bounds::{ARGUMENT_STEPS_MAX, ARGUMENT_VALUES_MAX};
    use super::*;

    fn check(pointer: &str, expect: &[&str]) {
        let text = r#"{"path":"p","a":{"b":[10,{"b":"deep"}],"":0},"x/y":1,"t~":2,"0":[]}"#;
        let tree = Tree::read(text).unwrap();
        let mut found = Vec::new();
        Pointer::parse(pointer).unwrap().select(&tree, &mut |selected| {
            found.push(match selected {
                Selected::Value(at) => tree.item(at).unwrap().raw.to_owned(),
                Selected::Key(key) => format!("key {key}"),
                Selected::Disguise(key) => format!("disguise {key}"),
            });
        });
        assert_eq!(found, expect, "{pointer}");
    }

    #[test]
    fn selects_as_rfc_6901() {
        check("/path", &[r#""p""#]);
        check("/a/b/0", &["10"]);
        check("/a/b/00", &[]);
        check("/a/b/-", &[]);
        check("/a/b/2", &[]);
        check("/a/", &["0"]);
        check("/x~1y", &["1"]);
        check("/t~0", &["2"]);
        check("/0", &["[]"]);
        check("/Path", &["disguise path"]);
        check("/Path/x", &["disguise path"]);
        check("/path/x", &[]);
        check("/a/B/0", &["disguise b"]);
        check("/**/B", &["disguise b", "disguise b"]);
        check("/l", &[]);
    }

    #[test]
    fn selects_levels_and_depths() {
        check("/a/*", &[r#"[10,{"b":"deep"}]"#, "0"]);
        check("/a/b/*/b", &[r#""deep""#]);
        check("/**/b", &[r#"[10,{"b":"deep"}]"#, r#""deep""#]);
        check("/a/**", &["key b", "10", "key b", r#""deep""#, "key ", "0"]);
        check("/path/**", &[r#""p""#]);
        check("/0/**", &[]);
    }

    #[test]
    fn takes_no_more_steps_than_there_are() {
        let (depth, width) = (60, 90_000);
        let nested = format!("{}[{}0]{}", r#"{"env":"#.repeat(depth), "0,".repeat(width), "}".repeat(depth));
        let tree = Tree::read(&nested).unwrap();
        let mut met = 0_u64;
        Pointer::parse("/**/env/**").unwrap().select(&tree, &mut |_| met += 1);
        assert!(tree.is_spent() && met <= ARGUMENT_STEPS_MAX, "{met}");
        assert!(Tree::read(&format!("[{}0]", "0,".repeat(ARGUMENT_VALUES_MAX - 2))).is_some());
        assert!(Tree::read(&format!("[{}0]", "0,".repeat(ARGUMENT_VALUES_MAX - 1))).is_none());
    }

    #[test]
    fn refuses_what_is_no_pointer() {
        for text in ["path", "/a~2", "/a~", "/**/a/**/b/**", &"/a".repeat(POINTER_SEGMENTS_MAX + 1)] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
        assert_eq!(Pointer::parse("/**/**/a").unwrap(), Pointer::parse("/**/a").unwrap());
    }
}

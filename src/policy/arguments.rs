//! The arguments of a call as a flat list of values, in the order of the text. Built once per decision, and only if a rule asks.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bounds::{ARGUMENT_DEPTH_MAX, ARGUMENT_STEPS_MAX, ARGUMENT_VALUES_MAX};
use crate::mcp::json::{JsonError, Kind, Scanner};
use crate::vocab::escape::is_invisible;

/// Every value of one JSON text, parents before children.
pub(super) struct Tree<'a> {
    items: Vec<Item<'a>>,
    /// Two keys of one object differ only by case or folding, or there is a NUL in one: readers may disagree about which one counts.
    collides: bool,
    /// Steps that were taken to judge these arguments.
    steps: AtomicU64,
}

/// One value.
pub(super) struct Item<'a> {
    /// The key it stands under, in an object.
    pub(super) key: Option<Cow<'a, str>>,
    /// The value as written.
    pub(super) raw: &'a str,
    pub(super) kind: Kind,
    /// One past the last value inside this one.
    end: usize,
}

impl<'a> Tree<'a> {
    /// Reads a text that was validated before; `None` if it is no JSON after all, or deeper or of more values than rules look at.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let items = Vec::with_capacity((text.len() / ITEM_BYTES_LEAST + 1).min(ITEMS_EXPECTED_MAX));
        let mut tree = Self { items, collides: false, steps: AtomicU64::new(0) };
        // Equal keys collide, so the scanner need not look for them.
        let mut scan = Scanner::trusted_but_keys(text, ARGUMENT_DEPTH_MAX);
        tree.take(&mut scan, None).ok()?;
        scan.end().ok()?;
        Some(tree)
    }

    /// Whether two keys of one object collide, or readers disagree about a single one.
    pub(super) fn collides(&self) -> bool {
        self.collides
    }

    /// Counts `steps` towards what judging these arguments may take; false once that is used up, and then ever after.
    pub(super) fn spend(&self, steps: u64) -> bool {
        // One decision is one thread's: nothing is lost between the two.
        let spent = self.steps.load(Ordering::Relaxed).saturating_add(steps);
        self.steps.store(spent, Ordering::Relaxed);
        spent <= ARGUMENT_STEPS_MAX
    }

    /// Whether judging these arguments took more than it may, so that what was found is not all there is.
    pub(super) fn is_spent(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > ARGUMENT_STEPS_MAX
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The value at `at`.
    pub(super) fn item(&self, at: usize) -> Option<&Item<'a>> {
        self.items.get(at)
    }

    /// The values directly inside the one at `at`.
    pub(super) fn children(&self, at: usize) -> impl Iterator<Item = (usize, &Item<'a>)> {
        let mut next = at + 1;
        let end = self.end(at);
        std::iter::from_fn(move || {
            let here = next;
            let item = self.items.get(here).filter(|_| here < end)?;
            next = item.end;
            Some((here, item))
        })
    }

    /// The value at `at` and everything inside it.
    pub(super) fn within(&self, at: usize) -> impl Iterator<Item = (usize, &Item<'a>)> {
        let inside = self.items.get(at..self.end(at)).unwrap_or_default();
        inside.iter().enumerate().map(move |(offset, item)| (at + offset, item))
    }

    fn end(&self, at: usize) -> usize {
        self.items.get(at).map_or(at, |item| item.end)
    }

    fn take(&mut self, scan: &mut Scanner<'a>, key: Option<Cow<'a, str>>) -> Result<(), JsonError> {
        let at = self.items.len();
        if at >= ARGUMENT_VALUES_MAX {
            return Err(JsonError::Shape("more values than rules look at"));
        }
        let kind = scan.peek()?;
        self.items.push(Item { key, raw: "", kind, end: at + 1 });
        let raw = match kind {
            Kind::Object => scan.object(|scan, key| self.take(scan, Some(key.clone())))?,
            Kind::Array => scan.array(|scan| self.take(scan, None))?,
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => scan.value()?,
        };
        let end = self.items.len();
        if let Some(item) = self.items.get_mut(at) {
            item.raw = raw;
            item.end = end;
        }
        if kind == Kind::Object && !self.collides {
            self.collides = self.keys_collide(at);
        }
        Ok(())
    }

    fn keys_collide(&self, at: usize) -> bool {
        let keys = || self.children(at).filter_map(|(_, item)| item.key.as_deref());
        let (count, plain) = keys().fold((0, true), |(n, plain), key| (n + 1, plain && is_plain(key)));
        if plain && count <= PAIRWISE_KEYS_MAX {
            return keys().enumerate().any(|(n, key)| keys().skip(n + 1).any(|other| key.eq_ignore_ascii_case(other)));
        }
        // Some readers end a key at a NUL, and others leave it out: there is no telling which key that is.
        if !plain && keys().any(|key| key.contains('\0')) {
            return true;
        }
        let mut seen = HashSet::with_capacity(count);
        keys().any(|key| !seen.insert(fold_key(key)))
    }
}

/// Values are rarely written shorter than this, key included.
const ITEM_BYTES_LEAST: usize = 8;
/// Values that room is made for at once.
const ITEMS_EXPECTED_MAX: usize = 64;
/// Objects up to this size compare plain keys pairwise.
const PAIRWISE_KEYS_MAX: usize = 16;

/// What readers that ignore case make of a key: upper case, then lower, so that `ſ`, `K` and `ß` meet their plain forms; full-width
/// letters count as plain ones. Capitals that so become two characters, or another than their small letter does, are small before.
pub(super) fn fold(key: &str) -> String {
    let narrow = |c: char| match c {
        'İ' => 'i',
        'ẞ' => 'ß',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    };
    key.chars().map(narrow).flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Whether only case can make it another key.
fn is_plain(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_graphic())
}

/// What lenient readers make of a key of the arguments: no invisible or control characters anywhere, no white space around it, and
/// folded.
pub(super) fn fold_key(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    let seen: String = key.chars().filter(|c| !is_invisible(*c)).collect();
    Cow::Owned(fold(seen.trim()))
}

/// Whether `key` is another key than `name`, and the same to a lenient reader.
pub(super) fn is_disguise_of(key: &str, name: &str) -> bool {
    if key == name {
        return false;
    }
    if is_plain(key) && is_plain(name) { key.eq_ignore_ascii_case(name) } else { fold_key(key) == fold_key(name) }
}

/// Steps ([`Tree::spend`]) that holding a key against a name takes.
pub(super) fn folding_steps(key: &str) -> u64 {
    1 + (key.len() / FOLDED_STEP_BYTES) as u64
}

/// Bytes of a key that are folded in one step.
const FOLDED_STEP_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_by_case_or_folding_collide() {
        for text in [
            r#"{"path":1,"Path":2}"#,
            r#"{"a":[{"K":1,"\u212a":2}]}"#,
            r#"{"s":1,"ſ":2}"#,
            r#"{"straße":1,"STRASSE":2}"#,
            r#"{"path":1,"ｐath":2}"#,
            r#"{"É":1,"é":2}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            r#"{"path\u0000":2}"#,
            r#"{"path\u0000x":2}"#,
            r#"{"a":{"\u0000path":2}}"#,
            r#"{"file":1,"fİle":2}"#,
            r#"{"straße":1,"STRAẞE":2}"#,
            r#"{"path":1," path":2}"#,
            r#"{"path":1,"path\n":2}"#,
            r#"{"path":1,"Path\u3000":2}"#,
            r#"{"path":1,"pa\u200bth":2}"#,
            r#"{"path":1,"p\u00adath":2}"#,
            r#"{"path":1,"\ufeffpath":2}"#,
            r#"{"path":1,"path\udb40\udc41":2}"#,
            r#"{"":1," ":2}"#,
        ] {
            assert!(Tree::read(text).unwrap().collides(), "{text}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(!Tree::read(&format!("{{{}}}", many.join(","))).unwrap().collides());
        assert!(Tree::read(&format!("{{{},\"K7\":0}}", many.join(","))).unwrap().collides());
        for text in [r#"{"a":{"b":1},"c":{"B":1}}"#, "[]", r#"{"a":1,"b":2,"ä":3}"#, r#"{"first name":1,"firstname":2}"#] {
            assert!(!Tree::read(text).unwrap().collides(), "{text}");
        }
    }

    #[test]
    fn values_stand_in_order() {
        let tree = Tree::read(r#" {"a":[1,{"b":null}],"c":"x"} "#).unwrap();
        let raws: Vec<&str> = tree.within(0).map(|(_, item)| item.raw).collect();
        assert_eq!(raws, [r#"{"a":[1,{"b":null}],"c":"x"}"#, r#"[1,{"b":null}]"#, "1", r#"{"b":null}"#, "null", r#""x""#]);
        let top: Vec<usize> = tree.children(0).map(|(at, _)| at).collect();
        assert_eq!(top, [1, 5]);
        assert!(Tree::read("{").is_none());
        assert!(Tree::read("1 2").is_none());
    }
}

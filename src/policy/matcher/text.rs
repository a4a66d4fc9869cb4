//! How values are read as text.

use std::borrow::Cow;

use crate::mcp::json::{Kind, unquote};
use crate::policy::arguments::Tree;
use crate::policy::number;
use crate::policy::pointer::Selected;

/// The text a matcher of text reads. A search at any depth meets every kind of scalar, so there numbers, booleans and null are
/// read in their one canonical spelling; a pointer to one place promises a text.
pub(super) fn text<'t>(tree: &'t Tree<'_>, selected: Selected<'t>, searches: bool) -> Option<Cow<'t, str>> {
    let item = match selected {
        Selected::Key(key) => return Some(Cow::Borrowed(key)),
        Selected::Disguise(_) => return None,
        Selected::Value(at) => tree.item(at)?,
    };
    match item.kind {
        Kind::String => unquote(item.raw).ok(),
        Kind::Number if searches => number::spelled(item.raw),
        Kind::Bool | Kind::Null if searches => Some(Cow::Borrowed(item.raw)),
        Kind::Number | Kind::Bool | Kind::Null | Kind::Object | Kind::Array => None,
    }
}

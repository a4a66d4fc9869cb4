//! What operators look at: `state`; and the keys of the vault.

use std::path::{Path, PathBuf};

use super::Cx;
use super::files::private_key;
use crate::config::raw;
use crate::config::report::{item_path, resolve};
use crate::config::shape::Texts;

pub(super) fn state(raw: Option<raw::State>, cx: &mut Cx<'_>) {
    if let Some(raw) = raw
        && let Some(file) = raw.embedded
        && file != "state.db"
    {
        cx.report.not_built("state.embedded", "other than state.db", "leave `state` out");
    }
}

/// Files that encrypt what people link, newest first. Named beside others each must be there: a missing key is lost entries.
pub(super) fn vault_keys(named: Option<Texts>, data_dir: Option<&Path>, cx: &mut Cx<'_>) -> Option<Vec<PathBuf>> {
    let Some(Texts(named)) = named else { return Some(vec![data_dir?.join("keys/vault")]) };
    let one = named.len() == 1;
    let mut files: Vec<PathBuf> = Vec::new();
    for (i, text) in named.iter().enumerate() {
        let path = if one { "keys.vault".to_owned() } else { item_path("keys.vault", i) };
        let file = if one && !text.is_empty() { Some(resolve(&cx.dir, text)) } else { private_key(&path, text, cx) };
        match file {
            Some(file) if files.contains(&file) => cx.report.problem(&path, "is listed twice", ""),
            Some(file) => files.push(file),
            None => {}
        }
    }
    if named.is_empty() {
        return cx.refuse("keys.vault", "is empty: nothing could be encrypted", "leave it out for a key under data_dir");
    }
    Some(files)
}

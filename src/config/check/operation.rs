//! What operators look at: `state`, `audit`.

use std::path::{Path, PathBuf};

use super::Cx;
use super::files::private_key;
use crate::config::checked::{Audit, Durability};
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
pub(super) fn vault_keys(raw: raw::Keys, data_dir: Option<&Path>, cx: &mut Cx<'_>) -> Option<Vec<PathBuf>> {
    let Some(Texts(named)) = raw.vault else { return Some(vec![data_dir?.join("keys/vault")]) };
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

pub(super) fn audit(raw: raw::Audit, data_dir: Option<&Path>, cx: &mut Cx<'_>) -> Option<Audit> {
    let durability = match raw.durability.as_deref() {
        None | Some("write") => Some(Durability::Write),
        Some("danger_none") => Some(Durability::DangerNone),
        Some("sync") => {
            cx.report.not_built("audit.durability", "sync", "write, or leave it out");
            None
        }
        Some(_) => cx.refuse("audit.durability", "is not a durability", "write or danger_none"),
    };
    let file = match raw.sinks {
        None => Some("audit".to_owned()),
        Some(sinks) => sink(sinks, cx),
    };
    let pointers = raw.record_arguments.unwrap_or_default();
    for (i, pointer) in pointers.iter().enumerate() {
        if !is_pointer(pointer) {
            let hint = "such as /path or /options/mode; `~` is ~0 and `/` inside a key is ~1";
            cx.report.problem(&item_path("audit.record_arguments", i), "is not a JSON pointer to an argument", hint);
        }
    }
    Some(Audit { durability: durability?, file: resolve(data_dir?, &file?), record_arguments: pointers })
}

fn sink(sinks: Vec<raw::Sink>, cx: &mut Cx<'_>) -> Option<String> {
    if sinks.len() > 1 {
        cx.report.not_built("audit.sinks[1]", "", "give a single `{ file: NAME }`");
    }
    let Some(first) = sinks.into_iter().next() else {
        return cx.refuse("audit.sinks", "is empty: nothing would be recorded", "leave it out for [{ file: audit }]");
    };
    match first.file {
        Some(file) if !file.is_empty() && !file.contains('\0') => Some(file),
        Some(_) => cx.refuse("audit.sinks[0].file", "is not a path", "such as audit"),
        None => cx.missing("audit.sinks[0].file", "such as { file: audit }"),
    }
}

/// RFC 6901 section 3; the empty pointer, all arguments at once, is refused: it would put everything in clear.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

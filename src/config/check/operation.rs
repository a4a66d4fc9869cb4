//! What operators look at: `state`, `telemetry`; and the keys of the vault.

use std::path::{Path, PathBuf};

use super::Cx;
use super::files::private_key;
use crate::config::checked::{LogFormat, Telemetry};
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

pub(super) fn telemetry(raw: raw::Telemetry, cx: &mut Cx<'_>) -> Option<Telemetry> {
    let log = raw.log.unwrap_or_else(|| "info".to_owned());
    let log = if log.split(',').all(is_directive) {
        Some(log)
    } else {
        cx.refuse("telemetry.log", "is not a log level", "off, error, warn, info, debug or trace, or target=level,target=level")
    };
    let log_format = match raw.log_format.as_deref() {
        None | Some("json") => Some(LogFormat::Json),
        Some("text") => Some(LogFormat::Text),
        Some(_) => cx.refuse("telemetry.log_format", "is not a log format", "json or text"),
    };
    Some(Telemetry { log: log?, log_format: log_format? })
}

fn is_directive(text: &str) -> bool {
    let (target, level) = text.split_once('=').map_or(("all", text), |(target, level)| (target, level));
    let is_target = !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    is_target && matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace")
}

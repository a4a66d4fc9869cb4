//! `--tools`: names of tools, and their annotations where the file has them.

use std::path::Path;

use serde_json::Value;

use super::exit::Failure;
use super::source::read;
use crate::policy::{Hints, HintsOf};

/// Reads a JSON list of full names, or a `tools/list` result (bare or inside a JSON-RPC answer) whose names are full names.
pub(super) fn load(file: &Path) -> Result<HintsOf, Failure> {
    let wrong = |why: &str| Failure::input(format_args!("{}: {why}", file.display()));
    let root: Value = serde_json::from_str(&read(file)?).map_err(|error| wrong(&format!("is not JSON: {error}")))?;
    let lists = [Some(&root), root.get("tools"), root.pointer("/result/tools")];
    let Some(items) = lists.into_iter().flatten().find_map(Value::as_array) else {
        return Err(wrong("is neither a list of names nor a tools/list result"));
    };
    let mut tools = HintsOf::new();
    for (at, item) in items.iter().enumerate() {
        let name = item.as_str().or_else(|| item.get("name")?.as_str()).filter(|name| name.contains("__"));
        let name = name.ok_or_else(|| wrong(&format!("entry {at} has no full name (UPSTREAM__NAME)")))?;
        let hint = |key: &str| item.get("annotations")?.get(key)?.as_bool();
        tools.insert(name.to_owned(), Hints { read_only: hint("readOnlyHint"), destructive: hint("destructiveHint") });
    }
    Ok(tools)
}

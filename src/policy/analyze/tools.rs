//! What is known of the tools that exist: names, and their upstream's hints.

use serde_json::Value;

use crate::policy::Hints;
use crate::vocab::limits::{LIST_ITEMS_MAX, NAME_BYTES_MAX};

/// Tools by full name, sorted.
#[derive(Clone, Debug, Default)]
pub struct Tools(Vec<KnownTool>);

/// One tool that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTool {
    /// `upstream__name`
    pub name: String,
    /// What its upstream says about it.
    pub hints: Hints,
}

impl Tools {
    /// Reads a JSON list of names or of tools, or a `tools/list` result with either. A name without an upstream belongs to the only
    /// one of `upstreams`.
    ///
    /// # Errors
    /// Why the text is no such list.
    pub fn read(text: &str, upstreams: &[String]) -> Result<Self, String> {
        let root: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        let list = ["/tools", "/result/tools"].iter().find_map(|at| root.pointer(at)).unwrap_or(&root);
        let list = list.as_array().ok_or("is neither a list of tool names nor a tools/list result")?;
        if list.len() > LIST_ITEMS_MAX {
            return Err(format!("lists more than {LIST_ITEMS_MAX} tools"));
        }
        let mut tools = Vec::with_capacity(list.len());
        for (at, item) in list.iter().enumerate() {
            let name = item.as_str().or_else(|| item.get("name").and_then(Value::as_str));
            let name = name.ok_or_else(|| format!("entry {at} is neither a name nor a tool with one"))?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
            if name.is_empty() || name.len() > 2 * NAME_BYTES_MAX || !name.bytes().all(plain) {
                return Err(format!("entry {at} is not the name of a tool"));
            }
            let name = match upstreams {
                _ if upstreams.iter().any(|upstream| begins(name, upstream)) => name.to_owned(),
                [only] => format!("{only}__{name}"),
                _ if name.contains("__") => name.to_owned(),
                _ => return Err(format!("entry {at}, `{name}`, does not say its upstream: write UPSTREAM__{name}")),
            };
            let hint = |key: &str| item.pointer(&format!("/annotations/{key}")).and_then(Value::as_bool);
            let hints = Hints { read_only: hint("readOnlyHint"), destructive: hint("destructiveHint") };
            tools.push(KnownTool { name, hints });
        }
        Ok(tools.into_iter().collect())
    }

    /// Every tool, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &KnownTool> {
        self.0.iter()
    }
}

impl FromIterator<KnownTool> for Tools {
    fn from_iter<I: IntoIterator<Item = KnownTool>>(tools: I) -> Self {
        let mut tools: Vec<KnownTool> = tools.into_iter().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools.dedup_by(|a, b| a.name == b.name);
        Self(tools)
    }
}

fn begins(name: &str, upstream: &str) -> bool {
    name.strip_prefix(upstream).is_some_and(|rest| rest.starts_with("__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_several_shapes() {
        let one = ["files".to_owned()];
        let two = ["files".to_owned(), "git".to_owned()];
        for (text, upstreams, expected) in [
            (r#"["files__b","files__a","files__a"]"#, &one[..], Ok(vec!["files__a", "files__b"])),
            (r#"["a"]"#, &one, Ok(vec!["files__a"])),
            (r#"{"tools":[{"name":"git__log"}]}"#, &two, Ok(vec!["git__log"])),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"x__log"}]}}"#, &two, Ok(vec!["x__log"])),
            (r#"["a"]"#, &two, Err("does not say its upstream")),
            (r#"["a b"]"#, &one, Err("not the name of a tool")),
            (r#"[1]"#, &one, Err("neither a name")),
            (r#"{"a":1}"#, &one, Err("neither a list")),
            ("[", &one, Err("not JSON")),
        ] {
            let read = Tools::read(text, upstreams).map(|tools| tools.iter().map(|t| t.name.clone()).collect::<Vec<_>>());
            match expected {
                Ok(names) => assert_eq!(read.unwrap(), names, "{text}"),
                Err(why) => assert!(read.as_ref().is_err_and(|said| said.contains(why)), "{text}: {read:?}"),
            }
        }
    }

    #[test]
    fn hints_come_along() {
        let text = r#"[{"name":"a","annotations":{"readOnlyHint":false,"destructiveHint":true}},{"name":"b","annotations":{"readOnlyHint":"no"}}]"#;
        let tools = Tools::read(text, &["u".to_owned()]).unwrap();
        let hints: Vec<Hints> = tools.iter().map(|tool| tool.hints).collect();
        assert_eq!(hints, [Hints { read_only: Some(false), destructive: Some(true) }, Hints::default()]);
    }
}

//! Texts of client files: literal parts, and what clients replace in them.

use std::path::Path;

use serde_json::Value;

/// A text in parts.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<Part>);

/// A part of a text. No `Debug`: a literal may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// An environment variable.
    Variable(String),
}

/// What clients replace beside variables.
pub(super) struct Places<'a> {
    pub(super) workspace: &'a Path,
    pub(super) home: Option<&'a Path>,
}

impl Text {
    pub(super) fn literal(text: impl Into<String>) -> Self {
        Self(vec![Part::Literal(text.into())])
    }

    pub(super) fn variable(name: impl Into<String>) -> Self {
        Self(vec![Part::Variable(name.into())])
    }

    /// Reads the references that clients know: `${NAME}`, `${env:NAME}`, `${NAME:-default}`, `${input:id}`, `${workspaceFolder}`
    /// and `${userHome}`. Others stay as they are.
    pub(super) fn read(text: &str, places: &Places<'_>) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, (inside, after))) = rest.split_once("${").and_then(|(b, r)| Some((b, r.split_once('}')?))) {
            push(&mut parts, before);
            match reference(inside, places) {
                Some(part @ Part::Variable(_)) => parts.push(part),
                Some(Part::Literal(literal)) => push(&mut parts, &literal),
                None => push(&mut parts, &format!("${{{inside}}}")),
            }
            rest = after;
        }
        push(&mut parts, rest);
        Self(parts)
    }

    /// All of it, if nothing is replaced in it.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The variables it names.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Its literal parts.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Variable(_) => None,
        })
    }

    /// The flag or name before the first `=` in its first part, and what follows that.
    pub(super) fn after_flag(&self) -> (Option<&str>, Self) {
        match self.0.split_first() {
            Some((Part::Literal(first), rest)) if let Some((flag, value)) = first.split_once('=') => {
                let mut parts = Vec::new();
                push(&mut parts, value);
                parts.extend_from_slice(rest);
                (Some(flag), Self(parts))
            }
            _ => (None, self.clone()),
        }
    }

    /// Without a prefix, whatever its case.
    pub(super) fn strip_prefix(&self, prefix: &str) -> Option<Self> {
        let (Part::Literal(first), rest) = self.0.split_first()? else { return None };
        let head = first.get(..prefix.len())?;
        let tail = first.get(prefix.len()..)?;
        let mut parts = Vec::new();
        push(&mut parts, tail);
        parts.extend_from_slice(rest);
        head.eq_ignore_ascii_case(prefix).then_some(Self(parts))
    }

    /// A double-quoted YAML scalar, in which the config replaces the same variables.
    pub(super) fn to_yaml(&self) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(&text.replace("${", "$${")),
                Part::Variable(name) => out.push_str(&format!("${{env:{name}}}")),
            }
        }
        // A JSON string is a YAML double-quoted scalar.
        Value::from(out).to_string()
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(last)) => last.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

fn reference(inside: &str, places: &Places<'_>) -> Option<Part> {
    let path = |path: &Path| Some(Part::Literal(path.to_str()?.to_owned()));
    match inside.split_once(':') {
        Some(("env", name)) if is_variable(name) => Some(Part::Variable(name.to_owned())),
        Some(("input", id)) if !id.is_empty() => Some(Part::Variable(variable(&[id]))),
        // A default is used where the variable is not set, which is how things are now.
        Some((name, default)) if is_variable(name) => match default.strip_prefix('-') {
            Some(default) if std::env::var_os(name).is_none() => Some(Part::Literal(default.to_owned())),
            Some(_) => Some(Part::Variable(name.to_owned())),
            None => None,
        },
        None if inside == "workspaceFolder" => path(places.workspace),
        None if inside == "userHome" => path(places.home?),
        None if is_variable(inside) => Some(Part::Variable(inside.to_owned())),
        _ => None,
    }
}

/// Whether a name can be an environment variable's.
fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name of a variable made of some words.
pub(super) fn variable(words: &[&str]) -> String {
    let mut name = String::new();
    for c in words.join("_").chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c.to_ascii_uppercase()),
            _ if name.ends_with('_') || name.is_empty() => {}
            _ => name.push('_'),
        }
    }
    let name = name.trim_end_matches('_');
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => name.to_owned(),
        _ => format!("MCP_{name}").trim_end_matches('_').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_clients_become_those_of_the_config() {
        let places = Places { workspace: Path::new("/w"), home: Some(Path::new("/h")) };
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("Bearer ${GITHUB_TOKEN}", r#""Bearer ${env:GITHUB_TOKEN}""#),
            ("${env:A}${env:B}", r#""${env:A}${env:B}""#),
            ("${input:github-token}", r#""${env:GITHUB_TOKEN}""#),
            ("${workspaceFolder}/x:${userHome}", r#""/w/x:/h""#),
            ("${PORTCULLIS_TEST_UNSET:-a b}", r#""a b""#),
            ("${PATH:-x}", r#""${env:PATH}""#),
            ("${file:/etc/passwd}", r#""$${file:/etc/passwd}""#),
            ("${unclosed", r#""$${unclosed""#),
            ("a \"b\"\n#", r#""a \"b\"\n#""#),
            ("", r#""""#),
        ] {
            assert_eq!(Text::read(text, &places).to_yaml(), expected, "{text}");
        }
    }

    #[test]
    fn names_of_variables() {
        for (words, expected) in [
            (&["github", "token"][..], "GITHUB_TOKEN"),
            (&["1password", "x-api-key"], "MCP_1PASSWORD_X_API_KEY"),
            (&["--", "é"], "MCP"),
        ] {
            assert_eq!(variable(words), expected);
            assert!(is_variable(&variable(words)));
        }
    }
}

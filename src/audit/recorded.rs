//! Records, read back. What a record leaves out or holds cut stays unknown; unknown members are passed over.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::draft::CUT_MARK;
use crate::vocab::{Class, Reason};

/// A record, as far as later readers need it.
#[derive(Debug, Deserialize)]
pub struct Recorded {
    v: u64,
    /// Its number in the file.
    pub seq: u64,
    time: String,
    /// Its id, which the client was told.
    pub id: String,
    /// What it is about: `intent`, `outcome`, `list` and so on.
    pub kind: String,
    /// Who asked.
    pub principal: Option<RecordedPrincipal>,
    /// Path of the route.
    pub route: Option<String>,
    /// The JSON-RPC method.
    pub method: Option<String>,
    /// The full name of what was asked for.
    pub name: Option<String>,
    /// The class it was decided as.
    pub class: Option<Class>,
    args: Option<Args>,
    /// What policy decided.
    pub decision: Option<RecordedDecision>,
}

/// Who asked.
#[derive(Debug, Deserialize)]
pub struct RecordedPrincipal {
    /// Issuer.
    pub iss: String,
    /// Subject.
    pub sub: String,
    /// OAuth client.
    pub client_id: Option<String>,
    /// Groups claim.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// What policy decided.
#[derive(Debug, Deserialize)]
pub struct RecordedDecision {
    /// Why.
    pub reason: Reason,
    /// By which rules.
    #[serde(default)]
    pub rules: Vec<String>,
    /// With which obligations.
    #[serde(default)]
    pub obligations: Vec<String>,
    /// Digest of the policy set.
    pub policy: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Args {
    #[serde(default)]
    fields: BTreeMap<String, Box<RawValue>>,
}

impl Recorded {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, without its bytes.
    pub fn read(line: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_str(line).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => format!("is no record: column {}", error.column()),
            _ => format!("is not JSON: column {}", error.column()),
        })?;
        if record.v != super::record::VERSION {
            return Err(format!("is a record of version {}, which is not known", record.v));
        }
        Ok(record)
    }

    /// When the request came, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> Option<i64> {
        let time = humantime::parse_rfc3339(&self.time).ok()?;
        i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// The argument values in clear, as JSON Pointer and JSON; `None` for an operation without arguments. Values that were cut are
    /// left out.
    pub fn fields(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let fields = self.args.as_ref()?.fields.iter().map(|(pointer, raw)| (pointer.as_str(), raw.get()));
        Some(
            fields
                .filter(|(pointer, raw)| !is_cut(pointer) && !serde_json::from_str(raw).is_ok_and(|text: String| is_cut(&text))),
        )
    }
}

/// Whether a text of a record is only the start of what it was.
pub fn is_cut(text: &str) -> bool {
    text.ends_with(CUT_MARK)
}

//! `audit` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::sink::Sink;
use crate::config::shape::Scalar;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Audit {
    /// What must hold before a write leaves: its intent is on disk, or in the file, or nothing. Default sync.
    #[schemars(extend("enum" = ["sync", "write", "danger_none"]))]
    pub(in crate::config) durability: Option<String>,
    /// Whether calls that only read wait for an intent of theirs as well. Default queued: they have one record, when they end.
    #[schemars(extend("enum" = ["queued", "sync"]))]
    pub(in crate::config) reads: Option<String>,
    /// How long a call waits for its intent before it is refused. Default 2s.
    pub(in crate::config) intent_timeout: Option<String>,
    /// Where records go: a file, and whatever reads from it. Default [{ file: audit }].
    #[schemars(length(min = 1, max = 17))]
    pub(in crate::config) sinks: Option<Vec<Sink>>,
    /// JSON pointers of arguments recorded in clear.
    pub(in crate::config) record_arguments: Option<Vec<String>>,
    /// When a new file is begun.
    pub(in crate::config) rotate: Option<Rotate>,
    /// What becomes of files that are no longer written. Default none.
    #[schemars(extend("enum" = ["none", "gzip"]))]
    pub(in crate::config) compress: Option<String>,
    /// When files that are no longer written are deleted. Default never.
    pub(in crate::config) retain: Option<Retain>,
    /// How often what is there is signed, and where else that is kept.
    pub(in crate::config) checkpoints: Option<Checkpoints>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Rotate {
    /// Once the file has as many bytes. Default 256MiB.
    pub(in crate::config) size: Option<Scalar>,
    /// Once its first record is as old, such as 24h. Default never.
    pub(in crate::config) every: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Retain {
    /// Once the last record of a file is as old, such as 90d.
    #[serde(rename = "for")]
    pub(in crate::config) time: Option<String>,
    /// The oldest first, while all files together are longer.
    pub(in crate::config) size: Option<Scalar>,
    /// Never before everything in a file went to the other sinks. Default false.
    pub(in crate::config) exported: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Checkpoints {
    /// Time after the first record that is not signed. Default 1s.
    pub(in crate::config) every: Option<String>,
    /// Records. Default 1000.
    pub(in crate::config) records: Option<u64>,
    /// Where else checkpoints go, so that a log that was cut off shows. Each is a file or a webhook.
    pub(in crate::config) export: Option<Vec<Export>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Export {
    /// A file, best on another disk, or one that can only be appended to. Under `data_dir` unless absolute.
    pub(in crate::config) file: Option<String>,
    /// A POST to a URL.
    pub(in crate::config) webhook: Option<Webhook>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url", "secret"]))]
pub(in crate::config) struct Webhook {
    /// Where to. https, or http on loopback.
    pub(in crate::config) url: Option<String>,
    /// Signs every delivery: at least 16 characters.
    pub(in crate::config) secret: Option<String>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

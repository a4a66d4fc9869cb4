//! `approvals.channels` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Channel {
    /// What it is called in logs, metrics and the delivery log. Default: the format of the webhook, or `smtp`.
    pub(in crate::config) name: Option<String>,
    /// A POST to a URL.
    pub(in crate::config) webhook: Option<Webhook>,
    /// An e-mail.
    pub(in crate::config) smtp: Option<Smtp>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url"]))]
pub(in crate::config) struct Webhook {
    /// Where to. https, or http on loopback.
    pub(in crate::config) url: Option<String>,
    /// Signs every delivery: at least 16 characters. Needed with `format: json`.
    pub(in crate::config) secret: Option<String>,
    /// Default json.
    #[schemars(extend("enum" = ["json", "slack", "teams", "pagerduty"]))]
    pub(in crate::config) format: Option<String>,
    /// The integration key of the service, with `format: pagerduty`.
    pub(in crate::config) routing_key: Option<String>,
    /// A PEM file: the CA that its certificate must be of, in place of the system's.
    pub(in crate::config) ca: Option<String>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["host", "from", "to"]))]
pub(in crate::config) struct Smtp {
    /// Name or address of the mail server.
    pub(in crate::config) host: Option<String>,
    /// Default 465 with `tls: implicit`, 587 with starttls, 25 with none.
    pub(in crate::config) port: Option<u64>,
    /// How it is encrypted. Default starttls; none for loopback only.
    #[schemars(extend("enum" = ["implicit", "starttls", "none"]))]
    pub(in crate::config) tls: Option<String>,
    /// The address it comes from.
    pub(in crate::config) from: Option<String>,
    /// The addresses it goes to.
    pub(in crate::config) to: Option<Vec<String>>,
    /// Signs in at the mail server.
    pub(in crate::config) username: Option<String>,
    /// Goes with `username`.
    pub(in crate::config) password: Option<String>,
    /// A PEM file: the CA that its certificate must be of, in place of the system's.
    pub(in crate::config) ca: Option<String>,
    /// Lets it be at a private address.
    pub(in crate::config) allow_private_addresses: Option<bool>,
}

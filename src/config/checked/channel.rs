//! Where approvers are told.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

/// A way to tell approvers.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name, of a label's letters.
    pub name: String,
    /// How.
    pub way: Way,
    /// Certificates (PEM) of those who may vouch for the receiver, in place of the system's.
    pub ca: Option<PathBuf>,
}

/// How approvers are told.
#[derive(Clone, Debug)]
pub enum Way {
    /// By a POST.
    Webhook(Webhook),
    /// By e-mail.
    Smtp(Smtp),
}

/// A POST to a URL. Where Slack, Teams and the like are concerned the URL is a secret by itself: it does not print.
#[derive(Clone)]
pub struct Webhook {
    /// Where to.
    pub url: Url,
    /// Signs what is sent.
    pub secret: Option<SecretString>,
    /// What is sent.
    pub format: WebhookFormat,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("origin", &self.url.origin().ascii_serialization())
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What a webhook is sent.
#[derive(Clone, Debug)]
pub enum WebhookFormat {
    /// Our own document.
    Json,
    /// A message of Slack's Block Kit.
    Slack,
    /// An Adaptive Card in a message, as workflows of Teams take it.
    Teams,
    /// An event of the Events API v2, with the key of the integration.
    PagerDuty(SecretString),
}

/// A mail server and the addresses.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Name, or IP literal without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is encrypted.
    pub tls: MailTls,
    /// The sender's address.
    pub from: String,
    /// At least one address.
    pub to: Vec<String>,
    /// User name and password.
    pub login: Option<(String, SecretString)>,
    /// It may be at a private address.
    pub allow_private_addresses: bool,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// STARTTLS, without which nothing is sent (RFC 3207).
    StartTls,
    /// Not at all; loopback only.
    None,
}

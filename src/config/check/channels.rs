//! `approvals.channels`: where approvers are told. Whatever is below `webhook` may be a secret, and none of it is shown.

use std::collections::HashSet;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Host;

use super::address::{host_is_loopback, host_may_be, outward_url};
use super::{Cx, files};
use crate::config::checked::{Admin, Approvals, Channel, MailTls, Smtp, Way, Webhook, WebhookFormat};
use crate::config::limits::{NOTICE_CHANNELS_MAX, NOTICE_RECIPIENTS_MAX};
use crate::config::raw::channel as raw;
use crate::config::report::item_path;

/// Length of a channel's name.
const NAME_BYTES_MAX: usize = 32;
/// Length of a secret that signs.
const SECRET_BYTES_MIN: usize = 16;
pub(super) const SIGNS_DELIVERIES: &str = "it signs deliveries: without, a receiver cannot know whose they are";
/// Length of a mail address (RFC 5321 section 4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;

pub(super) fn check(raw: Vec<raw::Channel>, cx: &mut Cx<'_>) -> Vec<Channel> {
    if raw.len() > NOTICE_CHANNELS_MAX {
        cx.report.problem("approvals.channels", "has too many entries", format!("at most {NOTICE_CHANNELS_MAX}"));
    }
    let mut names = HashSet::new();
    let entries = raw.into_iter().take(NOTICE_CHANNELS_MAX).enumerate();
    entries.filter_map(|(at, raw)| channel(&item_path("approvals.channels", at), raw, &mut names, cx)).collect()
}

/// What approvers are told leads to the console.
pub(super) fn reachable(approvals: Option<&Approvals>, admin: Option<&Option<Admin>>, cx: &mut Cx<'_>) {
    if admin.is_some_and(Option::is_none) && approvals.is_some_and(|approvals| !approvals.channels.is_empty()) {
        let hint = "what approvers are told leads to the console: leave out `admin: none`";
        cx.report.problem("approvals.channels", "needs the operators' listener", hint);
    }
}

fn channel(path: &str, raw: raw::Channel, names: &mut HashSet<String>, cx: &mut Cx<'_>) -> Option<Channel> {
    let (table, ca) = match (&raw.webhook, &raw.smtp) {
        (Some(raw), _) => ("webhook", raw.ca.clone()),
        (None, raw) => ("smtp", raw.as_ref().and_then(|raw| raw.ca.clone())),
    };
    let way = match (raw.webhook, raw.smtp) {
        (Some(raw), None) => webhook(&format!("{path}.webhook"), raw, cx).map(Way::Webhook),
        (None, Some(raw)) => smtp(&format!("{path}.smtp"), raw, cx).map(Way::Smtp),
        (Some(_), Some(_)) => cx.refuse(path, "has both `webhook` and `smtp`", "write two channels"),
        (None, None) => cx.refuse(path, "has neither `webhook` nor `smtp`", "such as webhook: { url: .., secret: .. }"),
    };
    let ca = authority(&format!("{path}.{table}.ca"), ca.as_deref(), way.as_ref(), cx);
    let default = way.as_ref().map(|way| match way {
        Way::Smtp(_) => "smtp",
        Way::Webhook(webhook) => match webhook.format {
            WebhookFormat::Json => "json",
            WebhookFormat::Slack => "slack",
            WebhookFormat::Teams => "teams",
            WebhookFormat::PagerDuty(_) => "pagerduty",
        },
    });
    let (given, path) = (raw.name.is_some(), format!("{path}.name"));
    let name = raw.name.or_else(|| default.map(str::to_owned))?;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        return cx.refuse(&path, "is not a name", "a lower-case letter, then up to 31 lower-case letters, digits and `-`");
    }
    if !names.insert(name.clone()) {
        let hint = if given { "names are unique" } else { "there are several of the kind: give each a `name`" };
        return cx.refuse(&path, format!("`{name}` is the name of another channel"), hint);
    }
    Some(Channel { name, way: way?, ca: ca? })
}

/// The file of whoever vouches for the receiver, where one is named.
fn authority(path: &str, given: Option<&str>, way: Option<&Way>, cx: &mut Cx<'_>) -> Option<Option<PathBuf>> {
    let Some(text) = given else { return Some(None) };
    let in_clear = match way {
        Some(Way::Webhook(webhook)) => webhook.url.scheme() == "http",
        Some(Way::Smtp(smtp)) => smtp.tls == MailTls::None,
        None => false,
    };
    if in_clear {
        return cx.refuse(path, "vouches for nobody without TLS", "leave it out, or encrypt");
    }
    files::certificates(path, text, cx).map(Some)
}

fn webhook(path: &str, raw: raw::Webhook, cx: &mut Cx<'_>) -> Option<Webhook> {
    let at = |key: &str| format!("{path}.{key}");
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let url = outward_url(&at("url"), raw.url.as_deref(), allow_private_addresses, cx);
    let is_pagerduty = raw.format.as_deref() == Some("pagerduty");
    let key = raw.routing_key.filter(|key| !key.is_empty());
    if key.is_some() && !is_pagerduty {
        cx.report.problem_unshown(&at("routing_key"), "goes with `format: pagerduty`", "leave it out");
    }
    let format = match (raw.format.as_deref(), key) {
        (None | Some("json"), _) => Some(WebhookFormat::Json),
        (Some("slack"), _) => Some(WebhookFormat::Slack),
        (Some("teams"), _) => Some(WebhookFormat::Teams),
        (Some("pagerduty"), Some(key)) => Some(WebhookFormat::PagerDuty(key.into())),
        (Some("pagerduty"), None) => cx.missing(&at("routing_key"), "the integration key of the service (Events API v2)"),
        (Some(_), _) => cx.refuse(&at("format"), "is not a format", "json, slack, teams or pagerduty"),
    };
    let secret = match raw.secret {
        None if !matches!(format, Some(WebhookFormat::Json)) => None,
        given => Some(signing_secret(&at("secret"), given, SIGNS_DELIVERIES, cx)?),
    };
    Some(Webhook { url: url?, secret, format: format?, allow_private_addresses })
}

/// The secret by which a receiver knows whose the bodies are that it is sent; `why` there must be one.
pub(super) fn signing_secret(path: &str, given: Option<String>, why: &str, cx: &mut Cx<'_>) -> Option<SecretString> {
    match given {
        Some(secret) if secret.len() < SECRET_BYTES_MIN => {
            let hint = "such as the output of `openssl rand -hex 32`";
            cx.report.problem_unshown(path, format!("is shorter than {SECRET_BYTES_MIN} characters"), hint);
            None
        }
        Some(secret) => Some(SecretString::from(secret)),
        None => cx.missing(path, why),
    }
}

fn smtp(path: &str, raw: raw::Smtp, cx: &mut Cx<'_>) -> Option<Smtp> {
    let at = |key: &str| format!("{path}.{key}");
    let private = raw.allow_private_addresses.unwrap_or(false);
    let host = match raw.host.as_deref() {
        Some(text) => host(&at("host"), text, private, cx),
        None => cx.missing(&at("host"), "the mail server, such as smtp.example.com"),
    };
    let tls = match raw.tls.as_deref() {
        None | Some("starttls") => Some(MailTls::StartTls),
        Some("implicit") => Some(MailTls::Implicit),
        Some("none") if host.as_ref().is_none_or(|(_, loopback)| *loopback) => Some(MailTls::None),
        Some("none") => cx.refuse(&at("tls"), "`none` is for loopback only", "starttls or implicit"),
        Some(_) => cx.refuse(&at("tls"), "is not a way to encrypt", "implicit, starttls or none"),
    };
    let default = match tls {
        Some(MailTls::Implicit) => 465,
        Some(MailTls::None) => 25,
        _ => 587,
    };
    let port = match u16::try_from(raw.port.unwrap_or(default)) {
        Ok(port) if port > 0 => Some(port),
        _ => cx.refuse(&at("port"), "is not a port", "1 to 65535"),
    };
    let from = match raw.from {
        Some(text) => address(&at("from"), text, cx),
        None => cx.missing(&at("from"), "the sender's address"),
    };
    let given = raw.to.unwrap_or_default();
    if given.is_empty() || given.len() > NOTICE_RECIPIENTS_MAX {
        let hint = format!("1 to {NOTICE_RECIPIENTS_MAX} addresses; a list of many people is the mail server's");
        return cx.refuse(&at("to"), "has no address, or too many", hint);
    }
    let wanted = given.len();
    let to: Vec<String> =
        given.into_iter().enumerate().filter_map(|(n, text)| address(&item_path(&at("to"), n), text, cx)).collect();
    let login = match (raw.username, raw.password) {
        (None, None) => None,
        (Some(user), Some(password)) if !user.is_empty() && !user.contains('\0') && !password.contains('\0') => {
            Some((user, SecretString::from(password)))
        }
        _ => {
            cx.report.problem_unshown(&at("password"), "needs `username`, and the other way round", "write both or neither");
            return None;
        }
    };
    let allow_private_addresses = private;
    (to.len() == wanted).then_some(())?;
    Some(Smtp { host: host?.0, port: port?, tls: tls?, from: from?, to, login, allow_private_addresses })
}

/// The host, and whether it is this machine.
fn host(path: &str, text: &str, private: bool, cx: &mut Cx<'_>) -> Option<(String, bool)> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let bracketed = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    let Ok(host) = Host::parse(&bracketed) else { return cx.refuse(path, "is not a host", "a name such as smtp.example.com") };
    let host: Host<&str> = match &host {
        Host::Domain(name) => Host::Domain(name.as_str()),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    };
    if !host_may_be(path, &host, private, cx) {
        return None;
    }
    Some((bare.to_owned(), host_is_loopback(&host)))
}

/// A plain mailbox (RFC 5321 section 4.1.2): no name before it, nothing quoted, nothing that would end a line or a bracket.
fn address(path: &str, text: String, cx: &mut Cx<'_>) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.@".contains(&b);
    let parts: Vec<&str> = text.split('@').collect();
    let fits = matches!(parts.as_slice(), [local, domain] if !local.is_empty() && !domain.is_empty());
    if !fits || text.len() > ADDRESS_BYTES_MAX || !text.bytes().all(legal) {
        return cx.refuse(path, "is not a plain mail address", "such as approvals@example.com, without a name before it");
    }
    Some(text)
}

//! `upstreams`: names, transports and credentials.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::Cx;
use super::address::{Consent, outward};
use super::credential;
use super::settings;
use crate::config::AuthUpstream;
use crate::config::checked::{Credential, Transport, Upstream};
use crate::config::limits::CALL_TIMEOUT;
use crate::config::raw;
use crate::config::refs::is_variable_name;
use crate::config::report::{item_path, key_path, resolve};
use crate::vocab::Revision;

/// Length of an upstream's name.
const NAME_BYTES_MAX: usize = 32;
/// The checked upstreams, and every valid name, those of faulty upstreams included.
pub(super) fn check(raw: Option<Vec<raw::Upstream>>, issuers: &[String], cx: &mut Cx<'_>) -> (Vec<Upstream>, HashSet<String>) {
    let raw = raw.unwrap_or_default();
    if raw.is_empty() {
        cx.report.missing("upstreams", "name at least one MCP server");
    }
    let mut names = HashSet::new();
    let mut upstreams = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let path = item_path("upstreams", i);
        let name = name(&format!("{path}.name"), raw.name.as_deref(), &mut names, cx);
        upstreams.extend(upstream(&path, name, raw, issuers, cx));
    }
    (upstreams, names)
}

fn name(path: &str, raw: Option<&str>, names: &mut HashSet<String>, cx: &mut Cx<'_>) -> Option<String> {
    let Some(name) = raw else { return cx.missing(path, "it prefixes the names of its tools") };
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        return cx.refuse(
            path,
            "is not an upstream name",
            "a lower-case letter, then up to 31 lower-case letters, digits and `-`",
        );
    }
    if !names.insert(name.to_owned()) {
        return cx.refuse(path, "is the name of another upstream", "names are unique");
    }
    Some(name.to_owned())
}

fn upstream(path: &str, name: Option<String>, raw: raw::Upstream, issuers: &[String], cx: &mut Cx<'_>) -> Option<Upstream> {
    let at = |key: &str| format!("{path}.{key}");
    let allow_private_addresses = raw.allow_private_addresses.unwrap_or(false);
    let is_stdio = raw.stdio.is_some();
    let transport = match (raw.http, raw.stdio) {
        (Some(raw), None) => http(&at("http"), raw, allow_private_addresses, cx),
        (None, Some(raw)) => stdio(&at("stdio"), raw, cx),
        (Some(_), Some(_)) => cx.refuse(path, "has both `http` and `stdio`", "an upstream has one transport"),
        (None, None) => cx.refuse(path, "has neither `http` nor `stdio`", "such as http: { url: https://mcp.example.com/mcp }"),
    };
    if is_stdio && allow_private_addresses {
        cx.report.problem(&at("allow_private_addresses"), "means nothing for a process", "it goes with http");
    }
    let credential = credential::check(&at("credential"), raw.credential, issuers, cx);
    let shared = raw.shared.unwrap_or(false);
    if shared && credential.as_ref().is_some_and(Credential::is_personal) {
        let hint = "its credential differs from caller to caller, and a shared session would be one caller's";
        cx.report.problem(&at("shared"), "cannot go with this credential", hint);
    }
    let has_page = |credential: &Credential| credential.signs_in() || matches!(credential, Credential::PerUser(_));
    if name.as_deref() == Some("callback") && credential.as_ref().is_some_and(has_page) {
        let hint = "people who link accounts come back to /connect/callback";
        cx.report.problem(&at("name"), "cannot be the name of an upstream at which people link accounts", hint);
    }
    if is_stdio && !matches!(credential, None | Some(Credential::None)) {
        let hint = "it goes with http; give a process its secret in stdio.env";
        cx.report.problem_unshown(&at("credential"), "means nothing for a process", hint);
    }
    let default = Duration::from_secs(30);
    let timeout = settings::duration(&at("timeout"), raw.timeout.as_deref(), default, CALL_TIMEOUT, cx);
    Some(Upstream {
        name: name?,
        transport: transport?,
        credential: credential?,
        allow_private_addresses,
        timeout: timeout?,
        shared,
    })
}

/// An ID token was made for one client of one provider, and is shown by that client to that provider.
pub(super) fn signed_in(upstreams: &[Upstream], signin: &AuthUpstream, cx: &mut Cx<'_>) {
    for (at, upstream) in upstreams.iter().enumerate().filter(|(_, upstream)| upstream.credential.signs_in()) {
        let Credential::IdJag { idp, .. } = &upstream.credential else { continue };
        let path = format!("{}.credential.id_jag.idp", item_path("upstreams", at));
        if idp.issuer.as_deref() != Some(signin.issuer.as_str()) || idp.client_id != signin.client_id {
            let hint = "with `subject: person` write the `issuer` and `client_id` of `authserver.upstream`";
            cx.report.problem(&path, "is not where people sign in", hint);
        }
    }
}

/// Without a place where people sign in nobody could link an account.
pub(super) fn unlinkable(upstreams: &[Upstream], cx: &mut Cx<'_>) {
    let links = |upstream: &&Upstream| upstream.credential.signs_in() || matches!(upstream.credential, Credential::PerUser(_));
    if let Some(upstream) = upstreams.iter().find(links) {
        let hint = "people link accounts where they sign in: add `authserver` with its `upstream`";
        cx.report.problem("authserver", format!("is absent, and `{}` has a credential per user", upstream.name), hint);
    }
}

fn http(path: &str, raw: raw::Http, private: bool, cx: &mut Cx<'_>) -> Option<Transport> {
    let plaintext_ok = raw.danger_plaintext.unwrap_or(false);
    let plaintext_key = format!("{path}.danger_plaintext");
    let consent = Consent { private, plaintext: plaintext_ok, plaintext_key: &plaintext_key };
    let url = match raw.url {
        Some(text) => outward(&format!("{path}.url"), &text, &consent, cx),
        None => cx.missing(&format!("{path}.url"), "the server's MCP endpoint"),
    };
    let path = format!("{path}.dialect");
    let dialect = match raw.dialect.as_deref() {
        None | Some("auto") => Some(None),
        // The transport, whatever revision is agreed on over it.
        Some("sse") => Some(Some(Revision::V2024_11_05)),
        Some(text) => match Revision::parse(text).filter(|revision| *revision >= Revision::OLDEST_STREAMABLE) {
            Some(revision) => Some(Some(revision)),
            None => cx.refuse(&path, "is not a protocol revision", format!("auto, sse, or one of {}", revisions())),
        },
    };
    Some(Transport::Http { url: url?, dialect: dialect?, plaintext_ok })
}

fn stdio(path: &str, raw: raw::Stdio, cx: &mut Cx<'_>) -> Option<Transport> {
    let at = |key: &str| format!("{path}.{key}");
    if raw.danger_unsandboxed != Some(true) {
        let hint = "this build has no sandbox: say `danger_unsandboxed: true` to run it with every right the gateway has";
        cx.report.problem(&at("danger_unsandboxed"), "must be true", hint);
    }
    let command = match raw.command {
        Some(text) => command(&at("command"), &text, cx),
        None => cx.missing(&at("command"), "the program to run, without its arguments"),
    };
    let args = raw.args.unwrap_or_default();
    for (i, _) in args.iter().enumerate().filter(|(_, arg)| arg.contains('\0')) {
        cx.report.problem_unshown(&item_path(&at("args"), i), "holds a NUL", "");
    }
    let env = environment(&at("env"), raw.env.unwrap_or_default(), cx);
    let cwd = match raw.cwd.as_deref() {
        Some(text) if text.is_empty() || text.contains('\0') => cx.refuse(&at("cwd"), "is not a path", "name a directory"),
        given => Some(given.map(|text| resolve(&cx.dir, text))),
    };
    Some(Transport::Stdio { command: command?, args, env, cwd: cwd? })
}

/// A bare name stays one, to be looked up in PATH; anything with a slash is a path.
fn command(path: &str, text: &str, cx: &mut Cx<'_>) -> Option<PathBuf> {
    if text.trim().is_empty() || text.contains('\0') || matches!(text, "." | "..") {
        return cx.refuse(path, "is not a program", "a name to look up in PATH, or a path");
    }
    Some(if text.contains('/') { resolve(&cx.dir, text) } else { PathBuf::from(text) })
}

fn environment(path: &str, raw: BTreeMap<String, String>, cx: &mut Cx<'_>) -> Vec<(String, SecretString)> {
    let mut env = Vec::new();
    for (name, value) in raw {
        let path = key_path(path, &name);
        if !is_variable_name(&name) {
            cx.report.problem_unshown(&path, "is not a variable name", "letters, digits and `_`, not starting with a digit");
        }
        if value.contains('\0') {
            cx.report.problem_unshown(&path, "holds a NUL", "");
        }
        env.push((name, value.into()));
    }
    env
}

/// The protocol revisions of Streamable HTTP, for hints.
pub(super) fn revisions() -> String {
    let named: Vec<&str> =
        Revision::ALL.into_iter().filter(|revision| *revision >= Revision::OLDEST_STREAMABLE).map(Revision::as_str).collect();
    named.join(", ")
}

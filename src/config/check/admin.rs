//! `admin`: the listener of operators and approvers, their sign-in, and their roles.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use url::Url;

use super::Cx;
use super::address::host_is_loopback;
use super::authserver::upstream;
use super::door::{hosts, public_url, socket, tls_files};
use crate::config::checked::{Admin, AdminRoles, PublicUrl, RoleMember, Scheme, Tls};
use crate::config::raw;
use crate::config::report::item_path;
use crate::config::shape::WordOr;
use crate::vocab::limits::ROLE_MEMBERS_MAX;
use crate::vocab::principal::KEY_ISSUER;

/// Subjects of API keys.
const KEY_SUBJECT: &str = "key:";

/// `Some(None)`: there is to be no such listener. `issuers` vouch for whoever brings a token.
pub(super) fn check(
    raw: Option<WordOr<raw::Admin>>,
    door: Option<SocketAddr>,
    issuers: &[String],
    cx: &mut Cx<'_>,
) -> Option<Option<Admin>> {
    let raw = match raw {
        None => raw::Admin::default(),
        Some(WordOr::Table(table)) => table,
        Some(WordOr::Word(word)) if word == "none" => return Some(None),
        Some(WordOr::Word(_)) => return cx.refuse("admin", "is not a listener", "{ listen: 127.0.0.1:9443 } or none"),
    };
    let listen = socket("admin.listen", raw.listen.as_deref().unwrap_or("127.0.0.1:9443"), cx);
    if let Some(listen) = listen
        && listen.port() != 0
        && door.is_some_and(|door| door.port() == listen.port())
    {
        cx.report.problem("admin.listen", "has the port of `listen`", "operators and agents never share a port");
    }
    let allowed_hosts = hosts("admin.allowed_hosts", raw.allowed_hosts.as_deref(), cx);
    let given_url = raw.public_url.is_some();
    let public = raw.public_url.as_deref().and_then(|text| public_url("admin.public_url", text, cx));
    let with_oidc = raw.oidc.is_some();
    let oidc = match raw.oidc {
        None => Some(None),
        Some(table) => upstream("admin.oidc", table, cx).map(Some),
    };
    let reach = Reach {
        listen: listen.is_none_or(|address| address.ip().to_canonical().is_loopback()),
        public: public.as_ref().is_none_or(is_loopback),
    };
    let tls = tls(raw.tls.as_ref(), reach, cx);
    if !reach.listen && !given_url {
        cx.report
            .missing("admin.public_url", "what people type, as `listen` is not loopback: such as https://console.example.com");
    }
    let is_at_home = reach.listen && reach.public;
    if !is_at_home && !with_oidc {
        let hint = "the identity provider where people sign in: { issuer, client_id, client_secret }";
        cx.report.missing("admin.oidc", hint);
    }
    if let (Some(public), Some(tls)) = (&public, &tls) {
        agree(public, tls, reach, cx);
    }
    let vouching = vouching(issuers, oidc.as_ref().and_then(Option::as_ref).map(|oidc| oidc.issuer.as_str()));
    let roles = roles(raw.roles.unwrap_or_default(), &vouching, cx);
    if with_oidc && roles == AdminRoles::default() && !cx.report.any() {
        let hint = "such as { operator: [\"group:platform\"], approver: [\"group:sre\"], viewer: [\"group:staff\"] }";
        cx.report.missing("admin.roles", hint);
    }
    Some(Some(Admin { listen: listen?, allowed_hosts, public_url: public, tls: tls?, oidc: oidc?, roles }))
}

/// Whether the listener, and its public name, are loopback.
#[derive(Clone, Copy)]
struct Reach {
    listen: bool,
    public: bool,
}

fn is_loopback(url: &PublicUrl) -> bool {
    Url::parse(&url.origin()).is_ok_and(|url| url.host().is_some_and(|host| host_is_loopback(&host)))
}

fn tls(raw: Option<&WordOr<raw::Tls>>, reach: Reach, cx: &mut Cx<'_>) -> Option<Tls> {
    match raw {
        Some(WordOr::Table(table)) => tls_files("admin.tls", table, cx),
        Some(WordOr::Word(word)) if word == "self_signed" && reach.listen && reach.public => Some(Tls::SelfSigned),
        Some(WordOr::Word(word)) if word == "self_signed" => {
            cx.refuse("admin.tls", "is for loopback only", "{ cert: FILE, key: FILE }")
        }
        Some(WordOr::Word(word)) if word != "none" => {
            cx.refuse("admin.tls", "is not a way to encrypt", "{ cert: FILE, key: FILE }, self_signed or none")
        }
        _ if reach.listen => Some(Tls::None),
        Some(_) => cx.refuse("admin.tls", "`none` needs a loopback `listen`", "{ cert: FILE, key: FILE }"),
        None => cx.missing("admin.tls", "name `cert` and `key`: `listen` is not loopback, and sessions travel by it"),
    }
}

/// The public URL must be one that sessions can travel by.
fn agree(public: &PublicUrl, tls: &Tls, reach: Reach, cx: &mut Cx<'_>) {
    if public.scheme == Scheme::Https {
        return; // With `tls: none`, whatever stands in front speaks TLS.
    }
    if *tls != Tls::None {
        cx.report.problem("admin.public_url", "is http, but the listener speaks TLS", "write https://");
    } else if !reach.public {
        let hint = "write https:// if something in front speaks TLS";
        cx.report.problem("admin.public_url", "would have people send their sessions without TLS", hint);
    }
}

/// Who vouches for people here, each once.
fn vouching(issuers: &[String], oidc: Option<&str>) -> Vec<String> {
    let all: BTreeSet<&str> = issuers.iter().map(String::as_str).chain(oidc).collect();
    all.into_iter().map(str::to_owned).collect()
}

fn roles(raw: raw::Roles, issuers: &[String], cx: &mut Cx<'_>) -> AdminRoles {
    let mut list = |role: &str, entries: Option<Vec<String>>| -> Vec<RoleMember> {
        let path = format!("admin.roles.{role}");
        let entries = entries.unwrap_or_default();
        if entries.len() > ROLE_MEMBERS_MAX {
            cx.report.problem(&path, "has too many entries", format!("at most {ROLE_MEMBERS_MAX}; name groups"));
        }
        let entries = entries.iter().take(ROLE_MEMBERS_MAX).enumerate();
        entries.filter_map(|(at, text)| member(&item_path(&path, at), text, issuers, cx)).collect()
    };
    AdminRoles {
        viewer: list("viewer", raw.viewer),
        approver: list("approver", raw.approver),
        operator: list("operator", raw.operator),
    }
}

fn member(path: &str, text: &str, issuers: &[String], cx: &mut Cx<'_>) -> Option<RoleMember> {
    let hint = "group:NAME (a value of the groups claim), sub:NAME, or with ISSUER# before the name";
    let Some((kind, rest)) = text.split_once(':').filter(|(kind, _)| matches!(*kind, "group" | "sub")) else {
        return cx.refuse(path, "is neither group:NAME nor sub:NAME", hint);
    };
    let (issuer, name) = match rest.rsplit_once('#') {
        Some((issuer, name)) => (Some(issuer), name),
        None => (None, rest),
    };
    if name.is_empty() || name.chars().any(char::is_control) {
        return cx.refuse(path, "names nobody", hint);
    }
    if name.contains('*') {
        return cx.refuse(path, "is a pattern, and roles are given to names", hint);
    }
    let iss = match (issuer, issuers) {
        (None, _) if kind == "sub" && name.starts_with(KEY_SUBJECT) => KEY_ISSUER.to_owned(),
        (None, [only]) => only.clone(),
        (None, []) => return cx.refuse(path, "nobody vouches for anybody here", "give `admin.oidc`, or an issuer in `identity`"),
        (None, many) => {
            let hint = format!("write {kind}:ISSUER#{name}, with one of {}", many.join(", "));
            return cx.refuse(path, "could be of several issuers", hint);
        }
        (Some(issuer), known) if known.iter().any(|known| known == issuer) => issuer.to_owned(),
        (Some(_), known) => return cx.refuse(path, "is of an issuer that is not configured", known.join(", ")),
    };
    let name = name.to_owned();
    Some(if kind == "group" { RoleMember::Group { iss, name } } else { RoleMember::Sub { iss, sub: name } })
}

//! Every address of the API and of the console: one table, which is what routes, and what the OpenAPI document is made of.

use super::role::Role;

/// What a request to an address does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    OpenApi,
    Approvals,
    Approval,
    Approve,
    Deny,
    Withdraw,
    Leases,
    Events,
    Event,
    Tools,
    Upstreams,
    Policy,
    AccessMatrix,
    Explain,
    AuditState,
    Notices,
    Page(Sight),
    DecideForm,
    WithdrawForm,
    SignIn,
    Callback,
    SignOut,
    Link,
    Redeem,
}

impl Act {
    /// What it is on record; none for looking at something.
    pub(super) fn action(self) -> Option<&'static str> {
        match self {
            Self::Approve => Some("admin/approve"),
            Self::Deny => Some("admin/deny"),
            Self::Withdraw | Self::WithdrawForm => Some("admin/withdraw"),
            Self::DecideForm => Some("admin/decide"),
            Self::SignIn | Self::Callback => Some("console/signin"),
            Self::SignOut => Some("console/signout"),
            Self::Link | Self::Redeem => Some("console/link"),
            _ => None,
        }
    }
}

/// A page of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Home,
    Approvals,
    Approval,
    Leases,
    Activity,
    Record,
    Tools,
    Access,
    Upstreams,
    Policy,
    Audit,
    Style,
    Script,
}

/// The methods there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    pub(super) kind: QueryKind,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum QueryKind {
    /// Up to 512 characters.
    Text,
    /// A number of items, from 1 to [`crate::vocab::limits::ADMIN_PAGE_ITEMS_MAX`].
    Limit,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// An address, for a method.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub(super) verb: Verb,
    /// Its path; `{id}` stands for one segment.
    pub path: &'static str,
    /// The role it needs; none where signing in happens.
    pub role: Option<Role>,
    pub(super) act: Act,
    /// What it does, for the document.
    pub(super) words: &'static str,
    pub(super) query: &'static [Query],
}

impl Endpoint {
    /// `GET` or `POST`.
    pub fn method(&self) -> &'static str {
        self.verb.as_str()
    }

    /// Whether it belongs to the API.
    pub fn is_api(&self) -> bool {
        self.path.starts_with("/api/")
    }
}

const CURSOR: Query = Query { name: "cursor", words: "Where to go on: `next` of the page before.", kind: QueryKind::Text };
const LIMIT: Query = Query { name: "limit", words: "Items on the page.", kind: QueryKind::Limit };
const PRINCIPAL: Query = Query { name: "principal", words: "Only of this subject.", kind: QueryKind::Text };
const TOOL: Query = Query { name: "tool", words: "Only of this name: tool, prompt or resource.", kind: QueryKind::Text };
const REASON: Query = Query { name: "reason", words: "Only with this reason.", kind: QueryKind::Text };
const UPSTREAM: Query = Query { name: "upstream", words: "Only of this upstream.", kind: QueryKind::Text };
const STATE: Query = Query { name: "state", words: "Only in this state.", kind: QueryKind::Word(&STATES) };
const KIND: Query = Query { name: "kind", words: "Only records of this kind.", kind: QueryKind::Word(&KINDS) };
const EFFECT: Query =
    Query { name: "effect", words: "Only allowed, or only refused.", kind: QueryKind::Word(&["allow", "deny"]) };
const AS: Query = Query { name: "as", words: "Who: `sub=alice,groups=eng`, JSON, or `anonymous`.", kind: QueryKind::Text };
const CALL: Query = Query { name: "call", words: "The full name of a tool.", kind: QueryKind::Text };
const ARGS: Query = Query { name: "args", words: "Its arguments, one JSON object.", kind: QueryKind::Text };
const ROUTE: Query = Query { name: "route", words: "The path of the route it comes by.", kind: QueryKind::Text };

/// States of a request for approval.
pub(super) const STATES: [&str; 6] = ["pending", "approved", "denied", "expired", "withdrawn", "used"];
/// Kinds of records.
pub(super) const KINDS: [&str; 6] = ["intent", "outcome", "list", "auth", "admin", "approval"];

const fn at(
    verb: Verb,
    path: &'static str,
    role: Option<Role>,
    act: Act,
    words: &'static str,
    query: &'static [Query],
) -> Endpoint {
    Endpoint { verb, path, role, act, words, query }
}

const fn get(path: &'static str, act: Act, words: &'static str, query: &'static [Query]) -> Endpoint {
    at(Verb::Get, path, Some(Role::Viewer), act, words, query)
}

const fn page(path: &'static str, sight: Sight) -> Endpoint {
    at(Verb::Get, path, Some(Role::Viewer), Act::Page(sight), "", &[])
}

const fn decide(path: &'static str, act: Act, words: &'static str) -> Endpoint {
    at(Verb::Post, path, Some(Role::Approver), act, words, &[])
}

const fn take_back(path: &'static str, act: Act, words: &'static str) -> Endpoint {
    at(Verb::Post, path, Some(Role::Viewer), act, words, &[])
}

const fn open(verb: Verb, path: &'static str, act: Act) -> Endpoint {
    at(verb, path, None, act, "", &[])
}

/// Where people come back from the identity provider.
pub(super) const CALLBACK_PATH: &str = "/console/callback";
/// Where people sign in.
pub(super) const SIGN_IN_PATH: &str = "/console/signin";
/// Where the link of development leads to.
pub const LINK_PATH: &str = "/console/link";
/// Where events are streamed from.
pub(super) const EVENTS_PATH: &str = "/api/v1/events";
/// The first page.
pub(super) const HOME_PATH: &str = "/console/approvals";

/// The table.
pub(super) static ENDPOINTS: [Endpoint; 38] = [
    get("/api/v1/openapi.json", Act::OpenApi, "This document.", &[]),
    get(
        "/api/v1/approvals",
        Act::Approvals,
        "Requests for approval, the newest first.",
        &[STATE, PRINCIPAL, TOOL, CURSOR, LIMIT],
    ),
    get("/api/v1/approvals/{id}", Act::Approval, "One request for approval.", &[]),
    decide(
        "/api/v1/approvals/{id}/approve",
        Act::Approve,
        "Says yes, in every gate where the policy names the person; with `lease`, to similar calls too.",
    ),
    decide("/api/v1/approvals/{id}/deny", Act::Deny, "Says no, which ends the request."),
    take_back(
        "/api/v1/approvals/{id}/withdraw",
        Act::Withdraw,
        "Takes the request back, for whoever asked; an approver ends a lease in force.",
    ),
    get("/api/v1/leases", Act::Leases, "Leases in force: requests that were approved for similar calls too.", &[CURSOR, LIMIT]),
    get(
        EVENTS_PATH,
        Act::Events,
        "Records, the newest first; as `text/event-stream` what happens from now on: `record`, `approval`, `lagged`.",
        &[PRINCIPAL, TOOL, REASON, UPSTREAM, KIND, EFFECT, CURSOR, LIMIT],
    ),
    get("/api/v1/events/{id}", Act::Event, "Every record of one request, in the order they were written.", &[]),
    get("/api/v1/tools", Act::Tools, "Tools that upstreams offer to somebody.", &[UPSTREAM, CURSOR, LIMIT]),
    get("/api/v1/upstreams", Act::Upstreams, "The upstreams and how they do.", &[]),
    get("/api/v1/policy", Act::Policy, "The policy in force.", &[]),
    get("/api/v1/policy/access", Act::AccessMatrix, "Who can do what.", &[AS, UPSTREAM]),
    get("/api/v1/policy/explain", Act::Explain, "One decision, and how every rule stands to it.", &[AS, CALL, ARGS, ROUTE]),
    get("/api/v1/audit", Act::AuditState, "The state of the audit.", &[]),
    get(
        "/api/v1/notices",
        Act::Notices,
        "What approvers were told, and what they were not: what was tried last first.",
        &[LIMIT],
    ),
    page("/console", Sight::Home),
    page("/console/", Sight::Home),
    page("/console/approvals", Sight::Approvals),
    page("/console/approvals/{id}", Sight::Approval),
    decide("/console/approvals/{id}", Act::DecideForm, ""),
    take_back("/console/approvals/{id}/withdraw", Act::WithdrawForm, ""),
    page("/console/leases", Sight::Leases),
    page("/console/activity", Sight::Activity),
    page("/console/activity/{id}", Sight::Record),
    page("/console/tools", Sight::Tools),
    page("/console/access", Sight::Access),
    page("/console/upstreams", Sight::Upstreams),
    page("/console/policy", Sight::Policy),
    page("/console/audit", Sight::Audit),
    page("/console/style.css", Sight::Style),
    page("/console/script.js", Sight::Script),
    open(Verb::Get, SIGN_IN_PATH, Act::SignIn),
    open(Verb::Get, CALLBACK_PATH, Act::Callback),
    open(Verb::Get, "/console/signout", Act::SignOut),
    open(Verb::Post, "/console/signout", Act::SignOut),
    open(Verb::Get, LINK_PATH, Act::Link),
    open(Verb::Post, LINK_PATH, Act::Redeem),
];

/// Every address, for those who test them all.
pub fn endpoints() -> &'static [Endpoint] {
    &ENDPOINTS
}

/// What there is at a path.
pub(super) enum Found<'p> {
    /// The endpoint, and what stands for `{id}`.
    Here(&'static Endpoint, Option<&'p str>),
    /// Another method would do; all of them, for `Allow`.
    OtherMethod(String),
    /// Nothing.
    Nothing,
}

/// Looks up `method` at `path`.
pub(super) fn find<'p>(method: &http::Method, path: &'p str) -> Found<'p> {
    let method = if method == http::Method::HEAD { "GET" } else { method.as_str() };
    let mut other = Vec::new();
    for endpoint in &ENDPOINTS {
        let Some(id) = matched(endpoint.path, path) else { continue };
        if endpoint.method() == method {
            return Found::Here(endpoint, id);
        }
        other.push(endpoint.method());
    }
    if other.is_empty() {
        return Found::Nothing;
    }
    if other.contains(&"GET") {
        other.push("HEAD");
    }
    Found::OtherMethod(other.join(", "))
}

/// Whether `path` is of the form `pattern`, and its variable part.
fn matched<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    let Some((before, after)) = pattern.split_once("{id}") else { return (pattern == path).then_some(None) };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (!id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(plain)).then_some(Some(id))
}

/// Length of an id in a path: those of requests for approval and of records are shorter.
pub(super) const ID_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_path_leads_to_one_endpoint_and_variable_parts_are_one_segment() {
        for (method, path, expected) in [
            (Method::GET, "/api/v1/approvals", "Approvals -"),
            (Method::HEAD, "/api/v1/approvals", "Approvals -"),
            (Method::GET, "/api/v1/approvals/apr_x-1", "Approval apr_x-1"),
            (Method::POST, "/api/v1/approvals/apr_x/deny", "Deny apr_x"),
            (Method::POST, "/api/v1/approvals/apr_x", "allow GET, HEAD"),
            (Method::DELETE, "/console/link", "allow GET, POST, HEAD"),
            (Method::GET, "/api/v1/approvals/", "nothing"),
            (Method::GET, "/api/v1/approvals/a/b", "nothing"),
            (Method::POST, "/api/v1/approvals//deny", "nothing"),
            (Method::POST, "/api/v1/approvals/a/b/deny", "nothing"),
            (Method::GET, "/api/v1/approvals/%2e%2e", "nothing"),
            (Method::GET, "/api/v2/approvals", "nothing"),
            (Method::GET, "/consolex", "nothing"),
        ] {
            let got = match find(&method, path) {
                Found::Here(endpoint, id) => format!("{:?} {}", endpoint.act, id.unwrap_or("-")),
                Found::OtherMethod(allow) => format!("allow {allow}"),
                Found::Nothing => "nothing".to_owned(),
            };
            assert_eq!(got, expected, "{method} {path}");
        }
    }

    #[test]
    fn what_changes_something_is_a_post_that_needs_a_role() {
        for endpoint in endpoints() {
            let signs_in = matches!(endpoint.act, Act::SignIn | Act::Callback | Act::SignOut | Act::Link | Act::Redeem);
            assert_eq!(endpoint.role.is_none(), signs_in, "{}", endpoint.path);
            let needed = match endpoint.act {
                Act::Approve | Act::Deny | Act::DecideForm => Some(Role::Approver),
                // The desk holds against it who asked.
                Act::Withdraw | Act::WithdrawForm => Some(Role::Viewer),
                _ => None,
            };
            assert_eq!(endpoint.method() == "POST" && !signs_in, needed.is_some(), "{}", endpoint.path);
            assert!(needed.is_none() || endpoint.role == needed, "{}", endpoint.path);
        }
    }
}

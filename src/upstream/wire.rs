//! The few messages an upstream client needs, and what their answers mean. The only place here that names dialects.

use bytes::Bytes;

use super::answer::QuestionReply;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::dialect::{self, Answer, ClientNotification, incoming};
use crate::mcp::task;
use crate::mcp::{
    Incoming, Interest, Lowered, Method, Outgoing, RawId, RawJson, Reply, ResultBody, RpcError, ServerCapabilities, codes,
};
use crate::vocab::{Fault, FaultKind, Revision};

/// What is known of an upstream (or of one session with it).
#[derive(Clone, Debug)]
pub struct Facts {
    /// The revision it is spoken to in.
    pub revision: Revision,
    /// What it says it can do.
    pub capabilities: ServerCapabilities,
}

/// The newest revision, which has no handshake.
pub(super) const STATELESS: Revision = Revision::V2026_07_28;

/// Error codes only revisions without a handshake have.
const STATELESS_CODES: [i64; 3] = [codes::HEADER_MISMATCH, codes::MISSING_CAPABILITY, codes::UNSUPPORTED_VERSION];

/// Whoever asks first asks for all: it says nothing of a client.
pub(super) fn discover(id: u64) -> Lowered {
    dialect::lower_request(STATELESS, &Outgoing::new(Method::Discover), id)
}

pub(super) fn initialize(revision: Revision, id: u64, capabilities: ClientCaps) -> Lowered {
    dialect::lower_initialize(revision, id, &capabilities.and(dialect::of(revision).questions).to_json())
}

pub(super) fn initialized(revision: Revision) -> Lowered {
    dialect::lower_notification(revision, ClientNotification::Initialized)
}

pub(super) fn cancelled(revision: Revision, id: u64) -> Lowered {
    dialect::lower_notification(revision, ClientNotification::Cancelled { request_id: id })
}

/// Asks an upstream without sessions to announce what `interest` holds. It says nothing of a client but that it knows tasks, where it
/// does.
pub(super) fn listen(id: u64, interest: &Interest) -> Lowered {
    let mut out = Outgoing { interest: Some(interest.clone()), ..Outgoing::new(Method::Listen) };
    if !interest.tasks.is_empty() {
        out.client_capabilities = task::required();
    }
    dialect::lower_request(STATELESS, &out, id)
}

/// Why an upstream does not do what it is asked.
pub(super) enum Refusal {
    /// It does not know the method.
    Unknown,
    Other,
}

/// What `error` means for a method that an upstream need not have.
pub(super) fn refusal(error: &RpcError) -> Refusal {
    if error.code == codes::METHOD_NOT_FOUND { Refusal::Unknown } else { Refusal::Other }
}

pub(super) fn parse(bytes: &Bytes, revision: Revision, depth_max: usize) -> Result<Vec<Incoming>, Fault> {
    incoming::parse(bytes, revision, depth_max).map_err(|e| Fault::upstream(FaultKind::Malformed, e.to_string()))
}

/// What an upstream spoken to in `revision` may ask during `out`: what it was told at `initialize`.
pub(super) fn askable(out: &Outgoing, revision: Revision) -> ClientCaps {
    // The questions of a task come while its result is waited for.
    let asks = (out.method.asks_back() || out.method == Method::TasksResult) && revision < STATELESS;
    if asks { out.session_capabilities.and(dialect::of(revision).questions) } else { ClientCaps::NONE }
}

/// The client's answer to a question of an upstream.
pub(super) fn question_reply(revision: Revision, id: &RawId, reply: QuestionReply) -> Lowered {
    let answer = match reply {
        QuestionReply::Result(result) => match dialect::lower_question_result(revision, &result) {
            Some(result) => Answer::Result(result),
            None => Answer::Error(codes::INTERNAL_ERROR, "the answer has no form in this revision".to_owned()),
        },
        QuestionReply::Error { code, message } => Answer::Error(code, message),
        QuestionReply::Refused => Answer::MethodNotFound,
    };
    dialect::lower_answer(revision, id, &answer)
}

/// Our own answer to a request of an upstream. A ping is answered, everything else refused, so that no upstream waits for ever.
pub(super) fn answer(revision: Revision, id: &RawId, method: &str) -> Lowered {
    let answer = if method == "ping" { Answer::Empty } else { Answer::MethodNotFound };
    dialect::lower_answer(revision, id, &answer)
}

/// What a reply to `server/discover` says.
#[derive(Debug)]
pub(super) enum Discovered {
    /// No handshake wanted.
    Stateless(Facts),
    /// A handshake wanted.
    Sessions,
}

/// Reads a reply to `server/discover`. Any error that only newer revisions know is the upstream's own refusal; every other
/// error is what a server that never heard of the method says.
pub(super) fn discovered(reply: &Reply) -> Result<Discovered, Fault> {
    match reply {
        Reply::Result(body) => read_discovered(body),
        Reply::Error(error) if STATELESS_CODES.contains(&error.code) => {
            let older = error.data.as_ref().is_some_and(names_older);
            if older {
                Ok(Discovered::Sessions)
            } else {
                Err(malformed("refuses server/discover, and every revision known here"))
            }
        }
        Reply::Error(_) => Ok(Discovered::Sessions),
    }
}

fn read_discovered(body: &ResultBody) -> Result<Discovered, Fault> {
    // Some servers have a result for every method they never heard of.
    if body.member("supportedVersions").is_none() {
        return Ok(Discovered::Sessions);
    }
    let (versions, capabilities) = dialect::parse_discover_result(body);
    let known: Vec<Revision> = versions.iter().filter_map(|v| Revision::parse(v)).collect();
    if known.contains(&STATELESS) {
        return Ok(Discovered::Stateless(Facts { revision: STATELESS, capabilities }));
    }
    if known.is_empty() { Err(malformed("speaks no revision known here")) } else { Ok(Discovered::Sessions) }
}

/// True if `data.supported` of a -32022 names a revision with sessions.
pub(super) fn names_older(data: &RawJson) -> bool {
    let mut older = false;
    let read = data.scanner().object(|scan, key| {
        if key != "supported" {
            return scan.value().map(|_| ());
        }
        scan.array(|scan| scan.string().map(|v| older |= Revision::parse(&v).is_some_and(|r| r < STATELESS))).map(|_| ())
    });
    read.is_ok() && older
}

/// Reads a reply to `initialize`. The upstream may offer another revision than `asked`, if it is one with sessions; a pinned
/// one must be kept to.
pub(super) fn initialized_as(reply: &Reply, asked: Revision, pinned: bool) -> Result<Facts, Fault> {
    let Reply::Result(body) = reply else {
        return Err(Fault::upstream(FaultKind::Failed, "refuses initialize"));
    };
    let (offered, capabilities) = dialect::parse_initialize_result(body);
    let offered = offered.filter(|r| if pinned { *r == asked } else { *r <= Revision::NEWEST_WITH_SESSIONS });
    let revision = offered.ok_or_else(|| malformed("offers a revision that is not spoken here"))?;
    Ok(Facts { revision, capabilities })
}

/// True for an error to `initialize` that no revision without a handshake has: the server may be one of 2024-11-05, which does not
/// take messages where it has its stream.
pub(super) fn refuses_as_older(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(error) if !STATELESS_CODES.contains(&error.code))
}

/// True for an error with which an upstream without sessions may refuse a request.
pub(super) fn refuses_as_stateless(error: &RpcError) -> bool {
    STATELESS_CODES.contains(&error.code) || matches!(error.code, codes::INVALID_PARAMS | codes::METHOD_NOT_FOUND)
}

/// The upstream broke the protocol.
pub(super) fn malformed(detail: &str) -> Fault {
    Fault::upstream(FaultKind::Malformed, detail)
}

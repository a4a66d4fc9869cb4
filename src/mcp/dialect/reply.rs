//! Answers to clients, in the words of their revision.

use super::{Context, Dialect, Member, ServerInfo, Structured, of};
use crate::mcp::codes;
use crate::mcp::error::error_json;
use crate::mcp::json::{Kind, means};
use crate::mcp::keys;
use crate::mcp::method::Method;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::reply::{Reply, ResultBody, ResultKind, RpcError};
use crate::mcp::write::{Object, object_bytes};
use crate::vocab::Revision;

/// An answer for a client.
#[derive(Clone, Debug)]
pub struct LoweredReply {
    /// HTTP status, where the answer is not part of a stream.
    pub status: u16,
    /// One JSON-RPC response.
    pub body: Vec<u8>,
}

/// Writes the answer to the request `id` of `method`.
///
/// Results of 2026-07-28 get `resultType`, cache hints on the six methods that have them (private and 0 unless said) and the
/// server's name; older ones lose what their revision does not know. A result that asks for input cannot be said in a
/// revision with sessions and becomes a failure.
pub fn lower_reply(revision: Revision, method: Method, id: &RawId, reply: &Reply, server: &ServerInfo) -> LoweredReply {
    let dialect = of(revision);
    match reply {
        Reply::Error(error) => lower_error(dialect, method, id, error),
        Reply::Result(result) if dialect.context == Context::Session && result.kind != ResultKind::Complete => {
            unsayable(method, id)
        }
        Reply::Result(result) => LoweredReply { status: 200, body: lower_result(dialect, method, id, result, server) },
    }
}

fn lower_result(dialect: &Dialect, method: Method, id: &RawId, result: &ResultBody, server: &ServerInfo) -> Vec<u8> {
    let length: usize = result.members.iter().map(|(k, v)| k.as_bytes().len() + v.as_bytes().len() + 2).sum();
    object_bytes(length + 320, |out| {
        out.text("jsonrpc", "2.0").raw("id", id.as_str().as_bytes());
        out.object("result", |out| {
            let modern = dialect.context == Context::Request;
            if modern {
                out.text("resultType", word(result.kind));
            }
            let words = in_words(dialect, method, result);
            let hinted = modern && is_cacheable(method) && result.kind == ResultKind::Complete;
            for (key, value) in &result.members {
                let name = crate::mcp::json::unquote(key.as_str()).unwrap_or_default();
                // That of a task: where the result has one of its own, and where revisions have no such word.
                if name == "ttlMs" && (hinted || !modern) {
                    continue;
                }
                if name == "content" && words.is_some() {
                    continue;
                }
                match (dialect.member)(method, &name, value) {
                    Member::Keep => drop(out.members(&[(key.clone(), value.clone())])),
                    Member::Replace(with) => drop(out.members(&[(key.clone(), with)])),
                    Member::Drop => {}
                }
            }
            out.json("content", words.as_ref());
            if hinted {
                out.number("ttlMs", result.ttl_ms.unwrap_or(0));
                out.text("cacheScope", if result.public { "public" } else { "private" });
            }
            write_meta(out, modern, &result.meta, server);
        });
    })
}

/// The content of a tool's result whose whole meaning stands in structured content that clients of the revision do not look at:
/// that as text, as servers should have said it themselves (2025-06-18, tools: structured content).
fn in_words(dialect: &Dialect, method: Method, result: &ResultBody) -> Option<RawJson> {
    let structured = result.member("structuredContent").filter(|_| method == Method::ToolsCall)?;
    let is_seen = match dialect.structured {
        Structured::Any => true,
        Structured::Objects => structured.kind() == Some(Kind::Object),
        Structured::None => false,
    };
    let says_nothing = result.member("content").is_none_or(|content| {
        let mut blocks = 0;
        let read =
            content.kind() == Some(Kind::Array) && content.scanner().array(|scan| scan.value().map(|_| blocks += 1)).is_ok();
        read && blocks == 0
    });
    (!is_seen && says_nothing).then(|| {
        let block = object_bytes(64 + structured.as_bytes().len(), |block| {
            block.text("type", "text").text("text", structured.as_str());
        });
        RawJson::of_ours([b"[".as_slice(), &block, b"]"].concat())
    })
}

fn write_meta(out: &mut Object<'_>, modern: bool, meta: &[(RawJson, RawJson)], server: &ServerInfo) {
    let others: Vec<_> = meta.iter().filter(|(key, _)| !means(key.as_str(), keys::SERVER_INFO)).cloned().collect();
    if modern {
        out.object("_meta", |out| {
            out.members(&others).object(keys::SERVER_INFO, |info| server.write(info));
        });
    } else if !others.is_empty() {
        out.object("_meta", |out| {
            out.members(&others);
        });
    }
}

fn lower_error(dialect: &Dialect, method: Method, id: &RawId, error: &RpcError) -> LoweredReply {
    let (status, code) = (dialect.error)(method, error);
    let unchanged = code != codes::INTERNAL_ERROR || error.code == code;
    let (message, data) = if unchanged { (error.message.as_str(), error.data.as_ref()) } else { ("Internal error", None) };
    LoweredReply { status, body: error_json(Some(id), code, message, data) }
}

/// The client's revision has no way to give the input that is asked for.
fn unsayable(method: Method, id: &RawId) -> LoweredReply {
    const TEXT: &str = "This operation needs input that this client cannot give in its protocol revision.";
    let body = if method == Method::ToolsCall {
        object_bytes(256, |out| {
            out.text("jsonrpc", "2.0").raw("id", id.as_str().as_bytes());
            out.object("result", |out| {
                let block = object_bytes(128, |block| {
                    block.text("type", "text").text("text", TEXT);
                });
                out.raw("content", &[b"[".as_slice(), &block, b"]"].concat()).raw("isError", b"true");
            });
        })
    } else {
        error_json(Some(id), codes::INTERNAL_ERROR, TEXT, None)
    };
    LoweredReply { status: 200, body }
}

fn word(kind: ResultKind) -> &'static str {
    match kind {
        ResultKind::Complete => "complete",
        ResultKind::InputRequired => "input_required",
        ResultKind::Task => "task",
    }
}

/// The six methods whose results carry cache hints.
fn is_cacheable(method: Method) -> bool {
    method.is_list() || matches!(method, Method::Discover | Method::ResourcesRead)
}

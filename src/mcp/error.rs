//! Refusals that the protocol itself demands: HTTP status, JSON-RPC code, a fixed sentence.

use super::codes;
use super::json::push_string;
use super::raw::{RawId, RawJson};
use crate::vocab::Revision;

/// A message that breaks the protocol, and the answer it gets. Holds no byte of the client except `id` and what `data` echoes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// HTTP status.
    pub status: u16,
    /// JSON-RPC code.
    pub code: i64,
    /// One plain sentence, without any input.
    pub message: &'static str,
    /// `data` of the error object.
    pub data: Option<RawJson>,
    /// The id of the request, where it could be read.
    pub id: Option<RawId>,
}

impl ProtocolError {
    /// An error without data or id.
    pub const fn new(status: u16, code: i64, message: &'static str) -> Self {
        Self { status, code, message, data: None, id: None }
    }

    /// The body is not acceptable JSON: 400, -32700.
    pub const fn parse_error(message: &'static str) -> Self {
        Self::new(400, codes::PARSE_ERROR, message)
    }

    /// The envelope is wrong: 400, -32600.
    pub const fn invalid_request(message: &'static str) -> Self {
        Self::new(400, codes::INVALID_REQUEST, message)
    }

    /// Parameters of the wrong shape, so that the request was not understood: 400, -32602.
    pub const fn malformed_params(message: &'static str) -> Self {
        Self::new(400, codes::INVALID_PARAMS, message)
    }

    /// Parameters that were understood and cannot be served: 200, -32602.
    pub const fn invalid_params(message: &'static str) -> Self {
        Self::new(200, codes::INVALID_PARAMS, message)
    }

    /// Headers are missing, malformed, or disagree with the body: 400, -32020.
    pub const fn header_mismatch(message: &'static str) -> Self {
        Self::new(400, codes::HEADER_MISMATCH, message)
    }

    /// A member of `_meta` that every request must carry is missing: 400, -32602.
    pub const fn missing_meta(message: &'static str) -> Self {
        Self::new(400, codes::INVALID_PARAMS, message)
    }

    /// The revision asked for is not served: 400, -32022, naming those that are, newest first.
    pub fn unsupported_version(requested: &str, floor: Revision) -> Self {
        let data = Some(versions(requested, floor));
        Self { data, ..Self::new(400, codes::UNSUPPORTED_VERSION, "Unsupported protocol version") }
    }

    /// As [`Self::unsupported_version`], in the words of revisions that do not know -32022: 400, -32600.
    pub fn unsupported_session_version(requested: &str, floor: Revision) -> Self {
        let data = Some(versions(requested, floor));
        Self { data, ..Self::invalid_request("Unsupported protocol version") }
    }

    /// The method does not exist in `revision`: 404 where that revision says so, else 200; -32601.
    pub fn method_not_found(revision: Revision) -> Self {
        let status = if revision > Revision::NEWEST_WITH_SESSIONS { 404 } else { 200 };
        Self::new(status, codes::METHOD_NOT_FOUND, "Method not found")
    }

    /// The session has ended or never was: 404, -32600.
    pub const fn unknown_session() -> Self {
        Self::new(404, codes::INVALID_REQUEST, "Session not found")
    }

    /// The client did not declare a capability without which the request cannot be served: 400, -32021.
    /// `required` is a `ClientCapabilities` object.
    pub fn missing_capability(required: &RawJson) -> Self {
        let data = format!("{{\"requiredCapabilities\":{}}}", required.as_str());
        let data = Some(RawJson::of_ours(data.into_bytes()));
        Self { data, ..Self::new(400, codes::MISSING_CAPABILITY, "Missing required client capability") }
    }

    /// Ties the error to a request.
    #[must_use]
    pub fn with_id(mut self, id: Option<&RawId>) -> Self {
        self.id = id.cloned().or(self.id);
        self
    }

    /// The JSON-RPC error response. Without an id the member is left out, as the newest schema allows.
    pub fn to_json(&self) -> Vec<u8> {
        error_json(self.id.as_ref(), self.code, self.message, self.data.as_ref())
    }
}

/// A JSON-RPC error response.
pub(super) fn error_json(id: Option<&RawId>, code: i64, message: &str, data: Option<&RawJson>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + message.len() + data.map_or(0, |d| d.as_bytes().len()));
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",");
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        out.extend_from_slice(id.as_str().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"error\":{\"code\":");
    out.extend_from_slice(code.to_string().as_bytes());
    out.extend_from_slice(b",\"message\":");
    push_string(&mut out, message);
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    out.extend_from_slice(b"}}");
    out
}

/// The revisions a route with this floor serves, newest first.
pub fn supported_versions(floor: Revision) -> Vec<Revision> {
    Revision::ALL.into_iter().rev().filter(|r| *r >= floor).collect()
}

fn versions(requested: &str, floor: Revision) -> RawJson {
    let mut out = b"{\"supported\":[".to_vec();
    for (i, revision) in supported_versions(floor).into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_string(&mut out, revision.as_str());
    }
    out.extend_from_slice(b"],\"requested\":");
    push_string(&mut out, requested);
    out.push(b'}');
    RawJson::of_ours(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_answers_the_protocol_prescribes() {
        let check = |error: ProtocolError, status: u16, json: &str| {
            assert_eq!(error.status, status);
            assert_eq!(String::from_utf8(error.to_json()).unwrap(), json);
        };
        check(
            ProtocolError::unsupported_version("1900-\"", Revision::V2025_11_25).with_id(Some(&RawId::number(7))),
            400,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28","2025-11-25"],"requested":"1900-\""}}}"#,
        );
        check(ProtocolError::parse_error("no"), 400, r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#);
        check(
            ProtocolError::missing_capability(&RawJson::of_static(r#"{"sampling":{}}"#)),
            400,
            r#"{"jsonrpc":"2.0","error":{"code":-32021,"message":"Missing required client capability","data":{"requiredCapabilities":{"sampling":{}}}}}"#,
        );
        assert_eq!(ProtocolError::method_not_found(Revision::V2026_07_28).status, 404);
        assert_eq!(ProtocolError::method_not_found(Revision::V2025_11_25).status, 200);
    }
}

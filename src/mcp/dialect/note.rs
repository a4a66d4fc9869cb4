//! Notifications to clients. Their form is the same in every revision served so far.

use crate::mcp::json::JsonError;
use crate::mcp::raw::{RawId, RawJson};
use crate::mcp::write::object_bytes;
use crate::vocab::Revision;

/// Writes `notifications/progress` with the client's own token. `members` are those of
/// [`crate::mcp::Notification::Progress`].
pub fn lower_progress(_revision: Revision, token: &RawId, members: &[(RawJson, RawJson)]) -> Vec<u8> {
    object_bytes(160, |out| {
        out.text("jsonrpc", "2.0").text("method", "notifications/progress");
        out.object("params", |params| {
            params.raw("progressToken", token.as_str().as_bytes()).members(members);
        });
    })
}

/// Writes `notifications/message`. Of `params` only `level`, `logger` and `data` are kept.
pub fn lower_log(_revision: Revision, params: &RawJson) -> Vec<u8> {
    object_bytes(96 + params.as_bytes().len(), |out| {
        out.text("jsonrpc", "2.0").text("method", "notifications/message");
        out.object("params", |kept| {
            // The value was validated when it arrived; a failure here could only shorten the message.
            let _: Result<_, JsonError> = params.scanner().object(|scan, key| {
                let value = scan.value()?;
                if matches!(key.as_ref(), "level" | "logger" | "data") {
                    kept.raw_named(key, value.as_bytes());
                }
                Ok(())
            });
        });
    })
}

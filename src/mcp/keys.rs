//! Member names the protocol defines, and names that only look like them.
//!
//! A parser behind the gateway may match names without case, by Unicode folding, or up to a NUL. A message where that
//! would change the meaning is refused instead of being forwarded.

use crate::vocab::escape::is_invisible;

/// Members of `params` that some revision defines and the gateway reads or writes.
pub(super) const PARAMS: &[&str] = &[
    "_meta",
    "name",
    "uri",
    "arguments",
    "cursor",
    "ref",
    "argument",
    "context",
    "level",
    "inputResponses",
    "requestState",
    "notifications",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "requestId",
    "taskId",
    "task",
    "progressToken",
    "progress",
    "total",
    "message",
    "reason",
    "status",
];
/// Members of `ref`.
pub(super) const REFERENCE: &[&str] = &["type", "name", "uri"];
/// Members of `_meta` with a meaning of their own.
pub(super) const META: &[&str] = &[
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    LOG_LEVEL,
    SERVER_INFO,
    SUBSCRIPTION_ID,
    "progressToken",
    "traceparent",
    "tracestate",
    "baggage",
];
pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
pub(super) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
pub(super) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// True when `key`, which is none of `known`, would be taken for one of them by a lenient parser.
pub(super) fn is_disguised(key: &str, known: &[&str]) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase();
    let has_upper = |k: &&str| k.bytes().any(|b| b.is_ascii_uppercase());
    if key.bytes().all(plain) {
        return known.iter().filter(|k| has_upper(k)).any(|k| k.eq_ignore_ascii_case(key));
    }
    let cut = key.split('\0').next().unwrap_or_default();
    known.iter().any(|k| {
        let folded = cut.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c)).map(fold);
        folded.eq(k.chars().map(|c| c.to_ascii_lowercase()))
    })
}

/// True for keys of `_meta` that belong to the specification: their prefix names it, or they are bare words it defines.
pub(super) fn is_reserved_meta(key: &str) -> bool {
    let owner = |label: &str| label.eq_ignore_ascii_case("modelcontextprotocol") || label.eq_ignore_ascii_case("mcp");
    match key.split_once('/') {
        Some((prefix, _)) => prefix.split('.').take(2).any(owner) || prefix.eq_ignore_ascii_case("dev.portcullis"),
        None => META.contains(&key),
    }
}

/// Simple case folding as far as it can end in ASCII, full-width forms included.
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        '\u{ff01}'..='\u{ff5e}' => {
            let ascii = u32::from(c) - 0xff01 + 0x21;
            char::from_u32(ascii).unwrap_or(c).to_ascii_lowercase()
        }
        _ => c.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_disguise() {
        for key in [
            "Name",
            "NAME",
            "name\0",
            "name\0x",
            "name ",
            " name",
            "name\t",
            "na\u{200b}me",
            "na\u{202a}m\u{e0065}e\u{fe0f}",
            "\u{ff4e}ame",
            "argument\u{17f}",
            "ta\u{17f}\u{212a}",
            "inputresponses",
            "requestid",
            "_Meta",
            "ur\u{131}",
        ] {
            assert!(is_disguised(key, PARAMS), "{key:?}");
        }
        for key in ["names", "nam", "x", "", "n\u{e4}me", "arguments2", "Path", "\0name"] {
            assert!(!is_disguised(key, PARAMS), "{key:?}");
        }
        assert!(is_disguised("IO.modelcontextprotocol/protocolversion", META));
        assert!(is_disguised("progresstoken", META));
    }

    #[test]
    fn knows_whose_meta_keys_are() {
        for key in ["io.modelcontextprotocol/x", "dev.mcp/x", "com.mcp.tools/x", "progressToken", "dev.portcullis/denial"] {
            assert!(is_reserved_meta(key), "{key}");
        }
        for key in ["com.example.mcp/x", "example/x", "x", "com.example/progressToken"] {
            assert!(!is_reserved_meta(key), "{key}");
        }
    }
}

//! What the demo says before and after the walk.

use std::path::Path;

use super::DemoError;
use super::place::{ADMIN_PORT, Place};
use super::screen::{Ink, Screen};
use super::walk::ROUTE;

/// Who is at both ends, and where everything is.
pub(super) fn intro(screen: &mut Screen<'_>, place: &Place, origin: &str) -> Result<(), DemoError> {
    let title = screen.ink(Ink::Strong, "Portcullis demo");
    screen.line(title)?;
    screen.line("")?;
    screen.line(format_args!("  agents --TLS, token--> {origin}{ROUTE} --policy, audit--> notes (an MCP server over stdio)"))?;
    screen.line("")?;
    let kept = if place.is_temporary() { "removed at the end" } else { "kept" };
    screen.line(format_args!("  Config, policy, keys and records: {} ({kept})", place.dir().display()))?;
    screen.line("  Every line below is a real request over TLS with a token of the person named.")
}

/// Which CA clients have to trust, and how those on Node.js are told.
pub(super) fn trust(screen: &mut Screen<'_>, once: bool, ca: &Path) -> Result<(), DemoError> {
    screen.heading(if once { "Clients trust the demo by its CA:" } else { "The gateway stays up. Connect your own client:" })?;
    screen.line(format_args!("  CA: {}", ca.display()))?;
    screen.line("  In the shell that starts a client, trust it:")?;
    screen.line("")?;
    screen.line(format_args!("    export NODE_EXTRA_CA_CERTS={}", quoted(ca)))
}

/// How to point real clients at the gateway while it runs.
pub(super) fn connect(screen: &mut Screen<'_>, place: &Place, origin: &str, admin: &str) -> Result<(), DemoError> {
    let url = format!("{origin}{ROUTE}");
    let (program, config) = (quoted(place.program()), quoted(&place.config()));
    screen.line("")?;
    screen.line("  and take a token (groups: readers, writers, guests):")?;
    screen.line("")?;
    screen.line(format_args!("    TOKEN=$({program} token --config {config} --sub you --groups writers --expires 8h)"))?;
    screen.line("")?;
    screen.line("  Claude Code:")?;
    screen.line(format_args!("    claude mcp add --transport http notes {url} --header \"Authorization: Bearer $TOKEN\""))?;
    screen.line("  MCP Inspector:")?;
    screen.line(format_args!(
        "    npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/list --header \"Authorization: Bearer $TOKEN\""
    ))?;
    screen.line("  Cursor, in .cursor/mcp.json, started from that shell (after `export TOKEN`):")?;
    screen.line(format_args!(
        "    {{ \"mcpServers\": {{ \"notes\": {{ \"url\": \"{url}\", \"headers\": {{ \"Authorization\": \"Bearer ${{env:TOKEN}}\" }} }} }} }}"
    ))?;
    screen.line("")?;
    // A token for a console whose port was any free one could not be made: the config does not name it.
    if admin.ends_with(&format!(":{ADMIN_PORT}")) {
        screen.line("  Decide about calls that wait for a lead, from another shell:")?;
        screen.line(format_args!(
            "    export PORTCULLIS_TOKEN=$({program} token --config {config} --admin --sub lena --groups leads)"
        ))?;
        screen.line(format_args!("    {program} approvals --admin {admin}"))?;
        screen.line("")?;
    }
    screen.line(format_args!("  Console: {admin}/console. Metrics and health: {admin}/metrics, {admin}/healthz"))?;
    screen.line("  Ctrl-C stops it.")
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        for (path, expected) in
            [("/tmp/x-1/ca.pem", "/tmp/x-1/ca.pem"), ("/a b/$x", "'/a b/$x'"), ("/it's", r"'/it'\''s'"), ("/é", "'/é'")]
        {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}

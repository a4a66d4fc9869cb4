//! The universe: the texts, numbers and names of policies and requests, with what is known about them by heart.

/// What the page says about an honest URL.
#[derive(Debug)]
pub(crate) struct UrlFacts {
    pub(crate) scheme: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) path: &'static str,
    pub(crate) address: &'static str,
}

const fn is(scheme: &'static str, host: &'static str, port: u16, path: &'static str, address: &'static str) -> Option<UrlFacts> {
    Some(UrlFacts { scheme, host, port, path, address })
}

/// Every text of the universe that is a URL. All others are none.
#[rustfmt::skip]
pub(crate) const URLS: &[(&str, Option<UrlFacts>)] = &[
    ("https://api.example.com/v1/x", is("https", "api.example.com", 443, "/v1/x", "name")),
    ("HTTPS://API.Example.COM:443/v1/x", is("https", "api.example.com", 443, "/v1/x", "name")),
    ("https://api.example.com:8443/v1/", is("https", "api.example.com", 8443, "/v1/", "name")),
    ("http://example.com", is("http", "example.com", 80, "/", "name")),
    ("http://example.com./x", is("http", "example.com", 80, "/x", "name")),
    ("http://example.com/v1?q=a#f", is("http", "example.com", 80, "/v1", "name")),
    ("http://10.0.0.1/", is("http", "10.0.0.1", 80, "/", "private")),
    ("http://100.64.0.1/", is("http", "100.64.0.1", 80, "/", "private")),
    ("http://127.0.0.1:8080/x", is("http", "127.0.0.1", 8080, "/x", "loopback")),
    ("http://[::1]/", is("http", "::1", 80, "/", "loopback")),
    ("http://169.254.169.254/latest", is("http", "169.254.169.254", 80, "/latest", "link_local")),
    ("http://[fe80::1]/", is("http", "fe80::1", 80, "/", "link_local")),
    ("http://8.8.8.8/x", is("http", "8.8.8.8", 80, "/x", "public")),
    ("http://[2606:4700::1111]/", is("http", "2606:4700::1111", 80, "/", "public")),
    ("http://[::ffff:10.0.0.1]/", is("http", "::ffff:a00:1", 80, "/", "private")),
    ("http://[64:ff9b::7f00:1]/", is("http", "64:ff9b::7f00:1", 80, "/", "loopback")),
    ("http://[2002:a9fe:a9fe::]/", is("http", "2002:a9fe:a9fe::", 80, "/", "link_local")),
    ("http://[fd00::1]/", is("http", "fd00::1", 80, "/", "private")),
    ("http://224.0.0.1/", is("http", "224.0.0.1", 80, "/", "multicast")),
    ("http://240.0.0.1/", is("http", "240.0.0.1", 80, "/", "reserved")),
    ("http://192.0.2.1/", is("http", "192.0.2.1", 80, "/", "reserved")),
    ("http://[2001:db8::1]/", is("http", "2001:db8::1", 80, "/", "reserved")),
    ("http://100.100.100.200/", is("http", "100.100.100.200", 80, "/", "link_local")),
    ("http://0.0.0.0/", is("http", "0.0.0.0", 80, "/", "loopback")),
    ("http://localhost/", is("http", "localhost", 80, "/", "loopback")),
    ("http://a.localhost/", is("http", "a.localhost", 80, "/", "loopback")),
    ("http://intranet/", is("http", "intranet", 80, "/", "private")),
    ("http://db.internal/", is("http", "db.internal", 80, "/", "private")),
    ("http://printer.local:631/x", is("http", "printer.local", 631, "/x", "private")),
    ("https://u:p@api.example.com/v1/x", None),
    ("https:\\\\api.example.com\\v1", None),
    ("https:/api.example.com/v1/x", None),
    ("https:api.example.com", None),
    ("mailto:a@example.com", None),
    ("http://0x7f.1/", None),
    ("http://2130706433/", None),
    ("http://017700000001/", None),
    ("http://api.ex%61mple.com/v1/x", None),
    ("http://\u{e9}xample.com/", None),
    ("https://api.example.com/v1/%2e%2e/x", None),
    ("https://api.example.com//v1/x", None),
    (" https://api.example.com/v1/x", None),
    ("https://api.example.com/v1/\tx", None),
    ("https://api.example.com/v1/\u{ff0e}x", None),
];

/// Texts beside those.
pub(crate) const TEXTS: &[&str] = &[
    "x",
    "xy",
    "xyz",
    "bad",
    "BAD",
    "",
    "abc",
    "eng",
    "alice",
    "é",
    "日本",
    "1",
    "null",
    "true",
    "a",
    "b",
    "a\nb",
    "Abc",
    "AKIA0123456789ABCDEF",
    "my AKIA0123456789ABCDEF!",
    "AKIA",
    "50*",
    "/srv/pub/a",
    "/srv/pub",
    "/srv/pub/",
    "/srv/pub/./a/../b",
    "/srv/pub/a%20b",
    "/srv/pubx",
    "/srv/pub/../x",
    "/srv/pub/..",
    "/x/../srv/pub",
    "/etc/passwd",
    "//etc/passwd",
    "/srv//pub/a",
    "/srv/%2e%2e/etc",
    "/srv/pub/%252e%252e/x",
    "/srv/pub/%2525252525252525252525252525252561",
    "/srv/pub/\u{ff0e}\u{ff0e}/x",
    "/srv/pub/.../x",
    "/srv/pub/..;/x",
    "/srv/pub/a\0",
    "/srv/pub\\..\\x",
    "/srv/pub/%u002e",
    "/srv/pub/%c0%ae",
    "/srv/pub/100%",
    "~/x",
    "/srv/pub/~",
    "srv/pub/a",
    "/",
    "/..",
    "/.",
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "8.8.8.8",
    "127.0.0.1",
    "::1",
    "2001:db8::1",
    "2001:DB8:0::2",
    "10.256.0.1",
    "0x7f.1",
    "010.1.2.3",
    "2130706433",
    "10.1",
    "10.1.2.3.",
    "not an address",
    "[::1]",
    " 10.1.2.3",
    "10.1.2.3:80",
    "10.1.2.3:x",
    "fe80::1%eth0",
    "/SRV/pub/a",
    "/srv/PUB",
    "/%73rv/pub/a",
    "/srv/pub%41",
    "/C:/srv/pub",
    "/srv/pub;v/a",
    "/srv/pub /a",
    "/srv/pub/C:",
    "/etc.",
    "/srv/pub/a:b",
];

/// Number tokens.
pub(crate) const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "1.0",
    "10e-1",
    "1e0",
    "2",
    "5",
    "5.5",
    "55e-1",
    "6",
    "100",
    "1e2",
    "-1",
    "-1.0",
    "0.1",
    "1E+2",
    "9007199254740993",
    "9007199254740992",
    "12345678901234567890123",
    "2130706433",
    "1e-3",
];

/// Number tokens that policies cannot hold and computers cannot either.
pub(crate) const WILD_NUMBERS: &[&str] =
    &["1e400", "-1e400", "1e99999999999999999999", "-5e-99999999999999999999", "0e99999999999999999999"];

type Regex = (&'static str, fn(&str) -> bool);

/// Expressions, and whether they are found in a text.
pub(crate) const REGEXES: &[Regex] = &[
    ("x", |t| t.contains('x')),
    ("^[a-z]+$", |t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_lowercase())),
    ("^/srv(/|$)", |t| t == "/srv" || t.starts_with("/srv/")),
    ("(?i)bad", |t| t.to_lowercase().contains("bad")),
    ("^.$", |t| t.chars().count() == 1 && t != "\n"),
    ("AKIA[0-9A-Z]{16}", |t| {
        let tail = |rest: &str| rest.bytes().take(16).filter(|b| b.is_ascii_digit() || b.is_ascii_uppercase()).count() == 16;
        t.match_indices("AKIA").any(|(at, _)| tail(&t[at + 4..]))
    }),
];

pub(crate) const TEXT_GLOBS: &[&str] =
    &["x*", "*", "?", "/srv/*", "*AKIA*", "??", "a*c", "50\\*", "*.*", "*e*", "x", "https://*", "http*", "\\x*", "123*", "[a]"];
pub(crate) const DIRECTORIES: &[&str] = &["/srv/pub", "/srv", "/etc", "/", "/srv/pub/a", "/x/"];
pub(crate) const NETWORKS: &[&str] =
    &["10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "127.0.0.0/8", "2001:db8::/32", "::/0", "::1/128"];
pub(crate) const TYPES: &[&str] = &["string", "number", "integer", "boolean", "null", "object", "array"];
pub(crate) const POINTERS: &[&str] = &[
    "/a", "/b", "/n", "/l", "/a/b", "/l/0", "/l/1", "/l/*", "/*", "/**", "/**/b", "/o/**", "/*/b", "", "/x~1y", "/t~0", "/01",
    "/a/**", "/**/l/**", "/A", "/o/k/0",
];

/// Full names of tools, resources and prompts.
pub(crate) const TOOLS: &[&str] = &["files__read", "files__write", "files__wipe", "x__read", "x__list_all", "y__read", "x__r\\d"];
pub(crate) const RESOURCES: &[&str] = &[
    "docs__file:///srv/a",
    "docs__file:///srv/pub/b",
    "docs__memo:x",
    "docs__git://h/~u/r",
    "x__file:///srv/a",
    "docs__file:///srv/../a",
    "docs__file:///srv/%2e%2e/a",
    "docs__http://u@h/x",
    "docs__file:///srv%252fa",
    "docs__memo:..",
    "docs__file:///a\\b",
    "docs__file:///srv/with%20space",
    "docs__FILE:///srv/a",
    "docs__file://host/srv/a",
    "docs__file:///srv/%61",
    "docs__file:///C:/a",
    "docs__file:///~/a",
];
pub(crate) const PROMPTS: &[&str] = &["docs__intro", "x__intro", "docs__summarize"];

pub(crate) const TOOL_GLOBS: &[&str] =
    &["*", "files__*", "x__*", "?__read", "*__read", "files__w*e", "x__r\\\\d", "x__read", "y__*", "*list*", "f*__*", "z__*"];
pub(crate) const RESOURCE_GLOBS: &[&str] =
    &["*", "docs__*", "docs__file:///srv/*", "docs__memo:?", "x__*", "docs__file:///srv/a"];
pub(crate) const PROMPT_GLOBS: &[&str] = &["*", "docs__*", "*__intro", "x__intro"];

pub(crate) const SCOPES: &[&str] = &["s", "t", "files:write"];
pub(crate) const ISSUERS: &[&str] = &["https://a.example", "https://b.example"];
pub(crate) const ROUTES: &[&str] = &["/mcp", "/dev"];
pub(crate) const UPSTREAMS: &[&str] = &["files", "x", "y", "docs"];
pub(crate) const CAPABILITIES: &[&str] = &["elicitation.form", "elicitation.url", "sampling", "roots"];
pub(crate) const BY: &[&str] = &["principal", "client", "tenant", "tool", "class", "upstream", "route", "group"];

//! A browser, or a name that points here, must not talk anybody into calling the gateway: Host and Origin are judged on every
//! request of both listeners, in both versions of HTTP, and only listed origins get CORS.

use crate::gate::Gate;
use crate::wire::Req;

const LISTED: &str = "https://app.example.com";

/// What a listed origin may send, in order.
const PREFLIGHT_HEADERS: [&str; 11] = [
    "accept",
    "authorization",
    "content-type",
    "dpop",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
    "tracestate",
];

/// What it may read of an answer.
const EXPOSED: &str = "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, MCP-Protocol-Version, Retry-After";

/// Origins that are not on the list, however close.
const FOREIGN: &[&str] = &[
    "null",
    "",
    "*",
    "https://evil.example.com",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "https://app.example.com/",
    "https://APP.example.com",
    "HTTPS://app.example.com",
    "http://app.example.com",
    "https://user@app.example.com",
    "https://app.example.com@evil.example",
    "https://app.example.com.",
    "https://app.example.com https://app.example.com",
    "https://app.example.com, https://evil.example",
    "https://app\u{2e}example.com%00.evil.example",
    "file://",
    "https://localhost",
    "https://127.0.0.1",
];

fn foreign_hosts(port: u16) -> Vec<(String, u16)> {
    let mut hosts: Vec<(String, u16)> = [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "gateway.example.com",
    ]
    .iter()
    .flat_map(|host| [((*host).to_owned(), 403), (format!("{host}:{port}"), 403)])
    .collect();
    for odd in [
        "user@127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "127.0.0.1/",
        "127.0.0.1#",
        "127.0.0.1,evil",
        "a b",
        "[::1",
        "127.0.0.1:80:80",
    ] {
        hosts.push((odd.to_owned(), 400));
    }
    // Other spellings of a loopback address are not an address literal but a name, and not ours.
    hosts.extend(["2130706433", "0x7f.1", "127.1", "localhost."].map(|host| (host.to_owned(), 403)));
    hosts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_hosts_are_refused() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let get = Req::new("GET", "/metrics");
    let mut wrong = Vec::new();
    for (host, status) in foreign_hosts(gate.reach.addr.port()) {
        for request in [good.clone(), good.clone().without("Authorization")] {
            let answer = gate.reach.send(&request.set("Host", &host)).await;
            if (answer.status, answer.ended) != (status, true) || answer.text().contains(&host) {
                wrong.push(format!("{host}: {}", answer.whole()));
            }
        }
        let answer = gate.admin.send(&get.clone().set("Host", &host)).await;
        if (answer.status, answer.ended) != (status, true) || answer.text().contains("portcullis_") {
            wrong.push(format!("admin {host}: {}", answer.whole()));
        }
        let authority: Result<http::uri::Authority, _> = host.parse();
        if authority.is_ok() {
            let h2 = gate.reach.send_h2(&good.clone().without("Host"), &host).await;
            if h2.status != status {
                wrong.push(format!("h2 {host}: {}", h2.whole()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(gate.seen(), (0, 0));
    for host in [gate.authority(), "localhost".into(), format!("LOCALHOST:{}", gate.reach.addr.port()), "[::1]".into()] {
        assert_eq!(gate.reach.send(&good.clone().set("Host", &host)).await.status, 200, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_has_one_authority() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}").without("Host");
    let own = gate.authority();
    let twice = good.clone().add("Authorization", "Bearer x");
    let refused = [
        ("host differs", good.clone().add("Host", "evil.example"), own.as_str(), 400),
        ("authority differs", good.clone().add("Host", &own), "evil.example", 400),
        ("port differs", good.clone().add("Host", "127.0.0.1:1"), &own, 400),
        ("userinfo", good.clone(), "user@127.0.0.1", 400),
        ("two credentials", twice, &own, 400),
        ("two names", good.clone().add("Mcp-Name", "up__echo"), &own, 400),
        ("underscore", good.clone().add("x_a", "1"), &own, 400),
        ("foreign origin", good.clone().add("Origin", "https://evil.example"), &own, 403),
        ("text", good.clone().set("Content-Type", "text/plain"), &own, 415),
    ];
    for (what, request, authority, status) in refused {
        let answer = gate.reach.send_h2(&request, authority).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.whole());
        assert_eq!(answer.header("connection"), None, "{what}");
        assert_eq!(gate.seen(), (0, 0), "{what}");
    }
    let answer = gate.reach.send_h2(&good.clone().add("Host", &own), &own).await;
    assert_eq!(answer.status, 200, "{}", answer.whole());
    assert_eq!(gate.up.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_origins_get_an_answer_they_may_read() {
    let gate = Gate::start().await;
    let token = gate.token("alice", &["eng"]);
    let good = gate.call("/mcp", &token, "up__echo", "{}");
    let prm = "/.well-known/oauth-protected-resource/mcp";
    let own = gate.authority();
    let preflight = |path: &str| {
        Req::new("OPTIONS", path)
            .add("Host", &own)
            .add("Access-Control-Request-Method", "POST")
            .add("Access-Control-Request-Headers", "authorization")
    };
    let mut wrong = Vec::new();
    for origin in FOREIGN.iter().copied().chain([own.as_str(), gate.url("").as_str()]) {
        let requests = [
            good.clone(),
            good.clone().without("Authorization"),
            preflight("/mcp"),
            preflight("/nowhere"),
            preflight(prm),
            Req::new("GET", prm).add("Host", &own),
            Req::new("DELETE", "/mcp").add("Host", &own),
        ];
        for request in requests {
            let request = request.add("Origin", origin);
            let answer = gate.reach.send(&request).await;
            let cors = answer.headers.iter().any(|(name, _)| name.starts_with("access-control"));
            if (answer.status, answer.ended, cors) != (403, true, false) || (origin.len() > 8 && answer.whole().contains(origin))
            {
                wrong.push(format!("{} {} {origin}: {}", request.verb, request.target, answer.whole()));
            }
        }
        let admin = Req::new("GET", "/healthz").add("Host", &gate.admin.addr.to_string()).add("Origin", origin);
        let answer = gate.admin.send(&admin).await;
        if answer.status != 403 || answer.headers.iter().any(|(name, _)| name.starts_with("access-control")) {
            wrong.push(format!("admin {origin}: {}", answer.whole()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(gate.seen(), (0, 0));

    for origin in [LISTED, "https://app.example.com:8444"] {
        let allowed = |answer: &crate::wire::Resp| answer.header("access-control-allow-origin").map(str::to_owned);
        let answer = gate.reach.send(&preflight("/mcp").add("Origin", origin)).await;
        assert_eq!((answer.status, allowed(&answer).as_deref()), (204, Some(origin)), "{}", answer.whole());
        let headers = answer.header("access-control-allow-headers").unwrap();
        let mut headers: Vec<&str> = headers.split(", ").collect();
        headers.sort_unstable();
        assert_eq!(headers, PREFLIGHT_HEADERS);
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        for request in [good.clone(), good.clone().without("Authorization"), Req::new("GET", prm).add("Host", &own)] {
            let answer = gate.reach.send(&request.add("Origin", origin)).await;
            assert_eq!(allowed(&answer).as_deref(), Some(origin), "{}", answer.whole());
            assert_eq!(answer.header("vary"), Some("Origin"));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert_eq!(answer.header("access-control-expose-headers"), Some(EXPOSED));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        // The admin listener has no pages of others.
        let admin = Req::new("GET", "/healthz").add("Host", &gate.admin.addr.to_string()).add("Origin", origin);
        assert_eq!(gate.admin.send(&admin).await.status, 403);
    }
    let twice = good.clone().add("Origin", LISTED).add("Origin", LISTED);
    assert_eq!(gate.reach.send(&twice).await.status, 403);
    let none = gate.reach.send(&good).await;
    assert!(none.status == 200 && none.header("access-control-allow-origin").is_none(), "{}", none.whole());
    assert_eq!((none.header("x-content-type-options"), none.header("cache-control")), (Some("nosniff"), Some("no-store")));
    // A cache that was asked without an origin does not keep that answer for one.
    let document = gate.reach.send(&Req::new("GET", prm).add("Host", &own)).await;
    assert_eq!((document.header("vary"), document.header("cache-control")), (Some("Origin"), Some("max-age=60")));
    let bare = Req::new("OPTIONS", "/mcp").add("Host", &own);
    assert_eq!(gate.reach.send(&bare).await.status, 405);
}

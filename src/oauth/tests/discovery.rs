use super::*;

/// What a server says of itself, under this name.
fn says(issuer: &str) -> String {
    format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token","unknown":1,"scopes_supported":["a","b c","d"]}}"#)
}

#[tokio::test]
async fn metadata_is_looked_for_in_order_and_must_name_the_very_issuer() {
    let places = [
        "GET /.well-known/oauth-authorization-server/t/1",
        "GET /.well-known/openid-configuration/t/1",
        "GET /t/1/.well-known/openid-configuration",
    ];
    for found in 0..3 {
        let site = Site::start(move |line, origin| match places.iter().position(|place| *place == line) {
            Some(at) if at == found => (200, says(&format!("{origin}/t/1"))),
            Some(0) => (200, "<html>".to_owned()),
            _ => (404, String::new()),
        })
        .await;
        let issuer = format!("{}/t/1", site.origin);
        let got = client().discover_server(&issuer, &site.consent()).await.unwrap();
        assert_eq!(
            (got.issuer.as_str(), got.scopes_supported.as_slice()),
            (issuer.as_str(), &["a".to_owned(), "d".to_owned()][..])
        );
        assert_eq!(site.lines(), &places[..=found]);
    }
    let site = Site::start(|_, origin| (404, origin.to_owned())).await;
    client().discover_server(&site.origin, &site.consent()).await.unwrap_err();
    assert_eq!(site.lines(), ["GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration"]);
    for wrong in ["", "/", "/t/1/", "/T/1", "/t/2"] {
        let site = Site::start(move |_, origin| (200, says(&format!("{origin}{wrong}")))).await;
        let got = client().discover_server(&format!("{}/t/1", site.origin), &site.consent()).await;
        assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Mismatch, "{wrong}");
        assert_eq!(site.lines().len(), 1, "no other document is tried");
    }
    let site = Site::start(|_, origin| (200, says(origin).replace("\"unknown\"", "\"issuer\""))).await;
    let got = client().discover_server(&site.origin, &site.consent()).await;
    assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Malformed, "two issuers in one document");
}

#[tokio::test]
async fn a_resource_is_the_one_meant() {
    for (at_path, resource, ok) in [
        (true, "/mcp", true),
        (true, "/mcp/", false),
        (true, "", false),
        (true, "/mcp2", false),
        (true, "/mcp?x", false),
        (false, "/mcp", true),
        (false, "", true),
        (false, "/", true),
        (false, "/other", false),
    ] {
        let site = Site::start(move |line, origin| {
            let there = line.ends_with("/mcp") == at_path;
            let document = format!(r#"{{"resource":"{origin}{resource}","authorization_servers":["https://a.example"]}}"#);
            if there { (200, document) } else { (404, String::new()) }
        })
        .await;
        let got = client().discover_protected(&site.url("/mcp"), None, &site.consent()).await;
        match (ok, got) {
            (true, got) => assert_eq!(got.unwrap().authorization_servers, ["https://a.example"], "{resource}"),
            (false, got) => assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Mismatch, "{resource}"),
        }
    }
    assert_eq!(canonical(&Url::parse("https://A.example:443/#x").unwrap()), "https://a.example");
    assert_eq!(canonical(&Url::parse("https://a.example/mcp/?b#x").unwrap()), "https://a.example/mcp/?b");
    let bare = Site::start(|_, origin| (200, format!(r#"{{"resource":"{origin}/mcp"}}"#))).await;
    let got = client().discover_protected(&bare.url("/mcp"), None, &bare.consent()).await;
    assert_eq!(got.unwrap_err().kind, OAuthErrorKind::Malformed, "no authorization server");
}

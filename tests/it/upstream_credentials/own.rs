//! Tokens of the gateway's own, and what a hostile issuer of them gets.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_shows_its_own_token_for_everybody() {
    let idp = format!("idp: {{ token_url: \"ISSUER/token\", issuer: \"ISSUER\", client_id: portcullis, {} }}", secret());
    let server = format!("issuer: \"ISSUER\", client_id: portcullis, {}", secret());
    let (gate, issuer, trap) = gate(&format!("{{ id_jag: {{ {idp}, {server}, subject_token: {WORKLOAD} }} }}")).await;
    assert!(issuer.state.lock().jwks.is_none(), "nobody is asserted, so there is no key set");
    let mut answers = Vec::new();
    for sub in ["alice", "bob"] {
        answers.push(call(&gate, sub, "up__echo").await);
        assert!(answers.last().unwrap().text().contains("did it as workload"), "{}", answers.last().unwrap().whole());
    }
    let asked = issuer.state.lock().asked.clone();
    assert_eq!(asked.len(), 2, "one token for both");
    assert_eq!(asked[0]["subject_token_type"], "urn:ietf:params:oauth:token-type:id_token");
    assert_eq!(asked[1]["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    // What it may do is the operator's word: no step-up.
    answers.push(call(&gate, "alice", "up__write").await);
    assert!(answers.last().unwrap().text().contains("upstream_unavailable"), "{}", answers.last().unwrap().whole());
    assert_eq!(issuer.asked(), 2);
    assert!(!gate.up.seen().iter().any(|seen| seen.whole().contains(WORKLOAD)), "it is for the identity provider alone");
    assert_apart(&gate, &issuer, &answers).await;
    trap.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_ours_proves_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.pem");
    let key = portcullis_key(&path);
    for (more, kid) in [("", key["kid"].as_str().unwrap()), (", key_id: \"its own name\"", "its own name")] {
        let (gate, issuer, _trap) = gate(&own(&format!("private_key: \"{}\"{more}", path.display()))).await;
        let mut known: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
        known.common.key_id = Some(kid.to_owned());
        issuer.state.lock().client_key = Some(known);
        let mut answers = vec![call(&gate, "alice", "up__echo").await];
        issuer.revoke_all();
        answers.push(call(&gate, "alice", "up__echo").await);
        for answer in &answers {
            assert!(answer.text().contains("did it as gateway"), "{kid}: {}", answer.whole());
        }
        assert_apart(&gate, &issuer, &answers).await;
    }
}

fn portcullis_key(path: &std::path::Path) -> serde_json::Value {
    portcullis::identity::install_crypto();
    portcullis::oauth::SigningKey::open_or_create(path).unwrap().public_jwk()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_authorization_server_gets_nothing_and_says_nothing() {
    let (gate, issuer, trap) = gate(&own(&format!("{}, scopes: [files:read]", secret()))).await;
    let json = "content-type: application/json\r\n".to_owned();
    let mut answers = Vec::new();
    for (status, head, body) in [
        (307, format!("location: {}\r\n", trap.url()), String::new()),
        (302, format!("location: {}\r\n", trap.url()), String::new()),
        (400, json.clone(), r#"{"error":"issuer-text-canary has spaces"}"#.to_owned()),
        (500, json.clone(), "issuer-text-canary".to_owned()),
        (200, json.clone(), "issuer-text-canary".to_owned()),
        (200, json.clone(), r#"{"access_token":"issued-canary-x","token_type":"DPoP"}"#.to_owned()),
        (200, json.clone(), r#"{"access_token":"issued-canary-x","token_type":"N_A"}"#.to_owned()),
        (200, json.clone(), r#"{"access_token":"issued-canary-x\r\nx: y","token_type":"Bearer"}"#.to_owned()),
        (
            200,
            json.clone(),
            r#"{"access_token":"issued-canary-x","access_token":"issued-canary-y","token_type":"Bearer"}"#.to_owned(),
        ),
        (200, json.clone(), format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "issued-canary".repeat(2_000))),
        (200, json.clone(), " ".repeat(300 * 1024)),
        (200, format!("{json}content-encoding: gzip\r\n"), "x".to_owned()),
    ] {
        let before = issuer.asked();
        issuer.state.lock().instead = Some((status, head, body.clone()));
        // A failure is remembered for a moment.
        for _ in 0..400 {
            answers.push(call(&gate, "alice", "up__echo").await);
            assert!(!answers.last().unwrap().text().contains("did it"), "{status} {body}");
            if issuer.asked() > before {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        assert!(issuer.asked() > before, "{status} {body}");
    }
    assert_eq!(gate.up.seen().len(), 0, "nothing to show, so nothing was sent");
    assert_apart(&gate, &issuer, &answers).await;
    trap.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_file_that_changes_is_read_again() {
    let gate = Gate::with(|files| {
        files.config = files.config.replace("bearer: upstream-credential-canary", "bearer: \"${file:FILE}\"");
        let path = std::env::temp_dir().join(format!("portcullis-rotating-{}", std::process::id()));
        std::fs::write(&path, "old-secret\n").unwrap();
        files.config = files.config.replace("FILE", path.to_str().unwrap());
    })
    .await;
    let shown = |gate: &Gate| gate.up.seen().last().and_then(|seen| seen.header("authorization").map(str::to_owned));
    assert!(call(&gate, "alice", "up__echo").await.text().contains("did"));
    assert_eq!(shown(&gate).as_deref(), Some("Bearer old-secret"));
    let path = std::env::temp_dir().join(format!("portcullis-rotating-{}", std::process::id()));
    std::fs::write(&path, "new-secret\n").unwrap();
    let changed = async {
        while shown(&gate).as_deref() != Some("Bearer new-secret") {
            assert!(call(&gate, "alice", "up__echo").await.text().contains("did"));
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), changed).await.expect("the new secret");
    std::fs::remove_file(path).unwrap();
    soon("the record", || !gate.records().is_empty()).await;
}

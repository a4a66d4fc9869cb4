//! Servers of keys that hang, and addresses of keys that move.

use super::super::jwks::{DEMAND_GAP_MS_MIN, DISCOVERED_MS_MAX, REDISCOVERY_GAP_MS_MIN};
use super::*;

const GAP_MS: i64 = DEMAND_GAP_MS_MIN as i64;

/// A loopback server of several documents by path; what has no document is answered 404, and an empty one is never answered.
struct Site {
    origin: String,
    documents: Arc<Mutex<Vec<(String, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let site = Self { origin, documents: Arc::default(), asked: Arc::default() };
        let (documents, asked) = (site.documents.clone(), site.asked.clone());
        tokio::spawn(async move {
            let mut hanging = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut seen = [0; 2048];
                let n = stream.read(&mut seen).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&seen[..n]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                asked.lock().push(path.clone());
                let document = documents.lock().iter().find(|(at, _)| *at == path).map(|(_, document)| document.clone());
                let (status, body) = document.map_or(("404 Not Found", String::new()), |document| ("200 OK", document));
                if status == "200 OK" && body.is_empty() {
                    hanging.push(stream);
                    continue;
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        site
    }

    fn serve(&self, path: &str, document: &str) {
        let mut documents = self.documents.lock();
        documents.retain(|(at, _)| at != path);
        documents.push((path.to_owned(), document.to_owned()));
    }

    fn withdraw(&self, path: &str) {
        self.documents.lock().retain(|(at, _)| at != path);
    }

    fn names(&self, place: &str) {
        let metadata = json!({"issuer": self.origin, "jwks_uri": format!("{}{place}", self.origin)});
        self.serve(OPENID, &metadata.to_string());
    }

    /// What was asked for since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    fn discovering(&self, clock: &Clock) -> Authenticator {
        let settings = IssuerSettings { issuer: self.origin.clone(), ..issuer(JwksSource::Discovered) };
        authenticator(settings, clock)
    }

    fn token(&self, clock: &Clock, signer: &Signer, kid: &str) -> String {
        let mut header = good_header();
        header["kid"] = kid.into();
        let mut claims = good_claims();
        claims["iss"] = self.origin.as_str().into();
        claims["exp"] = (clock.unix_s() + 600).into();
        signer.token_of("EdDSA", &header.to_string(), &claims.to_string())
    }
}

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

fn is_invalid(got: &Result<Arc<Principal>, Refusal>) -> bool {
    matches!(got, Err(Refusal::Invalid { .. }))
}

#[tokio::test]
async fn those_who_waited_for_a_failure_start_no_load_of_their_own() {
    let clock = Clock::system();
    let site = Site::start().await;
    site.names("/keys");
    site.serve("/keys", "");
    let authenticator = Arc::new(site.discovering(&clock));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (authenticator, token) = (authenticator.clone(), site.token(&clock, &ED, &format!("unknown-{n}")));
        tasks.spawn(async move { ask(&authenticator, &token).await });
    }
    while site.asked.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    // The load is under way: for those who wait, the gap is over when it fails.
    clock.advance_ms(GAP_MS);
    while let Some(got) = tasks.join_next().await {
        assert_eq!(got.unwrap().unwrap_err(), Refusal::Unavailable);
    }
    assert_eq!(site.asked(), [OPENID, "/keys"]);
}

#[tokio::test]
async fn a_load_goes_on_when_the_request_that_caused_it_is_gone() {
    let clock = Clock::system();
    let site = Site::start().await;
    site.names("/keys");
    site.serve("/keys", &document(&[ED.jwk("ed")]));
    let authenticator = Arc::new(site.discovering(&clock));
    let token = site.token(&clock, &ED, "ed");
    {
        let (headers, resource) = (bearing(&token), resource(&[]));
        let mut asking = Box::pin(authenticator.authenticate(post(&headers, &resource)));
        assert!(futures_util::poll!(&mut asking).is_pending());
    }
    while authenticator.health()[0].keys == 0 {
        tokio::task::yield_now().await;
    }
    ask(&authenticator, &token).await.unwrap();
    assert_eq!(site.asked(), [OPENID, "/keys"]);
}

#[tokio::test]
async fn a_discovered_address_is_kept_through_outages_of_the_metadata() {
    let clock = Clock::system();
    let site = Site::start().await;
    site.names("/keys");
    site.serve("/keys", &document(&[ED.jwk("ed")]));
    let authenticator = site.discovering(&clock);
    ask(&authenticator, &site.token(&clock, &ED, "ed")).await.unwrap();
    assert_eq!(site.asked(), [OPENID, "/keys"]);
    for (metadata, asked) in
        [("<html>", vec![OPENID, OAUTH, "/keys"]), ("{}", vec![OPENID, "/keys"]), ("", vec![OPENID, "/keys"])]
    {
        site.serve(OPENID, metadata);
        clock.advance_ms(GAP_MS);
        assert!(is_invalid(&ask(&authenticator, &site.token(&clock, &ED, "unknown")).await));
        assert_eq!(site.asked(), ["/keys"], "{metadata}: a moment later");
        clock.advance_ms(REDISCOVERY_GAP_MS_MIN as i64);
        assert!(is_invalid(&ask(&authenticator, &site.token(&clock, &ED, "unknown")).await));
        assert_eq!(site.asked(), asked, "{metadata}");
        ask(&authenticator, &site.token(&clock, &ED, "ed")).await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_moves_is_found() {
    let new = ed();
    let all = document(&[new.jwk("new")]);
    for (how, wait_ms, asked) in
        [("gone", GAP_MS, vec!["/keys", OPENID, "/moved"]), ("abandoned", REDISCOVERY_GAP_MS_MIN as i64, vec![OPENID, "/moved"])]
    {
        let clock = Clock::system();
        let site = Site::start().await;
        site.names("/keys");
        site.serve("/keys", &document(&[ED.jwk("ed")]));
        let authenticator = site.discovering(&clock);
        ask(&authenticator, &site.token(&clock, &ED, "ed")).await.unwrap();
        site.asked();
        site.serve("/moved", &all);
        site.names("/moved");
        if how == "gone" {
            site.withdraw("/keys");
        }
        clock.advance_ms(wait_ms);
        ask(&authenticator, &site.token(&clock, &new, "new")).await.expect(how);
        assert_eq!(site.asked(), asked, "{how}");
        clock.advance_ms(DISCOVERED_MS_MAX as i64 - 60_000);
        authenticator.refresh_due().await;
        assert_eq!(site.asked(), ["/moved"], "{how}");
        clock.advance_ms(DISCOVERED_MS_MAX as i64 / 2);
        authenticator.refresh_due().await;
        assert_eq!(site.asked(), [OPENID, "/moved"], "{how}: looked for now and then");
    }
}

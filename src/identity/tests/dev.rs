//! The development issuer.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::super::dev::{DEV_ISSUER, DevIssuer, DevIssuerError, TokenRequest};
use super::*;

fn request() -> TokenRequest {
    TokenRequest {
        sub: "alice".to_owned(),
        groups: vec!["eng".to_owned()],
        scopes: vec!["mcp:read".to_owned()],
        client_id: Some("cli".to_owned()),
        audience: URL.to_owned(),
        expires: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_minted_token_is_accepted_after_a_restart_and_only_where_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let token = DevIssuer::open_or_create(dir.path()).unwrap().mint(&request(), clock.unix_s()).unwrap();
    let again = DevIssuer::open_or_create(dir.path()).unwrap();
    let authenticator = authenticator(again.settings(), &clock);
    let principal = ask(&authenticator, token.expose_secret()).await.unwrap();
    assert_eq!((&*principal.iss, &*principal.sub), (DEV_ISSUER, "alice"));
    assert_eq!(principal.client_id.as_deref(), Some("cli"));
    assert_eq!(principal.claim_strings("groups").collect::<Vec<_>>(), ["eng"]);
    assert!(principal.has_scope("mcp:read"));
    assert_eq!(authenticator.issuers(), [DEV_ISSUER]);
    let other = Resource { url: format!("{URL}/x"), ..resource(&[]) };
    authenticator.authenticate(post(&bearing(token.expose_secret()), &other)).await.unwrap_err();
    let stranger = DevIssuer::open_or_create(tempfile::tempdir().unwrap().path()).unwrap();
    let forged = stranger.mint(&request(), clock.unix_s()).unwrap();
    ask(&authenticator, forged.expose_secret()).await.unwrap_err();
    clock.advance_ms(91_000);
    ask(&authenticator, token.expose_secret()).await.unwrap_err();
}

#[cfg(unix)]
#[test]
fn the_key_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    DevIssuer::open_or_create(dir.path()).unwrap();
    let path = dir.path().join("dev-issuer/key.pem");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path().join("dev-issuer")).unwrap().count(), 1, "the draft is gone");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(DevIssuer::open_or_create(dir.path()), Err(DevIssuerError::Exposed(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "not a key").unwrap();
    assert!(matches!(DevIssuer::open_or_create(dir.path()), Err(DevIssuerError::Crypto(_))));
}

#[test]
fn all_who_open_at_once_get_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let opening: Vec<_> =
            (0..8).map(|_| scope.spawn(|| DevIssuer::open_or_create(dir.path()).unwrap().settings().jwks)).collect();
        opening.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|k| *k == keys[0]));
}

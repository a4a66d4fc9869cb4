//! Which failures cost an account or a registration, and which do not.

use super::super::*;
use super::bench::bench;
use crate::oauth::{ClientAuth, Registration};

fn of(bench: &super::bench::Bench, client_id: &str) -> Registration {
    let issuer = bench.server.origin.clone();
    Registration { issuer, client_id: client_id.to_owned(), auth: ClientAuth::Secret("s".into()), secret_ends_s: None }
}

#[tokio::test]
async fn an_account_is_dropped_only_when_nothing_but_linking_anew_helps() {
    use FaultKind::{Credential, Unlinked};
    let error = |code: &str| format!(r#"{{"error":"{code}"}}"#);
    for (status, body, by_operator, fault, account, registration) in [
        (400, error("invalid_grant"), true, Unlinked, false, true),
        (400, error("invalid_grant"), false, Unlinked, false, true),
        (200, error("bad_refresh_token"), true, Unlinked, false, true),
        // A secret of the operator's that is wrong or over.
        (401, error("invalid_client"), true, Credential, true, true),
        (400, error("unauthorized_client"), true, Credential, true, true),
        (200, error("incorrect_client_credentials"), true, Credential, true, true),
        (401, String::new(), true, Credential, true, true),
        // A registration of ours that the server forgot.
        (401, error("invalid_client"), false, Unlinked, false, false),
        (400, error("invalid_scope"), false, Credential, true, true),
        (503, String::new(), false, Credential, true, true),
    ] {
        let said = body.clone();
        let mut bench = bench(move || (status, said.clone())).await;
        if by_operator {
            bench = bench.registered("gateway");
        }
        assert!(bench.desk.keep(&bench.link, &of(&bench, "gateway"), None).await.unwrap());
        bench.account("gateway", "old", -1).await;
        assert_eq!(bench.token().await, Err(fault), "{status} {body} {by_operator}");
        assert_eq!(bench.kept().await.is_some(), account, "{status} {body} {by_operator}");
        let kept = bench.desk.kept(&bench.link, &bench.server.origin).await.unwrap();
        assert_eq!(kept.is_some(), registration, "{status} {body} {by_operator}");
        assert_eq!(bench.asked("POST /token"), 1);
    }
}

#[tokio::test]
async fn an_account_of_an_older_registration_ends_alone() {
    let bench = bench(|| (500, String::new())).await;
    assert!(bench.desk.keep(&bench.link, &of(&bench, "newer"), None).await.unwrap());
    bench.account("older", "old", -1).await;
    assert_eq!(bench.token().await, Err(FaultKind::Unlinked));
    assert!(bench.kept().await.is_none());
    assert!(!bench.desk.forget_registration(&bench.link, &bench.server.origin, "older").await);
    let kept = bench.desk.kept(&bench.link, &bench.server.origin).await.unwrap().unwrap();
    assert_eq!(kept.client_id, "newer");
    assert_eq!(bench.asked("POST /token"), 0, "there is nobody to ask as");
}

#[tokio::test]
async fn of_two_who_register_at_once_both_use_the_one_that_is_kept() {
    let bench = bench(|| (500, String::new())).await;
    let server = bench.desk.server(&bench.link, &bench.server.origin).await.unwrap();
    let (one, other) =
        futures_util::join!(bench.desk.registration(&bench.link, &server), bench.desk.registration(&bench.link, &server));
    assert_eq!(bench.asked("POST /register"), 2);
    let kept = bench.desk.kept(&bench.link, &bench.server.origin).await.unwrap().unwrap();
    assert_eq!((one.unwrap().client_id, other.unwrap().client_id), (kept.client_id.clone(), kept.client_id));
}

#[tokio::test]
async fn a_registration_whose_secret_is_over_is_made_anew() {
    let bench = bench(|| (500, String::new())).await;
    let server = bench.desk.server(&bench.link, &bench.server.origin).await.unwrap();
    let ends_s = bench.clock.unix_s() + 100;
    let old = Registration { secret_ends_s: Some(ends_s), ..of(&bench, "old") };
    assert!(bench.desk.keep(&bench.link, &old, None).await.unwrap());
    assert_eq!(bench.desk.registration(&bench.link, &server).await.unwrap().client_id, "old");
    bench.clock.advance_ms(101_000);
    assert_eq!(bench.desk.registration(&bench.link, &server).await.unwrap().client_id, "registered-0");
    assert_eq!(bench.desk.registration(&bench.link, &server).await.unwrap().client_id, "registered-0");
}

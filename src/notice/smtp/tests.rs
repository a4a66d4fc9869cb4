use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::dialog::{Dialog, Extensions};
use super::sign_in;

/// Bytes that a stream of these tests holds.
const ROOM_BYTES: usize = 4_096;

/// A conversation with a server that has said all it will say.
async fn with_replies(replies: &str) -> (Dialog<DuplexStream>, DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(ROOM_BYTES);
    theirs.write_all(replies.as_bytes()).await.unwrap();
    (Dialog::new(ours), theirs)
}

/// All that the server was told.
async fn told(dialog: Dialog<DuplexStream>, mut theirs: DuplexStream) -> String {
    drop(dialog);
    let mut text = String::new();
    theirs.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn no_line_of_a_message_ends_it() {
    for (message, sent) in [
        ("a\r\nb\r\n", "a\r\nb\r\n.\r\n"),
        (".\r\nMAIL FROM:<x@y>\r\n", "..\r\nMAIL FROM:<x@y>\r\n.\r\n"),
        ("a\r\n.\r\n..b\r\n", "a\r\n..\r\n...b\r\n.\r\n"),
    ] {
        let (mut dialog, theirs) = with_replies("").await;
        dialog.data(message).await.unwrap();
        assert_eq!(told(dialog, theirs).await, sent, "{message:?}");
    }
}

#[tokio::test]
async fn a_stream_on_which_more_was_said_is_not_handed_on() {
    for (more, quiet) in [("", true), ("250 injected\r\n", false), ("2", false)] {
        let (mut dialog, _theirs) = with_replies(&format!("220 go on\r\n{more}")).await;
        dialog.command("STARTTLS", "STARTTLS", &[220]).await.unwrap();
        assert_eq!(dialog.into_quiet_stream().is_some(), quiet, "{more:?}");
    }
}

#[tokio::test]
async fn whoever_signs_in_shows_the_password_by_what_is_offered() {
    let all = Extensions { auth_plain: true, auth_login: true, ..Extensions::default() };
    let plain = Extensions { auth_login: false, ..all };
    let login = Extensions { auth_plain: false, ..all };
    let (by_plain, by_login) = ("AUTH PLAIN AHUAcA==\r\n", "AUTH LOGIN\r\ndQ==\r\ncA==\r\n");
    for (offered, replies, holds, sent) in [
        (all, "235 in\r\n", true, by_plain),
        (plain, "535 no\r\n", false, by_plain),
        (login, "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 in\r\n", true, by_login),
        (login, "334 a\r\n535 no\r\n", false, "AUTH LOGIN\r\ndQ==\r\n"),
        (login, "334 a\r\n334 b\r\n535 no\r\n", false, by_login),
        (Extensions::default(), "", false, ""),
    ] {
        let (mut dialog, theirs) = with_replies(replies).await;
        let signed_in = sign_in(&mut dialog, &offered, "u", &SecretString::from("p")).await;
        assert_eq!(signed_in.is_ok(), holds, "{offered:?} {replies:?}");
        assert_eq!(told(dialog, theirs).await, sent, "{offered:?} {replies:?}");
    }
}

#[tokio::test]
async fn what_a_server_offers_is_read_from_its_greeting() {
    let (mut dialog, _theirs) = with_replies("250-mail.test AUTH\r\n250-auth login XOAUTH2\r\n250 StartTLS\r\n").await;
    let offered = dialog.hello("gw.example.com").await.unwrap();
    assert_eq!(offered, Extensions { starttls: true, auth_plain: false, auth_login: true });
}

//! Submitting a message to a mail server (RFC 5321, RFC 6409), over TLS, from an address that may be dialled.

mod dialog;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::channel::Trouble;
use super::facts::Facts;
use super::format::mail;
use super::limits::{NOTICE_ATTEMPT_MS_MAX, NOTICE_QUIT_MS_MAX};
use crate::config::{MailTls, Smtp};
use crate::net::{DialPolicy, Origin, Stream, dial, secure};
use crate::vocab::Deadline;
use dialog::{Dialog, Extensions};

/// Sends `facts` to everybody of `settings`.
pub(super) async fn send(
    tls: &Arc<ClientConfig>,
    settings: &Smtp,
    channel: &str,
    facts: &Facts,
    console: &str,
) -> Result<(), Trouble> {
    let domain = domain(console);
    let message = mail::message(settings, channel, facts, &domain);
    let origin = Origin { https: settings.tls != MailTls::None, host: settings.host.clone(), port: settings.port };
    // A loopback address written in the config is its own consent.
    let policy = DialPolicy { allow_private: settings.allow_private_addresses, allow_loopback: origin.names_loopback() };
    let deadline = Deadline::after(Duration::from_millis(NOTICE_ATTEMPT_MS_MAX));
    let failed = |error: crate::net::DialError| Trouble::new(error.to_string());
    // Mail servers speak no HTTP, and some refuse whoever offers it.
    let mut tls = ClientConfig::clone(tls);
    tls.alpn_protocols.clear();
    let tls = Arc::new(tls);
    let tcp = dial(&origin.host, origin.port, policy, deadline).await.map_err(failed)?;
    match settings.tls {
        MailTls::None => {
            let (dialog, offered) = greeted(Dialog::new(tcp), &domain).await?;
            submit(dialog, &offered, settings, &message).await
        }
        MailTls::Implicit => {
            let stream = secure(tcp, &origin, &tls, deadline).await.map_err(failed)?;
            let (dialog, offered) = greeted(Dialog::new(stream), &domain).await?;
            submit(dialog, &offered, settings, &message).await
        }
        MailTls::StartTls => {
            let (mut dialog, offered) = greeted(Dialog::new(tcp), &domain).await?;
            if !offered.starttls {
                return Err(Trouble::new("the mail server offers no STARTTLS"));
            }
            dialog.command("STARTTLS", "STARTTLS", &[220]).await?;
            // What came in clear after the answer would pass for something that came encrypted.
            let tcp = dialog.into_quiet_stream().ok_or_else(|| Trouble::new("the mail server spoke before TLS"))?;
            let stream: Stream = secure(tcp, &origin, &tls, deadline).await.map_err(failed)?;
            let mut dialog = Dialog::new(stream);
            let offered = dialog.hello(&domain).await?;
            submit(dialog, &offered, settings, &message).await
        }
    }
}

async fn greeted<S: AsyncRead + AsyncWrite + Unpin>(
    mut dialog: Dialog<S>,
    domain: &str,
) -> Result<(Dialog<S>, Extensions), Trouble> {
    dialog.expect("the greeting", &[220]).await?;
    let offered = dialog.hello(domain).await?;
    Ok((dialog, offered))
}

async fn submit<S: AsyncRead + AsyncWrite + Unpin>(
    mut dialog: Dialog<S>,
    offered: &Extensions,
    settings: &Smtp,
    message: &str,
) -> Result<(), Trouble> {
    if let Some((user, password)) = &settings.login {
        sign_in(&mut dialog, offered, user, password).await?;
    }
    dialog.command("MAIL", &format!("MAIL FROM:<{}>", settings.from), &[250]).await?;
    let (mut taken, mut last) = (0_usize, None);
    for to in &settings.to {
        match dialog.command("RCPT", &format!("RCPT TO:<{to}>"), &[250, 251]).await {
            Ok(()) => taken += 1,
            Err(trouble) if dialog.is_over() => return Err(trouble),
            Err(trouble) => last = Some(trouble),
        }
    }
    match last {
        Some(trouble) if taken == 0 => return Err(trouble),
        // Sent again it would come twice to the others.
        Some(trouble) => tracing::warn!(why = trouble.words, "the mail server does not take every address"),
        None => {}
    }
    dialog.command("DATA", "DATA", &[354]).await?;
    dialog.data(message).await?;
    dialog.expect("the message", &[250]).await?;
    // It is taken, whatever becomes of the rest.
    let leave = Duration::from_millis(NOTICE_QUIT_MS_MAX);
    drop(tokio::time::timeout(leave, dialog.command("QUIT", "QUIT", &[221])).await);
    Ok(())
}

/// RFC 4954: by PLAIN (RFC 4616), or by LOGIN, which is all that some servers have. Both show the password, so only TLS hides it.
async fn sign_in<S: AsyncRead + AsyncWrite + Unpin>(
    dialog: &mut Dialog<S>,
    offered: &Extensions,
    user: &str,
    password: &SecretString,
) -> Result<(), Trouble> {
    if offered.auth_plain {
        let secret = SecretString::from(STANDARD.encode(format!("\0{user}\0{}", password.expose_secret())));
        return dialog.command("AUTH", &format!("AUTH PLAIN {}", secret.expose_secret()), &[235]).await;
    }
    if !offered.auth_login {
        return Err(Trouble::new("the mail server offers neither AUTH PLAIN nor LOGIN"));
    }
    dialog.command("AUTH", "AUTH LOGIN", &[334]).await?;
    dialog.command("the user name", &STANDARD.encode(user), &[334]).await?;
    let secret = SecretString::from(STANDARD.encode(password.expose_secret()));
    dialog.command("the password", secret.expose_secret(), &[235]).await
}

/// What we are called in mails: the host of the console; an address in brackets (RFC 5321 section 4.1.3).
fn domain(console: &str) -> String {
    let origin = Url::parse(console).ok().and_then(|url| Origin::of(&url));
    let Some(Origin { host, .. }) = origin else { return "localhost".to_owned() };
    match host.parse() {
        Ok(IpAddr::V4(ip)) => format!("[{ip}]"),
        Ok(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Err(_) => host,
    }
}

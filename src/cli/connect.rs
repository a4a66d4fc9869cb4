//! `connect`: a client that only speaks stdio reaches the gateway through this process.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use clap::Args;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::exit::{Exit, Failure};
use crate::bridge::{self, BridgeError, Settings};
use crate::net::client_config;
use crate::vocab::limits::TOKEN_BYTES_MAX;

/// Environment variable with the token to show.
const TOKEN: &str = "PORTCULLIS_TOKEN";

#[derive(Debug, Args)]
pub(super) struct ConnectArgs {
    /// A route of the gateway, as agents reach it, such as https://gateway.example.com/mcp
    #[arg(value_name = "URL")]
    url: Url,
    /// A file with the token or API key to show; else PORTCULLIS_TOKEN; else a person signs in with a browser
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A certificate authority to trust besides the machine's (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A client id that the authorization server knows, where it takes no registrations
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The gateway, and the authorization server it names, may have private addresses
    #[arg(long)]
    allow_private_addresses: bool,
    /// Ask for a sign-in each time instead of keeping one, readable by you only
    #[arg(long)]
    forget: bool,
}

pub(super) fn run(args: ConnectArgs) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::fault)?;
    let token = token(&args)?;
    let settings = Settings {
        token,
        client_id: args.client_id,
        tls: client_config(args.ca.as_deref()).map_err(Failure::input)?,
        allow_private_addresses: args.allow_private_addresses,
        state_file: if args.forget { None } else { state_file(&args.url, |name| std::env::var_os(name)) },
        // Clients show what a server says on stderr; where nobody reads it, nothing is lost.
        tell: Arc::new(|words| drop(writeln!(std::io::stderr(), "portcullis: {words}"))),
        url: args.url,
    };
    let carried = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::fault)?;
        let stopping = stop.clone();
        let work = bridge::run(settings, tokio::io::stdin(), tokio::io::stdout(), stop);
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => done.map_err(failed),
            _ = terminate.recv() => {
                stopping.cancel();
                work.await.map_err(failed)
            }
        }
    });
    // A read of standard input cannot be interrupted, and nothing depends on it.
    runtime.shutdown_background();
    carried.map(|()| Exit::Yes)
}

fn failed(error: BridgeError) -> Failure {
    Failure::input(error)
}

fn token(args: &ConnectArgs) -> Result<Option<SecretString>, Failure> {
    let text = match &args.token_file {
        Some(file) => {
            let unreadable = |why: &dyn std::fmt::Display| Failure::input(format_args!("{}: {why}", file.display()));
            let mut text = String::new();
            let opened = std::fs::File::open(file).map_err(|error| unreadable(&error))?;
            let most = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX);
            opened.take(most).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
            Some(text)
        }
        None => std::env::var(TOKEN).ok(),
    };
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let token = text.trim();
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::input("the token holds characters that no token has"));
    }
    Ok(Some(token.into()))
}

/// Where the sign-in for `url` is kept: under the state directory of the person (XDG Base Directory).
fn state_file(url: &Url, var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    let name: String = digest(&SHA256, url.as_str().as_bytes()).as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect();
    Some(base.join("portcullis/connect").join(name).with_extension("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_has_a_file_of_its_own_in_the_persons_state_directory() {
        let url = |text: &str| Url::parse(text).unwrap();
        let home = |name: &str| (name == "HOME").then(|| "/home/a".into());
        let one = state_file(&url("https://a.example/mcp"), home).unwrap();
        assert!(one.starts_with("/home/a/.local/state/portcullis/connect"), "{one:?}");
        assert_ne!(state_file(&url("https://b.example/mcp"), home).unwrap(), one);
        let xdg = |name: &str| (name == "XDG_STATE_HOME").then(|| "/state".into());
        assert!(state_file(&url("https://a.example/mcp"), xdg).unwrap().starts_with("/state/portcullis"));
        assert_eq!(state_file(&url("https://a.example/mcp"), |_| None), None);
    }
}

//! `token`: a development token from the embedded issuer.

use std::path::Path;

use secrecy::ExposeSecret as _;

use super::args::TokenArgs;
use super::exit::{Exit, Failure};
use super::out::Out;
use crate::config::{self, Config, Tls};
use crate::identity::dev::{DevIssuer, DevIssuerError, TokenRequest};
use crate::vocab::Clock;

/// Where a running gateway writes the address its agents' listener is bound to, under the data directory.
const ADDRESS_FILE: &str = "run/mcp.addr";
/// Longest address in that file, in bytes.
const ADDRESS_BYTES_MAX: u64 = 128;

pub(super) fn run(args: TokenArgs, out: &mut Out) -> Result<Exit, Failure> {
    let config = config::load_to_judge(&args.config.config).map_err(|problems| Failure::problems(&problems))?;
    if !config.identity.dev {
        let file = config.file.display();
        return Err(Failure::input(format_args!("{file}: the development issuer is off: identity.dev.enabled")));
    }
    let audience = match args.admin {
        true => admin_origin(&config)?,
        false => format!("{}{}", origin(&config)?, route(&config, args.route.as_deref())?),
    };
    let issuer = DevIssuer::open_or_create(&config.data_dir).map_err(|error| match error {
        DevIssuerError::Crypto(_) => Failure::fault(error),
        _ => Failure::input(error),
    })?;
    let TokenArgs { sub, groups, scopes, client_id, expires, .. } = args;
    let request = TokenRequest { sub, groups, scopes, client_id, audience, expires };
    let token = issuer.mint(&request, Clock::system().unix_s()).map_err(Failure::fault)?;
    out.line(token.expose_secret());
    Ok(Exit::Yes)
}

/// The origin that clients see, which the audience of a token begins with.
pub(super) fn origin(config: &Config) -> Result<String, Failure> {
    if let Some(public_url) = &config.public_url {
        return Ok(public_url.origin());
    }
    let mut address = config.listen;
    if address.port() == 0 {
        address.set_port(bound_port(&config.data_dir.join(ADDRESS_FILE))?);
    }
    let (scheme, own_port) = if config.tls == Tls::None { ("http", 80) } else { ("https", 443) };
    let text = format!("{scheme}://{address}");
    let without_port = text.strip_suffix(&format!(":{own_port}")).filter(|_| address.port() == own_port);
    Ok(without_port.unwrap_or(&text).to_owned())
}

/// Where operators find the gateway: `admin.public_url`, or else `admin.listen`.
pub(super) fn admin_origin(config: &Config) -> Result<String, Failure> {
    let Some(admin) = &config.admin else { return Err(Failure::input("`admin` is none: there is no console")) };
    let scheme = if admin.tls == Tls::None { "http" } else { "https" };
    match &admin.public_url {
        Some(url) => Ok(url.origin()),
        None if admin.listen.port() == 0 => {
            Err(Failure::input("`admin.listen` has port 0: nobody can know where the console is; write `admin.public_url`"))
        }
        None => Ok(format!("{scheme}://{}", admin.listen)),
    }
}

/// The port that a running gateway took.
fn bound_port(file: &Path) -> Result<u16, Failure> {
    use std::io::Read as _;
    let failed = |why: &dyn std::fmt::Display| {
        let file = file.display();
        Failure::input(format_args!("`listen` has port 0, and {file} does not say which port was taken: {why}"))
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(&error))?;
    opened.take(ADDRESS_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
    let address: std::net::SocketAddr = text.trim().parse().map_err(|error| failed(&error))?;
    Ok(address.port())
}

/// The route that is meant: the only one, unless it is named.
pub(super) fn route<'c>(config: &'c Config, asked: Option<&str>) -> Result<&'c str, Failure> {
    let known = || config.routes.iter().map(|route| route.path.as_str()).collect::<Vec<_>>().join(", ");
    match (asked, config.routes.as_slice()) {
        (None, [only]) => Ok(&only.path),
        (None, _) => Err(Failure::input(format_args!("--route PATH is needed; configured: {}", known()))),
        (Some(path), routes) => match routes.iter().find(|route| route.path == path) {
            Some(route) => Ok(&route.path),
            None => Err(Failure::input(format_args!("--route {path}: is no route; configured: {}", known()))),
        },
    }
}

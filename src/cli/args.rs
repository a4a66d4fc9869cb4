//! The command line, as clap reads it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{access, approvals, audit, connect, explain, replay, test};

const NOT_BUILT: &str = "Not built yet: lock, completions, man.\n\
                         Exit codes: 0 yes, 1 no, 2 the input is wrong, 70 our fault.";

/// A security-hardened gateway between agents and MCP servers.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = NOT_BUILT, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the gateway until SIGTERM or SIGINT; SIGHUP reloads
    Serve(ConfigArg),
    /// Check config and policies, and print every mistake
    Check(CheckArgs),
    /// Write a config and a first policy from the files in which clients keep their MCP servers
    Init(InitArgs),
    /// Run policy cases (*.cases.yaml) and say what they leave untried
    Test(test::TestArgs),
    /// Explain one decision, rule by rule
    Explain(explain::ExplainArgs),
    /// Show who can do what, or what another policy changes about it
    Access(access::AccessArgs),
    /// Decide recorded calls again
    Replay(replay::ReplayArgs),
    /// The audit log: verify it, prove a record of it
    Audit(audit::AuditArgs),
    /// The approval desk: look, approve, deny, withdraw
    Approvals(approvals::ApprovalsArgs),
    /// Run a gateway with a sample MCP server on loopback and walk through it
    Demo(DemoArgs),
    /// The sample MCP server of the demo, over stdio
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    DemoServer,
    /// Bridge a client that only speaks stdio to the gateway
    Connect(connect::ConnectArgs),
    /// Print a development token (identity.dev)
    Token(TokenArgs),
    /// API keys
    Key {
        #[command(subcommand)]
        verb: KeyVerb,
    },
    /// Print a JSON Schema
    Schema {
        /// Of what
        of: SchemaOf,
    },
    /// Print the version
    Version,
    /// Ask the gateway on this machine whether it is alive: 0 yes, 1 no
    #[command(hide = true)]
    Health {
        /// Where its admin listener is
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443")]
        address: SocketAddr,
        /// Ask whether it is ready instead
        #[arg(long)]
        ready: bool,
    },
    #[command(hide = true)]
    Lock(Unread),
    #[command(hide = true)]
    Completions(Unread),
    #[command(hide = true)]
    Man(Unread),
}

/// Arguments of a verb that is not built yet; whatever they are.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Unread {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) _rest: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArg {
    /// The config file
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG", default_value = "config/portcullis.yaml")]
    pub(super) config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// The tools that exist, as JSON: a list of names, or what tools/list answered
    #[arg(long, value_name = "FILE")]
    pub(super) tools: Option<PathBuf>,
    /// Exit with 1 where there are warnings
    #[arg(long)]
    pub(super) strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// A file of a client, such as mcp.json; may be given several times [default: those in the usual places]
    #[arg(long, value_name = "FILE")]
    pub(super) from: Vec<PathBuf>,
    /// Where `config` and `policies` go
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) dir: PathBuf,
    /// The directory below `policies`
    #[arg(long, default_value = "main", value_parser = directory_name)]
    pub(super) name: String,
    /// Contact no server; its tools are then not listed
    #[arg(long)]
    pub(super) offline: bool,
    /// Write over files that are there
    #[arg(long)]
    pub(super) force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after the walk
    #[arg(long)]
    pub(super) once: bool,
    /// Where its files go, and stay [default: a directory that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Loopback address for agents [default: 127.0.0.1:8443, or any free port where that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(flatten)]
    pub(super) config: ConfigArg,
    /// Whose token
    #[arg(long, value_name = "SUBJECT", value_parser = non_empty)]
    pub(super) sub: String,
    /// Its groups claim
    #[arg(long, value_name = "GROUP,..", value_delimiter = ',', value_parser = non_empty)]
    pub(super) groups: Vec<String>,
    /// Scopes it grants
    #[arg(long = "scope", value_name = "SCOPE,..", value_delimiter = ',', value_parser = scope)]
    pub(super) scopes: Vec<String>,
    /// The OAuth client it names
    #[arg(long, value_name = "ID", value_parser = non_empty)]
    pub(super) client_id: Option<String>,
    /// The route it is for [default: the only one]
    #[arg(long, value_name = "PATH")]
    pub(super) route: Option<String>,
    /// For the operators' listener instead of a route: for the admin API and `approvals`
    #[arg(long, conflicts_with = "route")]
    pub(super) admin: bool,
    /// How long it holds, such as 30m or 8h; at most 30 days
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = life)]
    pub(super) expires: Duration,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyVerb {
    /// Make an API key, print it once and the config entry for it
    New(KeyArgs),
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// Whose key; the subject is `key:NAME`
    #[arg(long, value_parser = key_name)]
    pub(super) name: String,
    /// Groups, as if from the groups claim
    #[arg(long, value_name = "GROUP,..", value_delimiter = ',', value_parser = non_empty)]
    pub(super) groups: Vec<String>,
    /// Scopes it grants
    #[arg(long, value_name = "SCOPE,..", value_delimiter = ',', value_parser = scope)]
    pub(super) scopes: Vec<String>,
    /// A date (start of that day, UTC) or an RFC 3339 time [default: never]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(super) expires: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SchemaOf {
    /// The config file
    Config,
    /// Policy files
    Policy,
    /// Policy cases
    Cases,
    /// Audit records
    Audit,
}

/// Longest life of a development token, in seconds.
const LIFE_S_MAX: u64 = 30 * 24 * 3_600;
/// Length of the name of an API key, in bytes.
const KEY_NAME_BYTES_MAX: usize = 64;

fn non_empty(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("is empty"),
        _ if text.chars().any(char::is_control) => Err("has a control character"),
        _ => Ok(text.to_owned()),
    }
}

/// A scope token of RFC 6749 section 3.3.
fn scope(text: &str) -> Result<String, &'static str> {
    let legal = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if !text.is_empty() && text.bytes().all(legal) { Ok(text.to_owned()) } else { Err("is not a scope") }
}

/// As the config will have it.
fn key_name(text: &str) -> Result<String, &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let fits = (1..=KEY_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal);
    if fits { Ok(text.to_owned()) } else { Err("is not 1 to 64 letters, digits, `.`, `_` and `-`") }
}

/// One name, that neither leads elsewhere nor needs quoting.
fn directory_name(text: &str) -> Result<String, &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(legal);
    if fits { Ok(text.to_owned()) } else { Err("is not 1 to 64 letters, digits, `_` and `-`") }
}

fn life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (1..=LIFE_S_MAX).contains(&life.as_secs()) { Ok(life) } else { Err("is not between 1s and 30days".to_owned()) }
}

/// A date or time as it will stand in the config. A past one is most likely a slip, and the key would never work.
fn date(text: &str) -> Result<String, &'static str> {
    let wrong = "is not a date such as 2027-01-01, nor an RFC 3339 time such as 2027-01-01T12:00:00Z";
    let time = if text.len() == "2027-01-01".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = humantime::parse_rfc3339(&time).map_err(|_| wrong)?;
    let unix_s = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong)?.as_secs();
    if unix_s > crate::vocab::Clock::system().unix_s() { Ok(text.to_owned()) } else { Err("is in the past") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn lives_and_dates() {
        for (text, seconds) in [
            ("1h", Some(3_600)),
            ("90s", Some(90)),
            ("30d", Some(LIFE_S_MAX)),
            ("31d", None),
            ("0s", None),
            ("999ms", None),
            ("x", None),
        ] {
            assert_eq!(life(text).ok().map(|d| d.as_secs()), seconds, "{text}");
        }
        for (text, good) in [
            ("2999-01-01", true),
            ("2999-01-01T12:00:00Z", true),
            ("2001-01-01", false),
            ("2999-13-01", false),
            ("tomorrow", false),
            ("2999-01-1", false),
            ("", false),
        ] {
            assert_eq!(date(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn scopes_are_single_words() {
        for (text, good) in [("mcp:read", true), ("a b", false), ("", false), ("a\"b", false), ("é", false)] {
            assert_eq!(scope(text).is_ok(), good, "{text}");
        }
    }
}

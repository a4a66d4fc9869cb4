//! `approvals`: the approval desk from a terminal, through the admin API, as the person whose token is in PORTCULLIS_TOKEN.

mod lease;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::{HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::args::ConfigArg;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::token::admin_origin;
use crate::approval::RequestId;
use crate::config::{self, Tls};
use crate::net::{DialPolicy, Fetch, Payload, Replied, client_config};
use crate::vocab::limits::{ADMIN_PAGE_ITEMS_MAX, APPROVAL_REASON_CHARS_MAX};

/// Environment variable with the token to show.
const TOKEN: &str = "PORTCULLIS_TOKEN";
/// Time for one request.
const REQUEST: Duration = Duration::from_secs(30);
/// Answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pages of one list.
const PAGES_MAX: usize = 1_000;

#[derive(Debug, Args)]
#[command(after_help = "The token is read from PORTCULLIS_TOKEN; its audience is the console's address.")]
pub(super) struct ApprovalsArgs {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    config: ConfigArg,
    /// Where the console is [default: `admin.public_url`, or else `admin.listen`, of the config]
    #[arg(long, value_name = "URL", global = true)]
    admin: Option<Url>,
    /// A certificate authority to trust besides the machine's (PEM)
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Print one JSON document, as the API gives it
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Requests for approval, the newest first
    List {
        /// Only in this state; `all` for every one
        #[arg(long, value_parser = ["pending", "approved", "denied", "expired", "withdrawn", "used", "all"], default_value = "pending")]
        state: String,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// One request, whole, with its arguments
    Show(One),
    /// Say yes to one call; with --lease to similar calls too
    Approve(Approve),
    /// Say no, which ends the request
    Deny(Decide),
    /// Take back a request of your own, or end a lease
    Withdraw(One),
    /// Leases in force
    Leases {
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    #[arg(value_name = "ID", value_parser = id)]
    id: RequestId,
}

#[derive(Debug, Args)]
struct Decide {
    /// Its id
    #[arg(value_name = "ID", value_parser = id)]
    id: RequestId,
    /// Why, for the record; at most 500 characters
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = reason)]
    reason: String,
}

#[derive(Debug, Args)]
struct Approve {
    #[command(flatten)]
    decide: Decide,
    #[command(flatten)]
    lease: lease::Lease,
}

fn id(text: &str) -> Result<RequestId, &'static str> {
    RequestId::parse(text).ok_or("is not the id of a request: apr_ and 22 characters")
}

fn reason(text: &str) -> Result<String, String> {
    let fits = text.chars().count() <= APPROVAL_REASON_CHARS_MAX;
    if fits { Ok(text.to_owned()) } else { Err(format!("is longer than {APPROVAL_REASON_CHARS_MAX} characters")) }
}

pub(super) fn run(args: ApprovalsArgs, out: &mut Out) -> Result<Exit, Failure> {
    let api = Api::open(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::fault)?;
    let what = args.what.unwrap_or_else(|| What::List { state: "pending".to_owned(), limit: 100 });
    let said = runtime.block_on(async {
        match &what {
            What::List { state, limit } => {
                let filter = if state == "all" { String::new() } else { format!("&state={state}") };
                api.list("approvals", &filter, *limit).await
            }
            What::Leases { limit } => api.list("leases", "", *limit).await,
            What::Show(One { id }) => api.ask(&format!("/api/v1/approvals/{id}"), None).await,
            What::Approve(Approve { decide: Decide { id, reason }, lease }) => {
                api.decide(id, "approve", &lease::body(reason, Some(lease))?).await
            }
            What::Deny(Decide { id, reason }) => api.decide(id, "deny", &lease::body(reason, None)?).await,
            What::Withdraw(One { id }) => api.decide(id, "withdraw", "{}").await,
        }
    })?;
    match said {
        Said::No(words) => {
            out.note(format_args!("portcullis: {words}"));
            return Ok(Exit::No);
        }
        Said::Yes(value) if args.json => out.line(value),
        Said::Yes(value) => match what {
            What::List { .. } => show::list(&value, out),
            What::Leases { .. } => show::leases(&value, out),
            What::Show(_) => show::whole(&value, out),
            What::Approve(_) | What::Deny(_) | What::Withdraw(_) => show::decided(&value, out),
        },
    }
    Ok(Exit::Yes)
}

/// What the API answered.
enum Said {
    Yes(Value),
    /// A refusal, made fit for a terminal.
    No(String),
}

struct Api {
    fetch: Fetch,
    admin: Url,
    token: SecretString,
}

impl Api {
    fn open(args: &ApprovalsArgs) -> Result<Self, Failure> {
        let token = std::env::var(TOKEN).unwrap_or_default();
        let token = token.trim();
        if token.is_empty() {
            return Err(Failure::input(format_args!("{TOKEN} is not set: it says who decides")));
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::input(format_args!("{TOKEN} holds characters that no token has")));
        }
        let (admin, ca) = match &args.admin {
            Some(admin) => (admin.clone(), args.ca.clone()),
            None => {
                let (admin, own_ca) = configured(args)?;
                (admin, args.ca.clone().or(own_ca))
            }
        };
        let tls = client_config(ca.as_deref()).map_err(Failure::input)?;
        Ok(Self { fetch: Fetch::new(tls).with_time_max(REQUEST), admin, token: token.into() })
    }

    /// Up to `limit` requests of the list `name`.
    async fn list(&self, name: &str, filter: &str, limit: usize) -> Result<Said, Failure> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page = (limit - items.len()).clamp(1, ADMIN_PAGE_ITEMS_MAX);
            let answered = self.ask(&format!("/api/v1/{name}?limit={page}{filter}{cursor}"), None).await?;
            let Said::Yes(mut page) = answered else { return Ok(answered) };
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(more)) => items.extend(more),
                _ => return Err(Failure::fault("the console answers something else than a list")),
            }
            let next = page.get("next").and_then(Value::as_str).and_then(RequestId::parse);
            match next {
                Some(next) if items.len() < limit => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        items.truncate(limit);
        Ok(Said::Yes(json!({ "items": items })))
    }

    async fn decide(&self, id: &RequestId, verb: &str, body: &str) -> Result<Said, Failure> {
        self.ask(&format!("/api/v1/approvals/{id}/{verb}"), Some(body)).await
    }

    /// GET, or POST with a body.
    async fn ask(&self, target: &str, body: Option<&str>) -> Result<Said, Failure> {
        let url = self.admin.join(target).map_err(Failure::input)?;
        let bearer = SecretString::from(format!("Bearer {}", self.token.expose_secret()));
        let mut bearer = HeaderValue::from_str(bearer.expose_secret()).map_err(Failure::input)?;
        bearer.set_sensitive(true);
        let headers: [(HeaderName, HeaderValue); 1] = [(header::AUTHORIZATION, bearer)];
        // Whoever runs the program wrote the address, and is asked for nothing more.
        let anywhere = DialPolicy { allow_private: true, allow_loopback: true };
        let payload = body.map_or(Payload::None, Payload::Json);
        let sent = self.fetch.send(&url, anywhere, &headers, payload, ANSWER_BYTES_MAX).await;
        let got = sent.map_err(|error| Failure::input(format_args!("{}: {error}", self.admin)))?;
        let value: Option<Value> = serde_json::from_slice(&got.body).ok();
        match (got.status, value) {
            (StatusCode::OK, Some(value)) => Ok(Said::Yes(value)),
            (StatusCode::UNAUTHORIZED, _) => {
                Err(Failure::input(format_args!("the token in {TOKEN} is not accepted at {}", self.admin)))
            }
            (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE, value) => {
                Ok(Said::No(refusal(&got, value.as_ref())))
            }
            (status, value) if status.is_client_error() => Err(Failure::input(refusal(&got, value.as_ref()))),
            (status, _) => Err(Failure::fault(format_args!("{} answered {status}", self.admin))),
        }
    }
}

fn refusal(got: &Replied, value: Option<&Value>) -> String {
    let detail = value.and_then(|value| value.get("detail")?.as_str()).map(show::visible);
    detail.unwrap_or_else(|| format!("answered {}", got.status.as_u16()))
}

/// Where the console of the config is, and the CA of a listener that is self-signed.
fn configured(args: &ApprovalsArgs) -> Result<(Url, Option<PathBuf>), Failure> {
    let config = config::load_to_judge(&args.config.config).map_err(|problems| Failure::problems(&problems))?;
    let origin = admin_origin(&config)?;
    let self_signed = config.admin.as_ref().is_some_and(|admin| admin.tls == Tls::SelfSigned);
    let ca = self_signed.then(|| config.data_dir.join("tls/ca.pem"));
    Ok((origin.parse().map_err(Failure::input)?, ca))
}

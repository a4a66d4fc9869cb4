//! Asks servers what tools they have, in the way the gateway will.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_util::task::TaskTracker;

use super::InitError;
use super::words::plain;
use crate::app::credentials::Outside;
use crate::app::load;
use crate::catalog::{Access, Catalog, Entry, Freshness, Part};
use crate::config::Config;
use crate::mcp::client_caps::ClientCaps;
use crate::net::{Fetch, client_config};
use crate::policy::{self, Facts, PolicySet};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Registry, Upstream};
use crate::vocab::limits::{INIT_CONTACT_MS_MAX, INIT_CONTACTS_MAX};
use crate::vocab::{Class, Clock, Deadline, Fault, Principal};

/// A tool of a server.
pub(super) struct Tool {
    /// `upstream__name`: letters, digits, `_`, `-` and `.`
    pub(super) full: String,
    /// What it most likely does.
    pub(super) class: Class,
    /// The first line of what its server says about it, fit for a comment.
    pub(super) about: String,
}

/// The tools of an upstream, by its name, or why they are not known.
pub(super) type Answer = (String, Result<Vec<Tool>, String>);

/// The right to read lists and nothing else: no call is ever decided by this.
const LISTS_ONLY: &str = "version: 1\nrules: [{ id: lists, effect: allow, principals: [any], tools: ['*'] }]\n";
/// Time for servers to end.
const CLOSE: Duration = Duration::from_secs(5);

/// The tools of the upstreams of `config` for which `wanted` holds, in order, each with why they are not known where they are not.
pub(super) fn tools(config: &Config, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Answer>, InitError> {
    let fault = |why: &dyn std::fmt::Display| InitError::Fault(why.to_string());
    crate::identity::install_crypto();
    let tls = client_config(None).map_err(|error| fault(&error))?;
    let outside = Outside::new(Fetch::new(tls.clone()), &config.data_dir, &Clock::system(), None, None);
    // What is drafted here shows no upstream anything of a person, so nothing is asserted under a name of the gateway.
    let settings = load::upstreams(config, "", &outside).map_err(InitError::Fault)?;
    let settings: Vec<_> = settings.into_iter().filter(|one| wanted(&one.name)).collect();
    let names: Vec<String> = settings.iter().map(|one| one.name.to_string()).collect();
    let files = [("lists.yaml".to_owned(), LISTS_ONLY.to_owned())];
    let policy = policy::compile(&files, &Facts { upstreams: &names, issuers: &[] });
    let policy = policy.map_err(InitError::Problems)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| fault(&error))?;
    runtime.block_on(async {
        let registry = Registry::new(tls, Arc::new(|_, _, _| {}));
        registry.apply(&settings).map_err(|error| fault(&error))?;
        let asker = Asker::new(policy);
        let asked = stream::iter(&names).map(|name| {
            let (upstream, asker) = (registry.get(name), &asker);
            async move {
                let tools = match upstream {
                    Some(upstream) => asker.ask(&upstream).await.map_err(|fault| plain(&fault.detail)),
                    None => Err("it is not there".to_owned()),
                };
                (name.clone(), tools)
            }
        });
        let tools: Vec<_> = asked.buffered(INIT_CONTACTS_MAX).collect().await;
        registry.shutdown(Deadline::after(CLOSE)).await;
        Ok(tools)
    })
}

struct Asker {
    access: Access,
    catalog: Catalog,
}

impl Asker {
    fn new(policy: PolicySet) -> Self {
        let (policy, principal) = (Arc::new(policy), Arc::new(Principal::anonymous()));
        let subject = Arc::new(policy.subject(&principal));
        let now_unix_ms = i64::try_from(Clock::system().unix_ms()).unwrap_or(0);
        let access = Access { policy, principal, subject, observe: None, route: "/mcp".into(), now_unix_ms };
        Self { access, catalog: Catalog::new(Arc::new(Metrics::new()), TaskTracker::new()) }
    }

    async fn ask(&self, upstream: &Arc<Upstream>) -> Result<Vec<Tool>, Fault> {
        let deadline = Deadline::after(Duration::from_millis(INIT_CONTACT_MS_MAX));
        let who = self.access.principal.key();
        // Opened first: a program may have to be fetched, which takes longer than a gateway waits for a list.
        if let Ok(permit) = self.access.permit(&upstream.settings().name) {
            upstream.ready(&who, ClientCaps::NONE, &permit, deadline).await?;
        }
        let view = self.catalog.view(upstream, &who, ClientCaps::NONE);
        let seen = view.list(Part::Tools, &self.access, Freshness::Now, deadline).await?;
        Ok(seen.listing.entries().iter().map(|entry| tool(entry)).collect())
    }
}

fn tool(entry: &Entry) -> Tool {
    let read: Option<serde_json::Value> = serde_json::from_str(entry.raw.as_str()).ok();
    let about = read.as_ref().and_then(|tool| tool.get("description")?.as_str()).unwrap_or_default();
    let about = plain(about.trim_start().lines().next().unwrap_or_default());
    Tool { full: entry.full.to_string(), class: policy::propose(&entry.name, entry.hints), about }
}

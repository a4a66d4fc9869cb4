//! People linking accounts of their own at upstreams, and the tokens that come of it.
//!
//! Whoever has to link an account is led to a page (`/connect/UPSTREAM`) where they sign in at the gateway, must be the principal
//! whose agent was told so, and consent at the upstream's authorization server. What comes back goes into the vault and from
//! there to that upstream only, on behalf of that person only. Discovery, registration and grants are those of [`crate::oauth`].

mod callback;
mod flight;
mod identities;
mod link;
mod pace;
mod pages;
mod people;
mod plan;
mod registration;
mod renew;
mod start;
mod ticket;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

pub use identities::Identities;
pub use link::{Link, Links, OwnRegistration};
pub use pages::Desktop;
pub use people::People;

use crate::oauth::{At, Client, OwnClient, ServerMetadata, SigningKey};
use crate::seal::Sealer;
use crate::signin::SignIn;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::vault::{Held, Vault, VaultError};
use crate::vocab::limits::{LINK_S_MAX, LINKED_CACHED_MAX, LINKED_CACHED_S_MAX};
use crate::vocab::{Clock, Deadline, Fault, FaultKind, PrincipalKey};
use flight::Flights;
use pace::Pace;
pub use tokens::Usable;
use tokens::{Doubt, Fresh};

/// Path of the pages; the name of an upstream follows, or nothing for the list of what is linked.
pub const PAGES_PATH: &str = "/connect/";
/// Where authorization servers of upstreams send people back to.
pub const CALLBACK_PATH: &str = "/connect/callback";
/// Where the gateway's own client metadata document is served.
pub const CLIENT_PATH: &str = "/oauth/client.json";

/// Whose account at which upstream.
type Whose = (PrincipalKey, Arc<str>);

/// What outlives a reload of what people link: the vault, what is known of tokens, refreshes under way.
pub struct Desk {
    vault: Vault,
    store: Store,
    sealer: Arc<Sealer>,
    clock: Clock,
    client: Client,
    probe: crate::net::Fetch,
    /// What the gateway proves itself with where it describes itself by a document of its own.
    key: Option<Arc<SigningKey>>,
    metrics: Arc<Metrics>,
    fresh: Cache<Whose, Arc<Fresh>>,
    /// Tokens that an upstream refused although they had just been made: not renewed again for a while.
    refused: Cache<Whose, [u8; 32]>,
    /// Challenges that came with a refusal, for the next link.
    challenges: Cache<Whose, Arc<crate::oauth::Challenge>>,
    doubts: Cache<Whose, Doubt>,
    servers: Cache<String, Arc<ServerMetadata>>,
    flights: Flights,
    pace: Pace,
    /// Counts accounts that were dropped or linked: what was looked up before says nothing afterwards.
    epoch: AtomicU64,
    tasks: TaskTracker,
    handle: Handle,
    /// The links of the config in force, for upstreams that ask for a person's token.
    links: ArcSwap<Links>,
    /// Who signs people in by that config.
    signin: ArcSwapOption<SignIn>,
}

/// What a desk is made of.
pub struct DeskParts {
    /// Where tokens are kept.
    pub vault: Vault,
    /// Where links under way and registrations are kept.
    pub store: Store,
    /// Seals what leads people to a page.
    pub sealer: Arc<Sealer>,
    /// The time.
    pub clock: Clock,
    /// Fetches documents and tokens.
    pub fetch: crate::net::Fetch,
    /// The gateway's key as a client.
    pub key: Option<Arc<SigningKey>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Desk {
    /// A desk. Refreshes run on the runtime that this is called on: they go on when whoever waited is gone, because a refresh token
    /// that was used and whose successor was not kept is a lost account.
    pub fn new(parts: DeskParts) -> Self {
        let DeskParts { vault, store, sealer, clock, fetch, key, metrics } = parts;
        let client = Client::new(fetch.clone(), clock.clone());
        Self {
            vault,
            store,
            sealer,
            clock,
            client,
            probe: fetch,
            key,
            metrics,
            fresh: cache(LINKED_CACHED_S_MAX),
            refused: cache(REFUSED_S),
            challenges: cache(LINK_S_MAX),
            doubts: cache(REFUSED_S),
            servers: Cache::builder().max_capacity(SERVERS_MAX).time_to_live(Duration::from_secs(SERVER_KNOWN_S)).build(),
            flights: Flights::default(),
            pace: Pace::new(),
            epoch: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            handle: Handle::current(),
            links: ArcSwap::default(),
            signin: ArcSwapOption::empty(),
        }
    }

    /// Takes the links of a config that is in force from now on, and who signs people in by it.
    pub fn offer(&self, links: Arc<Links>, signin: Option<Arc<SignIn>>) {
        self.links.store(links);
        self.signin.store(signin);
    }

    /// Where everything is kept.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The page where `who` links the account that `link` is about, good once, for ten minutes and for that person only. It says
    /// nothing of who that is.
    ///
    /// # Errors
    /// [`Fault`] without randomness.
    pub fn invite(&self, link: &Link, who: &PrincipalKey) -> Result<String, Fault> {
        let expires_s = self.clock.unix_s().saturating_add(LINK_S_MAX);
        let ticket = ticket::seal(&self.sealer, who, &link.upstream, expires_s);
        let ticket = ticket.map_err(|_| Fault::internal(FaultKind::Internal, "a ticket could not be sealed"))?;
        self.metrics.link("invited");
        Ok(format!("{}?ticket={ticket}", link.page()))
    }

    /// Drops everything that `who` linked and revokes it where it was issued, as far as that can be reached: for somebody who left.
    /// Gives the number of accounts.
    ///
    /// # Errors
    /// [`VaultError`]; what was dropped until then stays dropped.
    pub async fn forget(&self, links: &Links, who: &PrincipalKey) -> Result<usize, VaultError> {
        let gone = self.vault.unlink_all(who).await?;
        for held in &gone {
            self.unlearn(who, &held.key.upstream);
            self.revoke(links.get(&*held.key.upstream).map(|link| &**link), held).await;
        }
        Ok(gone.len())
    }

    /// The client metadata document of the gateway as clients know it at `public_url`.
    pub fn client_document(&self, public_url: &str) -> Bytes {
        self.own(public_url).document().to_string().into()
    }

    /// Waits for refreshes under way, until `deadline`.
    pub async fn close(&self, deadline: Deadline) {
        self.tasks.close();
        let _ = tokio::time::timeout_at(deadline.instant().into(), self.tasks.wait()).await;
    }

    fn own(&self, public_url: &str) -> OwnClient {
        OwnClient { public_url: public_url.to_owned(), key: self.key.clone() }
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Forgets what is held in memory of one account, which has changed in the vault. Whoever read it before may still be about to
    /// remember what they read: that is of an earlier epoch, and is not used. Links are rare, so one count serves all of them.
    fn unlearn(&self, who: &PrincipalKey, upstream: &Arc<str>) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let whose = (who.clone(), upstream.clone());
        self.flights.forget(&whose);
        self.fresh.invalidate(&whose);
        self.refused.invalidate(&whose);
        self.doubts.invalidate(&whose);
    }

    /// Revokes the tokens of an account that was dropped (RFC 7009). Best effort: they are gone from here whatever comes of it.
    async fn revoke(&self, link: Option<&Link>, held: &Held) {
        self.metrics.link("unlinked");
        // Without settings there is no consent to any address that the operator wrote.
        let Some(link) = link else { return };
        let revoked = async {
            let server = self.server(link, &held.key.issuer).await?;
            let registration = self.registration_of(link, &server, &held.key.client_id).await?;
            let at = At { server: &server, registration: &registration, consent: &link.consent };
            let tokens = &held.account.tokens;
            match &tokens.refresh {
                Some(refresh) => self.client.revoke(at, refresh, "refresh_token").await,
                None => self.client.revoke(at, &tokens.access, "access_token").await,
            }
        };
        if let Err(error) = revoked.await {
            tracing::info!(upstream = %held.key.upstream, why = %error, "the tokens of an unlinked account could not be revoked");
        }
    }
}

fn cache<V: Clone + Send + Sync + 'static>(life_s: u64) -> Cache<Whose, V> {
    Cache::builder()
        .eviction_policy(EvictionPolicy::lru())
        .max_capacity(LINKED_CACHED_MAX)
        .time_to_live(Duration::from_secs(life_s))
        .build()
}

/// How long a token that an upstream refused is not renewed again.
const REFUSED_S: u64 = 60;
/// Authorization servers whose metadata is remembered, and for how long. A link asks anew.
const SERVERS_MAX: u64 = 1_000;
const SERVER_KNOWN_S: u64 = 600;

#[cfg(test)]
mod tests;

//! Documents of clients: fetched when they are needed, kept while they are fresh, and for a while when there is no newer one.

use std::net::IpAddr;
use std::sync::Arc;

use moka::sync::Cache;

use super::cimd;
use super::client::{Auth, Client, Clients, Kind};
use super::error::{Code, Refused};
use super::settings::CimdSettings;

/// Documents remembered, and ids of which one was tried.
const DOCUMENTS_MAX: u64 = 1_000;
const TRIED_MAX: u64 = 10_000;
/// How long a document serves after it was fresh, where its host does not answer, in seconds.
const STALE_S_MAX: u64 = 24 * 3_600;
/// How long an id is not tried again whose document could not be used, in seconds.
const FAILED_S: u64 = 10;
/// Between two fetches of one document because an assertion did not hold, in seconds.
const ANEW_S: u64 = 30;

/// What is known of documents; clones share it.
#[derive(Clone)]
pub(super) struct Documents {
    kept: Cache<String, Kept>,
    tried: Cache<String, Tried>,
}

/// A document that was fetched.
#[derive(Clone)]
struct Kept {
    client: Arc<Client>,
    fresh_until_s: u64,
}

/// When a document was tried last, and what came of it if it cannot be used.
#[derive(Clone, Copy)]
struct Tried {
    at_s: u64,
    failed: Option<(Code, &'static str)>,
}

impl Documents {
    pub(super) fn new() -> Self {
        Self {
            kept: Cache::builder().max_capacity(DOCUMENTS_MAX).build(),
            tried: Cache::builder().max_capacity(TRIED_MAX).build(),
        }
    }
}

impl Clients {
    /// The client whose document is at `id`, for somebody at `peer`.
    pub(super) async fn document(&self, cimd: &CimdSettings, id: &str, peer: Option<IpAddr>) -> Result<Arc<Client>, Refused> {
        let now_s = self.clock.unix_s();
        let kept = self.documents.kept.get(id);
        if let Some(kept) = kept.as_ref().filter(|kept| now_s < kept.fresh_until_s) {
            return Ok(kept.client.clone());
        }
        match self.fetched(cimd, id, peer).await {
            // What was right an hour ago is better than a client that nobody can use.
            Err(refused) if refused.code.is_temporary() => {
                let usable = kept.filter(|kept| now_s < kept.fresh_until_s.saturating_add(STALE_S_MAX));
                usable.map(|kept| kept.client).ok_or(refused)
            }
            Err(refused) => {
                self.documents.kept.invalidate(id);
                Err(refused)
            }
            Ok(client) => Ok(client),
        }
    }

    /// `client` by a document that is fetched now: its keys may have changed. None where that cannot be, or was tried just now. The
    /// document of before stays until there is another.
    pub(super) async fn anew(&self, client: &Client, peer: Option<IpAddr>) -> Result<Option<Arc<Client>>, Refused> {
        let (Some(cimd), Kind::Document(_), Auth::Keys(_)) = (&self.cimd, &client.kind, &client.auth) else { return Ok(None) };
        let now_s = self.clock.unix_s();
        if self.documents.tried.get(&client.id).is_some_and(|tried| now_s.abs_diff(tried.at_s) < ANEW_S) {
            return Ok(None);
        }
        self.fetched(cimd, &client.id, peer).await.map(Some)
    }

    async fn fetched(&self, cimd: &CimdSettings, id: &str, peer: Option<IpAddr>) -> Result<Arc<Client>, Refused> {
        let now_s = self.clock.unix_s();
        if let Some(Tried { at_s, failed: Some((code, words)) }) = self.documents.tried.get(id)
            && now_s.abs_diff(at_s) < FAILED_S
        {
            return Err(Refused::new(code, words).because("its document could not be used a moment ago"));
        }
        let url = cimd::acceptable(cimd, id)?;
        let place = self.lasting.pace.fetch(peer);
        let place = place.map_err(|wait_s| Refused::new(Code::SlowDown, "too many clients are being looked up").after(wait_s))?;
        self.documents.tried.insert(id.to_owned(), Tried { at_s: now_s, failed: None });
        let done = async {
            let (registration, fresh_s) = cimd::fetch(&self.fetch, cimd::dial(cimd, &url), &url, id).await?;
            let kind = Kind::Document(url.host_str().unwrap_or_default().to_owned());
            Ok((Arc::new(self.of_registration(id, kind, &registration).await?), fresh_s))
        };
        let done: Result<(Arc<Client>, u64), Refused> = done.await;
        drop(place);
        match done {
            Ok((client, fresh_s)) => {
                let kept = Kept { client: client.clone(), fresh_until_s: now_s.saturating_add(fresh_s) };
                self.documents.kept.insert(id.to_owned(), kept);
                Ok(client)
            }
            Err(refused) => {
                let failed = Some((refused.code, refused.words));
                self.documents.tried.insert(id.to_owned(), Tried { at_s: now_s, failed });
                Err(refused)
            }
        }
    }
}

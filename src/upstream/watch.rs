//! What an upstream announces outside of calls: lists that changed, resources that were updated.
//!
//! A [`Watch`] is a standing interest of one principal. It keeps itself open: what breaks is opened anew, with growing pauses, and
//! whoever listens learns that something may have been missed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::endpoint::{Link, Upstream, own_name};
use super::feed::Tap;
use super::http::Listen;
use super::pause::{Pace, Pauses};
use super::pipe::PipeListen;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::reply::Listing;
use crate::mcp::{Interest, ListSet};
use crate::policy::permit::Permit;
use crate::vocab::limits::WATCH_URIS_MAX;
use crate::vocab::{Fault, FaultKind, PrincipalKey};

/// Something happened at an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A list changed.
    ListChanged(Listing),
    /// A resource was updated: one that is watched, or one below it.
    Updated {
        /// The upstream's own URI.
        uri: String,
    },
    /// A task that is watched stands otherwise than before.
    Task {
        /// The upstream's own id.
        id: String,
    },
    /// The stream broke and was opened anew, or more happened than was read: anything may have changed.
    Missed,
}

/// A principal's standing interest in one upstream. Dropping it ends it: its stream is closed, and resources that nobody else in
/// the same session watches are unsubscribed from.
pub struct Watch {
    opener: Opener,
    /// What the upstream agreed to, as far as it was asked for.
    honoured: Interest,
    state: State,
    /// When the line was opened.
    opened: Instant,
    pauses: Pauses,
    pace: Pace,
    /// Cancelled when the upstream is gone.
    closing: CancellationToken,
    _permits: Vec<Permit>,
    _place: OwnedSemaphorePermit,
}

/// On what it is heard what happens.
pub(super) enum Line {
    /// A stream of its own over HTTP.
    Listen(Box<Listen>),
    /// A subscription over a pipe.
    Pipe(Box<PipeListen>),
    /// A session's or a process's announcements.
    Tap(Box<Tap>),
    /// Nothing will ever be heard.
    Mute,
}

type Opening = BoxFuture<'static, Result<(Line, Interest), Fault>>;

enum State {
    Open(Line),
    Pausing(Instant),
    /// Never shared; a watch may be.
    Opening(Mutex<Opening>),
}

/// All it takes to open a line.
struct Opener {
    link: Link,
    who: PrincipalKey,
    capabilities: ClientCaps,
    interest: Interest,
    timeout: Duration,
}

impl Opener {
    fn open(&self) -> Opening {
        let (who, interest, capabilities) = (self.who.clone(), self.interest.clone(), self.capabilities);
        let opening = match &self.link {
            Link::Http(http) => Arc::clone(http).watch(who, capabilities, interest).boxed(),
            Link::Stdio(stdio) => Arc::clone(stdio).watch(who, capabilities, interest).boxed(),
        };
        let late = |_| Fault::upstream(FaultKind::Timeout, "a watch was not opened in time");
        timeout(self.timeout, opening).map(move |opened| opened.map_err(late)?).boxed()
    }
}

impl Line {
    async fn next(&mut self) -> Result<Happening, Fault> {
        match self {
            Self::Listen(listen) => listen.next().await,
            Self::Pipe(listen) => listen.next().await,
            Self::Tap(tap) => tap.next().await,
            Self::Mute => std::future::pending().await,
        }
    }
}

impl Watch {
    /// What the upstream agreed to tell, in its own URIs. It can change when the watch is opened anew.
    pub fn honoured(&self) -> &Interest {
        &self.honoured
    }

    /// Waits for what happens next. Safe to drop and call again.
    ///
    /// # Errors
    /// Final: the upstream is gone from the configuration, the gateway stops, or the person has nothing to show it any more.
    pub async fn next(&mut self) -> Result<Happening, Fault> {
        loop {
            self.pace.room().await;
            let closing = self.closing.clone();
            let step = tokio::select! {
                biased;
                () = closing.cancelled() => return Err(gone()),
                step = self.step() => step,
            };
            if let Some(happening) = step? {
                self.pace.took(1, 0);
                return Ok(happening);
            }
        }
    }

    /// One step on the way: something of interest that happened, or nothing yet.
    async fn step(&mut self) -> Result<Option<Happening>, Fault> {
        let fault = match &mut self.state {
            State::Open(line) => match line.next().await {
                Ok(happening) => return Ok(Some(happening).filter(|happening| self.wants(happening))),
                Err(fault) => fault,
            },
            State::Pausing(until) => {
                sleep_until(*until).await;
                self.state = State::Opening(Mutex::new(self.opener.open()));
                return Ok(None);
            }
            State::Opening(opening) => match opening.get_mut().await {
                Ok(opened) => {
                    self.settle(opened);
                    self.opener.lists_may_have_changed();
                    return Ok(Some(Happening::Missed));
                }
                Err(fault) => fault,
            },
        };
        self.broke(fault).map(|()| None)
    }

    fn wants(&self, happening: &Happening) -> bool {
        match happening {
            Happening::ListChanged(listing) => self.honoured.lists.has(*listing),
            Happening::Updated { uri } => self.honoured.covers(uri),
            Happening::Task { id } => self.honoured.tasks.contains(id),
            Happening::Missed => {
                self.opener.lists_may_have_changed();
                true
            }
        }
    }

    fn settle(&mut self, (line, mut agreed): (Line, Interest)) {
        let asked = &self.opener.interest;
        // What was not asked for cannot be agreed to.
        agreed.lists = agreed.lists.and(asked.lists);
        agreed.uris.retain(|uri| asked.uris.contains(uri));
        agreed.tasks.retain(|id| asked.tasks.contains(id));
        self.honoured = agreed;
        self.state = State::Open(line);
        self.opened = Instant::now();
    }

    /// The line broke, or could not be opened: it is tried again later, unless that cannot help.
    fn broke(&mut self, fault: Fault) -> Result<(), Fault> {
        let lived = match self.state {
            State::Open(_) => self.opened.elapsed(),
            _ => Duration::ZERO,
        };
        self.state = State::Pausing(Instant::now() + self.pauses.after(lived));
        let is_final = matches!(fault.kind, FaultKind::Unauthorized | FaultKind::Unlinked | FaultKind::ShuttingDown);
        tracing::debug!(upstream = &*self.opener.link.settings().name, detail = fault.detail, is_final, "a watch broke");
        if is_final { Err(fault) } else { Ok(()) }
    }
}

impl Opener {
    /// Nobody knows what was missed, so what is kept of the lists is read again.
    fn lists_may_have_changed(&self) {
        let settings = self.link.settings();
        for listing in [Listing::Tools, Listing::Prompts, Listing::Resources] {
            (self.link.shared().hook)(&settings.name, (!settings.shared).then_some(&self.who), listing);
        }
    }
}

impl Upstream {
    /// Watches on behalf of `who`, in the session of `caps` where the upstream has sessions: `lists`, under a permit to read lists,
    /// `uris` (the upstream's own), each under a permit to read that very resource, and `tasks` (likewise), each under a permit for
    /// a task of the tool that made it.
    ///
    /// Returns once the upstream agreed, or could not be reached: then nothing is honoured, and the watch goes on trying.
    ///
    /// # Errors
    /// A permit for something else; faults that are final, as for [`Watch::next`]; too many watches, URIs or tasks.
    pub async fn watch(
        &self,
        permit: Permit,
        who: &PrincipalKey,
        caps: ClientCaps,
        lists: ListSet,
        uris: Vec<(String, Permit)>,
        tasks: Vec<(String, Permit)>,
    ) -> Result<Watch, Fault> {
        self.check(&permit)?;
        if !permit.is_for_lists() {
            return Err(another());
        }
        if uris.len().max(tasks.len()) > WATCH_URIS_MAX {
            return Err(Fault::internal(FaultKind::Exhausted, "one watch names too many resources or tasks"));
        }
        let (mut permits, mut interest) = (vec![permit], Interest { lists, ..Interest::default() });
        for (id, permit) in tasks {
            self.check(&permit)?;
            if !permit.is_for_task() {
                return Err(another());
            }
            if !interest.tasks.contains(&id) {
                interest.tasks.push(id);
            }
            permits.push(permit);
        }
        for (uri, permit) in uris {
            self.check(&permit)?;
            if !permit.is_for_resource() || own_name(&permit) != Some(uri.as_str()) {
                return Err(another());
            }
            if !interest.uris.contains(&uri) {
                interest.uris.push(uri);
            }
            permits.push(permit);
        }
        let place = Arc::clone(&self.watches).try_acquire_owned();
        let place = place.map_err(|_| Fault::internal(FaultKind::Exhausted, "every watch allowed of this upstream is in use"))?;
        let opener =
            Opener { link: self.link.clone(), who: who.clone(), capabilities: caps, interest, timeout: self.settings().timeout };
        let state = State::Opening(Mutex::new(opener.open()));
        let mut watch = Watch {
            opener,
            honoured: Interest::default(),
            state,
            opened: Instant::now(),
            pauses: Pauses::default(),
            pace: Pace::default(),
            closing: self.closing.clone(),
            _permits: permits,
            _place: place,
        };
        watch.begin().await?;
        Ok(watch)
    }
}

impl Watch {
    /// Opens it for the first time. What fails is tried again by [`Self::next`].
    async fn begin(&mut self) -> Result<(), Fault> {
        let State::Opening(opening) = &mut self.state else { return Ok(()) };
        let opened = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(gone()),
            opened = opening.get_mut() => opened,
        };
        match opened {
            Ok(opened) => {
                self.settle(opened);
                Ok(())
            }
            Err(fault) if fault.kind == FaultKind::Exhausted => Err(fault),
            Err(fault) => self.broke(fault),
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("upstream", &&*self.opener.link.settings().name)
            .field("honoured", &self.honoured)
            .finish_non_exhaustive()
    }
}

fn gone() -> Fault {
    Fault::internal(FaultKind::ShuttingDown, "the upstream is not served any more")
}

fn another() -> Fault {
    Fault::internal(FaultKind::Internal, "a permit for another operation")
}

//! Upstreams that are child processes.

mod handshake;
mod lines;
mod process;
mod spawn;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::timeout_at;

use self::process::{Bounds, Process, ended};
use self::spawn::Program;
use super::answer::{Answer, Source};
use super::breaker::{Breaker, Ticket};
use super::key::SessionKey;
use super::pipe::PipeCall;
use super::settings::{Transport, UpstreamSettings};
use super::shared::Shared;
use super::table::{Kept, Table};
use super::wire::{self, Facts};
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Outgoing, dialect};
use crate::policy::permit::Permit;
use crate::vocab::limits::PROCESS_IDLE_MS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey};

/// One upstream over stdio: a process per owner.
pub(super) struct Stdio {
    settings: UpstreamSettings,
    processes: Table<Process>,
    breaker: Arc<Breaker>,
    /// Until when processes of this program are spoken to with `initialize` at once, because one wanted it.
    sessions_until: Mutex<Option<Instant>>,
    shared: Arc<Shared>,
}

/// The right to have a process, given back when dropped.
pub(super) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.processes.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Stdio {
    pub(super) fn new(settings: UpstreamSettings, shared: Arc<Shared>) -> Arc<Self> {
        let processes = Table::new(settings.limits.processes_max);
        let sessions_until = Mutex::new(None);
        let this = Arc::new(Self { settings, processes, breaker: Arc::default(), sessions_until, shared });
        let mut homes = this.shared.homes.lock();
        homes.retain(|home| home.strong_count() > 0);
        homes.push(Arc::downgrade(&this));
        drop(homes);
        this
    }

    pub(super) async fn ready(&self, who: &PrincipalKey, caps: ClientCaps, deadline: Deadline) -> Result<Facts, Fault> {
        let key = SessionKey::of(self.settings.shared, who, 0, caps);
        if let Some(process) = self.processes.find(&key) {
            return self.breaker.pass().and_then(|()| process.talk.facts());
        }
        let process = self.breaker.enter()?.spend(self.bounded(self.process(&key, deadline), deadline)).await?;
        process.talk.facts()
    }

    pub(super) async fn call(
        &self,
        permit: Permit,
        who: &PrincipalKey,
        out: &Outgoing,
        deadline: Deadline,
    ) -> Result<Answer, Fault> {
        let mut ticket = Some(self.breaker.enter()?);
        let begun = self.bounded(self.begin(who, out, deadline, &mut ticket), deadline).await;
        if let (Err(fault), Some(ticket)) = (&begun, ticket) {
            ticket.settle(fault);
        }
        let (facts, call) = begun?;
        Ok(Answer::new(permit, facts.revision, Source::Pipe(Box::new(call)), deadline, 0))
    }

    async fn begin(
        &self,
        who: &PrincipalKey,
        out: &Outgoing,
        deadline: Deadline,
        ticket: &mut Option<Ticket>,
    ) -> Result<(Facts, PipeCall), Fault> {
        let key = SessionKey::of(self.settings.shared, who, 0, out.session_capabilities);
        for _ in 0..PROCESSES_TRIED_MAX {
            let process = self.process(&key, deadline).await?;
            // Ended, or about to, between being found and being used: nothing was sent yet.
            if process.is_gone() {
                continue;
            }
            let facts = process.talk.facts()?;
            let id = process.talk.next_id();
            // Where the process may be anybody's, nobody is asked.
            let askable = if key.principal().is_some() { wire::askable(out, facts.revision) } else { ClientCaps::NONE };
            let message = dialect::lower_request(facts.revision, out, id);
            let call = PipeCall::begin(process, id, message, askable, ticket.take()).await?;
            self.processes.touch(&key);
            return Ok((facts, call));
        }
        Err(ended())
    }

    async fn process(&self, key: &SessionKey, deadline: Deadline) -> Result<Arc<Process>, Fault> {
        let leaving = Mutex::new(None);
        let evicted = |process: Arc<Process>| {
            process.stop();
            *leaving.lock() = Some(process);
        };
        let open = async {
            // Its place is free once it has ended, not before.
            let left = leaving.lock().take();
            if let Some(process) = left {
                process.ended().await;
            }
            let opened = Box::pin(self.open(key.principal(), key.capabilities(), deadline)).await;
            // It shook hands, or said something else.
            let said = |fault: &Fault| matches!(fault.kind, FaultKind::Malformed | FaultKind::Failed | FaultKind::TooLarge);
            if opened.as_ref().err().is_none_or(said) {
                self.breaker.heard();
            }
            opened
        };
        self.processes.get(key, evicted, open).await
    }

    /// Starts a process, if there is a place for it.
    async fn start(&self, owner: Option<&PrincipalKey>) -> Result<Arc<Process>, Fault> {
        let Transport::Stdio { command, args, env, cwd } = &self.settings.transport else {
            return Err(Fault::internal(FaultKind::Internal, "not a process"));
        };
        let limits = &self.settings.limits;
        let place = self.place().await?;
        let program = Program {
            command,
            args,
            env,
            cwd: cwd.as_deref().map(Path::new),
            work_dir: &limits.work_dir,
            upstream: &self.settings.name,
        };
        let spawned = program.spawn().await?;
        let bounds = Bounds { line_bytes_max: limits.response_bytes, depth_max: limits.depth };
        Process::adopt(spawned, place, &self.shared, &self.settings.name, owner.cloned(), bounds)
    }

    /// A place for one more process. If all are taken, the process longest unused, of whatever upstream, makes room.
    async fn place(&self) -> Result<Place, Fault> {
        let most = self.settings.limits.processes_max;
        loop {
            let taken = self.shared.processes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < most).then_some(n + 1));
            if taken.is_ok() {
                return Ok(Place(Arc::clone(&self.shared)));
            }
            let Some(oldest) = oldest_idle(&self.shared) else {
                return Err(Fault::internal(FaultKind::Exhausted, "every process allowed is in use"));
            };
            oldest.stop();
            oldest.ended().await;
        }
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Fault>>, deadline: Deadline) -> Result<T, Fault> {
        let done = timeout_at(deadline.instant().into(), work).await;
        done.unwrap_or_else(|_| Err(Fault::upstream(FaultKind::Timeout, "the process is not ready in time")))
    }

    pub(super) fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn is_up(&self) -> bool {
        self.breaker.is_closed()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.processes.any_busy()
    }

    /// Processes that run.
    pub(super) fn running(&self) -> usize {
        self.processes.count()
    }

    /// Ends what was unused too long.
    pub(super) fn sweep(&self) {
        for process in self.processes.sweep(Duration::from_millis(PROCESS_IDLE_MS_MAX)) {
            process.stop();
        }
    }

    /// Ends every process, without asking any more once `deadline` has passed.
    pub(super) async fn retire(&self, deadline: Deadline) {
        let all = self.processes.drain();
        for process in &all {
            process.stop();
        }
        for process in &all {
            if timeout_at(deadline.instant().into(), process.ended()).await.is_err() {
                process.kill();
            }
        }
    }
}

fn oldest_idle(shared: &Shared) -> Option<Arc<Process>> {
    let homes: Vec<Arc<Stdio>> = shared.homes.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
    let found = homes.iter().filter_map(|home| home.processes.oldest().map(|used| (used, home)));
    let (_, home) = found.min_by_key(|(used, _)| *used)?;
    home.processes.take_oldest()
}

/// A process that ended while it was being picked is replaced once.
const PROCESSES_TRIED_MAX: usize = 2;

//! One process: who feeds it, who reads it, who waits for its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Place;
use super::lines::{Lines, NoLine, drain_stderr};
use super::spawn::{Group, Spawned, remove};
use crate::mcp::Lowered;
use crate::upstream::pipe::{Pipe, Talk, dispatch};
use crate::upstream::shared::Shared;
use crate::upstream::table::Kept;
use crate::upstream::wire::{self, STATELESS};
use crate::vocab::limits::{PROCESS_BAD_LINES_MAX, PROCESS_QUEUE_MESSAGES_MAX, PROCESS_STOP_MS_MAX};
use crate::vocab::{Fault, FaultKind, PrincipalKey};

/// A running process of one owner.
pub(super) struct Process {
    pub(super) talk: Talk,
    to_child: mpsc::Sender<Bytes>,
    /// Cancelled to end it.
    stop: CancellationToken,
    /// Cancelled once it has ended.
    gone: CancellationToken,
    group: Group,
}

/// Bounds of what a process may send.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) line_bytes_max: usize,
    pub(super) depth_max: usize,
}

impl Kept for Process {
    fn is_busy(self: &Arc<Self>) -> bool {
        self.talk.is_busy()
    }

    fn is_gone(&self) -> bool {
        self.stop.is_cancelled() || self.gone.is_cancelled()
    }
}

impl Pipe for Process {
    fn talk(&self) -> &Talk {
        &self.talk
    }

    /// Puts a message into the queue to the process; waits while it is full.
    fn send(&self, message: Lowered) -> BoxFuture<'_, Result<(), Fault>> {
        async move { self.to_child.send(line_of(message)).await.map_err(|_| ended()) }.boxed()
    }

    fn send_if_room(&self, message: Lowered) {
        if self.to_child.try_send(line_of(message)).is_err() {
            self.talk.shared.count_dropped();
        }
    }

    fn has_ended(&self) -> bool {
        self.gone.is_cancelled()
    }

    fn lost(&self) -> Fault {
        ended()
    }
}

impl Process {
    /// Takes over a started process: three tasks of the registry serve it until it ends. `place` is given back then.
    pub(super) fn adopt(
        spawned: Spawned,
        place: Place,
        shared: &Arc<Shared>,
        upstream: &Arc<str>,
        owner: Option<PrincipalKey>,
        bounds: Bounds,
    ) -> Result<Arc<Self>, Fault> {
        let Spawned { mut child, group, own_dir } = spawned;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(Fault::internal(FaultKind::Internal, "a process without pipes"));
        };
        let (to_child, queue) = mpsc::channel(PROCESS_QUEUE_MESSAGES_MAX);
        let process = Arc::new(Self {
            talk: Talk::new(shared, upstream, owner, STATELESS, bounds.line_bytes_max),
            to_child,
            stop: shared.stop.child_token(),
            gone: CancellationToken::new(),
            group,
        });
        let spawn = |task: futures_util::future::BoxFuture<'static, ()>| shared.tasks.spawn_on(task, &shared.handle);
        spawn(Box::pin(feed(stdin, queue, process.stop.clone())));
        let name = Arc::clone(upstream);
        spawn(Box::pin(async move { drain_stderr(stderr, &name).await }));
        let reader = Arc::clone(&process);
        let reader = spawn(Box::pin(async move { reader.read(stdout, bounds).await }));
        let keeper = Arc::clone(&process);
        spawn(Box::pin(async move {
            keeper.until_end(child).await;
            // What it started and left behind must not outlive it, nor hold its output open.
            keeper.group.kill();
            let _ = timeout(AFTER_END, reader).await;
            keeper.gone.cancel();
            keeper.stop.cancel();
            keeper.talk.calls.abandon();
            keeper.talk.feed.end();
            drop(place);
            remove(own_dir).await;
        }));
        Ok(process)
    }

    /// Asks the process to end. It is waited for by its own task.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        self.gone.cancelled().await;
    }

    /// Ends it without asking.
    pub(super) fn kill(&self) {
        if !self.has_ended() {
            self.group.kill();
        }
    }

    /// Returns when the process has ended: by itself, or because it was asked to, ever less politely.
    async fn until_end(&self, mut child: Child) {
        tokio::select! {
            _ = child.wait() => return,
            () = self.stop.cancelled() => {}
        }
        // The feeding task has dropped the input by now, or will.
        let patience = Duration::from_millis(PROCESS_STOP_MS_MAX);
        if timeout(patience, child.wait()).await.is_ok() {
            return;
        }
        self.group.terminate();
        if timeout(patience, child.wait()).await.is_ok() {
            return;
        }
        self.group.kill();
        let _ = child.wait().await;
    }

    async fn read(&self, stdout: ChildStdout, bounds: Bounds) {
        let mut lines = Lines::new(stdout, bounds.line_bytes_max);
        let mut bad = 0;
        loop {
            match lines.next().await {
                Ok(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(line) => match wire::parse(&line, self.talk.revision(), bounds.depth_max) {
                    Ok(messages) => messages.into_iter().for_each(|message| dispatch(self, message, line.len())),
                    // Servers print greetings and warnings. Not for ever.
                    Err(_) if bad < PROCESS_BAD_LINES_MAX => {
                        bad += 1;
                        self.talk.shared.count_dropped();
                    }
                    Err(_) => {
                        tracing::warn!(upstream = &*self.talk.upstream, "stopped: too much of its output is no message");
                        break;
                    }
                },
                Err(NoLine::TooLong) => {
                    tracing::warn!(upstream = &*self.talk.upstream, "stopped: a line is over the response limit");
                    self.talk.calls.abandon_as(FaultKind::TooLarge);
                    break;
                }
                Err(NoLine::End) => break,
            }
        }
        self.stop.cancel();
    }
}

async fn feed(mut stdin: ChildStdin, mut queue: mpsc::Receiver<Bytes>, stop: CancellationToken) {
    let work = async {
        while let Some(line) = queue.recv().await {
            if stdin.write_all(&line).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
    // Without a reader of the queue nobody waits on it, and the input is closed: the polite request to end.
}

/// One line for one message. A line end inside a message can only be space between its tokens (strings cannot hold one), and
/// the client chose where to put it in its arguments: left there, a line of them could pass for a message of its own.
fn line_of(message: Lowered) -> Bytes {
    let mut line = message.body;
    for byte in &mut line {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Bytes::from(line)
}

pub(super) fn ended() -> Fault {
    Fault::upstream(FaultKind::Unreachable, "the process has ended")
}

/// How long the output of an ended process is read on.
const AFTER_END: Duration = Duration::from_millis(500);

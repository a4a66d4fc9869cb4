//! `portcullis demo`: a gateway, a sample MCP server and a client in one process, on loopback, with nothing else installed.

mod client;
mod desk;
mod guide;
mod place;
mod screen;
mod server;
mod trail;
mod walk;

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

pub use server::{NotesServer, serve_notes};

use crate::app::{self, StartError};
use crate::identity::dev::DevIssuer;
use crate::vocab::Problem;
use desk::Desk;
use place::Place;
use screen::Screen;
use walk::Walk;

/// What the demo was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// End after the walk.
    pub once: bool,
    /// Where its files go; absent: a directory that is removed at the end.
    pub dir: Option<PathBuf>,
    /// Where agents connect; absent: the usual port, or any free one.
    pub listen: Option<SocketAddr>,
    /// Use colours.
    pub colour: bool,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The options cannot be followed.
    #[error("demo: {0}")]
    Input(String),
    /// The options make a config that does not hold.
    #[error("demo: the config does not hold")]
    Problems(Vec<Problem>),
    /// The gateway did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nobody reads what is said.
    #[error("demo: {0}")]
    Output(#[from] io::Error),
    /// The gateway did something else than it promises.
    #[error("demo: {what}\n  expected: {expected}\n  got:      {got}")]
    Unexpected {
        /// At which point.
        what: String,
        /// What is promised.
        expected: String,
        /// What happened.
        got: String,
    },
    /// Something of ours does not work.
    #[error("demo: {0}")]
    Fault(String),
}

impl DemoError {
    fn input(what: impl Display, why: impl Display) -> Self {
        Self::Input(format!("{what}: {why}"))
    }

    fn fault(what: impl Display, why: impl Display) -> Self {
        Self::Fault(format!("{what}: {why}"))
    }

    fn unexpected(what: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Unexpected { what: what.into(), expected: expected.into(), got: got.into() }
    }
}

/// Runs the demo, narrated to `out`.
///
/// # Errors
/// [`DemoError`].
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| DemoError::fault("the runtime", error))?;
    let mut screen = Screen::new(out, options.colour);
    let place = Place::prepare(options)?;
    let outcome = runtime.block_on(Box::pin(gateway(options, &place, &mut screen)));
    drop(runtime);
    place.leave();
    outcome
}

async fn gateway(options: &Options, place: &Place, screen: &mut Screen<'_>) -> Result<(), DemoError> {
    let stop = Stop::listen()?;
    let loaded = app::load(&place.config()).map_err(DemoError::Problems)?;
    let config = &loaded.config;
    let audit = config.audit.file.clone();
    let issuer = DevIssuer::open_or_create(&config.data_dir).map_err(|error| DemoError::fault("the issuer", error))?;
    let running = app::start(loaded).await?;
    let walk = async {
        let ca = running.ca_path().ok_or_else(|| DemoError::fault("the gateway", "has no CA of its own"))?;
        let origin = running.mcp_url();
        let admin = running.admin_url().ok_or_else(|| DemoError::fault("the gateway", "has no console"))?;
        let walk = Walk::new(&origin, &ca, Desk::new(&admin)?, issuer, audit)?;
        guide::intro(screen, place, &origin)?;
        Box::pin(walk.go(screen)).await?;
        guide::trust(screen, options.once, &ca)?;
        if !options.once {
            guide::connect(screen, place, &origin, &admin)?;
        }
        Ok(())
    };
    // A signal ends the walk as well; whatever happened, the gateway stops in order.
    let mut stopped = std::pin::pin!(stop.wait());
    let mut outcome = tokio::select! {
        outcome = walk => outcome.map(|()| options.once),
        () = &mut stopped => Ok(true),
    };
    if matches!(outcome, Ok(false)) {
        stopped.await;
        outcome = screen.line("").and_then(|()| screen.line("Stopping.")).map(|()| true);
    }
    running.stop().await;
    outcome.map(|_| ())
}

/// SIGINT or SIGTERM, listened for from the start so that none kills the process half way.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> Result<Self, DemoError> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: io::Error| DemoError::fault("signals", error);
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { interrupt, terminate })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

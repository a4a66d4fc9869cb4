//! What an operator says about one upstream, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use secrecy::SecretString;
use url::Url;

use super::credential::{Credential, same_secret};
use crate::net::DialPolicy;
use crate::vocab::{Digest, Revision};

/// One upstream. Two equal settings mean the same upstream: its connections, sessions and processes outlive a reload.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Its name, unique.
    pub name: Arc<str>,
    /// How it is reached.
    pub transport: Transport,
    /// What it is shown. Never anything of the client's.
    pub credential: Credential,
    /// Addresses that may be dialled.
    pub dial: DialPolicy,
    /// The longest a call may take, whatever the caller's deadline.
    pub timeout: Duration,
    /// One session or process for all principals, opened without client capabilities.
    pub shared: bool,
    /// Its bounds.
    pub limits: UpstreamLimits,
}

/// How an upstream is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Streamable HTTP, or HTTP+SSE.
    Http {
        /// The endpoint, http or https; of HTTP+SSE that of the stream.
        url: Url,
        /// The revision to speak; `None` finds out. 2024-11-05 is HTTP+SSE, over which any revision with sessions may be agreed on.
        dialect: Option<Revision>,
    },
    /// A child process that speaks over its standard input and output.
    Stdio {
        /// The program: a path, or a name looked up in `PATH`.
        command: String,
        /// Its arguments, never touched by a shell.
        args: Vec<String>,
        /// Its environment beside `PATH`, `HOME` and `LANG`.
        env: Vec<(String, SecretString)>,
        /// Where it runs; `None` is a new, empty directory.
        cwd: Option<PathBuf>,
    },
}

/// Bounds of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Bytes of one answer, all its events together; also of one line of a process.
    pub response_bytes: usize,
    /// Nesting of one message.
    pub depth: usize,
    /// Sessions with this upstream, all principals together.
    pub sessions_max: usize,
    /// Processes of all upstreams together.
    pub processes_max: usize,
    /// Silence on a stream before it is given up.
    pub stream_idle: Duration,
    /// Where the empty directories of processes are made.
    pub work_dir: PathBuf,
}

impl UpstreamSettings {
    /// SHA-256 over which server it is: where it is reached, or what is run. Without what is secret: neither the credential nor the
    /// values of the environment are in it.
    pub fn server(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        let mut part = |text: &[u8]| {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text);
        };
        match &self.transport {
            Transport::Http { url, .. } => {
                part(b"http");
                part(url.as_str().as_bytes());
            }
            Transport::Stdio { command, args, env, cwd } => {
                part(b"stdio");
                part(command.as_bytes());
                part(&(args.len() as u64).to_be_bytes());
                args.iter().for_each(|arg| part(arg.as_bytes()));
                env.iter().for_each(|(name, _)| part(name.as_bytes()));
                part(&[u8::from(cwd.is_some())]);
                part(cwd.as_deref().map(|cwd| cwd.as_os_str().as_encoded_bytes()).unwrap_or_default());
            }
        }
        let mut out = [0; 32];
        out.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Digest(out)
    }

    /// True if nothing differs. Secrets are compared in constant time.
    pub fn same_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.transport.same_as(&other.transport)
            && self.credential.same_as(&other.credential)
            && (self.dial, self.timeout, self.shared) == (other.dial, other.timeout, other.shared)
            && self.limits == other.limits
    }
}

impl Transport {
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http { url, dialect }, Self::Http { url: u, dialect: d }) => (url, dialect) == (u, d),
            (Self::Stdio { command, args, env, cwd }, Self::Stdio { command: c, args: a, env: e, cwd: w }) => {
                (command, args, cwd) == (c, a, w)
                    && env.len() == e.len()
                    && env.iter().zip(e).all(|(x, y)| x.0 == y.0 && same_secret(&x.1, &y.1))
            }
            _ => false,
        }
    }
}

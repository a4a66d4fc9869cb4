//! One tool, prompt, resource or template.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest};

use super::listing::Part;
use crate::mcp::list::Item;
use crate::mcp::mirror::{self, Mirror};
use crate::mcp::task::Support;
use crate::mcp::{RawJson, names, rewrite};
use crate::policy::Hints;
use crate::telemetry::metrics::Tool;
use crate::vocab::limits::NAME_BYTES_MAX;

/// An item of a list: the upstream's bytes, and what the gateway reads out of them.
#[derive(Debug)]
pub struct Entry {
    /// The upstream's own name, URI or URI template.
    pub name: Arc<str>,
    /// `upstream__name`, as policies and records say it.
    pub full: Arc<str>,
    /// What clients of a prefixing route call it.
    pub public: Arc<str>,
    /// As the upstream gave it.
    pub raw: RawJson,
    /// The same with the public name in it.
    pub published: RawJson,
    /// The upstream's own claims about the tool; they can only raise its class.
    pub hints: Hints,
    /// Arguments that a client mirrors into headers.
    pub mirrors: Vec<Mirror>,
    /// SHA-256 over the definition's bytes, `sha256:` and hex.
    pub definition: Arc<str>,
    /// Whether it can be called as a task, if it is a tool (2025-11-25).
    pub task_support: Support,
    /// Set once it refused to be called by who knows no tasks (2026-07-28).
    pub demands_task: AtomicBool,
    /// What its calls are counted on, if it is a tool.
    pub tool: Option<Arc<Tool>>,
}

/// Why an item of an upstream is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not 1 to 256 characters of `A-Z a-z 0-9 _ - .`, or of printable ASCII for a prompt.
    #[error("its name has characters that can deceive people or clients")]
    Name,
    /// A URI that could be read in two ways.
    #[error("its URI has dot segments, encoded separators, or credentials")]
    Uri,
    /// Every conforming client drops a tool with an invalid `x-mcp-header`.
    #[error("its x-mcp-header annotations are invalid")]
    Mirror,
}

impl Entry {
    /// Reads an item of `part` that `upstream` lists.
    ///
    /// # Errors
    /// [`Unfit`] when it must not be shown to anybody.
    pub fn read(upstream: &str, part: Part, item: &Item) -> Result<Self, Unfit> {
        let (public, mirrors) = match part {
            Part::Tools | Part::Prompts => {
                if !is_name(part, &item.key) {
                    return Err(Unfit::Name);
                }
                let schema = item.input_schema.as_ref().filter(|_| part == Part::Tools);
                let mirrors = schema.map(mirror::annotations).transpose().map_err(|_| Unfit::Mirror)?;
                (names::public_name(upstream, &item.key), mirrors.unwrap_or_default())
            }
            Part::Resources => {
                names::check_uri(&item.key).map_err(|_| Unfit::Uri)?;
                (names::public_uri(upstream, &item.key), Vec::new())
            }
            Part::Templates => (names::public_uri(upstream, &item.key), Vec::new()),
        };
        let full: Arc<str> = Arc::from(names::full_name(upstream, &item.key));
        Ok(Self {
            published: rewrite::published(item, upstream, &public),
            name: Arc::from(item.key.as_str()),
            tool: (part == Part::Tools).then(|| Arc::new(Tool::new(full.clone()))),
            full,
            public: Arc::from(public),
            raw: item.raw.clone(),
            hints: Hints { read_only: item.annotations.read_only, destructive: item.annotations.destructive },
            mirrors,
            definition: Arc::from(fingerprint(&item.raw)),
            task_support: item.task_support,
            demands_task: AtomicBool::new(false),
        })
    }
}

impl Entry {
    /// Takes over what calls have shown of the same definition, read at another time.
    pub(crate) fn inherit(&self, before: &Self) {
        if self.definition == before.definition && before.demands_task.load(Ordering::Relaxed) {
            self.demands_task.store(true, Ordering::Relaxed);
        }
    }

    /// About how many bytes of memory it takes besides the buffer it came in.
    pub(super) fn bytes(&self) -> usize {
        let names = self.name.len() + self.full.len() + self.public.len() + self.definition.len();
        let mirrors = self.mirrors.len() * size_of::<Mirror>();
        // Each entry is also in an index by name.
        2 * size_of::<Self>() + size_of::<Tool>() + names + mirrors + self.published.as_bytes().len()
    }
}

/// Whether a tool or a prompt may be called so: letters that neither people nor clients can take for others. A prompt, which people
/// choose by its name, may have any that ASCII prints, and spaces inside.
pub fn is_name(part: Part, name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let printed = |b: u8| part == Part::Prompts && matches!(b, b' '..=b'~');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.trim() == name && name.bytes().all(|b| plain(b) || printed(b))
}

fn fingerprint(raw: &RawJson) -> String {
    let mut out = String::from("sha256:");
    for byte in digest(&SHA256, raw.as_bytes()).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

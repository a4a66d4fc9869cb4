//! `/api/v1`: what the console shows, for programs. JSON, problem details (RFC 9457), cursors, and a stream of events.

mod approvals;
mod events;
mod lease;
mod notices;
mod openapi;
mod query;

pub(super) use approvals::{decide, found, page, take_back, whole};
pub(super) use lease::{decide_on, leases};
pub(super) use query::Queries;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::COOKIE;
use super::look::{Paged, policy, time, tools, upstreams};
use super::office::{Asked, Reply};
use super::problem::Problem;
use super::routes::{Act, Endpoint};
use crate::approval::RequestId;
use crate::audit::{ExporterState, Link};
use crate::vocab::FaultKind;
use crate::web::{PageAnswer, Verdict};

/// Answers a request of somebody who may ask it.
pub(super) async fn answer(asked: &Asked<'_>, endpoint: &'static Endpoint, act: Act) -> Result<Reply, Problem> {
    let query = Queries::read(asked.request, endpoint.query)?;
    let answer = match act {
        Act::OpenApi => document(openapi::document(&asked.office.site.cookie_name(COOKIE))),
        Act::Approvals => approvals::list(asked, &query)?,
        Act::Approval => approvals::one(asked).await?,
        Act::Approve | Act::Deny => approvals::vote(asked, act == Act::Approve).await?,
        Act::Withdraw => approvals::withdraw(asked).await?,
        Act::Leases => {
            let after =
                query.text("cursor").map(|text| RequestId::parse(text).ok_or_else(|| Problem::bad("`cursor` is none of ours.")));
            json(&leases(asked, after.transpose()?.as_ref(), query.limit()))
        }
        Act::Events => return events::answer(asked, &query),
        Act::Event => events::story(asked)?,
        Act::Tools => tools(asked, &query)?,
        Act::Upstreams => json(&Paged { items: upstreams::list(asked), next: None }),
        Act::Policy => json(&policy::state(asked)),
        Act::AccessMatrix => json(&policy::matrix(asked, query.text("as"), query.text("upstream"))?),
        Act::Explain => {
            let (Some(who), Some(name)) = (query.text("as"), query.text("call")) else {
                return Err(Problem::bad("`as` and `call` are needed."));
            };
            json(&policy::why(asked, who, name, query.text("args"), query.text("route"))?)
        }
        Act::AuditState => json(&audit_state(asked)),
        Act::Notices => json(&notices::list(asked, query.limit())),
        _ => return Err(Problem::unknown()),
    };
    Ok(Reply::Page(answer))
}

/// The state of the audit.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Audit")]
pub(super) struct AuditView {
    /// Whether records can be written now.
    pub(super) healthy: bool,
    /// Records that wait to be written.
    pub(super) queued: usize,
    /// The file.
    pub(super) file: String,
    /// Records that are kept in memory.
    pub(super) kept: usize,
    /// The number of the oldest of them.
    pub(super) first_seq: Option<u64>,
    /// The number of the newest.
    pub(super) last_seq: Option<u64>,
    /// What holds before a write leaves: `sync` (its intent is on disk), `write` (in the file) or `danger_none`.
    pub(super) durability: &'static str,
    /// Which log: 32 hexadecimal digits, drawn when it was begun.
    pub(super) log: Option<String>,
    /// The number of the last record that is written.
    pub(super) seq: u64,
    /// Records that are written and not known to be on disk.
    pub(super) unsynced: u64,
    /// The last signed checkpoint that is on disk.
    pub(super) checkpoint: Option<CheckpointView>,
    /// Since when records cannot be written or not be made durable.
    pub(super) failing_since: Option<String>,
    /// Who else has the records.
    pub(super) sinks: Vec<SinkView>,
    /// Who else has the checkpoints.
    pub(super) checkpoint_exports: Vec<CheckpointExportView>,
}

/// A sink of the audit beside the file.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditSink")]
pub(super) struct SinkView {
    /// Its name.
    pub(super) name: String,
    /// What it is: `stdout`, `syslog`, `http`, `otlp` or `kafka`.
    pub(super) kind: &'static str,
    /// The last record that it took.
    pub(super) seq: u64,
    /// Records that it has not taken yet.
    pub(super) lag: u64,
    /// Age of the oldest of them that it could have taken, in seconds: records are sent once a checkpoint covers them.
    pub(super) lag_seconds: u64,
    /// Records that it refused for good since the gateway began: they are in the files only.
    pub(super) rejected: u64,
    /// Since when every attempt fails.
    pub(super) failing_since: Option<String>,
    /// Why the last one did.
    pub(super) problem: Option<String>,
}

/// A place of `audit.checkpoints.export`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckpointExport")]
pub(super) struct CheckpointExportView {
    /// The file, or where the webhook is.
    pub(super) place: String,
    /// What it is: `file` or `webhook`.
    pub(super) kind: &'static str,
    /// The number of records that the last checkpoint covers which it took since the start; 0 for none.
    pub(super) covers: u64,
    /// Since when every attempt fails.
    pub(super) failing_since: Option<String>,
    /// Why the last one did.
    pub(super) problem: Option<String>,
}

/// A signed checkpoint of the log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Checkpoint")]
pub(super) struct CheckpointView {
    /// The number of its record.
    pub(super) seq: u64,
    /// When it was made.
    pub(super) time: String,
    /// The key that signed it: 16 hexadecimal digits.
    pub(super) key: String,
    /// The root of the Merkle tree over the records before it.
    pub(super) root: String,
}

pub(super) fn audit_state(asked: &Asked<'_>) -> AuditView {
    let (audit, records) = (&asked.office.gateway.audit, asked.office.recent.newest_first());
    let (state, now_unix_ms) = (audit.state(), asked.office.gateway.clock.unix_ms());
    AuditView {
        healthy: audit.healthy(),
        queued: audit.queue_depth(),
        file: audit.path().display().to_string(),
        kept: records.len(),
        first_seq: records.last().map(|record| record.seq),
        last_seq: records.first().map(|record| record.seq),
        durability: state.durability.as_str(),
        log: state.log.map(|log| log.to_string()),
        seq: state.seq,
        unsynced: state.unsynced,
        checkpoint: state.checkpoint.map(|last| CheckpointView {
            seq: last.seq,
            time: last.checkpoint.statement.time.clone(),
            key: last.checkpoint.key.to_string(),
            root: Link::from_bytes(last.checkpoint.statement.root).to_string(),
        }),
        failing_since: state.failing_since_unix_ms.map(time),
        sinks: audit.exporters().into_iter().map(|sink| sink_view(sink, state.seq, now_unix_ms)).collect(),
        checkpoint_exports: audit.witnesses().into_iter().map(export_view).collect(),
    }
}

fn sink_view(sink: ExporterState, seq: u64, now_unix_ms: u64) -> SinkView {
    let (since, problem) = sink.trouble.unzip();
    SinkView {
        name: sink.name.into(),
        kind: sink.kind,
        seq: sink.seq,
        lag: seq.saturating_sub(sink.seq),
        lag_seconds: sink.waiting_unix_ms.map_or(0, |unix_ms| now_unix_ms.saturating_sub(unix_ms) / 1000),
        rejected: sink.rejected,
        failing_since: since.map(time),
        problem: problem.map(Into::into),
    }
}

fn export_view(place: ExporterState) -> CheckpointExportView {
    let (since, problem) = place.trouble.unzip();
    CheckpointExportView {
        place: place.name.into(),
        kind: place.kind,
        covers: place.seq,
        failing_since: since.map(time),
        problem: problem.map(Into::into),
    }
}

fn tools(asked: &Asked<'_>, query: &Queries) -> Result<PageAnswer, Problem> {
    let all = tools::list(asked, query.text("upstream"));
    let after = query.text("cursor");
    // Two definitions of one name are told apart by their digests.
    let place = |tool: &tools::ToolView| format!("{} {}", tool.name, tool.definition);
    let rest = all.into_iter().skip_while(|tool| after.is_some_and(|after| *place(tool) <= *after));
    let mut items: Vec<_> = rest.take(query.limit() + 1).collect();
    let more = items.len() > query.limit();
    items.truncate(query.limit());
    let next = items.last().filter(|_| more).map(place);
    Ok(json(&Paged { items, next }))
}

/// `value` as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> PageAnswer {
    match serde_json::to_vec(value) {
        Ok(body) => document(body),
        Err(error) => {
            let failed = Verdict::Failed(FaultKind::Internal);
            let words = "This cannot be written as JSON.";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, words, failed).because(error.to_string()).document()
        }
    }
}

fn document(body: impl Into<bytes::Bytes>) -> PageAnswer {
    let mut answer = PageAnswer::new(StatusCode::OK, body.into());
    let json = http::HeaderValue::from_static("application/json");
    answer.headers.insert(http::header::CONTENT_TYPE, json);
    answer
}

//! Records as they were written, and as they are.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::{Queries, json};
use crate::admin::look::Paged;
use crate::admin::look::activity::{self, Wanted};
use crate::admin::office::{Asked, Office, Reply};
use crate::admin::problem::Problem;
use crate::admin::reply::AdminBody;
use crate::admin::routes::EVENTS_PATH;
use crate::approval::Change;
use crate::audit::Kept;
use crate::vocab::limits::{ADMIN_STREAM_S_MAX, STREAM_KEEPALIVE_MS};
use crate::web::PageAnswer;

/// A record, as it is in the file.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Record(Box<RawValue>);

impl Record {
    fn of(kept: &Kept) -> Option<Self> {
        RawValue::from_string(kept.line.to_string()).ok().map(Self)
    }
}

impl JsonSchema for Record {
    fn schema_name() -> Cow<'static, str> {
        "Record".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "An audit record; `portcullis schema audit` prints its schema.",
            "required": ["v", "seq", "time", "id", "kind"],
            "properties": { "v": { "const": 1 }, "seq": { "type": "integer" }, "time": { "type": "string" },
                            "id": { "type": "string" }, "kind": { "type": "string" } },
        })
    }
}

/// The list; or the stream, for whoever takes `text/event-stream`.
pub(super) fn answer(asked: &Asked<'_>, query: &Queries) -> Result<Reply, Problem> {
    let wanted = |name: &str| query.text(name);
    let wanted = Wanted {
        principal: wanted("principal"),
        tool: wanted("tool"),
        reason: wanted("reason"),
        upstream: wanted("upstream"),
        kind: wanted("kind"),
        effect: wanted("effect"),
    };
    let accepts = asked.request.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.split(',').any(|media| media.trim().starts_with("text/event-stream")) {
        return live(asked, &wanted);
    }
    let before = match query.text("cursor").map(str::parse::<u64>) {
        Some(Err(_)) => return Err(Problem::bad("`cursor` is none of ours.")),
        Some(Ok(before)) => Some(before),
        None => None,
    };
    let (records, next) = activity::list(&asked.office.recent, &wanted, before, query.limit());
    let items = records.iter().filter_map(|kept| Record::of(kept)).collect();
    Ok(Reply::Page(json(&Paged { items, next: next.map(|seq| seq.to_string()) })))
}

/// Every record of one request.
pub(super) fn story(asked: &Asked<'_>) -> Result<PageAnswer, Problem> {
    let items: Vec<Record> = activity::story(&asked.office.recent, asked.id).iter().filter_map(|kept| Record::of(kept)).collect();
    if items.is_empty() { Err(Problem::unknown()) } else { Ok(json(&Paged { items, next: None })) }
}

/// How often it is looked up whether who reads may still read, and the least often that a stream shows that it lives.
const LOOK_EVERY: Duration = Duration::from_millis(STREAM_KEEPALIVE_MS);

/// A stream that somebody reads.
struct Live {
    office: Arc<Office>,
    records: Receiver<Arc<Kept>>,
    changes: Receiver<Change>,
    /// What it shows of the records.
    wanted: [Option<String>; 6],
    /// With what the caller's standing is looked up again.
    headers: HeaderMap,
    /// Somebody said anew who may come in.
    readmitted: watch::Receiver<()>,
    /// When it is looked up in any case: news do not put it off.
    look_again: Instant,
    ends: Instant,
    begun: bool,
    _place: OwnedSemaphorePermit,
}

fn live(asked: &Asked<'_>, wanted: &Wanted<'_>) -> Result<Reply, Problem> {
    let office = asked.office.clone();
    let place = office.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("Too many streams are open. Try again shortly."))?;
    let own = |text: Option<&str>| text.map(str::to_owned);
    let Wanted { principal, tool, reason, upstream, kind, effect } = *wanted;
    let live = Live {
        records: office.recent.news(),
        changes: office.desk.changes(),
        wanted: [principal, tool, reason, upstream, kind, effect].map(own),
        headers: asked.request.headers.clone(),
        readmitted: office.readmitted.subscribe(),
        look_again: Instant::now() + LOOK_EVERY,
        ends: Instant::now() + Duration::from_secs(ADMIN_STREAM_S_MAX),
        begun: false,
        _place: place,
        office,
    };
    let events: BoxStream<'static, Bytes> = stream::unfold(live, Live::next).boxed();
    let mut answer = PageAnswer::new(StatusCode::OK, Bytes::new());
    answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(Reply::Stream(answer, AdminBody::Events(events)))
}

impl Live {
    /// The next piece; none at the end of the stream's life, the caller's standing, or the gateway.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.begun {
            self.begun = true;
            return Some((Bytes::from_static(b"retry: 2000\n\n: open\n\n"), self));
        }
        loop {
            let now = Instant::now();
            let due = now >= self.look_again;
            // However much there is to tell, it is told to nobody who may not read it any more.
            if due || self.readmitted.has_changed().unwrap_or(true) {
                self.readmitted.mark_unchanged();
                if now >= self.ends || !self.is_still_welcome().await {
                    return None;
                }
                self.look_again = (now + LOOK_EVERY).min(self.ends);
            }
            if due {
                return Some((Bytes::from_static(b": still here\n\n"), self));
            }
            if let Some(piece) = self.news().await? {
                return Some((piece, self));
            }
        }
    }

    /// What happens next, unless it is nothing to be told; none at the end of the gateway.
    async fn news(&mut self) -> Option<Option<Bytes>> {
        let drain = self.office.gateway.drain.clone();
        Some(tokio::select! {
            () = drain.wait() => return None,
            record = self.records.recv() => match record {
                Ok(record) => self.record(&record),
                Err(RecvError::Lagged(_)) => Some(LAGGED),
                Err(RecvError::Closed) => return None,
            },
            change = self.changes.recv() => match change {
                Ok(change) => Some(approval(&change)),
                Err(RecvError::Lagged(_)) => Some(LAGGED),
                Err(RecvError::Closed) => return None,
            },
            said = self.readmitted.changed() => {
                // Noted by having been waited for: it is still to be acted on.
                self.readmitted.mark_changed();
                said.ok()?;
                None
            }
            () = tokio::time::sleep_until(self.look_again) => None,
        })
    }

    fn record(&self, kept: &Kept) -> Option<Bytes> {
        let [principal, tool, reason, upstream, kind, effect] = self.wanted.each_ref().map(Option::as_deref);
        let wanted = Wanted { principal, tool, reason, upstream, kind, effect };
        let fits = kept.glance().is_some_and(|glance| wanted.fits(glance));
        // A record is one line.
        fits.then(|| format!("event: record\nid: {}\ndata: {}\n\n", kept.seq, kept.line).into())
    }

    /// Whether whoever opened it could still open it: sessions end, and roles are taken away.
    async fn is_still_welcome(&self) -> bool {
        let (standing, world) = (self.office.standing.load_full(), self.office.gateway.world.load_full());
        let caller = self.office.caller(&standing, &world, &Method::GET, EVENTS_PATH, &self.headers).await;
        caller.is_ok_and(|caller| caller.is_some_and(|caller| caller.role.is_some()))
    }
}

const LAGGED: Bytes = Bytes::from_static(b"event: lagged\ndata: {}\n\n");

fn approval(change: &Change) -> Bytes {
    format!("event: approval\ndata: {{\"id\":\"{}\",\"state\":\"{}\"}}\n\n", change.id, change.state.as_str()).into()
}

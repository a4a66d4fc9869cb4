//! One message of the client: out as a POST, back as lines.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, StatusCode};

use super::http::Answer;
use super::lines::LINE_BYTES_MAX;
use super::session::Open;
use super::{Bridge, DEPTH_MAX, failure, lasts};
use crate::mcp::headers::{LAST_EVENT_ID, METHOD, NAME, PROTOCOL_VERSION, SESSION_ID, encode_value, mirrored_name};
use crate::mcp::mirror::{self, Mirror};
use crate::mcp::sse::SseDecoder;
use crate::mcp::{Incoming, Message, Method, RawId, Reply, ResultBody, codes, dialect, incoming, list};
use crate::oauth::Challenge;
use crate::vocab::Revision;

/// What was tried once already.
#[derive(Default)]
struct Tried {
    token: bool,
    session: bool,
    headers: bool,
}

/// A stream being read.
struct Reading {
    decoder: SseDecoder,
    last_id: Option<HeaderValue>,
    retry: Duration,
    answered: bool,
}

impl Bridge {
    /// Makes a request; whatever comes of it, the client gets an answer.
    pub(super) async fn request(self: &Arc<Self>, line: Bytes, message: Option<&Message>) {
        if let Err(why) = self.attempt(line, message).await {
            self.say(failure(message.and_then(|message| message.id.as_ref()), &why)).await;
        }
    }

    /// Passes on what wants no answer.
    pub(super) async fn tell_gateway(self: &Arc<Self>, line: Bytes, message: &Message) {
        match tokio::time::timeout(NOTICE_MS_MAX, self.attempt(line, Some(message))).await {
            Ok(Ok(())) if message.method_name == "notifications/initialized" => self.listen(),
            Ok(Ok(())) => {}
            Ok(Err(why)) => (self.tell)(&why),
            Err(_) => (self.tell)("the gateway did not take a message in time"),
        }
    }

    async fn attempt(self: &Arc<Self>, line: Bytes, message: Option<&Message>) -> Result<(), String> {
        let opens = message.is_some_and(|message| message.method == Method::Initialize);
        if opens {
            self.session.begin(line.clone());
        }
        let mut tried = Tried::default();
        loop {
            let session = self.session.current();
            let headers = self.headers(message, session.as_ref());
            let shown = self.bearer.shown();
            let answer = self.http.send(Verb::POST, line.clone(), headers, shown.as_ref()).await?;
            let scoped = answer.status == StatusCode::FORBIDDEN && wants_scope(&answer.headers);
            if (answer.status == StatusCode::UNAUTHORIZED || scoped) && !tried.token {
                tried.token = true;
                self.bearer.renew(shown.as_ref(), &answer.headers).await?;
                continue;
            }
            if let (StatusCode::NOT_FOUND, false, Some(open)) = (answer.status, tried.session, session.filter(Open::has_id)) {
                tried.session = true;
                self.reopen(&open).await?;
                continue;
            }
            let Some(refused) = self.answer(answer, message).await? else { return Ok(()) };
            // A tool whose headers were not known: they are in its schema.
            if !tried.headers && refused.mismatch {
                tried.headers = true;
                self.learn(message).await?;
                continue;
            }
            self.say(refused.body.to_vec()).await;
            return Ok(());
        }
    }

    /// The protocol's headers for a message.
    fn headers(&self, message: Option<&Message>, session: Option<&Open>) -> Vec<(HeaderName, HeaderValue)> {
        let version = message.and_then(|message| message.params.meta.protocol_version.as_deref());
        let (Some(message), Some(version)) = (message, version) else {
            let opens = message.is_some_and(|message| message.method == Method::Initialize);
            return session.filter(|_| !opens).map(Open::headers).unwrap_or_default();
        };
        let mut headers = vec![(METHOD, encode_value(&message.method_name))];
        headers.extend(HeaderValue::from_str(version).ok().map(|version| (PROTOCOL_VERSION, version)));
        headers.extend(mirrored_name(message).map(|name| (NAME, encode_value(name))));
        let mirrors = self.mirrors.lock();
        let of_tool = message.params.name.as_ref().filter(|_| message.method == Method::ToolsCall);
        if let Some(mirrors) = of_tool.and_then(|name| mirrors.get(name)) {
            headers.extend(mirror::values(mirrors, message.params.arguments.as_ref()));
        }
        headers
    }

    /// Writes an answer as lines. What the gateway refused is given back, for another try.
    async fn answer(self: &Arc<Self>, answer: Answer, message: Option<&Message>) -> Result<Option<Refused>, String> {
        let (status, id) = (answer.status, answer.headers.get(SESSION_ID).cloned());
        if answer.is_stream() && status == StatusCode::OK {
            return self.stream(answer, message).await.map(|()| None);
        }
        let json = answer.is_json();
        let body = answer.whole().await?;
        if body.is_empty() && status.is_success() {
            return Ok(None);
        }
        let messages = incoming::parse(&body, revision(message), DEPTH_MAX).ok().filter(|_| json);
        let Some(messages) = messages else { return Err(format!("the gateway answered {}", status.as_u16())) };
        if !status.is_success() {
            let code = messages.iter().find_map(|message| match message {
                Incoming::Orphan(error) | Incoming::Response { reply: Reply::Error(error), .. } => Some(error.code),
                _ => None,
            });
            let mismatch = code == Some(codes::HEADER_MISMATCH);
            // An answer without the request's id is none to the client.
            let orphan = messages.iter().any(|message| matches!(message, Incoming::Orphan(_)));
            if orphan && message.is_some_and(|message| message.id.is_some()) && !mismatch {
                return Err(format!("the gateway refuses the message ({}, {})", status.as_u16(), code.unwrap_or_default()));
            }
            return Ok(Some(Refused { body, mismatch }));
        }
        for one in &messages {
            self.note(message, one, id.as_ref());
        }
        self.say(body.to_vec()).await;
        Ok(None)
    }

    /// Writes the events of a stream as lines. A stream that breaks is resumed where its events have ids.
    async fn stream(self: &Arc<Self>, mut answer: Answer, message: Option<&Message>) -> Result<(), String> {
        let session = answer.headers.get(SESSION_ID).cloned();
        let mut reading = Reading { decoder: decoder(), last_id: None, retry: RETRY_MS, answered: false };
        for _ in 0..RESUMES_MAX {
            let read = self.read(&mut answer, &mut reading, message, session.as_ref()).await;
            if reading.answered || message.is_none_or(|message| message.id.is_none()) {
                answer.done();
                return Ok(());
            }
            let why = read.err().unwrap_or_else(|| "the gateway ended its answer early".to_owned());
            let Some(last_id) = reading.last_id.clone().filter(|_| !message.is_some_and(|message| lasts(message.method))) else {
                return Err(why);
            };
            tokio::time::sleep(reading.retry).await;
            answer = self.resume(last_id).await.map_err(|_| why)?;
            reading.decoder = decoder();
        }
        Err("the gateway breaks its answer off again and again".to_owned())
    }

    async fn read(
        self: &Arc<Self>,
        answer: &mut Answer,
        reading: &mut Reading,
        message: Option<&Message>,
        session: Option<&HeaderValue>,
    ) -> Result<(), String> {
        while let Some(chunk) = answer.chunk().await? {
            reading.decoder.push(&chunk).map_err(|_| "an event of the gateway is over 16 MiB")?;
            while let Some(event) = reading.decoder.next_event() {
                if let Some(id) = event.id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
                    reading.last_id = Some(id);
                }
                if let Some(retry) = event.retry {
                    reading.retry = Duration::from_millis(retry).clamp(RETRY_MS_MIN, RETRY_MS_MAX);
                }
                if event.data.is_empty() {
                    continue;
                }
                for one in incoming::parse(&event.data, revision(message), DEPTH_MAX).unwrap_or_default() {
                    reading.answered |= self.note(message, &one, session);
                }
                self.say(event.data.to_vec()).await;
            }
        }
        Ok(())
    }

    /// Goes on with a stream after its last event (2025-11-25, "Resumability and Redelivery").
    async fn resume(&self, last_id: HeaderValue) -> Result<Answer, String> {
        let mut headers = self.session.current().ok_or("no session")?.headers();
        headers.push((LAST_EVENT_ID, last_id));
        let answer = self.http.send(Verb::GET, Bytes::new(), headers, self.bearer.shown().as_ref()).await?;
        if answer.status == StatusCode::OK && answer.is_stream() { Ok(answer) } else { Err("not resumed".to_owned()) }
    }

    /// Learns from what came: what was agreed, which headers tools want. True for the answer to `message`.
    fn note(&self, message: Option<&Message>, came: &Incoming, session: Option<&HeaderValue>) -> bool {
        let (Some(message), Incoming::Response { id, reply }) = (message, came) else { return false };
        if message.id.as_ref().map(RawId::as_str) != Some(id.as_str()) {
            return false;
        }
        if let Reply::Result(body) = reply {
            match message.method {
                Method::Initialize => self.session.agreed(session, body),
                Method::ToolsList if message.params.meta.protocol_version.is_some() => self.keep_mirrors(body),
                _ => {}
            }
        }
        true
    }

    fn keep_mirrors(&self, page: &ResultBody) {
        let found: HashMap<String, Vec<Mirror>> = list::items(Method::ToolsList, page)
            .unwrap_or_default()
            .items
            .into_iter()
            .filter_map(|item| {
                let mirrors = mirror::annotations(item.input_schema.as_ref()?).ok()?;
                Some((item.key, mirrors)).filter(|(_, mirrors)| !mirrors.is_empty())
            })
            .collect();
        let mut mirrors = self.mirrors.lock();
        if mirrors.len() + found.len() <= TOOLS_MAX {
            mirrors.extend(found);
        }
    }

    /// Lists the tools of the gateway for the headers that they want.
    async fn learn(self: &Arc<Self>, message: Option<&Message>) -> Result<(), String> {
        let version = message.and_then(|message| message.params.meta.protocol_version.clone());
        let mut cursor = None;
        for page in 0..PAGES_MAX {
            let mut out = crate::mcp::Outgoing::new(Method::ToolsList);
            out.cursor = cursor;
            let lowered = dialect::lower_request(Revision::V2026_07_28, &out, page);
            let mut headers = lowered.headers;
            headers.extend(version.as_deref().and_then(|v| HeaderValue::from_str(v).ok()).map(|v| (PROTOCOL_VERSION, v)));
            let shown = self.bearer.shown();
            let answer = self.http.send(Verb::POST, lowered.body.into(), headers, shown.as_ref()).await?;
            let Reply::Result(body) = self.reply_of(answer).await? else { return Ok(()) };
            self.keep_mirrors(&body);
            cursor = list::next_cursor(&body).ok().flatten();
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The reply in the answer to a request of the bridge's own.
    ///
    /// # Errors
    /// What to tell the client.
    pub(super) async fn reply_of(&self, mut answer: Answer) -> Result<Reply, String> {
        let reply = |message| match message {
            Incoming::Response { reply, .. } => Some(reply),
            _ => None,
        };
        let parse = |bytes: &Bytes| incoming::parse(bytes, Revision::NEWEST_WITH_SESSIONS, DEPTH_MAX).unwrap_or_default();
        let none = || "the gateway's answer holds no reply".to_owned();
        if !answer.is_stream() {
            let body = answer.whole().await?;
            return parse(&body).into_iter().find_map(reply).ok_or_else(none);
        }
        let mut decoder = decoder();
        while let Some(chunk) = answer.chunk().await? {
            decoder.push(&chunk).map_err(|_| none())?;
            while let Some(event) = decoder.next_event() {
                if let Some(reply) = parse(&event.data).into_iter().find_map(reply) {
                    return Ok(reply);
                }
            }
        }
        Err(none())
    }
}

/// A message that the gateway refused with an error status.
struct Refused {
    body: Bytes,
    /// -32020: headers and body do not agree.
    mismatch: bool,
}

/// The form in which answers to `message` are read; they are passed on as they are.
fn revision(message: Option<&Message>) -> Revision {
    let modern = message.is_some_and(|message| message.params.meta.protocol_version.is_some());
    match message {
        None => Revision::V2025_03_26,
        Some(_) if modern => Revision::V2026_07_28,
        Some(_) => Revision::NEWEST_WITH_SESSIONS,
    }
}

pub(super) fn wants_scope(headers: &HeaderMap) -> bool {
    Challenge::bearer(headers).is_some_and(|challenge| challenge.wants_scope())
}

pub(super) fn decoder() -> SseDecoder {
    SseDecoder::new(LINE_BYTES_MAX)
}

/// Time for the gateway to take what wants no answer.
const NOTICE_MS_MAX: Duration = Duration::from_millis(30_000);
/// Until a broken stream is resumed, where the gateway says nothing else.
pub(super) const RETRY_MS: Duration = Duration::from_millis(1_000);
/// The shortest: a stream that ends at once is not asked for without a pause.
pub(super) const RETRY_MS_MIN: Duration = Duration::from_millis(10);
/// The longest that the gateway can make the bridge wait with that.
pub(super) const RETRY_MS_MAX: Duration = Duration::from_millis(60_000);
/// How often one answer is resumed.
const RESUMES_MAX: usize = 32;
/// Tools whose mirrored parameters are kept.
const TOOLS_MAX: usize = 10_000;
/// Pages of a list that are looked at.
const PAGES_MAX: u64 = 100;

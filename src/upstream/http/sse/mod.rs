//! HTTP+SSE, the transport of 2024-11-05: one stream to us for everything, and a URI for everything to the server, which the
//! stream names first. The conversation on it is as with a process.

mod line;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Uri};
use tokio::time::timeout_at;
use url::Url;

pub(super) use self::line::Line;
use self::stream::LineStream;
use super::Http;
use super::post::{Content, GetFor, Sending};
use super::shown::Whom;
use crate::mcp::client_caps::ClientCaps;
use crate::mcp::{Outgoing, dialect};
use crate::net::Origin;
use crate::upstream::answer::Source;
use crate::upstream::key::SessionKey;
use crate::upstream::pipe::{Pipe as _, PipeCall};
use crate::upstream::settings::Transport;
use crate::upstream::table::Kept as _;
use crate::upstream::wire::{self, malformed};
use crate::vocab::limits::SSE_PROBE_MS_MAX;
use crate::vocab::{Deadline, Fault, FaultKind, PrincipalKey, Revision};

/// The revision that has this transport. Later ones are spoken over it too, by servers that kept it.
const WITH_LINES: Revision = Revision::V2024_11_05;

impl Http {
    /// True if the upstream has this transport and no other.
    pub(super) fn has_lines(&self) -> bool {
        self.pinned == Some(WITH_LINES) || self.era.is_line()
    }

    /// Calls over the line of `who`.
    pub(super) async fn converse_over_line(
        self: &Arc<Self>,
        who: &PrincipalKey,
        out: &Outgoing,
        deadline: Deadline,
    ) -> Result<(Revision, Source, usize), Fault> {
        for _ in 0..LINES_TRIED_MAX {
            let (key, line) = self.line_of(who, out.session_capabilities, deadline).await?;
            if line.is_gone() {
                continue;
            }
            let facts = line.talk().facts()?;
            let id = line.talk().next_id();
            // Where the line may be anybody's, nobody is asked.
            let askable = if key.principal().is_some() { wire::askable(out, facts.revision) } else { ClientCaps::NONE };
            let message = dialect::lower_request(facts.revision, out, id);
            match PipeCall::begin(line.clone(), id, message, askable, None).await {
                Ok(call) => {
                    self.lines.touch(&key);
                    return Ok((facts.revision, Source::Pipe(Box::new(call)), 0));
                }
                // It cannot have started anything.
                Err(_) if line.is_unknown() => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::upstream(FaultKind::Failed, "loses its sessions at once"))
    }

    /// The line of `who`, opened on first use.
    pub(super) async fn line_of(
        self: &Arc<Self>,
        who: &PrincipalKey,
        capabilities: ClientCaps,
        deadline: Deadline,
    ) -> Result<(SessionKey, Arc<Line>), Fault> {
        let account = self.show(Whom::any_account(who)).await?.account;
        let key = SessionKey::of(self.settings.shared, who, account, capabilities);
        let open = async { Box::pin(self.open_line(&key, Whom { who, account: Some(account) }, deadline)).await };
        let line = self.lines.get(&key, |line| line.stop(), open).await?;
        Ok((key, line))
    }

    async fn open_line(self: &Arc<Self>, key: &SessionKey, whom: Whom<'_>, deadline: Deadline) -> Result<Arc<Line>, Fault> {
        let mut stream = self.open_stream(whom, deadline).await?;
        let endpoint = self.endpoint(&stream.endpoint(deadline).await?)?;
        let line = Line::serve(self, stream, endpoint, key.principal().cloned(), whom);
        let mut opening = Opening(Some(Arc::clone(&line)));
        let asked = Revision::NEWEST_WITH_SESSIONS;
        let id = line.talk().next_id();
        let mut call = PipeCall::ask(line.clone(), id, wire::initialize(asked, id, key.capabilities())).await?;
        let facts = wire::initialized_as(&call.reply().await?, asked, false)?;
        line.talk().settle(facts.clone());
        line.send(wire::initialized(facts.revision)).await?;
        opening.0 = None;
        Ok(line)
    }

    async fn open_stream(self: &Arc<Self>, whom: Whom<'_>, deadline: Deadline) -> Result<LineStream, Fault> {
        let sending = Sending::Get { headers: Vec::new(), last_event: None, why: GetFor::Calls };
        let asked = self.send_through(&self.streams, whom, sending, None, deadline);
        let late = |_| Fault::upstream(FaultKind::Timeout, "its stream does not begin");
        let answered = timeout_at(deadline.instant().into(), asked).await.map_err(late)??;
        match (answered.status, answered.content) {
            (StatusCode::OK, Content::Stream) => Ok(LineStream::new(answered.exchange, self.response_bytes())),
            (StatusCode::OK, _) => Err(malformed("answers the wish for a stream with something else")),
            (status, _) => Err(Fault::upstream(FaultKind::Failed, format!("answered {} to GET", status.as_u16()))),
        }
    }

    /// Where messages go. What the server names is taken relative to its own URL and must not leave its origin: it is sent
    /// credentials and what people wrote.
    fn endpoint(&self, named: &str) -> Result<Uri, Fault> {
        let elsewhere = || malformed("names an endpoint that is not on its own origin");
        let Transport::Http { url, .. } = &self.settings.transport else { return Err(elsewhere()) };
        resolve(url, named).ok_or_else(elsewhere)
    }

    /// Whether the upstream, which refuses to be spoken to otherwise, has this transport. Remembered, if so.
    pub(super) async fn probe_lines(self: &Arc<Self>, whom: Whom<'_>, deadline: Deadline) {
        let deadline = deadline.capped(Duration::from_millis(SSE_PROBE_MS_MAX));
        let named = async { self.open_stream(whom, deadline).await?.endpoint(deadline).await };
        if self.pinned.is_none() && named.await.and_then(|named| self.endpoint(&named)).is_ok() {
            self.era.is_found_to_have_lines();
        }
    }
}

fn resolve(url: &Url, named: &str) -> Option<Uri> {
    let target = url.join(named).ok()?;
    let same = Origin::of(url).is_some_and(|own| Origin::of(&target).is_some_and(|other| own == other));
    let plain = target.username().is_empty() && target.password().is_none();
    let path = target.query().map_or_else(|| target.path().to_owned(), |query| format!("{}?{query}", target.path()));
    path.parse().ok().filter(|_| same && plain)
}

/// A line during its handshake: stopped if that fails, or is given up.
struct Opening(Option<Arc<Line>>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(line) = &self.0 {
            line.stop();
        }
    }
}

/// A line that is gone is replaced once.
const LINES_TRIED_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_stays_on_its_origin() {
        let url = Url::parse("https://a.example/base/sse?key=1").unwrap();
        for (named, path) in [
            ("/messages?session=1", Some("/messages?session=1")),
            ("messages", Some("/base/messages")),
            ("?session=2", Some("/base/sse?session=2")),
            ("https://a.example:443/m#f", Some("/m")),
            ("//a.example/m", Some("/m")),
            ("https://b.example/m", None),
            ("//b.example/m", None),
            ("\\\\b.example/m", None),
            ("http://a.example/m", None),
            ("https://a.example:8443/m", None),
            ("https://u@a.example/m", None),
            ("https://a.example.b.example/m", None),
            ("javascript:alert(1)", None),
            ("data:x", None),
        ] {
            assert_eq!(resolve(&url, named).map(|uri| uri.to_string()).as_deref(), path, "{named}");
        }
    }
}

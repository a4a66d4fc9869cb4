//! The operator's log, on stderr.

use std::borrow::Cow;
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::current;
use super::escape::push_safe;
use crate::scrub;
use crate::vocab::digits::push_hex;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not understood.
    #[error("log filter: {0}")]
    Filter(#[from] ParseError),
    /// A subscriber is installed already.
    #[error("logging: {0}")]
    Installed(#[from] TryInitError),
}

/// Sends events that pass `filter` (`info`, `portcullis=debug,warn`) to stderr. One line per event, whatever the event
/// holds: control and other unsafe characters are escaped, secrets of known shapes replaced, colours are never used. A panic is an
/// event too: its words may be those of a request.
///
/// # Errors
/// A filter that cannot be parsed; a second call.
pub fn init(filter: &str, format: Format) -> Result<(), Error> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Lines(io::stderr, format));
    match format {
        Format::Json => builder.json().flatten_event(true).finish().try_init()?,
        Format::Text => builder.finish().try_init()?,
    }
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

fn panicked(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(place, error = info.payload_as_str(), %backtrace, "a bug ended a task: please report it");
}

/// A destination that writes each event as exactly one safe line, with the trace of the request at work.
#[derive(Clone, Copy, Debug)]
struct Lines<M>(M, Format);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer(), self.1)
    }
}

/// The formatter hands over a whole event in one call; its last line feed is the only one that passes.
struct Line<W>(W, Format);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut out = Vec::with_capacity(event.len() + 64);
        let line = text.strip_suffix('\n');
        let body = line.unwrap_or(&text);
        let clean = match self.1 {
            Format::Json => scrub::redact_kept(body, None).map(|(clean, _)| Cow::Owned(clean)),
            Format::Text => Some(scrub::text(body)),
        };
        let body = clean.as_deref().unwrap_or(body);
        match (current::trace_id(), self.1, body.strip_prefix('{')) {
            (Some(trace_id), Format::Json, Some(members)) => {
                out.extend_from_slice(b"{\"trace_id\":\"");
                push_hex(&mut out, &trace_id);
                out.extend_from_slice(b"\",");
                push_safe(&mut out, members);
            }
            (Some(trace_id), Format::Text, _) => {
                push_safe(&mut out, body);
                out.extend_from_slice(b" trace_id=");
                push_hex(&mut out, &trace_id);
            }
            _ => push_safe(&mut out, body),
        }
        if line.is_some() {
            out.push(b'\n');
        }
        self.0.write_all(&out)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, hostile: &str) -> String {
        let out = Shared::default();
        let sink = out.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(Lines(move || sink.clone(), format));
        let emit = || {
            let span = tracing::info_span!("call", name = hostile);
            span.in_scope(|| tracing::warn!(tool = hostile, debugged = ?hostile, "refused {hostile}"));
            tracing::info!("next");
        };
        match format {
            Format::Json => tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), emit),
            Format::Text => tracing::subscriber::with_default(builder.finish(), emit),
        }
        let bytes = out.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_safe_line() {
        let hostile = "x\n{\"level\":\"INFO\"}\r\x1b[2J\u{9b}31m\u{7f}\u{202e}\u{2028}y";
        for format in [Format::Json, Format::Text] {
            let text = logged(format, hostile);
            assert_eq!(text.lines().count(), 2, "{text:?}");
            assert!(!text.trim_end_matches('\n').replace('\n', "").chars().any(super::super::escape::is_unsafe), "{text:?}");
            if format == Format::Json {
                let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                assert_eq!(first["tool"], hostile);
            }
        }
    }

    #[test]
    fn a_secret_is_in_no_line_and_the_line_stays_whole() {
        let secret = format!("ghp_{}", "aB3".repeat(12));
        for hostile in [
            secret.clone(),
            format!("GET https://app:{secret}@db/x?code={secret}&a=\"b"),
            format!("-----BEGIN PRIVATE KEY-----\n{secret}"),
        ] {
            for format in [Format::Json, Format::Text] {
                let text = logged(format, &hostile);
                assert!(!text.contains(&secret) && text.contains("[redacted: ") && text.lines().count() == 2, "{text}");
                if format == Format::Json {
                    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                    assert!(first["message"].as_str().unwrap().starts_with("refused "), "{text}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_line_of_a_request_has_its_trace() {
        for (format, expect) in [(Format::Json, "{\"trace_id\":\"0707"), (Format::Text, "0707\n")] {
            let text = current::Traced::new(async { logged(format, "x") }, Some([7; 16])).await;
            assert_eq!(text.matches("trace_id").count(), 2, "{text}");
            assert!(text.contains(expect), "{text}");
            if format == Format::Json {
                for line in text.lines() {
                    let read: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(read["trace_id"], "07".repeat(16));
                }
            }
            assert!(!logged(format, "x").contains("trace_id"));
        }
    }

    #[test]
    fn a_bad_filter_is_an_error() {
        assert!(matches!(init("portcullis=loud", Format::Json), Err(Error::Filter(_))));
    }

    /// The hook is one of a whole process, so the test runs itself again in one of its own.
    #[test]
    fn a_panic_is_one_safe_line_without_secrets() {
        const NAME: &str = "telemetry::logging::tests::a_panic_is_one_safe_line_without_secrets";
        const OWN: &str = "LOGGING_TEST_PANICS";
        if std::env::var_os(OWN).is_some() {
            init("info", Format::Json).unwrap();
            let hostile = "\u{1b}[31m\r\nAKIAABCDEFGH12345678 \u{202e}";
            let panics = std::thread::spawn(move || panic!("{hostile}"));
            assert!(panics.join().is_err());
            return;
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let ran = again.args(["--exact", NAME, "--nocapture"]).env(OWN, "1").env_remove("RUST_BACKTRACE").output().unwrap();
        let text = String::from_utf8(ran.stderr).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap_or_else(|_| panic!("{text:?}"));
        assert!(ran.status.success() && line["place"].as_str().unwrap().contains("logging.rs"), "{line}");
        assert!(line["error"].as_str().unwrap().contains("[redacted: aws-key]"), "what it was is told: {line}");
        assert!(!text.contains("AKIA") && !text.trim_end().chars().any(super::super::escape::is_unsafe), "{text:?}");
    }
}

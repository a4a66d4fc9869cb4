//! The operator's log, on stderr.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::escape::push_safe;

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
/// holds: control and other unsafe characters are escaped, colours are never used.
///
/// # Errors
/// A filter that cannot be parsed; a second call.
pub fn init(filter: &str, format: Format) -> Result<(), Error> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Lines(io::stderr));
    match format {
        Format::Json => builder.json().flatten_event(true).finish().try_init()?,
        Format::Text => builder.finish().try_init()?,
    }
    Ok(())
}

/// A destination that writes each event as exactly one safe line.
#[derive(Clone, Copy, Debug)]
struct Lines<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// The formatter hands over a whole event in one call; its last line feed is the only one that passes.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut out = Vec::with_capacity(event.len() + 64);
        match text.strip_suffix('\n') {
            Some(line) => {
                push_safe(&mut out, line);
                out.push(b'\n');
            }
            None => push_safe(&mut out, &text),
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
        let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(Lines(move || sink.clone()));
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
    fn a_bad_filter_is_an_error() {
        assert!(matches!(init("portcullis=loud", Format::Json), Err(Error::Filter(_))));
    }
}

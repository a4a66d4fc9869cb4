//! The only way to stdout and stderr, with the one answer to a reader that went away.

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal, Write};

use super::exit::Exit;
use crate::telemetry::escape::push_safe;

/// Where answers (stdout) and diagnostics (stderr) go. Writing never fails; [`Out::finish`] says what became of it. In their lines only
/// line feeds are as they were given: whatever else moves a cursor, hides or turns text around is an escape, which in JSON means the same.
pub(super) struct Out {
    answers: Box<dyn Write>,
    diagnostics: Box<dyn Write>,
    /// What stdout refused; nothing more is written to it then.
    refused: Option<io::Error>,
    /// Answers may have colours.
    #[cfg_attr(not(feature = "demo"), expect(dead_code, reason = "only the demo draws"))]
    pub(super) colour: bool,
}

impl Out {
    /// The streams of the process. Colours only on a terminal that has them and whose user wants them.
    pub(super) fn process() -> Self {
        let stdout = io::stdout();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let colour = stdout.is_terminal() && !dumb && !is_set("NO_COLOR");
        // Not locked: the demo's server writes to stdout from a thread of its own.
        Self { answers: Box::new(stdout), diagnostics: Box::new(io::stderr()), refused: None, colour }
    }

    #[cfg(test)]
    pub(super) fn to(answers: Box<dyn Write>, diagnostics: Box<dyn Write>) -> Self {
        Self { answers, diagnostics, refused: None, colour: false }
    }

    /// A line of the answer.
    pub(super) fn line(&mut self, text: impl Display) {
        // What is refused is kept in `refused`.
        let _ = writeln!(Plain(self), "{text}");
    }

    /// A line for the person running the program.
    pub(super) fn note(&mut self, text: impl Display) {
        // Where stderr is gone, nobody is left to be told.
        let _ = writeln!(Plain(&mut self.diagnostics), "{text}");
    }

    /// Ends the output: `exit`, unless answers were lost. A reader that closed the pipe has seen what it wanted.
    pub(super) fn finish(mut self, exit: Exit) -> Exit {
        let _ = self.flush();
        match self.refused.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.note(format_args!("portcullis: stdout: {error}"));
                Exit::Fault
            }
            _ => exit,
        }
    }
}

/// Text as lines that a terminal shows and does not obey.
struct Plain<W>(W);

impl<W: Write> fmt::Write for Plain<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut out = Vec::with_capacity(text.len());
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                out.push(b'\n');
            }
            push_safe(&mut out, line);
        }
        self.0.write_all(&out).map_err(|_| fmt::Error)
    }
}

/// Writes answers. The first refusal is kept, and a broken pipe is the only one that callers see: it tells them to stop.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.refused {
            Some(error) => Err(error.kind().into()),
            None => self.answers.write(bytes).inspect_err(|error| {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.refused = Some(error.kind().into());
                }
            }),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.refused {
            Some(error) => Err(error.kind().into()),
            None => self.answers.flush().inspect_err(|error| self.refused = Some(error.kind().into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(io::ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_shown_and_not_obeyed() {
        let mut text = Vec::new();
        let hostile = "{\n  \"a\": \"\u{1b}[2J\u{202e}\u{9b}\u{7f}\u{2028}\r\u{e0041}é\"\n}";
        let written = writeln!(Plain(&mut text), "{hostile}x");
        assert_eq!(
            (written, String::from_utf8_lossy(&text).as_ref()),
            (Ok(()), "{\n  \"a\": \"\\u001b[2J\\u202e\\u009b\\u007f\\u2028\\u000d\\udb40\\udc41é\"\n}x\n")
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        for (kind, expected) in [
            (io::ErrorKind::BrokenPipe, Exit::No),
            (io::ErrorKind::StorageFull, Exit::Fault),
            (io::ErrorKind::Other, Exit::Fault),
        ] {
            let mut out = Out::to(Box::new(Refuses(kind)), Box::new(io::sink()));
            out.line("lost");
            out.line("lost as well");
            assert_eq!(out.finish(Exit::No), expected, "{kind}");
        }
        let mut out = Out::to(Box::new(io::sink()), Box::new(Refuses(io::ErrorKind::BrokenPipe)));
        out.note("nobody listens");
        out.line("somebody does");
        assert_eq!(out.finish(Exit::Yes), Exit::Yes);
    }
}

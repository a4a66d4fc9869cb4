//! What the demo looks like: plain ASCII, with colours where the terminal has them.

use std::fmt::Display;
use std::io::Write;

use super::DemoError;

/// How a piece of a line is shown.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    Strong,
    Good,
    Bad,
    Faint,
}

/// A place to write lines to.
pub(super) struct Screen<'o> {
    out: &'o mut dyn Write,
    colour: bool,
}

impl<'o> Screen<'o> {
    pub(super) fn new(out: &'o mut dyn Write, colour: bool) -> Self {
        Self { out, colour }
    }

    /// A line, shown at once.
    pub(super) fn line(&mut self, text: impl Display) -> Result<(), DemoError> {
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// The heading of a step.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), DemoError> {
        let heading = self.ink(Ink::Strong, text);
        self.line(format_args!("\n{heading}"))
    }

    /// One call and what came of it: `went` says whether it did what the caller asked.
    pub(super) fn call(&mut self, who: &str, what: &str, went: bool, answer: &str) -> Result<(), DemoError> {
        let mark = if went { self.ink(Ink::Good, " ok ") } else { self.ink(Ink::Bad, " no ") };
        self.line(format_args!("  {mark} {who:<6} {what}"))?;
        for line in answer.lines() {
            let line = self.ink(Ink::Faint, line);
            self.line(format_args!("              {line}"))?;
        }
        Ok(())
    }

    /// The text as it should look here.
    pub(super) fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Strong => "1",
            Ink::Good => "1;32",
            Ink::Bad => "1;31",
            Ink::Faint => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

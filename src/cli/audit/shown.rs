//! What `audit show` and `audit stats` share: nothing of a record reaches a terminal as it is.

use std::path::Path;

use crate::audit::index::Index;
use crate::cli::exit::Failure;
use crate::cli::out::Out;
use crate::telemetry::escape::push_safe;

/// Widest column, in characters; what is longer is still shown whole.
const WIDTH_MAX: usize = 60;

/// The log at `path` and its index, brought up to date.
pub(super) fn open(path: &Path, out: &mut Out) -> Result<Index, Failure> {
    let (index, refreshed) = Index::open(path).map_err(Failure::input)?;
    if let Some(why) = &refreshed.without {
        out.note(format_args!("without an up-to-date index: {}", safe(why)));
    }
    if refreshed.remade > 0 {
        out.note(format_args!("the index of {} files was made anew", refreshed.remade));
    }
    if refreshed.lines > 0 {
        out.note(format_args!("indexed {} lines, {} bytes", refreshed.lines, refreshed.bytes));
    }
    Ok(index)
}

/// Says of which files the end is missing in what was answered.
pub(super) fn cuts(index: &Index, out: &mut Out) {
    for cut in index.cuts() {
        out.note(safe(&cut.to_string()));
    }
}

/// `text` with everything that moves a cursor, hides or turns around as an escape.
pub(super) fn safe(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_safe(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Rows with their cells below each other, the first `right` of them to the right. The last cell is not filled up.
pub(super) fn columns(rows: &[Vec<String>], right: usize, out: &mut Out) {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(|at| width(at).min(WIDTH_MAX)).collect();
    for row in rows {
        let mut line = String::from("  ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = if at < right { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.extend([before, cell, after, "  "]);
        }
        out.line(line.trim_end());
    }
}

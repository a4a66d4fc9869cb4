//! A record line, taken apart without reading more of it than the index keeps.
//!
//! Strings are jumped over, nothing is unescaped: parts are the bytes as they stand. Members may come in any order; white space
//! between tokens is for the slow way, which writes the line anew first.

use serde_json::Value;

use super::members::Members;

/// What a line is about, in one byte of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RowKind {
    /// No record, or one that this build cannot read.
    #[default]
    Unreadable = 0,
    /// Written before an operation leaves.
    Intent = 1,
    /// How a request ended.
    Outcome = 2,
    /// A list was served.
    List = 3,
    /// A credential was refused, or somebody signed in.
    Auth = 4,
    /// An operator acted.
    Admin = 5,
    /// About a request for approval.
    Approval = 6,
    /// An upstream changed what it offers.
    Drift = 7,
    /// A signed checkpoint.
    Checkpoint = 8,
    /// A record of a kind that this build does not know.
    Other = 9,
}

/// Kinds by the words of the records.
const KINDS: [(RowKind, &str); RowKind::COUNT] = [
    (RowKind::Unreadable, "unreadable"),
    (RowKind::Intent, "intent"),
    (RowKind::Outcome, "outcome"),
    (RowKind::List, "list"),
    (RowKind::Auth, "auth"),
    (RowKind::Admin, "admin"),
    (RowKind::Approval, "approval"),
    (RowKind::Drift, "drift"),
    (RowKind::Checkpoint, "checkpoint"),
    (RowKind::Other, "other"),
];

/// Where a request for approval stood; the place in this list, counted from 1, is the byte of a row.
const STATES: [&str; 6] = ["pending", "approved", "denied", "expired", "withdrawn", "used"];

impl RowKind {
    /// How many there are.
    pub(super) const COUNT: usize = 10;

    /// As in the record.
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("other", |(_, word)| word)
    }

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }

    pub(super) fn from_byte(byte: u8) -> Self {
        KINDS.get(usize::from(byte)).map_or(Self::Other, |(kind, _)| *kind)
    }

    fn of(word: &[u8]) -> Self {
        KINDS.iter().skip(1).find(|(_, known)| known.as_bytes() == word).map_or(Self::Other, |(kind, _)| *kind)
    }
}

/// The word for a state byte; empty for none.
pub(super) fn state_word(byte: u8) -> &'static str {
    match usize::from(byte).checked_sub(1) {
        None => "",
        Some(at) => STATES.get(at).copied().unwrap_or("other"),
    }
}

fn state_byte(word: &[u8]) -> u8 {
    let at = STATES.iter().position(|known| known.as_bytes() == word).unwrap_or(STATES.len());
    u8::try_from(at + 1).unwrap_or(u8::MAX)
}

/// The parts of a record that the index keeps. Texts are without their quotes and still escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) seq: u64,
    pub(super) time_ms: u64,
    pub(super) kind: RowKind,
    pub(super) intent: u64,
    pub(super) id: u32,
    pub(super) trace: u32,
    pub(super) approval: u32,
    pub(super) state: u8,
    pub(super) total_us: u32,
    pub(super) upstream_us: u32,
    pub(super) bytes_out: u32,
    /// JSON objects: the principal; route, upstream, method, name and class; the decision; status, reason, error kind and HTTP
    /// status. Empty where there is nothing of it.
    pub(super) who: Vec<u8>,
    pub(super) what: Vec<u8>,
    pub(super) why: Vec<u8>,
    pub(super) end: Vec<u8>,
}

impl Parts {
    /// Reads a line into `self`. False where it is no record: then only `seq` and `time_ms` may be set.
    pub(super) fn read(&mut self, line: &[u8]) -> bool {
        self.clear();
        if self.scan(line).is_some() {
            return true;
        }
        self.clear();
        let compact = serde_json::from_slice::<Value>(line).and_then(|value| serde_json::to_vec(&value));
        let sound = compact.is_ok_and(|compact| self.scan(&compact).is_some());
        if !sound {
            self.clear();
        }
        sound
    }

    fn clear(&mut self) {
        let (mut who, mut what) = (std::mem::take(&mut self.who), std::mem::take(&mut self.what));
        let (mut why, mut end) = (std::mem::take(&mut self.why), std::mem::take(&mut self.end));
        for text in [&mut who, &mut what, &mut why, &mut end] {
            text.clear();
        }
        *self = Self { who, what, why, end, ..Self::default() };
    }

    fn scan(&mut self, line: &[u8]) -> Option<()> {
        let mut version = None;
        let mut members = Members::of(line)?;
        while let Some((key, raw)) = members.next()? {
            match key {
                b"v" => version = Some(number(raw)?),
                b"seq" => self.seq = number(raw)?,
                b"time" => self.time_ms = time(text(raw)?)?,
                b"id" => self.id = mark(text(raw)?),
                b"kind" => self.kind = RowKind::of(text(raw)?),
                b"trace_id" => self.trace = mark(text(raw)?),
                b"principal" => self.who.extend_from_slice(raw),
                b"route" | b"upstream" | b"method" | b"name" | b"class" => member(&mut self.what, key, raw),
                b"decision" => self.why.extend_from_slice(raw),
                b"approval" => self.approval(raw)?,
                b"outcome" => self.outcome(raw)?,
                b"intent" => self.intent = number(raw)?,
                _ => {}
            }
        }
        for object in [&mut self.what, &mut self.end] {
            if !object.is_empty() {
                object.push(b'}');
            }
        }
        let whole = members.ended() && self.seq > 0 && self.time_ms > 0 && self.kind != RowKind::Unreadable && self.id != 0;
        (whole && version == Some(crate::audit::record::VERSION)).then_some(())
    }

    fn approval(&mut self, object: &[u8]) -> Option<()> {
        let mut members = Members::of(object)?;
        while let Some((key, raw)) = members.next()? {
            match key {
                b"id" => self.approval = mark(text(raw)?),
                b"state" => self.state = state_byte(text(raw)?),
                _ => {}
            }
        }
        Some(())
    }

    fn outcome(&mut self, object: &[u8]) -> Option<()> {
        let mut members = Members::of(object)?;
        while let Some((key, raw)) = members.next()? {
            match key {
                b"status" | b"reason" | b"error_kind" | b"http" => member(&mut self.end, key, raw),
                b"upstream_ms" => self.upstream_us = micros(raw)?,
                b"total_ms" => self.total_us = micros(raw)?,
                b"bytes_out" => self.bytes_out = u32::try_from(number(raw)?).unwrap_or(u32::MAX),
                _ => {}
            }
        }
        Some(())
    }
}

fn member(object: &mut Vec<u8>, key: &[u8], raw: &[u8]) {
    object.extend_from_slice(if object.is_empty() { b"{\"" } else { b",\"" });
    object.extend_from_slice(key);
    object.extend_from_slice(b"\":");
    object.extend_from_slice(raw);
}

fn text(raw: &[u8]) -> Option<&[u8]> {
    raw.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn number(raw: &[u8]) -> Option<u64> {
    if raw.is_empty() {
        return None;
    }
    raw.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Milliseconds with up to three places as microseconds; what does not fit is the most that does.
fn micros(raw: &[u8]) -> Option<u32> {
    let (whole, places) = match raw.iter().position(|byte| *byte == b'.') {
        Some(at) => (raw.get(..at)?, raw.get(at + 1..)?),
        None => (raw, b"0".as_slice()),
    };
    let scale = match places.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return None,
    };
    let us = number(whole)?.saturating_mul(1_000).saturating_add(number(places)? * scale);
    Some(u32::try_from(us).unwrap_or(u32::MAX))
}

/// Milliseconds since the Unix epoch. Times as we write them have a way of their own.
fn time(text: &[u8]) -> Option<u64> {
    quick_time(text).or_else(|| {
        let time = humantime::parse_rfc3339(std::str::from_utf8(text).ok()?).ok()?;
        u64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
    })
}

/// `2027-01-02T03:04:05.678Z`
fn quick_time(text: &[u8]) -> Option<u64> {
    let part = |at: usize, length: usize| number(text.get(at..at + length)?);
    let shape = text.len() == 24
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')]
            .iter()
            .all(|(at, byte)| text.get(*at) == Some(byte));
    if !shape {
        return None;
    }
    let (year, month, day) = (part(0, 4)?, part(5, 2)?, part(8, 2)?);
    let (hour, minute, second, milli) = (part(11, 2)?, part(14, 2)?, part(17, 2)?, part(20, 3)?);
    let sound = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !sound {
        return None;
    }
    // Days of the proleptic Gregorian calendar, years counted from March, so that the day of a leap year is the last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + milli)
}

/// A short mark of a text, never 0, to find candidates by.
pub(super) fn mark(text: &[u8]) -> u32 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    u32::try_from((sum ^ (sum >> 32)) & 0xffff_ffff).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"v":1,"seq":7,"time":"2026-11-22T04:05:06.789Z","id":"r1","rpc_id":"\"}{","kind":"outcome","trace_id":"aa","#,
        r#""principal":{"iss":"i","sub":"a\"}","groups":["x{"],"scopes":[]},"route":"/mcp","upstream":"u","method":"tools/call","#,
        r#""name":"u__t","class":"read","args":{"digest":"d","fields":{"/p":[1,{"q":"]"}]}},"decision":{"effect":"allow"},"#,
        r#""approval":{"id":"ap","state":"used","by":[]},"outcome":{"status":"completed","reason":"allowed","http":200,"#,
        r#""upstream_ms":1.234,"total_ms":12.5,"bytes_in":1,"bytes_out":99},"intent":6,"prev":"00","hash":"11"}"#
    );

    #[test]
    fn parts_are_found_whatever_strings_hold() {
        let mut parts = Parts::default();
        assert!(parts.read(LINE.as_bytes()));
        assert_eq!((parts.seq, parts.intent, parts.kind, parts.bytes_out), (7, 6, RowKind::Outcome, 99));
        assert_eq!((parts.total_us, parts.upstream_us, state_word(parts.state)), (12_500, 1_234, "used"));
        assert_eq!(parts.who, br#"{"iss":"i","sub":"a\"}","groups":["x{"],"scopes":[]}"#);
        assert_eq!(parts.what, br#"{"route":"/mcp","upstream":"u","method":"tools/call","name":"u__t","class":"read"}"#);
        assert_eq!(parts.end, br#"{"status":"completed","reason":"allowed","http":200}"#);
        assert_eq!((parts.id, parts.trace, parts.approval), (mark(b"r1"), mark(b"aa"), mark(b"ap")));
        let quick = parts.clone();
        assert!(parts.read(LINE.replace("\":", "\" : ").as_bytes()), "white space");
        assert_eq!((parts.seq, parts.time_ms, parts.id), (quick.seq, quick.time_ms, quick.id));
    }

    #[test]
    fn what_is_no_record_says_so() {
        let mut parts = Parts::default();
        for cut in 0..LINE.len() {
            assert!(!parts.read(&LINE.as_bytes()[..cut]), "{cut}");
        }
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"seq\":7", "\"seq\":-7"),
            ("\"seq\":7", "\"seq\":99999999999999999999999"),
            ("2026-11-22T", "yesterday"),
            ("\"id\":\"r1\",", ""),
            ("\"hash\":\"11\"}", "\"hash\":\"11\"}}"),
            ("\"bytes_out\":99", "\"bytes_out\":\"x\""),
        ] {
            assert!(!parts.read(LINE.replacen(from, to, 1).as_bytes()), "{from} -> {to}");
            assert_eq!(parts, Parts::default());
        }
    }

    #[test]
    fn times_are_those_of_the_long_way() {
        for text in
            ["1970-01-01T00:00:00.001Z", "2000-02-29T23:59:59.999Z", "2026-03-01T00:00:00.000Z", "2100-12-31T12:00:00.500Z"]
        {
            let long = humantime::parse_rfc3339(text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
            assert_eq!(quick_time(text.as_bytes()).map(u128::from), Some(long), "{text}");
        }
        assert_eq!(time(b"2026-01-01T00:00:00Z"), Some(1_767_225_600_000));
        assert_eq!(time(b"2026-13-01T00:00:00.000Z"), None);
    }
}

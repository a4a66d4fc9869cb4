//! One line of the log, in 64 bytes.

use super::scan::{Parts, RowKind};

/// Bytes of a row.
pub(super) const ROW_BYTES: usize = 64;

/// What the index keeps of one line. Numbers that do not fit are the most that does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Where the line begins in its file (uncompressed), in bytes.
    pub offset: u64,
    /// Time of the record, in milliseconds since the Unix epoch; 0 for none.
    pub time_ms: u64,
    /// Its number; 0 for none.
    pub seq: u64,
    /// Number of its intent; 0 for none.
    pub intent: u64,
    /// Ids of texts in the dictionary: principal, target, decision, ending.
    pub(super) who: u32,
    pub(super) what: u32,
    pub(super) why: u32,
    pub(super) end: u32,
    /// Time until the answer, in microseconds.
    pub total_us: u32,
    /// Time the upstream took of it, in microseconds.
    pub upstream_us: u32,
    /// Bytes of the answer.
    pub bytes_out: u32,
    pub(super) id: u32,
    pub(super) trace: u32,
    pub(super) approval: u32,
    /// What it is about.
    pub kind: RowKind,
    pub(super) state: u8,
}

/// The ids of a row's texts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    pub(super) who: u32,
    pub(super) what: u32,
    pub(super) why: u32,
    pub(super) end: u32,
}

impl Row {
    pub(super) fn of(offset: u64, parts: &Parts, ids: Ids) -> Self {
        let Ids { who, what, why, end } = ids;
        let Parts { seq, time_ms, kind, intent, id, trace, approval, state, total_us, upstream_us, bytes_out, .. } = *parts;
        Self {
            offset,
            time_ms,
            seq,
            intent,
            who,
            what,
            why,
            end,
            total_us,
            upstream_us,
            bytes_out,
            id,
            trace,
            approval,
            kind,
            state,
        }
    }

    /// Little endian; 6 bytes each for offset and time, 4 for the rest: `seq` as what it is above `base`, the intent as what it is
    /// below `seq`. The last two are a check.
    pub(super) fn write(&self, base: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(self.offset.to_le_bytes().iter().take(6));
        out.extend(self.time_ms.to_le_bytes().iter().take(6));
        let above = self.seq.checked_sub(base).and_then(|n| u32::try_from(n + 1).ok()).unwrap_or(0);
        let below = if self.intent == 0 { 0 } else { self.seq.saturating_sub(self.intent) };
        let below = u32::try_from(below).unwrap_or(u32::MAX);
        for number in [
            above,
            below,
            self.who,
            self.what,
            self.why,
            self.end,
            self.total_us,
            self.upstream_us,
            self.bytes_out,
            self.id,
            self.trace,
            self.approval,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(self.kind as u8);
        out.push(self.state);
        let check = check(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&check.to_le_bytes());
    }

    /// Reads what [`Self::write`] wrote; `None` where the check fails.
    pub(super) fn read(base: u64, bytes: &[u8; ROW_BYTES]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<2>()?;
        if check(body) != u16::from_le_bytes(*sum) {
            return None;
        }
        let mut rest = body;
        let offset = six(&mut rest)?;
        let time_ms = six(&mut rest)?;
        let mut next = || {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            rest = tail;
            Some(u32::from_le_bytes(*head))
        };
        let (above, below) = (next()?, next()?);
        let seq = if above == 0 { 0 } else { base + u64::from(above) - 1 };
        let (who, what, why, end) = (next()?, next()?, next()?, next()?);
        let (total_us, upstream_us, bytes_out) = (next()?, next()?, next()?);
        let (id, trace, approval) = (next()?, next()?, next()?);
        let [kind, state] = *rest else { return None };
        let intent = if below == 0 { 0 } else { seq.saturating_sub(below.into()) };
        let kind = RowKind::from_byte(kind);
        Some(Self {
            offset,
            time_ms,
            seq,
            intent,
            who,
            what,
            why,
            end,
            total_us,
            upstream_us,
            bytes_out,
            id,
            trace,
            approval,
            kind,
            state,
        })
    }
}

fn six(rest: &mut &[u8]) -> Option<u64> {
    let (head, tail) = rest.split_first_chunk::<6>()?;
    *rest = tail;
    let [a, b, c, d, e, f] = *head;
    Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
}

/// Sixteen bits that a row of zeros does not have.
fn check(body: &[u8]) -> u16 {
    let mut sum = 0x9e37_79b9_7f4a_7c15_u64;
    let (words, rest) = body.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    for byte in rest {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    let [a, b, c, d, ..] = (sum ^ (sum >> 32)).to_le_bytes();
    u16::from_le_bytes([a, b]) ^ u16::from_le_bytes([c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written_and_a_changed_one_is_not() {
        let row = Row {
            offset: (1 << 48) - 1,
            time_ms: 1_795_000_000_123,
            seq: 1_007,
            intent: 1_001,
            who: 1,
            what: 2,
            why: 3,
            end: 4,
            total_us: 5,
            upstream_us: 6,
            bytes_out: 7,
            id: 8,
            trace: 9,
            approval: 10,
            kind: RowKind::Approval,
            state: 3,
        };
        let mut bytes = Vec::new();
        row.write(1_000, &mut bytes);
        let bytes: [u8; ROW_BYTES] = bytes.try_into().unwrap();
        assert_eq!(Row::read(1_000, &bytes), Some(row));
        for at in 0..ROW_BYTES {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert_eq!(Row::read(1_000, &changed), None, "{at}");
        }
        assert_eq!(Row::read(0, &[0; ROW_BYTES]), None);
        let mut none = Vec::new();
        Row::default().write(5, &mut none);
        assert_eq!(Row::read(5, &none.try_into().unwrap()), Some(Row::default()));
    }
}

//! Sizes, durations and dates as people write them.

use std::time::{Duration, UNIX_EPOCH};

/// `10s`, `5m`, `1h`, `500ms`, `1d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// Bytes of `4MiB`, `512KiB`, `10MB`, `1GiB` or a plain number.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A size in the largest binary unit that fits it exactly.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(factor, unit)| format!("{}{unit}", bytes / factor))
}

/// Unix seconds of `2027-01-01` (its first moment, UTC) or an RFC 3339 time.
pub(super) fn unix_s(text: &str) -> Option<u64> {
    let is_date = text.len() == "2027-01-01".len() && text.is_ascii();
    let (utc, offset_s) = if is_date { (format!("{text}T00:00:00Z"), 0) } else { split_offset(text)? };
    let time = humantime::parse_rfc3339(&utc).ok()?;
    time.duration_since(UNIX_EPOCH).ok()?.as_secs().checked_add_signed(-offset_s)
}

/// The time as if it were UTC, and how far east of UTC it really is.
fn split_offset(text: &str) -> Option<(String, i64)> {
    if text.ends_with('Z') {
        return Some((text.to_owned(), 0));
    }
    let cut = text.len().checked_sub("+00:00".len())?;
    let (local, offset) = text.split_at_checked(cut)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let two_digits = |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<i64>().ok())?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let east_s = (hours <= 23 && minutes <= 59).then_some(hours * 3_600 + minutes * 60)?;
    match offset.chars().next()? {
        '+' => Some((format!("{local}Z"), east_s)),
        '-' => Some((format!("{local}Z"), -east_s)),
        _ => None,
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [("500ms", Some(500)), ("10s", Some(10_000)), ("5m", Some(300_000)), ("1h", Some(3_600_000))] {
            assert_eq!(duration(text).map(|d| d.as_millis()), ms, "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "10 parsecs", "99999999999999999999s", "18446744073709551615h", "1s ", "+1s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("4MiB", Some(4 << 20)),
            ("512KiB", Some(512 << 10)),
            ("10MB", Some(10_000_000)),
            ("77", Some(77)),
            ("1 GiB", Some(1 << 30)),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        for text in ["", "MiB", "4mib", "-1", "0x10", "1e6", "18446744073709551615KiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn dates() {
        for (text, expected) in [
            ("1970-01-02", Some(86_400)),
            ("2027-01-01", Some(1_798_761_600)),
            ("2027-01-01T00:00:00Z", Some(1_798_761_600)),
            ("2027-01-01T02:00:00+02:00", Some(1_798_761_600)),
            ("2026-12-31T22:30:00-01:30", Some(1_798_761_600)),
            ("2027-1-1", None),
            ("2027-13-01", None),
            ("2027-01-01T00:00:00", None),
            ("2027-01-01T00:00:00+2:00", None),
            ("2027-01-01T00:00:00+99:00", None),
            ("tomorrow", None),
        ] {
            assert_eq!(unix_s(text), expected, "{text}");
        }
    }
}

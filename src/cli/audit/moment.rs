//! Times as people give them.

use crate::vocab::Clock;

/// A date (start of that day, UTC), an RFC 3339 time, or how long ago; in milliseconds since the Unix epoch.
pub(super) fn moment(text: &str) -> Result<u64, &'static str> {
    at(text, Clock::system().unix_s().saturating_mul(1_000))
}

fn at(text: &str, now_ms: u64) -> Result<u64, &'static str> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now_ms.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
    }
    let whole = if text.len() == "2027-01-01".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    humantime::parse_rfc3339(&whole)
        .ok()
        .and_then(|time| u64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok())
        .ok_or("is no date such as 2027-01-01, no RFC 3339 time such as 2027-01-01T12:00:00Z, and no time ago such as 24h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_how_long_ago() {
        let day = 86_400_000;
        for (text, expected) in [
            ("1970-01-02", Some(day)),
            ("1970-01-02T00:00:01Z", Some(day + 1_000)),
            ("2h", Some(day - 7_200_000)),
            ("1d 1h", Some(0)),
            ("1970-13-01", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(at(text, day).ok(), expected, "{text}");
        }
    }
}

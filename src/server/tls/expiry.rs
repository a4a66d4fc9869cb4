//! When a certificate ends. Reads the one field of X.509 that operators are surprised by.

use std::path::Path;

use crate::vocab::Clock;

/// Says in the log when the certificate ends: a warning in its last month, an error once it is over.
pub(super) fn log(path: &Path, certificate: &[u8], clock: &Clock) {
    let file = path.display();
    let Some(end_s) = not_after_s(certificate) else {
        tracing::warn!(%file, "cannot tell when this certificate ends");
        return;
    };
    let now_s = i64::try_from(clock.unix_s()).unwrap_or(i64::MAX);
    let days_left = end_s.saturating_sub(now_s).div_euclid(DAY_S);
    if end_s <= now_s {
        tracing::error!(%file, days_left, "this certificate has expired");
    } else if days_left < WARN_DAYS {
        tracing::warn!(%file, days_left, "this certificate ends soon");
    } else {
        tracing::info!(%file, days_left, "certificate loaded");
    }
}

/// The end of `certificate`'s validity (RFC 5280 section 4.1.2.5), in seconds since the Unix epoch; `None` if it is not X.509.
pub(super) fn not_after_s(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // version (explicit, optional), serial number, signature algorithm, issuer
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time_s(tag, std::str::from_utf8(text).ok()?)
}

/// One DER element: tag, content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0_usize, |n, d| (n << 8) | usize::from(*d)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// UTCTime `YYMMDDHHMMSSZ` or GeneralizedTime `YYYYMMDDHHMMSSZ`.
fn time_s(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = match (tag, digits.len()) {
        (0x17, 12) => {
            let (yy, rest) = digits.split_at_checked(2)?;
            let yy: i64 = yy.parse().ok()?;
            (if yy < 50 { 2000 + yy } else { 1900 + yy }, rest)
        }
        (0x18, 14) => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let field = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (field(0)?, field(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days_since_epoch(year, month, day) * DAY_S + field(4)? * 3600 + field(6)? * 60 + field(8)?)
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let years = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    365 * years + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - DAYS_TO_EPOCH
}

/// Days from 1 March of year 0 to 1 January 1970.
const DAYS_TO_EPOCH: i64 = 719_468;
const DAY_S: i64 = 86_400;
/// Days before the end at which the log starts to warn.
const WARN_DAYS: i64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (tag, text, expect) in [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "000301000000Z", Some(951_868_800)),
            (0x17, "261121115443Z", Some(1_795_262_083)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x18, "20500101000000Z", Some(2_524_608_000)),
            (0x18, "99991231235959Z", Some(253_402_300_799)),
            (0x18, "20240229000000Z", Some(1_709_164_800)),
            (0x17, "261321115443Z", None),
            (0x17, "2611211154Z", None),
            (0x17, "261121115443+0000", None),
            (0x04, "261121115443Z", None),
        ] {
            assert_eq!(time_s(tag, text), expect, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_certificate_and_of_nonsense() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 7, 15);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(not_after_s(&der), Some(1_941_840_000));
        for end in 0..120 {
            assert_eq!(not_after_s(&der[..end]), None, "cut at {end}");
        }
        assert_eq!(not_after_s(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}

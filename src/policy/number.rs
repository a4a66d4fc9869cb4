//! JSON numbers compared by value, digit by digit: `1`, `1.0` and `10e-1` are one number, however long it is.

use super::tri::Tri;

/// Whether two number tokens (RFC 8259) mean the same number; unknown for exponents of more than 64 bits.
pub(super) fn same(a: &str, b: &str) -> Tri {
    if a == b {
        return Tri::True;
    }
    match (Parts::of(a), Parts::of(b)) {
        (Some(a), Some(b)) => Tri::from(a.same(&b)),
        _ => Tri::Unknown,
    }
}

/// The one spelling of a number among all that mean it, for digests and for searching; `None` as in [`same`].
pub(super) fn canonical(token: &str) -> Option<String> {
    let parts = Parts::of(token)?;
    if parts.is_zero() {
        return Some("0".to_owned());
    }
    let mut out = String::from(if parts.negative { "-" } else { "" });
    out.extend(parts.digits());
    let zeros = usize::try_from(parts.scale).ok().filter(|zeros| *zeros <= PLAIN_ZEROS_MAX);
    match zeros {
        Some(zeros) => out.extend(std::iter::repeat_n('0', zeros)),
        None => out.push_str(&format!("e{}", parts.scale)),
    }
    Some(out)
}

/// Whether `token` is a number as JSON writes it.
pub(super) fn is_json(token: &str) -> bool {
    crate::mcp::json::validate(token.as_bytes(), 1).is_ok_and(|raw| raw == token)
        && token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && Parts::of(token).is_some()
}

/// Trailing zeros that [`canonical`] writes out.
const PLAIN_ZEROS_MAX: usize = 32;

/// The value is the digits of `whole` and `fraction` times ten to the power of `scale`; they neither begin nor end with a zero.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    scale: i64,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Option<Self> {
        let (negative, token) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
        let (digits, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() && fraction.is_empty() {
            return Some(Self { negative: false, whole, fraction, scale: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let (whole, fraction, shift) = if fraction.is_empty() {
            let kept = whole.trim_end_matches('0');
            (kept, fraction, i64::try_from(whole.len() - kept.len()).ok()?)
        } else {
            let places = i64::try_from(fraction.len()).ok()?;
            (whole, if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction }, -places)
        };
        Some(Self { negative, whole, fraction, scale: exponent.checked_add(shift)? })
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    fn digits(&self) -> impl Iterator<Item = char> + '_ {
        self.whole.chars().chain(self.fraction.chars())
    }

    fn same(&self, other: &Self) -> bool {
        self.negative == other.negative && self.scale == other.scale && self.digits().eq(other.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value() {
        for group in [
            &["1", "1.0", "1e0", "10e-1", "0.1e1", "1.00E+0", "100e-2", "0.01e2"][..],
            &["0", "-0", "0.0", "0e99999999999999999999999", "-0.00E-5"],
            &["12345678901234567890123", "12345678901234567890123.0", "1.2345678901234567890123e22"],
            &["-1.5", "-15e-1", "-0.15e1"],
            &["100", "1e2", "1.0e2", "0.1e3", "100.0"],
            &["0.001", "1e-3", "10e-4", "0.0010"],
            &["1020.5", "10205e-1", "1.0205e3"],
        ] {
            for a in group {
                for b in group {
                    assert_eq!(same(a, b), Tri::True, "{a} {b}");
                    assert_eq!(canonical(a), canonical(b));
                }
            }
        }
    }

    #[test]
    fn other_numbers_are_not() {
        for (a, b) in [
            ("1", "-1"),
            ("9007199254740992", "9007199254740993"),
            ("0.1", "0.10000000000000001"),
            ("1e400", "1e401"),
            ("10", "1"),
            ("0", "1e-300"),
            ("101", "11"),
            ("1.01", "1.1"),
            ("0.01", "0.1"),
        ] {
            assert_eq!(same(a, b), Tri::False, "{a} {b}");
            assert_ne!(canonical(a), canonical(b));
        }
    }

    #[test]
    fn exponents_out_of_reach_are_unknown() {
        assert_eq!(same("1e99999999999999999999", "1"), Tri::Unknown);
        assert_eq!(same("1e99999999999999999999", "1e99999999999999999999"), Tri::True);
        assert_eq!(canonical("1e99999999999999999999"), None);
    }

    #[test]
    fn only_json_spellings_count() {
        for token in ["1", "-0.5", "1e9"] {
            assert!(is_json(token), "{token}");
        }
        for token in ["+1", ".5", "0x10", "1_0", "01", "", "true", "1 ", "1e99999999999999999999"] {
            assert!(!is_json(token), "{token}");
        }
    }
}

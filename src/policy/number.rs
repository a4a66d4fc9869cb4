//! JSON numbers compared by value, digit by digit: `1`, `1.0` and `10e-1` are one number, however long it is.

use std::borrow::Cow;
use std::cmp::Ordering;

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

/// Which of two number tokens means more, digit by digit; `None` for exponents of more than 64 bits.
pub(super) fn compare(a: &str, b: &str) -> Option<Ordering> {
    Parts::of(a)?.compare(&Parts::of(b)?)
}

/// Whether a number token means a whole number, whatever its exponent.
pub(super) fn is_whole(token: &str) -> bool {
    match Parts::of(token) {
        // Neither end of the digits is a zero.
        Some(parts) => parts.scale >= 0,
        // An exponent beyond 64 bits, which no number of digits makes up for.
        None => !token.contains("e-") && !token.contains("E-"),
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

/// As [`canonical`]; borrowed where the token is in that spelling, as most numbers are.
pub(super) fn spelled(token: &str) -> Option<Cow<'_, str>> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let plain =
        (1..=PLAIN_ZEROS_MAX).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { Some(Cow::Borrowed(token)) } else { canonical(token).map(Cow::Owned) }
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

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        if self.is_zero() { 0 } else { i8::from(!self.negative) * 2 - 1 }
    }

    /// The power of ten just above the value.
    fn top(&self) -> Option<i64> {
        self.scale.checked_add(i64::try_from(self.whole.len() + self.fraction.len()).ok()?)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        let sign = self.sign();
        if sign != other.sign() || sign == 0 {
            return Some(sign.cmp(&other.sign()));
        }
        let size = self.top()?.cmp(&other.top()?).then_with(|| self.digits().cmp(other.digits()));
        Some(if sign < 0 { size.reverse() } else { size })
    }

    fn same(&self, other: &Self) -> bool {
        self.negative == other.negative && self.scale == other.scale && self.digits().eq(other.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
                    assert_eq!(spelled(a).as_deref(), canonical(a).as_deref());
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
    fn numbers_are_ordered_by_value() {
        let order = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-10",
            "-1.5",
            "-1.49999999999999999999",
            "-1",
            "-0.1",
            "-1e-300",
            "0",
            "1e-300",
            "0.001",
            "0.01",
            "0.1",
            "0.10000000000000001",
            "1",
            "1.0000000000000000000001",
            "1.01",
            "1.1",
            "9.99",
            "10",
            "99",
            "100",
            "101",
            "9007199254740992",
            "9007199254740993",
            "1e400",
            "1.1e400",
            "2e400",
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(compare(a, b), Some(i.cmp(&j)), "{a} {b}");
            }
        }
        assert_eq!(compare("-0.0", "0e5"), Some(Ordering::Equal));
        assert_eq!(compare("1e99999999999999999999", "1"), None);
        assert_eq!(compare("10e9223372036854775807", "1"), None);
    }

    #[test]
    fn whole_numbers_are_told_by_value() {
        for token in
            ["0", "-0.0", "1.0", "1e2", "1.5e1", "10e-1", "100.00e-2", "1e99999999999999999999", "0e-99999999999999999999"]
        {
            assert!(is_whole(token), "{token}");
        }
        for token in ["0.5", "1.5", "1e-1", "15e-1", "1e-99999999999999999999", "1.05e1"] {
            assert!(!is_whole(token), "{token}");
        }
    }

    /// The value times 10^12, for tokens that fit.
    fn scaled(token: &str) -> i128 {
        let (digits, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let value: i128 = format!("{whole}{fraction}").parse().unwrap();
        let power = 12 + exponent.parse::<i32>().unwrap() - i32::try_from(fraction.len()).unwrap();
        value * 10_i128.pow(u32::try_from(power).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn order_agrees_with_exact_arithmetic(
            a in r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?([eE][+-]?[0-8])?",
            b in r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?([eE][+-]?[0-8])?",
        ) {
            let (x, y) = (scaled(&a), scaled(&b));
            prop_assert_eq!(compare(&a, &b), Some(x.cmp(&y)));
            prop_assert_eq!(same(&a, &b), Tri::from(x == y));
            prop_assert_eq!(is_whole(&a), x % 1_000_000_000_000 == 0);
        }

        #[test]
        fn nothing_panics(a in r"[-+0-9.eE]{0,24}", b in r"[-+0-9.eE]{0,24}", c in "\\PC{0,12}") {
            let _ = (compare(&a, &b), same(&a, &c), canonical(&a), is_whole(&b), is_whole(&c), is_json(&a), is_json(&c));
        }
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

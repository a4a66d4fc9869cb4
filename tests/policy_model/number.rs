//! Numbers by value: the digits without leading and trailing zeros, times a power of ten.

use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) negative: bool,
    /// Empty for zero.
    pub(crate) digits: String,
    /// Of the last digit.
    pub(crate) exponent: i128,
}

/// The number a token means. `None` if its exponent is beyond 64 bits, unless it is zero all the same.
pub(crate) fn read(token: &str) -> Option<Decimal> {
    let exact = exact(token);
    let written: i128 = exponent_of(token);
    let fits = |n: i128| i64::try_from(n).is_ok();
    (exact.digits.is_empty() || (fits(written) && fits(exact.exponent))).then_some(exact)
}

/// The number a token means, whatever its exponent.
pub(crate) fn exact(token: &str) -> Decimal {
    let negative = token.starts_with('-');
    let mantissa = token.trim_start_matches('-').split(['e', 'E']).next().unwrap();
    let places = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let mut digits: String = mantissa.replace('.', "").trim_start_matches('0').to_owned();
    let mut exponent = exponent_of(token) - places as i128;
    while digits.ends_with('0') {
        digits.pop();
        exponent += 1;
    }
    if digits.is_empty() {
        return Decimal { negative: false, digits, exponent: 0 };
    }
    Decimal { negative, digits, exponent }
}

fn exponent_of(token: &str) -> i128 {
    token.split_once(['e', 'E']).map_or(0, |(_, exponent)| exponent.parse().unwrap())
}

impl Decimal {
    pub(crate) fn is_whole(&self) -> bool {
        self.exponent >= 0 || self.digits.is_empty()
    }

    /// The canonical spelling of the page.
    pub(crate) fn spelling(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        match usize::try_from(self.exponent) {
            Ok(zeros) if zeros <= 32 => format!("{sign}{}{}", self.digits, "0".repeat(zeros)),
            _ => format!("{sign}{}e{}", self.digits, self.exponent),
        }
    }

    fn sign(&self) -> i32 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        if self.sign() != other.sign() || self.sign() == 0 {
            return self.sign().cmp(&other.sign());
        }
        // The power of ten of the first digit decides, then the digits one by one.
        let top = |n: &Self| n.exponent + n.digits.len() as i128;
        let size = top(self).cmp(&top(other)).then_with(|| self.digits.cmp(&other.digits));
        if self.negative { size.reverse() } else { size }
    }
}

#[test]
fn numbers_compare_by_value() {
    let order = ["-1e400", "-5.5", "-1", "0", "1e-400", "0.1", "1", "1.05", "5", "5.5", "99", "100", "9007199254740993", "1e400"];
    for (i, a) in order.iter().enumerate() {
        for (j, b) in order.iter().enumerate() {
            assert_eq!(read(a).unwrap().compare(&read(b).unwrap()), i.cmp(&j), "{a} {b}");
        }
    }
    for (a, b) in [("1", "10e-1"), ("-0", "0e99999999999999999999"), ("1.50", "150e-2")] {
        assert_eq!(read(a), read(b));
    }
    assert_eq!(read("1e99999999999999999999"), None);
    assert_eq!(read("1.50").unwrap().spelling(), "15e-1");
    assert_eq!(read("1.23e2").unwrap().spelling(), "123");
}

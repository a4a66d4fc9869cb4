//! Section 11: days and hours.

use crate::language::{Window, Zone};
use crate::truth::Truth::{self, Unknown};
use crate::truth::seen;

const DAY_S: i64 = 86_400;
/// Times of a clock that can be read: after 1970, and not after the year 9999.
const READABLE_MS: std::ops::Range<i64> = 1..253_402_300_800_000;

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    /// 0 is Monday.
    pub(crate) weekday: u8,
    pub(crate) second_of_day: i64,
}

/// `None` for a clock that cannot be read.
pub(crate) fn moment(now_ms: i64) -> Option<Moment> {
    READABLE_MS.contains(&now_ms).then(|| at(now_ms.div_euclid(1000)))
}

fn at(seconds: i64) -> Moment {
    let days = seconds.div_euclid(DAY_S);
    let (mut year, mut rest) = (1970, days);
    while rest >= year_days(year) {
        rest -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while rest >= month_days(year, month) {
        rest -= month_days(year, month);
        month += 1;
    }
    let weekday = u8::try_from((days + 3).rem_euclid(7)).unwrap();
    Moment { year, month, day: rest + 1, weekday, second_of_day: seconds.rem_euclid(DAY_S) }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn year_days(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What the clock on the wall of a zone is ahead of UTC, in seconds.
fn ahead_s(zone: Zone, seconds: i64) -> i64 {
    match zone {
        Zone::Utc => 0,
        Zone::Kolkata => 19_800,
        Zone::Berlin if is_summer(seconds) => 7_200,
        Zone::Berlin => 3_600,
    }
}

/// European summer time: from the last Sunday of March to the last Sunday of October, at 01:00 UTC.
fn is_summer(seconds: i64) -> bool {
    let now = at(seconds);
    let after_change = || {
        let next_sunday = now.day + (6 - i64::from(now.weekday)).rem_euclid(7);
        let is_last_week = now.day + 7 > 31;
        match (now.weekday == 6, is_last_week) {
            (true, true) => now.second_of_day >= 3_600,
            // The last Sunday is past if no Sunday is to come in this month.
            _ => next_sunday > 31,
        }
    };
    match now.month {
        4..=9 => true,
        3 => after_change(),
        10 => !after_change(),
        _ => false,
    }
}

/// The truth of `schedule`.
pub(crate) fn truth(windows: &[Window], now_ms: i64) -> Truth {
    if windows.is_empty() {
        return Truth::True;
    }
    let truth = match moment(now_ms) {
        None => Unknown,
        Some(_) => windows.iter().any(|window| holds(window, now_ms.div_euclid(1000))).into(),
    };
    seen("schedule", &format!("{truth:?}"));
    truth
}

fn holds(window: &Window, seconds: i64) -> bool {
    let local = at(seconds + ahead_s(window.zone.unwrap_or(Zone::Utc), seconds));
    let on = |weekday: u8| window.days.is_empty() || window.days.contains(&weekday);
    let minute = u32::try_from(local.second_of_day / 60).unwrap();
    match window.hours {
        None => on(local.weekday),
        Some((from, to)) if from < to => on(local.weekday) && (from..to).contains(&minute),
        Some((from, to)) => (on(local.weekday) && minute >= from) || (on((local.weekday + 6) % 7) && minute < to),
    }
}

#[test]
fn calendars_are_right() {
    let check = |ms, year, month, day, weekday, second| {
        let expect = Moment { year, month, day, weekday, second_of_day: second };
        assert_eq!(moment(ms), Some(expect), "{ms}");
    };
    check(1, 1970, 1, 1, 3, 0);
    check(951_782_400_000, 2000, 2, 29, 1, 0);
    check(1_761_440_400_000, 2025, 10, 26, 6, 3_600);
    for (seconds, summer) in [
        (1_743_296_399, false), // 2025-03-30 00:59:59
        (1_743_296_400, true),
        (1_761_440_399, true), // 2025-10-26 00:59:59
        (1_761_440_400, false),
        (1_743_379_200, true),  // 2025-03-31
        (1_761_523_200, false), // 2025-10-27
        (1_740_787_200, false), // 2025-03-01
        (1_759_276_800, true),  // 2025-10-01
    ] {
        assert_eq!(is_summer(seconds), summer, "{seconds}");
    }
}

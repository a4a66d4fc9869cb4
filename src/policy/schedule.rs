//! `schedule`: the hours of a week in which a rule speaks, as a clock on a wall shows them.
//!
//! Zones come from the table built into the program, never from the machine. A local hour that a change of clocks repeats counts
//! both times; one that it skips never comes.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::bounds::SCHEDULE_WINDOWS_MAX;
use super::report::{Fields, Report, key_path, nearest};
use super::tri::Tri;
use super::yaml::{Node, Value};

/// Keys of a window.
pub(super) const WINDOW_KEYS: &[&str] = &["days", "from", "to", "zone"];
/// Names of days, Monday first.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const DAY_MINUTES: u16 = 24 * 60;
const EVERY_DAY: u8 = 0b111_1111;

/// A set of windows. Sorted; empty for always.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule(Box<[Window]>);

/// Hours of some days.
#[derive(Clone, Debug)]
struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes from midnight, inclusive.
    from: u16,
    /// Minutes from midnight, exclusive. At or before `from`, it is of the next day.
    to: u16,
    zone: TimeZone,
    /// The zone in the spelling of the table.
    name: Box<str>,
}

impl Schedule {
    /// Whether there are no windows to keep to.
    pub(super) fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are windows, and one of them is never closed.
    pub(super) fn is_never_closed(&self) -> bool {
        let whole = |w: &Window| w.from == w.to || (w.from == 0 && w.to == DAY_MINUTES);
        self.0.iter().any(|w| w.days == EVERY_DAY && whole(w))
    }

    /// Whether any window is open; unknown without a clock (milliseconds since the Unix epoch) that can be read.
    pub(super) fn is_open(&self, now_unix_ms: Option<i64>) -> Tri {
        if self.is_always() {
            return Tri::True;
        }
        let now = now_unix_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(now) = now else { return Tri::Unknown };
        self.0.iter().any(|window| window.has(now)).into()
    }

    /// The windows in the one spelling that digests count.
    pub(super) fn canonical(&self) -> Vec<String> {
        let spell = |w: &Window| format!("{:07b} {} {} {}", w.days, w.from, w.to, w.name);
        self.0.iter().map(spell).collect()
    }
}

impl Window {
    fn has(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        let today = local.weekday().to_monday_zero_offset();
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let on = |day: i8| self.days >> day & 1 == 1;
        let (late, early) = (minute >= self.from, minute < self.to);
        if self.from < self.to {
            return on(today) && late && early;
        }
        // The hours after midnight belong to the day before.
        (on(today) && late) || (on((today + 6) % 7) && early)
    }
}

/// Reads `schedule`: one window, or a list of windows of which any suffices.
pub(super) fn read_schedule(report: &mut Report<'_>, node: &Node, path: &str) -> Schedule {
    let mut windows: Vec<Window> = Vec::new();
    if let Value::List(_) = node.value {
        let items = report.list(node, path);
        if items.len() > SCHEDULE_WINDOWS_MAX {
            report.wrong(node, path, format!("more than {SCHEDULE_WINDOWS_MAX} windows in one rule"), "");
            return Schedule::default();
        }
        for (i, item) in items.iter().enumerate() {
            windows.extend(read_window(report, item, &format!("{path}[{i}]")));
        }
    } else {
        windows.extend(read_window(report, node, path));
    }
    let key = |w: &Window| (w.days, w.from, w.to, w.name.clone());
    windows.sort_by_key(key);
    windows.dedup_by_key(|window| key(window));
    Schedule(windows.into())
}

fn read_window(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Window> {
    let fields = report.fields(node, path, WINDOW_KEYS, &[])?;
    let days = fields.get("days").map(|node| read_days(report, node, &key_path(path, "days")));
    let (given_from, given_to) = (fields.get("from").is_some(), fields.get("to").is_some());
    let from = read_time(report, &fields, path, "from", DAY_MINUTES - 1);
    let to = read_time(report, &fields, path, "to", DAY_MINUTES);
    let (zone, name) = read_zone(report, &fields, path)?;
    if given_from != given_to {
        let missing = if given_from { "to" } else { "from" };
        report.at(fields.place, &key_path(path, missing), "", "is required and not given", "from and to belong together");
        return None;
    }
    if days.is_none() && !given_from {
        report.at(fields.place, path, "", "the window says nothing", "give `days`, or `from` and `to`");
        return None;
    }
    let (from, to) = if given_from { (from?, to?) } else { (0, DAY_MINUTES) };
    Some(Window { days: days.unwrap_or(EVERY_DAY), from, to, zone, name })
}

fn read_days(report: &mut Report<'_>, node: &Node, path: &str) -> u8 {
    let words: Vec<(&str, u8)> = DAYS.into_iter().zip(0..7).collect();
    let mut days = 0;
    for (i, item) in report.list(node, path).iter().enumerate() {
        days |= report.word(item, &format!("{path}[{i}]"), &words).map_or(0, |day| 1 << day);
    }
    days
}

/// `HH:MM` as minutes from midnight.
fn read_time(report: &mut Report<'_>, fields: &Fields<'_>, path: &str, key: &str, most: u16) -> Option<u16> {
    let node = fields.get(key)?;
    let path = key_path(path, key);
    let text = report.text(node, &path)?;
    let two = |digits: &str| digits.parse::<u16>().ok().filter(|_| digits.len() == 2 && !digits.starts_with('+'));
    let time = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (two(hour)?, two(minute).filter(|minute| *minute < 60)?);
        Some(hour * 60 + minute).filter(|time| *time <= most)
    });
    if time.is_none() {
        report.wrong(node, &path, "not a time of the day", "hours and minutes: \"09:00\", \"17:30\"; a day ends at \"24:00\"");
    }
    time
}

fn read_zone(report: &mut Report<'_>, fields: &Fields<'_>, path: &str) -> Option<(TimeZone, Box<str>)> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    let Some(node) = fields.get("zone") else { return Some((TimeZone::UTC, "UTC".into())) };
    let path = key_path(path, "zone");
    let text = report.text(node, &path)?;
    let found = ZONES.get(text).ok().and_then(|zone| {
        let name = zone.iana_name()?.into();
        Some((zone, name))
    });
    if found.is_none() {
        let names: Vec<String> = ZONES.available().map(|name| name.to_string()).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = nearest(text, &known).map_or_else(
            || "a name of the IANA time zone table, such as Europe/Berlin or UTC".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        report.wrong(node, &path, "no such time zone", hint);
    }
    found
}

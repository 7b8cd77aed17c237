//! Secrets Manager's `cron()`: full hours of UTC days (aws.md section 7).

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::{DAY, HOUR, date, midnight, number};
use crate::model::Timestamp;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// How far ahead a day is looked for: 29 February can be eight years away.
const FAR: i64 = 366 * 8 + 1;

/// Which field of a cron expression does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum CronError {
    /// Not six fields.
    #[error("it must have six fields")]
    Fields,
    /// Windows open on the hour.
    #[error("minutes must be 0")]
    Minutes,
    /// Not 0 to 23 with `, - * /`.
    #[error("hours must be 0 to 23")]
    Hours,
    /// Not 1 to 31 with `, - * ? / L`.
    #[error("day-of-month must be 1 to 31")]
    DayOfMonth,
    /// Not 1 to 12 or JAN to DEC with `, - * /`.
    #[error("month must be 1 to 12 or JAN to DEC")]
    Month,
    /// Not 1 to 7 or SUN to SAT with `# , - * ? / L`.
    #[error("day-of-week must be 1 to 7 or SUN to SAT")]
    DayOfWeek,
    /// Schedules repeat every year.
    #[error("year must be *")]
    Year,
    /// Exactly one of the two day fields is `?`.
    #[error("one of day-of-month and day-of-week must be ?")]
    Days,
    /// No day fits.
    #[error("no day fits it")]
    Never,
}

/// A checked expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    /// Bit n stands for hour n; the others likewise.
    hours: u64,
    months: u64,
    days: Days,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    /// Days of the month, and whether the last one too.
    OfMonth { days: u64, last: bool },
    /// Days of the week from Sunday = 1, those of one week of the month, and those of
    /// the month's last week.
    OfWeek {
        days: u64,
        nth: Vec<(i64, i64)>,
        last: Vec<i64>,
    },
}

impl Cron {
    /// Parses what stands between the parentheses.
    pub(super) fn parse(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, of_month, month, of_week, year] = fields[..] else {
            return Err(CronError::Fields);
        };
        if minutes != "0" {
            return Err(CronError::Minutes);
        }
        if year != "*" {
            return Err(CronError::Year);
        }
        let days = match (of_month, of_week) {
            ("?", "?") => return Err(CronError::Days),
            (field, "?") => parse_of_month(field)?,
            ("?", field) => parse_of_week(field)?,
            _ => return Err(CronError::Days),
        };
        let cron = Self {
            hours: set(hours, 0..=23, &[]).ok_or(CronError::Hours)?,
            months: set(month, 1..=12, &MONTHS).ok_or(CronError::Month)?,
            days,
        };
        if cron.some_days().next().is_none() {
            return Err(CronError::Never);
        }
        Ok(cron)
    }

    /// The first hour that fits strictly after a moment.
    pub(super) fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let first = date(last)?;
        let start = midnight(last).millis();
        for ahead in 0..FAR {
            let day = first.checked_add(ahead.days()).ok()?;
            if !self.fits(day) {
                continue;
            }
            let midnight = start + ahead * DAY;
            let mut hours = self.each_hour().map(|hour| midnight + hour * HOUR);
            if let Some(found) = hours.find(|at| *at > last.millis()) {
                return Some(Timestamp::from_millis(found));
            }
        }
        None
    }

    /// Whether it comes round several times a day: a schedule in hours.
    pub(super) fn is_hourly(&self) -> bool {
        self.hours.count_ones() > 1
    }

    /// The last hour of the day that fits.
    pub(super) fn last_hour(&self) -> i64 {
        self.each_hour().last().unwrap_or(0)
    }

    /// The least hours between two that fit; over midnight only where two days in a
    /// row fit.
    pub(super) fn least_gap(&self) -> i64 {
        let hours: Vec<i64> = self.each_hour().collect();
        let within = hours.iter().zip(hours.iter().skip(1)).map(|(a, b)| b - a);
        let within = within.min().unwrap_or(24);
        let days: Vec<Date> = self.some_days().collect();
        let in_a_row = days
            .iter()
            .zip(days.iter().skip(1))
            .any(|(a, b)| a.tomorrow().ok() == Some(*b));
        match (hours.first(), hours.last()) {
            (Some(first), Some(last)) if in_a_row => within.min(24 - last + first),
            _ => within,
        }
    }

    fn each_hour(&self) -> impl Iterator<Item = i64> {
        let hours = self.hours;
        (0..24).filter(move |hour| hours & (1 << hour) != 0)
    }

    /// The days that fit in a leap year and the start of the next.
    fn some_days(&self) -> impl Iterator<Item = Date> {
        let year = Date::constant(2024, 1, 1).series(1.day()).take(400);
        year.filter(|day| self.fits(*day))
    }

    fn fits(&self, day: Date) -> bool {
        let of_month = i64::from(day.day());
        let month = self.months & (1 << day.month()) != 0;
        let left = i64::from(day.days_in_month()) - of_month;
        month
            && match &self.days {
                Days::OfMonth { days, last } => days & (1 << of_month) != 0 || (*last && left == 0),
                Days::OfWeek { days, nth, last } => {
                    let of_week = i64::from(day.weekday().to_sunday_zero_offset()) + 1;
                    let week = (of_month - 1) / 7 + 1;
                    days & (1 << of_week) != 0
                        || nth.contains(&(of_week, week))
                        || (left < 7 && last.contains(&of_week))
                }
            }
    }
}

fn parse_of_month(field: &str) -> Result<Days, CronError> {
    let (mut days, mut last) = (0, false);
    for part in field.split(',') {
        match part {
            "L" => last = true,
            part => days |= set(part, 1..=31, &[]).ok_or(CronError::DayOfMonth)?,
        }
    }
    Ok(Days::OfMonth { days, last })
}

/// `L` alone is the week's last day; after a day it is the month's last such day.
fn parse_of_week(field: &str) -> Result<Days, CronError> {
    let (mut days, mut nth, mut last) = (0, Vec::new(), Vec::new());
    let weekday = |text: &str| value(text, &(1..=7), &WEEKDAYS).ok_or(CronError::DayOfWeek);
    for part in field.split(',') {
        if part == "L" {
            days |= 1 << 7;
        } else if let Some((day, week)) = part.split_once('#') {
            let week = number(week).filter(|w| (1..=5).contains(w));
            nth.push((weekday(day)?, week.ok_or(CronError::DayOfWeek)?));
        } else if let Some(day) = part.strip_suffix('L') {
            last.push(weekday(day)?);
        } else {
            days |= set(part, 1..=7, &WEEKDAYS).ok_or(CronError::DayOfWeek)?;
        }
    }
    Ok(Days::OfWeek { days, nth, last })
}

/// The set of a field's comma-parted list: `*`, a value, a range, each with an
/// optional `/step`; a value with a step goes on to the end.
fn set(field: &str, range: std::ops::RangeInclusive<i64>, names: &[&str]) -> Option<u64> {
    let mut bits = 0;
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(number(step).filter(|s| *s > 0)?)),
            None => (part, None),
        };
        let (from, to) = match span.split_once('-') {
            _ if span == "*" => (*range.start(), *range.end()),
            Some((from, to)) => (value(from, &range, names)?, value(to, &range, names)?),
            None => {
                let from = value(span, &range, names)?;
                (from, step.map_or(from, |_| *range.end()))
            }
        };
        if from > to {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        for n in (from..=to).step_by(step) {
            bits |= 1 << n;
        }
    }
    Some(bits)
}

/// One value: a number in the range, or a name, which counts from the range's start.
fn value(text: &str, range: &std::ops::RangeInclusive<i64>, names: &[&str]) -> Option<i64> {
    let named = || {
        let at = names.iter().position(|n| n.eq_ignore_ascii_case(text))?;
        Some(range.start() + i64::try_from(at).ok()?)
    };
    number(text).or_else(named).filter(|n| range.contains(n))
}

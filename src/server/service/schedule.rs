//! When a secret rotates: RotationRules and the dates that follow from them (aws.md
//! section 7). All times are UTC.

mod cron;

use jiff::Span;
use jiff::civil::Date;
use serde::Deserialize;

use crate::model::Timestamp;
use cron::Cron;
pub(super) use cron::CronError;

/// The least hours between two rotations.
const LEAST_HOURS: i64 = 4;
/// Milliseconds of an hour.
const HOUR: i64 = 3_600_000;
/// Milliseconds of a day.
const DAY: i64 = 24 * HOUR;

/// RotationRules as a request has them and an answer shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RulesInput {
    /// Days between rotations.
    #[serde(default)]
    pub(super) automatically_after_days: Option<i64>,
    /// The window's length, such as `3h`.
    #[serde(default)]
    pub(super) duration: Option<String>,
    /// A `rate(...)` or `cron(...)`.
    #[serde(default)]
    pub(super) schedule_expression: Option<String>,
}

/// What is wrong with RotationRules. The first is AWS's own text, the others say
/// which rule of aws.md section 7 is broken: AWS's words for them are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScheduleError {
    /// Days and an expression.
    #[error("You cannot specify both rotation frequency and schedule expression together.")]
    Both,
    /// Neither days nor an expression.
    #[error("You must specify either AutomaticallyAfterDays or ScheduleExpression.")]
    Neither,
    /// AutomaticallyAfterDays outside 1 to 1000.
    #[error("AutomaticallyAfterDays must be between 1 and 1000.")]
    Days,
    /// A duration that is not `1h` to `24h`.
    #[error("The rotation window duration must be between 1h and 24h.")]
    Duration,
    /// Neither `rate(...)` nor `cron(...)`.
    #[error("The schedule expression must be a rate() or cron() expression.")]
    Expression,
    /// A rate outside 4 to 23 hours or 1 to 999 days.
    #[error("The rate expression must be between 4 and 23 hours or between 1 and 999 days.")]
    Rate,
    /// A cron expression that does not fit.
    #[error("The cron expression is not valid: {0}.")]
    Cron(#[from] CronError),
    /// A schedule that comes round more often than every four hours.
    #[error("A secret can't be rotated more often than every four hours.")]
    TooOften,
    /// A window that reaches too far.
    #[error(
        "The rotation window must not extend into the next rotation window or the next UTC day."
    )]
    Window,
}

/// When windows open.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Opening {
    /// At midnight, so many days after the day of the last rotation.
    Days(i64),
    /// Every so many hours, counted from the midnight before the last rotation.
    Hours(i64),
    /// At the full hours that fit.
    Cron(Cron),
}

/// Checked RotationRules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    opening: Opening,
    /// The length of a window in hours.
    duration: Option<i64>,
}

impl Schedule {
    /// Checks rules: days or an expression, its grammar, and the window (aws.md
    /// section 7).
    pub(super) fn parse(rules: &RulesInput) -> Result<Self, ScheduleError> {
        let duration = rules.duration.as_deref().map(parse_duration).transpose()?;
        let opening = match (rules.automatically_after_days, &rules.schedule_expression) {
            (Some(_), Some(_)) => return Err(ScheduleError::Both),
            (None, None) => return Err(ScheduleError::Neither),
            (Some(days @ 1..=1000), None) => Opening::Days(days),
            (Some(_), None) => return Err(ScheduleError::Days),
            (None, Some(text)) => parse_expression(text)?,
        };
        let schedule = Self { opening, duration };
        schedule.check_window()?;
        Ok(schedule)
    }

    /// The end of the first window that opens after the last rotation: the date on or
    /// before which the next one takes place, which is what NextRotationDate means. A
    /// window ends with its last second, as 23:59:59. `None` is past the calendar.
    pub(super) fn next(&self, last: Timestamp) -> Option<Timestamp> {
        let opens = self.opens(last)?;
        let end = match self.length() {
            Some(hours) => opens.millis().checked_add(hours * HOUR)?,
            None => midnight(opens).millis().checked_add(DAY)?,
        };
        Some(Timestamp::from_millis(end - 1000))
    }

    /// AutomaticallyAfterDays as DescribeSecret computes it from the schedule: the
    /// days from the last rotation to the next, at least 1.
    pub(super) fn days(&self, last: Timestamp) -> Option<i64> {
        match self.opening {
            Opening::Days(days) => Some(days),
            Opening::Hours(_) => Some(1),
            Opening::Cron(_) => {
                let days = midnight(self.opens(last)?).millis() - midnight(last).millis();
                Some((days / DAY).max(1))
            }
        }
    }

    /// When the first window opens after a moment.
    fn opens(&self, last: Timestamp) -> Option<Timestamp> {
        let start = midnight(last).millis();
        match &self.opening {
            Opening::Days(days) => start.checked_add(days * DAY).map(Timestamp::from_millis),
            Opening::Hours(hours) => {
                let every = hours * HOUR;
                let passed = (last.millis() - start) / every;
                Some(Timestamp::from_millis(start + (passed + 1) * every))
            }
            Opening::Cron(cron) => cron.after(last),
        }
    }

    /// The length of a window in hours; `None` is to the end of the day.
    fn length(&self) -> Option<i64> {
        self.duration.or(match &self.opening {
            Opening::Days(_) => None,
            Opening::Hours(_) => Some(1),
            Opening::Cron(cron) => cron.is_hourly().then_some(1),
        })
    }

    /// A window must not reach into the next one, nor a window of a schedule in days
    /// into the next day.
    fn check_window(&self) -> Result<(), ScheduleError> {
        let Some(length) = self.length() else {
            return Ok(());
        };
        let most = match &self.opening {
            Opening::Days(_) => 24,
            Opening::Hours(hours) => *hours,
            Opening::Cron(cron) if cron.is_hourly() => cron.least_gap(),
            Opening::Cron(cron) => 24 - cron.last_hour(),
        };
        match length <= most {
            true => Ok(()),
            false => Err(ScheduleError::Window),
        }
    }
}

/// `[0-9]+h` of 2 to 3 characters, 1 to 24 hours.
fn parse_duration(text: &str) -> Result<i64, ScheduleError> {
    let hours = text.strip_suffix('h').and_then(number);
    match hours {
        Some(hours @ 1..=24) if text.len() <= 3 => Ok(hours),
        _ => Err(ScheduleError::Duration),
    }
}

fn parse_expression(text: &str) -> Result<Opening, ScheduleError> {
    let inside = |name: &str| {
        let rest = text.strip_prefix(name)?.strip_prefix('(')?;
        rest.strip_suffix(')')
    };
    if let Some(rate) = inside("rate") {
        let (value, unit) = rate.split_once(' ').ok_or(ScheduleError::Rate)?;
        let value = number(value).ok_or(ScheduleError::Rate)?;
        return match (value, unit.trim()) {
            (4..=23, "hours") => Ok(Opening::Hours(value)),
            (1, "day") | (1..=999, "days") => Ok(Opening::Days(value)),
            _ => Err(ScheduleError::Rate),
        };
    }
    let cron = inside("cron").ok_or(ScheduleError::Expression)?;
    let cron = Cron::parse(cron)?;
    if cron.is_hourly() && cron.least_gap() < LEAST_HOURS {
        return Err(ScheduleError::TooOften);
    }
    Ok(Opening::Cron(cron))
}

/// A number of digits and nothing else.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The UTC midnight before a moment.
fn midnight(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(DAY) * DAY)
}

/// The UTC day of a moment.
fn date(at: Timestamp) -> Option<Date> {
    let days = Span::new().try_days(at.millis().div_euclid(DAY)).ok()?;
    Date::constant(1970, 1, 1).checked_add(days).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rules(days: Option<i64>, expression: &str, duration: &str) -> RulesInput {
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        RulesInput {
            automatically_after_days: days,
            duration: some(duration),
            schedule_expression: some(expression),
        }
    }

    #[test]
    fn aws_7_rules_are_days_or_an_expression_of_the_grammar() {
        use ScheduleError as E;
        let cron = |error: CronError| Err(E::Cron(error));
        for (days, expression, duration, expected) in [
            (Some(1), "", "", Ok(())),
            (Some(1000), "", "24h", Ok(())),
            (Some(0), "", "", Err(E::Days)),
            (Some(1001), "", "", Err(E::Days)),
            (Some(1), "rate(1 day)", "", Err(E::Both)),
            (None, "", "3h", Err(E::Neither)),
            (Some(1), "", "0h", Err(E::Duration)),
            (Some(1), "", "25h", Err(E::Duration)),
            (Some(1), "", "h", Err(E::Duration)),
            (Some(1), "", "3", Err(E::Duration)),
            (Some(1), "", "003h", Err(E::Duration)),
            (Some(1), "", "+3h", Err(E::Duration)),
            (None, "rate(4 hours)", "", Ok(())),
            (None, "rate(23 hours)", "23h", Ok(())),
            (None, "rate(3 hours)", "", Err(E::Rate)),
            (None, "rate(24 hours)", "", Err(E::Rate)),
            (None, "rate(1 day)", "", Ok(())),
            (None, "rate(999 days)", "", Ok(())),
            (None, "rate(1000 days)", "", Err(E::Rate)),
            (None, "rate(0 days)", "", Err(E::Rate)),
            (None, "rate(5 day)", "", Err(E::Rate)),
            (None, "rate(5 minutes)", "", Err(E::Rate)),
            (None, "rate(5)", "", Err(E::Rate)),
            (None, "every day", "", Err(E::Expression)),
            (None, "cron(0 8 1 * ? *)", "", Ok(())),
            (None, "cron(0 8 ? * MON-FRI *)", "16h", Ok(())),
            (None, "cron(0 16 L * ? *)", "", Ok(())),
            (None, "cron(0 0 ? JAN,APR,JUL,OCT SUN#1 *)", "", Ok(())),
            (None, "cron(0 8/8 * * ? *)", "", Ok(())),
            (None, "cron(0 */4 * * ? *)", "4h", Ok(())),
            (None, "cron(5 8 1 * ? *)", "", cron(CronError::Minutes)),
            (None, "cron(0 8 1 * ? 2030)", "", cron(CronError::Year)),
            (None, "cron(0 8 1 * ?)", "", cron(CronError::Fields)),
            (None, "cron(0 24 1 * ? *)", "", cron(CronError::Hours)),
            (None, "cron(0 8 32 * ? *)", "", cron(CronError::DayOfMonth)),
            (None, "cron(0 8 1 13 ? *)", "", cron(CronError::Month)),
            (None, "cron(0 8 1 ? ? *)", "", cron(CronError::Month)),
            (None, "cron(0 8 ? * 8 *)", "", cron(CronError::DayOfWeek)),
            (
                None,
                "cron(0 8 ? * SUN#6 *)",
                "",
                cron(CronError::DayOfWeek),
            ),
            (None, "cron(0 8 1 * MON *)", "", cron(CronError::Days)),
            (None, "cron(0 8 ? * ? *)", "", cron(CronError::Days)),
            (None, "cron(0 8 31 2 ? *)", "", cron(CronError::Never)),
            (None, "cron(0 */2 * * ? *)", "", Err(E::TooOften)),
            (None, "cron(0 8,9 * * ? *)", "", Err(E::TooOften)),
        ] {
            let parsed = Schedule::parse(&rules(days, expression, duration)).map(|_| ());
            assert_eq!(parsed, expected, "{days:?} {expression} {duration}");
        }
    }

    #[test]
    fn aws_7_a_window_stays_clear_of_the_next_window_and_the_next_day() {
        for (expression, duration, fits) in [
            ("rate(4 hours)", "4h", true),
            ("rate(4 hours)", "5h", false),
            ("rate(10 days)", "24h", true),
            ("cron(0 16 ? * SAT *)", "8h", true),
            ("cron(0 16 ? * SAT *)", "9h", false),
            ("cron(0 0/6 * * ? *)", "6h", true),
            ("cron(0 0/6 * * ? *)", "7h", false),
        ] {
            let parsed = Schedule::parse(&rules(None, expression, duration));
            let expected = match fits {
                true => None,
                false => Some(ScheduleError::Window),
            };
            assert_eq!(parsed.err(), expected, "{expression} {duration}");
        }
    }

    #[test]
    fn aws_7_the_next_date_is_the_end_of_the_next_window() {
        // 2024-03-06 is a Wednesday of a leap year.
        let last = "2024-03-06T10:20:30.400Z";
        for (days, expression, duration, last, next) in [
            (Some(30), "", "", last, "2024-04-05T23:59:59Z"),
            (Some(1), "", "2h", last, "2024-03-07T01:59:59Z"),
            (None, "rate(10 days)", "", last, "2024-03-16T23:59:59Z"),
            (None, "rate(4 hours)", "", last, "2024-03-06T12:59:59Z"),
            (None, "rate(12 hours)", "3h", last, "2024-03-06T14:59:59Z"),
            (
                None,
                "rate(5 hours)",
                "",
                "2024-03-06T20:00:00Z",
                "2024-03-07T01:59:59Z",
            ),
            (None, "cron(0 8 1 * ? *)", "", last, "2024-04-01T23:59:59Z"),
            (
                None,
                "cron(0 16 L * ? *)",
                "2h",
                last,
                "2024-03-31T17:59:59Z",
            ),
            (
                None,
                "cron(0 16 L 2 ? *)",
                "2h",
                last,
                "2025-02-28T17:59:59Z",
            ),
            (
                None,
                "cron(0 8 29 2 ? *)",
                "1h",
                last,
                "2028-02-29T08:59:59Z",
            ),
            (
                None,
                "cron(0 11 ? * MON-FRI *)",
                "1h",
                last,
                "2024-03-06T11:59:59Z",
            ),
            (
                None,
                "cron(0 10 ? * MON-FRI *)",
                "1h",
                last,
                "2024-03-07T10:59:59Z",
            ),
            (
                None,
                "cron(0 0 ? * SUN#1 *)",
                "",
                last,
                "2024-04-07T23:59:59Z",
            ),
            (None, "cron(0 0 ? * L *)", "", last, "2024-03-09T23:59:59Z"),
            (None, "cron(0 0 ? * 2L *)", "", last, "2024-03-25T23:59:59Z"),
            (
                None,
                "cron(0 10 ? FEB,MAY,AUG,NOV TUE#2 *)",
                "",
                last,
                "2024-05-14T23:59:59Z",
            ),
            (
                None,
                "cron(0 8 1/7 * ? *)",
                "",
                last,
                "2024-03-08T23:59:59Z",
            ),
            (
                None,
                "cron(0 4/12 * * ? *)",
                "",
                last,
                "2024-03-06T16:59:59Z",
            ),
            (
                None,
                "cron(0 4/12 * * ? *)",
                "",
                "2024-03-06T16:00:00Z",
                "2024-03-07T04:59:59Z",
            ),
        ] {
            let schedule = Schedule::parse(&rules(days, expression, duration)).unwrap();
            let found = schedule.next(at(last)).unwrap();
            assert_eq!(found, at(next), "{days:?} {expression}: {found}");
        }
    }

    #[test]
    fn aws_7_automatically_after_days_is_computed_from_the_schedule() {
        let last = at("2024-03-06T10:20:30Z");
        for (days, expression, expected) in [
            (Some(30), "", 30),
            (None, "rate(10 days)", 10),
            (None, "rate(4 hours)", 1),
            (None, "cron(0 8 1 * ? *)", 26),
            (None, "cron(0 16 * * ? *)", 1),
        ] {
            let schedule = Schedule::parse(&rules(days, expression, "")).unwrap();
            assert_eq!(schedule.days(last), Some(expected), "{expression}");
        }
    }

    #[test]
    fn a_date_past_the_calendar_is_none() {
        let schedule = Schedule::parse(&rules(None, "cron(0 8 1 * ? *)", "")).unwrap();
        assert_eq!(schedule.next(Timestamp::from_millis(i64::MAX)), None);
    }
}

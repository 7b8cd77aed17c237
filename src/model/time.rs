use std::fmt;
use std::str::FromStr;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
///
/// AWS sends three fraction digits; so does strongroom. The text form is RFC 3339
/// in UTC with exactly three fraction digits, so that equal moments are equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is no RFC 3339 moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct TimestampError;

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment and `days` more.
    #[must_use]
    pub const fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(86_400_000)))
    }

    /// The calendar day in UTC as `yyyymmdd`.
    pub fn day(self) -> String {
        let text = self.to_string();
        text.chars().take(10).filter(|c| *c != '-').collect()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let t: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        Ok(Self(t.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_three_fraction_digits_and_comes_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_523_477_145_729, "2018-04-11T20:05:45.729Z"),
        ] {
            let t = Timestamp::from_millis(millis);
            assert_eq!(t.to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), t);
        }
        assert_eq!(Timestamp::from_millis(1_523_477_145_729).day(), "20180411");
    }
}

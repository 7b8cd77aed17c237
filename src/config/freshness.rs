use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::{SecretName, Timestamp};

/// How far ahead of now a verification may be dated before it counts as none: clocks
/// differ, and a date far in the future would never grow old.
const AHEAD: i64 = 5 * 60_000;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What a stale secret gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnStale {
    /// It is given out, with a warning.
    #[default]
    Warn,
    /// It is refused.
    Deny,
}

impl OnStale {
    /// As it is spelled in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }

    /// The reverse of [`OnStale::as_str`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Warn, Self::Deny]
            .into_iter()
            .find(|w| w.as_str() == word)
    }
}

/// A length of time in whole minutes, as people write it: `30m`, `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// A text that is no such length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a number of minutes, hours or days, as in 30m, 24h or 7d, at most 3650d")]
pub struct SpanError;

impl Span {
    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl fmt::Display for Span {
    /// In the largest unit that fits: equal spans are equal texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // A day is easily taken for a calendar day.
            DAY => f.write_str("24h"),
            secs if secs.is_multiple_of(DAY) => write!(f, "{}d", secs / DAY),
            secs if secs.is_multiple_of(HOUR) => write!(f, "{}h", secs / HOUR),
            secs => write!(f, "{}m", secs / MINUTE),
        }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let (number, unit) = match text.char_indices().next_back() {
            Some((at, 'm')) => (text.get(..at), MINUTE),
            Some((at, 'h')) => (text.get(..at), HOUR),
            Some((at, 'd')) => (text.get(..at), DAY),
            _ => return Err(SpanError),
        };
        let number = number.unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SpanError);
        }
        let count: u64 = number.parse().map_err(|_| SpanError)?;
        let secs = count.checked_mul(unit).ok_or(SpanError)?;
        match secs {
            MINUTE..=315_360_000 => Ok(Self(secs)),
            _ => Err(SpanError),
        }
    }
}

/// How old the knowledge may be that a secret is what its remotes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The longest time since the last verification.
    pub max_stale: Span,
    /// What happens beyond it.
    pub on_stale: OnStale,
}

impl Freshness {
    /// Whether a secret that was last verified then is stale now. One that was never
    /// verified is.
    pub fn is_stale(&self, verified: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(verified) = verified else {
            return true;
        };
        let age = now.millis().saturating_sub(verified.millis());
        let max = i64::try_from(self.max_stale.duration().as_millis()).unwrap_or(i64::MAX);
        age > max || age < -AHEAD
    }
}

/// The rules of a vault, by the prefix of the names they are for.
pub type FreshnessRules = BTreeMap<String, Freshness>;

/// The rule for a secret: that of the longest prefix of its name.
pub(super) fn rule<'r>(
    rules: &'r FreshnessRules,
    name: &SecretName,
) -> Option<(&'r str, &'r Freshness)> {
    rules
        .iter()
        .filter(|(prefix, _)| name.as_str().starts_with(prefix.as_str()))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(prefix, rule)| (prefix.as_str(), rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        text.parse().unwrap()
    }

    #[test]
    fn a_span_has_one_spelling_and_bounds() {
        for (text, shown) in [
            ("1m", "1m"),
            ("90m", "90m"),
            ("60m", "1h"),
            ("24h", "24h"),
            ("1d", "24h"),
            ("48h", "2d"),
            ("3650d", "3650d"),
            ("007d", "7d"),
        ] {
            assert_eq!(span(text).to_string(), shown, "{text}");
            assert_eq!(span(shown), span(text));
        }
        for bad in [
            "",
            "m",
            "0m",
            "1",
            "1s",
            "1 h",
            "-1h",
            "+1h",
            "1.5h",
            "3651d",
            "1é",
            "99999999999999999999d",
            "1w",
        ] {
            assert_eq!(bad.parse::<Span>(), Err(SpanError), "{bad}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let of = |text: &str| Freshness {
            max_stale: span(text),
            on_stale: OnStale::Warn,
        };
        let rules = FreshnessRules::from([
            ("prod/".to_owned(), of("1h")),
            ("prod/db".to_owned(), of("2h")),
            ("z".to_owned(), of("3h")),
        ]);
        for (name, expected) in [
            ("prod/api", Some("prod/")),
            ("prod/db", Some("prod/db")),
            ("prod/db2", Some("prod/db")),
            ("prod", None),
            ("zz", Some("z")),
        ] {
            let found = rule(&rules, &name.parse().unwrap()).map(|(prefix, _)| prefix);
            assert_eq!(found, expected, "{name}");
        }
        let all = FreshnessRules::from([(String::new(), of("1h"))]);
        assert!(rule(&all, &"anything".parse().unwrap()).is_some());
    }

    #[test]
    fn stale_is_older_than_the_limit_never_verified_or_dated_ahead() {
        let rule = Freshness {
            max_stale: span("24h"),
            on_stale: OnStale::Deny,
        };
        let now = Timestamp::from_secs(1_800_000_000);
        let day = 86_400_000;
        for (age, stale) in [
            (0, false),
            (day, false),
            (day + 1, true),
            (-5 * 60_000, false),
            (-5 * 60_000 - 1, true),
        ] {
            let then = Timestamp::from_millis(now.millis() - age);
            assert_eq!(rule.is_stale(Some(then), now), stale, "{age} ms old");
        }
        assert!(rule.is_stale(None, now));
    }
}

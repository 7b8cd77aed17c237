//! The lag of listings: ListSecrets may miss what happened in the last five minutes,
//! secret by secret; DescribeSecret does not (aws.md section 5, sync.md section 1.16).

use std::collections::BTreeMap;

use super::faults::Dice;
use crate::model::{RemoteSecret, SecretName, Timestamp};

/// The longest that a listing lags, in milliseconds.
pub const LONGEST_LAG: i64 = 300_000;

/// How far listings are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListLag {
    /// Not at all.
    #[default]
    None,
    /// Every secret by so many milliseconds, [`LONGEST_LAG`] at most.
    All(i64),
    /// Every secret by its own, up to [`LONGEST_LAG`], drawn by this seed.
    Each(u64),
}

impl ListLag {
    fn of(self, name: &SecretName) -> i64 {
        match self {
            Self::None => 0,
            Self::All(millis) => millis.clamp(0, LONGEST_LAG),
            Self::Each(seed) => {
                let bytes = name.as_str().bytes();
                let mixed = bytes.fold(seed, |h, b| Dice(h ^ u64::from(b)).next());
                i64::try_from(mixed % (LONGEST_LAG.unsigned_abs() + 1)).unwrap_or_default()
            }
        }
    }
}

/// What a listing showed of one secret from a moment on.
type Moments = Vec<(Timestamp, Option<RemoteSecret>)>;

/// The recent past of every secret, kept only while listings lag.
#[derive(Clone, Default)]
pub(super) struct Past {
    lag: ListLag,
    moments: BTreeMap<SecretName, Moments>,
    /// The account as stale pages show it.
    stale: Option<BTreeMap<SecretName, RemoteSecret>>,
}

impl Past {
    /// Sets the lag; what is there now has always been there.
    pub(super) fn set(&mut self, lag: ListLag, now: BTreeMap<SecretName, RemoteSecret>) {
        self.lag = lag;
        let since = Timestamp::from_millis(i64::MIN);
        self.moments = match lag {
            ListLag::None => BTreeMap::new(),
            ListLag::All(_) | ListLag::Each(_) => now
                .into_iter()
                .map(|(name, secret)| (name, vec![(since, Some(secret))]))
                .collect(),
        };
    }

    pub(super) fn lags(&self) -> bool {
        self.lag != ListLag::None
    }

    /// From now on a secret is this, or gone.
    pub(super) fn note(&mut self, name: &SecretName, now: Timestamp, secret: Option<RemoteSecret>) {
        if !self.lags() {
            return;
        }
        let moments = self.moments.entry(name.clone()).or_default();
        moments.push((now, secret));
        // Nothing ever asks for what came before the last moment of that age.
        let old = now.millis().saturating_sub(LONGEST_LAG);
        let needed = moments.iter().rposition(|(at, _)| at.millis() <= old);
        drop(moments.drain(..needed.unwrap_or_default()));
    }

    /// The account as a listing at this moment shows it.
    pub(super) fn listing(&self, now: Timestamp) -> BTreeMap<SecretName, RemoteSecret> {
        let entries = self.moments.iter().filter_map(|(name, moments)| {
            let at = now.millis().saturating_sub(self.lag.of(name));
            let shown = moments.iter().rev().find(|(from, _)| from.millis() <= at);
            Some((name.clone(), shown?.1.clone()?))
        });
        entries.collect()
    }

    pub(super) fn keep_stale(&mut self, account: BTreeMap<SecretName, RemoteSecret>) {
        self.stale = Some(account);
    }

    /// The entries between two names, as a stale page has them.
    pub(super) fn stale(&self) -> Option<&BTreeMap<SecretName, RemoteSecret>> {
        self.stale.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(arn: &str) -> RemoteSecret {
        let mut secret = RemoteSecret::default();
        secret.facts.arn = arn.to_owned();
        secret
    }

    fn shown(past: &Past, at: i64) -> Vec<String> {
        let listing = past.listing(Timestamp::from_secs(at));
        listing.into_values().map(|s| s.facts.arn).collect()
    }

    #[test]
    fn aws_5_a_listing_misses_the_last_five_minutes_of_a_secret() {
        let name: SecretName = "a".parse().unwrap();
        let mut past = Past::default();
        past.set(ListLag::All(LONGEST_LAG), BTreeMap::new());
        let mut note = |at, secret| past.note(&name, Timestamp::from_secs(at), secret);
        note(1000, Some(secret("first")));
        note(1100, Some(secret("second")));
        note(1200, None);
        for (at, expected) in [
            (1299, vec![]),
            (1300, vec!["first"]),
            (1399, vec!["first"]),
            (1400, vec!["second"]),
            (1499, vec!["second"]),
            (1500, vec![]),
        ] {
            assert_eq!(shown(&past, at), expected, "{at}");
        }
    }

    #[test]
    fn each_secret_lags_by_its_own_and_never_longer_than_the_longest() {
        let lag = ListLag::Each(3);
        let of: Vec<i64> = (0..100)
            .map(|n| lag.of(&format!("s{n}").parse().unwrap()))
            .collect();
        assert!(of.iter().all(|l| (0..=LONGEST_LAG).contains(l)));
        let different: std::collections::BTreeSet<_> = of.iter().collect();
        assert!(different.len() > 90);
        assert!(of.iter().any(|l| *l < 60_000) && of.iter().any(|l| *l > 240_000));
    }

    #[test]
    fn what_nobody_can_see_any_more_is_forgotten() {
        let name: SecretName = "a".parse().unwrap();
        let mut past = Past::default();
        past.set(ListLag::All(LONGEST_LAG), BTreeMap::new());
        for at in 0..1000 {
            past.note(&name, Timestamp::from_secs(at), Some(secret("x")));
        }
        assert!(
            past.moments[&name].len() <= 302,
            "{}",
            past.moments[&name].len()
        );
    }
}

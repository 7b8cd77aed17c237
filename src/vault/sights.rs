//! What this clone last saw of the remotes, as far as it says how fresh a secret is.
//!
//! Local state only: when a remote was asked must never reach committed metadata,
//! since a pull is a pure function of what was pulled (design.md section 2).

use std::collections::{BTreeMap, HashMap};

use super::{Fetched, Vault, VaultError};
use crate::model::{
    Lifecycle, Pair, Record, RemoteName, RemoteSecret, SecretName, Sight, StagingLabel, Timestamp,
    VersionId,
};

/// When a secret was last verified to be what each of its remotes has. A remote that
/// has it and is here with `None` was never asked, did not answer for it, or showed
/// something else when it was asked last.
pub type Verified = BTreeMap<RemoteName, Option<Timestamp>>;

/// The last views of all remotes, cut down to what is compared.
#[derive(Clone, Debug, Default)]
pub struct Sights(BTreeMap<RemoteName, Asked>);

#[derive(Clone, Debug)]
struct Asked {
    at: Timestamp,
    shown: HashMap<SecretName, Shown>,
}

/// What a remote showed of one secret.
#[derive(Clone, Debug)]
struct Shown {
    arn: String,
    lifecycle: Lifecycle,
    labels: BTreeMap<StagingLabel, VersionId>,
}

impl Sights {
    /// Takes in what a remote showed, in place of what it showed before.
    pub fn add(&mut self, remote: RemoteName, fetched: &Fetched) {
        let shown = fetched.view.secrets.iter().filter_map(|(name, sight)| {
            let Sight::Seen(seen) = sight else {
                return None;
            };
            Some((name.clone(), Shown::of(seen)))
        });
        let asked = Asked {
            at: fetched.at,
            shown: shown.collect(),
        };
        self.0.insert(remote, asked);
    }

    /// When a secret was last verified, for each remote that has it. None at all is a
    /// secret of this vault alone, which cannot be stale.
    ///
    /// What counts is which version has which label: a description that changed over
    /// there makes no value old. A change made here and not pushed yet does not either,
    /// for as long as the remote is where it was when it was last agreed with.
    pub fn verified(&self, record: &Record) -> Verified {
        let each = bound(record).map(|(remote, pair)| {
            let at = self.verified_by(record, remote, pair);
            (remote.clone(), at)
        });
        each.collect()
    }

    /// The oldest verification among the remotes that `counts` lets through: a secret is
    /// as fresh as the remote that was asked longest ago. The outer `None` is a secret
    /// that none of them has.
    pub fn oldest(
        &self,
        record: &Record,
        counts: impl Fn(&Pair) -> bool,
    ) -> Option<Option<Timestamp>> {
        bound(record)
            .filter(|(_, pair)| counts(pair))
            .map(|(remote, pair)| self.verified_by(record, remote, pair))
            .min()
    }

    fn verified_by(&self, record: &Record, remote: &RemoteName, pair: &Pair) -> Option<Timestamp> {
        let asked = self.0.get(remote)?;
        let shown = asked.shown.get(&record.name)?;
        let agrees = shown.arn == pair.arn
            && (shown.is(pair.remote.lifecycle, &pair.remote.labels)
                || shown.is(record.state.lifecycle, &record.state.labels));
        agrees.then_some(asked.at)
    }
}

/// The remotes that have a secret, as far as this vault knows.
fn bound(record: &Record) -> impl Iterator<Item = (&RemoteName, &Pair)> {
    record.base.iter().filter_map(|(remote, base)| {
        let pair = base.pair.as_ref()?;
        (pair.remote.lifecycle != Lifecycle::Tombstone).then_some((remote, pair))
    })
}

impl Shown {
    fn of(seen: &RemoteSecret) -> Self {
        Self {
            arn: seen.facts.arn.clone(),
            lifecycle: seen.state.lifecycle,
            labels: seen.state.labels.clone(),
        }
    }

    fn is(&self, lifecycle: Lifecycle, labels: &BTreeMap<StagingLabel, VersionId>) -> bool {
        let shared =
            |(label, _): &(&StagingLabel, &VersionId)| !label.is_local() && !label.is_holding();
        self.lifecycle.is_live() == lifecycle.is_live()
            && self
                .labels
                .iter()
                .filter(shared)
                .eq(labels.iter().filter(shared))
    }
}

impl Vault {
    /// What the remotes last showed, of each in the settings that `of` lets through. A
    /// view that cannot be read is as good as none.
    pub fn sights(&self, of: impl Fn(&RemoteName) -> bool) -> Result<Sights, VaultError> {
        let mut sights = Sights::default();
        for remote in self.config().remotes.keys().filter(|remote| of(remote)) {
            if let Some(fetched) = self.load_view(remote)? {
                sights.add(remote.clone(), &fetched);
            }
        }
        Ok(sights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Face, Pair, RemoteBase, RemoteFacts, RemoteView, SecretState};

    const THEN: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn id(n: u8) -> VersionId {
        format!("{n:08}-0000-4000-8000-000000000000")
            .parse()
            .unwrap()
    }

    fn labels(current: u8) -> BTreeMap<StagingLabel, VersionId> {
        BTreeMap::from([(StagingLabel::current(), id(current))])
    }

    fn state(current: u8) -> SecretState {
        SecretState {
            labels: labels(current),
            ..SecretState::default()
        }
    }

    /// A secret of ours at one version, agreed with `prod` at another.
    fn record(ours: u8, agreed: u8) -> Record {
        let mut record = Record::new("a".parse().unwrap());
        record.state = state(ours);
        let face = Face {
            lifecycle: Lifecycle::Live,
            attributes: crate::model::Attributes::default(),
            labels: labels(agreed),
        };
        let pair = Pair {
            arn: "arn:a".into(),
            changed: None,
            local: face.clone(),
            remote: face,
        };
        let base = RemoteBase {
            pair: Some(pair),
            ..RemoteBase::default()
        };
        record.base.insert("prod".parse().unwrap(), base);
        record
    }

    fn sights(sight: Option<Sight>) -> Sights {
        let mut view = RemoteView::default();
        view.secrets
            .extend(sight.map(|s| ("a".parse().unwrap(), s)));
        let mut sights = Sights::default();
        sights.add("prod".parse().unwrap(), &Fetched { at: THEN, view });
        sights
    }

    fn seen(arn: &str, current: u8) -> Option<Sight> {
        Some(Sight::Seen(RemoteSecret {
            state: state(current),
            facts: RemoteFacts {
                arn: arn.into(),
                ..RemoteFacts::default()
            },
        }))
    }

    #[test]
    fn verified_is_when_the_remote_last_showed_what_was_agreed_or_what_is_here() {
        for (what, record, sights, expected) in [
            (
                "in step",
                record(1, 1),
                sights(seen("arn:a", 1)),
                Some(THEN),
            ),
            (
                "edited here",
                record(2, 1),
                sights(seen("arn:a", 1)),
                Some(THEN),
            ),
            (
                "agreed by a teammate",
                record(2, 1),
                sights(seen("arn:a", 2)),
                Some(THEN),
            ),
            ("edited there", record(1, 1), sights(seen("arn:a", 2)), None),
            (
                "edited on both sides",
                record(2, 1),
                sights(seen("arn:a", 3)),
                None,
            ),
            (
                "made anew there",
                record(1, 1),
                sights(seen("arn:b", 1)),
                None,
            ),
            ("gone there", record(1, 1), sights(None), None),
            (
                "not shown",
                record(1, 1),
                sights(Some(Sight::Blocked("no".into()))),
                None,
            ),
            ("never asked", record(1, 1), Sights::default(), None),
        ] {
            assert_eq!(sights.oldest(&record, |_| true), Some(expected), "{what}");
            let each = sights.verified(&record);
            assert_eq!(each.values().collect::<Vec<_>>(), [&expected], "{what}");
        }
    }

    #[test]
    fn a_secret_that_no_remote_has_is_never_stale() {
        let all = |sights: &Sights, record: &Record| sights.oldest(record, |_| true);
        let mut own = record(1, 1);
        own.base.clear();
        assert_eq!(all(&sights(seen("arn:a", 1)), &own), None);
        let mut gone = record(1, 1);
        for base in gone.base.values_mut() {
            base.pair.as_mut().unwrap().remote.lifecycle = Lifecycle::Tombstone;
        }
        assert_eq!(all(&sights(None), &gone), None);
    }

    #[test]
    fn the_oldest_of_several_counts_and_never_is_older_than_all() {
        let mut record = record(1, 1);
        let mut all = sights(seen("arn:a", 1));
        let prod = record.base.values().next().unwrap().clone();
        record.base.insert("old".parse().unwrap(), prod.clone());
        let mut old = Fetched {
            at: Timestamp::from_secs(1),
            view: RemoteView::default(),
        };
        let sight = seen("arn:a", 1).unwrap();
        old.view.secrets.insert("a".parse().unwrap(), sight);
        all.add("old".parse().unwrap(), &old);
        assert_eq!(all.oldest(&record, |_| true), Some(Some(old.at)));
        record.base.insert("never".parse().unwrap(), prod);
        assert_eq!(all.oldest(&record, |_| true), Some(None));
        assert_eq!(all.oldest(&record, |_| false), None);
    }
}

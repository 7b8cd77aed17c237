//! AWS's clean-up of versions without labels (aws.md section 3).

use std::collections::BTreeSet;

use super::quota::VERSIONS;
use crate::model::{SecretState, Timestamp, VersionId};

/// When versions without a label go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// As AWS's documents have it: the oldest first, where there would be more than
    /// 100 versions, and none that is younger than 24 hours.
    #[default]
    Documented,
    /// At once. The documents promise nothing to a version without a label, so this is
    /// the strictest that AWS may be; another emulator does it.
    AtOnce,
}

/// 24 hours in milliseconds.
const DAY: i64 = 86_400_000;

/// Removes what the rule removes so that `more` further versions fit, and says what
/// went.
pub(super) fn collect(
    state: &mut SecretState,
    cleanup: Cleanup,
    now: Timestamp,
    more: usize,
) -> Vec<VersionId> {
    let labelled: BTreeSet<&VersionId> = state.labels.values().collect();
    let mut loose: Vec<(Option<Timestamp>, VersionId)> = state
        .versions
        .iter()
        .filter(|(id, _)| !labelled.contains(id))
        .map(|(id, meta)| (meta.created, id.clone()))
        .collect();
    if cleanup == Cleanup::Documented {
        loose.sort();
        let excess = (state.versions.len() + more).saturating_sub(VERSIONS);
        loose.retain(|(created, _)| {
            created.is_none_or(|at| now.millis().saturating_sub(at.millis()) > DAY)
        });
        loose.truncate(excess);
    }
    for (_, id) in &loose {
        state.versions.remove(id);
    }
    loose.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, StagingLabel, VersionMeta};

    fn id(n: usize) -> VersionId {
        format!("{n:032}").parse().unwrap()
    }

    /// Versions 0 to n-1, one an hour; the last is AWSCURRENT.
    fn state(n: usize) -> SecretState {
        let mut state = SecretState::default();
        for at in 0..n {
            let hours = i64::try_from(at).unwrap();
            let meta = VersionMeta {
                created: Some(Timestamp::from_millis(hours * 3_600_000)),
                ..VersionMeta::unread(Origin::Local)
            };
            state.versions.insert(id(at), meta);
        }
        state.labels.insert(StagingLabel::current(), id(n - 1));
        state
    }

    #[test]
    fn aws_3_only_beyond_100_versions_oldest_first_and_none_younger_than_24_hours() {
        let hour = |h: i64| Timestamp::from_millis(h * 3_600_000 + 1);
        for (versions, now, more, gone) in [
            (100, 1000, 0, 0),
            (100, 1000, 1, 1),
            (103, 1000, 0, 3),
            (103, 1000, 1, 4),
            // Version 0 is 24 hours and a moment old, version 1 is not that old.
            (103, 24, 0, 1),
            (103, 23, 0, 0),
            (3, 1000, 0, 0),
        ] {
            let mut state = state(versions);
            let removed = collect(&mut state, Cleanup::Documented, hour(now), more);
            let expected: Vec<_> = (0..gone).map(id).collect();
            assert_eq!(removed, expected, "{versions} at {now}");
            assert_eq!(state.versions.len(), versions - gone);
        }
    }

    #[test]
    fn aws_3_a_label_keeps_a_version_for_ever() {
        let mut state = state(103);
        state.labels.insert("own".parse().unwrap(), id(0));
        let now = Timestamp::from_secs(1_000_000_000);
        let removed = collect(&mut state, Cleanup::Documented, now, 0);
        assert_eq!(removed, [id(1), id(2), id(3)]);
        let removed = collect(&mut state, Cleanup::AtOnce, now, 0);
        assert_eq!(removed.len(), 98);
        assert_eq!(state.versions.len(), 2);
    }
}

//! What a sync may expect of a remote: what it was shown when it planned, and what its
//! own calls have made of that since (sync.md I9).

use super::*;

/// Where the labels of one remote's secrets are, as the plan must have it.
#[derive(Default)]
pub(super) struct Expected(BTreeMap<SecretName, Shown>);

#[derive(Default)]
struct Shown {
    labels: BTreeMap<StagingLabel, VersionId>,
    /// How often it was looked at since it was last written to; none if it was not.
    /// The first look is to see what was written; a plan is made from the next.
    looks: Option<usize>,
}

impl Expected {
    /// A listing.
    pub(super) fn listed(&mut self, view: &RemoteView) {
        self.0.clear();
        for (secret, sight) in &view.secrets {
            if let Sight::Seen(seen) = sight {
                self.described(secret, Some(seen));
            }
        }
    }

    /// One secret, looked up by itself.
    pub(super) fn described(&mut self, secret: &SecretName, seen: Option<&RemoteSecret>) {
        if let Some(shown) = self.0.get_mut(secret)
            && let Some(looks) = &mut shown.looks
        {
            *looks += 1;
            if *looks == 1 {
                return;
            }
        }
        match seen {
            Some(seen) => {
                let shown = Shown {
                    labels: seen.state.labels.clone(),
                    looks: None,
                };
                self.0.insert(secret.clone(), shown);
            }
            None => drop(self.0.remove(secret)),
        }
    }

    /// What is wrong with a call that is about to be made.
    pub(super) fn wrong(&self, secret: &SecretName, change: &Change) -> Option<String> {
        let (Change::MoveLabel { label, from, .. }, Some(shown)) = (change, self.0.get(secret))
        else {
            return None;
        };
        let planned = shown.labels.get(label);
        (planned != from.as_ref()).then(|| {
            format!(
                "I9: {secret}: {label} is moved from {from:?}, and was planned from {planned:?}"
            )
        })
    }

    /// A call that was answered.
    pub(super) fn called(&mut self, secret: &SecretName, change: &Change, well: bool) {
        if !well {
            // It may have had its effect all the same, now or later.
            self.0.remove(secret);
            return;
        }
        let current = StagingLabel::current();
        if let Change::Create { version, .. } = change {
            let labels = version.iter().map(|v| (current.clone(), v.0.clone()));
            let shown = Shown {
                labels: labels.collect(),
                looks: None,
            };
            self.0.insert(secret.clone(), shown);
        }
        let Some(shown) = self.0.get_mut(secret) else {
            return;
        };
        shown.looks = Some(0);
        match change {
            Change::AddVersion { id, labels, .. } => {
                let added = labels.iter().map(|label| (label.clone(), id.clone()));
                shown.labels.extend(added);
                // The first value gets AWSCURRENT whatever its labels.
                shown.labels.entry(current).or_insert_with(|| id.clone());
            }
            Change::MoveLabel { label, from, to } => {
                if *label == current
                    && let Some(from) = from
                {
                    shown.labels.insert(StagingLabel::previous(), from.clone());
                }
                match to {
                    Some(to) => drop(shown.labels.insert(label.clone(), to.clone())),
                    None => drop(shown.labels.remove(label)),
                }
            }
            _ => {}
        }
    }
}

/// What a call did to AWSCURRENT, against what it said: `since` are the moves that an
/// account's history has had from before it.
pub(super) fn moved_otherwise(
    secret: &SecretName,
    change: &Change,
    since: &[(SecretName, Option<VersionId>, Option<VersionId>)],
) -> Option<String> {
    let Change::MoveLabel { label, from, to } = change else {
        return None;
    };
    let [(of, was, now)] = since else {
        return None;
    };
    let by_it = label.is_current() && of == secret && now == to;
    (by_it && was != from)
        .then(|| format!("I9: {secret}: {label} left {was:?}, and {from:?} was expected"))
}

//! The vault's half of a plan: versions, labels, and the memory of what was agreed,
//! folded into one record and written once.

use std::collections::BTreeSet;

use super::gather::Gathered;
use super::push::{Other, Pushed, superseded_here};
use super::report::Outcome;
use crate::model::{
    Author, Change, Class, Conflict, Content, Face, Field, Invalid, Lifecycle, Origin, Record,
    RemoteBase, RemoteName, RemoteSecret, SecretName, Sight, StagingLabel, VersionId, VersionMeta,
};
use crate::plan::{Plan, SecretPlan, Side, resolve};
use crate::store::{Retrieved, StoreError};
use crate::vault::{Transaction, Vault, VaultError};

/// Why a record could not be brought forward; the vault is as it was.
pub(super) enum Stop {
    Outcome(Outcome),
    Vault(VaultError),
}

impl From<VaultError> for Stop {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl From<Invalid> for Stop {
    fn from(error: Invalid) -> Self {
        Self::Outcome(superseded_here(&error))
    }
}

/// What folding one secret added up to.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) copied: usize,
    pub(super) steps: usize,
}

/// Copies the versions that were gathered into the record, and notes down what strategies
/// decided: the version that loses is safe and findable before it loses anywhere.
pub(super) fn secure(
    tx: &mut Transaction<'_>,
    record: &mut Record,
    plan: &SecretPlan,
    got: &Gathered,
) -> Result<Folded, Stop> {
    let mut folded = Folded::default();
    for (at, action) in plan.actions.iter().enumerate() {
        answer(record, plan, at)?;
        if let (Side::Local, Change::AddVersion { id, meta, .. }) = (&action.on, &action.change) {
            let alias = plan.aliases.get(id);
            folded.copied += usize::from(copy(tx, record, id, meta, alias, got)?);
        }
    }
    answer(record, plan, plan.actions.len())?;
    Ok(folded)
}

/// Takes the answers that come after so many actions.
fn answer(record: &mut Record, plan: &SecretPlan, after: usize) -> Result<(), Stop> {
    for answer in plan.answers.iter().filter(|a| a.after == after) {
        resolve(record, &answer.conflict, &answer.choice)
            .map_err(|e| Stop::Outcome(Outcome::Superseded(e.to_string())))?;
    }
    Ok(())
}

/// Brings a record to where the plan wants it. `answered` says that [`secure`] has been
/// here before.
pub(super) fn fold(
    vault: &Vault,
    tx: &mut Transaction<'_>,
    record: &mut Record,
    plan: &SecretPlan,
    got: &Gathered,
    pushed: Option<&Pushed>,
    answered: bool,
) -> Result<Folded, Stop> {
    let mut folded = Folded::default();
    let mut fresh: BTreeSet<&VersionId> = BTreeSet::new();
    for (at, action) in plan.actions.iter().enumerate() {
        if !answered {
            answer(record, plan, at)?;
        }
        let (Side::Local, Some(source)) = (&action.on, &action.source) else {
            continue;
        };
        match &action.change {
            Change::AddVersion { id, meta, .. } => {
                if copy(tx, record, id, meta, plan.aliases.get(id), got)? {
                    folded.copied += 1;
                    fresh.insert(id);
                }
            }
            Change::Archive { to } => {
                put_aside(vault, tx, record, to, source, |id| {
                    fresh.contains(id).then_some(got)
                })?;
                folded.steps += 1;
            }
            change => {
                record.apply(change, Author::From(source))?;
                folded.steps += 1;
            }
        }
    }
    if !answered {
        answer(record, plan, plan.actions.len())?;
    }
    for (remote, settled) in &plan.settled {
        let mut settled = settled.clone();
        if let Some(seen) = pushed.and_then(|p| p.seen.get(remote)) {
            fill_in(&mut settled, seen.as_ref());
        }
        if seeded!(SingleBase)
            && let Some(pair) = &mut settled.pair
        {
            pair.remote = pair.local.clone();
        }
        record.base.insert(remote.clone(), settled);
    }
    #[cfg(test)]
    if seeded!(WallClock) {
        record.details.changed = Some(tx.now());
    }
    Ok(folded)
}

/// Keeps another content of one of the vault's ids as a version of its own, and says
/// what the alarm is (sync.md section 1.9).
pub(super) fn keep_other(
    tx: &mut Transaction<'_>,
    record: &mut Record,
    plan: &SecretPlan,
    sight: Option<&Sight>,
    other: &Other,
) -> Result<Conflict, Stop> {
    let Other { remote, id, found } = other;
    let kind = found.value.kind();
    let digest = tx.digest(&record.name, &found.value)?;
    let content = Content::Value { kind, digest };
    let here = record.state.versions.get(id).map(|v| v.content);
    if here.is_none_or(|here| here == content) {
        return Err(Stop::Outcome(Outcome::Again));
    }
    let twin = record.state.twin_of(id, kind, digest);
    let author = Author::From(remote);
    if !record.state.versions.contains_key(&twin) {
        tx.add_value(&record.name, &twin, &found.value, found.created)?;
        let meta = VersionMeta {
            created: found.created,
            content,
            parent: Some(id.clone()),
            origin: Origin::Remote(remote.clone()),
        };
        let (id, labels) = (twin.clone(), Vec::new());
        record.apply(&Change::AddVersion { id, meta, labels }, author)?;
    }
    let label = StagingLabel::alias(id, &twin);
    if !record.state.labels.contains_key(&label) {
        let (from, to) = (None, Some(twin.clone()));
        record.apply(&Change::MoveLabel { label, from, to }, author)?;
    }
    // The label it was to get there, AWSCURRENT before all others.
    let mut wanted: Vec<&StagingLabel> = plan
        .actions
        .iter()
        .filter(|a| a.on == Side::Remote(remote.clone()))
        .filter_map(|a| match &a.change {
            Change::MoveLabel { label, to, .. } if to.as_ref() == Some(id) => Some(label),
            _ => None,
        })
        .collect();
    wanted.sort_by_key(|l| !l.is_current());
    let label = wanted
        .first()
        .map_or_else(StagingLabel::current, |l| (*l).clone());
    let there = match sight {
        Some(Sight::Seen(seen)) => seen.state.labels.get(&label),
        _ => None,
    };
    let text = |id: Option<&VersionId>| id.map(|id| id.as_str().to_owned());
    Ok(Conflict {
        remote: remote.clone(),
        class: Class::Integrity,
        base: text(there),
        ours: text(record.state.labels.get(&label)),
        theirs: text(Some(&twin)),
        field: Field::Label(label),
    })
}

/// The conflicts of a record after a plan: those of the remotes it was about are
/// what it found, those of others stay.
pub(super) fn replace_conflicts(record: &mut Record, plan: &Plan, found: &SecretPlan) {
    record
        .conflicts
        .retain(|c| c.is_between_clones() || !plan.remotes.contains(&c.remote));
    record.conflicts.extend(found.conflicts.iter().cloned());
    record.conflicts.sort();
    record.conflicts.dedup();
}

/// Copies one version. `alias` is its id on the remote, where it gets another one here.
fn copy(
    tx: &mut Transaction<'_>,
    record: &mut Record,
    id: &VersionId,
    meta: &VersionMeta,
    alias: Option<&VersionId>,
    got: &Gathered,
) -> Result<bool, Stop> {
    let known = record.state.versions.get(id).map(|v| v.content);
    if matches!(known, Some(Content::Value { .. })) {
        return Ok(false);
    }
    let name = record.name.clone();
    let mut meta = meta.clone();
    match got.values.get(&(name.clone(), id.clone())) {
        Some(Ok(Retrieved { value, created, .. })) => {
            let digest = tx.add_value(&name, id, value, *created)?;
            meta.created = *created;
            meta.content = Content::Value {
                kind: value.kind(),
                digest,
            };
            // After a rollback AWSPREVIOUS is the younger one: no parent then.
            let older = |p: &VersionId| {
                let there = got.values.get(&(name.clone(), p.clone()));
                let date = match there {
                    Some(Ok(parent)) => parent.created,
                    _ => record.state.versions.get(p).and_then(|v| v.created),
                };
                date <= *created
            };
            if let Some(there) = alias {
                if there.twin(&digest) != *id {
                    return Err(Stop::Outcome(Outcome::Superseded(
                        "its content on the remote is another one again".to_owned(),
                    )));
                }
            } else {
                meta.parent = meta.parent.filter(older);
            }
        }
        // Registered by a rotation, and not filled yet.
        Some(Err(StoreError::NoValue(_))) => {
            if known.is_some() {
                return Ok(false);
            }
            meta.content = Content::Placeholder;
            meta.parent = None;
        }
        Some(Err(error)) => {
            let remote = match &meta.origin {
                Origin::Remote(remote) => remote.clone(),
                Origin::Local => {
                    return Err(Stop::Outcome(Outcome::Superseded(error.to_string())));
                }
            };
            return Err(Stop::Outcome(match error {
                StoreError::Changed(why) => Outcome::Superseded(why.to_string()),
                error => Outcome::Failed {
                    remote,
                    error: error.clone(),
                },
            }));
        }
        None => return Err(Stop::Outcome(Outcome::Again)),
    }
    record.apply(
        &Change::AddVersion {
            id: id.clone(),
            meta,
            labels: Vec::new(),
        },
        Author::Here,
    )?;
    Ok(true)
}

/// Puts a secret aside under another name. Its values are bound to the name they were
/// encrypted under, so they are encrypted anew. A version that was copied in this same
/// transaction is not on the disk yet: `fresh` has it. (No other may be taken from there:
/// the new incarnation can have an id of the old one for another value.)
fn put_aside<'g>(
    vault: &Vault,
    tx: &mut Transaction<'_>,
    record: &mut Record,
    to: &SecretName,
    source: &RemoteName,
    fresh: impl Fn(&VersionId) -> Option<&'g Gathered>,
) -> Result<(), Stop> {
    let mut old = record.clone();
    old.name = to.clone();
    old.state.lifecycle = Lifecycle::Tombstone;
    old.base.clear();
    old.conflicts.clear();
    for (id, meta) in &record.state.versions {
        if meta.has_value() {
            let key = (record.name.clone(), id.clone());
            let (kind, digest) = match fresh(id).and_then(|got| got.values.get(&key)) {
                Some(Ok(new)) => (
                    new.value.kind(),
                    tx.add_value(to, id, &new.value, meta.created)?,
                ),
                _ => {
                    let value = vault.read(record, id)?;
                    let digest = tx.add_value(to, id, &value, meta.created)?;
                    (value.kind(), digest)
                }
            };
            // The other name may be under other keys.
            if let Some(meta) = old.state.versions.get_mut(id) {
                meta.content = Content::Value { kind, digest };
            }
        }
    }
    tx.put(old);
    let mut base = std::mem::take(&mut record.base);
    base.remove(source);
    *record = Record::new(record.name.clone());
    record.base = base;
    Ok(())
}

/// Takes over what only the remote could say: its ARN and dates, and the labels it
/// moves by itself.
fn fill_in(settled: &mut RemoteBase, seen: Option<&RemoteSecret>) {
    let (Some(pair), Some(seen)) = (&mut settled.pair, seen) else {
        return;
    };
    for (field, halves) in &mut settled.own {
        // In the service's own spelling.
        if let (None, Some(now)) = (&halves.here, seen.facts.own(*field)) {
            halves.there = now.into_owned();
        }
    }
    pair.arn.clone_from(&seen.facts.arn);
    pair.changed = seen.facts.changed;
    pair.remote.lifecycle = seen.state.lifecycle;
    let there: Face = seen.state.face();
    let current = StagingLabel::current();
    if pair.remote.labels.get(&current) != there.labels.get(&current) {
        // AWSCURRENT waits for a later push, and AWSPREVIOUS with it.
        return;
    }
    for label in [StagingLabel::previous(), StagingLabel::pending()] {
        match there.labels.get(&label) {
            Some(id) if pair.remote.lifecycle != Lifecycle::Tombstone => {
                pair.remote.labels.insert(label, id.clone());
            }
            _ => {
                pair.remote.labels.remove(&label);
            }
        }
    }
}

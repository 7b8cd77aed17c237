//! Carries a plan out, once or until the source has nothing new.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use sha2::Digest as _;

use super::copy::Copier;
use super::item::Item;
use super::journal::{Journal, Made, Stage};
use super::outcome::{Outcome, Report};
use super::rules::Target;
use super::saved::Migration;
use super::seen::Look;
use super::{AT_ONCE, MigrateError};
use crate::crypto::KeyringKeys;
use crate::model::{RemoteView, SecretName, Sight, Timestamp};
use crate::store::{Account, BATCH, Inspected, Progress, SecretStore};

/// How many secrets' intents are written down together.
const CHUNK: usize = 100;
/// How often the source is gone through before its writers are called too busy.
const PASSES: usize = 10;

/// What every verb that carries something out takes.
pub struct Run<'a, S> {
    /// The account that secrets come from. Names are the account's own.
    pub from: &'a S,
    /// The account they go to.
    pub to: &'a S,
    /// The vault's keys, for digests.
    pub keys: &'a KeyringKeys,
    /// The plan's journal.
    pub journal: &'a Journal,
    /// Now.
    pub now: Timestamp,
    /// The k-th of n parts of the secrets, by a hash of their names, from 1.
    pub part: Option<(u32, u32)>,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
}

impl<S> Run<'_, S> {
    /// Whether a secret belongs to the part that is worked on.
    pub(super) fn takes(&self, name: &SecretName) -> bool {
        let Some((k, n)) = self.part else {
            return true;
        };
        let hash = sha2::Sha256::digest(name.as_str().as_bytes());
        let sum = hash.iter().take(4).fold(0_u32, |sum, b| {
            sum.wrapping_mul(256).wrapping_add(u32::from(*b))
        });
        n > 0 && sum % n == k.wrapping_sub(1)
    }
}

/// Copies what the plan has ready. Where the source has changed since the plan was
/// made, the secret is left alone, or with `delta` written down anew and copied so;
/// then the source is gone through again, until nothing there has changed.
pub async fn apply<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
    delta: bool,
) -> Result<Report, MigrateError> {
    let mut report = Report::default();
    let ready: Vec<&Item> = plan.ready().filter(|i| run.takes(&i.source)).collect();
    loop {
        report.passes += 1;
        match pass(plan, &ready, run, delta, &mut report).await {
            Ok(changed) => report.quiet = !changed,
            Err(MigrateError::From(error) | MigrateError::To(error)) => {
                report.stopped = Some(error);
            }
            Err(error) => return Err(error),
        }
        run.journal.sync()?;
        if !delta || report.quiet || report.stopped.is_some() || report.passes == PASSES {
            return Ok(report);
        }
    }
}

/// Goes through the source once. True if anything there differs from what was known.
async fn pass<S: Account>(
    plan: &Migration,
    ready: &[&Item],
    run: &Run<'_, S>,
    delta: bool,
    report: &mut Report,
) -> Result<bool, MigrateError> {
    let known: Vec<SecretName> = ready.iter().map(|i| i.source.clone()).collect();
    let view = run.from.view(&known, run.progress).await;
    let view = view.map_err(MigrateError::From)?;
    report.fresh = fresh(plan, run, &view);
    let (mut specs, mut stale) = (Vec::new(), Vec::new());
    for item in ready {
        if run.journal.stage(&item.source).0 == Stage::Retired {
            report.outcomes.insert(item.source.clone(), Outcome::Same);
            continue;
        }
        let spec = run.journal.spec(item);
        let seen = match view.secrets.get(&item.source) {
            Some(Sight::Seen(secret)) => Some(secret),
            _ => None,
        };
        if seen.is_some_and(|secret| spec.is_of(secret)) {
            specs.push(spec);
        } else if delta {
            stale.push(spec);
        } else {
            report
                .outcomes
                .insert(item.source.clone(), Outcome::Changed);
        }
    }
    let mut changed = false;
    for chunk in stale.chunks(BATCH) {
        for (old, new) in chunk.iter().zip(anew(plan, run, chunk).await?) {
            if !new.is_ready() {
                let why = format!("the source has changed: {}", new.reasons.join("; "));
                report.outcomes.insert(new.source, Outcome::Skipped(why));
                continue;
            }
            let same = Item {
                changed: new.changed,
                ..old.clone()
            } == new;
            changed |= !same;
            specs.push(new);
        }
    }
    run.progress.begin("copying", Some(specs.len()));
    for chunk in specs.chunks(CHUNK) {
        copy_chunk(chunk, run, report).await?;
    }
    run.progress.finish();
    Ok(changed)
}

/// Source names that the plan's rules would take and the plan does not know.
fn fresh<S>(plan: &Migration, run: &Run<'_, S>, view: &RemoteView) -> Vec<SecretName> {
    let known: std::collections::BTreeSet<&SecretName> =
        plan.items.iter().map(|i| &i.source).collect();
    let names = view.secrets.keys();
    names
        .filter(|name| !known.contains(name) && run.takes(name))
        .filter(|name| matches!(plan.rules.target(name), Target::Name(_)))
        .cloned()
        .collect()
}

async fn anew<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
    specs: &[Item],
) -> Result<Vec<Item>, MigrateError> {
    let look = Look {
        from: run.from,
        keys: run.keys,
        rules: &plan.rules,
        from_side: &plan.from,
        to_side: &plan.to,
    };
    let names: Vec<(SecretName, SecretName)> = specs
        .iter()
        .map(|spec| (spec.source.clone(), spec.target.clone()))
        .collect();
    let mut items = look.items(&names).await?;
    for (item, old) in items.iter_mut().zip(specs) {
        (item.restore, item.present) = (old.restore, old.present);
        if old.present {
            item.notes.clone_from(&old.notes);
        }
    }
    Ok(items)
}

async fn copy_chunk<S: Account>(
    specs: &[Item],
    run: &Run<'_, S>,
    report: &mut Report,
) -> Result<(), MigrateError> {
    // What is copied already needs no call; to look at it is what verify is for.
    let is_done = |spec: &&Item| {
        let entry = run.journal.entry(&spec.source);
        let as_known = entry.spec.as_ref().is_some_and(|known| {
            Item {
                changed: spec.changed,
                ..known.clone()
            } == **spec
        });
        entry.stage >= Stage::Meta && entry.made != Made::Removed && as_known
    };
    let (done, open): (Vec<&Item>, Vec<&Item>) = specs.iter().partition(is_done);
    for spec in done {
        let same = Outcome::Same;
        report.outcomes.entry(spec.source.clone()).or_insert(same);
        // Only a date has moved; from now on it is the known one.
        let entry = run.journal.entry(&spec.source);
        if entry
            .spec
            .is_some_and(|known| known.changed != spec.changed)
        {
            run.journal.intend(&[(spec, false)])?;
            run.journal.reached(&spec.source, entry.stage)?;
        }
        run.progress.advance(1);
    }
    let looks = open.iter().map(|spec| run.to.inspect(&spec.target));
    let looks: Vec<_> = futures_util::stream::iter(looks)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut work: Vec<(&Item, Option<Inspected>)> = Vec::new();
    for (spec, look) in open.into_iter().zip(looks) {
        match look {
            Ok(seen) => work.push((spec, seen)),
            Err(error) if error.is_fatal() => return Err(MigrateError::To(error)),
            Err(error) => {
                let why = format!("on the target: {error}");
                report
                    .outcomes
                    .insert(spec.source.clone(), Outcome::Failed(why));
            }
        }
    }
    let intents: Vec<(&Item, bool)> = work.iter().map(|(s, seen)| (*s, seen.is_none())).collect();
    run.journal.intend(&intents)?;
    let copier = Copier {
        from: run.from,
        to: run.to,
        keys: run.keys,
        journal: run.journal,
    };
    let copier = &copier;
    let mut copies = futures_util::stream::iter(work.into_iter().map(|(spec, seen)| async move {
        let outcome = copier.copy(spec, seen).await;
        (spec.source.clone(), outcome)
    }))
    .buffer_unordered(AT_ONCE);
    let mut stopped = None;
    // After an error that stops the run, what is under way comes to its end.
    while let Some((name, outcome)) = copies.next().await {
        run.progress.advance(1);
        match outcome {
            Ok(outcome) => note(&mut report.outcomes, name, outcome),
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
    }
    match stopped {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Done in one pass and the same in the next is done.
fn note(outcomes: &mut BTreeMap<SecretName, Outcome>, name: SecretName, outcome: Outcome) {
    match (outcomes.get(&name), &outcome) {
        (Some(Outcome::Done), Outcome::Same) => {}
        _ => {
            outcomes.insert(name, outcome);
        }
    }
}

/// A listing for the verbs that need one, with fatal errors told apart by side.
pub(super) async fn describe_all<S: SecretStore>(
    store: &S,
    names: &[SecretName],
    wrap: fn(crate::store::StoreError) -> MigrateError,
) -> Result<Vec<Result<Option<crate::model::RemoteSecret>, String>>, MigrateError> {
    let looks: Vec<_> = futures_util::stream::iter(names.iter().map(|name| store.describe(name)))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut out = Vec::with_capacity(looks.len());
    for look in looks {
        match look {
            Ok(seen) => out.push(Ok(seen)),
            Err(error) if error.is_fatal() => return Err(wrap(error)),
            Err(error) => out.push(Err(error.to_string())),
        }
    }
    Ok(out)
}

//! Copies values from remotes: AWSCURRENT by twenties, everything else one by one.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;

use super::is_local;
use crate::model::{Change, RemoteName, RemoteView, SecretName, Sight, VersionId};
use crate::plan::{Plan, Side};
use crate::store::{BATCH, Progress, Retrieved, SecretStore, StoreError};

/// How many calls for values are under way at once.
const AT_ONCE: usize = 16;

/// A version's value, or why there is none.
pub(super) type Got = Result<Retrieved, StoreError>;

/// Values by secret and version.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) values: BTreeMap<(SecretName, VersionId), Got>,
    /// The error after which a remote was not asked any more.
    pub(super) stopped: Option<(RemoteName, StoreError)>,
}

/// One value to read.
struct Wanted<'a> {
    remote: &'a RemoteName,
    name: &'a SecretName,
    /// Its id here.
    id: &'a VersionId,
    /// Its id there, which is another one where this is taken here.
    there: &'a VersionId,
}

/// Reads every value that the plan copies into the vault and that can be read
/// already: what a plan restores first cannot.
pub(super) async fn gather<S: SecretStore>(
    plan: &Plan,
    names: &[SecretName],
    views: &BTreeMap<RemoteName, RemoteView>,
    stores: &BTreeMap<RemoteName, S>,
    progress: &dyn Progress,
) -> Gathered {
    let mut current: BTreeMap<&RemoteName, Vec<Wanted<'_>>> = BTreeMap::new();
    let mut single: Vec<Wanted<'_>> = Vec::new();
    for name in names {
        let Some(secret) = plan.secrets.get(name) else {
            continue;
        };
        for action in &secret.actions {
            let (Side::Local, Change::AddVersion { id, .. }, Some(remote)) =
                (&action.on, &action.change, &action.source)
            else {
                if matches!(action.on, Side::Remote(_)) {
                    // What follows may depend on it.
                    break;
                }
                continue;
            };
            let there = secret.aliases.get(id).unwrap_or(id);
            let wanted = Wanted {
                remote,
                name,
                id,
                there,
            };
            let is_current = match views.get(remote).and_then(|v| v.secrets.get(name)) {
                Some(Sight::Seen(seen)) => seen.state.current() == Some(there),
                _ => false,
            };
            if is_current {
                current.entry(remote).or_default().push(wanted);
            } else {
                single.push(wanted);
            }
        }
    }
    let total = current.values().map(Vec::len).sum::<usize>() + single.len();
    let mut got = Gathered::default();
    if total == 0 {
        return got;
    }
    progress.begin("copying values", Some(total));
    let mut dead: BTreeSet<&RemoteName> = BTreeSet::new();

    let batches: Vec<(&RemoteName, &[Wanted<'_>])> = current
        .iter()
        .flat_map(|(remote, all)| all.chunks(BATCH).map(move |chunk| (*remote, chunk)))
        .collect();
    let mut answers = futures_util::stream::iter(batches)
        .map(|(remote, chunk)| async move {
            let names: Vec<SecretName> = chunk.iter().map(|w| w.name.clone()).collect();
            let answer = match stores.get(remote) {
                Some(store) => store.read_current(&names).await,
                None => Ok(Vec::new()),
            };
            (remote, chunk, answer)
        })
        .buffered(AT_ONCE);
    let mut again: Vec<&Wanted<'_>> = Vec::new();
    while let Some((remote, chunk, answer)) = answers.next().await {
        match answer {
            Ok(values) => {
                for (wanted, value) in chunk.iter().zip(values) {
                    match value {
                        // AWSCURRENT moved since the listing: the plan is about
                        // the version it named.
                        Ok(value) if value.id != *wanted.there => again.push(wanted),
                        value => {
                            got.put(wanted, value);
                            progress.advance(1);
                        }
                    }
                }
            }
            Err(error) if is_local(&error) => again.extend(chunk),
            Err(error) => {
                dead.insert(remote);
                got.stopped.get_or_insert((remote.clone(), error));
                break;
            }
        }
    }
    drop(answers);

    let ones: Vec<&Wanted<'_>> = single
        .iter()
        .chain(again)
        .filter(|w| !dead.contains(w.remote))
        .collect();
    let mut answers = futures_util::stream::iter(ones)
        .map(|wanted| async move {
            let answer = match stores.get(wanted.remote) {
                Some(store) => store.read(wanted.name, wanted.there).await,
                None => Err(StoreError::NotFound),
            };
            (wanted, answer)
        })
        .buffered(AT_ONCE);
    while let Some((wanted, answer)) = answers.next().await {
        if let Err(error) = &answer
            && error.is_fatal()
        {
            got.stopped
                .get_or_insert((wanted.remote.clone(), error.clone()));
            break;
        }
        got.put(wanted, answer);
        progress.advance(1);
    }
    drop(answers);
    progress.finish();
    got
}

impl Gathered {
    fn put(&mut self, wanted: &Wanted<'_>, value: Got) {
        let key = (wanted.name.clone(), wanted.id.clone());
        // Two remotes may have the same version; the first answer will do.
        self.values.entry(key).or_insert(value);
    }
}

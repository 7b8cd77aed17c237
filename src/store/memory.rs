mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use calls::Call;
use calls::Calls;

use super::{BATCH, Progress, Retrieved, SecretStore, StoreError};
use crate::model::{
    Change, Content, Digest, Invalid, Lifecycle, Origin, RemoteFacts, RemoteSecret, RemoteView,
    SecretName, SecretState, SecretValue, Sight, Snapshot, StagingLabel, Timestamp, VersionId,
    VersionMeta,
};

/// A Secrets Manager in memory, as strict as AWS where this engine is concerned:
/// label moves are compare-and-swap, tokens are idempotent, unlabelled versions
/// disappear from listings, and a put that would steal AWSCURRENT is refused.
///
/// The `demo` runs on it and the sync is tested on it. The `as_console_*` methods
/// are the other people in the account, who may do all that AWS allows.
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

struct Inner {
    account: String,
    region: String,
    now: Timestamp,
    made: u64,
    secrets: Snapshot,
    facts: BTreeMap<SecretName, RemoteFacts>,
    values: BTreeMap<(String, VersionId), SecretValue>,
    denied: BTreeSet<SecretName>,
    calls: Calls,
    history: Vec<LabelMove>,
}

/// One move of AWSCURRENT, as the store saw it happen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelMove {
    secret: SecretName,
    from: Option<VersionId>,
    to: Option<VersionId>,
}

impl MemoryStore {
    /// An empty account in one Region. `now` is its clock until
    /// [`MemoryStore::set_now`].
    pub fn new(account: &str, region: &str, now: Timestamp) -> Self {
        Self {
            inner: Mutex::new(Inner {
                account: account.to_owned(),
                region: region.to_owned(),
                now,
                made: 0,
                secrets: Snapshot::default(),
                facts: BTreeMap::new(),
                values: BTreeMap::new(),
                denied: BTreeSet::new(),
                calls: Calls::default(),
                history: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while holding the lock has already failed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the account's clock.
    pub fn set_now(&self, now: Timestamp) {
        self.lock().now = now;
    }

    /// How often each operation was called by the engine.
    pub fn calls(&self) -> BTreeMap<Call, usize> {
        self.lock().calls.counts().clone()
    }

    /// Forgets the counts.
    pub fn reset_calls(&self) {
        self.lock().calls.reset();
    }

    /// All calls together since the last reset.
    pub fn total_calls(&self) -> usize {
        self.lock().calls.total()
    }

    /// Lets the call number `at` from now (the next is 0) fail with `error`; with
    /// `after_effect` the change happens and only the answer is lost.
    pub fn fail_at(&self, at: usize, after_effect: bool, error: StoreError) {
        self.lock().calls.fail_at(at, after_effect, error);
    }

    /// Takes the permission to read a secret's values away, or gives it back.
    pub fn deny(&self, name: &SecretName, denied: bool) {
        let mut inner = self.lock();
        if denied {
            inner.denied.insert(name.clone());
        } else {
            inner.denied.remove(name);
        }
    }

    /// Changes what only the account knows of a secret.
    pub fn edit_facts(&self, name: &SecretName, edit: impl FnOnce(&mut RemoteFacts)) {
        if let Some(facts) = self.lock().facts.get_mut(name) {
            edit(facts);
        }
    }

    /// The account's whole state, for tests and the demo.
    pub fn state(&self) -> Snapshot {
        self.lock().secrets.clone()
    }

    /// Every `(secret, from, to)` move of AWSCURRENT, in order, whoever made it.
    pub fn current_moves(&self) -> Vec<(SecretName, Option<VersionId>, Option<VersionId>)> {
        let inner = self.lock();
        let moves = inner.history.iter();
        moves
            .map(|m| (m.secret.clone(), m.from.clone(), m.to.clone()))
            .collect()
    }

    /// Somebody in the account creates a secret or puts a value; without labels it
    /// is a plain put, which moves AWSCURRENT.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever puts a value has no more use for it"
    )]
    pub fn as_console_put(
        &self,
        name: &SecretName,
        id: &VersionId,
        value: SecretValue,
        labels: &[StagingLabel],
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let change = if inner.secrets.get(name).is_none() {
            Change::Create {
                attributes: crate::model::Attributes::default(),
                version: Some((id.clone(), inner.meta(&value))),
            }
        } else {
            let current = [StagingLabel::current()];
            Change::AddVersion {
                id: id.clone(),
                meta: inner.meta(&value),
                labels: if labels.is_empty() { &current } else { labels }.to_vec(),
            }
        };
        inner.carry_out(name, &change, Some(&value))
    }

    /// Somebody in the account does anything else that AWS allows.
    pub fn as_console(&self, name: &SecretName, change: &Change) -> Result<(), StoreError> {
        self.lock().carry_out(name, change, None)
    }

    /// The recovery window is over, or somebody deleted without one.
    pub fn as_console_purge(&self, name: &SecretName) {
        let mut inner = self.lock();
        inner.secrets.0.remove(name);
        if let Some(facts) = inner.facts.remove(name) {
            inner.values.retain(|(arn, _), _| *arn != facts.arn);
        }
    }

    /// AWS's collector: versions without a label vanish.
    pub fn as_aws_collect(&self) {
        let mut inner = self.lock();
        for state in inner.secrets.0.values_mut() {
            let labelled: BTreeSet<_> = state.labels.values().cloned().collect();
            state.versions.retain(|id, _| labelled.contains(id));
        }
    }

    /// A value, read past every permission; for tests.
    pub fn peek(&self, name: &SecretName, id: &VersionId) -> Option<SecretValue> {
        let inner = self.lock();
        let arn = inner.facts.get(name)?.arn.clone();
        inner
            .values
            .get(&(arn, id.clone()))
            .map(SecretValue::duplicate)
    }

    fn enter(&self, call: Call) -> Result<Entered<'_>, StoreError> {
        let mut inner = self.lock();
        let lost = inner.calls.count(call)?;
        Ok(Entered { inner, lost })
    }
}

/// A call under way: the state, and the error that will stand in for its answer.
struct Entered<'a> {
    inner: MutexGuard<'a, Inner>,
    lost: Option<StoreError>,
}

impl Entered<'_> {
    fn answer<T>(self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match (self.lost, result) {
            (Some(lost), Ok(_)) => Err(lost),
            (_, result) => result,
        }
    }
}

impl Inner {
    fn meta(&self, value: &SecretValue) -> VersionMeta {
        VersionMeta {
            created: Some(self.now),
            content: Content::Value {
                kind: value.kind(),
                digest: content_digest(value),
            },
            parent: None,
            // A remote has no notion of where a version came from.
            origin: Origin::Local,
        }
    }

    fn carry_out(
        &mut self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let fresh = self.secrets.get(name).is_none();
        let before = self.secrets.get(name).and_then(|s| s.current()).cloned();
        // The engine's own record of a version says more than an account would
        // know; what counts here is the value.
        let change = match (change, value) {
            (
                Change::Create {
                    attributes,
                    version,
                },
                value,
            ) => Change::Create {
                attributes: attributes.clone(),
                version: match (version, value) {
                    (Some((id, _)), Some(value)) => Some((id.clone(), self.meta(value))),
                    _ => None,
                },
            },
            (Change::AddVersion { id, labels, .. }, Some(value)) => Change::AddVersion {
                id: id.clone(),
                meta: self.meta(value),
                labels: labels.clone(),
            },
            (Change::Delete { date }, _) => Change::Delete {
                date: Some(date.unwrap_or(self.now.plus_days(30))),
            },
            (change, _) => change.clone(),
        };
        self.secrets.apply(name, &change).map_err(invalid)?;
        if fresh {
            self.made += 1;
            let suffix = format!("{:06}", self.made);
            let arn = format!(
                "arn:aws:secretsmanager:{}:{}:secret:{name}-{suffix}",
                self.region, self.account
            );
            self.facts.insert(
                name.clone(),
                RemoteFacts {
                    arn,
                    ..RemoteFacts::default()
                },
            );
        }
        let facts = self.facts.entry(name.clone()).or_default();
        facts.changed = Some(self.now);
        if let (
            Change::Create {
                version: Some((id, _)),
                ..
            }
            | Change::AddVersion { id, .. },
            Some(value),
        ) = (&change, value)
        {
            self.values
                .entry((facts.arn.clone(), id.clone()))
                .or_insert_with(|| value.duplicate());
        }
        let after = self.secrets.get(name).and_then(|s| s.current()).cloned();
        if before != after {
            self.history.push(LabelMove {
                secret: name.clone(),
                from: before,
                to: after,
            });
        }
        Ok(())
    }

    /// A secret as a listing shows it: labelled versions only, no digests.
    fn seen(&self, name: &SecretName) -> Option<RemoteSecret> {
        let state = self.secrets.get(name)?;
        let versions = state
            .labels
            .values()
            .map(|id| (id.clone(), VersionMeta::unread(Origin::Local)))
            .collect();
        Some(RemoteSecret {
            state: SecretState {
                versions,
                ..state.clone()
            },
            facts: self.facts.get(name).cloned().unwrap_or_default(),
        })
    }

    fn get(&self, name: &SecretName, id: Option<&VersionId>) -> Result<Retrieved, StoreError> {
        let state = self.secrets.get(name).ok_or(StoreError::NotFound)?;
        if state.lifecycle != Lifecycle::Live {
            return Err(StoreError::Changed(Invalid::Scheduled));
        }
        if self.denied.contains(name) {
            return Err(StoreError::Denied {
                operation: "GetSecretValue",
                code: "AccessDeniedException".into(),
            });
        }
        let id = id
            .or_else(|| state.current())
            .ok_or(StoreError::NotFound)?
            .clone();
        let meta = state
            .versions
            .get(&id)
            .ok_or_else(|| StoreError::NoValue(id.clone()))?;
        let arn = self
            .facts
            .get(name)
            .map(|f| f.arn.clone())
            .unwrap_or_default();
        let value = self
            .values
            .get(&(arn, id.clone()))
            .ok_or_else(|| StoreError::NoValue(id.clone()))?;
        Ok(Retrieved {
            value: value.duplicate(),
            created: meta.created,
            id,
        })
    }
}

fn invalid(error: Invalid) -> StoreError {
    match error {
        Invalid::NoSecret => StoreError::NotFound,
        Invalid::VersionExists(id) => StoreError::VersionMismatch(id),
        other => StoreError::Changed(other),
    }
}

/// In one process, and never written anywhere: an unkeyed digest is enough to see
/// whether a token is used twice for different content.
fn content_digest(value: &SecretValue) -> Digest {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(value.kind().as_str());
    hasher.update([0]);
    hasher.update(value.expose_secret());
    Digest(hasher.finalize().into())
}

impl SecretStore for MemoryStore {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        let mut view = RemoteView::default();
        let names: Vec<SecretName> = self.lock().secrets.0.keys().cloned().collect();
        progress.begin("listing", None);
        // An account without secrets still answers one page.
        let pages = names.chunks(100).map(<[_]>::to_vec);
        let pages: Vec<Vec<SecretName>> = if names.is_empty() {
            vec![Vec::new()]
        } else {
            pages.collect()
        };
        for page in pages {
            let call = self.enter(Call::List)?;
            for name in &page {
                if let Some(secret) = call.inner.seen(name) {
                    view.secrets.insert(name.clone(), Sight::Seen(secret));
                }
            }
            progress.advance(page.len());
            call.answer(Ok(()))?;
        }
        view.listed = view.secrets.len();
        for name in known {
            if !view.secrets.contains_key(name)
                && let Some(secret) = self.describe(name).await?
            {
                view.secrets.insert(name.clone(), Sight::Seen(secret));
            }
        }
        progress.finish();
        Ok(view)
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        let call = self.enter(Call::Describe)?;
        let seen = call.inner.seen(name);
        call.answer(Ok(seen))
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        let call = self.enter(Call::Get)?;
        let got = call.inner.get(name, Some(id));
        call.answer(got)
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        let call = self.enter(Call::BatchGet)?;
        if names.len() > BATCH {
            return Err(StoreError::Refused {
                operation: "BatchGetSecretValue",
                code: "InvalidParameterException".into(),
                detail: String::new(),
            });
        }
        let got = names.iter().map(|n| call.inner.get(n, None)).collect();
        call.answer(Ok(got))
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let refused = |operation, code: &str| {
            Err(StoreError::Refused {
                operation,
                code: code.into(),
                detail: String::new(),
            })
        };
        let call = match change {
            Change::Create { .. } => Call::Create,
            Change::AddVersion { labels, .. } => {
                // The rule the whole engine rests on (sync.md K2), held here so
                // that no test can pass against it.
                let steals = labels.is_empty() || labels.iter().any(StagingLabel::is_current);
                if steals || value.is_none() {
                    return refused("PutSecretValue", "UnconditionalPut");
                }
                Call::Put
            }
            Change::MoveLabel { .. } => Call::Stage,
            Change::SetAttributes { from, to } => {
                let mut calls = Vec::new();
                if from.description != to.description {
                    calls.push(Call::Update);
                }
                if to.tags.iter().any(|(k, v)| from.tags.get(k) != Some(v)) {
                    calls.push(Call::Tag);
                }
                if from.tags.keys().any(|k| !to.tags.contains_key(k)) {
                    calls.push(Call::Tag);
                }
                let Some(last) = calls.pop() else {
                    return Ok(());
                };
                for call in calls {
                    self.enter(call)?.answer(Ok(()))?;
                }
                last
            }
            Change::Delete { .. } => Call::Delete,
            Change::Restore => Call::Restore,
            Change::Reschedule { .. } | Change::Tombstone | Change::Archive { .. } => {
                return refused("none", "NotARemoteChange");
            }
        };
        let mut call = self.enter(call)?;
        let done = call.inner.carry_out(name, change, value);
        call.answer(done)
    }
}

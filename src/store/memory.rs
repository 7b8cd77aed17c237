//! A Secrets Manager in memory: an executable form of aws.md, where AWS is vague as
//! strict as it may be (sync.md section 3.2 point 2).

mod account;
mod api;
mod calls;
mod collect;
mod console;
mod faults;
mod kept;
mod lag;
mod listing;
mod quota;
mod reading;
#[cfg(test)]
mod tests;
mod wording;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use account::Clock;
pub use calls::Call;
pub use collect::Cleanup;
pub use faults::{FaultKind, FaultPlan, Hit};
pub use lag::{LONGEST_LAG, ListLag};
pub use quota::Rates;
pub use wording::Refusal;

use self::account::{Account, Effect};
use self::calls::Calls;
use self::faults::Faults;
use super::StoreError;
use crate::model::{RemoteFacts, SecretName, SecretValue, Snapshot, Timestamp, VersionId};

/// A Secrets Manager in memory, as strict as AWS: label moves are compare-and-swap,
/// tokens are idempotent, unlabelled versions disappear, quotas hold, replicas are
/// read-only, and a put that would steal AWSCURRENT is refused.
///
/// The `demo` runs on it and the sync is tested on it: listings may lag
/// ([`MemoryStore::set_lag`]), calls may be throttled ([`MemoryStore::set_rates`]) and
/// fail in every way of a [`FaultPlan`]. The `as_console_*` methods are the other
/// people in the account, who may do all that AWS allows.
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

struct Inner {
    account: Account,
    calls: Calls,
    faults: Faults,
    rates: Option<Rates>,
    /// Entries of a page of a listing.
    page: usize,
    delayed: Vec<Delayed>,
    refusal: Option<Refusal>,
}

/// A call that seemed lost and is still on its way.
struct Delayed {
    /// The number of the call before which it takes effect; none waits to be told.
    due: Option<usize>,
    name: SecretName,
    effect: Effect,
    value: Option<SecretValue>,
}

/// The biggest page ListSecrets gives (aws.md section 5).
const PAGE: usize = 100;

impl MemoryStore {
    /// An empty account in one Region. `now` is its time until
    /// [`MemoryStore::set_now`].
    pub fn new(account: &str, region: &str, now: Timestamp) -> Self {
        Self::with_clock(account, region, Arc::new(move || now))
    }

    /// The same with a clock that moves by itself.
    pub fn with_clock(account: &str, region: &str, clock: Clock) -> Self {
        Self {
            inner: Mutex::new(Inner {
                account: Account::new(account, region, clock),
                calls: Calls::default(),
                faults: Faults::default(),
                rates: None,
                page: PAGE,
                delayed: Vec::new(),
                refusal: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while holding the lock has already failed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the account's clock at a moment.
    pub fn set_now(&self, now: Timestamp) {
        self.lock().account.clock = Arc::new(move || now);
    }

    /// Lets listings lag from now on, or no longer.
    pub fn set_lag(&self, lag: ListLag) {
        let mut inner = self.lock();
        let now = inner.account.all_seen();
        inner.account.past.set(lag, now);
    }

    /// When versions without a label go.
    pub fn set_cleanup(&self, cleanup: Cleanup) {
        self.lock().account.cleanup = cleanup;
    }

    /// Throttles calls over these rates, or none.
    pub fn set_rates(&self, rates: Option<Rates>) {
        self.lock().rates = rates;
    }

    /// How many secrets a page of a listing has, 100 at first; at least one.
    pub fn set_page(&self, entries: usize) {
        self.lock().page = entries.max(1);
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

    /// Lets calls fail as planned from now on; an earlier plan is over.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.lock().faults.set(plan);
    }

    /// The faults that have happened since the plan was set.
    pub fn hits(&self) -> Vec<Hit> {
        self.lock().faults.hits().to_vec()
    }

    /// Whoever calls has new credentials.
    pub fn renew_credentials(&self) {
        self.lock().faults.renew();
    }

    /// What stale pages show from now on is the account as it is at this moment.
    pub fn keep_listing(&self) {
        let mut inner = self.lock();
        let now = inner.account.all_seen();
        inner.account.past.keep_stale(now);
    }

    /// Lets everything that is delayed take effect, and says how much that was. What
    /// AWS refuses by then has no effect.
    pub fn land_delayed(&self) -> usize {
        self.lock().land(true)
    }

    /// Lets the call number `at` from now (the next is 0) fail with `error`; with
    /// `after_effect` the change happens and only the answer is lost.
    pub fn fail_at(&self, at: usize, after_effect: bool, error: StoreError) {
        self.lock().faults.fail_at(at, after_effect, error);
    }

    /// Takes the permission to read a secret's values away, or gives it back.
    pub fn deny(&self, name: &SecretName, denied: bool) {
        let mut inner = self.lock();
        if denied {
            inner.account.denied.insert(name.clone());
        } else {
            inner.account.denied.remove(name);
        }
    }

    /// Takes the permission for one operation on a secret away, or gives it back.
    pub fn forbid(&self, name: &SecretName, call: Call, forbidden: bool) {
        let key = (name.clone(), call);
        let mut inner = self.lock();
        if forbidden {
            inner.account.forbidden.insert(key);
        } else {
            inner.account.forbidden.remove(&key);
        }
    }

    /// Changes what only the account knows of a secret.
    pub fn edit_facts(&self, name: &SecretName, edit: impl FnOnce(&mut RemoteFacts)) {
        let mut inner = self.lock();
        if let Some(facts) = inner.account.facts.get_mut(name) {
            edit(facts);
            inner.account.note(name);
        }
    }

    /// The account's whole state, for tests and the demo.
    pub fn state(&self) -> Snapshot {
        self.lock().account.secrets.clone()
    }

    /// Every `(secret, from, to)` move of AWSCURRENT, in order, whoever made it.
    pub fn current_moves(&self) -> Vec<(SecretName, Option<VersionId>, Option<VersionId>)> {
        let inner = self.lock();
        let moves = inner.account.history.iter();
        moves
            .map(|m| (m.secret.clone(), m.from.clone(), m.to.clone()))
            .collect()
    }

    /// A second account just like this one, which goes its own way from here; calls,
    /// faults and rates begin anew. For tests.
    #[must_use]
    pub fn fork(&self) -> Self {
        let inner = self.lock();
        Self {
            inner: Mutex::new(Inner {
                account: inner.account.duplicate(),
                calls: Calls::default(),
                faults: Faults::default(),
                rates: None,
                page: inner.page,
                delayed: Vec::new(),
                refusal: None,
            }),
        }
    }

    /// A value, read past every permission; for tests.
    pub fn peek(&self, name: &SecretName, id: &VersionId) -> Option<SecretValue> {
        let inner = self.lock();
        let arn = inner.account.facts.get(name)?.arn.clone();
        inner
            .account
            .values
            .get(&(arn, id.clone()))
            .map(SecretValue::duplicate)
    }
}

impl Inner {
    /// Lets what is delayed take effect: all of it, or what is due.
    fn land(&mut self, all: bool) -> usize {
        let number = self.faults.number();
        let is_due = |d: &Delayed| all || d.due.is_some_and(|due| due <= number);
        let mut landed = 0;
        let (due, later) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(is_due);
        self.delayed = later;
        let due: Vec<Delayed> = due;
        for d in due {
            landed += 1;
            drop(self.account.perform(&d.name, &d.effect, d.value.as_ref()));
        }
        landed
    }
}

//! What goes wrong with a call, and when (sync.md section 3.2 point 5).

use std::collections::BTreeMap;

use super::calls::Call;
use crate::store::StoreError;

/// What may become of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// It does not arrive.
    Before,
    /// It takes effect, and the answer is lost.
    LostAnswer,
    /// It seems not to arrive, and takes effect later: after a number of further
    /// calls, or when [`super::MemoryStore::land_delayed`] says so.
    Delayed,
    /// It arrives twice, and the caller gets the second answer.
    Duplicate,
    /// ThrottlingException.
    Throttle,
    /// AccessDeniedException, for this one call.
    Denied,
    /// ExpiredTokenException, for this one call; [`FaultPlan::expired_from`] is the
    /// lasting form.
    Expired,
    /// The page of a listing lacks its second half.
    TruncatedPage,
    /// The page of a listing shows the account as it was a while ago.
    StalePage,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Before,
        Self::LostAnswer,
        Self::Delayed,
        Self::Duplicate,
        Self::Throttle,
        Self::Denied,
        Self::Expired,
        Self::TruncatedPage,
        Self::StalePage,
    ];

    /// Whether it can befall such a call and differ there from every other kind.
    pub fn befalls(self, call: Call) -> bool {
        match self {
            Self::Delayed | Self::Duplicate => call.is_write(),
            Self::TruncatedPage | Self::StalePage => call == Call::List,
            Self::Before | Self::LostAnswer | Self::Throttle | Self::Denied | Self::Expired => true,
        }
    }

    /// What the caller hears of it instead of an answer; nothing where it gets one.
    pub(super) fn error(self, call: Call) -> Option<StoreError> {
        match self {
            Self::Before | Self::LostAnswer | Self::Delayed => Some(StoreError::Unreachable {
                detail: "cut".to_owned(),
            }),
            Self::Throttle => Some(StoreError::Throttled {
                operation: call.name(),
            }),
            Self::Denied => Some(StoreError::Denied {
                operation: call.name(),
                code: "AccessDeniedException".to_owned(),
            }),
            Self::Expired => Some(expired()),
            Self::Duplicate | Self::TruncatedPage | Self::StalePage => None,
        }
    }
}

/// The error of every call with credentials that were good once.
fn expired() -> StoreError {
    StoreError::Credentials {
        code: "ExpiredTokenException".to_owned(),
    }
}

/// Which calls fail, and how. Numbers count from the moment the plan is set, from 0
/// on; each fault happens once.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    numbered: BTreeMap<usize, (FaultKind, Option<StoreError>)>,
    of_kind: BTreeMap<(Call, usize), FaultKind>,
    expired_from: Option<usize>,
    landing: Option<usize>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// The call with this number meets this fault.
    #[must_use]
    pub fn at(mut self, number: usize, kind: FaultKind) -> Self {
        self.numbered.insert(number, (kind, None));
        self
    }

    /// The nth call of one operation meets this fault.
    #[must_use]
    pub fn nth(mut self, call: Call, nth: usize, kind: FaultKind) -> Self {
        self.of_kind.insert((call, nth), kind);
        self
    }

    /// The credentials have expired from the call with this number on, until
    /// [`super::MemoryStore::renew_credentials`].
    #[must_use]
    pub fn expired_from(mut self, number: usize) -> Self {
        self.expired_from = Some(number);
        self
    }

    /// What is delayed takes effect right before the call that comes this many calls
    /// later.
    #[must_use]
    pub fn landing_after(mut self, calls: usize) -> Self {
        self.landing = Some(calls);
        self
    }

    /// Draws `faults` faults over a run whose calls were counted, and when what is
    /// delayed lands. The same seed draws the same.
    pub fn seeded(seed: u64, counts: &BTreeMap<Call, usize>, faults: usize) -> Self {
        let mut dice = Dice(seed);
        let total: usize = counts.values().sum();
        let mut plan = Self::new().landing_after(1 + dice.below(total.max(1)));
        for _ in 0..faults {
            let called: Vec<_> = counts.iter().filter(|(_, n)| **n > 0).collect();
            let Some((call, count)) = called.get(dice.below(called.len().max(1))) else {
                break;
            };
            let kinds: Vec<FaultKind> = FaultKind::ALL
                .into_iter()
                .filter(|k| k.befalls(**call))
                .collect();
            let kind = kinds[dice.below(kinds.len())];
            plan = plan.nth(**call, dice.below(**count), kind);
        }
        plan
    }
}

/// SplitMix64: the same numbers for the same seed on every machine.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }
}

/// A fault that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The operation.
    pub call: Call,
    /// Which of its calls since the plan was set, from 0 on.
    pub nth: usize,
    /// What became of it.
    pub kind: FaultKind,
}

/// A fault under way: its kind, and the error the caller hears.
pub(super) struct Struck {
    pub(super) kind: FaultKind,
    pub(super) error: Option<StoreError>,
}

/// The plan, and what has come of it.
#[derive(Default)]
pub(super) struct Faults {
    plan: FaultPlan,
    number: usize,
    of_kind: BTreeMap<Call, usize>,
    hits: Vec<Hit>,
}

impl Faults {
    pub(super) fn set(&mut self, plan: FaultPlan) {
        *self = Self {
            plan,
            ..Self::default()
        };
    }

    /// Lets one call fail with an error of the test's choice; the rest of the plan
    /// about single calls is dropped.
    pub(super) fn fail_at(&mut self, at: usize, after_effect: bool, error: StoreError) {
        let kind = if after_effect {
            FaultKind::LostAnswer
        } else {
            FaultKind::Before
        };
        let at = self.number.saturating_add(at);
        self.plan.numbered = BTreeMap::from([(at, (kind, Some(error)))]);
    }

    pub(super) fn renew(&mut self) {
        self.plan.expired_from = None;
    }

    pub(super) fn hits(&self) -> &[Hit] {
        &self.hits
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The number of the call before which something delayed now takes effect.
    pub(super) fn landing(&self) -> Option<usize> {
        Some(self.number.saturating_add(self.plan.landing?))
    }

    /// The next call is this one: what becomes of it.
    pub(super) fn strike(&mut self, call: Call) -> Option<Struck> {
        let number = self.number;
        self.number += 1;
        let of_kind = self.of_kind.entry(call).or_default();
        let nth = *of_kind;
        *of_kind += 1;
        let struck = if self.plan.expired_from.is_some_and(|k| number >= k) {
            Some((FaultKind::Expired, None))
        } else {
            let by_kind = self.plan.of_kind.remove(&(call, nth));
            let by_number = self.plan.numbered.remove(&number);
            by_number.or(by_kind.map(|kind| (kind, None)))
        };
        let (kind, error) = struck?;
        if !kind.befalls(call) {
            return None;
        }
        self.hits.push(Hit { call, nth, kind });
        let error = error.or_else(|| kind.error(call));
        Some(Struck { kind, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_once_and_expired_credentials_stay_so() {
        let mut faults = Faults::default();
        faults.set(
            FaultPlan::new()
                .at(1, FaultKind::Throttle)
                .nth(Call::Put, 1, FaultKind::Delayed)
                .expired_from(4),
        );
        let calls = [
            Call::List,
            Call::Put,
            Call::Get,
            Call::Put,
            Call::Get,
            Call::Get,
        ];
        let kinds: Vec<_> = calls
            .into_iter()
            .map(|call| faults.strike(call).map(|s| s.kind))
            .collect();
        let expired = Some(FaultKind::Expired);
        let expected = [
            None,
            Some(FaultKind::Throttle),
            None,
            Some(FaultKind::Delayed),
            expired,
            expired,
        ];
        assert_eq!(kinds, expected);
        faults.renew();
        assert!(faults.strike(Call::Get).is_none());
        assert_eq!(faults.hits().len(), 4);
        assert_eq!(faults.hits()[1].nth, 1);
    }

    #[test]
    fn what_cannot_befall_a_call_does_not() {
        let mut faults = Faults::default();
        faults.set(
            FaultPlan::new()
                .at(0, FaultKind::Delayed)
                .at(1, FaultKind::StalePage),
        );
        assert!(faults.strike(Call::Get).is_none());
        assert!(faults.strike(Call::Put).is_none());
        assert!(faults.hits().is_empty());
    }

    #[test]
    fn a_seed_draws_the_same_plan_every_time_and_another_seed_another() {
        let counts = BTreeMap::from([(Call::List, 3), (Call::Put, 9)]);
        let draw = |seed| format!("{:?}", FaultPlan::seeded(seed, &counts, 3));
        assert_eq!(draw(7), draw(7));
        let different: std::collections::BTreeSet<String> = (0..50).map(draw).collect();
        assert!(different.len() > 40, "{}", different.len());
        assert_eq!(FaultPlan::seeded(1, &BTreeMap::new(), 3).of_kind.len(), 0);
    }
}

//! The existence table (sync.md section 1.4): for one secret and one remote, what
//! the two lifecycles and "was anything changed" say should happen.

use crate::model::{Class, Lifecycle, Pair, RemoteSecret, SecretState, Timestamp};

/// How one side stands to its half of the base (sync.md section 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moved {
    /// Not there, and not known before.
    Absent,
    /// As it was.
    Unchanged,
    /// Edited.
    Changed,
    /// New to this pair.
    New,
    /// New to this pair, and scheduled for deletion already. The vault's side only.
    Shelved,
    /// Deleted.
    Deleted,
    /// Scheduled for deletion.
    Scheduled,
    /// Brought back from being scheduled.
    Restored,
    /// The same name, another incarnation.
    Recreated,
}

/// What follows for one secret and one remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to do or to remember.
    Nothing,
    /// Both are there: merge field by field.
    Merge,
    /// As `Merge`, but the remote is another incarnation than the base knows, or a
    /// first meeting: there is no common state.
    Meet,
    /// Only there: make it here. A tombstone here does not stand in the way.
    PullCreate,
    /// Only here: make it there.
    PushCreate,
    /// Gone there: remember it as gone.
    Tombstone,
    /// Scheduled there.
    MarkScheduled(Option<Timestamp>),
    /// Both are deleted or scheduled; take over the remote's date and remember.
    Agree(Option<Timestamp>),
    /// Restored there: restore here, then merge.
    RestoreLocal,
    /// Deleted here, but changed there since: live again, then merge.
    Revive,
    /// Delete there, with this date as the end of the window.
    DeleteRemote(Option<Timestamp>),
    /// Restored here: restore there, then merge.
    RestoreRemote,
    /// Another incarnation there: put ours aside, take the new one.
    TakeRecreated,
    /// Restore there and look again: only then can its values be read.
    RestoreOnly,
    /// Scheduled there and never synced: nothing can be read.
    ScheduledThere,
    /// A person must decide.
    Conflict(Class),
}

/// Classifies the vault's side of a pair.
pub(super) fn local_moved(pair: Option<&Pair>, local: Option<&SecretState>, edited: bool) -> Moved {
    let Some(now) = local.map(|s| s.lifecycle) else {
        return Moved::Absent;
    };
    let Some(pair) = pair else {
        return match now {
            Lifecycle::Live => Moved::New,
            Lifecycle::Scheduled { .. } => Moved::Shelved,
            Lifecycle::Tombstone => Moved::Absent,
        };
    };
    match (pair.local.lifecycle, now) {
        (Lifecycle::Live, Lifecycle::Live) if edited => Moved::Changed,
        (Lifecycle::Live, Lifecycle::Scheduled { .. }) => Moved::Scheduled,
        (Lifecycle::Live | Lifecycle::Scheduled { .. }, Lifecycle::Tombstone) => Moved::Deleted,
        (Lifecycle::Scheduled { .. }, Lifecycle::Live) => Moved::Restored,
        (Lifecycle::Tombstone, Lifecycle::Live) => Moved::New,
        (Lifecycle::Tombstone, Lifecycle::Scheduled { .. }) => Moved::Shelved,
        _ => Moved::Unchanged,
    }
}

/// Classifies the remote's side of a pair.
pub(super) fn remote_moved(
    pair: Option<&Pair>,
    remote: Option<&RemoteSecret>,
    edited: bool,
) -> Moved {
    let Some(pair) = pair else {
        return match remote.map(|r| r.state.lifecycle) {
            None | Some(Lifecycle::Tombstone) => Moved::Absent,
            Some(Lifecycle::Live) => Moved::New,
            Some(Lifecycle::Scheduled { .. }) => Moved::Scheduled,
        };
    };
    let before = pair.remote.lifecycle;
    let Some(remote) = remote else {
        return match before {
            Lifecycle::Tombstone => Moved::Unchanged,
            _ => Moved::Deleted,
        };
    };
    let other = remote.facts.arn != pair.arn;
    let now = remote.state.lifecycle;
    match (before, now) {
        // A listing may lag behind our own deletion: the same ARN is not news.
        (Lifecycle::Tombstone, _) if !other => Moved::Unchanged,
        (Lifecycle::Tombstone, Lifecycle::Live) => Moved::New,
        (Lifecycle::Tombstone, _) => Moved::Scheduled,
        (_, Lifecycle::Tombstone) => Moved::Deleted,
        (_, _) if other => Moved::Recreated,
        (Lifecycle::Live, Lifecycle::Live) if edited => Moved::Changed,
        (Lifecycle::Live, Lifecycle::Scheduled { .. }) => Moved::Scheduled,
        (Lifecycle::Scheduled { .. }, Lifecycle::Live) => Moved::Restored,
        (Lifecycle::Live, Lifecycle::Live)
        | (Lifecycle::Scheduled { .. }, Lifecycle::Scheduled { .. }) => Moved::Unchanged,
    }
}

/// The table. `here` and `there` are rows and columns of sync.md section 1.4; the
/// dates are those of the two lifecycles.
pub(super) fn verdict(
    here: Moved,
    there: Moved,
    local: Option<Lifecycle>,
    remote: Option<Lifecycle>,
    known: bool,
) -> Verdict {
    use Moved as M;
    use Verdict as V;
    let date = |l: Option<Lifecycle>| match l {
        Some(Lifecycle::Scheduled { date }) => date,
        _ => None,
    };
    let live = |l: Option<Lifecycle>| l == Some(Lifecycle::Live);
    let scheduled = |l: Option<Lifecycle>| l.is_some_and(Lifecycle::is_scheduled);
    match (here, there) {
        // -- another incarnation that is scheduled itself: ours is gone, and of the
        //    new one nothing can be read
        (M::Unchanged | M::Scheduled, M::Recreated) if scheduled(remote) => V::Tombstone,
        (M::New | M::Changed | M::Restored, M::Recreated) if scheduled(remote) => {
            V::Conflict(Class::NameScheduled)
        }
        (M::Deleted, M::Recreated) if scheduled(remote) => V::Agree(None),
        // -- nothing common yet, or a tombstone that the remote outlived
        (M::Absent, M::New) => V::PullCreate,
        (M::Absent, M::Scheduled) => V::ScheduledThere,
        (M::Unchanged, M::New) => V::PullCreate,
        // -- deleted on both sides, and lives again here while it still waits there
        (M::New, M::Unchanged) if scheduled(remote) => V::RestoreOnly,
        (M::New, M::Absent | M::Unchanged | M::Deleted) => V::PushCreate,
        (M::New, M::New | M::Restored) => V::Meet,
        (M::New, M::Recreated) if live(remote) => V::Meet,
        (M::New, M::Scheduled | M::Recreated) => V::Conflict(Class::NameScheduled),
        (M::Shelved, M::New | M::Restored) => V::Conflict(Class::ScheduleEdit),
        (M::Shelved, M::Recreated) if live(remote) => V::Conflict(Class::ScheduleEdit),
        // -- nothing was agreed to be there, so nothing is deleted there
        (M::Shelved, _) => V::Nothing,
        // -- unchanged here
        (M::Unchanged, M::Unchanged | M::Changed) if live(local) && live(remote) => V::Merge,
        (M::Unchanged, M::Unchanged) if date(local) != date(remote) && known => {
            V::Agree(date(remote))
        }
        (M::Unchanged, M::Unchanged | M::Changed) => V::Nothing,
        (M::Unchanged, M::Deleted) => V::Tombstone,
        (M::Unchanged, M::Scheduled) => V::MarkScheduled(date(remote)),
        (M::Unchanged, M::Restored) if local == Some(Lifecycle::Tombstone) => V::PullCreate,
        (M::Unchanged, M::Restored) => V::RestoreLocal,
        (M::Unchanged | M::Deleted | M::Scheduled, M::Recreated) => V::TakeRecreated,
        // -- edited here
        (M::Changed, M::Unchanged | M::Changed | M::Restored) => V::Merge,
        (M::Changed, M::Deleted) => V::Conflict(Class::EditDelete),
        (M::Changed, M::Scheduled) => V::Conflict(Class::EditSchedule),
        (M::Changed | M::Restored, M::Recreated) => V::Conflict(Class::EditRecreate),
        // -- deleted or scheduled here
        (M::Deleted, M::Unchanged) if remote.is_some_and(Lifecycle::is_scheduled) => {
            V::Agree(date(remote))
        }
        (M::Deleted, M::Unchanged) => V::DeleteRemote(None),
        (M::Deleted, M::Changed | M::Restored) => V::Revive,
        (M::Deleted, M::Deleted) => V::Agree(None),
        (M::Deleted | M::Scheduled, M::Scheduled) => V::Agree(date(remote)),
        (M::Scheduled, M::Unchanged) => V::DeleteRemote(date(local)),
        (M::Scheduled, M::Changed | M::Restored) => V::Conflict(Class::ScheduleEdit),
        (M::Scheduled, M::Deleted) => V::Tombstone,
        // -- restored here
        (M::Restored, M::Unchanged | M::Changed) => V::RestoreRemote,
        (M::Restored, M::Deleted) => V::Conflict(Class::RestorePurged),
        (M::Restored, M::Restored) => V::Merge,
        (M::Restored, M::Scheduled) => V::RestoreRemote,
        // -- cannot be for one base: new needs none, the others need one
        (M::Absent, _)
        | (_, M::Absent)
        | (M::Deleted | M::Scheduled | M::Changed | M::Restored, M::New)
        | (M::New, _)
        | (_, M::Shelved)
        | (M::Recreated, _) => V::Nothing,
    }
}

/// What follows when a person has seen the conflict and decided for the vault.
pub(super) fn ours(class: Class, local: Option<Lifecycle>) -> Verdict {
    let date = match local {
        Some(Lifecycle::Scheduled { date }) => date,
        _ => None,
    };
    match class {
        Class::EditDelete | Class::RestorePurged => Verdict::PushCreate,
        Class::EditSchedule => Verdict::RestoreRemote,
        Class::ScheduleEdit => Verdict::DeleteRemote(date),
        Class::EditRecreate => Verdict::Meet,
        Class::NameScheduled => Verdict::RestoreOnly,
        class => Verdict::Conflict(class),
    }
}

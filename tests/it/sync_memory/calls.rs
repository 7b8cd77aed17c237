//! Which call each intent takes, and which it never does: the table of sync.md section
//! 1.14, against what the account counts.

use std::collections::BTreeMap;

use strongroom::model::{
    Change, Lifecycle, RemoteSecret, RemoteView, SecretName, SecretValue, VersionId,
};
use strongroom::store::{Call, MemoryStore, Progress, Retrieved, SecretStore, StoreError};
use strongroom::sync::Outcome;

use super::world::{Cloud, Edits, Site, id, name, remote, text};

/// The writes that one sync makes after an edit of a secret in step.
fn writes(edit: impl Fn(&mut Site, &Cloud)) -> BTreeMap<Call, usize> {
    let cloud = Cloud::new();
    cloud.put("s", 1, "one");
    cloud.put("s", 2, "two");
    cloud.put_labelled("s", 3, &text("three"), &["blue"]);
    // Its listing is never empty, and a deletion is a small part of it.
    for n in 10..30 {
        cloud.put(&format!("other{n}"), n, "kept");
    }
    let mut site = Site::new(&cloud);
    site.sync(&cloud);
    site.assert_quiet(&cloud);
    edit(&mut site, &cloud);
    cloud.prod().reset_calls();
    let report = site.sync(&cloud);
    assert!(report.is_complete(), "{report:?}");
    let mut calls = cloud.prod().calls();
    calls.retain(|call, _| call.is_write());
    calls
}

#[test]
fn sync_1_14_each_intent_takes_its_own_call_and_no_other() {
    type Edit = fn(&mut Site, &Cloud);
    type Row = (&'static str, Edit, &'static [(Call, usize)]);
    let rows: &[Row] = &[
        (
            "create: one call gives value, AWSCURRENT and tags",
            |s, _| {
                s.put("new", 101, "first");
                s.tag("new", "k", Some("v"));
                s.describe("new", "what it is for");
            },
            &[(Call::Create, 1)],
        ),
        (
            "create with what was before: the rest is added",
            |s, _| {
                s.put("new", 101, "first");
                s.put("new", 102, "second");
            },
            &[(Call::Create, 1), (Call::Put, 1), (Call::Stage, 1)],
        ),
        (
            "add a version: put aside, then moved by compare-and-swap",
            |s, _| s.put("s", 101, "three"),
            &[(Call::Put, 1), (Call::Stage, 1)],
        ),
        (
            "a chain of versions goes live in one step",
            |s, _| {
                s.put("s", 101, "three");
                s.put("s", 102, "four");
            },
            &[(Call::Put, 1), (Call::Stage, 1)],
        ),
        (
            "move a label",
            |s, _| s.move_label("s", "blue", Some(1)),
            &[(Call::Stage, 1)],
        ),
        (
            "add a label",
            |s, _| s.move_label("s", "green", Some(1)),
            &[(Call::Stage, 1)],
        ),
        (
            "remove a label",
            |s, _| s.move_label("s", "blue", None),
            &[(Call::Stage, 1)],
        ),
        (
            "description: UpdateSecret, which never carries a value",
            |s, _| s.describe("s", "what it is for"),
            &[(Call::Update, 1)],
        ),
        (
            "tags, key by key",
            |s, _| s.tag("s", "k", Some("v")),
            &[(Call::Tag, 1)],
        ),
        ("delete", |s, _| s.delete("s"), &[(Call::Delete, 1)]),
        (
            "restore",
            |s, cloud| {
                s.delete("s");
                s.sync(cloud);
                s.restore("s");
            },
            &[(Call::Restore, 1)],
        ),
        (
            "restore, then version, then label, then text",
            |s, cloud| {
                s.delete("s");
                s.sync(cloud);
                s.restore("s");
                s.put("s", 101, "three");
                s.describe("s", "what it is for");
            },
            &[
                (Call::Put, 1),
                (Call::Stage, 1),
                (Call::Update, 1),
                (Call::Restore, 1),
            ],
        ),
        ("nothing", |_, _| {}, &[]),
    ];
    for (row, edit, expected) in rows {
        let expected: BTreeMap<Call, usize> = expected.iter().copied().collect();
        assert_eq!(writes(edit), expected, "{row}");
    }
}

/// A roll back moves the label and puts nothing; nothing but the label is written.
#[test]
fn sync_1_14_a_way_back_is_a_move_of_the_label_alone() {
    let back = writes(|s, _| s.move_label("s", "AWSCURRENT", Some(1)));
    assert_eq!(back, BTreeMap::from([(Call::Stage, 1)]));
}

/// An account in which somebody acts right before a deletion.
struct Meddled<'a> {
    store: &'a MemoryStore,
    act: &'a (dyn Fn() + Sync),
}

impl SecretStore for Meddled<'_> {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        self.store.view(known, progress).await
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        self.store.describe(name).await
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        self.store.policy(name).await
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        self.store.read(name, id).await
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        self.store.read_current(names).await
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        if matches!(change, Change::Delete { .. }) {
            (self.act)();
        }
        self.store.apply(name, change, value).await
    }
}

/// DeleteSecret compares nothing: what somebody wrote between the look and the deletion
/// is seen afterwards, and the deletion is taken back.
#[test]
fn sync_1_14_a_deletion_over_somebodys_write_is_taken_back() {
    let cloud = Cloud::new();
    cloud.put("s", 1, "one");
    for n in 10..30 {
        cloud.put(&format!("other{n}"), n, "kept");
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.delete("s");
    let act = || cloud.put("s", 101, "theirs");
    let store = cloud.prod();
    let meddled = BTreeMap::from([(remote("prod"), Meddled { store, act: &act })]);
    cloud.prod().reset_calls();
    let report = site.try_sync(&meddled).unwrap();
    assert!(
        matches!(report.outcomes[&name("s")], Outcome::Superseded(_)),
        "{report:?}"
    );
    let calls = cloud.prod().calls();
    assert_eq!((calls[&Call::Delete], calls[&Call::Restore]), (1, 1));
    assert_eq!(
        store.state().get(&name("s")).unwrap().lifecycle,
        Lifecycle::Live
    );
    assert_eq!(cloud.serves("s"), "theirs");
    // The next look sees an edit there, and a person decides.
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1, "{report:?}");
    assert_eq!(site.bytes("s", &id(101)), b"theirs");
    assert_eq!(cloud.serves("s"), "theirs");
}

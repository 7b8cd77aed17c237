//! Random histories of two clones that meet by bundles alone: nothing is ever lost, an
//! exchange repeated changes nothing, and clones at rest agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use strongroom::bundle::{Key, Lock};
use strongroom::crypto::Identity;
use strongroom::exchange::{self, Memory, Order, Standing};
use strongroom::model::{
    Attributes, Author, Change, Content, Lifecycle, Origin, Record, SecretName, SecretValue,
    StagingLabel, Timestamp, VersionId, VersionMeta,
};
use strongroom::store::Silent;
use strongroom::vault::{Durability, InitOptions, Rests, Vault};

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

fn now(n: u32) -> Timestamp {
    Timestamp::from_secs(1_795_000_000 + i64::from(n))
}

fn uuid(n: u32) -> String {
    format!("{n:08}-0000-4000-8000-000000000000")
}

/// Two clones, and the moments and ids that pass.
struct World {
    dir: tempfile::TempDir,
    me: Identity,
    sites: Vec<(Vault, Memory)>,
    clock: u32,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let me = Identity::generate();
        let options = InitOptions {
            vault_id: VAULT,
            keyring: Identity::generate(),
            member_name: "ann",
            member: &me.recipient(),
            now: now(0),
            git: false,
        };
        let (a, _) = Vault::init(&dir.path().join("a"), &dir.path().join("s"), options).unwrap();
        let rests: Rests = a.rests().unwrap();
        let mut b = Vault::plant(&dir.path().join("b"), &dir.path().join("s"), &rests).unwrap();
        b.unlock(&me).unwrap();
        let memory = |vault: &Vault, n| Memory::load(vault, &uuid(n)).unwrap();
        let (of_a, of_b) = (memory(&a, 1), memory(&b, 2));
        Self {
            dir,
            me,
            sites: vec![(a, of_a), (b, of_b)],
            clock: 10,
        }
    }

    fn tick(&mut self) -> u32 {
        self.clock += 1;
        self.clock
    }

    /// A person's change of one secret on one side, where it fits.
    fn edit(&mut self, side: usize, name: &SecretName, what: u8) {
        let n = self.tick();
        let vault = &self.sites[side].0;
        let mut tx = vault.begin("test", now(n)).unwrap();
        tx.without_git();
        let mut record = match tx.record(name).unwrap() {
            Some(record) => record,
            None => Record::new(name.clone()),
        };
        let id: VersionId = uuid(n).parse().unwrap();
        let live = record.state.lifecycle == Lifecycle::Live;
        let changes = match what {
            0 | 1 => {
                let value = SecretValue::string(n.to_string().into_bytes()).unwrap();
                let digest = tx.add_value(name, &id, &value, Some(now(n))).unwrap();
                let meta = VersionMeta {
                    created: Some(now(n)),
                    content: Content::Value {
                        kind: value.kind(),
                        digest,
                    },
                    parent: record.state.current().cloned(),
                    origin: Origin::Local,
                };
                let add = Change::AddVersion {
                    id: id.clone(),
                    meta: meta.clone(),
                    labels: vec![StagingLabel::current()],
                };
                match record.state.lifecycle {
                    Lifecycle::Live => vec![add],
                    Lifecycle::Scheduled { .. } => vec![Change::Restore, add],
                    Lifecycle::Tombstone => vec![Change::Create {
                        attributes: Attributes::default(),
                        version: Some((id, meta)),
                    }],
                }
            }
            2 if live => {
                let from = record.state.labels.get(&StagingLabel::previous()).cloned();
                match from {
                    Some(to) => vec![Change::MoveLabel {
                        label: StagingLabel::current(),
                        from: record.state.current().cloned(),
                        to: Some(to),
                    }],
                    None => Vec::new(),
                }
            }
            3 if live => {
                let mut to = record.state.attributes.clone();
                to.description = Some(n.to_string());
                let from = record.state.attributes.clone();
                vec![Change::SetAttributes { from, to }]
            }
            4 if live => vec![Change::Delete {
                date: Some(now(n).plus_days(30)),
            }],
            _ => Vec::new(),
        };
        if changes.is_empty() {
            return;
        }
        for change in changes {
            record.apply(&change, Author::Here).unwrap();
        }
        tx.put(record);
        tx.commit("test", Durability::Bulk).unwrap();
    }

    fn records(&self, side: usize) -> Vec<Record> {
        self.sites[side]
            .0
            .load()
            .unwrap()
            .records
            .into_values()
            .collect()
    }

    fn versions(&self, side: usize) -> BTreeSet<(SecretName, VersionId)> {
        let records = self.records(side);
        let of = |r: &Record| {
            let name = r.name.clone();
            let ids: Vec<_> = r
                .state
                .versions
                .keys()
                .map(|id| (name.clone(), id.clone()))
                .collect();
            ids
        };
        records.iter().flat_map(of).collect()
    }

    /// Carries a bundle over, whole or what the other lacks.
    fn send(&mut self, from: usize, whole: bool) -> PathBuf {
        let n = self.tick();
        let have = {
            let (vault, memory) = &self.sites[1 - from];
            // What it says of itself must be what it is called later.
            memory.save(vault).unwrap();
            exchange::have(vault, memory, "x".into(), now(n)).unwrap()
        };
        let to = [self.me.recipient().into()];
        let file = self.dir.path().join(format!("{n}.bundle"));
        let (vault, memory) = &mut self.sites[from];
        let order = Order {
            lock: Lock::To(&to),
            bundle: uuid(n),
            name: "x".into(),
            now: now(n),
            prefixes: Vec::new(),
            have: (!whole).then_some(&have),
        };
        exchange::create(vault, memory, order, &file, &Silent).unwrap();
        self.receive(1 - from, &file, Standing::New);
        file
    }

    fn receive(&mut self, side: usize, file: &Path, expected: Standing) {
        let all: BTreeSet<_> = self.versions(0).union(&self.versions(1)).cloned().collect();
        let n = self.tick();
        let staging = self.dir.path().join("staging");
        let (vault, memory) = &mut self.sites[side];
        let bundle =
            exchange::open(vault, file, &Key::Identity(&self.me), &self.me, &staging).unwrap();
        let applied = exchange::apply(vault, memory, &bundle, now(n), false).unwrap();
        assert_eq!(applied.standing, expected);
        if expected == Standing::Again {
            assert_eq!(applied.weighed.outcomes, []);
        }
        // Nothing is lost, every label is on a version, every value opens.
        assert!(all.is_superset(&self.versions(side)));
        for record in self.records(side) {
            for id in record.state.labels.values() {
                assert!(record.state.versions.contains_key(id));
            }
            for (id, meta) in &record.state.versions {
                assert!(!meta.has_value() || self.sites[side].0.read(&record, id).is_ok());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn clones_that_meet_by_bundles_lose_nothing_and_come_to_agree(
        steps in prop::collection::vec((0usize..2, 0u8..8, 0usize..2), 1..14),
    ) {
        let mut world = World::new();
        let names: Vec<SecretName> = vec!["x".parse().unwrap(), "y".parse().unwrap()];
        for (side, what, which) in steps {
            match what {
                0..5 => world.edit(side, &names[which], what),
                5 => {
                    let before = world.versions(1 - side);
                    let file = world.send(side, true);
                    prop_assert!(world.versions(1 - side).is_superset(&before));
                    prop_assert!(world.versions(1 - side).is_superset(&world.versions(side)));
                    world.receive(1 - side, &file, Standing::Again);
                }
                _ => drop(world.send(side, false)),
            }
        }
        for side in [0, 1, 0, 1] {
            world.send(side, false);
        }
        prop_assert_eq!(world.versions(0), world.versions(1));
        for (a, b) in world.records(0).iter().zip(world.records(1)) {
            if a.conflicts.is_empty() && b.conflicts.is_empty() {
                prop_assert_eq!(&a.state, &b.state);
            } else {
                // Both know of it; each keeps its own side until a person decides.
                prop_assert!(!a.conflicts.is_empty() && !b.conflicts.is_empty());
            }
        }
    }
}

//! The vault and the plan by themselves: `cargo bench --bench core`. The book's
//! figures page says what was seen, on which machine, beside which floor.
#![expect(
    clippy::expect_used,
    reason = "a measurement stops at the first surprise"
)]

mod common;

use std::collections::BTreeMap;
use std::hint::black_box;

use common::{NOW, id, name};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use strongroom::bundle::{Key, Lock, read};
use strongroom::crypto::open_stream;
use strongroom::exchange::{self, Memory, Order};
use strongroom::model::{
    Attributes, Author, Base, Change, Content, LocalView, Origin, Pair, Record, RemoteBase,
    RemoteFacts, RemoteName, RemoteSecret, RemoteView, SecretBase, Sight, StagingLabel,
    VersionMeta,
};
use strongroom::plan::{Policy, plan};
use strongroom::store::Silent;
use strongroom::vault::{Durability, Vault};

const MANY: usize = 10_000;
const SENDER: &str = "4c7d1f0a-2b3e-4d5c-8a9b-0c1d2e3f4a5b";
const OTHER: &str = "7e8f9a0b-1c2d-4e3f-8a4b-5c6d7e8f9a0b";

fn vault(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let (vault, member) = common::vault(dir.path(), MANY);
    let (root, state) = (vault.root().to_owned(), dir.path().join("state"));

    c.bench_function("get: open, unlock, decrypt one of 10k", |b| {
        b.iter(|| {
            let mut vault = Vault::open(&root, &state).expect("opens");
            vault.unlock(&member).expect("unlocks");
            let record = vault.record(&name(7)).expect("reads").expect("is there");
            black_box(vault.read(&record, &id(7, 1)).expect("decrypts"))
        });
    });
    let record = vault.record(&name(7)).expect("reads").expect("is there");
    c.bench_function("get: decrypt one, open vault", |b| {
        b.iter(|| black_box(vault.read(&record, &id(7, 1)).expect("decrypts")));
    });

    let mut group = c.benchmark_group("10k");
    group.sample_size(10);
    let mut v = 2;
    group.bench_function("put: every fsync and a git commit", |b| {
        b.iter(|| {
            v += 1;
            let name = name(7);
            let mut tx = vault.begin("bench", NOW).expect("the lock");
            let record = tx.record(&name).expect("reads").expect("is there");
            common::put(&mut tx, record, 7, v);
            tx.commit("bench", Durability::Each).expect("written")
        });
    });
    group.bench_function("list: open and glance, warm cache", |b| {
        vault.load().expect("warms the cache");
        b.iter(|| {
            let vault = Vault::open(&root, &state).expect("opens");
            black_box(vault.glance().expect("reads").records.len())
        });
    });
    group.bench_function("list: open and load, warm cache", |b| {
        b.iter(|| {
            let vault = Vault::open(&root, &state).expect("opens");
            black_box(vault.load().expect("reads").records.len())
        });
    });
    group.bench_function("floor: the age crate alone, two threads", |b| {
        let identity = age::x25519::Identity::generate();
        let file = age::encrypt(&identity.to_public(), &[7; 1024]).expect("encrypts");
        b.iter(|| {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    let (identity, file) = (&identity, &file);
                    scope.spawn(move || {
                        for _ in 0..5_000 {
                            black_box(age::decrypt(identity, file).expect("decrypts"));
                        }
                    });
                }
            });
        });
    });
    group.bench_function("decrypt every value, two threads", |b| {
        let loaded = vault.load().expect("reads");
        let records: Vec<&Record> = loaded.records.values().collect();
        b.iter(|| {
            std::thread::scope(|scope| {
                for half in records.chunks(records.len().div_ceil(2)) {
                    let vault = &vault;
                    scope.spawn(move || {
                        for record in half {
                            let id = record.state.current().expect("has a value");
                            black_box(vault.read(record, id).expect("decrypts"));
                        }
                    });
                }
            });
        });
    });
    group.finish();
}

/// What hidden names cost: every file read, revealed and verified, without the cache.
fn hidden(c: &mut Criterion) {
    let mut group = c.benchmark_group("10k");
    group.sample_size(10);
    let ways: [(&str, common::Init); 2] = [
        ("list: cold, names in the open", Vault::init),
        ("list: cold, hidden names", Vault::init_hidden),
    ];
    for (title, init) in ways {
        let dir = tempfile::tempdir().expect("a directory");
        let (vault, _) = common::vault_by(dir.path(), MANY, init);
        let index = vault.state_dir().join("index");
        group.bench_function(title, |b| {
            b.iter_batched(
                || {
                    if index.exists() {
                        std::fs::remove_file(&index).expect("the cache goes");
                    }
                },
                |()| black_box(vault.load().expect("reads").records.len()),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Ten thousand secrets in step, a hundred of them edited here.
fn plans(c: &mut Criterion) {
    let remote: RemoteName = "prod".parse().expect("a name");
    let mut local = LocalView::default();
    let mut base = Base::new();
    let mut view = RemoteView::default();
    for n in 0..MANY {
        let mut record = Record::new(name(n));
        let meta = |v: usize| VersionMeta {
            created: Some(NOW),
            content: Content::Value {
                kind: strongroom::model::Kind::String,
                digest: strongroom::model::Digest([0; 32]),
            },
            parent: (v > 1).then(|| id(n, v - 1)),
            origin: Origin::Local,
        };
        let create = Change::Create {
            attributes: Attributes::default(),
            version: Some((id(n, 1), meta(1))),
        };
        record.apply(&create, Author::Here).expect("a free name");
        let arn = format!(
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:{}-AbCdEf",
            name(n)
        );
        let seen = RemoteSecret {
            state: record.state.clone(),
            facts: RemoteFacts {
                arn: arn.clone(),
                changed: Some(NOW),
                ..RemoteFacts::default()
            },
        };
        let pair = Pair {
            arn,
            changed: Some(NOW),
            local: record.state.face(),
            remote: seen.state.face(),
        };
        let of = RemoteBase {
            pair: Some(pair),
            ..RemoteBase::default()
        };
        record.base = SecretBase::from([(remote.clone(), of)]);
        if n % 100 == 0 {
            let add = Change::AddVersion {
                id: id(n, 2),
                meta: meta(2),
                labels: vec![StagingLabel::current()],
            };
            record.apply(&add, Author::Here).expect("a free id");
        }
        base.insert(name(n), record.base);
        local.secrets.0.insert(name(n), record.state);
        view.secrets.insert(name(n), Sight::Seen(seen));
    }
    view.listed = MANY;
    let views = BTreeMap::from([(remote, view)]);
    let policy = Policy::default();
    assert_eq!(plan(&base, &local, &views, &policy).secrets.len(), 100);
    c.bench_function("plan: 10k secrets, 100 changes", |b| {
        b.iter_batched(
            || (),
            |()| black_box(plan(&base, &local, &views, &policy)),
            BatchSize::SmallInput,
        );
    });
}

/// A bundle of ten thousand secrets, from the vault to the file and into another clone.
fn bundles(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let (vault, member) = common::vault(dir.path(), MANY);
    let to = [member.recipient().into()];
    let staging = dir.path().join("staging");
    let mut memory = Memory::load(&vault, SENDER).expect("reads");
    let mut number = 0;
    let mut make = |vault: &Vault| {
        number += 1;
        let file = dir.path().join(format!("{number}.bundle"));
        let order = Order {
            lock: Lock::To(&to),
            bundle: SENDER.to_owned(),
            name: "bench".to_owned(),
            now: NOW,
            prefixes: Vec::new(),
            have: None,
        };
        exchange::create(vault, &mut memory, order, &file, &Silent).expect("written");
        file
    };
    let mut group = c.benchmark_group("bundle of 10k");
    group.sample_size(10);
    group.bench_function("create: verify, write, sync, read back", |b| {
        b.iter(|| std::fs::remove_file(make(&vault)).expect("there"));
    });
    let file = make(&vault);
    let key = Key::Identity(&member);
    group.bench_function("floor: open the outer layer alone", |b| {
        b.iter(|| {
            let input = std::fs::File::open(&file).expect("there");
            let mut plain = open_stream(input, &member).expect("opens");
            std::io::copy(&mut plain, &mut std::io::sink()).expect("reads")
        });
    });
    group.bench_function("inspect: read, prove, open every value", |b| {
        b.iter(|| {
            let bundle = exchange::open(&vault, &file, &key, &member, &staging).expect("sound");
            let other = Memory::load(&vault, OTHER).expect("reads");
            black_box(
                exchange::weigh(&vault, &bundle, &other)
                    .expect("sound")
                    .same,
            )
        });
    });
    let unproved = read(&file, &key, &staging).expect("reads");
    let rests = exchange::rests(&unproved).expect("for members");
    let mut clone = 0;
    group.bench_function("apply: to an empty clone, with git and every fsync", |b| {
        b.iter_batched(
            || {
                clone += 1;
                let (root, state) = (
                    dir.path().join(format!("c{clone}")),
                    dir.path().join(format!("s{clone}")),
                );
                let mut vault = Vault::plant(&root, &state, &rests).expect("planted");
                vault.unlock(&member).expect("unlocks");
                let bundle = exchange::open(&vault, &file, &key, &member, &staging).expect("sound");
                (vault, bundle)
            },
            |(vault, bundle)| {
                let mut memory = Memory::load(&vault, OTHER).expect("reads");
                exchange::apply(&vault, &mut memory, &bundle, NOW, true).expect("applied")
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, vault, hidden, plans, bundles);
criterion_main!(benches);

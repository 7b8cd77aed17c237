//! Vaults and accounts to measure with. Nothing here is random: two runs measure the
//! same work.

use std::path::Path;

use strongroom::crypto::Identity;
use strongroom::model::{
    Attributes, Author, Change, Content, Origin, Record, SecretName, SecretValue, StagingLabel,
    Timestamp, VersionId, VersionMeta,
};
use strongroom::vault::{Committed, Durability, InitOptions, Transaction, Vault, VaultError};

/// The moment every measurement takes place.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

/// A name as in a real account: 50 teams, a service each.
pub(crate) fn name(n: usize) -> SecretName {
    format!("team-{}/service/secret-{n}", n % 50)
        .parse()
        .expect("a valid name")
}

/// The id of version `v` of secret `n`.
pub(crate) fn id(n: usize, v: usize) -> VersionId {
    format!("{n:08x}-{v:04x}-4000-8000-000000000000")
        .parse()
        .expect("36 characters")
}

/// A value of 200 bytes.
pub(crate) fn value(n: usize) -> SecretValue {
    SecretValue::string(format!("{n:0>200}").into_bytes()).expect("short text")
}

/// A vault in `dir` with `count` secrets of one version, and the identity that opens it.
pub(crate) fn vault(dir: &Path, count: usize) -> (Vault, Identity) {
    vault_by(dir, count, Vault::init)
}

/// How a vault is made.
pub(crate) type Init = fn(&Path, &Path, InitOptions<'_>) -> Result<(Vault, Committed), VaultError>;

/// The same, made so.
pub(crate) fn vault_by(dir: &Path, count: usize, init: Init) -> (Vault, Identity) {
    let member = Identity::generate();
    let options = InitOptions {
        vault_id: "3f2a8c1e-5b7d-4e2f-9a60-1c2d3e4f5a6b",
        keyring: Identity::generate(),
        member_name: "bench",
        member: &member.recipient(),
        now: NOW,
        git: true,
    };
    let (vault, _) = init(&dir.join("vault"), &dir.join("state"), options).expect("a new vault");
    if count > 0 {
        let mut tx = vault.begin("bench", NOW).expect("the lock");
        for n in 0..count {
            let mut record = Record::new(name(n));
            let create = Change::Create {
                attributes: Attributes::default(),
                version: None,
            };
            record.apply(&create, Author::Here).expect("a free name");
            put(&mut tx, record, n, 1);
        }
        tx.commit("bench", Durability::Bulk).expect("written");
    }
    (vault, member)
}

/// Seals a [`value`] as version `v` of secret `n`, AWSCURRENT from then on.
pub(crate) fn put(tx: &mut Transaction<'_>, mut record: Record, n: usize, v: usize) {
    let (value, id) = (value(n + v), id(n, v));
    let digest = tx
        .add_value(&record.name, &id, &value, Some(NOW))
        .expect("sealed");
    let add = Change::AddVersion {
        id,
        meta: VersionMeta {
            created: Some(NOW),
            content: Content::Value {
                kind: value.kind(),
                digest,
            },
            parent: record.state.current().cloned(),
            origin: Origin::Local,
        },
        labels: vec![StagingLabel::current()],
    };
    record.apply(&add, Author::Here).expect("a free id");
    tx.put(record);
}

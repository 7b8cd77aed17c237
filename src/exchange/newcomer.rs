//! Handing secrets to somebody who is no member. The values are encrypted anew to a key
//! that is made for the one bundle, and the newcomer's vault gets another key again. The
//! vault's own key never leaves it: whoever has that reads everything, forges metadata,
//! and cannot be made to forget it.

use std::collections::BTreeMap;
use std::path::Path;

use super::create::{Made, Order, choose, state_of};
use super::error::ExchangeError;
use super::memory::Memory;
use crate::bundle::{Bundle, Counts, Header, Holder, Span, Stage, Target, Unproved, Writer};
use crate::crypto::{Binding, Domain, HasMemberKey, Identity, KeyringKeys, open_value, seal_value};
use crate::model::{
    Conflict, Content, Digest, Origin, Record, SecretBase, SecretName, Timestamp, VersionId,
};
use crate::vault::{Committed, Durability, InitOptions, Vault, layout, meta};

/// Makes a bundle for somebody without the vault's key, who makes a new vault of it.
/// `as_vault` is a new UUID: the bundle is of no vault that there is. `staging` is for
/// the values while their lengths are not known; they lie there encrypted.
pub fn hand_over(
    vault: &Vault,
    memory: &mut Memory,
    order: Order<'_>,
    as_vault: &str,
    staging: &Path,
    target: &Path,
) -> Result<Made, ExchangeError> {
    let chosen = choose(vault, &order.prefixes)?;
    let identity = Identity::generate();
    let key = identity.to_file(order.now);
    let keys = KeyringKeys::new(identity, as_vault);
    let to = keys.recipient();
    let mut stage = Stage::create(staging)?;
    let mut counts = Counts::default();
    counts.add(key.len());
    let mut left = Vec::new();
    let mut texts = Vec::with_capacity(chosen.len());
    let mut values: Vec<Vec<(VersionId, Span)>> = Vec::with_capacity(chosen.len());
    for record in &chosen {
        let mut own = Record {
            base: SecretBase::new(),
            ..record.clone()
        };
        // What two clones disagree on is between versions that go over; the rest is between
        // the vault and a remote.
        own.conflicts.retain(Conflict::is_between_clones);
        if own.conflicts.len() < record.conflicts.len() {
            left.push(record.name.clone());
        }
        let mut spans = Vec::new();
        for (id, meta) in &mut own.state.versions {
            meta.origin = Origin::Local;
            let Content::Value { kind, .. } = meta.content else {
                continue;
            };
            let value = vault.read(record, id)?;
            let digest = keys.digest(&value)?;
            meta.content = Content::Value { kind, digest };
            let binding = Binding {
                vault: as_vault,
                name: &record.name,
                version: id,
            };
            let file = seal_value(&value, &binding, meta.created, &to)?;
            counts.add_value(id, file.as_bytes().len());
            spans.push((id.clone(), stage.add(file.as_bytes())?));
        }
        let text = keys.seal_text(Domain::Secret, meta::emit(&own)?)?;
        counts.add_metadata(text.len());
        texts.push(text.into_bytes());
        values.push(spans);
    }
    let all: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let file = Target::create(target)?;
    let sequence = memory.take_number(vault, order.now)?;
    let header = Header {
        vault: as_vault.to_owned(),
        bundle: order.bundle,
        sender: memory.me.clone(),
        name: order.name,
        sequence,
        created: order.now,
        holder: Holder::Bundle,
        keyring: keys.commitment(),
        prefixes: order.prefixes,
        base: None,
        head: state_of(&all),
        seen: Vec::new(),
        counts,
    };
    let mut writer = Writer::begin(&order.lock, &header, file, target)?;
    writer.key(&key)?;
    for (text, spans) in texts.iter().zip(&values) {
        writer.metadata(text)?;
        for (id, span) in spans {
            writer.value(id, &stage.get(*span)?)?;
        }
    }
    let (file, fingerprint) = writer.finish(&keys)?;
    file.settle()?;
    Ok(Made {
        header,
        fingerprint,
        left,
    })
}

/// A bundle for a newcomer, read whole and every value of it opened, before there is a
/// vault.
pub struct Settler {
    bundle: Bundle,
    keys: KeyringKeys,
    records: Vec<Record>,
}

impl Settler {
    /// Verifies a bundle as far as it can be without knowing its sender: a person compares
    /// [`Bundle::fingerprint`] with what the sender reads out.
    pub fn new(unproved: Unproved) -> Result<Self, ExchangeError> {
        if unproved.header().holder != Holder::Bundle {
            return Err(ExchangeError::ForMembers);
        }
        let keys = unproved.own_keys()?;
        let bundle = unproved.prove(&keys)?;
        let mut records = Vec::with_capacity(bundle.len());
        let mut names = std::collections::BTreeSet::new();
        for n in 0..bundle.len() {
            let text = bundle.metadata(n)?;
            let found = name_of(&text);
            let path = found.as_ref().map(layout::metadata_path);
            let record = meta::read(&text, &path.unwrap_or_default(), Some(&keys))
                .map_err(|source| ExchangeError::Metadata { at: n + 1, source })?;
            if !names.insert(record.name.clone()) {
                return Err(ExchangeError::DuplicateSecret { name: record.name });
            }
            records.push(record);
        }
        let this = Self {
            bundle,
            keys,
            records,
        };
        for n in 0..this.records.len() {
            this.each_value(n, &mut |_, _| Ok(()))?;
        }
        Ok(this)
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The secrets in it.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Opens every value of secret number `n`, which must be complete.
    fn each_value(
        &self,
        n: usize,
        visit: &mut dyn FnMut(&VersionId, crate::crypto::Opened) -> Result<(), ExchangeError>,
    ) -> Result<(), ExchangeError> {
        let Some(record) = self.records.get(n) else {
            return Ok(());
        };
        let carried: BTreeMap<&VersionId, Span> = self
            .bundle
            .values(n)
            .iter()
            .map(|(id, span)| (id, *span))
            .collect();
        let place = |id: &VersionId| (record.name.clone(), id.clone());
        for id in carried.keys() {
            let listed = record.state.versions.get(*id);
            if !listed.is_some_and(|meta| meta.has_value()) {
                let (name, version) = place(id);
                return Err(ExchangeError::StrayValue { name, version });
            }
        }
        for (id, meta) in &record.state.versions {
            let Content::Value { kind, digest } = meta.content else {
                continue;
            };
            let (name, version) = place(id);
            let Some(span) = carried.get(id) else {
                return Err(ExchangeError::Lacking { name, version });
            };
            let binding = Binding {
                vault: &self.bundle.header().vault,
                name: &record.name,
                version: id,
            };
            let opened = open_value(&self.bundle.value(*span)?, &binding, &self.keys);
            let opened = opened.map_err(|source| ExchangeError::Value {
                name: name.clone(),
                version: version.clone(),
                source,
            })?;
            if opened.value.kind() != kind || self.keys.digest(&opened.value)? != digest {
                return Err(ExchangeError::OtherValue { name, version });
            }
            visit(id, opened)?;
        }
        Ok(())
    }
}

/// The name that a metadata text says it is of, before its mac is verified.
fn name_of(text: &[u8]) -> Option<SecretName> {
    let text = std::str::from_utf8(text).ok()?;
    let (body, _) = crate::crypto::Mac::split_text(text).ok()?;
    Some(meta::parse(body).ok()?.name)
}

/// Makes a new vault in an empty or new directory out of a bundle, under a key that its
/// sender does not know.
pub fn settle(
    settler: &Settler,
    dir: &Path,
    state_home: &Path,
    vault_id: &str,
    member: (&str, &dyn HasMemberKey),
    now: Timestamp,
) -> Result<(Vault, Committed), ExchangeError> {
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !dir.exists(),
    };
    if !is_empty {
        return Err(ExchangeError::NotEmpty(dir.to_owned()));
    }
    let options = InitOptions {
        vault_id,
        keyring: Identity::generate(),
        member_name: member.0,
        member: member.1,
        now,
        git: true,
    };
    let (vault, _) = Vault::init(dir, state_home, options)?;
    let filled = fill(&vault, settler, now);
    match filled {
        Ok(git) => Ok((vault, git)),
        Err(error) => {
            // It was empty or not there; what is in it is ours.
            drop(std::fs::remove_dir_all(vault.root()));
            Err(error)
        }
    }
}

fn fill(vault: &Vault, settler: &Settler, now: Timestamp) -> Result<Committed, ExchangeError> {
    let mut tx = vault.begin("bundle apply", now)?;
    for (n, record) in settler.records.iter().enumerate() {
        let mut own = record.clone();
        let mut digests: BTreeMap<VersionId, Digest> = BTreeMap::new();
        settler.each_value(n, &mut |id, opened| {
            let digest = tx.add_value(&record.name, id, &opened.value, opened.created)?;
            digests.insert(id.clone(), digest);
            Ok(())
        })?;
        for (id, meta) in &mut own.state.versions {
            if let (Content::Value { kind, .. }, Some(digest)) = (meta.content, digests.get(id)) {
                meta.content = Content::Value {
                    kind,
                    digest: *digest,
                };
            }
        }
        tx.put(own);
    }
    let message = format!("bundle: a new vault of {} secrets", settler.records.len());
    Ok(tx.commit(&message, Durability::Bulk)?.git)
}

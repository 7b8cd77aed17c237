use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::ExchangeError;
use super::memory::Memory;
use crate::bundle::{Counts, Foundation, Have, Header, Holder, Lock, Mark, Target, Writer};
use crate::model::{Content, Escaped, Record, SecretName, Timestamp, VersionId};
use crate::store::Progress;
use crate::vault::{HeldValue, Vault, VaultError};

/// What a bundle is made from beside the vault.
pub struct Order<'a> {
    /// What it is encrypted for.
    pub lock: Lock<'a>,
    /// Its id, a new UUID.
    pub bundle: String,
    /// What the sender is called.
    pub name: String,
    /// Now.
    pub now: Timestamp,
    /// The beginnings of names it is about; none for all secrets.
    pub prefixes: Vec<String>,
    /// What the receiver holds already.
    pub have: Option<&'a Have>,
}

/// A bundle that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it says of itself.
    pub header: Header,
    /// The hash of its content, for two people to compare.
    pub fingerprint: String,
    /// The secrets of which something that waits for a person is not carried: it is
    /// between the vault and a remote, and the receiver has neither.
    pub left: Vec<SecretName>,
}

/// Makes a bundle of a vault for its members, at `target`. What it carries is remembered
/// as the base of what comes back.
pub fn create(
    vault: &Vault,
    memory: &mut Memory,
    order: Order<'_>,
    target: &Path,
    progress: &dyn Progress,
) -> Result<Made, ExchangeError> {
    let keys = vault.keys().ok_or(VaultError::Locked)?;
    let id = vault.config().vault_id.clone();
    if let Some(have) = order.have {
        check_have(vault, have)?;
    }
    // Before the records are read: what is applied meanwhile is not in them.
    let seen = memory.seen();
    let chosen = choose(vault, &order.prefixes)?;
    let texts = vault.texts(&chosen.iter().collect::<Vec<_>>())?;
    let all: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let foundation = foundation(vault)?;
    let mut counts = Counts::default();
    counts.add_foundation(&foundation);
    // What the receiver lacks, and where it lies.
    let mut sending = Vec::new();
    for (record, text) in chosen.iter().zip(&texts) {
        let wanted = wanted(record, text, order.have);
        if let Some(versions) = wanted {
            counts.add_metadata(text.len());
            sending.push((record, text, versions));
        }
    }
    let total: usize = sending.iter().map(|(_, _, versions)| versions.len()).sum();
    progress.begin("verifying", Some(total));
    let found = find(vault, &sending, progress)?;
    for held in &found {
        for (version, held) in held {
            counts.add_value(version, held.length);
        }
    }
    progress.finish();
    // Where there is a file already no number is taken.
    let file = Target::create(target)?;
    let sequence = memory.take_number(vault, order.now)?;
    let header = Header {
        vault: id,
        bundle: order.bundle,
        sender: memory.me.clone(),
        name: order.name,
        sequence,
        created: order.now,
        holder: Holder::Vault,
        keyring: keys.commitment(),
        prefixes: order.prefixes,
        base: order.have.map(|have| have.state),
        head: state_of(&all),
        seen,
        counts,
    };
    progress.begin("writing", Some(sending.len()));
    let mut writer = Writer::begin(&order.lock, &header, file, target)?;
    writer.foundation(&foundation)?;
    for ((_, text, _), held) in sending.iter().zip(&found) {
        writer.metadata(text)?;
        for (version, held) in held {
            writer.value(version, &vault.fetch_value(held)?)?;
        }
        progress.advance(1);
    }
    let (file, fingerprint) = writer.finish(keys)?;
    progress.finish();
    // Before the file has its name: what may come back needs it.
    Memory::keep_sent(vault, sequence, &all)?;
    file.settle()?;
    Ok(Made {
        header,
        fingerprint,
        left: Vec::new(),
    })
}

/// What this clone holds, for somebody who sends it a bundle.
pub fn have(
    vault: &Vault,
    memory: &Memory,
    name: String,
    now: Timestamp,
) -> Result<Have, ExchangeError> {
    let keys = vault.keys().ok_or(VaultError::Locked)?;
    let chosen = choose(vault, &[])?;
    let texts = vault.texts(&chosen.iter().collect::<Vec<_>>())?;
    let all: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let missing: BTreeSet<(SecretName, VersionId)> = vault.files()?.missing.into_iter().collect();
    let mut values = BTreeSet::new();
    for record in &chosen {
        for (id, meta) in &record.state.versions {
            if let Content::Value { digest, .. } = &meta.content
                && !missing.contains(&(record.name.clone(), id.clone()))
            {
                values.insert(Mark::of_value(&record.name, id, digest));
            }
        }
    }
    Ok(Have {
        vault: vault.config().vault_id.clone(),
        clone: memory.me.clone(),
        name,
        created: now,
        keyring: keys.commitment(),
        state: state_of(&all),
        seen: memory.seen(),
        metadata: all.iter().map(|text| Mark::of_metadata(text)).collect(),
        values,
    })
}

fn check_have(vault: &Vault, have: &Have) -> Result<(), ExchangeError> {
    let here = &vault.config().vault_id;
    if have.vault != *here {
        return Err(ExchangeError::OtherVault {
            what: "have file",
            found: have.vault.clone(),
            here: here.clone(),
        });
    }
    Ok(())
}

/// The secrets whose names begin so, sorted; every one must be sound.
pub(super) fn choose(vault: &Vault, prefixes: &[String]) -> Result<Vec<Record>, ExchangeError> {
    let loaded = vault.load()?;
    let is_in = |name: &str| {
        prefixes.is_empty()
            || prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
    };
    // What is blocked under a path may be any secret.
    let is_asked = |title: &str| title.parse::<SecretName>().is_err() || is_in(title);
    if let Some((title, reason)) = loaded.blocked.iter().find(|(title, _)| is_asked(title)) {
        return Err(ExchangeError::Blocked {
            title: Escaped(title).to_string(),
            reason: Escaped(reason).to_string(),
        });
    }
    let records: BTreeMap<SecretName, Record> = loaded.records;
    let chosen: Vec<Record> = records
        .into_values()
        .filter(|record| is_in(record.name.as_str()))
        .collect();
    if chosen.is_empty() && !prefixes.is_empty() {
        return Err(ExchangeError::Nothing);
    }
    Ok(chosen)
}

/// The versions whose values the receiver lacks; `None` if it lacks nothing of it.
fn wanted<'a>(record: &'a Record, text: &[u8], have: Option<&Have>) -> Option<Vec<&'a VersionId>> {
    let lacks = |id: &VersionId, digest| {
        let mark = Mark::of_value(&record.name, id, digest);
        have.is_none_or(|have| !have.values.contains(&mark))
    };
    let versions = record.state.versions.iter();
    let versions: Vec<&VersionId> = versions
        .filter(|(id, meta)| match &meta.content {
            Content::Value { digest, .. } => lacks(id, digest),
            Content::Placeholder | Content::Unread => false,
        })
        .map(|(id, _)| id)
        .collect();
    let is_known = have.is_some_and(|have| have.metadata.contains(&Mark::of_metadata(text)));
    (!is_known || !versions.is_empty()).then_some(versions)
}

type Sending<'a> = (&'a Record, &'a Vec<u8>, Vec<&'a VersionId>);
type Found<'a> = Vec<(&'a VersionId, HeldValue)>;

/// Verifies every value that is to be sent, on two threads: what cannot be opened here
/// could not be opened beyond the gap either.
fn find<'a>(
    vault: &Vault,
    sending: &[Sending<'a>],
    progress: &dyn Progress,
) -> Result<Vec<Found<'a>>, VaultError> {
    let part = |sending: &[Sending<'a>]| -> Result<Vec<Found<'a>>, VaultError> {
        let mut all = Vec::with_capacity(sending.len());
        for (record, _, versions) in sending {
            let mut found = Vec::with_capacity(versions.len());
            for id in versions {
                found.push((*id, vault.find_value(record, id)?));
                progress.advance(1);
            }
            all.push(found);
        }
        Ok(all)
    };
    let (first, second) = sending.split_at(sending.len() / 2);
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| part(first));
        let second = part(second);
        // A panic there would be one here.
        let first = other
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (first, second)
    });
    let mut all = first?;
    all.extend(second?);
    Ok(all)
}

fn foundation(vault: &Vault) -> Result<Foundation, VaultError> {
    let rests = vault.rests()?;
    Ok(Foundation {
        settings: rests.settings,
        members: rests.members,
        keyring: rests.keyring,
        past: rests.past,
        ledgers: rests.ledgers,
    })
}

/// A state: the SHA-256 over the SHA-256 of each metadata file, in the order of names.
pub(super) fn state_of(texts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(Sha256::digest(text));
    }
    hash.finalize().into()
}

//! What a clone remembers of its exchanges: its own id among senders, the last bundle of
//! each other one, and the records that went over. It is local state and never in git.
//!
//! A record that went over is the base of the next merge. What was noted under the keys
//! of a former epoch is read under those; what does not verify at all is forgotten, and
//! the merge then has no base.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::bundle::{Header, Seen};
use crate::model::{Record, SecretName, Timestamp};
use crate::vault::{Vault, VaultError};

const FILE: &str = "memory.toml";
const MAX: usize = 1 << 20;
/// The largest set of records that is read, in bytes.
const MAX_RECORDS: usize = 1 << 30;
/// How many of its own bundles a clone remembers the content of.
const KEPT: u64 = 8;

/// What a clone remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The clone's id as a sender.
    pub me: String,
    /// The number of its last bundle; 0 before the first.
    pub sequence: u64,
    /// The other senders, by id.
    pub peers: BTreeMap<String, Peer>,
}

/// The last bundle of a sender that was applied here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What the sender is called.
    pub name: String,
    /// The bundle's number.
    pub sequence: u64,
    /// The bundle's id.
    pub bundle: String,
    /// The number of this clone's own last bundle at that time.
    pub own: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u32,
    me: String,
    sequence: u64,
    #[serde(default)]
    peer: BTreeMap<String, Peer>,
}

impl Memory {
    /// Reads it. A clone that has none yet is `fresh_id` among senders.
    pub fn load(vault: &Vault, fresh_id: &str) -> Result<Self, VaultError> {
        let Some(bytes) = vault.exchanged(FILE, MAX)? else {
            return Ok(Self {
                me: fresh_id.to_owned(),
                sequence: 0,
                peers: BTreeMap::new(),
            });
        };
        let text = std::str::from_utf8(&bytes).ok();
        let raw: Option<Raw> = text.and_then(|text| toml::from_str(text).ok());
        match raw.filter(|raw| raw.format == 1) {
            Some(raw) => Ok(Self {
                me: raw.me,
                sequence: raw.sequence,
                peers: raw.peer,
            }),
            None => Err(vault.damaged_exchange(FILE)),
        }
    }

    /// Writes it.
    pub fn save(&self, vault: &Vault) -> Result<(), VaultError> {
        use crate::config::line;
        let mut out = String::from("format = 1\n");
        line("me", &self.me, &mut out);
        out.push_str(&format!("sequence = {}\n", self.sequence));
        for (id, peer) in &self.peers {
            out.push_str(&format!("\n[peer.{id}]\n"));
            line("name", &peer.name, &mut out);
            out.push_str(&format!("sequence = {}\n", peer.sequence));
            line("bundle", &peer.bundle, &mut out);
            out.push_str(&format!("own = {}\n", peer.own));
        }
        vault.keep_exchanged(FILE, out.as_bytes())
    }

    /// Takes the next number for a bundle of this clone's own, under the vault's lock: no
    /// number is used twice, even if what follows fails.
    pub(super) fn take_number(&mut self, vault: &Vault, now: Timestamp) -> Result<u64, VaultError> {
        let tx = vault.begin("bundle create", now)?;
        self.reload(vault)?;
        self.sequence += 1;
        self.save(vault)?;
        drop(tx);
        Ok(self.sequence)
    }

    /// Reads it again: another process may have written it before this one had the lock.
    pub(super) fn reload(&mut self, vault: &Vault) -> Result<(), VaultError> {
        *self = Self::load(vault, &self.me)?;
        Ok(())
    }

    /// The bundles that were applied here, for others to know.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.peers.iter().map(|(id, peer)| Seen {
            sender: id.clone(),
            sequence: peer.sequence,
            bundle: peer.bundle.clone(),
        });
        seen.collect()
    }

    /// Remembers what this clone sends with its bundle of that number, and forgets what
    /// is long past.
    pub(super) fn keep_sent(
        vault: &Vault,
        sequence: u64,
        texts: &[&[u8]],
    ) -> Result<(), VaultError> {
        vault.keep_exchanged(&sent(sequence), &pack(texts))?;
        match sequence.checked_sub(KEPT) {
            Some(old) => vault.forget_exchanged(&sent(old)),
            None => Ok(()),
        }
    }

    /// Remembers what a sender has, beside what was known of it before.
    pub(super) fn keep_peer(
        vault: &Vault,
        sender: &str,
        news: &BTreeMap<SecretName, Vec<u8>>,
    ) -> Result<(), VaultError> {
        let mut all = texts(vault, &received(sender))?;
        all.extend(news.clone());
        let texts: Vec<&[u8]> = all.values().map(Vec::as_slice).collect();
        vault.keep_exchanged(&received(sender), &pack(&texts))
    }

    /// The last common state with the sender of a bundle, secret by secret.
    ///
    /// There are two: what it last sent here, and what was sent from here if it says that
    /// it has applied it. Each is an ancestor of both sides. The later one counts: a base
    /// that is too old finds conflicts that are none.
    pub(super) fn base(
        &self,
        vault: &Vault,
        header: &Header,
    ) -> Result<BTreeMap<SecretName, Record>, VaultError> {
        let peer = self.peers.get(&header.sender);
        let theirs = match peer {
            Some(_) => records(vault, &received(&header.sender))?,
            None => BTreeMap::new(),
        };
        let seen = header.seen.iter().find(|seen| seen.sender == self.me);
        let Some(seen) = seen.filter(|seen| seen.sequence <= self.sequence) else {
            return Ok(theirs);
        };
        let ours = records(vault, &sent(seen.sequence))?;
        let is_later = peer.is_none_or(|peer| seen.sequence > peer.own);
        let (mut base, later) = match is_later {
            true => (theirs, ours),
            false => (ours, theirs),
        };
        base.extend(later);
        Ok(base)
    }
}

fn sent(sequence: u64) -> String {
    format!("sent-{sequence}")
}

fn received(sender: &str) -> String {
    format!("received-{sender}")
}

/// Texts one after the other, each after its length in 4 bytes.
fn pack(texts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(texts.iter().map(|text| text.len() + 4).sum());
    for text in texts {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(text);
    }
    out
}

fn unpack(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        texts.push(text.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(texts)
}

fn read(vault: &Vault, file: &str) -> Result<Vec<(Record, Vec<u8>)>, VaultError> {
    let Some(bytes) = vault.exchanged(file, MAX_RECORDS)? else {
        return Ok(Vec::new());
    };
    let texts = unpack(&bytes).ok_or_else(|| vault.damaged_exchange(file))?;
    let records = vault.read_texts(&texts)?;
    let (mut believed, mut older) = (Vec::new(), Vec::new());
    for (record, text) in records.into_iter().zip(texts) {
        match record {
            Ok(record) => believed.push((record, text)),
            Err(_) => older.push(text),
        }
    }
    // From before the keyring had new keys.
    for (record, text) in vault.read_former_texts(&older)?.into_iter().zip(older) {
        believed.extend(record.map(|record| (record, text)));
    }
    Ok(believed)
}

fn texts(vault: &Vault, file: &str) -> Result<BTreeMap<SecretName, Vec<u8>>, VaultError> {
    let read = read(vault, file)?.into_iter();
    Ok(read.map(|(record, text)| (record.name, text)).collect())
}

fn records(vault: &Vault, file: &str) -> Result<BTreeMap<SecretName, Record>, VaultError> {
    let read = read(vault, file)?.into_iter();
    Ok(read
        .map(|(record, _)| (record.name.clone(), record))
        .collect())
}

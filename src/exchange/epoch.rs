//! Bundles across epochs: one that was made before this vault had new keys, and one that
//! brings it new keys. Either way its trailer, its macs and its digests are of other keys
//! than the vault's, and what it says is put into the vault's own terms first.

use std::collections::BTreeMap;

use super::Memory;
use super::error::ExchangeError;
use super::weigh::{check_standing, weigh};
use crate::bundle::{Bundle, Foundation, Span, Unproved};
use crate::crypto::Member;
use crate::crypto::{Binding, KeyringKeys, OpenError, Opened, open_value, seal_value};
use crate::model::{Content, Digest, Record, SecretName, Timestamp, VersionId};
use crate::vault::{EpochError, FormerEpoch, NewerEpoch, Rekeyed, Rests, Vault};

/// A bundle that was proved, and the keys that it is under.
pub struct Proved {
    pub(super) bundle: Bundle,
    pub(super) under: Under,
}

/// The keys that a bundle is under.
pub(super) enum Under {
    /// The vault's.
    Vault,
    /// Those of an epoch that has ended. Whoever was removed since has them too, and
    /// whoever a key leaked to: a person says that it is genuine.
    Former(FormerEpoch, Genuine),
    /// Those of one that this clone is not at yet.
    Newer(Box<NewerEpoch>),
}

/// Whether a person has said that a bundle is the one that its sender made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Genuine {
    Said,
    NobodyKnows,
}

/// The epoch that a bundle is of, where it is another than the vault's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherEpoch {
    /// One that has ended here.
    Former {
        /// Its number.
        epoch: u32,
        /// The number of the vault's.
        here: u32,
        /// Who was removed since, and has its keys.
        removed: Vec<String>,
        /// Whether a person has said that the bundle is genuine.
        is_accepted: bool,
    },
    /// One that this clone is not at yet.
    Newer {
        /// Its number.
        epoch: u32,
        /// Who was removed on the way there.
        removed: Vec<String>,
        /// Members of this clone's list alone, who are none in the new epoch.
        unknown: Vec<String>,
    },
}

impl Proved {
    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The epoch that it is of; none if it is the vault's.
    pub fn other_epoch(&self) -> Option<OtherEpoch> {
        match &self.under {
            Under::Vault => None,
            Under::Former(former, genuine) => Some(OtherEpoch::Former {
                epoch: former.epoch,
                here: former.present,
                removed: former.removed.clone(),
                is_accepted: *genuine == Genuine::Said,
            }),
            Under::Newer(newer) => Some(OtherEpoch::Newer {
                epoch: newer.epoch,
                removed: newer.removed.clone(),
                unknown: newer.unknown.clone(),
            }),
        }
    }

    /// Takes a bundle of a former epoch for genuine if it has the fingerprint that the
    /// sender has read out: a person says so, and nothing else may.
    pub fn accept(&mut self, said: &str) -> Result<(), ExchangeError> {
        let found = self.bundle.fingerprint();
        if said != found {
            return Err(ExchangeError::OtherFingerprint { found });
        }
        if let Under::Former(_, genuine) = &mut self.under {
            *genuine = Genuine::Said;
        }
        Ok(())
    }

    /// The keys that its metadata and values are under, if they are not the vault's.
    pub(super) fn foreign(&self) -> Option<&KeyringKeys> {
        match &self.under {
            Under::Vault => None,
            Under::Former(former, _) => Some(&former.keys),
            Under::Newer(newer) => Some(&newer.keys),
        }
    }

    /// A value's file as it is to lie in the vault.
    pub(super) fn file(
        &self,
        vault: &Vault,
        name: &SecretName,
        id: &VersionId,
        span: Span,
    ) -> Result<Vec<u8>, ExchangeError> {
        let file = self.bundle.value(span)?;
        let (Some(foreign), Some(keys)) = (self.foreign(), vault.keys()) else {
            return Ok(file);
        };
        let opened = open(vault, foreign, name, id, &file)?;
        let config = vault.config();
        let binding = Binding {
            vault: &config.vault_id,
            name,
            version: id,
        };
        let sealed = seal_value(&opened.value, &binding, opened.created, &keys.recipient())?;
        Ok(sealed.as_bytes().to_vec())
    }
}

/// What a bundle brings of the vault that it was made of.
pub(super) fn rests_of(foundation: &Foundation) -> Rests {
    Rests {
        settings: foundation.settings.clone(),
        members: foundation.members.clone(),
        keyring: foundation.keyring.clone(),
        past: foundation.past.clone(),
        ledgers: foundation.ledgers.clone(),
    }
}

/// The same of a bundle that nobody vouches for yet, to make a clone of it.
pub fn rests(unproved: &Unproved) -> Option<Rests> {
    unproved.foundation().map(rests_of)
}

/// Proves a bundle of this vault that is not under its present keys.
pub(super) fn prove_other(
    vault: &Vault,
    unproved: Unproved,
    member: &dyn Member,
) -> Result<Proved, ExchangeError> {
    let found = unproved.header().keyring;
    if let Some(former) = vault.former_epoch(&found)? {
        let bundle = unproved.prove(&former.keys)?;
        return Ok(Proved {
            bundle,
            under: Under::Former(former, Genuine::NobodyKnows),
        });
    }
    let rests = unproved.foundation().map(rests_of).unwrap_or_default();
    let newer = vault.newer_epoch(&rests, member)?;
    if newer.keys.commitment() != found {
        return Err(EpochError::List.into());
    }
    let bundle = unproved.prove(&newer.keys)?;
    Ok(Proved {
        bundle,
        under: Under::Newer(Box::new(newer)),
    })
}

/// Takes the vault to the epoch that a bundle brings, if it brings one. All of the
/// bundle is verified before anything is changed; the vault's own secrets, members' list
/// and ledgers are under the new keys afterwards, and the bundle is one of the vault's.
pub fn adopt(
    vault: &mut Vault,
    memory: &Memory,
    proved: &mut Proved,
    member: &dyn Member,
    now: Timestamp,
    with_git: bool,
) -> Result<Option<Rekeyed>, ExchangeError> {
    let Under::Newer(newer) = &proved.under else {
        return Ok(None);
    };
    check_standing(memory, proved.bundle.header())?;
    weigh(vault, proved, memory)?;
    let done = vault.adopt_epoch(newer, member, now, with_git)?;
    proved.under = Under::Vault;
    Ok(Some(done))
}

fn open(
    vault: &Vault,
    keys: &KeyringKeys,
    name: &SecretName,
    id: &VersionId,
    file: &[u8],
) -> Result<Opened, ExchangeError> {
    let config = vault.config();
    let binding = Binding {
        vault: &config.vault_id,
        name,
        version: id,
    };
    open_value(file, &binding, keys).map_err(|source| match source {
        OpenError::Keys(error) => error.into(),
        source => ExchangeError::Value {
            name: name.clone(),
            version: id.clone(),
            source,
        },
    })
}

/// Verifies every value of a bundle that is under other keys, and puts the digests of its
/// records into the vault's terms. A version that it takes for known keeps its digest
/// unless the very value is here.
pub(super) fn translate(
    vault: &Vault,
    proved: &Proved,
    foreign: &KeyringKeys,
    records: &mut [Record],
) -> Result<(), ExchangeError> {
    let Some(keys) = vault.keys() else {
        return Ok(());
    };
    for (n, record) in records.iter_mut().enumerate() {
        let name = record.name.clone();
        let mut anew: BTreeMap<VersionId, Digest> = BTreeMap::new();
        for (id, span) in proved.bundle.values(n) {
            let (name, version) = (name.clone(), id.clone());
            let content = record.state.versions.get(id).map(|meta| meta.content);
            let Some(Content::Value { kind, digest }) = content else {
                return Err(ExchangeError::StrayValue { name, version });
            };
            let opened = open(vault, foreign, &name, id, &proved.bundle.value(*span)?)?;
            if opened.value.kind() != kind || foreign.digest(&opened.value)? != digest {
                return Err(ExchangeError::OtherValue { name, version });
            }
            anew.insert(version, keys.digest(&opened.value)?);
        }
        let here = vault.record(&name)?;
        for (id, meta) in &mut record.state.versions {
            let Content::Value { kind, digest } = meta.content else {
                continue;
            };
            let ours = here.as_ref().and_then(|here| here.state.versions.get(id));
            let digest = match (anew.get(id), ours.map(|ours| ours.content)) {
                (Some(anew), _) => *anew,
                (None, Some(Content::Value { digest: ours, .. })) => {
                    let Some(here) = &here else { continue };
                    let value = vault.read(here, id)?;
                    match value.kind() == kind && foreign.digest(&value)? == digest {
                        true => ours,
                        false => digest,
                    }
                }
                (None, _) => digest,
            };
            meta.content = Content::Value { kind, digest };
        }
    }
    Ok(())
}

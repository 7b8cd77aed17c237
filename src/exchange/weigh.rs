use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::epoch::{self, Proved, Under};
use super::error::ExchangeError;
use super::memory::Memory;
use crate::bundle::{self, Bundle, Header, Holder, Key, Span, Unproved};
use crate::crypto::{Member, OpenError};
use crate::model::{Content, Record, SecretName, VersionId};
use crate::plan::{UniteError, unite};
use crate::vault::{MetaError, Vault, VaultError};

/// How many metadata texts are read and verified at once.
const AT_ONCE: usize = 256;

/// Where a bundle stands in what was applied of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first of its sender, or newer than the last.
    New,
    /// The very one that was applied last.
    Again,
}

/// What a bundle means for one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The secret.
    pub name: SecretName,
    /// As it is here; none if the name is new.
    pub before: Option<Record>,
    /// As it is to become.
    pub after: Record,
}

/// What of the vault's foundation the sender has otherwise than this clone. It is shown
/// and never applied: members and settings change by git, where a person looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differs {
    /// `strongroom.toml`.
    pub settings: bool,
    /// The member list.
    pub members: bool,
}

/// What a bundle means for a vault.
pub struct Weighed {
    /// Every secret that changes, by name.
    pub outcomes: Vec<Outcome>,
    /// How many secrets of the bundle change nothing here.
    pub same: usize,
    /// Every secret with a version that has one content here and another in the bundle:
    /// nobody can say which is the version, so it is left as it is, and named.
    pub clashing: Vec<(SecretName, VersionId)>,
    /// What lies under the secrets and differs.
    pub differs: Differs,
    /// The values that are not here yet.
    pub(super) values: Vec<(SecretName, VersionId, Span)>,
    /// What the sender has, to remember.
    pub(super) news: BTreeMap<SecretName, Vec<u8>>,
}

impl Weighed {
    /// How many versions' values are new here.
    pub fn new_values(&self) -> usize {
        self.values.len()
    }
}

/// Reads a bundle for this vault and proves its trailer, under the vault's keys or under
/// those of another epoch that they vouch for. Nothing of the vault is touched. `member`
/// opens a keyring that the bundle brings.
pub fn open(
    vault: &Vault,
    path: &Path,
    key: &Key<'_>,
    member: &dyn Member,
    staging: &Path,
) -> Result<Proved, ExchangeError> {
    prove(vault, bundle::read(path, key, staging)?, Some(member))
}

/// Proves the trailer of a bundle that was read. Without a member's key only one under
/// the vault's present keys is proved.
pub fn prove(
    vault: &Vault,
    unproved: Unproved,
    member: Option<&dyn Member>,
) -> Result<Proved, ExchangeError> {
    let keys = vault.keys().ok_or(VaultError::Locked)?;
    let header = unproved.header();
    if header.holder == Holder::Bundle {
        return Err(ExchangeError::ForNewcomer);
    }
    let here = &vault.config().vault_id;
    if header.vault != *here {
        return Err(ExchangeError::OtherVault {
            what: "bundle",
            found: header.vault.clone(),
            here: here.clone(),
        });
    }
    if header.keyring != keys.commitment() {
        let Some(member) = member else {
            return Err(ExchangeError::OtherKeyring {
                what: "bundle",
                found: header.keyring.fingerprint(),
                here: keys.commitment().fingerprint(),
            });
        };
        return epoch::prove_other(vault, unproved, member);
    }
    Ok(Proved {
        bundle: unproved.prove(keys)?,
        under: Under::Vault,
    })
}

/// The same for whoever only goes on or not.
pub(super) fn check_standing(memory: &Memory, header: &Header) -> Result<(), ExchangeError> {
    standing(memory, header).map(drop)
}

/// Whether a bundle may be applied here, as far as its number tells. An old one is
/// refused: it could only take back what its sender has changed since.
pub fn standing(memory: &Memory, header: &Header) -> Result<Standing, ExchangeError> {
    let sequence = header.sequence;
    if header.sender == memory.me {
        return Err(ExchangeError::OwnBundle { sequence });
    }
    let Some(peer) = memory.peers.get(&header.sender) else {
        return Ok(Standing::New);
    };
    let name = || header.name.clone();
    match sequence.cmp(&peer.sequence) {
        std::cmp::Ordering::Greater => Ok(Standing::New),
        std::cmp::Ordering::Less => Err(ExchangeError::OldBundle {
            name: name(),
            sequence,
            applied: peer.sequence,
        }),
        std::cmp::Ordering::Equal if header.bundle == peer.bundle => Ok(Standing::Again),
        std::cmp::Ordering::Equal => Err(ExchangeError::TwoBundles {
            name: name(),
            sequence,
        }),
    }
}

/// Verifies everything in a bundle and says what it means for the vault.
pub fn weigh(vault: &Vault, proved: &Proved, memory: &Memory) -> Result<Weighed, ExchangeError> {
    let bundle = &proved.bundle;
    let mut theirs = records(vault, proved)?;
    match proved.foreign() {
        None => check_values(vault, bundle, &theirs)?,
        Some(foreign) => epoch::translate(vault, proved, foreign, &mut theirs)?,
    }
    let mut base = memory.base(vault, bundle.header())?;
    let rests = vault.rests()?;
    let foundation = bundle.foundation();
    let mut weighed = Weighed {
        outcomes: Vec::new(),
        same: 0,
        clashing: Vec::new(),
        differs: Differs {
            settings: foundation
                .is_some_and(|f| !Vault::says_the_same(&f.settings, &rests.settings)),
            // Of another epoch they do, by what that is.
            members: matches!(proved.under, Under::Vault)
                && foundation.is_some_and(|f| f.members != rests.members),
        },
        values: Vec::new(),
        news: BTreeMap::new(),
    };
    for (n, record) in theirs.into_iter().enumerate() {
        let before = vault.record(&record.name)?;
        let mut base = base.remove(&record.name);
        if let Some(base) = &mut base {
            in_the_same_terms(base, before.as_ref(), &record);
        }
        if let Some(id) = check_versions(&record, before.as_ref(), bundle.values(n))? {
            weighed.clashing.push((record.name, id));
            continue;
        }
        let after = match &before {
            Some(ours) => match unite(base.as_ref(), ours, &record) {
                Ok(after) => after,
                Err(UniteError::TwoContents(id)) => {
                    weighed.clashing.push((record.name, id));
                    continue;
                }
                Err(UniteError::OtherSecret { ours, .. }) => {
                    return Err(ExchangeError::DuplicateSecret { name: ours });
                }
            },
            // Taken away here on purpose, and unchanged there since.
            None if base.as_ref() == Some(&record) => Record::new(record.name.clone()),
            None => record.clone(),
        };
        for (id, span) in bundle.values(n) {
            let is_here = before.as_ref().is_some_and(|before| {
                let meta = before.state.versions.get(id);
                meta.is_some_and(|meta| meta.has_value())
            });
            if !is_here && after.state.versions.contains_key(id) {
                weighed
                    .values
                    .push((record.name.clone(), id.clone(), *span));
            }
        }
        weighed
            .news
            .insert(record.name.clone(), news(vault, proved, n, &record)?);
        let is_same = match &before {
            Some(before) => *before == after,
            None => after.is_blank(),
        };
        if is_same {
            weighed.same += 1;
        } else {
            weighed.outcomes.push(Outcome {
                name: record.name,
                before,
                after,
            });
        }
    }
    weighed.outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    weighed.clashing.sort();
    Ok(weighed)
}

/// What is remembered of what the sender has: the text as it is, or, from another epoch,
/// the same under the vault's keys.
fn news(
    vault: &Vault,
    proved: &Proved,
    n: usize,
    record: &Record,
) -> Result<Vec<u8>, ExchangeError> {
    if proved.foreign().is_none() {
        return Ok(proved.bundle.metadata(n)?);
    }
    let text = vault.texts(&[record])?.pop();
    Ok(text.unwrap_or_default())
}

/// Gives the versions of a base the digests of today: one that was remembered under the
/// keys of a former epoch has others, and a version's value never changes.
fn in_the_same_terms(base: &mut Record, ours: Option<&Record>, theirs: &Record) {
    for (id, meta) in &mut base.state.versions {
        let today = [ours, Some(theirs)].into_iter().flatten();
        let mut today = today.filter_map(|record| record.state.versions.get(id));
        if meta.has_value()
            && let Some(known) = today.find(|known| known.has_value())
        {
            meta.content = known.content;
        }
    }
}

/// The records of a bundle, each mac verified, no name twice.
fn records(vault: &Vault, proved: &Proved) -> Result<Vec<Record>, ExchangeError> {
    let bundle = &proved.bundle;
    let mut all: Vec<Record> = Vec::with_capacity(bundle.len());
    let mut names = BTreeSet::new();
    let mut from = 0;
    while from < bundle.len() {
        let to = bundle.len().min(from + AT_ONCE);
        let texts = (from..to).map(|n| bundle.metadata(n));
        let texts: Vec<Vec<u8>> = texts.collect::<Result<_, _>>()?;
        let read = match proved.foreign() {
            None => vault.read_texts(&texts)?,
            Some(keys) => vault.read_texts_under(keys, &texts)?,
        };
        for (n, record) in read.into_iter().enumerate() {
            let at = from + n + 1;
            let record = record.map_err(|source| ExchangeError::Metadata { at, source })?;
            // The default keyring's keys of another epoch say nothing of secrets that are
            // under a keyring of their own here, and must not come under the default ones.
            if proved.foreign().is_some()
                && let Some(keyring) = vault.keyring_apart(&record.name)
            {
                let name = record.name;
                let source = MetaError::Closed { name, keyring };
                return Err(ExchangeError::Metadata { at, source });
            }
            if !names.insert(record.name.clone()) {
                return Err(ExchangeError::DuplicateSecret { name: record.name });
            }
            all.push(record);
        }
        from = to;
    }
    Ok(all)
}

/// Opens every value of a bundle, on two threads, and compares it with its metadata.
fn check_values(vault: &Vault, bundle: &Bundle, theirs: &[Record]) -> Result<(), ExchangeError> {
    let check = |from: usize, records: &[Record]| -> Result<(), ExchangeError> {
        for (n, record) in records.iter().enumerate() {
            for (id, span) in bundle.values(from + n) {
                let (name, version) = (record.name.clone(), id.clone());
                let listed = record.state.versions.get(id);
                if !listed.is_some_and(|meta| meta.has_value()) {
                    return Err(ExchangeError::StrayValue { name, version });
                }
                match vault.check_value(record, id, &bundle.value(*span)?) {
                    Ok(true) => {}
                    Ok(false) => return Err(ExchangeError::OtherValue { name, version }),
                    Err(OpenError::Keys(error)) => return Err(error.into()),
                    Err(source) => {
                        return Err(ExchangeError::Value {
                            name,
                            version,
                            source,
                        });
                    }
                }
            }
        }
        Ok(())
    };
    let half = theirs.len() / 2;
    let (first, second) = theirs.split_at(half);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| check(0, first));
        let second = check(half, second);
        let first = other
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        first.and(second)
    })
}

/// Every version they have a value of is in the bundle or here. Gives the first that is
/// here with another content.
fn check_versions(
    theirs: &Record,
    ours: Option<&Record>,
    carried: &[(VersionId, Span)],
) -> Result<Option<VersionId>, ExchangeError> {
    let mut clash = None;
    for (id, meta) in &theirs.state.versions {
        let Content::Value { .. } = meta.content else {
            continue;
        };
        let here = ours.and_then(|ours| ours.state.versions.get(id));
        let here = here.filter(|here| here.has_value());
        if here.is_some_and(|here| here.content != meta.content) {
            clash.get_or_insert_with(|| id.clone());
        }
        if here.is_none() && !carried.iter().any(|(carried, _)| carried == id) {
            return Err(ExchangeError::Lacking {
                name: theirs.name.clone(),
                version: id.clone(),
            });
        }
    }
    Ok(clash)
}

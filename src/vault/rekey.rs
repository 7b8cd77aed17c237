//! New keys for a vault, with or without some of its members (design.md section 4,
//! "Keyring"; book, formats/keyring).
//!
//! Everything is encrypted anew: every value of every version, and every file that
//! ends in a mac. What is on disk while that happens says so, in a file that is written
//! first and removed at the end, and holds all that is needed to finish: whoever dies on the
//! way, the next run goes on from what is there. Until the member list is replaced, every
//! value file of the old epoch stays.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::disk::{Durable, Existing, split};
use super::git::{self, Committed};
use super::keychain::Routes;
use super::keyring::{self, Keyring, Past};
use super::lock::Lock;
use super::members::MemberError;
use super::reseal::{Kind, Turn};
use super::transaction::WAIT;
use super::unlock::trusted_of;
use super::{CONFIG, SECRETS, Vault, VaultError, read_config, read_text, view};
use crate::config::Config;
use crate::crypto::{Domain, Identity, KeyringKeys, Member, encrypt_keyring};
use crate::model::{Record, SecretName, Timestamp, VersionId};

/// The member list of the epoch that is about to begin: while it is there, a rekey is
/// under way.
pub(super) fn next_list(keyring: &str) -> String {
    format!("keys/{keyring}.next.toml")
}

/// That epoch's identity, encrypted to its members.
pub(super) fn next_age(keyring: &str) -> String {
    format!("keys/{keyring}.next.age")
}

/// In the clone's own state: the commitment of the keys that this clone has begun to
/// bring in, and of another keyring than the default one what is done to it. What git
/// brings under the names of the files above is nobody's rekey.
const BEGUN: &str = "rekey";

/// What this clone has begun.
pub(super) struct Begun {
    pub(super) commitment: String,
    pub(super) kind: Kind,
    pub(super) keyring: String,
}

/// What new keys are made for.
pub struct Rekey<'a> {
    /// The new keyring's own identity, freshly generated.
    pub keyring: Identity,
    /// Who is not to open it any more, by name.
    pub remove: &'a BTreeSet<String>,
    /// Now.
    pub now: Timestamp,
    /// Whether the change is committed to git, where the settings say so too.
    pub git: bool,
}

/// What a rekey did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The keyring.
    pub keyring: String,
    /// Whether its secrets came from another keyring, and it is new or gone.
    pub kind: Kind,
    /// The epoch that began.
    pub epoch: u32,
    /// Who was removed.
    pub removed: Vec<String>,
    /// How many secrets and how many versions' values this run wrote anew.
    pub secrets: usize,
    /// The values.
    pub values: usize,
    /// Whether it went on from where an earlier run had ended.
    pub resumed: bool,
    /// What became of the git commit.
    pub git: Committed,
}

impl Vault {
    /// Whether a rekey was begun and not finished.
    pub fn is_half_rekeyed(&self) -> bool {
        self.refuse_half_rekeyed().is_err()
    }

    pub(super) fn refuse_half_rekeyed(&self) -> Result<(), VaultError> {
        let Some(begun) = self.begun() else {
            return Ok(());
        };
        let path = self.root.full(&next_list(&begun.keyring));
        match path.symlink_metadata() {
            Ok(_) => Err(VaultError::RekeyUnderWay { path }),
            Err(_) => Ok(()),
        }
    }

    fn begun(&self) -> Option<Begun> {
        let (bytes, _) = self.state.root().read(BEGUN, 256).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut words = text.split(' ');
        let commitment = words.next()?.to_owned();
        let (kind, keyring) = match (words.next(), words.next()) {
            (None, None) => (Kind::Epoch, keyring::DEFAULT),
            (Some(kind), Some(name)) if Config::is_keyring_name(name) => {
                (Kind::from_word(kind)?, name)
            }
            _ => return None,
        };
        Some(Begun {
            commitment,
            kind,
            keyring: keyring.to_owned(),
        })
    }

    /// Says in this clone's state what is about to begin, then writes the files by which
    /// it can be finished.
    pub(super) fn begin_turn(
        &self,
        kind: Kind,
        list: &Keyring,
        keys: &KeyringKeys,
        files: &[(&str, &[u8])],
    ) -> Result<(), VaultError> {
        let mut mark = keys.commitment().to_string();
        if list.name != keyring::DEFAULT {
            mark.push_str(&format!(" {} {}", kind.word(), list.name));
        }
        let state = self.state.root();
        state.write(BEGUN, mark.as_bytes(), Existing::Replace, Durable::Now)?;
        for (path, bytes) in files {
            self.root
                .write(path, bytes, Existing::Replace, Durable::Now)?;
        }
        Ok(())
    }

    /// Gives an unlocked vault a new epoch. Needs the keyring's own key in this process,
    /// and an identity of a member who stays.
    ///
    /// Refused unless every secret can be read: what could not be encrypted anew would
    /// be lost.
    pub fn rekey(&mut self, member: &dyn Member, rekey: Rekey<'_>) -> Result<Rekeyed, VaultError> {
        self.rekey_of(keyring::DEFAULT, member, rekey)
    }

    /// The same of one keyring by its name: its secrets alone are encrypted anew.
    pub fn rekey_of(
        &mut self,
        name: &str,
        member: &dyn Member,
        rekey: Rekey<'_>,
    ) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "rekey", WAIT)?;
        if let Some(error) = self.replaced() {
            return Err(error);
        }
        if let Some(what) = self.git_under_way() {
            return Err(VaultError::GitBusy(what));
        }
        self.keyring_named(name)?;
        let list = self.trusted_list(name)?;
        let keys = self.need_keychain()?.named(name);
        let keys = keys.ok_or_else(|| VaultError::KeyringClosed(name.to_owned()))?;
        let old = keys.identity().ok_or(MemberError::Held)?;
        let mut members = list.members.clone();
        for name in rekey.remove {
            if members.remove(name).is_none() {
                return Err(MemberError::NotAMember(name.clone()).into());
            }
        }
        if members.is_empty() {
            return Err(MemberError::Last.into());
        }
        let own = member.member_key();
        if !members.values().any(|key| *key == own) {
            return Err(MemberError::LocksOut.into());
        }
        self.refuse_gone_back()?;
        let routes = Routes::of(&self.config());
        self.check_all(|secret| routes.keyring_of(secret) == name)?;

        let new = KeyringKeys::new(rekey.keyring, &self.config().vault_id);
        let identity = new.identity().ok_or(MemberError::Held)?;
        let successor = Keyring::successor(
            &list.name,
            list.epoch.saturating_add(1),
            &new.recipient(),
            &new.commitment(),
        );
        let mut past = list.past;
        past.push(Past {
            epoch: list.epoch,
            commitment: list.commitment,
            removed: rekey.remove.iter().cloned().collect(),
            vouch: keys.mac(Domain::Epoch, successor.as_bytes())?,
        });
        let next = Keyring {
            name: list.name,
            epoch: list.epoch.saturating_add(1),
            recipient: new.recipient(),
            commitment: new.commitment(),
            prefixes: list.prefixes,
            members,
            past,
        };
        let age = encrypt_keyring(&identity, rekey.now, &self.hosted(&next))?;
        let past_age = encrypt_keyring(&old, rekey.now, &[identity.recipient()])?;
        let past_path = Keyring::past_path(&next.name, list.epoch);
        let text = next.seal(&new)?;
        let (age_path, list_path) = (next_age(&next.name), next_list(&next.name));
        let files = [
            (past_path.as_str(), past_age.as_bytes()),
            (age_path.as_str(), age.as_bytes()),
            (list_path.as_str(), text.as_bytes()),
        ];
        self.begin_turn(Kind::Epoch, &next, &new, &files)?;
        self.turn(member, rekey.now, rekey.git, false)
    }

    /// Finishes a rekey, or a new or a removed keyring, that was begun. The vault need not be unlocked, and cannot be;
    /// it is afterwards.
    pub fn finish_rekey(
        &mut self,
        member: &dyn Member,
        now: Timestamp,
        use_git: bool,
    ) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "rekey", WAIT)?;
        self.turn(member, now, use_git, true)
    }

    /// Takes every file from the old keys to the new ones, in an order in which each
    /// step can be the last of this process.
    pub(super) fn turn(
        &mut self,
        member: &dyn Member,
        now: Timestamp,
        use_git: bool,
        resumed: bool,
    ) -> Result<Rekeyed, VaultError> {
        // Nobody's, where there is none: then what lies there is not believed.
        let begun = self.begun().unwrap_or_else(|| Begun {
            commitment: String::new(),
            kind: Kind::Epoch,
            keyring: keyring::DEFAULT.to_owned(),
        });
        let name = begun.keyring.clone();
        let is_default = name == keyring::DEFAULT;
        let mut turn = match begun.kind {
            Kind::Epoch => self.open_turn(&begun, member)?,
            Kind::Carve => self.open_carve(&begun, member)?,
            Kind::Fold => self.open_fold(&begun, member)?,
        };
        if turn.kind == Kind::Fold {
            turn.dated = Some(now);
        }
        self.sweep_all()?;
        let (config, removed) = match begun.kind {
            Kind::Epoch => {
                let listed = self.reseal_config(&turn, is_default)?;
                let keys = match is_default {
                    true => None,
                    false => Some(self.open_default(member)?),
                };
                let (config, _) =
                    read_config(&self.root, Some(keys.as_ref().unwrap_or(&turn.new)))?;
                turn.routes = Routes::of(&config);
                self.reseal_ledgers(&turn)?;
                let removed = turn.list.past.last().map(|p| p.removed.clone());
                let removed = removed.unwrap_or_default();
                self.write_ledger(&turn, &removed, listed.as_ref(), now)?;
                (config, removed)
            }
            Kind::Carve => (read_config(&self.root, Some(&turn.old))?.0, Vec::new()),
            Kind::Fold => (read_config(&self.root, Some(&turn.new))?.0, Vec::new()),
        };
        let (secrets, values, fresh) = self.reseal_secrets(&turn)?;
        self.root.sync()?;

        // From here on the new keys are the vault's.
        if begun.kind != Kind::Fold {
            let (age, _) = self.root.read(&next_age(&name), super::unlock::MAX_AGE)?;
            self.root.write(
                &Keyring::age_path(&name),
                &age,
                Existing::Replace,
                Durable::Now,
            )?;
        }
        if begun.kind == Kind::Fold {
            // The default keys are in place, and once the settings have lost the keyring
            // nothing says any more which names were its.
            self.drop_old_values(&turn, &fresh)?;
        }
        let list = read_text(&self.root, &next_list(&name), keyring::MAX)?;
        self.root.write(
            &Keyring::list_path(&name),
            list.as_bytes(),
            Existing::Replace,
            Durable::Now,
        )?;
        let config = self.register(&turn, config)?;
        let keys = match begun.kind {
            Kind::Epoch if is_default => Some(&turn.new),
            Kind::Epoch => None,
            Kind::Carve => Some(&turn.old),
            Kind::Fold => Some(&turn.new),
        };
        let hash = match keys {
            Some(keys) => Some(read_config(&self.root, Some(keys))?.1),
            None => None,
        };
        if begun.kind != Kind::Fold {
            // Not before the keys that open the new ones are in place.
            self.drop_old_values(&turn, &fresh)?;
        }
        let git = if use_git && config.git.commit {
            let paths = git::changed(&self.root, &["keys", SECRETS, CONFIG], |path| {
                // Nobody's unfinished change of keys is for others, nor is a file that
                // says a name where names are hidden.
                let is_next = path.ends_with(".next.age") || path.ends_with(".next.toml");
                let is_plain = path.starts_with("secrets/") && !path.starts_with("secrets/,5/");
                !(is_next && path.starts_with("keys/") || is_plain && self.hides_names())
            });
            let message = message(&turn, &removed);
            match paths {
                Ok(paths) => git::commit(&self.root, &paths, &message, now, git::PATIENCE),
                Err(reason) => Committed::Left(reason),
            }
        } else {
            Committed::Off
        };
        // Until here `git clean` and `git checkout` lead back to the keys of before, which
        // are the trusted ones.
        view::forget_digests(&self.state)?;
        if let Some(hash) = hash {
            self.wrote_settings(hash)?;
        }
        if let Some(mut pin) = self.state.pin()? {
            if let Some(hash) = hash {
                pin.config = hash;
            }
            match begun.kind {
                Kind::Fold => pin.keyrings.remove(&name),
                Kind::Epoch | Kind::Carve => {
                    pin.keyrings.insert(name.clone(), trusted_of(&turn.list))
                }
            };
            self.state.set_pin(&pin)?;
        }
        self.root.remove(&next_list(&name))?;
        self.root.sync_dir("keys")?;
        self.root.remove(&next_age(&name))?;
        self.state.root().remove(BEGUN)?;
        self.set_settings(config, true);
        let (epoch, kind) = (turn.list.epoch, turn.kind);
        drop(turn);
        // Every keyring afresh, by what is on disk now.
        self.unlock(member)?;
        Ok(Rekeyed {
            keyring: name,
            kind,
            epoch,
            removed,
            secrets,
            values,
            resumed,
            git,
        })
    }

    /// Removes what processes that died left. Under the lock it is nobody's.
    fn sweep_all(&self) -> Result<(), VaultError> {
        let mut folders = BTreeSet::from([String::new(), "keys".to_owned(), SECRETS.to_owned()]);
        self.walk("", &mut |path, _| {
            let (folder, _) = split(path);
            if !folder.is_empty() {
                folders.insert(format!("{SECRETS}/{folder}"));
            }
        })?;
        for folder in folders {
            self.root.sweep(&folder, |_| false);
        }
        Ok(())
    }

    /// Reads every value, so that nothing is found to be unreadable half way.
    pub(super) fn check_all(
        &self,
        is_meant: impl Fn(&SecretName) -> bool + Sync,
    ) -> Result<(), VaultError> {
        let loaded = self.load()?;
        let mut names: Vec<String> = loaded.blocked.into_keys().collect();
        // What has no name may be any secret.
        names.retain(|title| {
            title
                .parse::<SecretName>()
                .map_or(true, |name| is_meant(&name))
        });
        let work: Vec<(&Record, &VersionId)> = loaded
            .records
            .values()
            .filter(|record| is_meant(&record.name))
            .flat_map(|record| {
                let versions = record.state.versions.iter();
                let valued = versions.filter(|(_, meta)| meta.has_value());
                valued.map(move |(id, _)| (record, id))
            })
            .collect();
        let failed = Mutex::new(BTreeSet::new());
        let next = AtomicUsize::new(0);
        let worker = || {
            while let Some((record, id)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.read(record, id).is_err() {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.insert(record.name.to_string());
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(worker);
            worker();
        });
        names.extend(failed.into_inner().unwrap_or_else(PoisonError::into_inner));
        names.sort();
        match names.is_empty() {
            true => Ok(()),
            false => Err(VaultError::Unsound { names }),
        }
    }
}

/// The message of the git commit.
fn message(turn: &Turn, removed: &[String]) -> String {
    let (list, names) = (&turn.list, removed.join(", "));
    let of = match list.name.as_str() {
        keyring::DEFAULT => String::new(),
        name => format!(" of keyring {name}"),
    };
    match turn.kind {
        Kind::Carve => format!("keyring: add {}", list.name),
        Kind::Fold => format!("keyring: remove {}", list.name),
        Kind::Epoch if removed.is_empty() => format!("rekey: epoch {}{of}", list.epoch),
        Kind::Epoch => format!("members: remove {names}; epoch {}{of}", list.epoch),
    }
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;

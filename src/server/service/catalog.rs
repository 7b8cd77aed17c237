use std::collections::{BTreeMap, HashMap};

use super::Shared;
use crate::model::{Record, RemoteFacts, RemoteName, SecretName, Sight};
use crate::vault::{Routes, Sights, Vault, VaultError};

/// Every secret of the vault as it was last read, and what the remotes said of it.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) records: BTreeMap<SecretName, Shared<Record>>,
    /// Secrets whose metadata is not believed, with the reason.
    pub(super) blocked: BTreeMap<String, String>,
    /// How names begin that belong to keyrings which are not open.
    pub(super) shut: Routes,
    /// By the full ARN that a remote gave.
    pub(super) arns: HashMap<String, SecretName>,
    /// What was last seen of the remotes' own facts, by ARN.
    pub(super) facts: HashMap<String, Shared<RemoteFacts>>,
    /// What the remotes last showed, and when.
    pub(super) sights: Sights,
    /// One ARN of each remote: its account, where that is not pinned.
    pub(super) examples: BTreeMap<RemoteName, String>,
}

impl Catalog {
    pub(super) fn read(vault: &Vault) -> Result<Self, VaultError> {
        let loaded = vault.load()?;
        let mut catalog = Self {
            blocked: loaded.blocked,
            shut: loaded.shut,
            ..Self::default()
        };
        for record in loaded.records.into_values() {
            catalog.put(record);
        }
        catalog.see(vault);
        Ok(catalog)
    }

    /// Reads anew what the remotes last showed.
    pub(super) fn see(&mut self, vault: &Vault) {
        self.facts.clear();
        self.sights = Sights::default();
        for remote in vault.config().remotes.keys() {
            // A view that cannot be read is as good as none: it only adds facts.
            let Ok(Some(fetched)) = vault.load_view(remote) else {
                continue;
            };
            self.sights.add(remote.clone(), &fetched);
            for sight in fetched.view.secrets.into_values() {
                if let Sight::Seen(seen) = sight {
                    let arn = seen.facts.arn.clone();
                    self.facts.insert(arn, Shared::new(seen.facts));
                }
            }
        }
    }

    /// Reads one secret anew.
    pub(super) fn reread(&mut self, vault: &Vault, name: &SecretName) -> Result<(), VaultError> {
        match vault.record(name) {
            Ok(Some(record)) => self.put(record),
            Ok(None) => self.remove(name),
            Err(error @ VaultError::Locked) => return Err(error),
            // As `Vault::load` has it: reported, never served.
            Err(error) => {
                self.remove(name);
                self.blocked.insert(name.to_string(), super::chain(&error));
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &SecretName) {
        if let Some(old) = self.records.remove(name) {
            for pair in old.base.values().filter_map(|b| b.pair.as_ref()) {
                self.arns.remove(&pair.arn);
            }
        }
        self.blocked.remove(name.as_str());
    }

    /// Takes one secret in, in place of what was known of it.
    pub(super) fn put(&mut self, record: Record) {
        self.remove(&record.name);
        for (remote, base) in &record.base {
            if let Some(pair) = &base.pair {
                self.arns.insert(pair.arn.clone(), record.name.clone());
                if !self.examples.contains_key(remote) {
                    self.examples.insert(remote.clone(), pair.arn.clone());
                }
            }
        }
        self.records
            .insert(record.name.clone(), Shared::new(record));
    }
}

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::FileType;

use super::layout::{self, VersionKey};
use super::{SECRETS, Vault, VaultError, disk};
use crate::model::{SecretName, VersionId};

/// What lies in a vault beside what its metadata vouches for. Paths are relative to
/// the vault; every list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// How many value files belong to a version.
    pub values: usize,
    /// Value files of no known version: left by a crash, or by a merge that dropped
    /// the version. Those of a blocked secret are not among them.
    pub orphans: Vec<String>,
    /// Versions whose value has no file.
    pub missing: Vec<(SecretName, VersionId)>,
    /// Second and further files of one version, made by other clones.
    pub duplicates: Vec<String>,
    /// Temporary files that a crash left.
    pub leftovers: Vec<String>,
    /// Whatever else lies under `secrets/` and is no file of strongroom's.
    pub strangers: Vec<String>,
}

/// What one metadata file leads to expect beside it.
enum Owner {
    Known(BTreeMap<VersionKey, bool>),
    /// The metadata is not believed, so nothing can be said of its values.
    Blocked,
}

impl Vault {
    /// Compares every file under `secrets/` with the metadata. Takes no lock: a
    /// writer at work may have value files without metadata for a moment.
    pub fn files(&self) -> Result<FileReport, VaultError> {
        let loaded = self.load()?;
        let mut report = FileReport::default();
        let mut owners: BTreeMap<String, Owner> = BTreeMap::new();
        let mut ids: BTreeMap<(String, VersionKey), (SecretName, VersionId)> = BTreeMap::new();
        let names: Vec<&SecretName> = loaded.records.keys().collect();
        let places = self.places(&names)?;
        for ((name, record), place) in loaded.records.iter().zip(places) {
            let stem = place.stem().to_owned();
            let mut keys = BTreeMap::new();
            for (id, meta) in &record.state.versions {
                if meta.has_value() {
                    let key = place.key(id);
                    ids.insert((stem.clone(), key.clone()), (name.clone(), id.clone()));
                    keys.insert(key, false);
                }
            }
            owners.insert(stem, Owner::Known(keys));
        }
        let mut values = Vec::new();
        let mut toml = BTreeSet::new();
        self.walk("", &mut |path, kind| {
            let (_, name) = disk::split(path);
            if disk::is_leftover(name) {
                report.leftovers.push(format!("{SECRETS}/{path}"));
            } else if name.ends_with(".toml") {
                // Even one that is a link or a directory: a value beside it is not
                // garbage.
                toml.insert(path.to_owned());
                if kind != FileType::RegularFile {
                    report.strangers.push(format!("{SECRETS}/{path}"));
                }
            } else if kind == FileType::RegularFile && layout::parse_value_file(name).is_ok() {
                values.push(path.to_owned());
            } else {
                report.strangers.push(format!("{SECRETS}/{path}"));
            }
        })?;
        for path in &toml {
            let stem = path.strip_suffix(".toml").unwrap_or(path);
            owners.entry(stem.to_owned()).or_insert(Owner::Blocked);
        }
        let is_closed = |stem: &str| match layout::name_of_path(&format!("{stem}.toml"), None) {
            Ok(name) => loaded.closed_by(&name).is_some(),
            Err(_) => !loaded.shut.is_empty(),
        };
        values.sort();
        for path in values {
            let (folder, name) = disk::split(&path);
            let Ok(file) = layout::parse_value_file(name) else {
                continue;
            };
            let stem = match folder {
                "" => file.stem,
                folder => format!("{folder}/{}", file.stem),
            };
            let full = format!("{SECRETS}/{path}");
            match owners.get_mut(&stem) {
                Some(Owner::Blocked) => report.values += 1,
                Some(Owner::Known(keys)) => match keys.get_mut(&file.key) {
                    Some(seen) if *seen => report.duplicates.push(full),
                    Some(seen) => {
                        *seen = true;
                        report.values += 1;
                    }
                    None => report.orphans.push(full),
                },
                // Of a keyring that is not open it is not known what its values are of.
                None if is_closed(&stem) => report.values += 1,
                None => report.orphans.push(full),
            }
        }
        for (stem, owner) in owners {
            if let Owner::Known(keys) = owner {
                for (key, _) in keys.into_iter().filter(|(_, seen)| !seen) {
                    report.missing.extend(ids.remove(&(stem.clone(), key)));
                }
            }
        }
        for entry in self.root.list("keys")? {
            if disk::is_leftover(&entry.name) {
                report.leftovers.push(format!("keys/{}", entry.name));
            }
        }
        for entry in self.root.list("")? {
            if disk::is_leftover(&entry.name) {
                report.leftovers.push(entry.name);
            }
        }
        report.leftovers.sort();
        report.strangers.sort();
        report.missing.sort();
        Ok(report)
    }

    /// Calls `visit` with every path below `secrets/` that is no directory, or one
    /// with the name of a metadata file.
    pub(super) fn walk(
        &self,
        folder: &str,
        visit: &mut impl FnMut(&str, FileType),
    ) -> Result<(), VaultError> {
        let full = match folder {
            "" => SECRETS.to_owned(),
            folder => format!("{SECRETS}/{folder}"),
        };
        let entries = match self.root.list(&full) {
            // git keeps no empty directory, so a clone of an empty vault has none.
            Err(error) if error.is_not_found() => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = match folder {
                "" => entry.name,
                folder => format!("{folder}/{}", entry.name),
            };
            if entry.kind == FileType::Directory && !path.ends_with(".toml") {
                self.walk(&path, visit)?;
            } else {
                visit(&path, entry.kind);
            }
        }
        Ok(())
    }
}

use super::disk::DiskError;
use super::place::Place;
use super::{SECRETS, Vault, VaultError, disk};
use crate::crypto::{Binding, Ct8, KeyringKeys, OpenError, open_value};
use crate::model::{Content, Digest, Kind, Record, SecretName, SecretValue, VersionId};

/// The largest value file, in bytes (crypto.md section 2).
pub(super) const MAX: usize = 160 * 1024;

impl Vault {
    /// Decrypts one version's value, and refuses it unless it is the very value that
    /// the record vouches for.
    ///
    /// A version may have several files, made by several clones: the one with the
    /// smallest hash that is right is taken.
    ///
    /// The audit log has it before the value is given out.
    pub fn read(&self, record: &Record, id: &VersionId) -> Result<SecretValue, VaultError> {
        self.noted(record, id, self.read_unnoted(record, id))
    }

    /// The same for whoever notes it himself: the endpoint, which knows who asks, and
    /// answers from memory too.
    pub(crate) fn read_unnoted(
        &self,
        record: &Record,
        id: &VersionId,
    ) -> Result<SecretValue, VaultError> {
        let keys = self.keys_for(&record.name)?;
        let place = self.place(&record.name)?;
        self.read_under(keys, &place, record, id)
            .map_err(|error| self.or_replaced(error))
    }

    /// The same under keys of the caller's, from the place that these give it.
    pub(super) fn read_under(
        &self,
        keys: &KeyringKeys,
        place: &Place,
        record: &Record,
        id: &VersionId,
    ) -> Result<SecretValue, VaultError> {
        let name = &record.name;
        let content = record.state.versions.get(id).map(|meta| meta.content);
        let Some(Content::Value { kind, digest }) = content else {
            return Err(VaultError::NoValue {
                name: name.clone(),
                version: id.clone(),
            });
        };
        let config = self.config();
        let binding = Binding {
            vault: &config.vault_id,
            name,
            version: id,
        };
        let wanted = (kind, digest);
        // Most often it is where the folder's last listing says.
        let (folder, start) = files_of(place, id);
        let likely = self.listings.beginning(&self.root, &folder, &start)?;
        if let Ok(Some(value)) =
            self.first(keys, value_files(&folder, &start, likely), &binding, wanted)
        {
            return Ok(value);
        }
        let paths = self.value_paths_at(place, id)?;
        let found = self.first(keys, paths, &binding, wanted)?;
        found.ok_or_else(|| VaultError::ValueMissing {
            name: name.clone(),
            version: id.clone(),
            path: self.root.full(&format!("{folder}/{start}")),
        })
    }

    /// The value of the first of these files that holds the wanted one; `None` if there
    /// are no files.
    fn first(
        &self,
        keys: &KeyringKeys,
        paths: Vec<String>,
        binding: &Binding<'_>,
        (kind, digest): (Kind, Digest),
    ) -> Result<Option<SecretValue>, VaultError> {
        let mut failed = None;
        for path in paths {
            let full = self.root.full(&path);
            let opened = match self.root.read(&path, MAX) {
                Ok((bytes, _)) => open_value(&bytes, binding, keys),
                // Replaced or collected between the listing and now.
                Err(error) if error.is_not_found() => continue,
                Err(DiskError::TooLarge { .. }) => Err(OpenError::TooLarge),
                Err(error) => return Err(error.into()),
            };
            let error = match opened {
                Ok(opened) => {
                    let value = opened.value;
                    if value.kind() == kind && keys.digest(&value)? == digest {
                        return Ok(Some(value));
                    }
                    VaultError::OtherValue { path: full }
                }
                Err(OpenError::Keys(error)) => return Err(error.into()),
                Err(source) => VaultError::Value { path: full, source },
            };
            failed.get_or_insert(error);
        }
        failed.map_or(Ok(None), Err)
    }

    /// The files that by their names hold one version, sorted by hash.
    pub(super) fn value_paths(
        &self,
        name: &SecretName,
        id: &VersionId,
    ) -> Result<Vec<String>, VaultError> {
        self.value_paths_at(&self.place(name)?, id)
    }

    fn value_paths_at(&self, place: &Place, id: &VersionId) -> Result<Vec<String>, VaultError> {
        let (folder, start) = files_of(place, id);
        let entries = match self.root.list(&folder) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
        names.retain(|name| name.starts_with(&start));
        names.sort_unstable();
        Ok(value_files(&folder, &start, names))
    }
}

/// The folder of a version's files, and what their names begin with.
fn files_of(place: &Place, id: &VersionId) -> (String, String) {
    let stem = format!("{SECRETS}/{}", place.stem());
    let (folder, file) = disk::split(&stem);
    (folder.to_owned(), format!("{file}.{}.", place.key(id)))
}

/// The paths of those names that are value files with this beginning.
fn value_files(folder: &str, start: &str, names: Vec<String>) -> Vec<String> {
    let is_one = |name: &String| {
        let rest = name.strip_prefix(start);
        let ct8 = rest.and_then(|rest| rest.strip_suffix(".age"));
        ct8.is_some_and(|ct8| ct8.parse::<Ct8>().is_ok())
    };
    let files = names.into_iter().filter(is_one);
    files.map(|name| format!("{folder}/{name}")).collect()
}

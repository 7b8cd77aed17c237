use std::sync::Arc;

use super::layout::{self, VersionKey};
use crate::crypto::{Ct8, HiddenName};
use crate::model::{SecretName, VersionId};

/// Where one secret's files lie, below `secrets/`: by its name, or where names are
/// hidden by a keyed hash of it.
pub(super) struct Place {
    stem: String,
    hidden: Option<Arc<HiddenName>>,
}

impl Place {
    /// The place that the name itself says.
    pub(super) fn plain(name: &SecretName) -> Self {
        Self {
            stem: layout::stem(name),
            hidden: None,
        }
    }

    /// The place that says nothing of the name.
    pub(super) fn hidden(name: Arc<HiddenName>) -> Self {
        Self {
            stem: layout::hidden_stem(name.place()),
            hidden: Some(name),
        }
    }

    /// What the paths of all its files begin with.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// The path of the metadata.
    pub(super) fn metadata(&self) -> String {
        format!("{}.toml", self.stem)
    }

    /// How a version id is written in a file's name.
    pub(super) fn key(&self, version: &VersionId) -> VersionKey {
        match &self.hidden {
            Some(name) => VersionKey::hidden(&name.version(version)),
            None => VersionKey::of(version),
        }
    }

    /// The path of one version's value.
    pub(super) fn value(&self, version: &VersionId, ct8: Ct8) -> String {
        format!("{}.{}.{ct8}.age", self.stem, self.key(version))
    }
}

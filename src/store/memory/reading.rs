//! What the account shows of itself.

use std::collections::BTreeMap;

use super::account::Account;
use crate::model::{
    Invalid, Lifecycle, Origin, RemoteSecret, SecretName, SecretState, StagingLabel, VersionId,
    VersionMeta,
};
use crate::store::{Retrieved, StoreError};

impl Account {
    /// A secret as ListSecrets shows it: labelled versions only, no digests; of replicas
    /// and policy nothing.
    pub(super) fn seen(&self, name: &SecretName) -> Option<RemoteSecret> {
        let mut listed = self.described(name)?;
        listed.facts.replicas = None;
        Some(listed)
    }

    /// A secret as DescribeSecret shows it.
    pub(super) fn described(&self, name: &SecretName) -> Option<RemoteSecret> {
        let state = self.secrets.get(name)?;
        let mut facts = self.facts.get(name).cloned().unwrap_or_default();
        let more = self.kept.particulars.get(&facts.arn);
        let regions = self.replicas.get(name).into_iter().flatten();
        let regions = regions.chain(more.into_iter().flat_map(|m| &m.replicas));
        facts.replicas = Some(regions.map(|region| (region.clone(), None)).collect());
        let versions = state
            .labels
            .values()
            .map(|id| (id.clone(), VersionMeta::unread(Origin::Local)))
            .collect();
        Some(RemoteSecret {
            state: SecretState {
                versions,
                ..state.clone()
            },
            facts,
        })
    }

    /// Every secret as it is now.
    pub(super) fn all_seen(&self) -> BTreeMap<SecretName, RemoteSecret> {
        let names = self.secrets.0.keys();
        names
            .filter_map(|name| Some((name.clone(), self.seen(name)?)))
            .collect()
    }

    /// Reads one version, or the one with AWSCURRENT.
    pub(super) fn get(
        &self,
        name: &SecretName,
        id: Option<&VersionId>,
    ) -> Result<Retrieved, StoreError> {
        let state = self.secrets.get(name).ok_or(StoreError::NotFound)?;
        if state.lifecycle != Lifecycle::Live {
            return Err(StoreError::Changed(Invalid::Scheduled));
        }
        if self.denied.contains(name) {
            return Err(StoreError::Denied {
                operation: "GetSecretValue",
                code: "AccessDeniedException".into(),
            });
        }
        let id = id
            .or_else(|| state.current())
            .ok_or(StoreError::NotFound)?
            .clone();
        let no_value = || StoreError::NoValue(id.clone());
        let meta = state.versions.get(&id).ok_or_else(no_value)?;
        let key = (self.arn(name), id.clone());
        let value = self.values.get(&key).ok_or_else(no_value)?;
        Ok(Retrieved {
            value: value.duplicate(),
            created: meta.created,
            id,
        })
    }

    /// The labels of one secret, where it has any.
    pub(super) fn holder(&self, name: &SecretName, label: &StagingLabel) -> Option<VersionId> {
        self.secrets.get(name)?.labels.get(label).cloned()
    }
}

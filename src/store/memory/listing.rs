//! Listings, page by page.

use std::collections::BTreeMap;

use super::MemoryStore;
use super::calls::Call;
use super::faults::FaultKind;
use crate::model::{RemoteSecret, SecretName};
use crate::store::StoreError;

impl MemoryStore {
    /// What a listing has, by names, and its pages.
    pub(super) fn pages(&self) -> Vec<BTreeMap<SecretName, RemoteSecret>> {
        let inner = self.lock();
        let account = &inner.account;
        let mut listed = if account.past.lags() {
            account.past.listing(account.now())
        } else {
            account.all_seen()
        };
        let mut pages = Vec::new();
        while listed.len() > inner.page {
            let next = listed.keys().nth(inner.page).cloned();
            let rest = next.map(|n| listed.split_off(&n)).unwrap_or_default();
            pages.push(std::mem::replace(&mut listed, rest));
        }
        // An account without secrets still answers one page.
        pages.push(listed);
        pages
    }

    /// Reads one page of a listing, which a fault may cut or replace by an old one.
    pub(super) fn page(
        &self,
        page: BTreeMap<SecretName, RemoteSecret>,
    ) -> Result<BTreeMap<SecretName, RemoteSecret>, StoreError> {
        let call = self.enter(Call::List, None)?;
        let page = match call.kind() {
            Some(FaultKind::TruncatedPage) => {
                let half = page.len() / 2;
                page.into_iter().take(half).collect()
            }
            Some(FaultKind::StalePage) => match call.inner.account.past.stale() {
                Some(old) => page
                    .into_keys()
                    .filter_map(|name| Some((name.clone(), old.get(&name)?.clone())))
                    .collect(),
                None => page,
            },
            _ => page,
        };
        call.answer(Ok(page))
    }
}

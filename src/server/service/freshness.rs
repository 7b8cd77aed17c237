//! How fresh a value is, and what the vault's rules make of it (book, staleness).

use std::sync::PoisonError;

use super::super::protocol::{Call, Code, Fault, Standing};
use super::Service;
use super::place::Found;
use crate::config::OnStale;

impl Service {
    /// How fresh a secret is for a caller; `None` if no remote has it. What is stale is
    /// refused where the vault's rules say so: AWS has no error for that, so it is the
    /// one that says a request cannot be done in the secret's state.
    pub(super) fn standing(
        &self,
        call: &Call<'_>,
        found: &Found,
    ) -> Result<Option<Standing>, Fault> {
        let of_account = call.caller.account.is_some();
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        // A key of one account asks for what that account has.
        let oldest = catalog
            .sights
            .oldest(&found.record, |pair| !of_account || pair.arn == found.arn);
        drop(catalog);
        let Some(verified) = oldest else {
            return Ok(None);
        };
        let config = self.vault.config();
        let name = &found.record.name;
        let rule = config.freshness_of(name);
        let stale = rule.filter(|(_, rule)| rule.is_stale(verified, call.stamp.now));
        if let Some((_, rule)) = stale
            && rule.on_stale == OnStale::Deny
        {
            let when = verified.map_or_else(|| "never".to_owned(), |at| at.to_string());
            return Err(Fault::new(
                Code::InvalidRequestException,
                format!(
                    "strongroom: the secret {} is stale: last verified {when}, which may be at most {} ago. Ask the remotes with: strongroom fetch; bring it up to date with: strongroom sync",
                    found.name, rule.max_stale
                ),
            ));
        }
        Ok(Some(Standing {
            verified,
            is_stale: stale.is_some(),
        }))
    }
}

//! Which secret a SecretId means to whom: names, full and partial ARNs, the accounts
//! and Regions of the remotes (aws.md section 2).

use std::sync::PoisonError;

use sha2::{Digest as _, Sha256};

use super::super::protocol::{Call, Caller, Code, Fault};
use super::catalog::Catalog;
use super::input::Checks;
use super::{Service, Shared, is_gone, not_found};
use crate::config::Config;
use crate::model::{Record, RemoteFacts, RemoteName, SecretName, Timestamp};

/// The account of a secret that no remote has.
const NOBODY: &str = "000000000000";
/// How many characters the random end of an ARN has.
const SUFFIX: usize = 6;

/// A secret as one caller sees it.
pub(super) struct Found {
    pub(super) record: Shared<Record>,
    /// Its Name in answers: the remote's for a key of an account, else the vault's.
    pub(super) name: SecretName,
    /// Its full ARN.
    pub(super) arn: String,
    /// What the remote of that ARN was last seen to say of it.
    pub(super) facts: Option<Shared<RemoteFacts>>,
    /// LastChangedDate of that remote when the vault agreed with it last.
    pub(super) agreed: Option<Timestamp>,
}

impl Found {
    /// Refuses a change of a replica (aws.md section 1, exact texts).
    pub(super) fn must_be_primary(&self) -> Result<(), Fault> {
        if self.is_replica() {
            return Err(Fault::new(
                Code::InvalidParameterException,
                "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
            ));
        }
        Ok(())
    }
}

/// An ARN's parts.
struct Arn<'a> {
    region: &'a str,
    account: &'a str,
    /// Name, and the suffix if there is one.
    rest: &'a str,
}

impl<'a> Arn<'a> {
    /// `arn:<partition>:secretsmanager:<region>:<account>:secret:<rest>`.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(7, ':');
        let mut next = || parts.next();
        let (arn, _partition, service) = (next()?, next()?, next()?);
        let (region, account, kind, rest) = (next()?, next()?, next()?, next()?);
        (arn == "arn" && service == "secretsmanager" && kind == "secret").then_some(Self {
            region,
            account,
            rest,
        })
    }

    /// Name and suffix, if the end looks like one: `-` and six letters or digits. A
    /// partial ARN whose name ends so is taken for a complete one (aws.md section 2,
    /// the trap).
    fn complete(&self) -> Option<(&'a str, &'a str)> {
        let (name, suffix) = self.rest.rsplit_once('-')?;
        let fits = suffix.len() == SUFFIX && suffix.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then_some((name, suffix))
    }
}

/// What a caller sees of the vault: all of it, or what belongs to one account and
/// Region.
struct Site<'a> {
    caller: &'a Caller,
    config: &'a Config,
    catalog: &'a Catalog,
}

impl Site<'_> {
    /// The remotes of the caller's account and Region, if the key is an account's.
    fn remotes(&self) -> Option<Vec<&RemoteName>> {
        let account = self.caller.account.as_ref()?;
        let here = self.config.remotes.iter().filter(|(name, remote)| {
            remote.region == self.caller.region && self.account_of(name).as_ref() == Some(account)
        });
        Some(here.map(|(name, _)| name).collect())
    }

    /// A remote's account: pinned, or that of a secret it gave an ARN to.
    fn account_of(&self, remote: &RemoteName) -> Option<String> {
        let pinned = self.config.remotes.get(remote)?.account.clone();
        pinned.or_else(|| {
            let arn = self.catalog.examples.get(remote)?;
            Some(Arn::parse(arn)?.account.to_owned())
        })
    }

    /// The vault's name for a name that the caller uses, and back.
    fn local(&self, name: &SecretName) -> Option<SecretName> {
        match self.remotes() {
            None => Some(name.clone()),
            Some(remotes) => remotes
                .iter()
                .find_map(|r| self.config.remotes.get(*r)?.scope.to_local(name)),
        }
    }

    /// A record as the caller sees it; `None` if it does not.
    fn show(&self, record: &Shared<Record>) -> Option<Found> {
        let found = |name: SecretName, remote: Option<&RemoteName>| {
            let base = remote.and_then(|r| record.base.get(r));
            let pair = base.and_then(|b| b.pair.as_ref());
            let arn = match pair {
                Some(pair) => pair.arn.clone(),
                None => self.local_arn(record, &name),
            };
            Found {
                record: Shared::clone(record),
                facts: self.catalog.facts.get(&arn).cloned(),
                agreed: pair.and_then(|p| p.changed),
                name,
                arn,
            }
        };
        if let Some(remotes) = self.remotes() {
            return remotes.into_iter().find_map(|remote| {
                let scope = &self.config.remotes.get(remote)?.scope;
                Some(found(scope.to_remote(&record.name)?, Some(remote)))
            });
        }
        let pairs = record.base.iter().filter(|(_, base)| base.pair.is_some());
        let in_region = |remote: &RemoteName| {
            let remote = self.config.remotes.get(remote);
            remote.is_some_and(|r| r.region == self.caller.region)
        };
        let mut remotes: Vec<&RemoteName> = pairs.map(|(remote, _)| remote).collect();
        // The one of the caller's Region first, else the first by name.
        remotes.sort_by_key(|remote| !in_region(remote));
        Some(found(record.name.clone(), remotes.first().copied()))
    }

    /// The ARN of a secret that no remote has given one: its suffix depends on the
    /// vault, the name and the moment of its making, so it is stable, and another one
    /// when the name is made anew (aws.md section 2).
    fn local_arn(&self, record: &Record, name: &SecretName) -> String {
        let account = self.caller.account.as_deref().unwrap_or(NOBODY);
        let suffix = suffix(&self.config.vault_id, record);
        let region = &self.caller.region;
        format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}")
    }

    fn by_name(&self, name: &str) -> Option<Found> {
        let name: SecretName = name.parse().ok()?;
        self.show(self.catalog.records.get(&self.local(&name)?)?)
    }

    fn by_arn(&self, text: &str) -> Option<Found> {
        let arn = Arn::parse(text)?;
        if let Some(name) = self.catalog.arns.get(text) {
            let mut found = self.show(self.catalog.records.get(name)?)?;
            if self.caller.account.is_none() {
                // It answers to each of its ARNs.
                found.facts = self.catalog.facts.get(text).cloned();
                found.arn = text.to_owned();
            }
            return (found.arn == text).then_some(found);
        }
        if let Some(account) = &self.caller.account
            && (account != arn.account || self.caller.region != arn.region)
        {
            return None;
        }
        match arn.complete() {
            // Of a secret that has no ARN from a remote.
            Some((name, end)) => {
                let found = self.by_name(name)?;
                let own = Arn::parse(&found.arn)?.complete()?.1 == end;
                (own && !self.catalog.arns.contains_key(&found.arn)).then_some(found)
            }
            None => {
                let found = self.by_name(arn.rest)?;
                let of_remote = self.catalog.arns.contains_key(&found.arn);
                let is = Arn::parse(&found.arn)?;
                let same = is.region == arn.region && is.account == arn.account;
                (same || !of_remote).then_some(found)
            }
        }
    }

    /// The secret that a SecretId means, whatever the key's grant says of it.
    fn look_up(&self, call: &Call<'_>, id: &str) -> Result<Found, Fault> {
        let found = match is_arn(id) {
            true => self.by_arn(id),
            false => self.by_name(id),
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let grant = &call.caller.grant;
        // Who may not see a name learns nothing of whether it is there.
        if !grant.only.is_empty() {
            let name: Option<SecretName> = id.parse().ok();
            let local = name.and_then(|n| self.local(&n));
            if !local.is_some_and(|n| grant.covers(&n)) {
                return Err(denied(call, id));
            }
        }
        // Its metadata is under keys that are not open here: whether it is there is not
        // said, since that cannot be known.
        let name: Option<SecretName> = id.parse().ok();
        let local = name.and_then(|name| self.local(&name));
        if local.is_some_and(|name| !self.catalog.shut.is_default(&name)) {
            return Err(denied(call, id));
        }
        if let Some(why) = self.catalog.blocked.get(id) {
            return Err(Fault::new(
                Code::DecryptionFailure,
                format!("strongroom: the metadata of {id} is not believed: {why}"),
            ));
        }
        Err(not_found())
    }
}

/// Six characters of `[A-Za-z0-9]`.
fn suffix(vault_id: &str, record: &Record) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let created = record.details.created.map_or(0, Timestamp::millis);
    let mut hash = Sha256::new();
    for part in [
        b"strongroom/v1/arn",
        vault_id.as_bytes(),
        record.name.as_str().as_bytes(),
        created.to_string().as_bytes(),
    ] {
        hash.update(part);
        hash.update(b"\0");
    }
    let bytes: [u8; 32] = hash.finalize().into();
    bytes
        .iter()
        .take(SUFFIX)
        .filter_map(|b| ALPHABET.get(usize::from(*b) % ALPHABET.len()))
        .map(|b| char::from(*b))
        .collect()
}

/// Whether a SecretId is an ARN, full or partial, rather than a name.
fn is_arn(id: &str) -> bool {
    id.starts_with("arn:")
}

/// The check of a name, and of a SecretId that is no ARN (aws.md section 2).
pub(super) fn check_name(text: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    if text.chars().all(fits) {
        return Ok(());
    }
    Err(Fault::new(
        Code::ValidationException,
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    ))
}

/// The fault for a secret that the key may not see.
fn denied(call: &Call<'_>, what: &str) -> Fault {
    let operation = call.operation;
    Fault::new(
        Code::AccessDeniedException,
        format!(
            "User: {} is not authorized to perform: secretsmanager:{operation} on resource: {what} because no identity-based policy allows the secretsmanager:{operation} action",
            call.caller.access_key
        ),
    )
}

impl Service {
    /// Lets `look` see the vault as the caller does.
    fn at_site<T>(&self, call: &Call<'_>, look: impl FnOnce(&Site<'_>) -> T) -> T {
        let config = self.vault.config();
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        look(&Site {
            caller: call.caller,
            config: &config,
            catalog: &catalog,
        })
    }

    /// Finds the secret that a SecretId means. It may be scheduled for deletion.
    pub(super) fn find(&self, call: &Call<'_>, id: Option<&str>) -> Result<Found, Fault> {
        let mut checks = Checks::default();
        checks.required("secretId", id.as_ref());
        checks.length("secretId", id, 1..=2048);
        checks.finish()?;
        let id = id.unwrap_or_default();
        if !is_arn(id) {
            check_name(id)?;
        }
        let found = self.at_site(call, |site| site.look_up(call, id))?;
        let grant = &call.caller.grant;
        if !grant.covers(&found.record.name) {
            return Err(denied(call, id));
        }
        if is_gone(found.record.state.lifecycle, call.stamp.now) {
            return Err(not_found());
        }
        Ok(found)
    }

    /// Every secret that the caller sees, by the vault's names; those that are gone
    /// are left out, those scheduled for deletion are not.
    pub(super) fn all(&self, call: &Call<'_>) -> Vec<Found> {
        let is_seen = |record: &&Shared<Record>| {
            !is_gone(record.state.lifecycle, call.stamp.now)
                && call.caller.grant.covers(&record.name)
        };
        self.at_site(call, |site| {
            let records = site.catalog.records.values().filter(is_seen);
            records.filter_map(|record| site.show(record)).collect()
        })
    }

    /// The vault's name for a secret that the caller wants to make.
    pub(super) fn new_name(&self, call: &Call<'_>, name: &str) -> Result<SecretName, Fault> {
        check_name(name)?;
        let local = name.parse().ok();
        match local.and_then(|name| self.at_site(call, |site| site.local(&name))) {
            Some(local) if call.caller.grant.covers(&local) => Ok(local),
            _ => Err(denied(call, name)),
        }
    }

    /// A record as the caller sees it, after [`Self::change`].
    pub(super) fn shown(&self, call: &Call<'_>, name: &SecretName) -> Result<Found, Fault> {
        self.at_site(call, |site| site.show(site.catalog.records.get(name)?))
            .ok_or_else(not_found)
    }

    /// The ARN of a record for this caller.
    pub(super) fn arn_of(&self, call: &Call<'_>, record: &Record) -> Result<String, Fault> {
        let record = Shared::new(record.clone());
        let found = self.at_site(call, |site| site.show(&record));
        Ok(found.ok_or_else(not_found)?.arn)
    }

    /// The full ARN that a missing name would have, for the answer of a forced
    /// deletion of nothing (aws.md section 6).
    pub(super) fn invented_arn(&self, call: &Call<'_>, name: &SecretName) -> String {
        let mut record = Record::new(name.clone());
        record.details.created = Some(call.stamp.now);
        self.at_site(call, |site| site.local_arn(&record, name))
    }
}

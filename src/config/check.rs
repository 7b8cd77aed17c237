use super::{Config, RemoteConfig};
use crate::model::{RemoteName, SecretName};

/// A setting that cannot be: the key as it is written in the file, and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {rule}")]
pub struct BadValue {
    /// The key with the tables it stands in, such as `remote.prod.region`.
    pub key: String,
    /// What the key accepts.
    pub rule: &'static str,
}

/// The keys of one remote that have a rule of their own.
const REMOTE_KEYS: [&str; 6] = [
    "region", "account", "profile", "role_arn", "endpoint", "map",
];

impl Config {
    /// Checks every value. [`Config::parse`] and [`Config::emit`] do so by themselves.
    pub fn check(&self) -> Result<(), BadValue> {
        let bad = |key: &str, rule| {
            Err(BadValue {
                key: key.to_owned(),
                rule,
            })
        };
        if !is_uuid(&self.vault_id) {
            return bad("vault_id", "must be a UUID in lower case");
        }
        if !(7..=30).contains(&self.recovery_window) {
            return bad("recovery_window", "must be 7 to 30 days");
        }
        if self.max_delete.percent > 100 {
            return bad("max_delete.percent", "must be 0 to 100");
        }
        if i64::try_from(self.max_delete.count).is_err() {
            return bad("max_delete.count", "is too large");
        }
        for (name, remote) in &self.remotes {
            if *name != remote.name {
                return bad(&format!("remote.{name}"), "has two names");
            }
            remote.check()?;
        }
        for prefix in self.freshness.keys() {
            if !is_prefix(prefix) {
                return bad("freshness", "its tables are prefixes of secret names");
            }
        }
        if let Some((key, rule)) = self.broken_keyring() {
            return bad(&key, rule);
        }
        for (n, rule) in self.policies.iter().enumerate() {
            if !is_prefix(&rule.path) {
                return bad("policy.path", "must be a prefix of secret names");
            }
            let known = |remote: &RemoteName| self.remotes.contains_key(remote);
            if rule.remote.as_ref().is_some_and(|r| !known(r)) {
                return bad("policy.remote", "must be one of the vault's remotes");
            }
            if self.policies[..n].iter().any(|r| r.is_about_same(rule)) {
                return bad("policy", "has two rules about the same");
            }
        }
        Ok(())
    }
}

impl RemoteConfig {
    /// Checks every value of one remote.
    pub fn check(&self) -> Result<(), BadValue> {
        let prefixes = self.scope.include.iter().chain(&self.scope.exclude);
        let found = REMOTE_KEYS
            .into_iter()
            .find_map(|key| Some((key, self.broken_rule(key)?)))
            .or_else(|| {
                let key = |p: &String| self.scope.include.contains(p);
                let first = prefixes
                    .into_iter()
                    .find(|p| !is_prefix(p) || p.is_empty())?;
                let key = if key(first) { "include" } else { "exclude" };
                Some((key, "must hold prefixes of secret names"))
            });
        match found {
            None => Ok(()),
            Some((key, rule)) => Err(BadValue {
                key: format!("remote.{}.{key}", self.name),
                rule,
            }),
        }
    }

    fn broken_rule(&self, key: &str) -> Option<&'static str> {
        let fails = |value: &Option<String>, rule: fn(&str) -> bool| {
            value.as_deref().is_some_and(|text| !rule(text))
        };
        match key {
            "region" if !is_region(&self.region) => {
                Some("must be an AWS Region such as eu-central-1")
            }
            "account" if fails(&self.account, is_account) => Some("must be 12 digits"),
            "profile" if fails(&self.profile, is_profile) => {
                Some("must be the name of an AWS profile")
            }
            "role_arn" if fails(&self.role_arn, is_role) => {
                Some("must be the ARN of an IAM role (arn:aws:iam::...:role/...)")
            }
            "endpoint" if fails(&self.endpoint, is_endpoint) => {
                Some("must be an http:// or https:// URL of a host, without user or password")
            }
            "map" => {
                let (local, remote) = self.scope.map.as_ref()?;
                let good = is_prefix(local) && is_prefix(remote);
                (!good).then_some("must hold two prefixes of secret names")
            }
            _ => None,
        }
    }
}

/// A UUID (RFC 9562) in lower case with hyphens.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// `eu-central-1`, `us-gov-west-1`: words of letters, then a number.
fn is_region(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let is_word = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase());
    (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && (2..=4).contains(&parts.len())
        && parts.iter().all(is_word)
        && text.len() <= 64
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_profile(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c == ']')
}

fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "iam", "", account, role] => {
            partition.starts_with("aws")
                && is_account(account)
                && role.strip_prefix("role/").is_some_and(|r| !r.is_empty())
                && text.bytes().all(|b| b.is_ascii_graphic())
        }
        _ => false,
    }
}

fn is_endpoint(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty()
        && !host.starts_with(':')
        && !host.contains('@')
        && !rest.contains(['?', '#'])
        && text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether a text can begin a secret's name; the empty one can.
fn is_prefix(text: &str) -> bool {
    text.is_empty() || text.parse::<SecretName>().is_ok()
}

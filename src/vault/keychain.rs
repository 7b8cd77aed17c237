//! Which keys a secret is under: those of the keyring that its name belongs to
//! (design.md section 4, "Keyring").

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{VaultError, keyring};
use crate::config::Config;
use crate::crypto::{Commitment, KeyringKeys};
use crate::model::SecretName;

/// The keyrings of a vault that one member opens, and which names belong to which.
pub struct Keychain {
    default: KeyringKeys,
    others: BTreeMap<String, KeyringKeys>,
    routes: Routes,
}

/// Which keyring a name belongs to: by its beginning, else the default one. No beginning
/// begins another ([`crate::config::Config::check`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(BTreeMap<String, String>);

impl Routes {
    /// The keyring that a name belongs to.
    pub fn keyring_of(&self, name: &SecretName) -> &str {
        let name = name.as_str();
        // Whatever lies between a beginning of the name and the name begins so too, and
        // no beginning begins another: the nearest one before is the only candidate.
        let nearest = self
            .0
            .range::<str, _>((Bound::Unbounded, Bound::Included(name)))
            .next_back();
        match nearest.filter(|(prefix, _)| name.starts_with(prefix.as_str())) {
            Some((_, keyring)) => keyring,
            None => keyring::DEFAULT,
        }
    }

    /// Whether a name belongs to the default keyring.
    pub fn is_default(&self, name: &SecretName) -> bool {
        self.keyring_of(name) == keyring::DEFAULT
    }

    /// The routes of a vault's settings.
    pub fn of(config: &Config) -> Self {
        let own = |(prefix, name): (&str, &str)| (prefix.to_owned(), name.to_owned());
        config.keyring_prefixes().map(own).collect()
    }

    /// The beginnings of names that belong to keyrings which are not open.
    pub(super) fn closed(&self, is_open: impl Fn(&str) -> bool) -> Self {
        let closed = self.0.iter().filter(|(_, keyring)| !is_open(keyring));
        closed.map(|(p, k)| (p.clone(), k.clone())).collect()
    }

    pub(super) fn mark<'k>(
        &self,
        default: &Commitment,
        others: impl Iterator<Item = (&'k str, Commitment)>,
    ) -> String {
        let mut mark = default.to_string();
        for (prefix, keyring) in &self.0 {
            mark.push_str(&format!("\n{prefix} {keyring}"));
        }
        for (name, commitment) in others {
            mark.push_str(&format!("\n{name} {commitment}"));
        }
        mark
    }

    /// Whether every name belongs to the default keyring.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Routes {
    /// Takes pairs of a name's beginning and a keyring's name.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Keychain {
    /// The default keyring alone.
    pub fn alone(default: KeyringKeys) -> Self {
        Self::new(default, BTreeMap::new(), Routes::default())
    }

    /// The default keyring with those others that the member opens, by name.
    pub fn new(
        default: KeyringKeys,
        others: BTreeMap<String, KeyringKeys>,
        routes: Routes,
    ) -> Self {
        Self {
            default,
            others,
            routes,
        }
    }

    /// The keys of the default keyring, which every member opens.
    pub fn default_keys(&self) -> &KeyringKeys {
        &self.default
    }

    /// The keys of a keyring by its name; none if this member does not open it.
    pub fn named(&self, keyring: &str) -> Option<&KeyringKeys> {
        match keyring {
            keyring::DEFAULT => Some(&self.default),
            other => self.others.get(other),
        }
    }

    /// The keyring that a secret is under, and its keys if this member opens it.
    pub fn route(&self, name: &SecretName) -> (&str, Option<&KeyringKeys>) {
        let keyring = self.routes.keyring_of(name);
        (keyring, self.named(keyring))
    }

    /// The keys that a secret is under.
    pub fn for_secret(&self, name: &SecretName) -> Result<&KeyringKeys, VaultError> {
        let (keyring, keys) = self.route(name);
        keys.ok_or_else(|| VaultError::NoAccess {
            name: name.clone(),
            keyring: keyring.to_owned(),
        })
    }

    /// The other keyrings that are open, by name.
    pub fn others(&self) -> impl Iterator<Item = (&str, &KeyringKeys)> {
        self.others.iter().map(|(name, keys)| (name.as_str(), keys))
    }

    /// Which keyring each name belongs to.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// What tells these keys and their routes from any others: for a vault with one
    /// keyring the commitment to its keys.
    pub(super) fn mark(&self) -> String {
        let others = self.others.iter();
        let others = others.map(|(name, keys)| (name.as_str(), keys.commitment()));
        self.routes.mark(&self.default.commitment(), others)
    }

    /// Whether every name belongs to the default keyring.
    pub fn is_alone(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Identity;
    use crate::vault::testing::{ID, name};

    fn keys() -> KeyringKeys {
        KeyringKeys::new(Identity::generate(), ID)
    }

    fn routes(pairs: &[(&str, &str)]) -> Routes {
        let own = |(prefix, keyring): &(&str, &str)| ((*prefix).to_owned(), (*keyring).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn a_name_belongs_to_the_keyring_whose_prefix_it_has() {
        let routes = routes(&[
            ("prod/", "prod"),
            ("prod-eu/", "eu"),
            ("team/a/", "prod"),
            ("z/", "z"),
        ]);
        for (text, keyring) in [
            ("prod/db", "prod"),
            ("prod/a/b", "prod"),
            ("prod-eu/db", "eu"),
            ("prod-us/db", "default"),
            ("prod", "default"),
            ("prod.db", "default"),
            ("Prod/db", "default"),
            ("team/a/x", "prod"),
            ("team/ab", "default"),
            ("team/b", "default"),
            ("a", "default"),
            ("zz", "default"),
            ("z/z", "z"),
        ] {
            assert_eq!(routes.keyring_of(&name(text)), keyring, "{text}");
        }
    }

    #[test]
    fn a_keyring_that_is_not_opened_is_no_access_and_never_the_default() {
        let (default, prod) = (keys(), keys());
        let (ours, theirs) = (default.commitment(), prod.commitment());
        let routes = routes(&[("prod/", "prod"), ("ops/", "ops")]);
        let others = BTreeMap::from([("prod".to_owned(), prod)]);
        let chain = Keychain::new(default, others, routes);
        let found = |text: &str| chain.for_secret(&name(text)).map(KeyringKeys::commitment);
        assert_eq!(found("dev/db").unwrap(), ours);
        assert_eq!(found("prod/db").unwrap(), theirs);
        let error = found("ops/db").unwrap_err();
        assert_eq!(error.to_string(), "ops/db: no access: it is in keyring ops");
    }
}

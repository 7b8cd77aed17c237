use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::{BASE32, BASE64, BASE64URL_NOPAD};
use zeroize::Zeroizing;

use super::{Caller, Grant};
use crate::aws::signature::SigningSecret;

/// How the ids of minted keys begin: as long as AWS's own, and nobody takes one for it.
const MINTED: &str = "AKSTRONGROOM";

/// A fresh pair of keys and a session token, for a client to be given.
pub struct KeyPair {
    /// AWS_ACCESS_KEY_ID: 20 characters, `AKSTRONGROOM` and eight more.
    pub id: String,
    /// AWS_SECRET_ACCESS_KEY: 40 characters.
    pub secret: Zeroizing<String>,
    /// AWS_SESSION_TOKEN: 44 characters that may stand in a path.
    pub token: Zeroizing<String>,
}

impl KeyPair {
    /// How many random bytes a pair takes.
    pub const RANDOM: usize = 5 + 30 + 33;

    /// Makes a pair from bytes of the operating system's randomness.
    pub fn mint(random: &[u8; Self::RANDOM]) -> Self {
        let (id, rest) = random.split_at(5);
        let (secret, token) = rest.split_at(30);
        Self {
            id: format!("{MINTED}{}", BASE32.encode(id)),
            secret: Zeroizing::new(BASE64.encode(secret)),
            token: Zeroizing::new(BASE64URL_NOPAD.encode(token)),
        }
    }
}

/// A key that a door accepts, and what it stands for.
pub struct Key {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: SigningSecret,
    /// The session token that must come with it, if it has one.
    pub session: Option<Zeroizing<String>>,
    /// The account it stands for; `None` is the whole vault.
    pub account: Option<String>,
    /// What it may do.
    pub grant: Grant,
}

impl Key {
    /// Who calls with this key in a Region.
    pub fn caller(&self, region: &str) -> Caller {
        Caller {
            access_key: self.id.clone(),
            account: self.account.clone(),
            region: region.to_owned(),
            grant: self.grant.clone(),
        }
    }
}

/// The keys that a door accepts now. One that is taken back is unknown from the next
/// request on.
#[derive(Default)]
pub struct Keys(RwLock<HashMap<String, Arc<Key>>>);

impl Keys {
    /// Accepts a key from now on; one with the same id before it is replaced.
    pub fn add(&self, key: Key) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.id.clone(), Arc::new(key));
    }

    /// Takes a key back, when the program it was minted for has ended.
    pub fn revoke(&self, id: &str) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(id);
    }

    /// The key of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Key>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_the_shape_of_awss_and_is_told_from_it() {
        let mut random = [0; KeyPair::RANDOM];
        for (n, byte) in (0..).zip(&mut random) {
            *byte = n;
        }
        let pair = KeyPair::mint(&random);
        assert_eq!(pair.id, "AKSTRONGROOMAAAQEAYE");
        assert_eq!(pair.secret.len(), 40);
        assert_eq!(pair.token.len(), 44);
        // Every byte counts.
        for at in 0..random.len() {
            let mut other = random;
            other[at] ^= 1;
            let other = KeyPair::mint(&other);
            let same = (
                pair.id == other.id,
                pair.secret == other.secret,
                pair.token == other.token,
            );
            let changed = [same.0, same.1, same.2].iter().filter(|s| !**s).count();
            assert_eq!(changed, 1, "byte {at}");
        }
    }

    #[test]
    fn a_revoked_key_is_unknown() {
        let keys = Keys::default();
        let key = |account: Option<&str>| Key {
            id: "A".into(),
            secret: SigningSecret::new(Zeroizing::default()),
            session: None,
            account: account.map(str::to_owned),
            grant: Grant::default(),
        };
        keys.add(key(None));
        keys.add(key(Some("1")));
        assert_eq!(
            keys.find("A").unwrap().caller("r").account.as_deref(),
            Some("1")
        );
        keys.revoke("A");
        assert!(keys.find("A").is_none());
    }
}

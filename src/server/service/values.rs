use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::crypto::{Ephemeral, Sealed};
use crate::model::{Digest, Kind, SecretName, SecretValue, VersionId};

/// How many bytes of sealed values stay in memory.
const MOST: usize = 64 << 20;
/// What one value costs besides its bytes, about.
const EACH: usize = 256;

/// Values that were served before, sealed under a key of this process (design.md
/// section 8): opening one is some thirty times faster than opening its age file.
///
/// A version is immutable, so an entry is right for as long as the record vouches for
/// the same digest.
#[derive(Default)]
pub(super) struct Values {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    key: Option<Ephemeral>,
    entries: HashMap<SecretName, HashMap<VersionId, Entry>>,
    /// In the order they came, for making room.
    order: VecDeque<(SecretName, VersionId)>,
    size: usize,
}

struct Entry {
    digest: Digest,
    kind: Kind,
    sealed: Sealed,
}

impl Values {
    /// The value, if it is kept and its digest is the one the record vouches for.
    pub(super) fn get(
        &self,
        name: &SecretName,
        id: &VersionId,
        digest: Digest,
    ) -> Option<SecretValue> {
        let kept = self.kept();
        let entry = kept.entries.get(name)?.get(id)?;
        if entry.digest != digest {
            return None;
        }
        let bytes = kept.key.as_ref()?.open(&entry.sealed)?;
        SecretValue::new_of(entry.kind, bytes).ok()
    }

    /// Keeps a value. One that cannot be kept is read from its file again next time.
    pub(super) fn put(
        &self,
        name: &SecretName,
        id: &VersionId,
        digest: Digest,
        value: &SecretValue,
    ) {
        let mut kept = self.kept();
        if kept.key.is_none() {
            kept.key = Ephemeral::new().ok();
        }
        let Some(sealed) = kept
            .key
            .as_mut()
            .and_then(|key| key.seal(value.expose_secret()))
        else {
            return;
        };
        let entry = Entry {
            digest,
            kind: value.kind(),
            sealed,
        };
        kept.size += value.len() + EACH;
        let versions = kept.entries.entry(name.clone()).or_default();
        if let Some(old) = versions.insert(id.clone(), entry) {
            kept.size = kept.size.saturating_sub(old.sealed.len() + EACH);
        } else {
            kept.order.push_back((name.clone(), id.clone()));
        }
        while kept.size > MOST {
            kept.drop_oldest();
        }
    }

    /// Forgets all values and the key they are sealed under.
    pub(super) fn forget(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_oldest(&mut self) {
        let Some((name, id)) = self.order.pop_front() else {
            self.size = 0;
            return;
        };
        if let Some(versions) = self.entries.get_mut(&name) {
            if let Some(old) = versions.remove(&id) {
                self.size = self.size.saturating_sub(old.sealed.len() + EACH);
            }
            if versions.is_empty() {
                self.entries.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_unless_the_digest_is_another_or_all_is_forgotten() {
        let values = Values::default();
        let (name, id) = ("a".parse().unwrap(), "i".repeat(32).parse().unwrap());
        let digest = Digest([1; 32]);
        let value = SecretValue::string(b"v".to_vec()).unwrap();
        values.put(&name, &id, digest, &value);
        assert!(values.get(&name, &id, digest).unwrap().same_as(&value));
        assert!(values.get(&name, &id, Digest([2; 32])).is_none());
        values.forget();
        assert!(values.get(&name, &id, digest).is_none());
    }

    #[test]
    fn the_oldest_make_room() {
        let values = Values::default();
        let value = SecretValue::binary(vec![7; 65_536]).unwrap();
        let name = |n: usize| format!("n{n}").parse::<SecretName>().unwrap();
        let id: VersionId = "i".repeat(32).parse().unwrap();
        for n in 0..1100 {
            values.put(&name(n), &id, Digest([1; 32]), &value);
        }
        assert!(values.get(&name(0), &id, Digest([1; 32])).is_none());
        assert!(values.get(&name(1099), &id, Digest([1; 32])).is_some());
        let kept = values.kept();
        assert!(kept.size <= MOST && kept.order.len() > 1000);
    }
}

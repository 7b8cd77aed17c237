//! Who is in a keyring. Adding somebody touches the keyring's two files and no secret;
//! removing somebody is a [`super::Rekey`].

use super::disk::{Durable, Existing};
use super::git::{self, Committed};
use super::keyring::{self, Keyring};
use super::lock::Lock;
use super::transaction::WAIT;
use super::unlock::trusted_of;
use super::{Vault, VaultError};
use crate::crypto::{MemberKey, encrypt_keyring};
use crate::model::Timestamp;

/// In the clone's own state: the key of a member who is being added. The list names them
/// before their key opens anything; with this note it is known that it may not yet.
const ADDING: &str = "adding";

/// The longest name of a member, in characters.
const LONGEST: usize = 64;

/// Why the members cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// Not a name.
    #[error("a member's name has 1 to 64 characters, none of them a control character")]
    Name,
    /// Somebody has that name.
    #[error("{0} is a member already")]
    NameTaken(String),
    /// Somebody has that key.
    #[error("{0} has that key already")]
    KeyTaken(String),
    /// Nobody has that name.
    #[error("no member named {0}")]
    NotAMember(String),
    /// Nobody would be left.
    #[error("nobody would be left who could open the vault")]
    Last,
    /// Whoever asks would not be among those who can open the vault.
    #[error("your own key is not among the members who stay, and you would lock yourself out")]
    LocksOut,
    /// Whoever makes a keyring is not among its members.
    #[error("you must be a member of a keyring that you make")]
    NotYours,
    /// The keyring's own key is held by another process, which never gives it away.
    #[error("the keyring's key is needed for this, and an agent holds it")]
    Held,
}

/// `1 secret`, `2 secrets`.
pub(super) fn counted(count: usize) -> String {
    match count {
        1 => "1 secret".to_owned(),
        count => format!("{count} secrets"),
    }
}

fn is_name(name: &str) -> bool {
    let count = name.chars().count();
    (1..=LONGEST).contains(&count) && name.trim() == name && !name.chars().any(char::is_control)
}

impl Vault {
    /// Lets one more person open the keyring, from its keys alone: no secret is read or
    /// written. Needs the keyring's own key in this process.
    ///
    /// The list comes first and the keyring's file last, so nobody who is not listed can
    /// open it. After a crash the same call finishes the work.
    pub fn add_member(
        &self,
        name: &str,
        key: &MemberKey,
        now: Timestamp,
        use_git: bool,
    ) -> Result<Committed, VaultError> {
        self.add_member_to(keyring::DEFAULT, name, key, now, use_git)
    }

    /// The same of one keyring by its name. Whoever opens another keyring than the
    /// default one must be a member of that, by the same name and key.
    pub fn add_member_to(
        &self,
        keyring: &str,
        name: &str,
        key: &MemberKey,
        now: Timestamp,
        use_git: bool,
    ) -> Result<Committed, VaultError> {
        if !is_name(name) {
            return Err(MemberError::Name.into());
        }
        self.keyring_named(keyring)?;
        let keys = self.need_keychain()?.named(keyring);
        let keys = keys.ok_or_else(|| VaultError::KeyringClosed(keyring.to_owned()))?;
        let identity = keys.identity().ok_or(MemberError::Held)?;
        if keyring != keyring::DEFAULT && self.keyring()?.members.get(name) != Some(key) {
            return Err(MemberError::NotAMember(name.to_owned()).into());
        }
        let _lock = Lock::acquire(&self.state.lock_path(), "members add", WAIT)?;
        if let Some(error) = self.replaced() {
            return Err(error);
        }
        let mut list = self.trusted_list(keyring)?;
        let half = self.half_added()?;
        let goes_on = half.is_some_and(|(who, of)| who == name && of == keyring);
        let goes_on = goes_on && list.members.get(name) == Some(key);
        if list.members.contains_key(name) && !goes_on {
            return Err(MemberError::NameTaken(name.to_owned()).into());
        }
        if let Some((other, _)) = list.members.iter().find(|(_, has)| *has == key)
            && !goes_on
        {
            return Err(MemberError::KeyTaken(other.clone()).into());
        }
        list.members.insert(name.to_owned(), key.clone());
        let age = encrypt_keyring(&identity, now, &self.hosted(&list))?;
        let text = list.seal(keys)?;
        let paths = [Keyring::list_path(keyring), Keyring::age_path(keyring)];
        let (state, replace) = (self.state.root(), Existing::Replace);
        let note = match keyring {
            keyring::DEFAULT => key.to_string(),
            keyring => format!("{key}\n{keyring}"),
        };
        state.write(ADDING, note.as_bytes(), replace, Durable::Now)?;
        for (path, bytes) in paths.iter().zip([text.as_bytes(), age.as_bytes()]) {
            self.root.write(path, bytes, replace, Durable::Now)?;
        }
        self.pin_list(&list)?;
        let done = if use_git && self.config().git.commit {
            let message = match keyring {
                keyring::DEFAULT => format!("members: add {name}"),
                keyring => format!("members: add {name} to keyring {keyring}"),
            };
            git::commit(&self.root, &paths, &message, now, git::PATIENCE)
        } else {
            Committed::Off
        };
        state.remove(ADDING)?;
        Ok(done)
    }

    /// The member whose adding this clone began and did not finish, and the keyring, by
    /// their names: they are on its list, and may not be able to open it.
    pub fn half_added(&self) -> Result<Option<(String, String)>, VaultError> {
        let note = match self.state.root().read(ADDING, 1 << 16) {
            Ok((bytes, _)) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (key, keyring) = note.split_once('\n').unwrap_or((&note, keyring::DEFAULT));
        let list = match self.unverified_list(keyring) {
            // It was taken out since.
            Err(VaultError::Disk(error)) if error.is_not_found() => return Ok(None),
            list => list?,
        };
        let members = list.map(|list| list.members).unwrap_or_default();
        let mut of_key = members
            .into_iter()
            .filter(|(_, has)| has.to_string() == key);
        Ok(of_key.next().map(|(name, _)| (name, keyring.to_owned())))
    }

    /// Remembers a list that was just written or verified.
    pub(super) fn pin_list(&self, list: &Keyring) -> Result<(), VaultError> {
        if let Some(mut pin) = self.state.pin()? {
            pin.keyrings.insert(list.name.clone(), trusted_of(list));
            self.state.set_pin(&pin)?;
        }
        Ok(())
    }
}

use zeroize::Zeroizing;

use super::error::OpenError;
use super::hidden::{HiddenName, Placed};
use super::identity::{Identity, Recipient};
use super::keyring::Commitment;
use super::mac::{Domain, Mac};
use crate::model::{Digest, SecretName, SecretValue};

/// A text that was hidden.
pub type Revealed = Zeroizing<Vec<u8>>;

/// Whoever holds the keys of one keyring: this process ([`super::LocalKeys`]), or
/// another one that does with them what it is asked and never gives them away.
///
/// Every operation can fail, since another process can lock or end at any moment.
/// What is public about the keyring is at hand without asking.
pub trait KeyHolder: Send + Sync {
    /// The public key that values are encrypted to.
    fn recipient(&self) -> &Recipient;

    /// The commitment to the keys.
    fn commitment(&self) -> Commitment;

    /// The macs of texts of one kind, in their order. Many at once, so that a holder
    /// elsewhere is asked a few times for a whole vault.
    fn macs(&self, domain: Domain, bodies: &[&[u8]]) -> Result<Vec<Mac>, KeysError>;

    /// The keyed digest of a value, over its kind and content.
    fn digest(&self, value: &SecretValue) -> Result<Digest, KeysError>;

    /// Decrypts a value's file into the container it holds.
    fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError>;

    /// What stands for each of these names where names are hidden.
    fn hide_names(&self, names: &[&SecretName]) -> Result<Vec<HiddenName>, KeysError>;

    /// Encrypts texts, each for its place; none is longer than
    /// [`super::MAX_HIDDEN`].
    fn hide(&self, texts: &[Placed<'_>]) -> Result<Vec<Vec<u8>>, KeysError>;

    /// Decrypts what [`Self::hide`] made for these places; `None` for what it did not.
    fn reveal(&self, sealed: &[Placed<'_>]) -> Result<Vec<Option<Revealed>>, KeysError>;

    /// The keyring's own identity, to encrypt it to others. Only who holds the keys
    /// in this process has it.
    fn identity(&self) -> Option<Identity> {
        None
    }
}

/// Why a holder of keys did not use them. It says nothing about what was asked: no
/// text is forged and no file damaged because of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The holder has forgotten the keys: somebody locked it, or its time was up.
    #[error("the vault was locked while it was in use")]
    Locked,
    /// The holder is not there any more.
    #[error("the agent that held the vault's keys is gone")]
    Gone,
    /// The holder said something that is no answer.
    #[error("the agent that holds the vault's keys does not answer as this strongroom expects")]
    NoAnswer,
    /// A text that is longer than a holder elsewhere takes.
    #[error("a text of {0} bytes is more than the agent takes")]
    TooLarge(usize),
}

use std::fmt;

use zeroize::Zeroizing;

use super::container::{self, BadContainer, ContainerHeader};
use super::envelope::{self, Ciphertext};
use super::error::{EncryptError, OpenError};
use super::identity::Recipient;
use super::keyring::KeyringKeys;
use super::random;
use crate::model::{SecretName, SecretValue, Timestamp, VersionId};

/// The address of one version: what its file says inside, and must agree with where
/// it was found. age knows no sender, so this, the digest and the mac are what stops
/// a swap of two files (crypto.md section 2).
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The vault's id, a UUID in lower case.
    pub vault: &'a str,
    /// The secret.
    pub name: &'a SecretName,
    /// The version.
    pub version: &'a VersionId,
}

/// A part of a [`Binding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundField {
    /// The vault's id.
    Vault,
    /// The secret's name.
    Name,
    /// The version id.
    Version,
}

impl fmt::Display for BoundField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vault => "vault",
            Self::Name => "secret",
            Self::Version => "version",
        })
    }
}

/// A value, and what its file says beside it. Without `Debug`, as the value is.
pub struct Opened {
    /// The value. That its kind and digest are those of the metadata is still the
    /// caller's to check: anyone with the keyring's public key can make a file that
    /// opens.
    pub value: SecretValue,
    /// When the version was made, if whoever made it said so.
    pub created: Option<Timestamp>,
}

/// Encrypts one version's value to the keyring (book, formats/value-file).
///
/// Needs the public key alone, so it works while locked. Two calls never make the
/// same bytes.
pub fn seal_value(
    value: &SecretValue,
    binding: &Binding<'_>,
    created: Option<Timestamp>,
    to: &Recipient,
) -> Result<Ciphertext, EncryptError> {
    let plain = contain(value, binding, created, random::bytes()?)?;
    envelope::encrypt(&plain, std::slice::from_ref(to))
}

/// Decrypts one version's value, and refuses it when it belongs elsewhere.
pub fn open_value(
    file: &[u8],
    binding: &Binding<'_>,
    keys: &KeyringKeys,
) -> Result<Opened, OpenError> {
    let plain = keys.decrypt(file)?;
    read(&plain, binding)
}

fn contain(
    value: &SecretValue,
    binding: &Binding<'_>,
    created: Option<Timestamp>,
    salt: [u8; 16],
) -> Result<Zeroizing<Vec<u8>>, EncryptError> {
    if !container::is_vault_id(binding.vault) {
        return Err(EncryptError::VaultId);
    }
    if created.is_some_and(|time| time.to_string().parse() != Ok(time)) {
        return Err(EncryptError::Created);
    }
    let header = ContainerHeader {
        vault: binding.vault.to_owned(),
        name: binding.name.clone(),
        version: binding.version.clone(),
        kind: value.kind(),
        created,
        salt,
        size: value.len(),
    };
    Ok(container::pack(&header, value.expose_secret()))
}

fn read(plain: &[u8], binding: &Binding<'_>) -> Result<Opened, OpenError> {
    let (header, payload) = container::unpack(plain).map_err(|e| match e {
        BadContainer::NewerFormat => OpenError::NewerFormat,
        other => OpenError::BadContainer(other),
    })?;
    let field = if header.vault != binding.vault {
        Some(BoundField::Vault)
    } else if &header.name != binding.name {
        Some(BoundField::Name)
    } else if &header.version != binding.version {
        Some(BoundField::Version)
    } else {
        None
    };
    if let Some(field) = field {
        return Err(OpenError::WrongPlace { field });
    }
    let bytes = Zeroizing::new(payload.to_vec());
    let value = SecretValue::new_of(header.kind, bytes)
        .map_err(|_| OpenError::BadContainer(BadContainer::NotText))?;
    Ok(Opened {
        value,
        created: header.created,
    })
}

#[cfg(test)]
mod tests;

//! What one clone keeps for itself, outside the vault and outside git: what it
//! trusts, what it has fetched, its lock and its index (design.md section 4).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::disk::{DiskError, Durable, Existing, Root};
use crate::config::{line, quote};
use crate::crypto::Commitment;

const PIN: &str = "pin.toml";
const LOCK: &str = "lock";
pub(super) const INDEX: &str = "index";
/// The largest file of local state that is read whole, beside the index and views.
const MAX: usize = 1 << 20;

/// Why the local state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or directory of it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state directory cannot be made.
    #[error("{}: cannot make the state directory", .path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file that does not hold what it should. It is this clone's own, so it was
    /// damaged or edited; trust is not made up anew by itself.
    #[error("{}: damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// What this clone trusts, since it first unlocked the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) vault_id: String,
    /// SHA-256 of the last `strongroom.toml` whose mac was verified.
    pub(super) config: [u8; 32],
    pub(super) keyrings: BTreeMap<String, Trusted>,
}

/// A keyring as it was last verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) commitment: Commitment,
    pub(super) epoch: u32,
    /// The public keys of the members that were seen. Within an epoch members only
    /// join, so a list that lacks one of them is an old list.
    pub(super) members: BTreeSet<String>,
    /// The beginnings of the names of its secrets; the empty one is of all.
    pub(super) prefixes: Vec<String>,
    /// Whether this clone's member opened it when it was last unlocked.
    pub(super) is_open: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPin {
    format: u32,
    vault_id: String,
    config: String,
    keyring: BTreeMap<String, RawTrusted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrusted {
    commitment: String,
    epoch: u32,
    #[serde(default)]
    members: BTreeSet<String>,
    #[serde(default)]
    prefixes: Option<Vec<String>>,
    #[serde(default)]
    closed: bool,
}

impl Pin {
    fn emit(&self) -> String {
        let mut out = String::from("format = 1\n");
        line("vault_id", &self.vault_id, &mut out);
        let config = data_encoding::HEXLOWER.encode(&self.config);
        line("config", &config, &mut out);
        for (name, trusted) in &self.keyrings {
            out.push_str(&format!("\n[keyring.{name}]\n"));
            line("commitment", &trusted.commitment.to_string(), &mut out);
            out.push_str(&format!("epoch = {}\n", trusted.epoch));
            out.push_str("members = [");
            for (at, member) in trusted.members.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                quote(member, &mut out);
            }
            out.push_str("]\n");
            // Those of the default keyring are what they always are.
            if trusted.prefixes != [""] {
                out.push_str("prefixes = [");
                for (at, prefix) in trusted.prefixes.iter().enumerate() {
                    out.push_str(if at > 0 { ", " } else { "" });
                    quote(prefix, &mut out);
                }
                out.push_str("]\n");
            }
            if !trusted.is_open {
                out.push_str("closed = true\n");
            }
        }
        out
    }

    fn parse(text: &str) -> Option<Self> {
        let raw: RawPin = toml::from_str(text).ok()?;
        if raw.format != 1 {
            return None;
        }
        let config = data_encoding::HEXLOWER.decode(raw.config.as_bytes()).ok()?;
        let mut keyrings = BTreeMap::new();
        for (name, trusted) in raw.keyring {
            let commitment = trusted.commitment.parse().ok()?;
            let trusted = Trusted {
                commitment,
                epoch: trusted.epoch,
                members: trusted.members,
                prefixes: trusted.prefixes.unwrap_or_else(|| vec![String::new()]),
                is_open: !trusted.closed,
            };
            keyrings.insert(name, trusted);
        }
        Some(Self {
            vault_id: raw.vault_id,
            config: config.try_into().ok()?,
            keyrings,
        })
    }
}

/// A clone's name in local state: the first 16 hex digits of the SHA-256 of the
/// vault's real path.
fn clone_of(vault: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = Sha256::digest(vault.as_os_str().as_bytes());
    let hex = data_encoding::HEXLOWER.encode(&hash);
    hex.chars().take(16).collect()
}

/// Which vault was last trusted at a path, whatever `strongroom.toml` says now: else
/// a new vault id in the file would be a new first use.
pub(super) struct Place {
    home: PathBuf,
    clone: String,
}

impl Place {
    /// `vault` is the vault's real path.
    pub(super) fn new(state_home: &Path, vault: &Path) -> Self {
        Self {
            home: state_home.join("strongroom"),
            clone: clone_of(vault),
        }
    }

    /// The file that remembers.
    pub(super) fn record(&self) -> PathBuf {
        self.home.join("clones").join(&self.clone)
    }

    /// The vault id that was trusted here, if any.
    pub(super) fn trusted(&self) -> Result<Option<String>, StateError> {
        let root = match Root::open(&self.home) {
            Err(error) if error.is_not_found() => return Ok(None),
            root => root?,
        };
        let path = format!("clones/{}", self.clone);
        match read(&root, &path) {
            Ok(None) => Ok(None),
            Ok(Some(text)) => Ok(Some(text.trim_end().to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Opens the state of this clone of that vault, making what is not there.
    pub(super) fn state(self, vault_id: &str) -> Result<State, StateError> {
        let dir = self.home.join(vault_id).join(&self.clone);
        make_private(&dir)?;
        Ok(State {
            root: Root::open(&dir)?,
            place: self,
        })
    }
}

/// One clone's state directory.
pub(super) struct State {
    root: Root,
    place: Place,
}

impl State {
    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.root.full(LOCK)
    }

    pub(super) fn pin(&self) -> Result<Option<Pin>, StateError> {
        let Some(text) = read(&self.root, PIN)? else {
            return Ok(None);
        };
        Pin::parse(&text).map(Some).ok_or_else(|| self.damaged(PIN))
    }

    /// Remembers what is trusted, and that it is trusted here.
    pub(super) fn set_pin(&self, pin: &Pin) -> Result<(), StateError> {
        let now = Durable::Now;
        self.root
            .write(PIN, pin.emit().as_bytes(), Existing::Replace, now)?;
        let home = Root::open(&self.place.home)?;
        let path = format!("clones/{}", self.place.clone);
        let text = format!("{}\n", pin.vault_id);
        home.write(&path, text.as_bytes(), Existing::Replace, now)?;
        Ok(())
    }

    pub(super) fn damaged(&self, relative: &str) -> StateError {
        StateError::Damaged {
            path: self.root.full(relative),
        }
    }
}

fn read(root: &Root, path: &str) -> Result<Option<String>, StateError> {
    match root.read(path, MAX) {
        Ok((bytes, _)) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(StateError::Damaged {
                path: root.full(path),
            }),
        },
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes a directory and those above it, each for its owner alone.
fn make_private(dir: &Path) -> Result<(), StateError> {
    let fail = |source| StateError::Make {
        path: dir.to_owned(),
        source,
    };
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(fail)?;
    let mode = dir.metadata().map_err(fail)?.permissions().mode();
    if mode & 0o777 != 0o700 {
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(dir, private).map_err(fail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Identity, KeyringKeys};

    const ID: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

    #[test]
    fn a_pin_comes_back_and_a_damaged_one_is_not_trusted_anew() {
        let home = tempfile::tempdir().unwrap();
        let vault = Path::new("/some/vault");
        let place = || Place::new(home.path(), vault);
        assert_eq!(place().trusted().unwrap(), None);
        let state = place().state(ID).unwrap();
        assert_eq!(state.pin().unwrap(), None);
        let keys = KeyringKeys::new(Identity::generate(), ID);
        let pin = Pin {
            vault_id: ID.into(),
            config: [5; 32],
            keyrings: BTreeMap::from([(
                "default".to_owned(),
                Trusted {
                    commitment: keys.commitment(),
                    epoch: 3,
                    members: BTreeSet::from(["age1x".to_owned(), "a\"b".to_owned()]),
                    prefixes: vec!["prod/".to_owned()],
                    is_open: false,
                },
            )]),
        };
        state.set_pin(&pin).unwrap();
        assert_eq!(state.pin().unwrap(), Some(pin));
        assert_eq!(place().trusted().unwrap().as_deref(), Some(ID));
        assert_eq!(
            Place::new(home.path(), Path::new("/other"))
                .trusted()
                .unwrap(),
            None
        );
        let mode = state.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        std::fs::write(state.path().join(PIN), "format = 1\n").unwrap();
        assert!(matches!(state.pin(), Err(StateError::Damaged { .. })));
    }
}

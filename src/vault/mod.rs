//! The directory on disk, and its git history (design.md section 4; book, formats).
//!
//! A [`Vault`] is opened locked; [`Vault::unlock`] takes a member's identity and
//! verifies what everything else rests on. Changes go through a [`Transaction`].
//! Nothing here prints, asks the time or knows of AWS.

mod adopt;
mod audit;
mod cache;
mod carry;
mod carve;
mod disk;
mod error;
mod files;
mod git;
mod hidden;
mod highwater;
mod index;
mod init;
mod keychain;
mod keyring;
mod keyrings;
pub mod layout;
mod ledger;
mod listing;
mod lock;
mod members;
mod merge;
pub mod meta;
mod place;
mod presence;
mod raw;
mod rekey;
mod reseal;
mod settings_mark;
mod sights;
mod state;
#[cfg(test)]
mod testing;
mod transaction;
mod turn;
mod unlock;
mod value;
mod view;
#[cfg(feature = "watch")]
mod watching;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::crypto::{Hosted, KeyringKeys, Mac, NoPlugins, PluginHost};
use crate::model::{Record, RemoteName, SecretName};

pub use adopt::{EpochError, FormerEpoch, NewerEpoch};
pub use audit::{AuditError, AuditSetup, Audited, Auditor, Broken, Pace};
pub use carry::{HeldValue, Rests};
pub use carve::NewKeyring;
pub use disk::{DiskError, exposed};
pub use error::VaultError;
pub use files::FileReport;
pub use git::Committed;
pub use index::Loaded;
pub use init::InitOptions;
pub use keychain::{Keychain, Routes};
pub use keyring::{Keyring, KeyringError, Past};
pub use keyrings::KeyringEntry;
pub use ledger::{Ledger, Offboarding};
pub use lock::LockError;
pub use members::MemberError;
pub use merge::{GitSetup, Markers, MergeReport, Merged};
pub use meta::{MetaError, RecordError};
pub use presence::Presence;
pub use rekey::{Rekey, Rekeyed};
pub use reseal::Kind as RekeyKind;
pub use sights::{Sights, Verified};
pub use state::StateError;
pub use transaction::{Commit, Durability, Transaction};
pub use unlock::{KeyringSight, Trust};
pub use view::Fetched;
#[cfg(feature = "watch")]
pub use watching::{Heard, Polled, Watching, WatchingError};

use disk::Root;
use state::{Place, State};

/// The largest file that a vault can have, in bytes: a metadata file.
const LARGEST_FILE: usize = meta::MAX;

const CONFIG: &str = "strongroom.toml";
const SECRETS: &str = "secrets";

/// An open vault.
///
/// It can be shared between threads. Reading takes no lock: each secret's file is
/// replaced whole, so a reader sees it before or after a change, never between.
pub struct Vault {
    root: Root,
    state: State,
    settings: RwLock<Settings>,
    listings: listing::Listings,
    names: hidden::Names,
    keys: Option<Keychain>,
    audit: Option<Auditor>,
    plugins: Arc<dyn PluginHost>,
}

#[derive(Clone)]
struct Settings {
    config: Arc<Config>,
    verified: bool,
}

impl Vault {
    /// The directory of the vault that `start` lies in: `start` or the nearest above
    /// it with a `strongroom.toml`.
    pub fn find(start: &Path) -> Option<PathBuf> {
        let is_vault = |dir: &&Path| {
            let file = dir.join(CONFIG).symlink_metadata();
            file.is_ok_and(|f| f.is_file())
        };
        start.ancestors().find(is_vault).map(Path::to_owned)
    }

    /// Opens the vault at `dir`, locked. `state_home` is where local state lives,
    /// such as `~/.local/state`.
    ///
    /// The settings count as verified if they are byte for byte those that this
    /// clone verified last.
    pub fn open(dir: &Path, state_home: &Path) -> Result<Self, VaultError> {
        let not_a_vault = || VaultError::NotAVault {
            path: dir.to_owned(),
        };
        let real = dir.canonicalize().map_err(|_| not_a_vault())?;
        let root = Root::open(&real)?;
        let (config, hash) = match read_config(&root, None) {
            Err(VaultError::Disk(error)) if error.is_not_found() => return Err(not_a_vault()),
            read => read?,
        };
        let place = Place::new(state_home, &real);
        if let Some(pinned) = place.trusted()?
            && pinned != config.vault_id
        {
            return Err(VaultError::OtherVault {
                path: real,
                pinned,
                found: config.vault_id,
                record: place.record(),
            });
        }
        let state = place.state(&config.vault_id)?;
        let verified = state.pin()?.is_some_and(|pin| pin.config == hash);
        Ok(Self {
            root,
            state,
            settings: RwLock::new(Settings {
                config: Arc::new(config),
                verified,
            }),
            listings: listing::Listings::default(),
            names: hidden::Names::default(),
            keys: None,
            audit: None,
            plugins: Arc::new(NoPlugins),
        })
    }

    /// Gives it what runs the plugins of members who have one; without, a keyring with
    /// such a member cannot be encrypted anew.
    pub fn set_plugins(&mut self, plugins: Arc<dyn PluginHost>) {
        self.plugins = plugins;
    }

    /// The members of a list, with what runs their plugins.
    fn hosted(&self, list: &Keyring) -> Vec<Hosted> {
        Hosted::all(list.members.values().cloned(), &self.plugins)
    }

    /// The vault's directory, with symbolic links resolved.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where this clone keeps its local state.
    pub fn state_dir(&self) -> &Path {
        self.state.path()
    }

    /// The settings.
    pub fn config(&self) -> Arc<Config> {
        self.settings().config
    }

    /// Whether the settings are known to come from someone with the vault's key.
    pub fn config_is_verified(&self) -> bool {
        self.settings().verified
    }

    /// Reads the settings anew and verifies them: another process may have changed
    /// them since. Needs the keys.
    pub fn reread_settings(&self) -> Result<(), VaultError> {
        let (config, hash) = read_config(&self.root, Some(self.need_keys()?))?;
        if Routes::of(&config) != *self.need_keychain()?.routes() {
            let path = self.root.full(CONFIG);
            return Err(VaultError::NewEpoch { path });
        }
        self.see_settings(hash)?;
        self.set_settings(config, true);
        Ok(())
    }

    /// The keys of the vault's default keyring, which what concerns the whole vault is
    /// under; none while it is locked.
    pub fn keys(&self) -> Option<&KeyringKeys> {
        self.keys.as_ref().map(Keychain::default_keys)
    }

    /// The keys of every keyring that is open; none while the vault is locked.
    pub fn keychain(&self) -> Option<&Keychain> {
        self.keys.as_ref()
    }

    /// The keys that a secret is under.
    pub fn keys_for(&self, name: &SecretName) -> Result<&KeyringKeys, VaultError> {
        self.need_keychain()?.for_secret(name)
    }

    /// What metadata is verified under.
    fn under(&self) -> meta::Under<'_> {
        match &self.keys {
            Some(keys) => meta::Under::Each(keys),
            None => meta::Under::Form,
        }
    }

    /// Whether values can be read and changes made.
    pub fn is_unlocked(&self) -> bool {
        self.keys.is_some()
    }

    /// Reads one secret's metadata, if there is any. Unlocked, its mac is verified.
    pub fn record(&self, name: &SecretName) -> Result<Option<Record>, VaultError> {
        match self.keychain() {
            Some(keys) => keys.for_secret(name).map(|_| ())?,
            None => self.refuse_shut(name)?,
        }
        if self.hides_names() && !self.is_unlocked() {
            return self.record_by_index(name);
        }
        let path = self.place(name)?.metadata();
        let full = format!("{SECRETS}/{path}");
        let bytes = match self.root.read(&full, meta::MAX) {
            Ok((bytes, _)) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(DiskError::TooLarge { path, .. }) => {
                let source = MetaError::TooLarge;
                return Err(VaultError::Metadata { path, source });
            }
            Err(error) => return Err(error.into()),
        };
        if merge::unmerged(&self.root).contains(&full) {
            let source = MetaError::Unmerged;
            return Err(VaultError::metadata(self.root.full(&full), source));
        }
        match self.read_metadata(&bytes, &path) {
            Ok(record) => Ok(Some(record)),
            Err(source) => {
                let error = VaultError::metadata(self.root.full(&full), source);
                Err(self.or_replaced(error))
            }
        }
    }

    /// The same where only what this clone has seen can say which file it is.
    fn record_by_index(&self, name: &SecretName) -> Result<Option<Record>, VaultError> {
        let mut loaded = self.load()?;
        match loaded.records.remove(name) {
            None if !loaded.blocked.is_empty() => Err(VaultError::NamesHidden),
            record => Ok(record),
        }
    }

    /// What git is in the middle of in the vault's work tree, in a word of git's own;
    /// `None` where it is at rest or not used. Files may be half checked out then.
    pub fn git_under_way(&self) -> Option<&'static str> {
        git::under_way(&self.root)
    }

    /// The commit that git's HEAD is at, if there is one.
    pub fn git_head(&self) -> Option<String> {
        git::head(&self.root)
    }

    /// Keeps what a remote showed, for use without a network.
    pub fn save_view(&self, remote: &RemoteName, fetched: &Fetched) -> Result<(), VaultError> {
        Ok(view::save(&self.state, remote, fetched)?)
    }

    /// What a remote showed when it was last asked.
    pub fn load_view(&self, remote: &RemoteName) -> Result<Option<Fetched>, VaultError> {
        Ok(view::load(&self.state, remote)?)
    }

    /// Forgets what a remote showed.
    pub fn forget_view(&self, remote: &RemoteName) -> Result<(), VaultError> {
        Ok(view::forget(&self.state, remote)?)
    }

    fn need_keys(&self) -> Result<&KeyringKeys, VaultError> {
        self.keys().ok_or(VaultError::Locked)
    }

    fn need_keychain(&self) -> Result<&Keychain, VaultError> {
        self.keys.as_ref().ok_or(VaultError::Locked)
    }

    fn settings(&self) -> Settings {
        let settings = self.settings.read();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_settings(&self, config: Config, verified: bool) {
        let settings = self.settings.write();
        *settings.unwrap_or_else(PoisonError::into_inner) = Settings {
            config: Arc::new(config),
            verified,
        };
    }
}

/// Reads `strongroom.toml`; with keys its mac is verified. Gives back the SHA-256 of
/// its bytes too.
fn read_config(root: &Root, keys: Option<&KeyringKeys>) -> Result<(Config, [u8; 32]), VaultError> {
    let text = read_text(root, CONFIG, meta::MAX)?;
    let body = match keys {
        Some(keys) => keys.verify_text(crate::crypto::Domain::Vault, &text),
        None => Mac::split_text(&text).map(|(body, _)| body),
    };
    let path = || root.full(CONFIG);
    // A wrong mac would hide the more telling answer.
    let config = match (Config::parse(text.as_str()), body) {
        (Err(source @ crate::config::ConfigError::NewerFormat(_)), _) => Err(source),
        (_, Err(source)) => {
            return Err(VaultError::mac(path(), source));
        }
        (_, Ok(body)) => Config::parse(body),
    };
    let config = config.map_err(|source| VaultError::Config {
        path: path(),
        source,
    })?;
    Ok((config, Sha256::digest(text.as_bytes()).into()))
}

/// Reads a text file of ours and looks for git's conflict markers first.
fn read_text(root: &Root, path: &str, cap: usize) -> Result<String, VaultError> {
    let (bytes, _) = root.read(path, cap)?;
    let text = String::from_utf8(bytes).map_err(|_| VaultError::Mac {
        path: root.full(path),
        source: crate::crypto::MacError::Malformed,
    })?;
    match meta::conflict_marker(&text) {
        Some(line) => Err(VaultError::ConflictMarkers {
            path: root.full(path),
            line,
        }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod book_tests;
#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod tests;

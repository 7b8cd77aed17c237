use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use sha2::{Digest, Sha256};

use super::disk::{DiskError, Durable, Existing, Root, exposed};
use super::keychain::Keychain;
use super::keyring::{self, Keyring};
use super::state::{Pin, Place};
use super::unlock::trusted_of;
use super::{CONFIG, Committed, SECRETS, Settings, Vault, VaultError, git};
use crate::config::Config;
use crate::crypto::{Domain, HasMemberKey, Identity, KeyringKeys, NoPlugins, encrypt_keyring};
use crate::model::Timestamp;

pub(super) const ATTRIBUTES: &str = ".gitattributes";
/// The largest `.gitattributes` that is added to, in bytes.
const MAX_ATTRIBUTES: usize = 1 << 20;
/// git must not convert our bytes (crypto.md section 4).
const WHOLE_TREE: &str = "* -text";
/// The same where the directory has other files and attributes of its own.
const OUR_TREE: [&str; 3] = [
    "/strongroom.toml -text",
    "/keys/** -text",
    "/secrets/** -text",
];
/// What two clones changed is for our merge driver, where a clone has it. A keyring's age
/// file has no lines: one without a zero byte would look like text to git, which would put
/// conflict markers into it.
const OUR_MERGE: [&str; 4] = [
    "/strongroom.toml merge=strongroom",
    "/keys/*.toml merge=strongroom",
    "/keys/*.age -merge",
    "/secrets/**/*.toml merge=strongroom",
];

/// What a new vault is made from.
pub struct InitOptions<'a> {
    /// The vault's id: a random UUID in lower case.
    pub vault_id: &'a str,
    /// The keyring's own identity, freshly generated.
    pub keyring: Identity,
    /// What the first member is called in the member list.
    pub member_name: &'a str,
    /// The first member.
    pub member: &'a dyn HasMemberKey,
    /// Now.
    pub now: Timestamp,
    /// Whether changes are committed to git; without a work tree around the vault,
    /// a repository is made.
    pub git: bool,
}

impl Vault {
    /// Makes a vault in a directory, which is made too if need be, and commits it. The
    /// vault is unlocked and trusted by this clone.
    ///
    /// `strongroom.toml` is written last, so what a crash leaves is no vault.
    pub fn init(
        dir: &Path,
        state_home: &Path,
        options: InitOptions<'_>,
    ) -> Result<(Self, Committed), VaultError> {
        let config = Config::new(options.vault_id);
        Self::init_with(dir, state_home, options, config)
    }

    /// The same, and names, tags and descriptions are hidden from whoever has no key.
    pub fn init_hidden(
        dir: &Path,
        state_home: &Path,
        options: InitOptions<'_>,
    ) -> Result<(Self, Committed), VaultError> {
        let mut config = Config::new(options.vault_id);
        config.hidden_names = true;
        Self::init_with(dir, state_home, options, config)
    }

    fn init_with(
        dir: &Path,
        state_home: &Path,
        options: InitOptions<'_>,
        mut config: Config,
    ) -> Result<(Self, Committed), VaultError> {
        let made = |source| DiskError::Io {
            path: dir.to_owned(),
            operation: "make the directory",
            source,
        };
        let was_there = dir.exists();
        if !was_there {
            use std::os::unix::fs::DirBuilderExt;
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(made)?;
        }
        let real = dir.canonicalize().map_err(made)?;
        if real.join(CONFIG).symlink_metadata().is_ok() {
            return Err(VaultError::AlreadyAVault { path: real });
        }
        if let Some(path) = exposed(&real) {
            return Err(VaultError::Exposed { path });
        }
        let root = Root::open(&real)?;
        config.git.commit = options.git;
        let body = config.emit()?;
        let age = encrypt_keyring(&options.keyring, options.now, &[options.member])?;
        let keys = KeyringKeys::new(options.keyring, options.vault_id);
        let list = Keyring::new(&keys, options.member_name, options.member);
        if options.git {
            git::init(&root).map_err(|reason| VaultError::Git {
                path: real.clone(),
                reason,
            })?;
        }

        let mut paths = Vec::new();
        let mut write = |path: &str, bytes: &[u8]| {
            paths.push(path.to_owned());
            root.write(path, bytes, Existing::Replace, Durable::Now)
        };
        if let Some(text) = attributes(&root)? {
            write(ATTRIBUTES, text.as_bytes())?;
        }
        write(&Keyring::age_path(keyring::DEFAULT), age.as_bytes())?;
        let text = list.seal(&keys)?;
        write(&Keyring::list_path(keyring::DEFAULT), text.as_bytes())?;
        let text = keys.seal_text(Domain::Vault, body)?;
        write(CONFIG, text.as_bytes())?;
        root.make_dir(SECRETS, Durable::Now)?;

        let state = Place::new(state_home, &real).state(options.vault_id)?;
        let trusted = trusted_of(&list);
        state.set_pin(&Pin {
            vault_id: options.vault_id.to_owned(),
            config: Sha256::digest(text.as_bytes()).into(),
            keyrings: BTreeMap::from([(keyring::DEFAULT.to_owned(), trusted)]),
        })?;
        let committed = if options.git {
            let message = "init: a new vault";
            git::commit(&root, &paths, message, options.now, git::PATIENCE)
        } else {
            Committed::Off
        };
        let vault = Self {
            root,
            state,
            settings: RwLock::new(Settings {
                config: Arc::new(config),
                verified: true,
            }),
            listings: super::listing::Listings::default(),
            names: super::hidden::Names::default(),
            keys: Some(Keychain::alone(keys)),
            audit: None,
            plugins: Arc::new(NoPlugins),
        };
        Ok((vault, committed))
    }
}

/// The attributes file as it must become, if it is not right already.
pub(super) fn attributes(root: &Root) -> Result<Option<String>, VaultError> {
    let (bytes, is_new) = match root.read(ATTRIBUTES, MAX_ATTRIBUTES) {
        Err(error) if error.is_not_found() => (Vec::new(), true),
        Err(error) => return Err(error.into()),
        Ok((bytes, _)) => (bytes, false),
    };
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let before = text.len();
    let has = |text: &str, rule: &str| text.lines().any(|line| line.trim_end() == rule);
    let bytes_rules: &[&str] = match is_new || has(&text, WHOLE_TREE) {
        true => &[WHOLE_TREE],
        false => &OUR_TREE,
    };
    for rule in bytes_rules.iter().chain(&OUR_MERGE) {
        if !has(&text, rule) {
            if !(text.is_empty() || text.ends_with('\n')) {
                text.push('\n');
            }
            text.push_str(rule);
            text.push('\n');
        }
    }
    Ok((text.len() > before).then_some(text))
}

//! Everything a command takes from its surroundings: the environment, the clock,
//! randomness, the vault's place and the identity that opens it. Nothing below the
//! command line reads any of these itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use zeroize::Zeroizing;

use super::Globals;
use super::error::CommandError;
use super::exit::Exit;
use super::plugins::Plugins;
use super::ui::Ui;
use crate::agent::{Client, ClientError, Clock, Moment};
use crate::config::{AuditRule, Holder, Preferences};
use crate::crypto::{
    HasMemberKey as _, Identity, Member, MemberKey, Passphrase, PluginIdentity, PluginKeyFile,
    SealedIdentity, SshIdentity, SshKeyError, SshKeyFile, UnsealError,
};
use crate::model::{AuditEntry, Record, RemoteName, SecretName, Stamp, Timestamp, VersionId};
use crate::vault::{Trust, Vault, VaultError};

/// Variables that must not reach a program that is started from here.
pub(super) const OWN_SECRETS: [&str; 4] = [
    "STRONGROOM_IDENTITY",
    "STRONGROOM_IDENTITY_FD",
    "STRONGROOM_PASSPHRASE_FD",
    "STRONGROOM_SERVE_SECRET_ACCESS_KEY",
];
/// The largest identity file that is read, in bytes.
const MAX_IDENTITY: u64 = 64 * 1024;

/// The person's own private key, which opens the vaults that they are a member of.
pub enum Own {
    /// An age key, strongroom's or age-keygen's.
    Age(Identity),
    /// An ssh-ed25519 key.
    Ssh(SshIdentity),
    /// A key of an age plugin.
    Plugin(PluginIdentity),
}

impl Own {
    /// The key as a member's.
    pub fn member(&self) -> &dyn Member {
        match self {
            Self::Age(key) => key,
            Self::Ssh(key) => key,
            Self::Plugin(key) => key,
        }
    }

    /// Its public half.
    pub fn member_key(&self) -> MemberKey {
        match self {
            Self::Age(key) => key.member_key(),
            Self::Ssh(key) => key.member_key(),
            Self::Plugin(key) => key.member_key(),
        }
    }
}

/// What a command runs in.
pub struct Context {
    /// The terminal.
    pub ui: Ui,
    pub(super) globals: Globals,
    home: Option<PathBuf>,
    config_home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    identity_file: Option<PathBuf>,
    identity: Option<Zeroizing<String>>,
    agent_socket: Option<PathBuf>,
    /// The local state of the vault that is open.
    clone_state: OnceLock<PathBuf>,
    editor: Option<OsString>,
    /// XDG_RUNTIME_DIR, where files are memory.
    pub runtime_dir: Option<PathBuf>,
    /// The desktop session, for the clipboard.
    pub desktop: super::clipboard::Desktop,
    /// Where programs are looked for.
    pub search_path: Option<OsString>,
    /// The file mode mask that this process was started with.
    pub umask: u32,
    user: Option<String>,
    /// The verb, for the audit log.
    pub(super) verb: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub(super) fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|v| !v.is_empty())
}

/// Now, to the millisecond.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the clock"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The clocks by which the agent measures its time (crypto.md section 5).
pub(super) fn clock() -> Clock {
    use rustix::time::{ClockId, clock_gettime};
    let read = |id| Duration::try_from(clock_gettime(id)).unwrap_or_default();
    Box::new(move || Moment {
        boot: read(ClockId::Boottime),
        awake: read(ClockId::Monotonic),
        wall: now(),
    })
}

/// Where the system's bus is (D-Bus specification, well-known message bus instances).
pub(super) fn system_bus() -> String {
    let said = var("DBUS_SYSTEM_BUS_ADDRESS").and_then(|address| address.into_string().ok());
    said.unwrap_or_else(|| "unix:path=/var/run/dbus/system_bus_socket".to_owned())
}

/// A random UUID, as AWS recommends for ClientRequestTokens.
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub(super) fn new_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// A fresh version id.
pub(super) fn new_id() -> Result<VersionId, CommandError> {
    Ok(new_uuid().parse()?)
}

/// The moment and a fresh id for one request of the endpoint.
#[expect(clippy::expect_used, reason = "a UUID is a version id")]
pub(super) fn fresh_stamp() -> Stamp {
    Stamp {
        now: now(),
        id: new_uuid().parse().expect("a UUID is a version id"),
    }
}

/// Whether NO_COLOR allows colours.
pub(super) fn color() -> bool {
    var("NO_COLOR").is_none()
}

impl Context {
    /// Looks at the surroundings once.
    pub(super) fn new(ui: Ui, mut globals: Globals, umask: u32) -> Self {
        let path = |name: &str| var(name).map(PathBuf::from);
        let home = path("HOME");
        let under = |name: &str, dir: &str| {
            path(name)
                .filter(|p| p.is_absolute())
                .or_else(|| home.as_ref().map(|h| h.join(dir)))
        };
        let text = |name: &str| var(name).and_then(|v| v.into_string().ok());
        let number = |name: &str| text(name).and_then(|t| t.parse().ok());
        globals.identity_fd = globals
            .identity_fd
            .or_else(|| number("STRONGROOM_IDENTITY_FD"));
        globals.passphrase_fd = globals
            .passphrase_fd
            .or_else(|| number("STRONGROOM_PASSPHRASE_FD"));
        globals.vault = globals.vault.or_else(|| path("STRONGROOM_VAULT"));
        Self {
            config_home: under("XDG_CONFIG_HOME", ".config"),
            state_home: under("XDG_STATE_HOME", ".local/state"),
            identity_file: path("STRONGROOM_IDENTITY_FILE"),
            identity: text("STRONGROOM_IDENTITY").map(Zeroizing::new),
            agent_socket: path("STRONGROOM_AGENT_SOCK"),
            clone_state: OnceLock::new(),
            editor: var("VISUAL").or_else(|| var("EDITOR")),
            runtime_dir: path("XDG_RUNTIME_DIR").filter(|p| p.is_absolute()),
            desktop: super::clipboard::Desktop {
                wayland: var("WAYLAND_DISPLAY").is_some(),
                x11: var("DISPLAY").is_some(),
            },
            search_path: var("PATH"),
            umask,
            user: text("USER").or_else(|| text("LOGNAME")),
            verb: String::new(),
            home,
            ui,
            globals,
        }
    }

    /// A home of a test: nothing of the real surroundings but PATH and memory.
    #[cfg(test)]
    pub(super) fn in_home(home: &Path, globals: Globals) -> Self {
        let ui = Ui::new(true, false, true, super::ProgressMode::None, false);
        Self {
            home: Some(home.to_owned()),
            config_home: Some(home.join("config")),
            state_home: Some(home.join("state")),
            identity_file: None,
            identity: None,
            runtime_dir: None,
            ..Self::new(ui, globals, 0o027)
        }
    }

    /// Whether the identity is the one in STRONGROOM_IDENTITY, and no file.
    pub fn identity_is_in_env(&self) -> bool {
        self.identity_file.is_none() && self.identity.is_some()
    }

    /// Whether the environment names or holds an identity.
    pub fn has_env_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The moment and the id of a change.
    pub fn stamp(&self) -> Result<Stamp, CommandError> {
        Ok(Stamp {
            now: now(),
            id: new_id()?,
        })
    }

    /// Whether `--offline` was given, or set for this clone or person.
    pub fn offline(&self) -> Result<bool, CommandError> {
        Ok(self.globals.offline || self.preferences()?.offline == Some(true))
    }

    /// What a first member is called when nobody says otherwise.
    pub fn member_name(&self) -> String {
        self.user.clone().unwrap_or_else(|| "owner".to_owned())
    }

    /// `~/.local/state` or what XDG_STATE_HOME says.
    pub fn state_home(&self) -> Result<&Path, CommandError> {
        self.state_home.as_deref().ok_or_else(no_home)
    }

    /// Where this person's identity lives.
    pub fn identity_path(&self) -> Result<PathBuf, CommandError> {
        if let Some(file) = &self.identity_file {
            return Ok(file.clone());
        }
        if let Some(file) = self.preferences()?.identity {
            return Ok(self.in_home_of(&file));
        }
        let config = self.config_home.as_ref().ok_or_else(no_home)?;
        Ok(config.join("strongroom/identity"))
    }

    /// What this person has set, and before it what this clone has, once a vault is
    /// open (book, configuration).
    fn preferences(&self) -> Result<Preferences, CommandError> {
        let person = match &self.config_home {
            Some(dir) => read_preferences(&dir.join("strongroom/config.toml"), Holder::Person)?,
            None => Preferences::default(),
        };
        Ok(match self.clone_state.get() {
            Some(dir) => read_preferences(&dir.join("config.toml"), Holder::Clone)?.or(person),
            None => person,
        })
    }

    /// What becomes of the audit log, by this clone's word or this person's.
    pub(super) fn audit_rule(&self) -> Result<AuditRule, CommandError> {
        Ok(self.preferences()?.audit.unwrap_or_default())
    }

    /// What runs age plugins, those that this clone or this person allows.
    pub(super) fn plugins(&self) -> Result<Arc<Plugins>, CommandError> {
        let named = self.preferences()?.plugins.unwrap_or_default();
        let names = named.iter().map(|text| text.parse());
        let allowed = names.collect::<Result<_, _>>();
        let allowed = allowed.map_err(|e| {
            CommandError::from_error(Exit::Usage, e).hint("correct plugins in config.toml")
        })?;
        let given = [self.globals.identity_fd, self.globals.passphrase_fd];
        Ok(Arc::new(Plugins {
            ui: self.ui.clone(),
            allowed,
            search_path: self.search_path.clone().unwrap_or_default(),
            keeps_descriptors: given.into_iter().flatten().any(|fd| fd > 9),
        }))
    }

    /// A path of a preference; `~/` is the home directory.
    fn in_home_of(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }
    }

    /// The editor: of the environment, else of the preferences.
    pub fn editor(&self) -> Result<Option<OsString>, CommandError> {
        match &self.editor {
            Some(editor) => Ok(Some(editor.clone())),
            None => Ok(self.preferences()?.editor.map(OsString::from)),
        }
    }

    /// Whether a change is left to git uncommitted, for this vault's clone.
    pub fn no_commit(&self) -> Result<bool, CommandError> {
        Ok(self.globals.no_commit || self.preferences()?.commit == Some(false))
    }

    /// The vault's directory: `-C`, `STRONGROOM_VAULT`, or the nearest above here.
    pub fn vault_dir(&self) -> Result<PathBuf, CommandError> {
        if let Some(dir) = &self.globals.vault {
            return Ok(dir.clone());
        }
        let own = self.preferences()?.vault;
        let here =
            std::env::current_dir().map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
        let own = own.map(|dir| self.in_home_of(&dir));
        Vault::find(&here).or(own).ok_or_else(|| {
            CommandError::not_found(format!("{}: no vault here or above", here.display()))
                .hint("make one with: strongroom init; or name one with -C DIR or STRONGROOM_VAULT")
        })
    }

    /// Opens the vault, locked.
    pub fn open(&self) -> Result<Vault, CommandError> {
        let mut vault = Vault::open(&self.vault_dir()?, self.state_home()?)?;
        // One command is about one vault.
        let _first = self.clone_state.set(vault.state_dir().to_owned());
        vault.set_plugins(self.plugins()?);
        self.audit(&mut vault)?;
        if vault.hides_names() {
            self.unlock_to_show(&mut vault);
        }
        Ok(vault)
    }

    /// Unlocks a vault that shows nothing while it is locked, if that takes neither a
    /// question nor a decision; else it stays locked.
    fn unlock_to_show(&self, vault: &mut Vault) {
        let is_given = self.globals.identity_fd.or(self.globals.passphrase_fd);
        if is_given.is_none() && vault.config_is_verified() {
            // Whoever needs the keys unlocks again, and hears why it cannot be done.
            drop(self.unlock_quietly(vault));
        }
    }

    /// Opens the vault and unlocks it.
    pub fn unlocked(&self) -> Result<Vault, CommandError> {
        let mut vault = self.open()?;
        self.unlock(&mut vault)?;
        Ok(vault)
    }

    /// Unlocks an open vault: through the agent if it holds the vault's keys, else with
    /// the person's identity. A descriptor that was given for either goes first.
    pub fn unlock(&self, vault: &mut Vault) -> Result<(), CommandError> {
        let is_given = self.globals.identity_fd.or(self.globals.passphrase_fd);
        if is_given.is_none() && self.unlock_by_agent(vault)? {
            return Ok(());
        }
        let identity = self.identity_for(vault)?;
        self.unlock_as(vault, identity.member())
    }

    /// Unlocks an open vault without asking anybody: by the agent, or with an identity
    /// that has no passphrase.
    pub fn unlock_quietly(&self, vault: &mut Vault) -> Result<(), CommandError> {
        if self.unlock_by_agent(vault)? {
            return Ok(());
        }
        let in_env = self.globals.identity_fd.is_some() || self.identity_is_in_env();
        if !in_env {
            let path = self.identity_path()?;
            let bytes = read_small(&path).unwrap_or_default();
            // A plugin may ask too.
            if SealedIdentity::is_sealed(&bytes) || PluginKeyFile::is_plugin(&bytes) {
                return Err(CommandError::new(Exit::Locked, "the vault is locked"));
            }
        }
        self.unlock_as(vault, self.identity_for(vault)?.member())
    }

    /// Unlocks an open vault with an identity.
    pub fn unlock_as(&self, vault: &mut Vault, identity: &dyn Member) -> Result<(), CommandError> {
        self.say_trust(vault.unlock(identity)?);
        self.say_state(vault);
        Ok(())
    }

    pub(super) fn unlock_by_agent(&self, vault: &mut Vault) -> Result<bool, CommandError> {
        let keys = match self.agent() {
            Ok(Some(agent)) => agent.keys(&vault.config().vault_id),
            Ok(None) => return Ok(false),
            Err(error) => Err(error),
        };
        let keys = match keys {
            Ok(Some(keys)) => keys,
            Ok(None) => return Ok(false),
            Err(error @ (ClientError::Place(_) | ClientError::Foreign { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                self.ui.warn(&format!("the agent is not used: {error}"));
                return Ok(false);
            }
        };
        let mut others = BTreeMap::new();
        if let Ok(Some(agent)) = self.agent() {
            let config = vault.config();
            for name in config.keyrings.keys() {
                if let Ok(Some(keys)) = agent.keys_named(&config.vault_id, name) {
                    others.insert(name.clone(), keys);
                }
            }
        }
        match vault.unlock_with_all(keys, others) {
            Ok(trust) => {
                self.say_trust(trust);
                self.say_state(vault);
                Ok(true)
            }
            // It locked just now, or what it holds is another clone's keyring.
            // Or the keys were replaced since.
            Err(
                VaultError::Locked | VaultError::OtherKeyring { .. } | VaultError::NewEpoch { .. },
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Says so when this clone begins to trust a keyring.
    fn say_trust(&self, trust: Trust) {
        match trust {
            Trust::FirstUse { fingerprint } => self.ui.status(&format!(
                "Trusting this vault's keyring from now on; compare its fingerprint with a teammate's: {fingerprint}"
            )),
            Trust::Vouched { epoch } => self.ui.status(&format!(
                "The vault has new keys (epoch {epoch}); the keys trusted so far vouch for them"
            )),
            Trust::Pinned | Trust::Accepted => {}
        }
    }

    /// Says so when the settings that now count are older than this clone has seen, and
    /// when the adding of a member was cut off.
    fn say_state(&self, vault: &Vault) {
        if let Ok(Some((name, _))) = vault.half_added() {
            self.ui.warn(&format!(
                "{} is on the list of members and may not be able to open the vault: add them again",
                crate::model::Escaped(&name)
            ));
        }
        if let Err(error) = vault.refuse_old_settings() {
            self.ui.warn(&error.to_string());
        }
    }

    /// The running agent, if there is one.
    pub fn agent(&self) -> Result<Option<Client>, ClientError> {
        match self.agent_path() {
            Some(path) => Client::connect(&path),
            None => Ok(None),
        }
    }

    /// Where the agent listens: where STRONGROOM_AGENT_SOCK says, else in
    /// XDG_RUNTIME_DIR, else among the local state.
    pub fn agent_socket(&self) -> Result<PathBuf, CommandError> {
        self.agent_path().ok_or_else(no_home)
    }

    fn agent_path(&self) -> Option<PathBuf> {
        let runtime = self.runtime_dir.as_ref();
        self.agent_socket
            .clone()
            .or_else(|| runtime.map(|dir| dir.join("strongroom/agent.sock")))
            .or_else(|| self.agent_state().map(|dir| dir.join("agent.sock")))
    }

    /// The agent's part of the local state: its log.
    pub fn agent_state(&self) -> Option<PathBuf> {
        let state = self.state_home.as_ref();
        state.map(|dir| dir.join("strongroom/agent"))
    }

    /// The identity that opens vaults: from a descriptor, a file, the environment, or
    /// the person's own file, whose passphrase is asked for on the terminal.
    pub fn identity(&self) -> Result<Own, CommandError> {
        if let Some(fd) = self.globals.identity_fd {
            let bytes = read_fd(fd)?;
            return self.parse_identity(&bytes, Path::new(&format!("descriptor {fd}")));
        }
        if self.identity_file.is_none()
            && let Some(text) = &self.identity
        {
            self.ui.warn(
                "STRONGROOM_IDENTITY holds a key in the environment, where other programs of this user can read it; a file or a descriptor is safer",
            );
            return self.parse_identity(text.as_bytes(), Path::new("STRONGROOM_IDENTITY"));
        }
        let path = self.identity_path()?;
        let bytes = read_small(&path).map_err(|error| {
            let exit = match error.kind() {
                std::io::ErrorKind::NotFound => Exit::NoIdentity,
                _ => Exit::Unexpected,
            };
            CommandError::new(exit, format!("{}: {error}", path.display())).hint(
                "strongroom init makes an identity; STRONGROOM_IDENTITY_FILE names another one",
            )
        })?;
        self.parse_identity(&bytes, &path)
    }

    /// The same, to open this vault: a wrong passphrase is noted in its audit log.
    pub fn identity_for(&self, vault: &Vault) -> Result<Own, CommandError> {
        self.identity().inspect_err(|error| {
            if error.error.is::<WrongPassphrase>() {
                let entry = AuditEntry::of_failed_unlock("AccessDeniedException");
                // That it was wrong is said; that it was not logged is the lesser news.
                drop(vault.note(None, vec![entry]));
            }
        })
    }

    fn parse_identity(&self, bytes: &[u8], place: &Path) -> Result<Own, CommandError> {
        let broken = |error: &dyn std::fmt::Display| {
            CommandError::new(Exit::Integrity, format!("{}: {error}", place.display()))
                .hint("the identity file is damaged; put your backup of it back")
        };
        if SshKeyFile::is_ssh(bytes) {
            return self.parse_ssh(bytes, place).map(Own::Ssh);
        }
        if PluginKeyFile::is_plugin(bytes) {
            let file = PluginKeyFile::parse(bytes).map_err(|e| {
                CommandError::new(Exit::Integrity, format!("{}: {e}", place.display()))
            })?;
            return Ok(Own::Plugin(file.open(self.plugins()?)));
        }
        if !SealedIdentity::is_sealed(bytes) {
            let identity = Identity::from_file(bytes).map_err(|e| broken(&e));
            return identity.map(Own::Age);
        }
        let sealed = SealedIdentity::parse(bytes).map_err(|e| broken(&e))?;
        if sealed.cost().is_weak() {
            self.ui.warn(
                "this identity's passphrase hashing is weak; strengthen it with: strongroom passwd",
            );
        }
        let passphrase = self.passphrase(place)?;
        let opened = sealed.open(&passphrase).map_err(|error| match error {
            UnsealError::WrongPassphrase => wrong_passphrase(place),
            error => broken(&error),
        });
        opened.map(Own::Age)
    }

    fn parse_ssh(&self, bytes: &[u8], place: &Path) -> Result<SshIdentity, CommandError> {
        let failed = |error: SshKeyError| {
            let exit = match &error {
                SshKeyError::WrongPassphrase => return wrong_passphrase(place),
                SshKeyError::Kind(_) => Exit::Unsupported,
                SshKeyError::Malformed | SshKeyError::Rounds(_) => Exit::Integrity,
            };
            CommandError::new(exit, format!("{}: {error}", place.display()))
        };
        let key = SshKeyFile::parse(bytes).map_err(failed)?;
        let passphrase = match key.is_sealed() {
            true => Some(self.passphrase(place)?),
            false => None,
        };
        key.open(passphrase.as_ref()).map_err(failed)
    }

    fn passphrase(&self, place: &Path) -> Result<Passphrase, CommandError> {
        if let Some(passphrase) = self.given_passphrase()? {
            return Ok(passphrase);
        }
        let prompt = format!("Passphrase for {}: ", place.display());
        self.ui.passphrase(&prompt).map_err(|error| {
            error
                .hint("unlock the vault for a while, on a terminal: strongroom unlock")
                .hint(
                    "give the passphrase with --passphrase-fd N, or an identity without one with STRONGROOM_IDENTITY_FILE",
                )
        })
    }

    /// The passphrase of `--passphrase-fd`, without its final line break.
    pub fn given_passphrase(&self) -> Result<Option<Passphrase>, CommandError> {
        self.globals
            .passphrase_fd
            .map(Self::passphrase_from)
            .transpose()
    }

    /// A passphrase from an inherited descriptor, without its final line break.
    pub fn passphrase_from(fd: u32) -> Result<Passphrase, CommandError> {
        let bytes = read_fd(fd)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| CommandError::usage("the passphrase is not UTF-8 text"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok(Passphrase::new(text))
    }

    /// One secret's record; a tombstone counts as not there.
    pub fn record(&self, vault: &Vault, name: &SecretName) -> Result<Record, CommandError> {
        match vault.record(name)? {
            Some(record) if record.state.lifecycle != crate::model::Lifecycle::Tombstone => {
                Ok(record)
            }
            Some(_) => Err(
                CommandError::not_found(format!("{name} was deleted")).hint(format!(
                    "its versions are kept; bring it back with: strongroom restore {name}"
                )),
            ),
            None => Err(self.no_secret(vault, name)),
        }
    }

    /// The error for a name that is not there, with the nearest that is.
    pub fn no_secret(&self, vault: &Vault, name: &SecretName) -> CommandError {
        let error = CommandError::not_found(format!("no secret named {name}"));
        let near = vault.load().ok().and_then(|loaded| {
            loaded
                .records
                .into_keys()
                .map(|n| (strsim::jaro_winkler(n.as_str(), name.as_str()), n))
                .filter(|(likeness, _)| *likeness > 0.85)
                .max_by(|a, b| a.0.total_cmp(&b.0))
        });
        match near {
            Some((_, near)) => error.hint(format!("did you mean {near}?")),
            None => error.hint("see what there is with: strongroom ls"),
        }
    }

    /// The remotes a command is about: those named, else all.
    pub fn remotes(
        &self,
        vault: &Vault,
        named: &[RemoteName],
    ) -> Result<Vec<RemoteName>, CommandError> {
        let config = vault.config();
        for name in named {
            if !config.remotes.contains_key(name) {
                return Err(CommandError::not_found(format!("no remote named {name}"))
                    .hint("see what there is with: strongroom remote ls"));
            }
        }
        let all: Vec<RemoteName> = if named.is_empty() {
            config.remotes.keys().cloned().collect()
        } else {
            named.to_vec()
        };
        if all.is_empty() {
            return Err(CommandError::not_found("this vault has no remotes")
                .hint("add one with: strongroom remote add NAME --region REGION"));
        }
        Ok(all)
    }

    /// Refuses what needs a network under `--offline`.
    pub fn must_be_online(&self) -> Result<(), CommandError> {
        if self.offline()? {
            return Err(CommandError::new(
                Exit::Unreachable,
                "this needs a remote, and --offline was given or set",
            ));
        }
        Ok(())
    }

    /// Connects to remotes.
    pub async fn connect(
        &self,
        vault: &Vault,
        names: &[RemoteName],
    ) -> Result<BTreeMap<RemoteName, crate::aws::AwsStore>, CommandError> {
        use crate::sync::SyncError;
        self.may_connect(vault)?;
        // Before anything is asked of a remote that an old vault would push to.
        vault.refuse_gone_back()?;
        let config = vault.config();
        let mut stores = BTreeMap::new();
        for name in names {
            if let Some(remote) = config.remotes.get(name) {
                let options = crate::aws::Options::default();
                let store = crate::aws::AwsStore::connect(remote, now(), &options);
                let store = Box::pin(store).await.map_err(|source| SyncError::Remote {
                    remote: name.clone(),
                    source,
                })?;
                stores.insert(name.clone(), store);
            }
        }
        Ok(stores)
    }

    /// Connects to the whole account behind a remote: names are the account's own, and
    /// the remote's name map and filters do not count.
    pub async fn connect_account(
        &self,
        vault: &Vault,
        name: &RemoteName,
    ) -> Result<crate::aws::AwsStore, CommandError> {
        self.may_connect(vault)?;
        let config = vault.config();
        let Some(remote) = config.remotes.get(name) else {
            return Err(CommandError::not_found(format!("no remote named {name}")));
        };
        let mut whole = remote.clone();
        whole.scope = crate::model::Scope::default();
        let options = crate::aws::Options::default();
        let store = Box::pin(crate::aws::AwsStore::connect(&whole, now(), &options)).await;
        store.map_err(|source| {
            let remote = name.clone();
            crate::sync::SyncError::Remote { remote, source }.into()
        })
    }

    fn may_connect(&self, vault: &Vault) -> Result<(), CommandError> {
        self.must_be_online()?;
        if !vault.config_is_verified() {
            return Err(CommandError::new(
                Exit::Locked,
                "the vault's settings have changed and nobody has verified them here",
            )
            .hint("run a command that unlocks the vault first, such as: strongroom remote ls --verify"));
        }
        // They say which account that is.
        vault.refuse_old_settings()?;
        Ok(())
    }

    /// The person's home directory, for messages.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }
}

/// Runs a future to its end on this thread and a few helpers.
pub(super) fn block_on<T>(
    future: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?
        .block_on(future)
}

/// Preferences of a file; none where there is no file.
fn read_preferences(path: &Path, holder: Holder) -> Result<Preferences, CommandError> {
    let failed = |e: &dyn std::fmt::Display| {
        CommandError::new(Exit::Usage, format!("{}: {e}", path.display()))
    };
    match fs::read_to_string(path) {
        Ok(text) => Preferences::parse(&text, holder).map_err(|e| failed(&e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Preferences::default()),
        Err(e) => Err(failed(&e)),
    }
}

/// The passphrase of an identity that was not its.
#[derive(Debug, thiserror::Error)]
#[error("{place}: wrong passphrase")]
struct WrongPassphrase {
    place: String,
}

fn wrong_passphrase(place: &Path) -> CommandError {
    let place = place.display().to_string();
    CommandError::from_error(Exit::NoIdentity, WrongPassphrase { place })
}

fn no_home() -> CommandError {
    CommandError::usage("neither HOME nor the XDG directories are set")
}

fn read_small(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut file = fs::File::open(path)?.take(MAX_IDENTITY);
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads an inherited descriptor to its end.
fn read_fd(fd: u32) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let path = PathBuf::from(format!("/dev/fd/{fd}"));
    read_small(&path).map_err(|error| CommandError::usage(format!("descriptor {fd}: {error}")))
}

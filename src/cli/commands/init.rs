use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::{DONE, git_state};
use crate::cli::context::{Context, Own, new_uuid, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::crypto::{
    Argon2Cost, HasMemberKey as _, Identity, OpenError, PluginIdentity, SealedIdentity,
    encrypt_keyring, open_keyring,
};
use crate::vault::{InitOptions, Vault, VaultError};

/// Make a vault, and an identity if there is none
///
/// The vault is a directory of encrypted files in git. The identity is the key that
/// opens it: one for each person, kept outside the vault and sealed with a
/// passphrase. Back it up; without it the vault cannot be opened.
///
/// Example: strongroom init ~/secrets
#[derive(Debug, Args)]
pub struct Init {
    /// Where to make it; the working directory if left out
    dir: Option<PathBuf>,
    /// Leave a new identity unsealed, for machines without a person
    #[arg(long)]
    no_passphrase: bool,
    /// Use no git: neither make a repository nor commit
    #[arg(long)]
    no_git: bool,
    /// What this member is called in the vault
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Hide names, tags and descriptions from whoever has the repository and no key;
    /// it stays so for as long as the vault lives
    #[arg(long)]
    hide_names: bool,
    /// Make a second key that opens the vault, and print it once, to be kept on paper
    #[arg(long)]
    recovery_key: bool,
}

impl Init {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let dir = match (self.dir, ctx.globals.vault.clone()) {
            (Some(dir), _) | (None, Some(dir)) => dir,
            (None, None) => PathBuf::from("."),
        };
        if dir.join("strongroom.toml").exists() {
            return Err(CommandError::new(
                Exit::Guard,
                format!("{}: is a vault already", dir.display()),
            ));
        }
        let path = ctx.identity_path()?;
        if path.starts_with(dir.canonicalize().unwrap_or_else(|_| dir.clone())) {
            return Err(CommandError::new(
                Exit::Guard,
                format!(
                    "{}: the identity would lie inside the vault it opens",
                    path.display()
                ),
            )
            .hint("name another place with STRONGROOM_IDENTITY_FILE"));
        }
        let has_identity =
            path.exists() || ctx.globals.identity_fd.is_some() || ctx.has_env_identity();
        let identity = if has_identity {
            ctx.identity()?
        } else {
            Own::Age(make_identity(ctx, &path, self.no_passphrase)?)
        };
        if let Own::Plugin(key) = &identity {
            prove(key, &path)?;
        }
        let keyring = Identity::generate();
        let member_name = self.member.unwrap_or_else(|| ctx.member_name());
        let vault_id = new_uuid();
        let options = InitOptions {
            vault_id: &vault_id,
            keyring,
            member_name: &member_name,
            member: identity.member(),
            now: now(),
            git: !self.no_git,
        };
        let (vault, git) = match self.hide_names {
            true => Vault::init_hidden(&dir, ctx.state_home()?, options)?,
            false => Vault::init(&dir, ctx.state_home()?, options)?,
        };
        git_state(ctx, &git);
        if vault.git_setup()?.is_some() && !self.no_git {
            vault.install_driver(&super::merge_driver::program()?)?;
        }
        let recovery = match self.recovery_key {
            true => Some(recovery_key(ctx, &vault)?),
            false => None,
        };
        let fingerprint = vault
            .keys()
            .map(|k| k.commitment().fingerprint())
            .unwrap_or_default();
        if ctx.ui.json() {
            ctx.ui.json_data(&serde_json::json!({
                "Vault": vault.root().display().to_string(),
                "VaultId": vault_id,
                "Fingerprint": fingerprint,
                "Identity": path.display().to_string(),
                "HiddenNames": self.hide_names,
                "RecoveryKey": recovery.as_deref().map(String::as_str),
            }))?;
            return DONE;
        }
        ctx.ui
            .status(&format!("Made a vault in {}", vault.root().display()));
        ctx.ui
            .status(&format!("Its keyring's fingerprint is {fingerprint}"));
        if !has_identity {
            ctx.ui.status(&format!(
                "Your identity is {}; back it up: nothing else opens the vault",
                path.display()
            ));
        }
        if let Some(key) = recovery {
            ctx.ui.status(
                "This key opens the vault too. Print it, keep it where it does not burn with your machine, and keep no file of it:",
            );
            ctx.ui.data(key.as_bytes())?;
        }
        ctx.ui.hint("store something: strongroom put NAME");
        DONE
    }
}

/// Encrypts to a plugin's key and opens it again: the public half is only what a comment
/// of the file says, and nobody could open a vault that begins with a wrong one.
fn prove(key: &PluginIdentity, path: &Path) -> Result<(), CommandError> {
    let file = encrypt_keyring(&Identity::generate(), now(), &[key]);
    let file = file.map_err(VaultError::from)?;
    match open_keyring(file.as_bytes(), key) {
        Ok(_) => Ok(()),
        Err(OpenError::Plugin(error)) => Err(error.into()),
        Err(_) => Err(CommandError::new(
            Exit::NoIdentity,
            format!(
                "{}: the identity does not open what is encrypted to {}",
                path.display(),
                key.member_key()
            ),
        )
        .hint("correct the public key in the comment of the file")),
    }
}

/// What the recovery key is called in the member list.
const RECOVERY: &str = "recovery";

/// Lets a new key open the vault, and gives it as an identity file.
fn recovery_key(ctx: &Context, vault: &Vault) -> Result<Zeroizing<String>, CommandError> {
    let key = Identity::generate();
    let git = vault.add_member(RECOVERY, &key.member_key(), now(), !ctx.no_commit()?)?;
    git_state(ctx, &git);
    let file = key.to_file(now());
    let text = std::str::from_utf8(&file);
    Ok(Zeroizing::new(text.unwrap_or_default().to_owned()))
}

pub(super) fn make_identity(
    ctx: &Context,
    path: &Path,
    no_passphrase: bool,
) -> Result<Identity, CommandError> {
    let identity = Identity::generate();
    if no_passphrase {
        write_new(path, &identity.to_file(now()))?;
        return Ok(identity);
    }
    let passphrase = match ctx.given_passphrase()? {
        Some(passphrase) => passphrase,
        None => {
            ctx.ui.status("A passphrase will seal your identity.");
            ctx.ui.new_passphrase().map_err(|e| match e.exit {
                Exit::Locked => {
                    e.hint("give the passphrase with --passphrase-fd N, or use --no-passphrase")
                }
                _ => e,
            })?
        }
    };
    let sealed = SealedIdentity::seal(&identity, &passphrase, Argon2Cost::DEFAULT, now())
        .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
    write_new(path, sealed.as_str().as_bytes())?;
    Ok(identity)
}

/// Writes a file that only its owner reads, and never over another one.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let failed =
        |e: std::io::Error| CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display()));
    if let Some(dir) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

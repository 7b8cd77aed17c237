use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::DONE;
use super::generate::Alphabet;
use super::put::NewVersion;
use crate::cli::context::{Context, block_on, new_id, new_uuid, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::config::RemoteConfig;
use crate::crypto::Identity;
use crate::model::{Conflict, Direction, RemoteName, Scope, SecretName, SecretValue, StagingLabel};
use crate::plan::{Choice, Limits, resolve};
use crate::store::{MemoryStore, Silent};
use crate::sync::{Options, Prepared, Report, apply_plan, fetch, policy_of, prepare};
use crate::vault::{Durability, InitOptions, Transaction, Vault};

/// Play the whole story through in a throw-away vault
///
/// Makes a vault in a temporary directory and a Secrets Manager in memory, changes
/// both, syncs, meets a conflict and resolves it, and says for each step what you
/// would type. Needs no AWS account and no network, and touches nothing of yours.
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep the vault afterwards
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let place = Place::make(self.keep)?;
        // Opened by a key that is made here and, unless --keep, never written.
        let identity = Identity::generate();
        if self.keep {
            super::init::write_new(&place.dir.join("identity"), &identity.to_file(now()))?;
        }
        let mut stage = Stage::set(ctx, &place.dir, &identity)?;
        block_on(stage.play())?;
        if self.keep {
            stage.say("")?;
            stage.say("The vault is kept. To look around in it:")?;
            let dir = place.dir.display();
            stage.say(&format!("  export STRONGROOM_VAULT={dir}/vault"))?;
            stage.say(&format!(
                "  export STRONGROOM_IDENTITY_FILE={dir}/identity XDG_STATE_HOME={dir}/state"
            ))?;
        }
        DONE
    }
}

/// The temporary directory; dropping it removes everything.
struct Place {
    dir: PathBuf,
    keep: bool,
}

impl Place {
    fn make(keep: bool) -> Result<Self, CommandError> {
        let name = format!("strongroom-demo-{}", new_uuid());
        let dir = std::env::temp_dir().join(name);
        // Fails if something is there: nobody can have prepared this name.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|e| CommandError::new(Exit::Unexpected, format!("{}: {e}", dir.display())))?;
        Ok(Self { dir, keep })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is encrypted, and its key is gone.
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// The vault on one side, an account on the other.
struct Stage<'a> {
    ctx: &'a Context,
    vault: Vault,
    remote: RemoteName,
    stores: BTreeMap<RemoteName, MemoryStore>,
}

const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "111122223333";

impl<'a> Stage<'a> {
    fn set(ctx: &'a Context, dir: &Path, identity: &Identity) -> Result<Self, CommandError> {
        let remote: RemoteName = "aws".parse()?;
        let id = new_uuid();
        let member = identity.recipient();
        let options = InitOptions {
            vault_id: &id,
            keyring: Identity::generate(),
            member_name: "you",
            member: &member,
            now: now(),
            git: true,
        };
        let (vault, _) = Vault::init(&dir.join("vault"), &dir.join("state"), options)?;
        let store = MemoryStore::new(ACCOUNT, REGION, now());
        Ok(Self {
            ctx,
            vault,
            stores: BTreeMap::from([(remote.clone(), store)]),
            remote,
        })
    }

    fn say(&self, text: &str) -> Result<(), CommandError> {
        self.ctx.ui.line(text)
    }

    /// A conflict's line is longer than a narrow terminal.
    fn say_narrow(&self, line: &str) -> Result<(), CommandError> {
        match line.split_once("): here ") {
            Some((what, ids)) => {
                self.say(&format!("{what}):"))?;
                self.say(&format!("    here {ids}"))
            }
            None => self.say(line),
        }
    }

    /// A heading, in the story's words.
    fn scene(&self, text: &str) -> Result<(), CommandError> {
        self.say("")?;
        self.say(&format!("# {text}"))
    }

    /// What a person would type.
    fn typed(&self, command: &str) -> Result<(), CommandError> {
        self.say(&format!("$ strongroom {command}"))
    }

    async fn play(&mut self) -> Result<(), CommandError> {
        let (db, api, mail): (SecretName, SecretName, SecretName) = (
            "prod/db".parse()?,
            "prod/api".parse()?,
            "prod/mail".parse()?,
        );

        self.say("# A vault: encrypted files in git, opened by your key.")?;
        self.typed("init secrets")?;
        let fingerprint = self.vault.keys().map(|k| k.commitment().fingerprint());
        self.say(&format!(
            "Its keyring's fingerprint is {}",
            fingerprint.unwrap_or_default()
        ))?;

        self.scene("Store secrets. Values come from a prompt or a pipe.")?;
        self.put(&db, "put prod/db --description 'the orders database'")?;
        self.put(&api, "generate prod/api")?;

        self.scene("Meanwhile, in the AWS console, a colleague makes prod/mail.")?;
        self.console_put(&mail)?;

        self.scene("Name the account, and see what a sync would do.")?;
        self.typed(&format!("remote add aws --region {REGION} --profile prod"))?;
        self.add_remote()?;
        self.plan().await?;
        self.scene("Do it. The same version ids are now on both sides.")?;
        self.sync().await?;

        self.scene("On a plane: a new value for prod/api, without any network.")?;
        self.put(&api, "put prod/api")?;
        self.scene("At the same time somebody rotates prod/mail in AWS ...")?;
        self.console_put(&mail)?;
        self.scene("... and prod/db gets a new value on both sides.")?;
        self.put(&db, "put prod/db")?;
        self.console_put(&db)?;

        self.scene("The plan: one push, one pull, and one conflict.")?;
        self.plan().await?;
        self.scene("The sync does what is clear. The conflict is touched on neither")?;
        self.say("# side, but both versions are in the vault.")?;
        self.sync().await?;
        self.typed("conflicts")?;
        for conflict in self.conflicts(&db)? {
            self.say(&format!("{db}  {}", conflict.id(&db)))?;
            self.say_narrow(&format!("  {conflict}"))?;
        }

        self.scene("Decide: ours. What loses is kept under a label.")?;
        self.resolve(&db)?;
        self.sync().await?;

        self.scene("Nothing is left to do.")?;
        self.plan().await?;
        self.scene("Every version is still here, that of the colleague included.")?;
        self.log(&db)
    }

    fn value() -> Result<SecretValue, CommandError> {
        Alphabet::default().make()
    }

    fn put(&self, name: &SecretName, command: &str) -> Result<(), CommandError> {
        self.typed(command)?;
        let value = Self::value()?;
        let stamp = self.ctx.stamp()?;
        let mut tx = self.vault.begin("demo", stamp.now)?;
        let new = NewVersion {
            name,
            value: &value,
            labels: &[],
            description: command
                .contains("--description")
                .then_some("the orders database"),
            tags: &[],
            stamp: &stamp,
        };
        new.store(&self.vault, &mut tx)?;
        self.commit(tx, &format!("put {name}: version {}", stamp.id.short()))?;
        self.say(&format!("Stored {name} as version {}", stamp.id.short()))
    }

    fn console_put(&self, name: &SecretName) -> Result<(), CommandError> {
        let id = new_id()?;
        for store in self.stores.values() {
            store.set_now(now());
            store.as_console_put(name, &id, Self::value()?, &[])?;
        }
        self.say(&format!("  (in AWS: {name} has version {})", id.short()))
    }

    fn add_remote(&self) -> Result<(), CommandError> {
        let mut config = (*self.vault.config()).clone();
        config.remotes.insert(
            self.remote.clone(),
            RemoteConfig {
                name: self.remote.clone(),
                region: REGION.to_owned(),
                account: Some(ACCOUNT.to_owned()),
                profile: None,
                role_arn: None,
                endpoint: None,
                scope: Scope::default(),
                direction: Direction::TwoWay,
                on_conflict: crate::model::Strategy::Hold,
                extras: crate::model::Extras::default(),
            },
        );
        let mut tx = self.vault.begin("demo", now())?;
        tx.set_config(config);
        self.commit(tx, "remote add aws")?;
        self.say(&format!("Added aws, pinned to account {ACCOUNT}"))
    }

    fn commit(&self, tx: Transaction<'_>, message: &str) -> Result<(), CommandError> {
        tx.commit(message, Durability::Each)?;
        Ok(())
    }

    fn options(&self) -> Options {
        let config = self.vault.config();
        Options {
            now: now(),
            limits: Limits {
                count: config.max_delete.count,
                percent: config.max_delete.percent,
                folders: true,
            },
            policy: policy_of(&self.vault, None, now()),
            no_git: false,
        }
    }

    async fn look(&self) -> Result<Prepared, CommandError> {
        let mut views = BTreeMap::new();
        for (name, store) in &self.stores {
            let view = fetch(&self.vault, name, store, now(), &Silent).await?;
            views.insert(name.clone(), view);
        }
        Ok(prepare(&self.vault, views, &self.options().policy)?)
    }

    async fn plan(&self) -> Result<(), CommandError> {
        self.typed("plan")?;
        let prepared = self.look().await?;
        for line in prepared.plan.to_string().lines() {
            self.say_narrow(line)?;
        }
        if prepared.plan.is_quiet() {
            self.say("In step: nothing to do")?;
        }
        Ok(())
    }

    async fn sync(&self) -> Result<(), CommandError> {
        self.typed("sync")?;
        let prepared = self.look().await?;
        let options = self.options();
        let report = apply_plan(&self.vault, &self.stores, prepared, &options, &Silent).await?;
        self.tell(&report)
    }

    fn tell(&self, report: &Report) -> Result<(), CommandError> {
        self.say(&format!(
            "versions copied here: {}; steps here: {}, in AWS: {}; conflicts: {}",
            report.copied,
            report.here,
            report.there,
            report.conflicts.len()
        ))
    }

    fn conflicts(&self, name: &SecretName) -> Result<Vec<Conflict>, CommandError> {
        let record = self.vault.record(name)?;
        Ok(record.map(|r| r.conflicts).unwrap_or_default())
    }

    fn resolve(&self, name: &SecretName) -> Result<(), CommandError> {
        self.typed(&format!("resolve {name} --ours"))?;
        let mut tx = self.vault.begin("demo", now())?;
        let Some(mut record) = tx.record(name)? else {
            return Err(self.ctx.no_secret(&self.vault, name));
        };
        let conflicts: Vec<Conflict> = record.conflicts.drain(..).collect();
        for conflict in &conflicts {
            self.say(&format!("{} of {name}: ours", conflict.field))?;
            for (label, id) in resolve(&mut record, conflict, &Choice::Ours)?.kept {
                self.say(&format!("Version {} is kept under", id.short()))?;
                self.say(&format!("  {label}"))?;
            }
        }
        tx.put(record);
        self.commit(tx, &format!("resolve {name}"))
    }

    fn log(&self, name: &SecretName) -> Result<(), CommandError> {
        self.typed(&format!("log {name}"))?;
        let Some(record) = self.vault.record(name)? else {
            return Err(self.ctx.no_secret(&self.vault, name));
        };
        for id in record.state.history().into_iter().rev() {
            let labels: Vec<String> = record
                .state
                .labels_of(id)
                .map(|label| match label.is_local() {
                    true => "sr/lost/...".to_owned(),
                    false => StagingLabel::to_string(label),
                })
                .collect();
            let line = format!("{}  {}", id.short(), labels.join(","));
            self.say(line.trim_end())?;
        }
        Ok(())
    }
}

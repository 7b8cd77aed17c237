use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{DONE, begin, commit};
use crate::aws::AwsStore;
use crate::cli::context::{Context, block_on, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::strategy::OnConflict;
use crate::config::RemoteConfig;
use crate::model::{Direction, Escaped, Extras, RemoteName, Scope, Strategy};
use crate::store::SecretStore as _;
use crate::sync::SyncError;

/// Manage the AWS accounts and Regions this vault syncs with
#[derive(Debug, Subcommand)]
pub enum Remote {
    /// Add an AWS account and Region
    Add(Add),
    /// List the remotes
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Forget a remote; no secret changes, here or there
    Rm(Rm),
    /// Connect, and say whose account it is and what it lists
    Test(Check),
}

impl Remote {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Add(c) => c.run(ctx),
            Self::Ls(c) => c.run(ctx),
            Self::Rm(c) => c.run(ctx),
            Self::Test(c) => c.run(ctx),
        }
    }
}

/// Which way changes travel.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Way {
    /// Both ways
    #[value(name = "two-way")]
    Both,
    /// From the remote only
    Pull,
    /// To the remote only
    Push,
    /// The remote is made like the vault, whatever it has become
    MirrorOut,
    /// The vault is made like the remote; edits here are put aside
    MirrorIn,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Both => Self::TwoWay,
            Way::Pull => Self::Pull,
            Way::Push => Self::Push,
            Way::MirrorOut => Self::MirrorOut,
            Way::MirrorIn => Self::MirrorIn,
        }
    }
}

/// Add an AWS account and Region
///
/// Credentials come from the SDK's standard chain: profiles, SSO, environment,
/// instance roles. The account is pinned: it is asked for now, unless --account or
/// --offline is given.
///
/// Example: strongroom remote add prod --region eu-central-1 --profile prod
#[derive(Debug, Args)]
pub struct Add {
    /// What the vault calls it
    name: RemoteName,
    /// The AWS Region
    #[arg(long)]
    region: String,
    /// The profile of the AWS configuration files
    #[arg(long)]
    profile: Option<String>,
    /// A role to assume
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Another endpoint than AWS's own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The 12-digit account id that the credentials must belong to
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Secrets that begin with LOCAL here begin with REMOTE there
    #[arg(long, value_name = "LOCAL=REMOTE")]
    map: Option<String>,
    /// Take part only with secrets that begin so here (can be repeated)
    #[arg(long, value_name = "PREFIX")]
    include: Vec<String>,
    /// Keep secrets that begin so out of it (can be repeated)
    #[arg(long, value_name = "PREFIX")]
    exclude: Vec<String>,
    /// Which way changes travel
    #[arg(long, value_enum, default_value = "two-way")]
    direction: Way,
    /// What becomes of conflicts that no policy is about
    #[arg(long, value_name = "STRATEGY", value_enum, default_value = "hold")]
    on_conflict: OnConflict,
    /// Ask for the replicas and resource policies of secrets that changed
    #[arg(long)]
    details: bool,
    /// Push KMS keys that were set here
    #[arg(long)]
    push_kms: bool,
    /// Push resource policies that were set here
    #[arg(long)]
    push_policy: bool,
    /// Make replicas that were added here
    #[arg(long)]
    push_replicas: bool,
}

impl Add {
    fn run(self, ctx: &Context) -> CommandResult {
        if self.name == RemoteName::other_clone() {
            return Err(CommandError::usage(format!(
                "{} is no name for a remote: conflicts between two clones have it",
                self.name
            )));
        }
        let vault = ctx.unlocked()?;
        if vault.config().remotes.contains_key(&self.name) {
            return Err(CommandError::new(
                Exit::Guard,
                format!("there is a remote named {} already", self.name),
            )
            .hint(format!(
                "forget it first: strongroom remote rm {}",
                self.name
            )));
        }
        let map = match &self.map {
            None => None,
            Some(text) => match text.split_once('=') {
                Some((local, remote)) => Some((local.to_owned(), remote.to_owned())),
                None => return Err(CommandError::usage("a name map is written LOCAL=REMOTE")),
            },
        };
        let mut remote = RemoteConfig {
            name: self.name.clone(),
            region: self.region,
            account: self.account,
            profile: self.profile,
            role_arn: self.role_arn,
            endpoint: self.endpoint,
            scope: Scope {
                map,
                include: self.include,
                exclude: self.exclude,
            },
            direction: self.direction.into(),
            on_conflict: self.on_conflict.into(),
            extras: Extras {
                details: self.details,
                push_kms: self.push_kms,
                push_policy: self.push_policy,
                push_replicas: self.push_replicas,
            },
        };
        // Wrong settings are found before anything is connected to.
        let mut config = (*vault.config()).clone();
        config.remotes.insert(self.name.clone(), remote.clone());
        config.emit()?;
        if remote.account.is_none() && !ctx.offline()? {
            match block_on(whose(&remote)) {
                Ok(account) => remote.account = account,
                Err(error) => ctx.ui.warn(&format!(
                    "the account could not be asked for and is not pinned: {}",
                    error.error
                )),
            }
        }
        let account = remote.account.clone();
        config.remotes.insert(self.name.clone(), remote);
        let mut tx = begin(ctx, &vault, "remote add")?;
        tx.set_config(config);
        commit(ctx, tx, &format!("remote add {}", self.name))?;
        match account {
            Some(account) => ctx
                .ui
                .status(&format!("Added {}, pinned to account {account}", self.name)),
            None => {
                ctx.ui.status(&format!("Added {}", self.name));
                ctx.ui.hint("no account is pinned; name one with --account so that a wrong profile cannot be synced with");
            }
        }
        ctx.ui.hint(&format!(
            "see what a sync would do: strongroom plan {}",
            self.name
        ));
        DONE
    }
}

async fn whose(remote: &RemoteConfig) -> Result<Option<String>, CommandError> {
    let options = crate::aws::Options::default();
    let store = Box::pin(AwsStore::connect(remote, now(), &options)).await?;
    Ok(store.identity().await?.account)
}

/// List the remotes
#[derive(Debug, Args)]
pub struct Ls {
    /// Unlock the vault and verify its settings first
    #[arg(long)]
    verify: bool,
}

impl Ls {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = if self.verify {
            ctx.unlocked()?
        } else {
            ctx.open()?
        };
        let config = vault.config();
        if ctx.ui.json() {
            let list: Vec<Value> = config.remotes.values().map(as_json).collect();
            ctx.ui.json_data(&json!({ "Remotes": list }))?;
            return DONE;
        }
        for remote in config.remotes.values() {
            let mut words = vec![remote.name.to_string(), remote.region.clone()];
            words.push(
                remote
                    .account
                    .clone()
                    .unwrap_or_else(|| "any account".to_owned()),
            );
            words.push(remote.direction.as_str().to_owned());
            if remote.on_conflict != Strategy::default() {
                words.push(format!("on conflict {}", remote.on_conflict.as_str()));
            }
            let extras = remote.extras;
            for (word, on) in [
                ("details", extras.details),
                ("push kms", extras.push_kms),
                ("push policy", extras.push_policy),
                ("push replicas", extras.push_replicas),
            ] {
                words.extend(on.then(|| word.to_owned()));
            }
            words.extend(remote.profile.as_ref().map(|p| format!("profile {p}")));
            words.extend(remote.role_arn.as_ref().map(|r| format!("role {r}")));
            words.extend(remote.endpoint.as_ref().map(|e| format!("at {e}")));
            words.extend(
                remote
                    .scope
                    .map
                    .as_ref()
                    .map(|(l, r)| format!("map {l}={r}")),
            );
            words.extend(remote.scope.include.iter().map(|p| format!("include {p}")));
            words.extend(remote.scope.exclude.iter().map(|p| format!("exclude {p}")));
            ctx.ui.line(&Escaped(&words.join("  ")).to_string())?;
        }
        DONE
    }
}

fn as_json(remote: &RemoteConfig) -> Value {
    json!({
        "Name": remote.name.as_str(),
        "Region": remote.region,
        "Account": remote.account,
        "Profile": remote.profile,
        "RoleArn": remote.role_arn,
        "Endpoint": remote.endpoint,
        "Direction": remote.direction.as_str(),
        "OnConflict": remote.on_conflict.as_str(),
        "Details": remote.extras.details,
        "PushKms": remote.extras.push_kms,
        "PushPolicy": remote.extras.push_policy,
        "PushReplicas": remote.extras.push_replicas,
        "Map": remote.scope.map.as_ref().map(|(l, r)| format!("{l}={r}")),
        "Include": remote.scope.include,
        "Exclude": remote.scope.exclude,
    })
}

/// Forget a remote; no secret changes, here or there
///
/// What was agreed with it is forgotten too: added again, it is met as if for the
/// first time.
#[derive(Debug, Args)]
pub struct Rm {
    /// The remote's name
    name: RemoteName,
}

impl Rm {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        ctx.remotes(&vault, std::slice::from_ref(&self.name))?;
        ctx.ui
            .confirm(&format!("Forget the remote {}?", self.name))?;
        let mut tx = begin(ctx, &vault, "remote rm")?;
        let mut config = (*vault.config()).clone();
        config.remotes.remove(&self.name);
        config
            .policies
            .retain(|rule| rule.remote.as_ref() != Some(&self.name));
        tx.set_config(config);
        for mut record in vault.load()?.records.into_values() {
            let had_base = record.base.remove(&self.name).is_some();
            let before = record.conflicts.len();
            record.conflicts.retain(|c| c.remote != self.name);
            if had_base || before != record.conflicts.len() {
                tx.put(record);
            }
        }
        commit(ctx, tx, &format!("remote rm {}", self.name))?;
        vault.forget_view(&self.name)?;
        ctx.ui.status(&format!("Forgot {}", self.name));
        DONE
    }
}

/// Connect, and say whose account it is and what it lists
#[derive(Debug, Args)]
pub struct Check {
    /// The remote's name
    name: RemoteName,
}

impl Check {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let names = ctx.remotes(&vault, &[self.name])?;
        block_on(async {
            let stores = ctx.connect(&vault, &names).await?;
            for (name, store) in &stores {
                let failed = |source| SyncError::Remote {
                    remote: name.clone(),
                    source,
                };
                let who = store.identity().await.map_err(failed)?;
                let progress = ctx.ui.progress();
                let view = store.view(&[], progress.as_ref()).await.map_err(failed)?;
                if ctx.ui.json() {
                    ctx.ui.json_data(&json!({
                        "Remote": name.as_str(),
                        "Account": who.account,
                        "Caller": who.caller,
                        "Listed": view.listed,
                        "InScope": view.secrets.len(),
                    }))?;
                    continue;
                }
                let unknown = || "unknown (STS does not answer)".to_owned();
                ctx.ui
                    .line(&format!("account  {}", who.account.unwrap_or_else(unknown)))?;
                ctx.ui.line(&format!(
                    "caller   {}",
                    Escaped(&who.caller.unwrap_or_else(unknown))
                ))?;
                ctx.ui.line(&format!(
                    "secrets  {} listed, {} take part",
                    view.listed,
                    view.secrets.len()
                ))?;
                for (entry, reason) in &view.foreign {
                    ctx.ui.line(&format!(
                        "left alone  {}: {}",
                        Escaped(entry),
                        Escaped(reason)
                    ))?;
                }
            }
            DONE
        })
    }
}

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{DONE, begin, commit};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::strategy::OnConflict;
use crate::model::{Escaped, FieldKind, RemoteName, Rule};

/// Say what becomes of conflicts, by path
///
/// Of the policies that fit a conflict the most particular one counts: the one with the
/// longest prefix; of two with the same prefix the one that names the remote, then the
/// one that names a field. --on-conflict goes before all of them, a remote's own setting
/// comes after.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// List the policies
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Add a policy, or change the one about the same
    Set(Set),
    /// Remove a policy
    Rm(Rm),
}

impl Policy {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Ls(c) => c.run(ctx),
            Self::Set(c) => c.run(ctx),
            Self::Rm(c) => c.run(ctx),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum About {
    /// AWSCURRENT
    Current,
    /// Other labels
    Label,
    /// The description
    Description,
    /// Tags
    Tag,
    /// Whether the secret is there at all
    Lifecycle,
    /// The KMS key
    #[value(name = "kms_key")]
    KmsKey,
    /// The resource policy
    Policy,
}

impl From<About> for FieldKind {
    fn from(word: About) -> Self {
        match word {
            About::Current => Self::Current,
            About::Label => Self::Label,
            About::Description => Self::Description,
            About::Tag => Self::Tag,
            About::Lifecycle => Self::Lifecycle,
            About::KmsKey => Self::KmsKey,
            About::Policy => Self::Policy,
        }
    }
}

/// What a policy is about.
#[derive(Debug, Args)]
struct Subject {
    /// What the names of its secrets begin with; '' for all
    prefix: String,
    /// Only conflicts with this remote
    #[arg(long, value_name = "REMOTE")]
    remote: Option<RemoteName>,
    /// Only conflicts about this
    #[arg(long, value_enum)]
    field: Option<About>,
}

impl Subject {
    fn rule(self, on_conflict: OnConflict) -> Rule {
        Rule {
            path: self.prefix,
            remote: self.remote,
            field: self.field.map(FieldKind::from),
            on_conflict: on_conflict.into(),
        }
    }
}

/// List the policies
#[derive(Debug, Args)]
pub struct Ls {}

impl Ls {
    #[expect(clippy::unused_self, reason = "as every verb")]
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let policies = &vault.config().policies;
        if ctx.ui.json() {
            let list: Vec<Value> = policies.iter().map(as_json).collect();
            ctx.ui.json_data(&json!({ "Policies": list }))?;
            return DONE;
        }
        for rule in policies {
            ctx.ui.line(&describe(rule))?;
        }
        DONE
    }
}

fn as_json(rule: &Rule) -> Value {
    json!({
        "Path": rule.path,
        "Remote": rule.remote.as_ref().map(RemoteName::as_str),
        "Field": rule.field.map(FieldKind::as_str),
        "OnConflict": rule.on_conflict.as_str(),
    })
}

fn describe(rule: &Rule) -> String {
    let path = match rule.path.as_str() {
        "" => "(all)",
        path => path,
    };
    let mut words = vec![path.to_owned(), rule.on_conflict.as_str().to_owned()];
    words.extend(rule.remote.as_ref().map(|r| format!("remote {r}")));
    words.extend(rule.field.map(|f| format!("field {}", f.as_str())));
    Escaped(&words.join("  ")).to_string()
}

/// Add a policy, or change the one about the same
///
/// Example: strongroom policy set prod/ theirs --remote aws --field current
#[derive(Debug, Args)]
pub struct Set {
    #[command(flatten)]
    subject: Subject,
    /// What becomes of their conflicts
    #[arg(value_enum)]
    strategy: OnConflict,
}

impl Set {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let rule = self.subject.rule(self.strategy);
        if let Some(remote) = &rule.remote {
            ctx.remotes(&vault, std::slice::from_ref(remote))?;
        }
        let mut config = (*vault.config()).clone();
        config.set_policy(rule.clone());
        // A path that no name can have is found before anything is written.
        config.emit()?;
        let mut tx = begin(ctx, &vault, "policy set")?;
        tx.set_config(config);
        commit(ctx, tx, "policy set")?;
        ctx.ui.status(&describe(&rule));
        DONE
    }
}

/// Remove a policy
#[derive(Debug, Args)]
pub struct Rm {
    #[command(flatten)]
    subject: Subject,
}

impl Rm {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let rule = self.subject.rule(OnConflict::Hold);
        let mut config = (*vault.config()).clone();
        let before = config.policies.len();
        config.policies.retain(|old| !old.is_about_same(&rule));
        if config.policies.len() == before {
            return Err(CommandError::not_found("there is no such policy")
                .hint("see what there is with: strongroom policy ls"));
        }
        let mut tx = begin(ctx, &vault, "policy rm")?;
        tx.set_config(config);
        commit(ctx, tx, "policy rm")?;
        ctx.ui.status("Removed the policy");
        DONE
    }
}

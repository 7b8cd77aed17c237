use clap::Args;
use serde_json::json;

use super::DONE;
use super::init::make_identity;
use crate::cli::context::{Context, Own};
use crate::cli::error::CommandResult;
use crate::model::Escaped;

/// Print what a member of a vault needs to let you in
///
/// Your name, your public key and its fingerprint; none of it is secret. If you have no
/// identity yet, one is made. Send the lines to a member of the vault, and compare the
/// fingerprint over another way, such as the telephone.
///
/// Example: strongroom join --name bob
#[derive(Debug, Args)]
pub struct Join {
    /// What you are to be called in the vault
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Leave a new identity unsealed, for machines without a person
    #[arg(long)]
    no_passphrase: bool,
}

impl Join {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let name = self.name.unwrap_or_else(|| ctx.member_name());
        let path = ctx.identity_path()?;
        let has_identity =
            path.exists() || ctx.globals.identity_fd.is_some() || ctx.has_env_identity();
        let own = if has_identity {
            ctx.identity()?
        } else {
            let own = Own::Age(make_identity(ctx, &path, self.no_passphrase)?);
            ctx.ui.status(&format!(
                "Your identity is {}; back it up: nothing else opens the vault for you",
                path.display()
            ));
            own
        };
        let key = own.member_key();
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Name": name,
                "Recipient": key.to_string(),
                "Fingerprint": key.fingerprint(),
            }))?;
            return DONE;
        }
        ctx.ui.line(&format!("name:        {}", Escaped(&name)))?;
        ctx.ui.line(&format!("recipient:   {key}"))?;
        ctx.ui
            .line(&format!("fingerprint: {}", key.fingerprint()))?;
        ctx.ui.hint(&format!(
            "a member runs: strongroom members add {} {}",
            crate::cli::show::shell_word(&name),
            crate::cli::show::shell_word(&key.to_string())
        ));
        if let Own::Plugin(key) = &own {
            ctx.ui.hint(&format!(
                "whoever adds or removes members needs {program} too, and plugins = [\"{name}\"] in their own settings",
                program = key.plugin().program(),
                name = key.plugin(),
            ));
        }
        DONE
    }
}

use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::Args;
use serde_json::json;

use super::{DONE, merge};
use crate::cli::context::{Context, OWN_SECRETS, Own, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::model::Escaped;
use crate::vault::{Vault, VaultError};

/// Bring in what teammates pushed to the git repository
///
/// Fetches by git, looks at what came before any of it is checked out, and merges: what
/// both sides changed of one secret by strongroom, everything else by git. Refuses what
/// no vault can have, and what nobody with the vault's key wrote; the vault is untouched
/// then. This is about git; AWS accounts are for pull and sync.
///
/// Ends with 4 if the merge left something to decide, with 7 if something was refused.
///
/// Example: strongroom git-pull
#[derive(Debug, Args)]
pub struct GitPull {
    /// git's name of the repository, or its URL; the branch's own if left out
    remote: Option<String>,
    /// The branch there; the one this branch follows if left out
    branch: Option<String>,
}

/// What every call of git is told (crypto.md section 4): no hooks, no links, no program
/// named by a URL or a configuration that came along.
const HARDENED: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "transfer.fsckObjects=true",
    // A secret that was renamed is another secret.
    "merge.renames=false",
    "diff.renames=false",
    // What both sides changed stays unmerged: it is merged here, with both at hand.
    "merge.strongroom.driver=false",
];

struct Git<'d> {
    dir: &'d Path,
}

impl Git<'_> {
    fn run(&self, args: &[&str]) -> Result<Output, CommandError> {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.dir);
        for setting in HARDENED {
            git.args(["-c", setting]);
        }
        git.args(args).env("GIT_TERMINAL_PROMPT", "0");
        for name in OWN_SECRETS {
            git.env_remove(name);
        }
        git.stdin(Stdio::null())
            .output()
            .map_err(|e| CommandError::new(Exit::Unexpected, format!("git: {e}")))
    }

    /// The first line of what it says, if it succeeds.
    fn line(&self, args: &[&str]) -> Result<Option<String>, CommandError> {
        let done = self.run(args)?;
        let text = String::from_utf8_lossy(&done.stdout);
        let line = text.lines().next().unwrap_or_default().to_owned();
        Ok((done.status.success() && !line.is_empty()).then_some(line))
    }
}

/// The vault as it was brought here, opened with the identity that has opened its new
/// keys, if it has such. One that does not open after all does not stay.
fn reopened(
    ctx: &Context,
    git: &Git<'_>,
    before: Option<&str>,
    own: Option<&Own>,
) -> Result<Vault, CommandError> {
    let opened = match own {
        None => ctx.unlocked(),
        Some(own) => ctx.open().and_then(|mut vault| {
            ctx.unlock_as(&mut vault, own.member())?;
            Ok(vault)
        }),
    };
    opened.map_err(|error| {
        let back = before.map(|commit| git.run(&["reset", "--quiet", "--keep", commit]));
        match back {
            Some(Ok(done)) if done.status.success() => {
                error.hint("the vault is as it was before; what came is in FETCH_HEAD")
            }
            _ => error.hint("what came is checked out; look at it with: git log"),
        }
    })
}

/// The vault in the middle of a merge that brought settings by which other names belong to
/// other keyrings; the same vault where it did not, or where they are unmerged.
fn rerouted(ctx: &Context, git: &Git<'_>, vault: Vault) -> Result<Vault, CommandError> {
    let Err(VaultError::NewEpoch { .. }) = vault.reread_settings() else {
        return Ok(vault);
    };
    ctx.unlocked()
        .map_err(|error| match git.run(&["merge", "--abort"]) {
            Ok(done) if done.status.success() => {
                error.hint("the vault is as it was before; what came is in FETCH_HEAD")
            }
            _ => error.hint("go back with: git merge --abort"),
        })
}

/// What git said in its last words, for people.
fn said(done: &Output) -> String {
    let text = String::from_utf8_lossy(&done.stderr);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<String> = lines.map(|line| Escaped(line).to_string()).collect();
    lines.join("; ")
}

impl GitPull {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        ctx.must_be_online()?;
        let vault = ctx.unlocked().map_err(|error| match error.exit {
            // Whoever was let in since has it in what is still to come.
            Exit::NoIdentity => error.hint(
                "if a member has let you in since, bring that first: git pull; the next command verifies it",
            ),
            _ => error,
        })?;
        let root = vault.root().to_owned();
        let git = Git { dir: &root };
        if let Some(what) = vault.git_under_way() {
            return Err(
                CommandError::new(Exit::Guard, format!("git is in the middle of {what}"))
                    .hint("merge with: strongroom merge; then: git commit"),
            );
        }
        let changed = git.run(&["status", "--porcelain", "--untracked-files=no", "--", "."])?;
        if !changed.status.success() {
            return Err(CommandError::new(
                Exit::Unexpected,
                format!("git: {}", said(&changed)),
            ));
        }
        if !changed.stdout.is_empty() {
            let error = CommandError::new(Exit::Guard, "the vault has uncommitted changes");
            return Err(error.hint("see them with: git status; commit them first"));
        }
        let (remote, branch) = self.source(&git)?;
        let fetched = git.run(&[
            "fetch",
            "--quiet",
            "--no-recurse-submodules",
            "--",
            &remote,
            &branch,
        ])?;
        if !fetched.status.success() {
            let why = format!("git fetch: {}", said(&fetched));
            return Err(CommandError::new(Exit::Unreachable, why));
        }
        let theirs = git.line(&["rev-parse", "--verify", "FETCH_HEAD^{commit}"])?;
        let theirs = theirs.ok_or_else(|| {
            CommandError::new(Exit::Unexpected, "git fetched no commit".to_owned())
        })?;
        // New keys are opened before anything that is under them is checked out.
        let own = match vault.brings_new_keys(&theirs)? {
            true => Some(ctx.identity_for(&vault)?),
            false => None,
        };
        let refused = vault.check_incoming(&theirs, own.as_ref().map(Own::member))?;
        if let Some((path, why)) = refused.first_key_value() {
            let error = CommandError::new(Exit::Integrity, format!("refused: {path}: {why}"));
            let rest = refused.iter().skip(1);
            return Err(rest.fold(error, |error, (path, why)| {
                error.hint(format!("also refused: {path}: {why}"))
            })
            .hint("nothing of it was checked out; ask whoever pushed it, with: git log FETCH_HEAD"));
        }
        let before = vault.git_head();
        let is_ancestor = |a: &str, b: &str| -> Result<bool, CommandError> {
            let done = git.run(&["merge-base", "--is-ancestor", a, b])?;
            Ok(done.status.success())
        };
        let born = before.is_some();
        if born && is_ancestor(&theirs, "HEAD")? {
            return self.done(ctx, &vault, before.as_deref(), None);
        }
        let forward = !born || is_ancestor("HEAD", &theirs)?;
        let how = match forward {
            true => "--ff-only",
            false => "--no-ff",
        };
        let mut args = vec!["merge", "--quiet", how];
        if !forward {
            args.push("--no-commit");
        }
        args.push(&theirs);
        let merged = git.run(&args)?;
        if forward && !merged.status.success()
            || vault.git_under_way().is_none() && !merged.status.success()
        {
            let why = format!("git merge: {}", said(&merged));
            return Err(CommandError::new(Exit::Guard, why));
        }
        let mut vault = match forward {
            true => reopened(ctx, &git, before.as_deref(), own.as_ref())?,
            false => rerouted(ctx, &git, vault)?,
        };
        let report = merge::merge(ctx, &vault)?;
        if !forward {
            if !report.is_whole() {
                merge::say(ctx, &report);
                ctx.ui.hint(
                    "conclude the merge when all is merged, with: git commit; or go back: git merge --abort",
                );
                return Ok(merge::exit(&report));
            }
            let message = format!("Merge branch '{branch}' of {remote}");
            vault.finish_merge(&message, now())?;
            match vault.reread_settings() {
                // Which names belong to which keyring has changed.
                Err(VaultError::NewEpoch { .. }) => {
                    vault = reopened(ctx, &git, before.as_deref(), own.as_ref())?;
                }
                done => done?,
            }
        }
        self.done(ctx, &vault, before.as_deref(), Some(&report))
    }

    fn done(
        &self,
        ctx: &Context,
        vault: &Vault,
        before: Option<&str>,
        report: Option<&crate::vault::MergeReport>,
    ) -> CommandResult {
        let after = vault.git_head();
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Before": before,
                "After": after,
                "Merge": report.map(merge::as_json),
            }))?;
        }
        let Some(report) = report else {
            ctx.ui.status("Up to date");
            return DONE;
        };
        if !(report.secrets.is_empty() && report.restored.is_empty() && report.files.is_empty()) {
            merge::say(ctx, report);
        }
        let short =
            |id: Option<&str>| id.map_or_else(String::new, |id| id.chars().take(8).collect());
        ctx.ui.status(&format!(
            "Went from {} to {}",
            short(before),
            short(after.as_deref())
        ));
        Ok(merge::exit(report))
    }

    /// Where from, and which branch.
    fn source(&self, git: &Git<'_>) -> Result<(String, String), CommandError> {
        let here = git.line(&["symbolic-ref", "--quiet", "--short", "HEAD"])?;
        let of_branch = |key: &str| match &here {
            Some(here) => git.line(&["config", "--get", &format!("branch.{here}.{key}")]),
            None => Ok(None),
        };
        let remote = match &self.remote {
            Some(remote) => remote.clone(),
            None => of_branch("remote")?.unwrap_or_else(|| "origin".to_owned()),
        };
        let branch = match &self.branch {
            Some(branch) => branch.clone(),
            None => of_branch("merge")?.or(here.clone()).ok_or_else(|| {
                CommandError::usage("no branch is checked out; name the one to bring in")
            })?,
        };
        let url = git.line(&["config", "--get", &format!("remote.{remote}.url")])?;
        for text in [Some(&remote), Some(&branch), url.as_ref()]
            .into_iter()
            .flatten()
        {
            if text.starts_with('-') || text.contains("::") || text.starts_with("ext:") {
                let text = Escaped(text);
                return Err(
                    CommandError::new(Exit::Guard, format!("{text}: not fetched from"))
                        .hint("name the repository by a path or by an https or ssh URL"),
                );
            }
        }
        let short = branch.strip_prefix("refs/heads/").unwrap_or(&branch);
        Ok((remote, short.to_owned()))
    }
}

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use serde_json::json;

use super::{DONE, begin, commit};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::model::{Escaped, Lifecycle, Record, SecretName, VersionId};
use crate::store::Progress;
use crate::vault::{FileReport, Loaded, Vault, VaultError};

/// Check everything in the vault
///
/// Verifies every mac, decrypts every value and compares the files with the metadata.
/// With --structure it does without the key: files and labels only.
///
/// Ends with 12 if it found something.
#[derive(Debug, Args)]
pub struct Fsck {
    /// Check what can be checked without the key
    #[arg(long)]
    structure: bool,
    /// Remove the temporary files that a crash left
    #[arg(long, conflicts_with = "structure")]
    repair: bool,
}

/// Something that is not as it should be.
struct Finding {
    kind: &'static str,
    place: String,
    what: String,
}

impl Finding {
    fn new(kind: &'static str, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.into(),
            what: what.into(),
        }
    }
}

impl Fsck {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let mut findings = Vec::new();
        let mut vault = ctx.open()?;
        if !self.structure {
            match ctx.unlock(&mut vault) {
                // What the rest stands on is broken: say so, and what else is.
                Err(error) if error.exit == Exit::Integrity => {
                    let cause = error.error.source().map(|e| format!(": {e}"));
                    let what = cause.unwrap_or_default();
                    let what = format!("{}{what}", error.error);
                    findings.push(Finding::new("unlock", "the vault", what));
                }
                other => other?,
            }
        }
        if self.repair && vault.is_unlocked() {
            repair(ctx, &vault)?;
        }
        let loaded = vault.load()?;
        let files = vault.files()?;
        super::ls::report_closed(ctx, &loaded);
        for (title, reason) in &loaded.blocked {
            findings.push(Finding::new(
                "blocked",
                Escaped(title).to_string(),
                Escaped(reason).to_string(),
            ));
        }
        if let Err(error) = vault.refuse_old_settings() {
            let place = "strongroom.toml";
            findings.push(Finding::new("gone back", place, error.to_string()));
        }
        let back = match vault.gone_back() {
            Err(VaultError::DamagedMark { path }) => {
                let what = "damaged; what this clone has seen of the vault is not known";
                let place = path.display().to_string();
                findings.push(Finding::new("gone back", place, what));
                Vec::new()
            }
            back => back?,
        };
        for name in back {
            let what = "it is older than this clone has seen it";
            findings.push(Finding::new("gone back", Escaped(&name).to_string(), what));
        }
        if vault.is_unlocked()
            && let Err(error) = vault.offboardings(&loaded)
        {
            findings.push(Finding::new("ledger", "keys", error.to_string()));
        }
        check_files(&files, &mut findings);
        for record in loaded.records.values() {
            check_labels(record, &mut findings);
        }
        let mut checked = 0;
        if vault.is_unlocked() {
            let missing: BTreeSet<_> = files.missing.iter().collect();
            let progress = ctx.ui.progress();
            checked = check_values(&vault, &loaded, &missing, progress.as_ref(), &mut findings);
        }
        answer(ctx, &vault, &loaded, checked, &findings)
    }
}

fn answer(
    ctx: &Context,
    vault: &Vault,
    loaded: &Loaded,
    checked: usize,
    findings: &[Finding],
) -> CommandResult {
    let secrets = loaded.records.len();
    if ctx.ui.json() {
        let list: Vec<_> = findings
            .iter()
            .map(|f| json!({ "Kind": f.kind, "Place": f.place, "Problem": f.what }))
            .collect();
        ctx.ui.json_data(&json!({
            "Secrets": secrets,
            "ValuesVerified": checked,
            "Locked": !vault.is_unlocked(),
            "Findings": list,
        }))?;
    } else {
        for finding in findings {
            ctx.ui.line(&format!(
                "{}: {}: {}",
                finding.kind, finding.place, finding.what
            ))?;
        }
        let values = if vault.is_unlocked() {
            format!("{} verified", count(checked, "value"))
        } else {
            "values not looked at".to_owned()
        };
        ctx.ui.status(&format!(
            "{}, {values}, {}",
            count(secrets, "secret"),
            count(findings.len(), "finding")
        ));
    }
    if findings.is_empty() {
        return DONE;
    }
    let has = |kind| findings.iter().any(|f| f.kind == kind);
    if has("leftover") {
        ctx.ui
            .hint("remove what a crash left with: strongroom fsck --repair");
    }
    if has("orphan") || has("duplicate") {
        ctx.ui
            .hint("remove files that nothing needs with: strongroom gc");
    }
    if has("missing") || has("blocked") {
        ctx.ui
            .hint("what git dropped or could not merge comes right with: strongroom merge");
    }
    if has("gone back") {
        ctx.ui
            .hint("if it is meant to be as it is: strongroom trust --rollback");
    }
    if has("missing") || has("value") || has("blocked") {
        ctx.ui
            .hint("git may have a damaged file as it was: git log -- FILE");
    }
    Ok(Exit::Findings)
}

/// Removes leftovers, and nothing else: under the lock no writer can own one.
fn repair(ctx: &Context, vault: &Vault) -> Result<(), CommandError> {
    let mut tx = begin(ctx, vault, "fsck --repair")?;
    let leftovers = vault.files()?.leftovers;
    if leftovers.is_empty() {
        return Ok(());
    }
    for path in &leftovers {
        tx.collect(path);
    }
    commit(ctx, tx, "fsck: remove what a crash left")?;
    for path in &leftovers {
        ctx.ui.status(&format!("Removed {}", Escaped(path)));
    }
    Ok(())
}

fn check_files(files: &FileReport, findings: &mut Vec<Finding>) {
    for (name, id) in &files.missing {
        findings.push(Finding::new(
            "missing",
            name.as_str(),
            format!("no file holds version {}", id.short()),
        ));
    }
    let kinds = [
        ("orphan", &files.orphans, "a value file of no known version"),
        (
            "duplicate",
            &files.duplicates,
            "a second file of one version",
        ),
        (
            "leftover",
            &files.leftovers,
            "a temporary file that a crash left",
        ),
        ("stranger", &files.strangers, "no file of strongroom's"),
    ];
    for (kind, paths, what) in kinds {
        for path in paths {
            findings.push(Finding::new(kind, Escaped(path).to_string(), what));
        }
    }
}

fn check_labels(record: &Record, findings: &mut Vec<Finding>) {
    let state = &record.state;
    for (label, id) in &state.labels {
        match state.versions.get(id) {
            None => findings.push(Finding::new(
                "label",
                record.name.as_str(),
                format!("{label} is on version {}, which is not there", id.short()),
            )),
            // A rotation under way has a version before it has a value.
            Some(meta) if !meta.has_value() && !label.is_pending() => findings.push(Finding::new(
                "label",
                record.name.as_str(),
                format!("{label} is on version {}, which has no value", id.short()),
            )),
            Some(_) => {}
        }
    }
    let has_values = state.versions.values().any(|meta| meta.has_value());
    if has_values && state.current().is_none() && state.lifecycle != Lifecycle::Tombstone {
        findings.push(Finding::new(
            "label",
            record.name.as_str(),
            "no version bears AWSCURRENT",
        ));
    }
}

/// Decrypts every value on two threads, and compares it with its metadata. Says how
/// many were right.
fn check_values(
    vault: &Vault,
    loaded: &Loaded,
    missing: &BTreeSet<&(SecretName, VersionId)>,
    progress: &dyn Progress,
    findings: &mut Vec<Finding>,
) -> usize {
    let work: Vec<(&Record, &VersionId)> = loaded
        .records
        .values()
        .flat_map(|record| {
            let versions = record.state.versions.iter();
            versions
                .filter(|(_, meta)| meta.has_value())
                .map(move |(id, _)| (record, id))
        })
        .filter(|(record, id)| !missing.contains(&(record.name.clone(), (*id).clone())))
        .collect();
    progress.begin("verifying", Some(work.len()));
    let next = AtomicUsize::new(0);
    let right = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let worker = || {
        while let Some((record, id)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            match vault.read(record, id) {
                Ok(_) => {
                    right.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    let cause = cause.map(|e| format!(": {e}")).unwrap_or_default();
                    let what = format!("version {}: {error}{cause}", id.short());
                    if let Ok(mut wrong) = wrong.lock() {
                        wrong.push((record.name.clone(), what));
                    }
                }
            }
            progress.advance(1);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        worker();
    });
    progress.finish();
    let mut wrong = wrong
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    wrong.sort();
    for (name, what) in wrong {
        findings.push(Finding::new("value", name.as_str(), what));
    }
    right.into_inner()
}

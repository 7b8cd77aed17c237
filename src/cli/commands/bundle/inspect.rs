use clap::Args;
use serde_json::{Value, json};

use super::super::DONE;
use super::epoch;
use super::open::{Opened, Source};
use crate::bundle::{Header, Holder};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::{count, minute};
use crate::exchange::{self, Outcome, Settler, Standing, Weighed};
use crate::model::{Escaped, Lifecycle, StagingLabel};

/// Show what a bundle would change here
///
/// Names, new versions, label moves, and whether members or settings differ; never a
/// value. Nothing is changed.
///
/// Example: strongroom bundle inspect /media/stick/in.bundle
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    source: Source,
    /// The bundle is for a newcomer: show it without a vault
    #[arg(long)]
    as_new_vault: bool,
}

impl Inspect {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if self.as_new_vault {
            return self.for_newcomer(ctx);
        }
        let Opened {
            vault,
            proved,
            memory,
            ..
        } = self.source.open(ctx)?;
        let bundle = proved.bundle();
        let standing = exchange::standing(&memory, bundle.header());
        let weighed = exchange::weigh(&vault, &proved, &memory)?;
        let fingerprint = bundle.fingerprint();
        if ctx.ui.json() {
            let mut all = json_of(bundle.header(), &fingerprint);
            if let Value::Object(all) = &mut all {
                all.insert("Applicable".into(), json!(standing.is_ok()));
                all.insert("Same".into(), json!(weighed.same));
                all.insert("NewValues".into(), json!(weighed.new_values()));
                all.insert("SettingsDiffer".into(), json!(weighed.differs.settings));
                all.insert("MembersDiffer".into(), json!(weighed.differs.members));
                epoch::add_json(&proved, all);
                let changes: Vec<Value> = weighed.outcomes.iter().map(json_of_outcome).collect();
                all.insert("Changes".into(), json!(changes));
                all.insert("Clashing".into(), json_of_clashing(&weighed));
            }
            ctx.ui.json_data(&all)?;
            return DONE;
        }
        show_header(ctx, bundle.header(), &fingerprint)?;
        epoch::show(ctx, &proved)?;
        show(ctx, &weighed)?;
        match standing {
            Ok(Standing::New) => {}
            Ok(Standing::Again) => ctx.ui.status("It was applied here already"),
            Err(error) => ctx.ui.warn(&format!("it cannot be applied here: {error}")),
        }
        DONE
    }

    fn for_newcomer(&self, ctx: &Context) -> CommandResult {
        let (unproved, _) = self.source.read(ctx)?;
        let settler = Settler::new(unproved)?;
        let (header, fingerprint) = (settler.bundle().header(), settler.bundle().fingerprint());
        let names = settler.records().iter().map(|r| r.name.as_str());
        if ctx.ui.json() {
            let mut all = json_of(header, &fingerprint);
            if let Value::Object(all) = &mut all {
                all.insert("Names".into(), json!(names.collect::<Vec<_>>()));
            }
            ctx.ui.json_data(&all)?;
            return DONE;
        }
        show_header(ctx, header, &fingerprint)?;
        for name in names {
            ctx.ui.line(name)?;
        }
        DONE
    }
}

/// Check a bundle from its first byte to its last
///
/// Opens it, verifies its trailer and every mac, decrypts every value and compares it with
/// its metadata. Nothing is changed.
///
/// Example: strongroom bundle verify /media/stick/in.bundle
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    source: Source,
}

impl Verify {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let opened = self.source.open(ctx)?;
        let bundle = opened.proved.bundle();
        let weighed = exchange::weigh(&opened.vault, &opened.proved, &opened.memory)?;
        clashing(&weighed)?;
        let counts = bundle.header().counts;
        let fingerprint = bundle.fingerprint();
        if ctx.ui.json() {
            ctx.ui.json_data(&json_of(bundle.header(), &fingerprint))?;
            return DONE;
        }
        ctx.ui.status(&format!(
            "{}, {} and {}: all right; fingerprint {fingerprint}",
            self.source.path().display(),
            count(number(counts.secrets), "secret"),
            count(number(counts.values), "value"),
        ));
        DONE
    }
}

fn number(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn show_header(ctx: &Context, header: &Header, fingerprint: &str) -> Result<(), CommandError> {
    let counts = header.counts;
    let kind = match (header.holder, header.base) {
        (Holder::Bundle, _) => "for a newcomer",
        (Holder::Vault, Some(_)) => "what the receiver lacked",
        (Holder::Vault, None) => "whole",
    };
    let name = Escaped(&header.name);
    ctx.ui.line(&format!(
        "from         {name}, number {}, made {}",
        header.sequence,
        minute(Some(header.created))
    ))?;
    ctx.ui.line(&format!(
        "holds        {}, {}; {kind}",
        count(number(counts.secrets), "secret"),
        count(number(counts.values), "value")
    ))?;
    for prefix in &header.prefixes {
        let prefix = Escaped(prefix);
        ctx.ui.line(&format!("only         {prefix}..."))?;
    }
    ctx.ui.line(&format!("fingerprint  {fingerprint}"))
}

/// What changes, secret by secret.
pub(super) fn show(ctx: &Context, weighed: &Weighed) -> Result<(), CommandError> {
    for outcome in &weighed.outcomes {
        let what = changes(outcome);
        ctx.ui
            .line(&format!("{}  {}", outcome.name, what.join(", ")))?;
    }
    for (name, id) in &weighed.clashing {
        ctx.ui.line(&format!(
            "{name}  ALARM: version {} has another content here",
            id.short()
        ))?;
    }
    if weighed.same > 0 {
        let same = count(weighed.same, "secret");
        ctx.ui.status(&format!("{same} of it would change nothing"));
    }
    if weighed.differs.members {
        ctx.ui.warn(
            "the sender's member list differs from this clone's; a bundle does not change it",
        );
    }
    if weighed.differs.settings {
        ctx.ui
            .warn("the sender's settings differ from this clone's; a bundle does not change them");
    }
    Ok(())
}

/// The secrets that are left as they are, for programs.
pub(super) fn json_of_clashing(weighed: &Weighed) -> Value {
    let each = weighed.clashing.iter();
    let each = each.map(|(name, id)| json!({ "Name": name.as_str(), "VersionId": id.as_str() }));
    each.collect()
}

/// How a verb ends where one version id has two contents: everything else is done.
pub(super) fn clashing(weighed: &Weighed) -> CommandResult {
    if weighed.clashing.is_empty() {
        return DONE;
    }
    let names = weighed.clashing.iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> = names.collect();
    Err(CommandError::new(
        Exit::Integrity,
        format!(
            "one version id has two contents, here and in the bundle: {}",
            names.join(", ")
        ),
    )
    .hint("the others are not concerned; find out which side's content is right, and put it at the other side as a new version"))
}

/// What becomes of one secret, in words.
pub(super) fn changes(outcome: &Outcome) -> Vec<String> {
    let after = &outcome.after.state;
    let mut all = Vec::new();
    let before = match &outcome.before {
        Some(before) => before.state.clone(),
        None => {
            all.push("new".to_owned());
            crate::model::SecretState::default()
        }
    };
    let known = after.versions.keys();
    let fresh = known
        .filter(|id| !before.versions.contains_key(*id))
        .count();
    if fresh > 0 {
        all.push(count(fresh, "new version"));
    }
    for (label, from, to) in moves(outcome) {
        let side = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
        all.push(format!("{label} {} -> {}", side(from), side(to)));
    }
    if before.attributes.description != after.attributes.description {
        all.push("description".to_owned());
    }
    if before.attributes.tags != after.attributes.tags {
        all.push("tags".to_owned());
    }
    if outcome.before.is_some() && before.lifecycle != after.lifecycle {
        all.push(match after.lifecycle {
            Lifecycle::Live => "live again".to_owned(),
            Lifecycle::Scheduled { .. } => "scheduled for deletion".to_owned(),
            Lifecycle::Tombstone => "deleted".to_owned(),
        });
    }
    let was = outcome.before.as_ref().map(|b| b.conflicts.as_slice());
    let was = was.unwrap_or_default();
    for conflict in &outcome.after.conflicts {
        if !was.contains(conflict) {
            all.push(format!("CONFLICT: {}", conflict.field));
        }
    }
    if all.is_empty() {
        all.push("what is known of its remotes".to_owned());
    }
    all
}

/// Each label that moves, with the short ids of its holders.
fn moves(outcome: &Outcome) -> Vec<(StagingLabel, Option<String>, Option<String>)> {
    let none = std::collections::BTreeMap::new();
    let before = outcome.before.as_ref().map_or(&none, |b| &b.state.labels);
    let after = &outcome.after.state.labels;
    let labels: std::collections::BTreeSet<&StagingLabel> =
        before.keys().chain(after.keys()).collect();
    let short = |id: Option<&crate::model::VersionId>| id.map(crate::model::VersionId::short);
    labels
        .into_iter()
        .filter(|label| before.get(label) != after.get(label))
        .map(|label| {
            (
                label.clone(),
                short(before.get(label)),
                short(after.get(label)),
            )
        })
        .collect()
}

fn json_of(header: &Header, fingerprint: &str) -> Value {
    json!({
        "VaultId": header.vault,
        "BundleId": header.bundle,
        "Sender": header.name,
        "SenderId": header.sender,
        "Sequence": header.sequence,
        "CreatedDate": header.created.to_string(),
        "ForNewcomer": header.holder == Holder::Bundle,
        "Whole": header.base.is_none(),
        "Prefixes": header.prefixes,
        "Secrets": header.counts.secrets,
        "Values": header.counts.values,
        "Fingerprint": fingerprint,
    })
}

pub(super) fn json_of_outcome(outcome: &Outcome) -> Value {
    let moves: Vec<Value> = moves(outcome)
        .into_iter()
        .map(|(label, from, to)| json!({ "VersionStage": label.as_str(), "From": from, "To": to }))
        .collect();
    json!({
        "Name": outcome.name.as_str(),
        "New": outcome.before.is_none(),
        "Moves": moves,
        "Changes": changes(outcome),
    })
}

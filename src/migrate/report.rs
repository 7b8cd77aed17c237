//! A plan as a page for a reviewer who has no keys. Pure.

use std::fmt::Write as _;

use super::item::Item;
use super::saved::Migration;
use crate::model::Escaped;

/// Writes the page, as Markdown. It holds names, ids, labels, descriptions and tags,
/// and no value or digest.
pub fn markdown(plan: &Migration) -> String {
    let mut out = String::new();
    match write(plan, &mut out) {
        Ok(()) => out,
        // Writing to a string does not fail.
        Err(std::fmt::Error) => String::new(),
    }
}

fn write(plan: &Migration, out: &mut String) -> std::fmt::Result {
    let ready: Vec<&Item> = plan.ready().collect();
    let blocked: Vec<&Item> = plan.items.iter().filter(|i| !i.is_ready()).collect();
    let (from, to) = (&plan.from, &plan.to);
    writeln!(out, "# Migration from {} to {}\n", from.remote, to.remote)?;
    writeln!(out, "| | account | Region |\n|---|---|---|")?;
    writeln!(
        out,
        "| from {} | {} | {} |",
        from.remote, from.account, from.region
    )?;
    writeln!(
        out,
        "| to {} | {} | {} |\n",
        to.remote, to.account, to.region
    )?;
    writeln!(
        out,
        "Made {} by strongroom {}; plan {}. It holds no value. {} secrets will be copied, {} cannot be, {} are left out.\n",
        plan.made,
        plan.program,
        plan.id,
        ready.len(),
        blocked.len(),
        plan.left_out.len()
    )?;
    let estimate = &plan.estimate;
    writeln!(
        out,
        "Copying and verifying takes about {} calls ({}) and at least {} s by AWS's quotas; the copies cost {} a month while both sides exist.\n",
        estimate.total_calls,
        estimate.cost(),
        estimate.seconds,
        estimate.cost_a_month()
    )?;
    rules(plan, out)?;
    if !blocked.is_empty() {
        writeln!(out, "## Cannot be copied\n\n| secret | why |\n|---|---|")?;
        for item in &blocked {
            let why = item.reasons.join("; ");
            writeln!(out, "| {} | {} |", cell(item.source.as_str()), cell(&why))?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "## Will be copied\n\n| secret | becomes | versions | KMS key | policy | notes |\n|---|---|---|---|---|---|"
    )?;
    for item in &ready {
        let versions: Vec<String> = item.versions.iter().map(version).collect();
        let policy = if item.policy.is_some() { "yes" } else { "" };
        writeln!(
            out,
            "| {} | {} | {} | {} | {policy} | {} |",
            cell(item.source.as_str()),
            cell(item.target.as_str()),
            cell(&versions.join(", ")),
            cell(item.kms.as_deref().unwrap_or("default")),
            cell(&item.notes.join("; "))
        )?;
    }
    writeln!(out)?;
    let mention: Vec<&&Item> = ready
        .iter()
        .filter(|i| i.account_mentions + i.region_mentions > 0)
        .collect();
    if !mention.is_empty() {
        writeln!(out, "## Values that name the source\n")?;
        writeln!(
            out,
            "Nothing in a value is ever rewritten; these need a person.\n"
        )?;
        writeln!(out, "| secret | account id | Region |\n|---|---|---|")?;
        for item in mention {
            let name = cell(item.source.as_str());
            writeln!(
                out,
                "| {name} | {} | {} |",
                item.account_mentions, item.region_mentions
            )?;
        }
        writeln!(out)?;
    }
    if !plan.left_out.is_empty() {
        writeln!(out, "## Left out\n\n| secret | why |\n|---|---|")?;
        for (name, why) in &plan.left_out {
            writeln!(out, "| {} | {} |", cell(name), cell(why))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn rules(plan: &Migration, out: &mut String) -> std::fmt::Result {
    let rules = &plan.rules;
    let mut lines = Vec::new();
    lines.extend(
        rules
            .only
            .iter()
            .map(|p| format!("only names that begin with `{p}`")),
    );
    lines.extend(rules.map.iter().map(|rule| format!("name rule `{rule}`")));
    lines.extend(
        rules
            .kms
            .iter()
            .map(|(a, b)| format!("KMS key `{a}` becomes `{b}`")),
    );
    lines.extend(
        rules
            .tags
            .iter()
            .map(|(k, v)| format!("tag `{k}={v}` is added")),
    );
    lines.extend(
        rules
            .drop_tags
            .iter()
            .map(|k| format!("tag `{k}` is dropped")),
    );
    lines.push(match rules.policy {
        super::Policies::Rewrite if rules.account_rewrite => {
            "resource policies are carried over; account ids become the target's".to_owned()
        }
        super::Policies::Rewrite => "resource policies are carried over".to_owned(),
        super::Policies::Skip => "resource policies are left behind".to_owned(),
    });
    if rules.history {
        lines.push("versions without labels are copied too".to_owned());
    }
    writeln!(out, "## Rules\n")?;
    for line in lines {
        writeln!(out, "- {}", Escaped(&line))?;
    }
    writeln!(out)
}

fn version(version: &super::Version) -> String {
    let labels: Vec<String> = version.labels.iter().map(ToString::to_string).collect();
    let labels = if labels.is_empty() {
        "no label".to_owned()
    } else {
        labels.join(" ")
    };
    format!("{} ({labels})", version.id.short())
}

/// A text that cannot end its cell or steer a terminal.
fn cell(text: &str) -> String {
    Escaped(text).to_string().replace('|', "\\|")
}

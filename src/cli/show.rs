//! Small pieces of output that several commands share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::{
    Content, Lifecycle, OwnField, Record, RemoteBase, RemoteFacts, RemoteName, Sight, StagingLabel,
    Timestamp, VersionId, VersionMeta,
};
use crate::vault::{Vault, VaultError};

/// `1 version`, `2 versions`.
pub(super) fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// A word for a shell to read as it is.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A time as people read it: to the minute, in UTC.
pub(super) fn minute(time: Option<Timestamp>) -> String {
    match time {
        Some(time) => {
            let text = time.to_string();
            let text: String = text.chars().take(16).collect();
            text.replace('T', " ")
        }
        None => "-".to_owned(),
    }
}

/// How long ago something was, as people say it.
pub(super) fn age(millis: i64) -> String {
    match millis / 60_000 {
        ..1 => "just now".to_owned(),
        m @ 1..60 => format!("{m} min ago"),
        m @ 60..2880 => format!("{} h ago", m / 60),
        m => format!("{} days ago", m / 1440),
    }
}

/// `string`, `binary` or `no value`.
pub(super) fn kind(meta: &VersionMeta) -> &'static str {
    match meta.content {
        Content::Value { kind, .. } => kind.as_str(),
        Content::Placeholder | Content::Unread => "no value",
    }
}

/// The labels of a version, joined.
pub(super) fn labels(record: &Record, id: &VersionId) -> String {
    let labels: Vec<String> = record
        .state
        .labels_of(id)
        .map(ToString::to_string)
        .collect();
    labels.join(",")
}

/// What sets a secret apart in a listing: deletion, conflicts, unpushed moves.
pub(super) fn marks(record: &Record) -> Vec<String> {
    let mut marks = Vec::new();
    match record.state.lifecycle {
        Lifecycle::Live => {}
        Lifecycle::Scheduled { date: Some(date) } => {
            marks.push(format!("scheduled for deletion {}", minute(Some(date))));
        }
        Lifecycle::Scheduled { date: None } => marks.push("scheduled for deletion".to_owned()),
        Lifecycle::Tombstone => marks.push("deleted".to_owned()),
    }
    if !record.conflicts.is_empty() {
        marks.push("conflict".to_owned());
    }
    let waits = |b: &RemoteBase| {
        !b.intents.is_empty() || b.own.values().any(|halves| halves.here.is_some())
    };
    if record.base.values().any(waits) {
        marks.push("not pushed".to_owned());
    }
    marks
}

/// What the remotes of a secret were last seen to have of their own. Of one that has it
/// under another ARN by now nothing is said.
pub(super) fn facts(
    vault: &Vault,
    record: &Record,
) -> Result<BTreeMap<RemoteName, RemoteFacts>, VaultError> {
    let mut all = BTreeMap::new();
    for (remote, base) in &record.base {
        let Some(mut fetched) = vault.load_view(remote)? else {
            continue;
        };
        if let Some(Sight::Seen(seen)) = fetched.view.secrets.remove(&record.name)
            && base.pair.as_ref().is_some_and(|p| p.arn == seen.facts.arn)
        {
            all.insert(remote.clone(), seen.facts);
        }
    }
    Ok(all)
}

/// What a remote has of its own, in titles and texts: as last seen, else as last agreed.
pub(super) fn own(base: &RemoteBase, facts: Option<&RemoteFacts>) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for field in OwnField::ALL {
        let seen = facts.and_then(|f| f.own(field)).map(Cow::into_owned);
        let agreed = base.own.get(&field).map(|halves| halves.there.clone());
        let text = seen.or(agreed).unwrap_or_default();
        if !text.is_empty() {
            let title = match field {
                OwnField::Policy => "policy",
                field => field.title(),
            };
            all.push((title, text));
        }
    }
    if let Some(facts) = facts {
        all.extend(facts.owning_service.clone().map(|s| ("owned by", s)));
        if facts.replica {
            let primary = facts.primary_region.clone().unwrap_or_default();
            all.push(("replica of", primary));
        }
    }
    all
}

/// The same with what was set here, as JSON.
pub(super) fn own_json(base: &RemoteBase, facts: Option<&RemoteFacts>) -> Value {
    let mut all = serde_json::Map::new();
    for (field, key) in [
        (OwnField::KmsKey, "KmsKeyId"),
        (OwnField::Policy, "ResourcePolicy"),
        (OwnField::Replicas, "Replicas"),
        (OwnField::Rotation, "Rotation"),
    ] {
        let seen = facts.and_then(|f| f.own(field)).map(Cow::into_owned);
        let entry = base.own.get(&field);
        let there = seen.or_else(|| entry.map(|halves| halves.there.clone()));
        let here = entry.and_then(|halves| halves.here.clone());
        all.insert(key.to_owned(), json!({ "There": there, "SetHere": here }));
    }
    let owner = facts.and_then(|f| f.owning_service.clone());
    all.insert("OwningService".to_owned(), json!(owner));
    let primary = facts.and_then(|f| f.primary_region.clone());
    all.insert("PrimaryRegion".to_owned(), json!(primary));
    Value::Object(all)
}

/// A secret's metadata as JSON, with AWS's field names where AWS has them.
pub(super) fn json_of(record: &Record) -> Value {
    let state = &record.state;
    let versions: Vec<Value> = state
        .history()
        .into_iter()
        .filter_map(|id| Some((id, state.versions.get(id)?)))
        .map(|(id, meta)| {
            let labels: Vec<&str> = state.labels_of(id).map(StagingLabel::as_str).collect();
            json!({
                "VersionId": id.as_str(),
                "VersionStages": labels,
                "CreatedDate": meta.created.map(|t| t.to_string()),
                "Kind": kind(meta),
                "Parent": meta.parent.as_ref().map(VersionId::as_str),
                "Origin": match &meta.origin {
                    crate::model::Origin::Local => "local",
                    crate::model::Origin::Remote(name) => name.as_str(),
                },
            })
        })
        .collect();
    let tags: Vec<Value> = state
        .attributes
        .tags
        .iter()
        .map(|(k, v)| json!({ "Key": k, "Value": v }))
        .collect();
    let mut ids = serde_json::Map::new();
    for (label, id) in &state.labels {
        if let Value::Array(list) = ids
            .entry(id.as_str())
            .or_insert_with(|| Value::Array(Vec::new()))
        {
            list.push(json!(label.as_str()));
        }
    }
    let remotes: serde_json::Map<String, Value> = record
        .base
        .iter()
        .map(|(name, base)| {
            let unpushed: Vec<&str> = base.intents.keys().map(StagingLabel::as_str).collect();
            let value = json!({
                "ARN": base.pair.as_ref().map(|p| p.arn.as_str()),
                "Unpushed": unpushed,
            });
            (name.to_string(), value)
        })
        .collect();
    json!({
        "Name": record.name.as_str(),
        "Description": state.attributes.description,
        "Tags": tags,
        "Lifecycle": state.lifecycle.as_str(),
        "DeletedDate": match state.lifecycle {
            Lifecycle::Scheduled { date } => date.map(|t| t.to_string()),
            _ => None,
        },
        "VersionIdsToStages": ids,
        "Versions": versions,
        "Remotes": remotes,
        "Conflicts": record.conflicts.iter().map(|c| c.id(&record.name)).collect::<Vec<_>>(),
    })
}

//! Small pieces of output that several commands share.

use serde_json::{Value, json};

use crate::model::{Content, Lifecycle, Record, StagingLabel, Timestamp, VersionId, VersionMeta};

/// `1 version`, `2 versions`.
pub(super) fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
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
    if record.base.values().any(|b| !b.intents.is_empty()) {
        marks.push("not pushed".to_owned());
    }
    marks
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

//! The shape of a metadata file as serde sees it, and from there to the model.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::meta::MetaError;
use crate::model::{
    Attributes, Class, Conflict, Content, Escaped, Face, Field, Kind, Lifecycle, Origin, Pair,
    Record, RemoteBase, SecretState, VersionMeta,
};

pub(super) const PLACEHOLDER: &str = "placeholder";
pub(super) const LOCAL: &str = "local";
pub(super) const LABEL: &str = "label";
pub(super) const DESCRIPTION: &str = "description";
pub(super) const TAG: &str = "tag";
pub(super) const LIFECYCLE: &str = "lifecycle";

type Texts = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    format: u32,
    name: String,
    lifecycle: String,
    delete_date: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Texts,
    #[serde(default)]
    labels: Texts,
    #[serde(default)]
    version: Vec<RawVersion>,
    #[serde(default)]
    remote: BTreeMap<String, RawRemote>,
    #[serde(default)]
    conflict: Vec<RawConflict>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    id: String,
    created: Option<String>,
    kind: String,
    digest: Option<String>,
    parent: Option<String>,
    origin: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRemote {
    arn: Option<String>,
    changed: Option<String>,
    #[serde(default)]
    intent: Texts,
    base: Option<RawFace>,
    local: Option<RawFace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFace {
    lifecycle: String,
    delete_date: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Texts,
    #[serde(default)]
    labels: Texts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConflict {
    id: String,
    remote: String,
    field: String,
    key: Option<String>,
    class: String,
    base: Option<String>,
    ours: Option<String>,
    theirs: Option<String>,
}

/// Reads a record. What the types cannot refuse (order, spelling, a key that does
/// not belong to its neighbours) the caller's comparison with the canonical text does.
pub(super) fn parse(body: &str) -> Result<Record, MetaError> {
    let raw: RawRecord = toml::from_str(body).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let before = body.get(..offset).unwrap_or_default();
        MetaError::Syntax {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            // The message alone: the error's own display quotes the source.
            message: Escaped(error.message()).to_string(),
        }
    })?;
    if raw.format != 1 {
        return Err(MetaError::NewerFormat(raw.format.to_string()));
    }
    let mut record = Record {
        name: read("name", &raw.name)?,
        state: SecretState {
            attributes: Attributes {
                description: raw.description,
                tags: raw.tags,
            },
            versions: BTreeMap::new(),
            labels: pairs("labels", &raw.labels)?,
            lifecycle: lifecycle(&raw.lifecycle, raw.delete_date.as_deref())?,
        },
        base: BTreeMap::new(),
        conflicts: Vec::new(),
    };
    for version in raw.version {
        let id = read("version.id", &version.id)?;
        record.state.versions.insert(id, version.meta()?);
    }
    for (name, remote) in raw.remote {
        record.base.insert(read("remote", &name)?, remote.base()?);
    }
    for conflict in raw.conflict {
        let id = conflict.id.clone();
        let conflict = conflict.read()?;
        if conflict.id(&record.name) != id {
            return Err(malformed("conflict.id"));
        }
        record.conflicts.push(conflict);
    }
    Ok(record)
}

impl RawVersion {
    fn meta(self) -> Result<VersionMeta, MetaError> {
        let value = |kind| match &self.digest {
            Some(digest) => Ok(Content::Value {
                kind,
                digest: read("version.digest", digest)?,
            }),
            None => Err(malformed("version.digest")),
        };
        let content = match self.kind.as_str() {
            "string" => value(Kind::String)?,
            "binary" => value(Kind::Binary)?,
            PLACEHOLDER => Content::Placeholder,
            _ => return Err(malformed("version.kind")),
        };
        Ok(VersionMeta {
            created: optional("version.created", self.created.as_deref())?,
            content,
            parent: optional("version.parent", self.parent.as_deref())?,
            origin: match self.origin.as_str() {
                LOCAL => Origin::Local,
                name => Origin::Remote(read("version.origin", name)?),
            },
        })
    }
}

impl RawRemote {
    fn base(self) -> Result<RemoteBase, MetaError> {
        let mut intents = BTreeMap::new();
        for (label, from) in &self.intent {
            let from = Some(from.as_str()).filter(|from| !from.is_empty());
            intents.insert(
                read("remote.intent", label)?,
                optional("remote.intent", from)?,
            );
        }
        let pair = match (self.arn, self.base) {
            (Some(arn), Some(base)) => {
                let remote = base.face()?;
                let local = match self.local {
                    Some(local) => local.face()?,
                    None => remote.clone(),
                };
                Some(Pair {
                    arn,
                    changed: optional("remote.changed", self.changed.as_deref())?,
                    local,
                    remote,
                })
            }
            (None, None) => None,
            _ => return Err(malformed("remote.base")),
        };
        Ok(RemoteBase { pair, intents })
    }
}

impl RawFace {
    fn face(self) -> Result<Face, MetaError> {
        Ok(Face {
            lifecycle: lifecycle(&self.lifecycle, self.delete_date.as_deref())?,
            attributes: Attributes {
                description: self.description,
                tags: self.tags,
            },
            labels: pairs("remote.labels", &self.labels)?,
        })
    }
}

impl RawConflict {
    fn read(self) -> Result<Conflict, MetaError> {
        let field = match (self.field.as_str(), self.key) {
            (LABEL, Some(key)) => Field::Label(read("conflict.key", &key)?),
            (TAG, Some(key)) => Field::Tag(key),
            (DESCRIPTION, None) => Field::Description,
            (LIFECYCLE, None) => Field::Lifecycle,
            _ => return Err(malformed("conflict.field")),
        };
        Ok(Conflict {
            remote: read("conflict.remote", &self.remote)?,
            field,
            class: Class::from_word(&self.class).ok_or(malformed("conflict.class"))?,
            base: self.base,
            ours: self.ours,
            theirs: self.theirs,
        })
    }
}

fn malformed(key: &'static str) -> MetaError {
    MetaError::Malformed { key }
}

fn read<T: FromStr>(key: &'static str, text: &str) -> Result<T, MetaError> {
    text.parse().map_err(|_| malformed(key))
}

fn optional<T: FromStr>(key: &'static str, text: Option<&str>) -> Result<Option<T>, MetaError> {
    text.map(|text| read(key, text)).transpose()
}

fn pairs<K: FromStr + Ord, V: FromStr>(
    key: &'static str,
    texts: &Texts,
) -> Result<BTreeMap<K, V>, MetaError> {
    texts
        .iter()
        .map(|(k, v)| Ok((read(key, k)?, read(key, v)?)))
        .collect()
}

fn lifecycle(word: &str, date: Option<&str>) -> Result<Lifecycle, MetaError> {
    let date = optional("delete_date", date)?;
    match word {
        "live" => Ok(Lifecycle::Live),
        "scheduled" => Ok(Lifecycle::Scheduled { date }),
        "tombstone" => Ok(Lifecycle::Tombstone),
        _ => Err(malformed("lifecycle")),
    }
}

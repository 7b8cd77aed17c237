//! The shape of a metadata file as serde sees it, and from there to the model.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::meta::MetaError;
use crate::model::{
    Attributes, Class, Conflict, Content, Details, Escaped, Face, Field, Halves, Kind, Lifecycle,
    Origin, OwnField, Pair, Record, RemoteBase, Rotation, SecretState, VersionMeta,
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
    details: RawDetails,
    #[serde(default)]
    version: Vec<RawVersion>,
    #[serde(default)]
    remote: BTreeMap<String, RawRemote>,
    #[serde(default)]
    conflict: Vec<RawConflict>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetails {
    created: Option<String>,
    changed: Option<String>,
    deleted: Option<String>,
    kms_key: Option<String>,
    policy: Option<String>,
    #[serde(default)]
    untagged: bool,
    rotation: Option<RawRotation>,
    #[serde(default)]
    replica: Vec<RawReplica>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRotation {
    enabled: bool,
    function: Option<String>,
    after_days: Option<u16>,
    schedule: Option<String>,
    duration: Option<String>,
    rotated: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReplica {
    region: String,
    kms_key: Option<String>,
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
    #[serde(default)]
    seen: Vec<RawSeen>,
    #[serde(default)]
    own: Vec<RawHalves>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHalves {
    field: String,
    here: Option<String>,
    there: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeen {
    field: String,
    key: Option<String>,
    text: Option<String>,
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
        details: raw.details.read()?,
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

impl RawDetails {
    fn read(self) -> Result<Details, MetaError> {
        let rotation = |raw: RawRotation| {
            Ok::<_, MetaError>(Rotation {
                enabled: raw.enabled,
                function: raw.function,
                after_days: raw.after_days,
                schedule: raw.schedule,
                duration: raw.duration,
                rotated: optional("details.rotation.rotated", raw.rotated.as_deref())?,
            })
        };
        let replicas = self.replica.into_iter().map(|r| (r.region, r.kms_key));
        Ok(Details {
            created: optional("details.created", self.created.as_deref())?,
            changed: optional("details.changed", self.changed.as_deref())?,
            deleted: optional("details.deleted", self.deleted.as_deref())?,
            kms_key: self.kms_key,
            policy: self.policy,
            untagged: self.untagged,
            rotation: self.rotation.map(rotation).transpose()?,
            replicas: replicas.collect(),
        })
    }
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
        let mut seen = BTreeMap::new();
        for saw in self.seen {
            seen.insert(field("remote.seen", &saw.field, saw.key)?, saw.text);
        }
        let mut own = BTreeMap::new();
        for halves in self.own {
            let field =
                OwnField::from_word(&halves.field).ok_or_else(|| malformed("remote.own"))?;
            let (here, there) = (halves.here, halves.there);
            own.insert(field, Halves { here, there });
        }
        Ok(RemoteBase {
            pair,
            intents,
            seen,
            own,
        })
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
        Ok(Conflict {
            remote: read("conflict.remote", &self.remote)?,
            field: field("conflict.field", &self.field, self.key)?,
            class: Class::from_word(&self.class).ok_or(malformed("conflict.class"))?,
            base: self.base,
            ours: self.ours,
            theirs: self.theirs,
        })
    }
}

fn field(at: &'static str, word: &str, key: Option<String>) -> Result<Field, MetaError> {
    match (word, key) {
        (LABEL, Some(key)) => Ok(Field::Label(read(at, &key)?)),
        (TAG, Some(key)) => Ok(Field::Tag(key)),
        (DESCRIPTION, None) => Ok(Field::Description),
        (LIFECYCLE, None) => Ok(Field::Lifecycle),
        (word, None) => match OwnField::from_word(word) {
            Some(own) => Ok(Field::Own(own)),
            None => Err(malformed(at)),
        },
        _ => Err(malformed(at)),
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

//! What a remote showed when it was last asked, kept by the clone so that `status`
//! and `plan --offline` need no network. It holds no value.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::disk::{Durable, Existing};
use super::state::{State, StateError};
use crate::model::{
    Attributes, Content, Kind, Lifecycle, Origin, RemoteFacts, RemoteName, RemoteSecret,
    RemoteView, Rotation, SecretState, Sight, Timestamp, VersionMeta,
};

/// The largest view that is read, in bytes.
const MAX: usize = 1 << 30;

/// A remote's view, and when it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// When the remote was asked.
    pub at: Timestamp,
    /// What it showed.
    pub view: RemoteView,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    listed: usize,
    foreign: Vec<(String, String)>,
    secrets: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    Seen(Box<Secret>),
    Blocked(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    arn: String,
    kms_key: Option<String>,
    changed: Option<i64>,
    rotation_enabled: bool,
    owning_service: Option<String>,
    replica: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotates>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_rotation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    primary_region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    looked: bool,
    lifecycle: Life,
    description: Option<String>,
    tags: BTreeMap<String, String>,
    versions: BTreeMap<String, Version>,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotates {
    enabled: bool,
    function: Option<String>,
    after_days: Option<u16>,
    schedule: Option<String>,
    duration: Option<String>,
    rotated: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Life {
    Live,
    Scheduled(Option<i64>),
    Tombstone,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    created: Option<i64>,
    content: Holds,
    parent: Option<String>,
    origin: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Holds {
    String(String),
    Binary(String),
    Placeholder,
    Unread,
}

fn path(remote: &RemoteName) -> String {
    format!("views/{remote}.json")
}

/// Keeps a view.
pub(super) fn save(
    state: &State,
    remote: &RemoteName,
    fetched: &Fetched,
) -> Result<(), StateError> {
    let view = &fetched.view;
    let file = File {
        format: 1,
        listed: view.listed,
        foreign: view.foreign.clone(),
        secrets: view
            .secrets
            .iter()
            .map(|(name, sight)| {
                let entry = match sight {
                    Sight::Seen(secret) => Entry::Seen(Box::new(put(secret))),
                    Sight::Blocked(why) => Entry::Blocked(why.clone()),
                };
                (name.to_string(), entry)
            })
            .collect(),
    };
    // What a process that died before the rename left: no transaction may follow this.
    state.root().sweep("views", super::disk::is_running);
    let path = path(remote);
    let bytes = serde_json::to_vec(&file).map_err(|_| state.damaged(&path))?;
    // A remote that shows what it showed before costs no write: only the file's date
    // says when it was asked.
    let known = state.root().read(&path, MAX).ok();
    if known.is_none_or(|(known, _)| known != bytes) {
        // It can be fetched again, so it need not survive a power cut; it is never
        // half written, whatever happens.
        let later = Durable::Later;
        state
            .root()
            .write(&path, &bytes, Existing::Replace, later)?;
    }
    let millis = u64::try_from(fetched.at.millis()).unwrap_or(0);
    let asked = UNIX_EPOCH + Duration::from_millis(millis);
    std::fs::File::open(state.root().full(&path))
        .and_then(|file| file.set_modified(asked))
        .map_err(|_| state.damaged(&path))
}

/// Forgets the digests in every kept view: they are under keys that the vault has no
/// more, and would make equal values look different.
pub(super) fn forget_digests(state: &State) -> Result<(), StateError> {
    let entries = match state.root().list("views") {
        Err(error) if error.is_not_found() => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry.name.strip_suffix(".json");
        let Some(remote) = name.and_then(|name| name.parse::<RemoteName>().ok()) else {
            continue;
        };
        let Some(mut fetched) = load(state, &remote)? else {
            continue;
        };
        for sight in fetched.view.secrets.values_mut() {
            if let Sight::Seen(secret) = sight {
                for meta in secret.state.versions.values_mut() {
                    if matches!(meta.content, Content::Value { .. }) {
                        meta.content = Content::Unread;
                    }
                }
            }
        }
        save(state, &remote, &fetched)?;
    }
    Ok(())
}

/// The view that was kept last. A file that cannot be read is as good as none: it is
/// fetched anew.
pub(super) fn load(state: &State, remote: &RemoteName) -> Result<Option<Fetched>, StateError> {
    let (bytes, stat) = match state.root().read(&path(remote), MAX) {
        Ok(read) => read,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let millis = stat.st_mtime.saturating_mul(1000) + stat.st_mtime_nsec.cast_signed() / 1_000_000;
    let at = Timestamp::from_millis(millis);
    Ok(parse(&bytes).map(|view| Fetched { at, view }))
}

/// Forgets the view of a remote that is no more.
pub(super) fn forget(state: &State, remote: &RemoteName) -> Result<(), StateError> {
    Ok(state.root().remove(&path(remote))?)
}

fn parse(bytes: &[u8]) -> Option<RemoteView> {
    let file: File = serde_json::from_slice(bytes).ok()?;
    if file.format != 1 {
        return None;
    }
    let mut view = RemoteView {
        secrets: BTreeMap::new(),
        foreign: file.foreign,
        listed: file.listed,
    };
    for (name, entry) in file.secrets {
        let sight = match entry {
            Entry::Seen(secret) => Sight::Seen(get(*secret)?),
            Entry::Blocked(why) => Sight::Blocked(why),
        };
        view.secrets.insert(name.parse().ok()?, sight);
    }
    Some(view)
}

fn put(secret: &RemoteSecret) -> Secret {
    let (state, facts) = (&secret.state, &secret.facts);
    Secret {
        arn: facts.arn.clone(),
        kms_key: facts.kms_key.clone(),
        changed: facts.changed.map(Timestamp::millis),
        rotation_enabled: facts.rotation_enabled,
        owning_service: facts.owning_service.clone(),
        replica: facts.replica,
        rotation: facts.rotation.as_ref().map(|r| Rotates {
            enabled: r.enabled,
            function: r.function.clone(),
            after_days: r.after_days,
            schedule: r.schedule.clone(),
            duration: r.duration.clone(),
            rotated: r.rotated.map(Timestamp::millis),
        }),
        next_rotation: facts.next_rotation.map(Timestamp::millis),
        primary_region: facts.primary_region.clone(),
        replicas: facts.replicas.clone(),
        policy: facts.policy.clone(),
        looked: facts.looked,
        lifecycle: match state.lifecycle {
            Lifecycle::Live => Life::Live,
            Lifecycle::Scheduled { date } => Life::Scheduled(date.map(Timestamp::millis)),
            Lifecycle::Tombstone => Life::Tombstone,
        },
        description: state.attributes.description.clone(),
        tags: state.attributes.tags.clone(),
        versions: state
            .versions
            .iter()
            .map(|(id, meta)| (id.as_str().to_owned(), put_version(meta)))
            .collect(),
        labels: state
            .labels
            .iter()
            .map(|(label, id)| (label.as_str().to_owned(), id.as_str().to_owned()))
            .collect(),
    }
}

fn put_version(meta: &VersionMeta) -> Version {
    Version {
        created: meta.created.map(Timestamp::millis),
        content: match meta.content {
            Content::Value { kind, digest } => match kind {
                Kind::String => Holds::String(digest.to_string()),
                Kind::Binary => Holds::Binary(digest.to_string()),
            },
            Content::Placeholder => Holds::Placeholder,
            Content::Unread => Holds::Unread,
        },
        parent: meta.parent.as_ref().map(|id| id.as_str().to_owned()),
        origin: match &meta.origin {
            Origin::Local => None,
            Origin::Remote(name) => Some(name.to_string()),
        },
    }
}

fn get(secret: Secret) -> Option<RemoteSecret> {
    let mut state = SecretState {
        attributes: Attributes {
            description: secret.description,
            tags: secret.tags,
        },
        lifecycle: match secret.lifecycle {
            Life::Live => Lifecycle::Live,
            Life::Scheduled(date) => Lifecycle::Scheduled {
                date: date.map(Timestamp::from_millis),
            },
            Life::Tombstone => Lifecycle::Tombstone,
        },
        ..SecretState::default()
    };
    for (id, version) in secret.versions {
        state
            .versions
            .insert(id.parse().ok()?, get_version(version)?);
    }
    for (label, id) in secret.labels {
        state.labels.insert(label.parse().ok()?, id.parse().ok()?);
    }
    Some(RemoteSecret {
        state,
        facts: RemoteFacts {
            arn: secret.arn,
            kms_key: secret.kms_key,
            changed: secret.changed.map(Timestamp::from_millis),
            rotation_enabled: secret.rotation_enabled,
            owning_service: secret.owning_service,
            replica: secret.replica,
            rotation: secret.rotation.map(|r| Rotation {
                enabled: r.enabled,
                function: r.function,
                after_days: r.after_days,
                schedule: r.schedule,
                duration: r.duration,
                rotated: r.rotated.map(Timestamp::from_millis),
            }),
            next_rotation: secret.next_rotation.map(Timestamp::from_millis),
            primary_region: secret.primary_region,
            replicas: secret.replicas,
            policy: secret.policy,
            looked: secret.looked,
        },
    })
}

fn get_version(version: Version) -> Option<VersionMeta> {
    let value = |kind, digest: String| {
        let digest = digest.parse().ok()?;
        Some(Content::Value { kind, digest })
    };
    Some(VersionMeta {
        created: version.created.map(Timestamp::from_millis),
        content: match version.content {
            Holds::String(digest) => value(Kind::String, digest)?,
            Holds::Binary(digest) => value(Kind::Binary, digest)?,
            Holds::Placeholder => Content::Placeholder,
            Holds::Unread => Content::Unread,
        },
        parent: match version.parent {
            Some(id) => Some(id.parse().ok()?),
            None => None,
        },
        origin: match version.origin {
            Some(name) => Origin::Remote(name.parse().ok()?),
            None => Origin::Local,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::meta::tests::full;
    use super::super::state::Place;
    use super::*;

    #[test]
    fn a_view_comes_back_and_a_damaged_one_is_none() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(home.path(), Path::new("/v"));
        let state = place.state("6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90").unwrap();
        let prod: RemoteName = "prod".parse().unwrap();
        assert_eq!(load(&state, &prod).unwrap(), None);

        let mut secret = RemoteSecret {
            state: full().state,
            facts: RemoteFacts {
                arn: "arn:aws:x".into(),
                kms_key: Some("k".into()),
                changed: Some(Timestamp::from_millis(-1)),
                rotation_enabled: true,
                owning_service: Some("rds".into()),
                replica: true,
                rotation: Some(Rotation {
                    enabled: true,
                    function: Some("arn:aws:lambda:x".into()),
                    after_days: Some(30),
                    schedule: Some("rate(30 days)".into()),
                    duration: Some("2h".into()),
                    rotated: Some(Timestamp::from_millis(5)),
                }),
                next_rotation: Some(Timestamp::from_millis(6)),
                primary_region: Some("eu-west-1".into()),
                replicas: Some(BTreeMap::from([
                    ("us-east-1".into(), Some("k".into())),
                    ("us-west-2".into(), None),
                ])),
                policy: Some("{}".into()),
                looked: true,
            },
        };
        for meta in secret.state.versions.values_mut().take(1) {
            meta.content = Content::Unread;
        }
        let fetched = Fetched {
            at: Timestamp::from_millis(1_795_395_723_004),
            view: RemoteView {
                secrets: BTreeMap::from([
                    ("a".parse().unwrap(), Sight::Seen(secret)),
                    ("b".parse().unwrap(), Sight::Blocked("denied".into())),
                    ("c".parse().unwrap(), Sight::Seen(RemoteSecret::default())),
                ]),
                foreign: vec![("rds!x".into(), "owned by a service".into())],
                listed: 7,
            },
        };
        save(&state, &prod, &fetched).unwrap();
        assert_eq!(load(&state, &prod).unwrap(), Some(fetched));
        std::fs::write(state.path().join("views/prod.json"), "{").unwrap();
        assert_eq!(load(&state, &prod).unwrap(), None);
        forget(&state, &prod).unwrap();
        assert!(!state.path().join("views/prod.json").exists());
    }
}

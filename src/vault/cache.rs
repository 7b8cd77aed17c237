//! The index cache: every record as it was last read, with what its file was at that
//! moment. Local, rebuilt whenever it does not fit, never a source of truth.

use serde::{Deserialize, Serialize};

use crate::model::{
    Attributes, Class, Conflict, Content, Details, Digest, Face, Field, Halves, Kind, Lifecycle,
    Origin, OwnField, Pair, Record, RemoteBase, Rotation, SecretState, Timestamp, VersionMeta,
};

/// What a file was when it was read. A file that still is all of this has the same
/// content, unless it is younger than the reading (see [`Entry::settled`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) ctime: i64,
    pub(super) inode: u64,
}

/// One metadata file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Below `secrets/`.
    pub(super) path: String,
    pub(super) mark: Mark,
    /// SHA-256 of its bytes.
    pub(super) hash: [u8; 32],
    /// Whether its mac was verified under the keys the cache is for.
    pub(super) verified: bool,
    /// Whether the file was older than the reading: a file written in the same tick
    /// of the clock may change again without showing it, and is read again (git's
    /// rule for racily clean entries).
    pub(super) settled: bool,
    pub(super) record: Record,
}

/// One directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Folder {
    /// Below `secrets/`; that itself is the empty path.
    pub(super) path: String,
    pub(super) mark: Mark,
    /// Whether it was older than the listing, and everything in it that has a
    /// metadata file's name is among the entries.
    pub(super) settled: bool,
}

/// All of the cache.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    /// The commitment of the keys under which macs were verified, or nothing.
    pub(super) keys: String,
    pub(super) folders: Vec<Folder>,
    pub(super) entries: Vec<Entry>,
}

/// The cache's first bytes.
const MAGIC: &str = "strongroom-index/3";

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    magic: &'a str,
    keys: &'a str,
    folders: Vec<Folder>,
    /// How many entries there are in each half, and where the second begins.
    counts: (usize, usize),
    split: usize,
}

impl Cache {
    /// Writes the cache; `None` if it cannot be written.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let (first, second) = self.entries.split_at(self.entries.len() / 2);
        let half = |entries: &[Entry]| {
            entries.iter().try_fold(Vec::new(), |out, entry| {
                postcard::to_extend(&Flat::of(entry), out).ok()
            })
        };
        let body = half(first)?;
        let head = Head {
            magic: MAGIC,
            keys: &self.keys,
            folders: self.folders.clone(),
            counts: (first.len(), second.len()),
            split: body.len(),
        };
        let mut out = postcard::to_extend(&head, Vec::new()).ok()?;
        out.extend(body);
        out.extend(half(second)?);
        Some(out)
    }

    /// Reads a cache, its halves at the same time. One that cannot be read is as good
    /// as none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest): (Head<'_>, _) = postcard::take_from_bytes(bytes).ok()?;
        if head.magic != MAGIC {
            return None;
        }
        let (first, second) = rest.split_at_checked(head.split)?;
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| half(second, head.counts.1));
            (
                half(first, head.counts.0),
                second.join().unwrap_or_default(),
            )
        });
        let mut entries = first?;
        entries.extend(second?);
        Some(Self {
            keys: head.keys.to_owned(),
            folders: head.folders,
            entries,
        })
    }
}

fn half(mut rest: &[u8], count: usize) -> Option<Vec<Entry>> {
    // A count from a damaged file must not reserve the world.
    let mut entries = Vec::with_capacity(count.min(rest.len() / 64));
    for _ in 0..count {
        let (flat, after): (Flat<'_>, _) = postcard::take_from_bytes(rest).ok()?;
        entries.push(flat.entry()?);
        rest = after;
    }
    rest.is_empty().then_some(entries)
}

type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// An entry in the form that is written; every text is borrowed from the file.
#[derive(Serialize, Deserialize)]
struct Flat<'a> {
    path: &'a str,
    mark: Mark,
    hash: [u8; 32],
    verified: bool,
    settled: bool,
    name: &'a str,
    #[serde(borrow)]
    face: FlatFace<'a>,
    /// Few secrets have any.
    #[serde(borrow)]
    details: Option<FlatDetails<'a>>,
    #[serde(borrow)]
    versions: Vec<FlatVersion<'a>>,
    #[serde(borrow)]
    remotes: Vec<FlatRemote<'a>>,
    #[serde(borrow)]
    conflicts: Vec<FlatConflict<'a>>,
}

#[derive(Serialize, Deserialize)]
struct FlatFace<'a> {
    life: Life,
    description: Option<&'a str>,
    #[serde(borrow)]
    tags: Pairs<'a>,
    #[serde(borrow)]
    labels: Pairs<'a>,
}

#[derive(Serialize, Deserialize)]
enum Life {
    Live,
    Scheduled(Option<i64>),
    Tombstone,
}

#[derive(Serialize, Deserialize)]
struct FlatDetails<'a> {
    /// Created, changed, deleted.
    times: [Option<i64>; 3],
    kms_key: Option<&'a str>,
    policy: Option<&'a str>,
    untagged: bool,
    #[serde(borrow)]
    rotation: Option<FlatRotation<'a>>,
    #[serde(borrow)]
    replicas: Vec<(&'a str, Option<&'a str>)>,
}

#[derive(Serialize, Deserialize)]
struct FlatRotation<'a> {
    enabled: bool,
    after_days: Option<u16>,
    rotated: Option<i64>,
    /// Function, schedule, duration.
    #[serde(borrow)]
    texts: [Option<&'a str>; 3],
}

#[derive(Serialize, Deserialize)]
struct FlatVersion<'a> {
    id: &'a str,
    created: Option<i64>,
    /// Whether it is a string, and its digest.
    content: Option<(bool, [u8; 32])>,
    parent: Option<&'a str>,
    origin: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct FlatRemote<'a> {
    name: &'a str,
    #[serde(borrow)]
    pair: Option<FlatPair<'a>>,
    #[serde(borrow)]
    intents: Vec<(&'a str, Option<&'a str>)>,
    /// Field as in a conflict, its key, what was seen.
    #[serde(borrow)]
    seen: Vec<(u8, &'a str, Option<&'a str>)>,
    /// What the remote has of its own: which, what was set here, what is there.
    #[serde(borrow)]
    own: Vec<(&'a str, Option<&'a str>, &'a str)>,
}

#[derive(Serialize, Deserialize)]
struct FlatPair<'a> {
    arn: &'a str,
    changed: Option<i64>,
    #[serde(borrow)]
    remote: FlatFace<'a>,
    #[serde(borrow)]
    local: Option<FlatFace<'a>>,
}

#[derive(Serialize, Deserialize)]
struct FlatConflict<'a> {
    remote: &'a str,
    field: u8,
    key: &'a str,
    class: &'a str,
    base: Option<&'a str>,
    ours: Option<&'a str>,
    theirs: Option<&'a str>,
}

impl<'a> Flat<'a> {
    fn of(entry: &'a Entry) -> Self {
        let record = &entry.record;
        let state = &record.state;
        let version = |(id, meta): (&'a crate::model::VersionId, &'a VersionMeta)| FlatVersion {
            id: id.as_str(),
            created: meta.created.map(Timestamp::millis),
            content: match meta.content {
                Content::Value { kind, digest } => Some((kind == Kind::String, digest.0)),
                // A record on disk has no unread version.
                Content::Placeholder | Content::Unread => None,
            },
            parent: meta.parent.as_ref().map(|id| id.as_str()),
            origin: match &meta.origin {
                Origin::Local => None,
                Origin::Remote(name) => Some(name.as_str()),
            },
        };
        Self {
            path: &entry.path,
            mark: entry.mark,
            hash: entry.hash,
            verified: entry.verified,
            settled: entry.settled,
            name: record.name.as_str(),
            face: FlatFace {
                life: Life::of(state.lifecycle),
                description: state.attributes.description.as_deref(),
                tags: texts(&state.attributes.tags),
                labels: state
                    .labels
                    .iter()
                    .map(|(l, id)| (l.as_str(), id.as_str()))
                    .collect(),
            },
            details: (!record.details.is_empty()).then(|| FlatDetails::of(&record.details)),
            versions: state.versions.iter().map(version).collect(),
            remotes: record
                .base
                .iter()
                .map(|(name, base)| FlatRemote::of(name.as_str(), base))
                .collect(),
            conflicts: record.conflicts.iter().map(FlatConflict::of).collect(),
        }
    }

    fn entry(self) -> Option<Entry> {
        let face = self.face.face()?;
        let mut state = SecretState {
            attributes: face.attributes,
            labels: face.labels,
            lifecycle: face.lifecycle,
            ..SecretState::default()
        };
        for version in self.versions {
            let id = version.id.parse().ok()?;
            state.versions.insert(id, version.meta()?);
        }
        let mut base = crate::model::SecretBase::new();
        for remote in self.remotes {
            base.insert(remote.name.parse().ok()?, remote.base()?);
        }
        let conflicts = self.conflicts.into_iter().map(FlatConflict::read);
        Some(Entry {
            path: self.path.to_owned(),
            mark: self.mark,
            hash: self.hash,
            verified: self.verified,
            settled: self.settled,
            record: Record {
                name: self.name.parse().ok()?,
                state,
                details: self.details.map(FlatDetails::details).unwrap_or_default(),
                base,
                conflicts: conflicts.collect::<Option<_>>()?,
            },
        })
    }
}

impl<'a> FlatDetails<'a> {
    fn of(details: &'a Details) -> Self {
        let rotation = |r: &'a Rotation| FlatRotation {
            enabled: r.enabled,
            after_days: r.after_days,
            rotated: r.rotated.map(Timestamp::millis),
            texts: [&r.function, &r.schedule, &r.duration].map(|t| t.as_deref()),
        };
        let replica =
            |(region, key): (&'a String, &'a Option<String>)| (region.as_str(), key.as_deref());
        Self {
            times: [details.created, details.changed, details.deleted]
                .map(|t| t.map(Timestamp::millis)),
            kms_key: details.kms_key.as_deref(),
            policy: details.policy.as_deref(),
            untagged: details.untagged,
            rotation: details.rotation.as_ref().map(rotation),
            replicas: details.replicas.iter().map(replica).collect(),
        }
    }

    fn details(self) -> Details {
        let owned = |t: Option<&str>| t.map(ToOwned::to_owned);
        let [created, changed, deleted] = self.times.map(|t| t.map(Timestamp::from_millis));
        let rotation = |r: FlatRotation<'_>| {
            let [function, schedule, duration] = r.texts.map(owned);
            Rotation {
                enabled: r.enabled,
                function,
                after_days: r.after_days,
                schedule,
                duration,
                rotated: r.rotated.map(Timestamp::from_millis),
            }
        };
        let replicas = self.replicas.into_iter();
        Details {
            created,
            changed,
            deleted,
            kms_key: owned(self.kms_key),
            policy: owned(self.policy),
            untagged: self.untagged,
            rotation: self.rotation.map(rotation),
            replicas: replicas.map(|(r, k)| (r.to_owned(), owned(k))).collect(),
        }
    }
}

impl Life {
    fn of(lifecycle: Lifecycle) -> Self {
        match lifecycle {
            Lifecycle::Live => Self::Live,
            Lifecycle::Scheduled { date } => Self::Scheduled(date.map(Timestamp::millis)),
            Lifecycle::Tombstone => Self::Tombstone,
        }
    }

    fn lifecycle(&self) -> Lifecycle {
        match self {
            Self::Live => Lifecycle::Live,
            Self::Scheduled(date) => Lifecycle::Scheduled {
                date: date.map(Timestamp::from_millis),
            },
            Self::Tombstone => Lifecycle::Tombstone,
        }
    }
}

impl<'a> FlatFace<'a> {
    fn of(face: &'a Face) -> Self {
        Self {
            life: Life::of(face.lifecycle),
            description: face.attributes.description.as_deref(),
            tags: texts(&face.attributes.tags),
            labels: face
                .labels
                .iter()
                .map(|(l, id)| (l.as_str(), id.as_str()))
                .collect(),
        }
    }

    fn face(self) -> Option<Face> {
        let tags = self.tags.into_iter();
        let labels = self.labels.into_iter();
        Some(Face {
            lifecycle: self.life.lifecycle(),
            attributes: Attributes {
                description: self.description.map(ToOwned::to_owned),
                tags: tags.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            },
            labels: labels
                .map(|(l, id)| Some((l.parse().ok()?, id.parse().ok()?)))
                .collect::<Option<_>>()?,
        })
    }
}

impl FlatVersion<'_> {
    fn meta(self) -> Option<VersionMeta> {
        Some(VersionMeta {
            created: self.created.map(Timestamp::from_millis),
            content: match self.content {
                Some((is_string, digest)) => Content::Value {
                    kind: if is_string {
                        Kind::String
                    } else {
                        Kind::Binary
                    },
                    digest: Digest(digest),
                },
                None => Content::Placeholder,
            },
            parent: match self.parent {
                Some(id) => Some(id.parse().ok()?),
                None => None,
            },
            origin: match self.origin {
                Some(name) => Origin::Remote(name.parse().ok()?),
                None => Origin::Local,
            },
        })
    }
}

impl<'a> FlatRemote<'a> {
    fn of(name: &'a str, base: &'a RemoteBase) -> Self {
        Self {
            name,
            pair: base.pair.as_ref().map(|pair| FlatPair {
                arn: &pair.arn,
                changed: pair.changed.map(Timestamp::millis),
                remote: FlatFace::of(&pair.remote),
                local: (pair.local != pair.remote).then(|| FlatFace::of(&pair.local)),
            }),
            intents: base
                .intents
                .iter()
                .map(|(label, from)| (label.as_str(), from.as_ref().map(|id| id.as_str())))
                .collect(),
            seen: base
                .seen
                .iter()
                .map(|(field, text)| {
                    let (field, key) = flat_field(field);
                    (field, key, text.as_deref())
                })
                .collect(),
            own: base
                .own
                .iter()
                .map(|(field, halves)| {
                    let here = halves.here.as_deref();
                    (field.as_str(), here, halves.there.as_str())
                })
                .collect(),
        }
    }

    fn base(self) -> Option<RemoteBase> {
        let mut base = RemoteBase::default();
        for (label, from) in self.intents {
            let from = match from {
                Some(id) => Some(id.parse().ok()?),
                None => None,
            };
            base.intents.insert(label.parse().ok()?, from);
        }
        for (field, key, text) in self.seen {
            base.seen
                .insert(whole_field(field, key)?, text.map(ToOwned::to_owned));
        }
        for (field, here, there) in self.own {
            let field = OwnField::from_word(field)?;
            let (here, there) = (here.map(ToOwned::to_owned), there.to_owned());
            base.own.insert(field, Halves { here, there });
        }
        if let Some(pair) = self.pair {
            let remote = pair.remote.face()?;
            base.pair = Some(Pair {
                arn: pair.arn.to_owned(),
                changed: pair.changed.map(Timestamp::from_millis),
                local: match pair.local {
                    Some(local) => local.face()?,
                    None => remote.clone(),
                },
                remote,
            });
        }
        Some(base)
    }
}

fn flat_field(field: &Field) -> (u8, &str) {
    match field {
        Field::Label(label) => (0, label.as_str()),
        Field::Description => (1, ""),
        Field::Tag(key) => (2, key.as_str()),
        Field::Lifecycle => (3, ""),
        Field::Own(field) => (4, field.as_str()),
    }
}

fn whole_field(field: u8, key: &str) -> Option<Field> {
    match field {
        0 => Some(Field::Label(key.parse().ok()?)),
        1 => Some(Field::Description),
        2 => Some(Field::Tag(key.to_owned())),
        3 => Some(Field::Lifecycle),
        4 => OwnField::from_word(key).map(Field::Own),
        _ => None,
    }
}

impl<'a> FlatConflict<'a> {
    fn of(conflict: &'a Conflict) -> Self {
        let (field, key) = flat_field(&conflict.field);
        Self {
            remote: conflict.remote.as_str(),
            field,
            key,
            class: conflict.class.as_str(),
            base: conflict.base.as_deref(),
            ours: conflict.ours.as_deref(),
            theirs: conflict.theirs.as_deref(),
        }
    }

    fn read(self) -> Option<Conflict> {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        Some(Conflict {
            remote: self.remote.parse().ok()?,
            field: whole_field(self.field, self.key)?,
            class: Class::from_word(self.class)?,
            base: owned(self.base),
            ours: owned(self.ours),
            theirs: owned(self.theirs),
        })
    }
}

fn texts(map: &std::collections::BTreeMap<String, String>) -> Pairs<'_> {
    map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::meta::tests::some_record;
    use super::*;

    proptest! {
        #[test]
        fn every_record_comes_back_from_the_cache(
            records in proptest::collection::vec(some_record(), 0..4),
            (verified, settled) in any::<(bool, bool)>(),
        ) {
            let entries: Vec<Entry> = records.into_iter().enumerate().map(|(n, record)| Entry {
                path: format!("{n}.toml"),
                mark: Mark { size: 1, mtime: -2, ctime: i64::MAX, inode: 4 },
                hash: [9; 32],
                verified,
                settled,
                record,
            }).collect();
            let mark = Mark { size: 0, mtime: 1, ctime: 2, inode: 3 };
            let folder = Folder { path: String::new(), mark, settled };
            let cache = Cache { keys: "k".into(), folders: vec![folder], entries };
            let bytes = cache.encode().unwrap();
            let again = Cache::decode(&bytes).unwrap();
            prop_assert_eq!(format!("{cache:?}"), format!("{again:?}"));
            for end in 0..bytes.len() {
                prop_assert!(Cache::decode(&bytes[..end]).is_none());
            }
        }
    }
}

//! Small worlds: a vault and a few remotes, described in a line.

use std::collections::{BTreeMap, BTreeSet};

use super::super::tests::{id, name, remote};
use super::super::{Policy, RemotePolicy, SecretPlan, plan};
use crate::model::{
    Attributes, Base, Content, Digest, Direction, Face, Kind, Lifecycle, LocalView, Origin, Pair,
    Record, RemoteBase, RemoteFacts, RemoteName, RemoteSecret, RemoteView, SecretName, SecretState,
    Sight, StagingLabel, Timestamp, VersionId, VersionMeta, travels,
};

/// Whether a side has the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    #[default]
    Live,
    Scheduled,
    /// A tombstone in the vault, nothing on a remote.
    Gone,
}

/// One side of a secret: labels on versions 1 to 9, 0 for nowhere; texts by number,
/// 0 for none. Version 9 is a placeholder.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) life: Life,
    pub(super) cur: u8,
    pub(super) prev: u8,
    pub(super) pend: u8,
    pub(super) x: u8,
    pub(super) desc: u8,
    pub(super) tag: u8,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[")?;
        if self.life != Life::Live {
            write!(f, "{:?} ", self.life)?;
        }
        for (word, n) in [
            ("CUR", self.cur),
            ("PREV", self.prev),
            ("PEND", self.pend),
            ("X", self.x),
            ("desc", self.desc),
            ("tag", self.tag),
        ] {
            if n != 0 {
                write!(f, "{word}={n} ")?;
            }
        }
        write!(f, "]")
    }
}

impl Half {
    pub(super) fn current(n: u8) -> Self {
        Self {
            cur: n,
            ..Self::default()
        }
    }

    /// Whether AWS and the vault could hold this: what has a value has AWSCURRENT,
    /// and AWSPREVIOUS is another version.
    pub(super) fn can_be(self) -> bool {
        let valued = |n: u8| n != 0 && n != 9;
        !(self.cur == 0 && (valued(self.x) || valued(self.pend) || valued(self.prev)))
            && (self.prev == 0 || self.prev != self.cur)
    }

    pub(super) fn labels(self) -> BTreeMap<StagingLabel, VersionId> {
        [
            (StagingLabel::current(), self.cur),
            (StagingLabel::previous(), self.prev),
            (StagingLabel::pending(), self.pend),
            (x(), self.x),
        ]
        .into_iter()
        .filter(|(_, n)| *n != 0)
        .map(|(label, n)| (label, id(n.into())))
        .collect()
    }

    fn attributes(self) -> Attributes {
        let mut attributes = Attributes::default();
        if self.desc != 0 {
            attributes.description = Some(self.desc.to_string());
        }
        if self.tag != 0 {
            attributes.tags.insert("k".into(), self.tag.to_string());
        }
        attributes
    }

    fn lifecycle(self) -> Lifecycle {
        match self.life {
            Life::Live => Lifecycle::Live,
            Life::Scheduled => Lifecycle::Scheduled {
                date: Some(Timestamp::from_secs(1000)),
            },
            Life::Gone => Lifecycle::Tombstone,
        }
    }

    /// What is remembered of this side: of a secret that is gone on either side no
    /// more than that.
    fn agreed(self, other: Self) -> Face {
        let lifecycle = self.lifecycle();
        if self.life == Life::Gone || other.life == Life::Gone {
            return Face {
                lifecycle,
                ..Face::default()
            };
        }
        Face {
            lifecycle,
            attributes: self.attributes(),
            labels: self.labels(),
        }
    }

    fn versions(self) -> impl Iterator<Item = u8> {
        [self.cur, self.prev, self.pend, self.x]
            .into_iter()
            .filter(|n| *n != 0)
    }
}

pub(super) fn x() -> StagingLabel {
    "X".parse().unwrap()
}

/// Which moves made here are on record for a remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Intents {
    /// None, whatever the labels say: the vault is a mirror.
    #[default]
    None,
    /// As one clone that made the moves itself would have: for each label that is not
    /// where it was agreed to be, from there.
    Exact,
    /// Any origin, as a git merge may leave it: of AWSCURRENT, of X; `None` for no
    /// record, `Some(0)` for "it was nowhere".
    Any(Option<u8>, Option<u8>),
}

/// One remote of a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Far {
    /// What was agreed: the vault's half, the remote's half.
    pub(super) base: Option<(Half, Half)>,
    pub(super) intents: Intents,
    /// What is there now.
    pub(super) there: Half,
    /// Whether that is another incarnation than the base's.
    pub(super) recreated: bool,
    pub(super) rotated: bool,
    pub(super) replica: bool,
    /// 0 both ways, 1 pull, 2 push.
    pub(super) direction: u8,
}

/// A world in short. It prints in a line, so a broken law shows its case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spec {
    /// The vault's side; none if it does not know the name.
    pub(super) here: Option<Half>,
    /// The parent of versions 1, 2, 3, and so on; 0 for none.
    pub(super) parents: [u8; 4],
    pub(super) far: Vec<Far>,
}

/// A vault and its remotes, able to take steps.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) record: Option<Record>,
    /// A recreated secret's old part.
    pub(super) aside: Option<SecretState>,
    pub(super) far: BTreeMap<RemoteName, Option<RemoteSecret>>,
    pub(super) policy: Policy,
    pub(super) made: usize,
}

pub(super) fn meta(n: usize) -> VersionMeta {
    VersionMeta {
        // Far enough apart for `newest` to tell them.
        created: Some(Timestamp::from_secs(i64::try_from(n).unwrap() * 1000)),
        content: match n {
            9 => Content::Placeholder,
            n => Content::Value {
                kind: Kind::String,
                digest: Digest([u8::try_from(n).unwrap(); 32]),
            },
        },
        parent: None,
        origin: Origin::Local,
    }
}

/// The number a version was made from.
pub(super) fn number(id: &VersionId) -> usize {
    id.as_str()[..1].parse().unwrap()
}

pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

impl World {
    pub(super) fn new(spec: &Spec) -> Self {
        Self::named(spec, &NAMES)
    }

    /// The same world with other names for its remotes.
    pub(super) fn named(spec: &Spec, names: &[&str]) -> Self {
        let mut base = BTreeMap::new();
        let mut far = BTreeMap::new();
        let mut policy = Policy::default();
        let mut known: BTreeSet<u8> = spec.here.into_iter().flat_map(Half::versions).collect();
        for (side, word) in spec.far.iter().zip(names) {
            let remote = remote(word);
            let mut one = RemoteBase::default();
            if let (Some((here, there)), Some(now)) = (side.base, spec.here) {
                // What was labelled at the last agreement is in the vault since.
                known.extend(here.versions().chain(there.versions()));
                one.pair = Some(Pair {
                    arn: "arn-AAAAAA".into(),
                    changed: None,
                    local: here.agreed(there),
                    remote: there.agreed(here),
                });
                one.intents = side.intents.on(here, now);
                known.extend(
                    one.intents
                        .values()
                        .flatten()
                        .map(|id| u8::try_from(number(id)).unwrap()),
                );
            }
            if !one.is_empty() {
                base.insert(remote.clone(), one);
            }
            let arn = if side.recreated {
                "arn-BBBBBB"
            } else {
                "arn-AAAAAA"
            };
            let secret = (side.there.life != Life::Gone).then(|| RemoteSecret {
                state: SecretState {
                    attributes: side.there.attributes(),
                    versions: side
                        .there
                        .versions()
                        .map(|n| {
                            (
                                id(n.into()),
                                VersionMeta {
                                    content: Content::Unread,
                                    ..meta(n.into())
                                },
                            )
                        })
                        .collect(),
                    labels: side.there.labels(),
                    lifecycle: side.there.lifecycle(),
                },
                facts: RemoteFacts {
                    arn: arn.into(),
                    rotation_enabled: side.rotated,
                    replica: side.replica,
                    ..RemoteFacts::default()
                },
            });
            far.insert(remote.clone(), secret);
            let direction = match side.direction {
                0 => Direction::TwoWay,
                1 => Direction::Pull,
                2 => Direction::Push,
                3 => Direction::MirrorOut,
                _ => Direction::MirrorIn,
            };
            let one = RemotePolicy {
                direction,
                ..RemotePolicy::default()
            };
            policy.remotes.insert(remote, one);
        }
        let record = spec.here.map(|here| {
            let mut state = SecretState {
                attributes: here.attributes(),
                labels: here.labels(),
                lifecycle: here.lifecycle(),
                versions: BTreeMap::new(),
            };
            for n in known {
                let mut meta = meta(n.into());
                let parent = spec.parents.get(usize::from(n) - 1).copied();
                meta.parent = parent.filter(|p| *p != 0).map(|p| id(p.into()));
                state.versions.insert(id(n.into()), meta);
            }
            Record {
                state,
                base,
                ..Record::new(name())
            }
        });
        Self {
            record,
            aside: None,
            far,
            policy,
            made: 0,
        }
    }

    pub(super) fn plan(&self) -> SecretPlan {
        let mut base = Base::new();
        let mut local = LocalView::default();
        if let Some(record) = &self.record {
            base.insert(name(), record.base.clone());
            if !record.is_blank() {
                local.secrets.0.insert(name(), record.state.clone());
                if !record.details.is_empty() {
                    local.details.insert(name(), record.details.clone());
                }
            }
            if !record.conflicts.is_empty() {
                local.alarms.insert(name(), record.conflicts.clone());
            }
        }
        if let Some(aside) = &self.aside {
            let to: SecretName = "s@AAAAAA".parse().unwrap();
            local.secrets.0.insert(to, aside.clone());
        }
        let views = self
            .far
            .iter()
            .map(|(remote, secret)| {
                let mut view = RemoteView::default();
                if let Some(secret) = secret {
                    view.secrets.insert(name(), Sight::Seen(secret.clone()));
                    view.listed = 1;
                }
                (remote.clone(), view)
            })
            .collect();
        let mut plan = plan(&base, &local, &views, &self.policy);
        plan.secrets.remove(&name()).unwrap_or_default()
    }

    pub(super) fn state(&self) -> Option<&SecretState> {
        self.record.as_ref().map(|r| &r.state)
    }

    pub(super) fn there(&self, remote: &RemoteName) -> Option<&SecretState> {
        self.far.get(remote)?.as_ref().map(|s| &s.state)
    }
}

impl Intents {
    fn on(self, was: Half, now: Half) -> BTreeMap<StagingLabel, Option<VersionId>> {
        let some = |n: u8| (n != 0).then(|| id(n.into()));
        match self {
            Self::None => BTreeMap::new(),
            Self::Exact => [
                (StagingLabel::current(), was.cur, now.cur),
                (x(), was.x, now.x),
            ]
            .into_iter()
            .filter(|(_, was, now)| was != now)
            .map(|(label, was, _)| (label, some(was)))
            .collect(),
            Self::Any(cur, x_from) => [(StagingLabel::current(), cur), (x(), x_from)]
                .into_iter()
                .filter_map(|(label, from)| Some((label, some(from?))))
                .collect(),
        }
    }
}

/// The labels that two sides have to agree on.
pub(super) fn travelling(state: Option<&SecretState>) -> BTreeMap<StagingLabel, VersionId> {
    state
        .filter(|s| s.lifecycle.is_live())
        .into_iter()
        .flat_map(|s| &s.labels)
        .filter(|(label, _)| travels(label))
        .map(|(label, id)| (label.clone(), id.clone()))
        .collect()
}

use std::collections::BTreeMap;

use super::{Content, Digest, Kind, StagingLabel, Timestamp, VersionId, VersionMeta};

/// What describes a secret beside its versions: the fields that travel between the
/// vault and every remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The description; AWS stores an empty one as none (aws.md section 4).
    pub description: Option<String>,
    /// The tags. Keys that begin with `aws:` are AWS's own and never kept here.
    pub tags: BTreeMap<String, String>,
}

/// A limit of AWS on descriptions or tags that a text breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// Over 2048 characters.
    #[error("a description has at most 2048 characters, this one has {0}")]
    Description(usize),
    /// A key of no or over 128 characters.
    #[error("a tag key has 1 to 128 characters, this one has {0}")]
    TagKey(usize),
    /// A key that only AWS may use.
    #[error("tag keys that begin with aws: are reserved by AWS")]
    ReservedTag,
    /// A value of over 256 characters.
    #[error("a tag value has at most 256 characters, that of {key:?} has {length}")]
    TagValue {
        /// The tag's key.
        key: String,
        /// The value's length in characters.
        length: usize,
    },
    /// Over 50 tags.
    #[error("a secret has at most 50 tags, this one would have {0}")]
    TagCount(usize),
}

impl Attributes {
    /// Checks AWS's limits (aws.md sections 2, 4 and 9).
    pub fn check(&self) -> Result<(), AttributeError> {
        if let Some(text) = &self.description {
            let length = text.chars().count();
            if length > 2048 {
                return Err(AttributeError::Description(length));
            }
        }
        if self.tags.len() > 50 {
            return Err(AttributeError::TagCount(self.tags.len()));
        }
        for (key, value) in &self.tags {
            let length = key.chars().count();
            if !(1..=128).contains(&length) {
                return Err(AttributeError::TagKey(length));
            }
            if is_reserved_tag(key) {
                return Err(AttributeError::ReservedTag);
            }
            let length = value.chars().count();
            if length > 256 {
                return Err(AttributeError::TagValue {
                    key: key.clone(),
                    length,
                });
            }
        }
        Ok(())
    }
}

/// Whether a tag key belongs to AWS: such tags are neither pulled nor pushed.
pub fn is_reserved_tag(key: &str) -> bool {
    key.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("aws:"))
}

/// Where a secret stands between life and deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifecycle {
    /// In use.
    #[default]
    Live,
    /// Marked for deletion; readable again after a restore.
    Scheduled {
        /// When AWS will remove it, as far as that is known.
        date: Option<Timestamp>,
    },
    /// Gone for the world. A vault keeps the versions.
    Tombstone,
}

impl Lifecycle {
    /// Whether the secret is in use.
    pub fn is_live(self) -> bool {
        self == Self::Live
    }

    /// Whether the secret is marked for deletion.
    pub fn is_scheduled(self) -> bool {
        matches!(self, Self::Scheduled { .. })
    }

    /// One word, as the formats and plans spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Scheduled { .. } => "scheduled",
            Self::Tombstone => "tombstone",
        }
    }
}

/// One secret as one side sees it: immutable versions and a map from labels to them
/// (design.md section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretState {
    /// Description and tags.
    pub attributes: Attributes,
    /// Every version this side knows of.
    pub versions: BTreeMap<VersionId, VersionMeta>,
    /// The staging labels; each sits on one version.
    pub labels: BTreeMap<StagingLabel, VersionId>,
    /// Live, scheduled for deletion, or gone.
    pub lifecycle: Lifecycle,
}

impl SecretState {
    /// The version that bears AWSCURRENT.
    pub fn current(&self) -> Option<&VersionId> {
        self.labels.get(&StagingLabel::current())
    }

    /// The labels of one version, sorted.
    pub fn labels_of<'a>(&'a self, id: &VersionId) -> impl Iterator<Item = &'a StagingLabel> {
        let id = id.clone();
        self.labels
            .iter()
            .filter(move |(_, v)| **v == id)
            .map(|(label, _)| label)
    }

    /// Whether `older` is `newer` or one of its ancestors by recorded parents.
    /// Parents come from several machines, so a cycle must not hang this.
    pub fn is_ancestor(&self, older: &VersionId, newer: &VersionId) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        let mut at = Some(newer);
        while let Some(id) = at {
            if id == older {
                return true;
            }
            if !seen.insert(id) {
                return false;
            }
            at = self.versions.get(id).and_then(|v| v.parent.as_ref());
        }
        false
    }

    /// The newest version that both of two were made from, by recorded parents; either of
    /// them may be it.
    pub fn common_ancestor(&self, one: &VersionId, other: &VersionId) -> Option<&VersionId> {
        let mut seen = std::collections::BTreeSet::new();
        let mut at = self.versions.get_key_value(other);
        while let Some((id, meta)) = at
            && seen.insert(id)
        {
            if self.is_ancestor(id, one) {
                return Some(id);
            }
            at = meta
                .parent
                .as_ref()
                .and_then(|p| self.versions.get_key_value(p));
        }
        None
    }

    /// The id under which a version was found elsewhere, where that is another content's
    /// here (sync.md section 1.9).
    pub fn alias_of(&self, twin: &VersionId) -> Option<VersionId> {
        self.labels_of(twin).find_map(StagingLabel::aliased)
    }

    /// The id under which another content of this id is kept: the one it already has here,
    /// or a new one. New keys give all contents new digests, and what was kept before
    /// keeps its id.
    pub fn twin_of(&self, id: &VersionId, kind: Kind, digest: Digest) -> VersionId {
        let content = Content::Value { kind, digest };
        let mut twins = self.labels.iter().filter(|(label, twin)| {
            let is_it = self.versions.get(*twin).map(|v| v.content) == Some(content);
            is_it && label.aliased().as_ref() == Some(id)
        });
        let known = twins.next().map(|(_, twin)| twin.clone());
        known.unwrap_or_else(|| id.twin(&digest))
    }

    /// What two sides compare: everything but the versions themselves and the
    /// labels that belong to one side alone.
    pub fn face(&self) -> Face {
        Face {
            lifecycle: self.lifecycle,
            attributes: self.attributes.clone(),
            labels: self
                .labels
                .iter()
                .filter(|(label, _)| !label.is_reserved())
                .map(|(label, id)| (label.clone(), id.clone()))
                .collect(),
        }
    }

    /// Versions in the order of their making: by date, then by parent, then by id.
    pub fn history(&self) -> Vec<&VersionId> {
        let mut ids: Vec<&VersionId> = self.versions.keys().collect();
        ids.sort_by(|a, b| {
            let date = |id: &VersionId| self.versions.get(id).and_then(|v| v.created);
            date(a).cmp(&date(b)).then_with(|| {
                if self.is_ancestor(a, b) {
                    std::cmp::Ordering::Less
                } else if self.is_ancestor(b, a) {
                    std::cmp::Ordering::Greater
                } else {
                    a.cmp(b)
                }
            })
        });
        ids
    }
}

/// The comparable part of a secret's state on one side: lifecycle, attributes and
/// the labels that may travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    /// Live, scheduled, or gone.
    pub lifecycle: Lifecycle,
    /// Description and tags.
    pub attributes: Attributes,
    /// Labels, without `sr/...` and the holding label.
    pub labels: BTreeMap<StagingLabel, VersionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_4_and_9_attribute_limits() {
        let mut a = Attributes {
            description: Some("é".repeat(2048)),
            ..Attributes::default()
        };
        assert_eq!(a.check(), Ok(()));
        a.description = Some("é".repeat(2049));
        assert_eq!(a.check(), Err(AttributeError::Description(2049)));
        a.description = None;
        a.tags.insert("aws:x".into(), String::new());
        assert_eq!(a.check(), Err(AttributeError::ReservedTag));
        a.tags.clear();
        a.tags.insert("k".into(), "v".repeat(257));
        assert!(matches!(
            a.check(),
            Err(AttributeError::TagValue { length: 257, .. })
        ));
        a.tags = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(a.check(), Err(AttributeError::TagCount(51)));
        a.tags = BTreeMap::from([("k".repeat(129), String::new())]);
        assert_eq!(a.check(), Err(AttributeError::TagKey(129)));
    }
}

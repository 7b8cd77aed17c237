//! One secret of a plan: what is to be on the target, without its values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{
    Attributes, Digest, Kind, RemoteSecret, SecretName, StagingLabel, Timestamp, VersionId,
};

/// Whether a secret can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It can.
    Ready,
    /// It cannot, and its reasons say why.
    Blocked,
}

/// One secret of a migration: what the source had, and what the target is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name on the source.
    #[serde(with = "text")]
    pub source: SecretName,
    /// Its name on the target.
    #[serde(with = "text")]
    pub target: SecretName,
    /// Its ARN on the source.
    pub arn: String,
    /// LastChangedDate on the source when it was looked at.
    #[serde(
        with = "text::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub changed: Option<Timestamp>,
    /// Whether it can be copied.
    pub state: State,
    /// Why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What a reviewer should know all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The versions to be copied, oldest first, without those a rotation has under way.
    #[serde(default)]
    pub versions: Vec<Version>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tags that the copy gets.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The description and tags of the source, to notice a change of them: a hash.
    pub facing: String,
    /// The KMS key of the copy; none for the account's default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms: Option<String>,
    /// The resource policy of the copy, rewritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How often the source's account id stands in its values.
    #[serde(default)]
    pub account_mentions: usize,
    /// How often the source's Region stands in its values.
    #[serde(default)]
    pub region_mentions: usize,
    /// Whether the target is scheduled for deletion and is to be brought back.
    #[serde(default)]
    pub restore: bool,
    /// Whether a secret of the target's name is there already, with the same content.
    #[serde(default)]
    pub present: bool,
}

/// One version to be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Its id, here and there.
    #[serde(with = "text")]
    pub id: VersionId,
    /// Its labels.
    #[serde(with = "text::list")]
    pub labels: Vec<StagingLabel>,
    /// String or binary; none while the value was not read.
    #[serde(
        with = "text::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub kind: Option<Kind>,
    /// The digest of its value, under the vault's key.
    #[serde(
        with = "text::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub digest: Option<Digest>,
    /// When the source made it; the target will say when it was copied.
    #[serde(
        with = "text::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub created: Option<Timestamp>,
}

impl Item {
    /// Whether it can be copied.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// The version that bears AWSCURRENT.
    pub fn current(&self) -> Option<&Version> {
        let is_current = |v: &&Version| v.labels.iter().any(StagingLabel::is_current);
        self.versions.iter().find(is_current)
    }

    /// The version of an id.
    pub fn version(&self, id: &VersionId) -> Option<&Version> {
        self.versions.iter().find(|v| v.id == *id)
    }

    /// The labels that the copy is to have.
    pub fn labels(&self) -> BTreeMap<StagingLabel, VersionId> {
        let labels = self.versions.iter().flat_map(|version| {
            let labels = version.labels.iter();
            labels.map(|label| (label.clone(), version.id.clone()))
        });
        labels.collect()
    }

    /// Description and tags of the copy.
    pub fn attributes(&self) -> Attributes {
        Attributes {
            description: self.description.clone(),
            tags: self.tags.clone(),
        }
    }

    /// Whether the source still is as it was when this was written down: the same
    /// incarnation, labels, description and tags, and the same LastChangedDate, which
    /// stands for what a listing does not show.
    pub fn is_of(&self, source: &RemoteSecret) -> bool {
        source.facts.arn == self.arn
            && source.facts.changed == self.changed
            && source.state.lifecycle.is_live()
            && carried(source) == self.labels()
            && facing(&source.state.attributes) == self.facing
    }
}

/// The labels of a source that travel: not those of a rotation or a push under way.
pub(super) fn carried(source: &RemoteSecret) -> BTreeMap<StagingLabel, VersionId> {
    let labels = source.state.labels.iter();
    labels
        .filter(|(label, _)| travels(label))
        .map(|(label, id)| (label.clone(), id.clone()))
        .collect()
}

/// Whether a label belongs on a copy.
pub(super) fn travels(label: &StagingLabel) -> bool {
    !label.is_pending() && !label.is_reserved()
}

/// A hash over description and tags.
pub(super) fn facing(attributes: &Attributes) -> String {
    use sha2::Digest as _;
    let text = format!("{:?}{:?}", attributes.description, attributes.tags);
    let hash = sha2::Sha256::digest(text.as_bytes());
    data_encoding::HEXLOWER.encode(&hash)
}

/// The model's words as text of a format. `Display` escapes for terminals, so it is
/// not what is written.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::model::{Digest, Kind, SecretName, StagingLabel, Timestamp, VersionId};

    pub(super) trait Text: Sized {
        fn write(&self) -> String;
        fn read(text: &str) -> Option<Self>;
    }

    macro_rules! words {
        ($($kind:ty),*) => {$(
            impl Text for $kind {
                fn write(&self) -> String {
                    self.as_str().to_owned()
                }
                fn read(text: &str) -> Option<Self> {
                    text.parse().ok()
                }
            }
        )*};
    }
    words!(SecretName, VersionId, StagingLabel);

    macro_rules! shown {
        ($($kind:ty),*) => {$(
            impl Text for $kind {
                fn write(&self) -> String {
                    self.to_string()
                }
                fn read(text: &str) -> Option<Self> {
                    text.parse().ok()
                }
            }
        )*};
    }
    shown!(Digest, Timestamp);

    impl Text for Kind {
        fn write(&self) -> String {
            self.as_str().to_owned()
        }
        fn read(text: &str) -> Option<Self> {
            [Self::String, Self::Binary]
                .into_iter()
                .find(|kind| kind.as_str() == text)
        }
    }

    fn parse<T: Text, E: serde::de::Error>(text: &str) -> Result<T, E> {
        T::read(text).ok_or_else(|| E::custom(format!("{text:?} is malformed")))
    }

    pub(super) fn serialize<T: Text, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&it.write())
    }

    pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        parse(&String::deserialize(from)?)
    }

    pub(super) mod option {
        use super::{Deserializer, Serializer, Text, parse};
        use serde::{Deserialize as _, Serialize as _};

        pub(in super::super) fn serialize<T: Text, S: Serializer>(
            it: &Option<T>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            it.as_ref().map(Text::write).serialize(to)
        }

        pub(in super::super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<T>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.as_deref().map(parse).transpose()
        }
    }

    pub(super) mod list {
        use super::{Deserializer, Serializer, Text, parse};
        use serde::Deserialize as _;

        pub(in super::super) fn serialize<T: Text, S: Serializer>(
            list: &[T],
            to: S,
        ) -> Result<S::Ok, S::Error> {
            to.collect_seq(list.iter().map(Text::write))
        }

        pub(in super::super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Vec<T>, D::Error> {
            let texts = Vec::<String>::deserialize(from)?;
            texts.iter().map(|text| parse(text)).collect()
        }
    }
}

use std::fmt;
use std::str::FromStr;

/// A staging label: a word that sits on exactly one version of a secret.
///
/// 1 to 256 characters, any (aws.md section 2). `sr/...` labels live in the vault
/// only: they mark versions that lost a conflict and are never pushed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StagingLabel(String);

/// How a label begins that says which id a version was found under.
const ALIAS: &str = "sr/alias/";

/// A text that cannot be a staging label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a staging label has 1 to 256 characters, this one has {0}")]
pub struct LabelError(usize);

impl StagingLabel {
    /// The label a read without a version answers from.
    pub const CURRENT: &'static str = "AWSCURRENT";
    /// The label that the service puts on the version that was current before.
    pub const PREVIOUS: &'static str = "AWSPREVIOUS";
    /// The label of a rotation under way.
    pub const PENDING: &'static str = "AWSPENDING";
    /// The label under which a push parks a new version, before AWSCURRENT moves
    /// by compare-and-swap. It rolls on to the newest push by itself, and no side
    /// ever treats it as a change.
    pub const HOLDING: &'static str = "SRPUSH";
    /// Most labels AWS keeps over all versions of one secret (aws.md section 9).
    pub const MAX_PER_SECRET: usize = 20;

    /// `AWSCURRENT`.
    pub fn current() -> Self {
        Self(Self::CURRENT.to_owned())
    }

    /// `AWSPREVIOUS`.
    pub fn previous() -> Self {
        Self(Self::PREVIOUS.to_owned())
    }

    /// `AWSPENDING`.
    pub fn pending() -> Self {
        Self(Self::PENDING.to_owned())
    }

    /// `SRPUSH`.
    pub fn holding() -> Self {
        Self(Self::HOLDING.to_owned())
    }

    /// The label that marks `twin` as another content that was found under `id`:
    /// `sr/alias/<id>/<first eight of the twin>`.
    pub fn alias(id: &super::VersionId, twin: &super::VersionId) -> Self {
        let id8: String = twin.as_str().chars().take(8).collect();
        Self(format!("{ALIAS}{}/{id8}", id.as_str()))
    }

    /// The id that an alias label is about.
    pub fn aliased(&self) -> Option<super::VersionId> {
        let (id, _) = self.0.strip_prefix(ALIAS)?.rsplit_once('/')?;
        id.parse().ok()
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is AWSCURRENT.
    pub fn is_current(&self) -> bool {
        self.0 == Self::CURRENT
    }

    /// Whether this is AWSPREVIOUS.
    pub fn is_previous(&self) -> bool {
        self.0 == Self::PREVIOUS
    }

    /// Whether this is AWSPENDING.
    pub fn is_pending(&self) -> bool {
        self.0 == Self::PENDING
    }

    /// Whether the label belongs to this vault alone and is never pushed.
    pub fn is_local(&self) -> bool {
        self.0.starts_with("sr/")
    }

    /// Whether the label is strongroom's own scaffolding on a remote.
    pub fn is_holding(&self) -> bool {
        self.0 == Self::HOLDING
    }

    /// Whether a user may set the label by hand: everything but the scaffolding.
    pub fn is_reserved(&self) -> bool {
        self.is_local() || self.is_holding()
    }
}

impl FromStr for StagingLabel {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        match text.chars().count() {
            1..=256 => Ok(Self(text.to_owned())),
            n => Err(LabelError(n)),
        }
    }
}

impl fmt::Display for StagingLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::escape::write_escaped(f, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_2_label_length() {
        assert_eq!("".parse::<StagingLabel>(), Err(LabelError(0)));
        assert!("x".repeat(256).parse::<StagingLabel>().is_ok());
        assert_eq!(
            "x".repeat(257).parse::<StagingLabel>(),
            Err(LabelError(257))
        );
    }

    #[test]
    fn a_hostile_label_prints_escaped() {
        let label: StagingLabel = "a\u{1b}[31m\u{202e}b".parse().unwrap();
        assert_eq!(label.to_string(), "a\\u{1b}[31m\\u{202e}b");
    }
}

use std::fmt;
use std::str::FromStr;

use super::{NameError, SecretName, SecretState, StagingLabel, VersionId};

/// Which version of which secret: `NAME[#VERSIONID-PREFIX | :LABEL][~N]`, or a full
/// ARN in place of the name (design.md section 6). `#`, `:` and `~` cannot occur in
/// a name, so the form is unambiguous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The secret.
    pub name: SecretName,
    /// The version, before steps back.
    pub which: Which,
    /// How many parents to go back.
    pub back: usize,
}

/// How a selector names a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the label it bears; AWSCURRENT unless said otherwise.
    Label(StagingLabel),
    /// By the first characters of its id.
    Prefix(String),
}

/// A text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The name part is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Nothing after `#`, `:` or `~`, or no number after `~`.
    #[error("{0}")]
    Form(&'static str),
    /// An ARN that names no secret.
    #[error("not the ARN of a secret")]
    Arn,
}

/// A selector that finds no single version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The label is on no version.
    #[error("no version of {name} bears the label {label}")]
    NoLabel {
        /// The secret.
        name: SecretName,
        /// The label.
        label: StagingLabel,
    },
    /// No id begins so.
    #[error("no version of {name} has an id that begins with {prefix:?}")]
    NoVersion {
        /// The secret.
        name: SecretName,
        /// What was asked for.
        prefix: String,
    },
    /// Several ids begin so.
    #[error("{count} versions of {name} have an id that begins with {prefix:?}")]
    Ambiguous {
        /// The secret.
        name: SecretName,
        /// What was asked for.
        prefix: String,
        /// How many.
        count: usize,
    },
    /// History ends before.
    #[error("version {from} of {name} has no ancestor {back} steps back")]
    TooFarBack {
        /// The secret.
        name: SecretName,
        /// Where the walk began.
        from: VersionId,
        /// How far it should have gone.
        back: usize,
    },
}

impl Selector {
    /// The AWSCURRENT version of a secret.
    pub fn current(name: SecretName) -> Self {
        Self {
            name,
            which: Which::Label(StagingLabel::current()),
            back: 0,
        }
    }

    /// Finds the version in a secret's state.
    pub fn find<'a>(&self, state: &'a SecretState) -> Result<&'a VersionId, SelectError> {
        let start = match &self.which {
            Which::Label(label) => state
                .labels
                .get(label)
                .ok_or_else(|| SelectError::NoLabel {
                    name: self.name.clone(),
                    label: label.clone(),
                })?,
            Which::Prefix(prefix) => find_prefix(&self.name, state, prefix)?,
        };
        let mut at = start;
        for _ in 0..self.back {
            at = state
                .versions
                .get(at)
                .and_then(|v| v.parent.as_ref())
                .and_then(|p| state.versions.get_key_value(p))
                .map(|(id, _)| id)
                .ok_or_else(|| SelectError::TooFarBack {
                    name: self.name.clone(),
                    from: start.clone(),
                    back: self.back,
                })?;
        }
        Ok(at)
    }
}

/// Finds the one version whose id begins with `prefix`.
pub fn find_prefix<'a>(
    name: &SecretName,
    state: &'a SecretState,
    prefix: &str,
) -> Result<&'a VersionId, SelectError> {
    let mut hits = state
        .versions
        .keys()
        .filter(|id| id.as_str().starts_with(prefix));
    let Some(first) = hits.next() else {
        return Err(SelectError::NoVersion {
            name: name.clone(),
            prefix: prefix.to_owned(),
        });
    };
    // A whole id is never ambiguous, even when a longer one begins with it.
    if first.as_str() == prefix {
        return Ok(first);
    }
    match hits.count() {
        0 => Ok(first),
        more => Err(SelectError::Ambiguous {
            name: name.clone(),
            prefix: prefix.to_owned(),
            count: more + 1,
        }),
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (head, back) = match text.rsplit_once('~') {
            Some((head, "")) => (head, 1),
            Some((head, steps)) => (
                head,
                steps
                    .parse()
                    .map_err(|_| SelectorError::Form("after ~ comes a number of steps back"))?,
            ),
            None => (text, 0),
        };
        if head.starts_with("arn:") {
            return Ok(Self {
                name: name_of_arn(head)?,
                which: Which::Label(StagingLabel::current()),
                back,
            });
        }
        if let Some((name, prefix)) = head.split_once('#') {
            if prefix.is_empty() {
                return Err(SelectorError::Form(
                    "after # comes the start of a version id",
                ));
            }
            return Ok(Self {
                name: name.parse()?,
                which: Which::Prefix(prefix.to_owned()),
                back,
            });
        }
        if let Some((name, label)) = head.split_once(':') {
            let label = label
                .parse()
                .map_err(|_| SelectorError::Form("after : comes a staging label"))?;
            return Ok(Self {
                name: name.parse()?,
                which: Which::Label(label),
                back,
            });
        }
        Ok(Self {
            name: head.parse()?,
            which: Which::Label(StagingLabel::current()),
            back,
        })
    }
}

/// Takes the name out of a full or partial ARN. The last part may hold `/`, and a
/// complete ARN ends in `-` and six characters (aws.md section 2).
pub fn name_of_arn(arn: &str) -> Result<SecretName, SelectorError> {
    let mut parts = arn.splitn(7, ':');
    let ok = parts.next() == Some("arn")
        && parts.next().is_some_and(|p| p.starts_with("aws"))
        && parts.next() == Some("secretsmanager")
        && parts.next().is_some_and(|p| !p.is_empty())
        && parts.next().is_some_and(|p| p.len() == 12)
        && parts.next() == Some("secret");
    let (true, Some(rest)) = (ok, parts.next()) else {
        return Err(SelectorError::Arn);
    };
    let name = match rest.rsplit_once('-') {
        Some((name, suffix))
            if suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            name
        }
        _ => rest,
    };
    Ok(name.parse()?)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.which {
            Which::Label(label) if label.is_current() => {}
            Which::Label(label) => write!(f, ":{label}")?,
            Which::Prefix(prefix) => write!(f, "#{}", super::Escaped(prefix))?,
        }
        match self.back {
            0 => Ok(()),
            n => write!(f, "~{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, VersionMeta};

    fn id(n: u8) -> VersionId {
        format!("{n:032x}").parse().unwrap()
    }

    fn state() -> SecretState {
        let mut s = SecretState::default();
        for n in 1..=3 {
            let mut meta = VersionMeta::unread(Origin::Local);
            meta.parent = (n > 1).then(|| id(n - 1));
            s.versions.insert(id(n), meta);
        }
        s.labels.insert(StagingLabel::current(), id(3));
        s.labels.insert("blue".parse().unwrap(), id(1));
        s
    }

    #[test]
    fn selectors_read_and_print() {
        for (text, printed) in [
            ("a/b", "a/b"),
            ("a/b~", "a/b~1"),
            ("a/b~2", "a/b~2"),
            ("a#0f", "a#0f"),
            ("a:blue", "a:blue"),
            ("a:AWSCURRENT", "a"),
            ("a:blue~1", "a:blue~1"),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b/c-AbCdEf",
                "a/b/c",
            ),
            (
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b/c",
                "a/b/c",
            ),
        ] {
            assert_eq!(
                text.parse::<Selector>().unwrap().to_string(),
                printed,
                "{text}"
            );
        }
        for bad in [
            "",
            "a#",
            "a:",
            "a~x",
            "a b",
            "arn:aws:s3:x:123456789012:secret:a",
            "arn:aws:secretsmanager:x:1:secret:a",
        ] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn aws_2_trap_a_partial_arn_that_ends_like_a_suffix_is_a_complete_one() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-a1b2c3";
        assert_eq!(name_of_arn(arn).unwrap().as_str(), "x");
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-a1b2";
        assert_eq!(name_of_arn(arn).unwrap().as_str(), "x-a1b2");
    }

    #[test]
    fn a_selector_finds_by_label_prefix_and_steps() {
        let s = state();
        let find = |text: &str| text.parse::<Selector>().unwrap().find(&s).cloned();
        assert_eq!(find("a"), Ok(id(3)));
        assert_eq!(find("a~2"), Ok(id(1)));
        assert_eq!(find("a:blue"), Ok(id(1)));
        assert_eq!(find(&format!("a#{}", id(2))), Ok(id(2)));
        assert!(matches!(
            find("a#00"),
            Err(SelectError::Ambiguous { count: 3, .. })
        ));
        assert!(matches!(find("a#ff"), Err(SelectError::NoVersion { .. })));
        assert!(matches!(find("a:green"), Err(SelectError::NoLabel { .. })));
        assert!(matches!(find("a~3"), Err(SelectError::TooFarBack { .. })));
    }
}

//! Which secrets move, and under which names. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::model::{NameError, SecretName};

/// What happens to names of a certain kind.
///
/// Written `NAME=NAME`, `PREFIX*=PREFIX*` or `re:PATTERN=REPLACEMENT`; `=>` in place
/// of `=` where a name or pattern holds a `=`. A rule without a right side drops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    pattern: Pattern,
    /// What takes the place; none leaves the secret out.
    to: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    Prefix(String),
    Regex(String),
}

/// A rule that says nothing, or not one thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No `=`, or more than one of them.
    #[error("{0:?}: a name map is written FROM=TO, or FROM=>TO where a = is part of a name")]
    Sides(String),
    /// A prefix on one side only.
    #[error("{0:?}: both sides end in *, or neither does")]
    Star(String),
    /// Not a regular expression.
    #[error("{pattern:?}: not a regular expression: {reason}")]
    Regex {
        /// The pattern.
        pattern: String,
        /// What the parser says.
        reason: String,
    },
    /// An empty left side.
    #[error("{0:?}: nothing to look for")]
    Empty(String),
}

impl Rule {
    /// Reads a rule that leaves out: `NAME`, `PREFIX*` or `re:PATTERN`.
    pub fn drop(text: &str) -> Result<Self, RuleError> {
        Ok(Self {
            pattern: Pattern::parse(text)?,
            to: None,
        })
    }

    /// The new name, if the rule is about this one; `Some(None)` leaves it out.
    fn apply(&self, name: &str) -> Option<Option<String>> {
        match &self.pattern {
            Pattern::Exact(from) => (from == name).then(|| self.to.clone()),
            Pattern::Prefix(from) => {
                let rest = name.strip_prefix(from.as_str())?;
                Some(self.to.as_ref().map(|to| format!("{to}{rest}")))
            }
            Pattern::Regex(pattern) => {
                // Parsed once when the rule was read.
                let regex = Regex::new(pattern).ok()?;
                regex.is_match(name).then(|| {
                    let to = self.to.as_ref()?;
                    Some(regex.replace(name, to.as_str()).into_owned())
                })
            }
        }
    }

    /// Orders rules: exact names, longer prefixes, shorter ones, expressions; at the
    /// same place a drop comes after a map (sync.md section 6).
    fn rank(&self) -> (u8, usize, bool) {
        let drops = self.to.is_none();
        match &self.pattern {
            Pattern::Exact(_) => (0, 0, drops),
            Pattern::Prefix(from) => (1, usize::MAX - from.len(), drops),
            Pattern::Regex(_) => (2, 0, drops),
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, RuleError> {
        if text.is_empty() {
            return Err(RuleError::Empty(text.to_owned()));
        }
        if let Some(pattern) = text.strip_prefix("re:") {
            Regex::new(pattern).map_err(|e| RuleError::Regex {
                pattern: pattern.to_owned(),
                reason: e.to_string(),
            })?;
            return Ok(Self::Regex(pattern.to_owned()));
        }
        Ok(match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        })
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let sides = || RuleError::Sides(text.to_owned());
        let (from, to) = match text.split_once("=>") {
            Some(sides) => sides,
            None if text.matches('=').count() == 1 => text.split_once('=').ok_or_else(sides)?,
            None => return Err(sides()),
        };
        let pattern = Pattern::parse(from)?;
        let to = match (&pattern, to.strip_suffix('*')) {
            (Pattern::Prefix(_), Some(to)) => to,
            (Pattern::Prefix(_), None) | (Pattern::Exact(_), Some(_)) => {
                return Err(RuleError::Star(text.to_owned()));
            }
            _ => to,
        };
        Ok(Self {
            pattern,
            to: Some(to.to_owned()),
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = match &self.pattern {
            Pattern::Exact(from) => {
                f.write_str(from)?;
                ""
            }
            Pattern::Prefix(from) => {
                write!(f, "{from}*")?;
                "*"
            }
            Pattern::Regex(pattern) => {
                write!(f, "re:{pattern}")?;
                ""
            }
        };
        match &self.to {
            Some(to) => write!(f, "=>{to}{star}"),
            None => Ok(()),
        }
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        if text.contains("=>") {
            text.parse()
        } else {
            Self::drop(&text)
        }
    }
}

/// What happens to resource policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policies {
    /// Carried over, with the secrets' own ARNs rewritten.
    #[default]
    Rewrite,
    /// Left behind, and not even read.
    Skip,
}

/// Everything a reviewer has to agree with beside the list of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Name maps and drops, in the order given.
    pub map: Vec<Rule>,
    /// Only source names that begin so; empty means all.
    pub only: Vec<String>,
    /// KMS keys of the source, and those that stand for them on the target.
    pub kms: BTreeMap<String, String>,
    /// Tags that every copy gets.
    pub tags: BTreeMap<String, String>,
    /// Keys of tags that no copy gets.
    pub drop_tags: Vec<String>,
    /// What happens to resource policies.
    pub policy: Policies,
    /// Whether account ids in policies become the target's.
    pub account_rewrite: bool,
    /// Whether versions without labels are copied too.
    pub history: bool,
    /// Whether a secret with rotation is copied, without its rotation.
    pub without_rotation: bool,
    /// Whether a target that is scheduled for deletion is brought back, if its
    /// versions are the source's.
    pub restore: bool,
}

/// Where a source name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A name on the target.
    Name(SecretName),
    /// No name that AWS accepts.
    Invalid(String, NameError),
    /// Left out by a rule.
    Dropped,
    /// Not asked for.
    Outside,
}

impl Rules {
    /// The target of one name: the most specific rule decides; without one the name
    /// stays.
    pub fn target(&self, name: &SecretName) -> Target {
        let text = name.as_str();
        let asked = self.only.is_empty() || self.only.iter().any(|p| text.starts_with(p));
        if !asked {
            return Target::Outside;
        }
        let mut rules: Vec<&Rule> = self.map.iter().collect();
        // Stable: expressions stay in the order given.
        rules.sort_by_key(|rule| rule.rank());
        match rules.into_iter().find_map(|rule| rule.apply(text)) {
            None => Target::Name(name.clone()),
            Some(None) => Target::Dropped,
            Some(Some(to)) => match to.parse() {
                Ok(to) => Target::Name(to),
                Err(error) => Target::Invalid(to, error),
            },
        }
    }

    /// The tags a copy gets.
    pub fn tags_of(&self, tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut to = tags.clone();
        to.retain(|key, _| !self.drop_tags.contains(key));
        to.extend(self.tags.clone());
        to
    }
}

/// Why names that are mapped together cannot be: for each such source name a
/// sentence that names the other one too.
pub(super) fn collisions(pairs: &[(SecretName, SecretName)]) -> BTreeMap<SecretName, String> {
    let mut by_target: BTreeMap<String, Vec<&(SecretName, SecretName)>> = BTreeMap::new();
    for pair in pairs {
        let folded = pair.1.as_str().to_ascii_lowercase();
        by_target.entry(folded).or_default().push(pair);
    }
    let mut broken = BTreeMap::new();
    for group in by_target.values() {
        for (at, one) in group.iter().enumerate() {
            let Some(other) = group
                .iter()
                .enumerate()
                .find(|(n, other)| *n != at && collide(one, other))
                .map(|(_, other)| other)
            else {
                continue;
            };
            let how = if one.1 == other.1 {
                format!("{} and {} would both become {}", one.0, other.0, one.1)
            } else {
                format!(
                    "{} would become {} and {} would become {}, which differ in case only",
                    one.0, one.1, other.0, other.1
                )
            };
            broken.insert(one.0.clone(), how);
        }
    }
    broken
}

/// Names that differ in case only are two names to AWS. They are let be where the
/// source has them so already, and not made by a map.
fn collide(one: &(SecretName, SecretName), other: &(SecretName, SecretName)) -> bool {
    one.1 == other.1 || !one.0.as_str().eq_ignore_ascii_case(other.0.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    fn rules(map: &[&str], drop: &[&str]) -> Rules {
        let maps = map.iter().map(|t| t.parse().unwrap());
        let drops = drop.iter().map(|t| Rule::drop(t).unwrap());
        Rules {
            map: drops.chain(maps).collect(),
            ..Rules::default()
        }
    }

    #[test]
    fn sync_6_exact_goes_before_prefix_before_expression_before_drop() {
        let rules = rules(
            &[
                "re:^(a|b)/(.*)$=re/$2/$1",
                "re:^b/.*$=never",
                "prod/*=live/*",
                "prod/db/*=db/*",
                "prod/db/main=main",
                "keep/me=keep/me",
                "a=b=>c=d",
            ],
            &["prod/tmp/*", "keep/*", "re:^a/", "prod/db/main", "re:^z"],
        );
        for (from, to) in [
            ("prod/db/main", Some("main")),
            ("prod/db/other", Some("db/other")),
            ("prod/api", Some("live/api")),
            ("prod/tmp/x", None),
            ("keep/me", Some("keep/me")),
            ("keep/other", None),
            ("a/x", Some("re/x/a")),
            ("b/y/z", Some("re/y/z/b")),
            ("zebra", None),
            ("a=b", Some("c=d")),
            ("elsewhere", Some("elsewhere")),
        ] {
            let want = to.map_or(Target::Dropped, |t| Target::Name(name(t)));
            assert_eq!(rules.target(&name(from)), want, "{from}");
        }
    }

    #[test]
    fn only_names_prefixes_of_the_source() {
        let mut rules = rules(&["prod/*=live/*"], &[]);
        rules.only = vec!["prod/".into()];
        assert_eq!(rules.target(&name("prod/a")), Target::Name(name("live/a")));
        assert_eq!(rules.target(&name("live/a")), Target::Outside);
    }

    #[test]
    fn aws_2_a_map_to_no_name_of_aws_says_why() {
        let long = format!("a/*={}*", "x".repeat(512));
        for map in ["a/*=a b/*", long.as_str(), "re:^a/.*$="] {
            let got = rules(&[map], &[]).target(&name("a/b"));
            assert!(matches!(got, Target::Invalid(..)), "{map}: {got:?}");
        }
    }

    #[test]
    fn malformed_rules_are_refused_and_good_ones_come_back() {
        for bad in ["a", "a=b=c", "=b", "a*=b", "a=b*", "re:(=x", ""] {
            assert!(bad.parse::<Rule>().is_err(), "{bad:?}");
        }
        assert!(Rule::drop("").is_err());
        assert!(Rule::drop("re:(").is_err());
        for good in ["a=b", "a/*=*", "*=x/*", "re:^x(.)$=$1", "a=b=>c"] {
            let rule: Rule = good.parse().unwrap();
            assert_eq!(Rule::try_from(rule.to_string()).as_ref(), Ok(&rule));
        }
        let drop = Rule::drop("a*").unwrap();
        assert_eq!(Rule::try_from(drop.to_string()), Ok(drop));
    }

    #[test]
    fn two_sources_of_one_target_are_both_named_and_case_counts() {
        let pairs = |list: &[(&str, &str)]| -> Vec<_> {
            list.iter().map(|(a, b)| (name(a), name(b))).collect()
        };
        let broken = collisions(&pairs(&[("a/x", "x"), ("b/x", "x"), ("c", "c")]));
        assert_eq!(broken.len(), 2);
        for text in broken.values() {
            assert!(text.contains("a/x") && text.contains("b/x"), "{text}");
        }
        let broken = collisions(&pairs(&[("a/x", "X"), ("b/x", "x")]));
        assert_eq!(broken.len(), 2);
        assert!(broken[&name("a/x")].contains("case"), "{broken:?}");
        // The source has them so.
        assert!(collisions(&pairs(&[("X", "p/X"), ("x", "p/x")])).is_empty());
        assert!(collisions(&pairs(&[("a", "b"), ("b", "a")])).is_empty());
    }

    #[test]
    fn tags_are_dropped_and_added() {
        let rules = Rules {
            tags: BTreeMap::from([("team".into(), "new".into())]),
            drop_tags: vec!["old".into()],
            ..Rules::default()
        };
        let had = BTreeMap::from([
            ("old".to_owned(), "1".to_owned()),
            ("team".to_owned(), "2".to_owned()),
            ("x".to_owned(), "3".to_owned()),
        ]);
        let got = rules.tags_of(&had);
        assert_eq!(got.len(), 2);
        assert_eq!((got["team"].as_str(), got["x"].as_str()), ("new", "3"));
    }
}

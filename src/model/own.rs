use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Details, RemoteFacts, Rotation};

/// Something that each remote has of its own, so that it never crosses from one to
/// another: an ARN or a Region means nothing elsewhere (sync.md section 1.7). Written as
/// a text in one spelling; a side that is known to have none has the empty text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnField {
    /// The KMS key; without one it is the account's default key (aws.md section 8).
    KmsKey,
    /// The resource policy, as canonical JSON.
    Policy,
    /// The Regions it is replicated to, sorted: `eu-west-1 us-west-2=alias/key`.
    Replicas,
    /// How it is rotated, in words. The remote's alone: a sync never changes it, since
    /// RotateSecret starts a rotation (aws.md section 7).
    Rotation,
}

impl OwnField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::KmsKey, Self::Policy, Self::Replicas, Self::Rotation];

    /// The word for it in metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KmsKey => "kms_key",
            Self::Policy => "policy",
            Self::Replicas => "replicas",
            Self::Rotation => "rotation",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == word)
    }

    /// What a person calls it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::KmsKey => "KMS key",
            Self::Policy => "resource policy",
            Self::Replicas => "replicas",
            Self::Rotation => "rotation",
        }
    }

    /// Whether two texts mean the same. AWS shows a KMS key as it was given or as an ARN
    /// (aws.md section 8); a set of replicas that are wanted is there if none is missing.
    pub fn is_met(self, wanted: &str, there: &str) -> bool {
        match self {
            Self::KmsKey => {
                let ends = |long: &str, short: &str| {
                    let rest = long.strip_suffix(short);
                    !short.is_empty()
                        && long.starts_with("arn:")
                        && rest.is_some_and(|r| r.ends_with(':') || r.ends_with(":key/"))
                };
                wanted == there || ends(wanted, there) || ends(there, wanted)
            }
            Self::Replicas => missing_replicas(wanted, there).is_empty(),
            Self::Policy | Self::Rotation => wanted == there,
        }
    }
}

/// What is known of such a text for one remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Halves {
    /// What was set here for this remote and is not there yet; `None` if nothing was. Of
    /// replicas: those to add.
    pub here: Option<String>,
    /// What the remote had when it was last accepted, or when somebody here set it anew:
    /// what a push must still find there.
    pub there: String,
}

/// What is done with one remote about that. None of it by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Whether replicas and resource policies are asked for, of every secret that
    /// changed: two more calls for each.
    pub details: bool,
    /// Whether a KMS key that was set here is pushed.
    pub push_kms: bool,
    /// Whether a resource policy that was set here is pushed.
    pub push_policy: bool,
    /// Whether replicas that were added here are made there.
    pub push_replicas: bool,
}

impl Extras {
    /// Why what was set here is not pushed, if it is not.
    pub fn refuses(self, field: OwnField) -> Option<&'static str> {
        let (on, why) = match field {
            OwnField::KmsKey => (self.push_kms, "push_kms is off for this remote"),
            OwnField::Policy => (self.push_policy, "push_policy is off for this remote"),
            OwnField::Replicas => (self.push_replicas, "push_replicas is off for this remote"),
            OwnField::Rotation => (false, "a sync never sets up rotation"),
        };
        (!on).then_some(why)
    }
}

impl Details {
    /// What was set here, if anything was.
    pub fn own(&self, field: OwnField) -> Option<Cow<'_, str>> {
        match field {
            OwnField::KmsKey => self.kms_key.as_deref().map(Cow::Borrowed),
            OwnField::Policy => self.policy.as_deref().map(Cow::Borrowed),
            OwnField::Replicas if self.replicas.is_empty() => None,
            OwnField::Replicas => Some(Cow::Owned(replicas_text(&self.replicas))),
            OwnField::Rotation => self.rotation.as_ref().map(|r| Cow::Owned(r.in_words())),
        }
    }
}

impl RemoteFacts {
    /// What the remote has; `None` where that is not known.
    pub fn own(&self, field: OwnField) -> Option<Cow<'_, str>> {
        match field {
            OwnField::KmsKey => Some(Cow::Borrowed(self.kms_key.as_deref().unwrap_or_default())),
            OwnField::Policy => self.policy.as_deref().map(Cow::Borrowed),
            OwnField::Replicas => self
                .replicas
                .as_ref()
                .map(|all| Cow::Owned(replicas_text(all))),
            OwnField::Rotation => {
                let words = self.rotation.as_ref().map(Rotation::in_words);
                Some(Cow::Owned(words.unwrap_or_default()))
            }
        }
    }
}

impl Rotation {
    /// `on, rate(30 days), window 2h, by arn:aws:lambda:...`: what rotation is set up to,
    /// without the dates, which change by themselves.
    pub fn in_words(&self) -> String {
        let mut words = vec![if self.enabled { "on" } else { "off" }.to_owned()];
        // AutomaticallyAfterDays is computed where there is a schedule (aws.md section 7).
        words.extend(self.schedule.clone().or_else(|| {
            let days = self.after_days?;
            Some(format!("every {days} days"))
        }));
        words.extend(self.duration.as_ref().map(|d| format!("window {d}")));
        words.extend(self.function.as_ref().map(|f| format!("by {f}")));
        words.join(", ")
    }
}

/// Replicas as one text.
pub fn replicas_text(all: &BTreeMap<String, Option<String>>) -> String {
    let words: Vec<String> = all
        .iter()
        .map(|(region, key)| match key {
            Some(key) => format!("{region}={key}"),
            None => region.clone(),
        })
        .collect();
    words.join(" ")
}

/// Replicas from such a text: each Region with its KMS key.
pub fn replicas_of(text: &str) -> BTreeMap<String, Option<String>> {
    text.split_ascii_whitespace()
        .map(|word| match word.split_once('=') {
            Some((region, key)) => (region.to_owned(), Some(key.to_owned())),
            None => (word.to_owned(), None),
        })
        .collect()
}

/// The wanted replicas whose Region has none yet: what is there is never made anew.
pub fn missing_replicas(wanted: &str, there: &str) -> BTreeMap<String, Option<String>> {
    let there = replicas_of(there);
    let mut missing = replicas_of(wanted);
    missing.retain(|region, _| !there.contains_key(region));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_8_one_key_by_two_names() {
        let met = |a, b| OwnField::KmsKey.is_met(a, b);
        assert!(met("", "") && met("alias/a", "alias/a"));
        let arn = "arn:aws:kms:eu-west-1:123456789012:alias/a";
        assert!(met("alias/a", arn) && met(arn, "alias/a"));
        assert!(met("1234", "arn:aws:kms:eu-west-1:123456789012:key/1234"));
        assert!(!met("alias/b", arn) && !met("", arn) && !met("a", arn) && !met(arn, ""));
        assert!(!met("34", "arn:aws:kms:eu-west-1:123456789012:key/1234"));
    }

    #[test]
    fn replicas_come_back_and_only_missing_ones_are_wanted() {
        let all = BTreeMap::from([
            ("us-west-2".to_owned(), Some("alias/x".to_owned())),
            ("eu-west-1".to_owned(), None),
        ]);
        let text = replicas_text(&all);
        assert_eq!(text, "eu-west-1 us-west-2=alias/x");
        assert_eq!(replicas_of(&text), all);
        assert!(OwnField::Replicas.is_met("us-west-2", &text));
        let missing = missing_replicas("ap-south-1=k us-west-2=other", &text);
        assert_eq!(replicas_text(&missing), "ap-south-1=k");
    }

    #[test]
    fn aws_7_rotation_in_words_has_no_dates_and_no_computed_days() {
        let mut rotation = Rotation {
            enabled: true,
            function: Some("arn:aws:lambda:f".into()),
            after_days: Some(30),
            schedule: None,
            duration: Some("2h".into()),
            rotated: Some(super::super::Timestamp::from_millis(1)),
        };
        let words = "on, every 30 days, window 2h, by arn:aws:lambda:f";
        assert_eq!(rotation.in_words(), words);
        rotation.schedule = Some("rate(10 days)".into());
        rotation.enabled = false;
        assert!(rotation.in_words().starts_with("off, rate(10 days), w"));
    }

    #[test]
    fn words_come_back() {
        for field in OwnField::ALL {
            assert_eq!(OwnField::from_word(field.as_str()), Some(field));
        }
    }
}

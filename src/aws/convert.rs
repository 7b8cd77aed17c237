//! The SDK's shapes and the model's, turned into each other. Pure.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{
    ReplicationStatusType, RotationRulesType, SecretListEntry, Tag,
};
use aws_smithy_types::{Blob, DateTime};
use sha2::Digest as _;
use zeroize::Zeroizing;

use crate::model::{
    Attributes, Escaped, Lifecycle, Origin, RemoteFacts, RemoteSecret, Rotation, SecretName,
    SecretState, SecretValue, StagingLabel, Timestamp, VersionId, VersionMeta, is_reserved_tag,
};

/// What ListSecrets and DescribeSecret both say of a secret.
pub(super) struct Shown {
    pub(super) arn: String,
    pub(super) name: String,
    description: Option<String>,
    kms_key: Option<String>,
    rotation_enabled: bool,
    rotation_function: Option<String>,
    rotation_rules: Option<RotationRulesType>,
    rotated: Option<DateTime>,
    next_rotation: Option<DateTime>,
    changed: Option<DateTime>,
    deleted: Option<DateTime>,
    tags: Vec<Tag>,
    stages: HashMap<String, Vec<String>>,
    owning_service: Option<String>,
    primary_region: Option<String>,
    /// In DescribeSecret only.
    replicas: Option<Vec<ReplicationStatusType>>,
}

impl From<SecretListEntry> for Shown {
    fn from(entry: SecretListEntry) -> Self {
        Self {
            arn: entry.arn.unwrap_or_default(),
            name: entry.name.unwrap_or_default(),
            description: entry.description,
            kms_key: entry.kms_key_id,
            rotation_enabled: entry.rotation_enabled.unwrap_or_default(),
            rotation_function: entry.rotation_lambda_arn,
            rotation_rules: entry.rotation_rules,
            rotated: entry.last_rotated_date,
            next_rotation: entry.next_rotation_date,
            changed: entry.last_changed_date,
            deleted: entry.deleted_date,
            tags: entry.tags.unwrap_or_default(),
            stages: entry.secret_versions_to_stages.unwrap_or_default(),
            owning_service: entry.owning_service,
            primary_region: entry.primary_region,
            replicas: None,
        }
    }
}

impl From<DescribeSecretOutput> for Shown {
    fn from(answer: DescribeSecretOutput) -> Self {
        Self {
            arn: answer.arn.unwrap_or_default(),
            name: answer.name.unwrap_or_default(),
            description: answer.description,
            kms_key: answer.kms_key_id,
            rotation_enabled: answer.rotation_enabled.unwrap_or_default(),
            rotation_function: answer.rotation_lambda_arn,
            rotation_rules: answer.rotation_rules,
            rotated: answer.last_rotated_date,
            next_rotation: answer.next_rotation_date,
            changed: answer.last_changed_date,
            deleted: answer.deleted_date,
            tags: answer.tags.unwrap_or_default(),
            stages: answer.version_ids_to_stages.unwrap_or_default(),
            owning_service: answer.owning_service,
            primary_region: answer.primary_region,
            // Left out where there are none.
            replicas: Some(answer.replication_status.unwrap_or_default()),
        }
    }
}

impl Shown {
    /// Why no name of a vault can stand for this one, if none can.
    pub(super) fn foreign(&self) -> Option<String> {
        let owner = || match self.owner() {
            Some(service) => format!("owned by the AWS service {}", Escaped(service)),
            None => "a name that only AWS services may give".to_owned(),
        };
        self.name.parse::<SecretName>().is_err().then(owner)
    }

    fn owner(&self) -> Option<&str> {
        self.owning_service.as_deref().filter(|s| !s.is_empty())
    }

    /// How it is rotated; nothing where that was never set up.
    fn rotation(&self) -> Option<Rotation> {
        let rules = self.rotation_rules.as_ref();
        let rotation = Rotation {
            enabled: self.rotation_enabled,
            function: self.rotation_function.clone().filter(|f| !f.is_empty()),
            after_days: rules
                .and_then(|r| r.automatically_after_days)
                .and_then(|days| u16::try_from(days).ok()),
            schedule: rules.and_then(|r| r.schedule_expression.clone()),
            duration: rules.and_then(|r| r.duration.clone()),
            rotated: self.rotated.as_ref().and_then(timestamp),
        };
        (rotation != Rotation::default()).then_some(rotation)
    }

    /// The secret in the model's words, or why it must be left alone.
    pub(super) fn into_secret(self, region: &str) -> Result<RemoteSecret, String> {
        let (labels, versions) = labels(&self.stages)?;
        let primary_region = self.primary_region.clone().filter(|p| !p.is_empty());
        let facts = RemoteFacts {
            owning_service: self.owner().map(str::to_owned),
            rotation: self.rotation(),
            next_rotation: self.next_rotation.as_ref().and_then(timestamp),
            replica: primary_region.as_deref().is_some_and(|p| p != region),
            primary_region,
            replicas: self.replicas.map(replicas),
            policy: None,
            looked: false,
            arn: self.arn,
            kms_key: self.kms_key.filter(|k| !k.is_empty()),
            changed: self.changed.as_ref().and_then(timestamp),
            rotation_enabled: self.rotation_enabled,
        };
        let state = SecretState {
            attributes: Attributes {
                description: self.description.filter(|d| !d.is_empty()),
                tags: tags(self.tags),
            },
            versions,
            labels,
            lifecycle: match self.deleted {
                None => Lifecycle::Live,
                // AWS's documents disagree whether this is the day of the request or
                // the end of the window (aws.md section 6); it is kept as shown.
                Some(date) => Lifecycle::Scheduled {
                    date: timestamp(&date),
                },
            },
        };
        Ok(RemoteSecret { state, facts })
    }
}

/// The Regions of a secret's replicas. Their state is not part of it: it changes by
/// itself.
fn replicas(all: Vec<ReplicationStatusType>) -> BTreeMap<String, Option<String>> {
    all.into_iter()
        .filter_map(|one| Some((one.region?, one.kms_key_id.filter(|key| !key.is_empty()))))
        .collect()
}

type Labels = (
    BTreeMap<StagingLabel, VersionId>,
    BTreeMap<VersionId, VersionMeta>,
);

/// Turns version -> labels around. AWS shows labelled versions only; an emulator
/// shows the others with an empty list (aws.md section 13).
fn labels(stages: &HashMap<String, Vec<String>>) -> Result<Labels, String> {
    let (mut labels, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for (id, words) in stages {
        if words.is_empty() {
            continue;
        }
        let id: VersionId = id
            .parse()
            .map_err(|e| format!("version {}: {e}", Escaped(id)))?;
        for word in words {
            let label: StagingLabel = word
                .parse()
                .map_err(|e| format!("a label of version {id}: {e}"))?;
            if let Some(other) = labels.insert(label, id.clone())
                && other != id
            {
                return Err(format!("the label {} is on two versions", Escaped(word)));
            }
        }
        versions.insert(id, VersionMeta::unread(Origin::Local));
    }
    let rotating = !labels.is_empty() && labels.keys().all(StagingLabel::is_pending);
    if !stages.is_empty() && !rotating && !labels.contains_key(&StagingLabel::current()) {
        // AWSCURRENT can move but not vanish (sync.md section 1.6).
        return Err("corrupt listing: it has versions, but none bears AWSCURRENT".to_owned());
    }
    Ok((labels, versions))
}

fn tags(tags: Vec<Tag>) -> BTreeMap<String, String> {
    tags.into_iter()
        .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
        .filter(|(key, _)| !is_reserved_tag(key))
        .collect()
}

/// One tag for TagResource.
pub(super) fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// AWS's time in the model's.
pub(super) fn timestamp(date: &DateTime) -> Option<Timestamp> {
    date.to_millis().ok().map(Timestamp::from_millis)
}

/// The value of an answer; `None` where the version has none.
///
/// The bytes move without a copy and are wiped with the [`SecretValue`]. What is
/// beyond reach: the SDK's own copies, namely the response body in the HTTP client's
/// buffers, and, while a request is under way, its serialised body.
pub(super) fn value(
    string: Option<String>,
    binary: Option<Blob>,
) -> Result<Option<SecretValue>, String> {
    let value = match (string, binary) {
        (None, None) => return Ok(None),
        (Some(string), None) => SecretValue::string(Zeroizing::new(string.into_bytes())),
        (None, Some(blob)) => SecretValue::binary(blob.into_inner()),
        (Some(string), Some(blob)) => {
            drop((
                Zeroizing::new(string.into_bytes()),
                Zeroizing::new(blob.into_inner()),
            ));
            return Err("a version with both a string and a binary value".to_owned());
        }
    };
    value.map(Some).map_err(|e| e.to_string())
}

/// Region and account of a secret's ARN; `None` for anything else (aws.md section 2).
pub(super) fn place(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(7, ':');
    let (head, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = head == "arn"
        && partition.starts_with("aws")
        && service == "secretsmanager"
        && kind == "secret"
        && !region.is_empty()
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && parts.next().is_some_and(|name| !name.is_empty());
    whole.then_some((region, account))
}

/// RecoveryWindowInDays for a deletion at `date`: 7 to 30 days, 30 where no date is
/// wanted (aws.md section 6). Part of a day counts as one, so that nothing goes early.
pub(super) fn window(date: Option<Timestamp>, now: Timestamp) -> i64 {
    const DAY: i64 = 86_400_000;
    let Some(date) = date else {
        return 30;
    };
    let left = date.millis().saturating_sub(now.millis());
    (left.saturating_add(DAY - 1).div_euclid(DAY)).clamp(7, 30)
}

/// A ClientRequestToken for a call that makes no version: the same for the same
/// call, so that a repeated one is known for what it is.
pub(super) fn fixed_token(parts: &[&str]) -> String {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b-AbCdEf";

    fn id(n: u8) -> String {
        format!("{n:032x}")
    }

    fn entry(stages: &[(u8, &[&str])]) -> SecretListEntry {
        let mut entry = SecretListEntry::builder().arn(ARN).name("a/b");
        for (n, words) in stages {
            let words = words.iter().map(|w| (*w).to_owned()).collect();
            entry = entry.secret_versions_to_stages(id(*n), words);
        }
        entry.build()
    }

    fn seen(entry: SecretListEntry) -> Result<RemoteSecret, String> {
        Shown::from(entry).into_secret("eu-west-1")
    }

    #[test]
    fn labels_turn_around_and_unlabelled_versions_are_left_out() {
        let secret = seen(entry(&[
            (1, &["AWSPREVIOUS", "blue"]),
            (2, &["AWSCURRENT"]),
            (3, &[]),
        ]))
        .unwrap();
        assert_eq!(secret.state.versions.len(), 2);
        let on = |label: &str| {
            secret
                .state
                .labels
                .get(&label.parse::<StagingLabel>().unwrap())
                .map(VersionId::as_str)
        };
        assert_eq!(on("AWSCURRENT"), Some(id(2).as_str()));
        assert_eq!(on("blue"), Some(id(1).as_str()));
        assert_eq!(on("AWSPREVIOUS"), Some(id(1).as_str()));
    }

    #[test]
    fn what_cannot_be_right_is_blocked() {
        let long = "x".repeat(257);
        for (stages, word) in [
            (entry(&[(1, &["AWSPREVIOUS"])]), "AWSCURRENT"),
            (entry(&[(1, &[])]), "AWSCURRENT"),
            (
                entry(&[(1, &["AWSCURRENT", "x"]), (2, &["x"])]),
                "two versions",
            ),
            (entry(&[(1, &["AWSCURRENT", &long])]), "256"),
            (
                SecretListEntry::builder()
                    .secret_versions_to_stages("short", vec!["AWSCURRENT".to_owned()])
                    .build(),
                "32 to 64",
            ),
        ] {
            let reason = seen(stages).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn sync_1_6_without_versions_or_with_a_first_rotation_only_is_sound() {
        assert!(seen(entry(&[])).unwrap().state.versions.is_empty());
        let secret = seen(entry(&[(1, &["AWSPENDING"])])).unwrap();
        assert_eq!(secret.state.current(), None);
        assert_eq!(secret.state.versions.len(), 1);
    }

    #[test]
    fn facts_and_attributes() {
        let mut shown = entry(&[(1, &["AWSCURRENT"])]);
        shown.description = Some(String::new());
        shown.kms_key_id = Some("alias/x".into());
        shown.rotation_enabled = Some(true);
        shown.primary_region = Some("us-east-1".into());
        shown.last_changed_date = Some(DateTime::from_millis(1_523_477_145_729));
        shown.deleted_date = Some(DateTime::from_secs(1_600_000_000));
        shown.tags = Some(vec![
            tag("aws:cloudformation:stack-name", "x"),
            tag("team", "core"),
            Tag::builder().key("bare").build(),
        ]);
        let secret = seen(shown).unwrap();
        assert_eq!(secret.state.attributes.description, None);
        assert_eq!(
            secret.state.attributes.tags,
            BTreeMap::from([
                ("bare".to_owned(), String::new()),
                ("team".to_owned(), "core".to_owned())
            ])
        );
        assert_eq!(
            secret.state.lifecycle,
            Lifecycle::Scheduled {
                date: Some(Timestamp::from_secs(1_600_000_000))
            }
        );
        assert_eq!(
            secret.facts,
            RemoteFacts {
                arn: ARN.into(),
                kms_key: Some("alias/x".into()),
                changed: Some(Timestamp::from_millis(1_523_477_145_729)),
                rotation_enabled: true,
                rotation: Some(Rotation {
                    enabled: true,
                    ..Rotation::default()
                }),
                replica: true,
                primary_region: Some("us-east-1".into()),
                ..RemoteFacts::default()
            }
        );
        let mut home = entry(&[]);
        home.primary_region = Some("eu-west-1".into());
        assert!(!seen(home).unwrap().facts.replica);
    }

    #[test]
    fn aws_2_names_of_services_are_foreign() {
        let mut entry = entry(&[]);
        assert_eq!(Shown::from(entry.clone()).foreign(), None);
        entry.name = Some("rds!db-1".into());
        assert!(Shown::from(entry.clone()).foreign().is_some());
        entry.owning_service = Some("rds".into());
        let reason = Shown::from(entry).foreign().unwrap();
        assert!(reason.ends_with("rds"), "{reason}");
    }

    #[test]
    fn a_value_keeps_kind_and_bytes() {
        let got = value(Some("é".into()), None).unwrap().unwrap();
        assert!(got.same_as(&SecretValue::string("é".as_bytes().to_vec()).unwrap()));
        let got = value(None, Some(Blob::new([0, 255]))).unwrap().unwrap();
        assert!(got.same_as(&SecretValue::binary(vec![0, 255]).unwrap()));
        let got = value(None, Some(Blob::new([]))).unwrap().unwrap();
        assert!(got.same_as(&SecretValue::binary(Vec::new()).unwrap()));
        assert!(value(None, None).unwrap().is_none());
        assert!(value(Some(String::new()), Some(Blob::new([]))).is_err());
        assert!(value(None, Some(Blob::new(vec![0; 65_537]))).is_err());
    }

    #[test]
    fn aws_2_place_of_an_arn() {
        assert_eq!(place(ARN), Some(("eu-west-1", "123456789012")));
        let gov = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a:b-AbCdEf";
        assert_eq!(place(gov), Some(("us-gov-west-1", "123456789012")));
        for bad in [
            "",
            "a/b",
            "arn:aws:s3:eu-west-1:123456789012:secret:a",
            "arn:aws:secretsmanager:eu-west-1:12345:secret:a",
            "arn:aws:secretsmanager:eu-west-1:12345678901x:secret:a",
            "arn:aws:secretsmanager::123456789012:secret:a",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn aws_6_recovery_window() {
        let now = Timestamp::from_secs(1_700_000_000);
        assert_eq!(window(None, now), 30);
        for (days, want) in [
            (-5, 7),
            (0, 7),
            (7, 7),
            (8, 8),
            (29, 29),
            (30, 30),
            (400, 30),
        ] {
            assert_eq!(window(Some(now.plus_days(days)), now), want, "{days}");
        }
        let later = Timestamp::from_millis(now.plus_days(9).millis() + 1);
        assert_eq!(window(Some(later), now), 10);
    }

    #[test]
    fn a_fixed_token_is_a_valid_one_and_depends_on_every_part() {
        let token = fixed_token(&["a", "bc"]);
        assert!(token.parse::<VersionId>().is_ok());
        assert_eq!(token, fixed_token(&["a", "bc"]));
        assert_ne!(token, fixed_token(&["ab", "c"]));
    }
}

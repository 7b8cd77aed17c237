//! DescribeSecret and ListSecretVersionIds (aws.md sections 4 and 5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Fault, Reply};
use super::input::{Checks, parse};
use super::page::page;
use super::place::Found;
use super::{Service, json, seconds};
use crate::model::{Lifecycle, OwnField, Rotation, SecretState, Timestamp, VersionId};

/// What DescribeSecret and ListSecrets say of one secret. A member without a value is
/// left out, never null (aws.md section 1).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Description<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_enabled: Option<bool>,
    #[serde(rename = "RotationLambdaARN", skip_serializing_if = "Option::is_none")]
    rotation_lambda_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_rules: Option<Rules<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotated_date: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<f64>,
    last_changed_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_accessed_date: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_date: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<Tag<'a>>>,
    /// In DescribeSecret.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_ids_to_stages: Option<Stages<'a>>,
    /// The same in ListSecrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_versions_to_stages: Option<Stages<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owning_service: Option<&'a str>,
    created_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_region: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replication_status: Vec<Replica>,
}

/// Labels by version; labelled versions only.
type Stages<'a> = BTreeMap<&'a str, Vec<&'a str>>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rules<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    automatically_after_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_expression: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    key: &'a str,
    value: &'a str,
}

/// One Region a secret is replicated to. The vault has one copy for all Regions, so a
/// replica is always in step.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Replica {
    region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<String>,
    status: &'static str,
}

/// Which of the two operations a description is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Describe,
    List,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeSecret {
    secret_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSecretVersionIds {
    secret_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
    include_deprecated: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions<'a> {
    versions: Vec<Version<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Version<'a> {
    version_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_accessed_date: Option<f64>,
    created_date: f64,
    kms_key_ids: [Cow<'a, str>; 1],
}

impl Found {
    /// CreatedDate: of the making here, else of the oldest version, else of the last
    /// agreement with the remote.
    pub(super) fn created(&self) -> Timestamp {
        let versions = self.record.state.versions.values();
        let oldest = versions.filter_map(|v| v.created).min();
        let details = &self.record.details;
        (details.created.or(oldest).or(self.agreed)).unwrap_or(Timestamp::from_millis(0))
    }

    /// LastChangedDate: the newest of what is known.
    pub(super) fn changed(&self) -> Timestamp {
        let newest = self
            .record
            .state
            .versions
            .values()
            .filter_map(|v| v.created)
            .max();
        let there = self.facts.as_ref().and_then(|f| f.changed);
        let all = [self.record.details.changed, newest, there, self.agreed];
        all.into_iter()
            .flatten()
            .max()
            .unwrap_or_else(|| self.created())
    }

    /// The labels AWS would show of a version, sorted: `sr/...` are the vault's own.
    pub(super) fn stages_of(&self, id: &VersionId) -> Vec<&str> {
        stages_of(&self.record.state, id)
    }

    fn stages(&self) -> Option<Stages<'_>> {
        let state = &self.record.state;
        let mut stages = Stages::new();
        for (label, id) in state.labels.iter().filter(|(l, _)| !l.is_local()) {
            stages.entry(id.as_str()).or_default().push(label.as_str());
        }
        // Without versions the member is absent (aws.md section 4).
        (!stages.is_empty()).then_some(stages)
    }

    pub(super) fn kms_key(&self) -> Option<Cow<'_, str>> {
        self.own_text(OwnField::KmsKey)
    }

    /// How the secret is rotated: as it was set up here, else as the remote shows it.
    pub(super) fn rotation(&self) -> Option<&Rotation> {
        let there = self.facts.as_ref().and_then(|f| f.rotation.as_ref());
        self.record.details.rotation.as_ref().or(there)
    }

    pub(super) fn replicas(&self) -> Vec<Replica> {
        let replicas = self.all_replicas().into_iter();
        replicas
            .map(|(region, key)| Replica {
                region,
                kms_key_id: key,
                status: "InSync",
            })
            .collect()
    }

    /// The Region of the ARN.
    pub(super) fn region(&self) -> &str {
        self.arn.split(':').nth(3).unwrap_or_default()
    }

    pub(super) fn owning_service(&self) -> Option<&str> {
        self.facts.as_ref()?.owning_service.as_deref()
    }

    pub(super) fn primary_region(&self) -> Option<&str> {
        let there = self
            .facts
            .as_ref()
            .and_then(|f| f.primary_region.as_deref());
        there.or_else(|| (!self.all_replicas().is_empty()).then(|| self.region()))
    }

    /// When the recovery window ends, while the secret is scheduled for deletion.
    pub(super) fn deleted(&self) -> Option<Timestamp> {
        match self.record.state.lifecycle {
            Lifecycle::Scheduled { date } => date.or(self.record.details.deleted),
            Lifecycle::Live | Lifecycle::Tombstone => None,
        }
    }

    /// The secret as DescribeSecret or ListSecrets says it; `accessed` is the day of
    /// the last read.
    pub(super) fn description(&self, view: View, accessed: Option<Timestamp>) -> Description<'_> {
        let state = &self.record.state;
        let details = &self.record.details;
        let rotation = self.rotation();
        let tags = state.attributes.tags.iter();
        let tags: Vec<Tag<'_>> = tags.map(|(key, value)| Tag { key, value }).collect();
        let there = self.facts.as_ref().is_some_and(|f| f.rotation_enabled);
        let dates = self.rotation_dates();
        // A function without rules has none to show.
        let ruled = rotation.filter(|r| r.after_days.is_some() || r.schedule.is_some());
        let rules = ruled.map(|r| Rules {
            automatically_after_days: dates.as_ref().and_then(|d| d.days),
            duration: r.duration.as_deref(),
            schedule_expression: r.schedule.as_deref(),
        });
        let (describe, list) = match view {
            View::Describe => (self.stages(), None),
            View::List => (None, self.stages()),
        };
        Description {
            arn: &self.arn,
            name: self.name.as_str(),
            description: state.attributes.description.as_deref(),
            kms_key_id: self.kms_key(),
            rotation_enabled: rotation.map(|r| r.enabled).or(there.then_some(true)),
            rotation_lambda_arn: rotation.and_then(|r| r.function.as_deref()),
            rotation_rules: rules,
            last_rotated_date: rotation.and_then(|r| r.rotated).map(seconds),
            next_rotation_date: dates.and_then(|d| d.next).map(seconds),
            last_changed_date: seconds(self.changed()),
            last_accessed_date: accessed.map(seconds),
            deleted_date: self.deleted().map(seconds),
            // Never tagged: absent; the last tag removed: empty (aws.md section 4).
            tags: (!tags.is_empty() || details.untagged).then_some(tags),
            version_ids_to_stages: describe,
            secret_versions_to_stages: list,
            owning_service: self.owning_service(),
            created_date: seconds(self.created()),
            primary_region: self.primary_region(),
            replication_status: match view {
                View::Describe => self.replicas(),
                View::List => Vec::new(),
            },
        }
    }
}

/// The labels AWS would show of a version, sorted.
pub(super) fn stages_of<'a>(state: &'a SecretState, id: &VersionId) -> Vec<&'a str> {
    let labels = state.labels_of(id).filter(|l| !l.is_local());
    labels.map(|l| l.as_str()).collect()
}

impl Service {
    pub(super) fn describe_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: DescribeSecret = parse(call.body)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let accessed = self
            .accessed()
            .get(&found.record.name)
            .and_then(|a| a.secret);
        json(&found.description(View::Describe, accessed), 4096)
    }

    pub(super) fn list_secret_version_ids(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: ListSecretVersionIds = parse(call.body)?;
        let mut checks = Checks::default();
        checks.range("maxResults", request.max_results, 1..=100);
        checks.length("nextToken", request.next_token.as_deref(), 1..=4096);
        checks.finish()?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let deprecated = request.include_deprecated.unwrap_or_default();
        let size = request.max_results.and_then(|n| usize::try_from(n).ok());
        let state = &found.record.state;
        let ids: Vec<&VersionId> = state.history();
        let ids = ids
            .into_iter()
            .filter(|id| deprecated || !found.stages_of(id).is_empty());
        let (ids, next_token) = page(
            ids.collect(),
            |id| id.as_str(),
            size.unwrap_or(100),
            request.next_token.as_deref(),
            &format!("versions {} {deprecated}", found.arn),
        )?;
        let accessed = self.accessed();
        let read = accessed.get(&found.record.name);
        let version = |id: &'_ VersionId| {
            let created = state.versions.get(id).and_then(|v| v.created);
            (id.clone(), created.unwrap_or_else(|| found.created()))
        };
        let rows: Vec<(VersionId, Timestamp)> = ids.into_iter().map(version).collect();
        let versions = rows.iter().map(|(id, created)| Version {
            version_id: id.as_str(),
            version_stages: found.stages_of(id),
            last_accessed_date: read.and_then(|r| r.versions.get(id)).copied().map(seconds),
            created_date: seconds(*created),
            kms_key_ids: [found
                .kms_key()
                .unwrap_or(Cow::Borrowed("DefaultEncryptionKey"))],
        });
        let answer = Versions {
            versions: versions.collect(),
            next_token,
            arn: &found.arn,
            name: found.name.as_str(),
        };
        json(&answer, 16 * 1024)
    }
}

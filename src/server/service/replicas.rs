//! ReplicateSecretToRegions, RemoveRegionsFromReplication and
//! StopReplicationToReplica (aws.md section 4).
//!
//! A vault has one copy of a secret for every Region, so a replica is in step at once;
//! replication only says in which Regions the secret answers as a replica.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::{self, Checks, parse};
use super::place::Found;
use super::{Service, json};
use crate::model::{OwnField, replicas_text};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReplicateSecretToRegions {
    secret_id: Option<String>,
    add_replica_regions: Option<Vec<input::ReplicaRegion>>,
    force_overwrite_replica_secret: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RemoveRegionsFromReplication {
    secret_id: Option<String>,
    remove_replica_regions: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StopReplicationToReplica {
    secret_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Replicated<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_status: Option<Vec<Status<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status<'a> {
    region: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<Cow<'a, str>>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
}

impl Found {
    /// Whether this is a replica, seen from its Region: one that a remote has, or one
    /// that was made here.
    pub(super) fn is_replica(&self) -> bool {
        let there = self.facts.as_ref().is_some_and(|f| f.replica);
        there
            || self
                .added_replicas(&self.record)
                .contains_key(self.region())
    }

    /// Whether a remote of the same account has a secret of its own of this name in a
    /// Region.
    fn has_namesake_in(&self, region: &str) -> bool {
        let place = |arn: &str| {
            let mut parts = arn.split(':').skip(3);
            (
                parts.next().unwrap_or_default().to_owned(),
                parts.next().unwrap_or_default().to_owned(),
            )
        };
        let (_, account) = place(&self.arn);
        let pairs = self.record.base.values().filter_map(|b| b.pair.as_ref());
        pairs
            .map(|pair| place(&pair.arn))
            .any(|(there, owner)| there == region && owner == account)
    }

    fn replicated(&self, failed: Vec<Status<'_>>) -> Result<Reply, Fault> {
        let replicas = self.all_replicas().into_iter();
        let replicas = replicas.map(|(region, key)| Status {
            region: Cow::Owned(region),
            kms_key_id: key.map(Cow::Owned),
            status: "InSync",
            status_message: None,
        });
        let mut status: Vec<Status<'_>> = replicas.chain(failed).collect();
        status.sort_by(|a, b| a.region.cmp(&b.region));
        let answer = Replicated {
            arn: &self.arn,
            replication_status: Some(status),
        };
        self.answer(&answer)
    }

    fn answer(&self, answer: &Replicated<'_>) -> Result<Reply, Fault> {
        Ok(json(answer, 1024)?.about(self.record.name.clone()))
    }
}

impl Service {
    pub(super) fn replicate_secret_to_regions(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: ReplicateSecretToRegions = parse(call.body)?;
        let mut checks = Checks::default();
        let regions = request.add_replica_regions;
        checks.required("addReplicaRegions", regions.as_ref());
        input::check_replicas(&mut checks, regions.as_deref());
        checks.finish()?;
        let found = self.find(call, request.secret_id.as_deref())?;
        found.must_be_primary()?;
        let mut new = input::replicas(regions.unwrap_or_default(), found.region())?;
        let mut failed = Vec::new();
        if !request.force_overwrite_replica_secret.unwrap_or_default() {
            failed.extend(new.keys().filter(|r| found.has_namesake_in(r)).cloned());
        }
        new.retain(|region, _| !failed.contains(region));
        self.change_live(&found, call, |_, record| {
            let mut added = found.added_replicas(record);
            added.append(&mut new);
            found.set_own(record, OwnField::Replicas, Some(replicas_text(&added)));
            Ok(())
        })?;
        let name = &found.name;
        let failed = failed.iter().map(|region| Status {
            region: Cow::Borrowed(region.as_str()),
            kms_key_id: None,
            status: "Failed",
            status_message: Some(format!(
                "Replication failed: Secret name {name} already exists in region {region}."
            )),
        });
        self.shown(call, &found.record.name)?
            .replicated(failed.collect())
    }

    pub(super) fn remove_regions_from_replication(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: RemoveRegionsFromReplication = parse(call.body)?;
        let mut checks = Checks::default();
        let regions = request.remove_replica_regions;
        checks.required("removeReplicaRegions", regions.as_ref());
        checks.count(
            "removeReplicaRegions",
            regions.as_ref().map(Vec::len),
            1..=100,
        );
        checks.finish()?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let there = found.remote_replicas();
        if let Some(region) = regions.iter().flatten().find(|r| there.contains_key(*r)) {
            return Err(Fault::new(
                Code::InvalidParameterException,
                format!(
                    "strongroom: the replica in {region} is the remote's own, and can be removed there only."
                ),
            ));
        }
        self.change_live(&found, call, |_, record| {
            let mut added = found.added_replicas(record);
            // A Region without a replica is no error.
            for region in regions.iter().flatten() {
                added.remove(region);
            }
            found.set_own(record, OwnField::Replicas, Some(replicas_text(&added)));
            Ok(())
        })?;
        self.shown(call, &found.record.name)?.replicated(Vec::new())
    }

    /// Called in the replica's Region. The secret answers there as one of its own from
    /// then on; the vault still keeps one copy of it, which AWS would not.
    pub(super) fn stop_replication_to_replica(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: StopReplicationToReplica = parse(call.body)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let region = found.region();
        if !found.added_replicas(&found.record).contains_key(region) {
            // AWS's words are not known. A replica that a remote has is that remote's.
            return Err(Fault::new(
                Code::InvalidParameterException,
                "Operation not permitted on a secret that is not a replica made here. Call must be made in the replica secret's region.",
            ));
        }
        self.change(&found.record.name, call, |_, record| {
            super::must_be_live(record, call.stamp.now)?;
            let mut added = found.added_replicas(record);
            added.remove(region);
            found.set_own(record, OwnField::Replicas, Some(replicas_text(&added)));
            Ok(())
        })?;
        found.answer(&Replicated {
            arn: &found.arn,
            replication_status: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::server::service::testing::{Desk, SCHEDULED};

    const REPLICA: &str = "Operation not permitted on a replica secret. Call must be made in primary secret's region.";

    fn replicate(regions: &Value) -> Value {
        json!({"SecretId": "a", "AddReplicaRegions": regions})
    }

    #[test]
    fn aws_4_regions_are_added_and_removed() {
        let desk = Desk::new();
        let arn = desk.create("a", "1");
        let two = replicate(&json!([
            {"Region": "us-east-1"}, {"Region": "eu-north-1", "KmsKeyId": "alias/k"},
        ]));
        let both = json!([
            {"Region": "eu-north-1", "KmsKeyId": "alias/k", "Status": "InSync"},
            {"Region": "us-east-1", "Status": "InSync"},
        ]);
        assert_eq!(
            desk.ok("ReplicateSecretToRegions", two),
            json!({"ARN": arn, "ReplicationStatus": both})
        );
        let described = desk.ok("DescribeSecret", json!({"SecretId": "a"}));
        assert_eq!(described["ReplicationStatus"], both);
        assert_eq!(described["PrimaryRegion"], json!("eu-west-1"));
        desk.refused(
            "DeleteSecret",
            json!({"SecretId": "a"}),
            "InvalidParameterException",
            &format!("You can't delete secret {arn} that still has replica regions [eu-north-1, us-east-1]."),
        );
        let remove = |regions: Value| {
            let body = json!({"SecretId": "a", "RemoveReplicaRegions": regions});
            desk.ok("RemoveRegionsFromReplication", body)["ReplicationStatus"].clone()
        };
        assert_eq!(remove(json!(["ap-south-1"])), both, "no error");
        assert_eq!(remove(json!(["us-east-1", "eu-north-1"])), json!([]));
        let described = desk.ok("DescribeSecret", json!({"SecretId": "a"}));
        assert_eq!(described.get("PrimaryRegion"), None);
        desk.ok("DeleteSecret", json!({"SecretId": "a"}));
    }

    #[test]
    fn aws_1_the_own_region_and_what_is_none_are_refused() {
        let desk = Desk::new();
        desk.create("a", "1");
        for region in ["eu-west-1", "nowhere"] {
            desk.refused(
                "ReplicateSecretToRegions",
                replicate(&json!([{"Region": region}])),
                "InvalidParameterException",
                "Invalid replica region.",
            );
        }
        for (operation, body) in [
            ("ReplicateSecretToRegions", replicate(&json!([]))),
            ("ReplicateSecretToRegions", replicate(&Value::Null)),
            (
                "RemoveRegionsFromReplication",
                json!({"SecretId": "a", "RemoveReplicaRegions": []}),
            ),
            ("RemoveRegionsFromReplication", json!({"SecretId": "a"})),
        ] {
            assert_eq!(desk.fault(operation, body).0, "ValidationException");
        }
    }

    #[test]
    fn aws_1_and_4_a_replica_is_read_only_until_replication_to_it_stops() {
        let mut desk = Desk::new();
        let arn = desk.create("a", "1");
        desk.ok(
            "ReplicateSecretToRegions",
            replicate(&json!([{"Region": "us-east-1"}])),
        );
        let stop = json!({"SecretId": "a"});
        let (code, _) = desk.fault("StopReplicationToReplica", stop.clone());
        assert_eq!(code, "InvalidParameterException", "in the primary's Region");
        desk.caller.region = "us-east-1".to_owned();
        let there = arn.replace("eu-west-1", "us-east-1");
        let read = desk.ok("GetSecretValue", json!({"SecretId": "a"}));
        assert_eq!(read["ARN"], json!(there), "only the Region differs");
        for (operation, body) in [
            ("DeleteSecret", json!({"SecretId": "a"})),
            (
                "PutResourcePolicy",
                json!({"SecretId": "a", "ResourcePolicy": "{}"}),
            ),
            ("DeleteResourcePolicy", json!({"SecretId": "a"})),
            ("TagResource", json!({"SecretId": "a", "Tags": []})),
            (
                "ReplicateSecretToRegions",
                replicate(&json!([{"Region": "eu-west-1"}])),
            ),
        ] {
            desk.refused(operation, body, "InvalidParameterException", REPLICA);
        }
        let stopped = desk.ok("StopReplicationToReplica", stop);
        assert_eq!(stopped, json!({"ARN": there}));
        desk.put("a", "2");
    }

    #[test]
    fn aws_6_replication_of_a_scheduled_secret_is_refused() {
        let desk = Desk::new();
        desk.create("a", "1");
        desk.ok("DeleteSecret", json!({"SecretId": "a"}));
        let body = replicate(&json!([{"Region": "us-east-1"}]));
        let code = "InvalidRequestException";
        desk.refused("ReplicateSecretToRegions", body, code, SCHEDULED);
        let body = json!({"SecretId": "a", "RemoveReplicaRegions": ["us-east-1"]});
        desk.refused("RemoveRegionsFromReplication", body, code, SCHEDULED);
    }
}

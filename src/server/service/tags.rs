//! TagResource and UntagResource (aws.md section 4).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::{self, Checks, parse};
use super::place::Found;
use super::{Service, apply};
use crate::model::{Attributes, Change, Record};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagResource {
    secret_id: Option<String>,
    tags: Option<Vec<input::Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagResource {
    secret_id: Option<String>,
    tag_keys: Option<Vec<String>>,
}

impl Service {
    pub(super) fn tag_resource(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: TagResource = parse(call.body)?;
        let mut checks = Checks::default();
        checks.required("tags", request.tags.as_ref());
        checks.finish()?;
        let new = request.tags.unwrap_or_default();
        let found = self.find(call, request.secret_id.as_deref())?;
        must_be_unmanaged(&found)?;
        self.change_live(&found, call, |_, record| {
            let tags = input::tags(new, &record.state.attributes.tags)?;
            set_tags(record, tags)
        })?;
        Ok(without_output(&found))
    }

    pub(super) fn untag_resource(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: UntagResource = parse(call.body)?;
        let mut checks = Checks::default();
        checks.required("tagKeys", request.tag_keys.as_ref());
        let keys = request.tag_keys.unwrap_or_default();
        if !keys.iter().all(|k| (1..=128).contains(&k.chars().count())) {
            checks.fail(format!(
                "Value '[{}]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
                keys.join(", ")
            ));
        }
        checks.finish()?;
        let found = self.find(call, request.secret_id.as_deref())?;
        must_be_unmanaged(&found)?;
        self.change_live(&found, call, |_, record| {
            let mut tags = record.state.attributes.tags.clone();
            // A key that is not there is no error.
            tags.retain(|key, _| !keys.contains(key));
            set_tags(record, tags)
        })?;
        Ok(without_output(&found))
    }
}

/// Both operations answer with nothing at all, not even `{}` (aws.md section 1).
fn without_output(found: &Found) -> Reply {
    Reply {
        secret: Some(found.record.name.clone()),
        ..Reply::empty()
    }
}

fn set_tags(record: &mut Record, tags: BTreeMap<String, String>) -> Result<(), Fault> {
    let from = record.state.attributes.clone();
    if from.tags == tags {
        return Ok(());
    }
    // The last tag removed shows as an empty list, never tagged as none at all.
    record.details.untagged = tags.is_empty();
    let to = Attributes {
        tags,
        ..from.clone()
    };
    apply(record, &Change::SetAttributes { from, to })
}

/// Only the service that owns a managed secret may tag it (aws.md section 4; AWS's
/// words are not known).
fn must_be_unmanaged(found: &Found) -> Result<(), Fault> {
    match found.owning_service() {
        None => Ok(()),
        Some(service) => Err(Fault::new(
            Code::InvalidRequestException,
            format!(
                "You can't change the tags of a secret that is managed by another service: {service}."
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::server::service::testing::{Desk, NOT_FOUND, SCHEDULED};

    fn tags(desk: &Desk) -> Value {
        desk.ok("DescribeSecret", json!({"SecretId": "a"}))["Tags"].clone()
    }

    #[test]
    fn aws_4_tags_are_added_and_replaced_by_key_with_an_empty_answer() {
        let desk = Desk::new();
        desk.create("a", "1");
        assert_eq!(tags(&desk), Value::Null, "never tagged: absent");
        let add = |tags: Value| {
            let (status, body) = desk.raw("TagResource", json!({"SecretId": "a", "Tags": tags}));
            assert_eq!((status, body.as_slice()), (200, &b""[..]));
        };
        add(json!([{"Key": "k", "Value": "1"}, {"Key": "K", "Value": ""}]));
        add(json!([{"Key": "k", "Value": "2"}]));
        assert_eq!(
            tags(&desk),
            json!([{"Key": "K", "Value": ""}, {"Key": "k", "Value": "2"}])
        );
        let remove = |keys: Value| {
            let body = json!({"SecretId": "a", "TagKeys": keys});
            assert_eq!(desk.raw("UntagResource", body), (200, Vec::new()));
        };
        remove(json!(["absent"]));
        remove(json!(["k", "K"]));
        assert_eq!(tags(&desk), json!([]), "the last one removed: empty");
        add(json!([{"Key": "k", "Value": "3"}]));
        assert_eq!(tags(&desk), json!([{"Key": "k", "Value": "3"}]));
    }

    #[test]
    fn aws_4_untagging_what_was_never_tagged_leaves_tags_absent() {
        let desk = Desk::new();
        desk.create("a", "1");
        desk.raw("UntagResource", json!({"SecretId": "a", "TagKeys": ["k"]}));
        assert_eq!(tags(&desk), Value::Null);
    }

    #[test]
    fn aws_4_and_9_tags_outside_the_limits_are_refused() {
        let desk = Desk::new();
        desk.create("a", "1");
        let many: Vec<Value> = (0..51)
            .map(|n| json!({"Key": n.to_string(), "Value": ""}))
            .collect();
        for (tags, code) in [
            (
                json!([{"Key": "aws:x", "Value": ""}]),
                "InvalidParameterException",
            ),
            (
                json!([{"Key": "k".repeat(129), "Value": ""}]),
                "ValidationException",
            ),
            (json!([{"Key": "", "Value": ""}]), "ValidationException"),
            (
                json!([{"Key": "k", "Value": "v".repeat(257)}]),
                "ValidationException",
            ),
            (json!(many), "LimitExceededException"),
            (Value::Null, "ValidationException"),
        ] {
            let body = json!({"SecretId": "a", "Tags": tags});
            assert_eq!(desk.fault("TagResource", body).0, code, "{tags}");
        }
        for (keys, code) in [
            (json!([""]), "ValidationException"),
            (json!(["k".repeat(129)]), "ValidationException"),
            (Value::Null, "ValidationException"),
        ] {
            let body = json!({"SecretId": "a", "TagKeys": keys});
            assert_eq!(desk.fault("UntagResource", body).0, code, "{keys}");
        }
        assert_eq!(tags(&desk), Value::Null);
    }

    #[test]
    fn aws_6_tags_of_a_scheduled_secret_stay_as_they_are() {
        let desk = Desk::new();
        desk.create("a", "1");
        desk.ok("DeleteSecret", json!({"SecretId": "a"}));
        let tag = json!({"SecretId": "a", "Tags": [{"Key": "k", "Value": "v"}]});
        desk.refused("TagResource", tag, "InvalidRequestException", SCHEDULED);
        let untag = json!({"SecretId": "a", "TagKeys": ["k"]});
        desk.refused("UntagResource", untag, "InvalidRequestException", SCHEDULED);
        let nobody = json!({"SecretId": "b", "TagKeys": ["k"]});
        desk.refused(
            "UntagResource",
            nobody,
            "ResourceNotFoundException",
            NOT_FOUND,
        );
    }
}

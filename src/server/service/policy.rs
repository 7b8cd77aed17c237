//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy and
//! ValidateResourcePolicy (aws.md section 4).
//!
//! A policy is kept and shown, not enforced: who may do what here is the key's grant.

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::{Checks, parse};
use super::policy_text::{Policy, PolicyError};
use super::{Service, json, must_be_live};
use crate::model::OwnField;

/// The longest policy, in characters.
const MAX: usize = 20_480;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutResourcePolicy {
    secret_id: Option<String>,
    resource_policy: Option<String>,
    block_public_policy: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfSecret {
    secret_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ValidateResourcePolicy {
    secret_id: Option<String>,
    resource_policy: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_policy: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Validated {
    policy_validation_passed: bool,
    validation_errors: Vec<Failed>,
}

/// One failed check; AWS's names and words for them are not known.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    check_name: &'static str,
    error_message: &'static str,
}

const PUBLIC: &str = "This resource policy grants broad access to the secret.";

impl Service {
    pub(super) fn put_resource_policy(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: PutResourcePolicy = parse(call.body)?;
        let text = checked(request.resource_policy.as_deref())?;
        let found = self.find(call, request.secret_id.as_deref())?;
        found.must_be_primary()?;
        must_be_live(&found.record, call.stamp.now)?;
        let policy = read(text)?;
        if request.block_public_policy.unwrap_or_default() && policy.grants_public_access() {
            return Err(Fault::new(Code::PublicPolicyException, PUBLIC));
        }
        self.change_live(&found, call, |_, record| {
            found.set_own(record, OwnField::Policy, Some(policy.text().to_owned()));
            Ok(())
        })?;
        found.named()
    }

    pub(super) fn get_resource_policy(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: OfSecret = parse(call.body)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        must_be_live(&found.record, call.stamp.now)?;
        let policy = found.own_text(OwnField::Policy);
        let shown = Shown {
            arn: &found.arn,
            name: found.name.as_str(),
            resource_policy: policy.as_deref(),
        };
        Ok(json(&shown, 4096)?.about(found.record.name.clone()))
    }

    pub(super) fn delete_resource_policy(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: OfSecret = parse(call.body)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        self.change_live(&found, call, |_, record| {
            found.set_own(record, OwnField::Policy, None);
            Ok(())
        })?;
        found.named()
    }

    pub(super) fn validate_resource_policy(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: ValidateResourcePolicy = parse(call.body)?;
        let text = checked(request.resource_policy.as_deref())?;
        if request.secret_id.is_some() {
            let found = self.find(call, request.secret_id.as_deref())?;
            must_be_live(&found.record, call.stamp.now)?;
        }
        let policy = read(text)?;
        let mut errors = Vec::new();
        if policy.grants_public_access() {
            errors.push(Failed {
                check_name: "PUBLIC_ACCESS",
                error_message: PUBLIC,
            });
        }
        if policy.locks_out() {
            errors.push(Failed {
                check_name: "LOCK_OUT",
                error_message: "This resource policy denies everyone the right to replace it.",
            });
        }
        json(
            &Validated {
                policy_validation_passed: errors.is_empty(),
                validation_errors: errors,
            },
            512,
        )
    }
}

/// A policy's text after the constraints of AWS's model.
fn checked(text: Option<&str>) -> Result<&str, Fault> {
    let mut checks = Checks::default();
    checks.required("resourcePolicy", text.as_ref());
    checks.length("resourcePolicy", text, 1..=MAX);
    checks.finish()?;
    Ok(text.unwrap_or_default())
}

fn read(text: &str) -> Result<Policy, Fault> {
    Policy::parse(text).map_err(|error: PolicyError| {
        Fault::new(Code::MalformedPolicyDocumentException, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::server::service::testing::{Desk, NOT_FOUND, SCHEDULED};

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;

    fn public() -> String {
        POLICY.replace("arn:aws:iam::123456789012:root", "*")
    }

    #[test]
    fn aws_4_a_policy_is_put_shown_and_removed() {
        let desk = Desk::new();
        let arn = desk.create("a", "1");
        let named = json!({"ARN": arn, "Name": "a"});
        let get = || desk.ok("GetResourcePolicy", json!({"SecretId": "a"}));
        assert_eq!(get(), named, "absent if there is none");
        let spaced = POLICY.replace(',', " ,\n");
        let put = json!({"SecretId": "a", "ResourcePolicy": spaced, "BlockPublicPolicy": true});
        assert_eq!(desk.ok("PutResourcePolicy", put), named);
        assert_eq!(
            get(),
            json!({"ARN": arn, "Name": "a", "ResourcePolicy": POLICY})
        );
        for _ in 0..2 {
            let answer = desk.ok("DeleteResourcePolicy", json!({"SecretId": "a"}));
            assert_eq!(answer, named, "200 also when there is none");
        }
        assert_eq!(get(), named);
    }

    #[test]
    fn aws_1_and_4_bad_and_public_policies_are_refused() {
        let desk = Desk::new();
        desk.create("a", "1");
        let put = |text: &str, block: bool| json!({"SecretId": "a", "ResourcePolicy": text, "BlockPublicPolicy": block});
        let bad = put("{}", false);
        let code = "MalformedPolicyDocumentException";
        desk.refused(
            "PutResourcePolicy",
            bad,
            code,
            "This policy has invalid syntax.",
        );
        let blocked = put(&public(), true);
        assert_eq!(
            desk.fault("PutResourcePolicy", blocked).0,
            "PublicPolicyException"
        );
        assert_eq!(
            desk.fault("PutResourcePolicy", put("", false)).0,
            "ValidationException"
        );
        let long = put(&" ".repeat(20_481), false);
        assert_eq!(
            desk.fault("PutResourcePolicy", long).0,
            "ValidationException"
        );
        let none = json!({"SecretId": "a"});
        assert_eq!(
            desk.fault("PutResourcePolicy", none).0,
            "ValidationException"
        );
        let shown = desk.ok("GetResourcePolicy", json!({"SecretId": "a"}));
        assert_eq!(shown.get("ResourcePolicy"), None);
        desk.ok("PutResourcePolicy", put(&public(), false));
    }

    #[test]
    fn aws_4_a_policy_is_validated_without_being_put() {
        let desk = Desk::new();
        let validate = |text: &str| json!({"ResourcePolicy": text});
        assert_eq!(
            desk.ok("ValidateResourcePolicy", validate(POLICY)),
            json!({"PolicyValidationPassed": true, "ValidationErrors": []})
        );
        let failed = |text: &str| {
            let answer = desk.ok("ValidateResourcePolicy", validate(text));
            assert_eq!(answer["PolicyValidationPassed"], json!(false));
            answer["ValidationErrors"][0]["CheckName"].clone()
        };
        assert_eq!(failed(&public()), json!("PUBLIC_ACCESS"));
        let closed = public()
            .replace("Allow", "Deny")
            .replace("secretsmanager:GetSecretValue", "*");
        assert_eq!(failed(&closed), json!("LOCK_OUT"));
        assert_eq!(
            desk.fault("ValidateResourcePolicy", validate("x")).0,
            "MalformedPolicyDocumentException"
        );
        let mut of = validate(POLICY);
        of["SecretId"] = json!("nobody");
        desk.refused(
            "ValidateResourcePolicy",
            of,
            "ResourceNotFoundException",
            NOT_FOUND,
        );
        // The check of names runs before the lookup here too (aws.md section 2).
        let mut of = validate(POLICY);
        of["SecretId"] = json!("a b");
        assert_eq!(
            desk.fault("ValidateResourcePolicy", of).0,
            "ValidationException"
        );
    }

    #[test]
    fn aws_6_policies_of_a_scheduled_secret_are_out_of_reach() {
        let desk = Desk::new();
        desk.create("a", "1");
        desk.ok("DeleteSecret", json!({"SecretId": "a"}));
        for operation in [
            "GetResourcePolicy",
            "PutResourcePolicy",
            "DeleteResourcePolicy",
            "ValidateResourcePolicy",
        ] {
            let body: Value = json!({"SecretId": "a", "ResourcePolicy": POLICY});
            desk.refused(operation, body, "InvalidRequestException", SCHEDULED);
        }
    }
}

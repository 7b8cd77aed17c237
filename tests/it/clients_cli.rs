//! The AWS CLI, unchanged, against `serve`: every subcommand of `aws secretsmanager`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::cli::Home;
use crate::endpoint_verbs::Serving;
use crate::moto::python;

const REGION: &str = "eu-west-1";
const V1: &str = "00000001-0000-4000-8000-000000000000";
const V2: &str = "00000002-0000-4000-8000-000000000000";
const V3: &str = "00000003-0000-4000-8000-000000000000";
const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";

/// What each scenario of this file calls. Together it is all that the CLI has, see
/// [`the_scenarios_leave_no_subcommand_out`].
const VALUES: &[&str] = &[
    "create-secret",
    "describe-secret",
    "get-secret-value",
    "list-secret-version-ids",
    "put-secret-value",
    "update-secret",
    "update-secret-version-stage",
];
const LISTS: &[&str] = &["batch-get-secret-value", "create-secret", "list-secrets"];
const LIVES: &[&str] = &[
    "create-secret",
    "delete-secret",
    "describe-secret",
    "get-secret-value",
    "list-secrets",
    "restore-secret",
    "tag-resource",
    "untag-resource",
];
const POLICIES: &[&str] = &[
    "create-secret",
    "delete-resource-policy",
    "get-random-password",
    "get-resource-policy",
    "put-resource-policy",
    "validate-resource-policy",
];
const REGIONS: &[&str] = &[
    "cancel-rotate-secret",
    "create-secret",
    "delete-secret",
    "describe-secret",
    "get-secret-value",
    "put-secret-value",
    "remove-regions-from-replication",
    "replicate-secret-to-regions",
    "rotate-secret",
    "stop-replication-to-replica",
];

fn aws() -> Option<PathBuf> {
    Some(python()?.with_file_name("aws"))
}

/// The CLI with the keys of a running `serve`.
struct Aws {
    aws: PathBuf,
    serving: Serving,
    home: Home,
    called: RefCell<BTreeSet<String>>,
}

/// Arguments as a shell takes them apart, as far as these tests need it: at spaces,
/// but not within single quotes.
fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        match n % 2 {
            0 => all.extend(part.split_whitespace().map(str::to_owned)),
            _ => all.push(part.to_owned()),
        }
    }
    all
}

impl Aws {
    fn new() -> Option<Self> {
        let aws = aws()?;
        let home = Home::new();
        let serving = Serving::start(&home, &[]);
        Some(Self {
            aws,
            serving,
            home,
            called: RefCell::default(),
        })
    }

    fn output(&self, line: &str) -> Output {
        let words = words(line);
        let called = words.first().cloned().unwrap_or_default();
        self.called.borrow_mut().insert(called);
        Command::new(&self.aws)
            .arg("secretsmanager")
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path(""))
            .env("AWS_DEFAULT_REGION", REGION)
            .env(
                "AWS_SHARED_CREDENTIALS_FILE",
                self.serving.of("credentials"),
            )
            .env(
                "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                self.serving.of("endpoint"),
            )
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap()
    }

    /// What a call prints, as JSON; null for a call that answers nothing.
    fn ok(&self, line: &str) -> Value {
        let done = self.output(line);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{line}: {said}");
        if done.stdout.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// The code and the text of a call's error.
    fn fails(&self, line: &str) -> (String, String) {
        let done = self.output(line);
        let said = String::from_utf8_lossy(&done.stderr);
        let shown = String::from_utf8_lossy(&done.stdout);
        assert!(!done.status.success(), "{line}: {shown}");
        let found = said.split_once("An error occurred (").and_then(|(_, e)| {
            let (code, rest) = e.split_once(')')?;
            Some((code.to_owned(), rest.split_once(": ")?.1.trim().to_owned()))
        });
        found.unwrap_or_else(|| panic!("{line}: {said}"))
    }

    fn refused(&self, line: &str, code: &str, text: &str) {
        let (is, said) = self.fails(line);
        assert_eq!((is.as_str(), said.as_str()), (code, text), "{line}");
    }

    fn called(&self, all: &[&str]) {
        let called = self.called.borrow();
        assert_eq!(called.iter().map(String::as_str).collect::<Vec<_>>(), all);
    }
}

fn names(list: &Value) -> Vec<&str> {
    let list = list["SecretList"].as_array().unwrap();
    list.iter().map(|s| s["Name"].as_str().unwrap()).collect()
}

fn is_arn(arn: &Value, region: &str, name: &str) -> bool {
    let head = format!("arn:aws:secretsmanager:{region}:000000000000:secret:{name}-");
    let suffix = arn.as_str().and_then(|a| a.strip_prefix(&head));
    suffix.is_some_and(|s| s.len() == 6 && s.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[test]
fn the_scenarios_leave_no_subcommand_out() {
    let Some(aws) = aws() else { return };
    // It names what it has when it is asked for what it has not: in two columns, after
    // an empty line.
    let mut command = Command::new(aws);
    command.env("AWS_DEFAULT_REGION", REGION);
    let done = command.args(["secretsmanager", "nope"]).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    let (_, has) = said.split_once("valid choices are:\n\n").unwrap();
    let has = has.split(['|', '\n']).map(str::trim);
    let has: BTreeSet<&str> = has.filter(|h| !h.is_empty() && *h != "help").collect();
    let all = [VALUES, LISTS, LIVES, POLICIES, REGIONS].concat();
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), has);
    assert_eq!(has.len(), 23);
}

#[test]
fn the_cli_reads_and_writes_values_versions_and_labels() {
    let Some(aws) = Aws::new() else { return };
    let made = aws.ok(&format!(
        "create-secret --name app/db --client-request-token {V1} --secret-string one \
         --description 'the data base' --tags Key=team,Value=core"
    ));
    assert!(is_arn(&made["ARN"], REGION, "app/db"), "{made}");
    assert_eq!(made["VersionId"], V1);
    let put = aws.ok(&format!(
        "put-secret-value --secret-id app/db --client-request-token {V2} --secret-string two"
    ));
    assert_eq!(put["VersionStages"], json!(["AWSCURRENT"]));
    // The CLI makes a token of its own.
    let updated = aws.ok(
        "update-secret --secret-id app/db --secret-string 'three words here' --description new",
    );
    assert_eq!(updated["VersionId"].as_str().map(str::len), Some(36));
    assert_eq!(updated.get("VersionStages"), None);
    let third = updated["VersionId"].as_str().unwrap();

    let read = aws.ok("get-secret-value --secret-id app/db");
    assert_eq!(read["SecretString"], "three words here");
    assert_eq!(read["VersionId"], third);
    assert!(read["CreatedDate"].is_number(), "{read}");
    let arn = made["ARN"].as_str().unwrap();
    let read = aws.ok(&format!(
        "get-secret-value --secret-id {arn} --version-stage AWSPREVIOUS"
    ));
    assert_eq!(read["SecretString"], "two");
    let read = aws.ok(&format!(
        "get-secret-value --secret-id {} --version-id {V1}",
        &arn[..arn.len() - 7]
    ));
    assert_eq!(read["SecretString"], "one");
    assert_eq!(read.get("VersionStages"), None);

    // Roll back, and a label of one's own.
    let moved = aws.ok(&format!(
        "update-secret-version-stage --secret-id app/db --version-stage AWSCURRENT \
         --remove-from-version-id {third} --move-to-version-id {V2}"
    ));
    assert_eq!(moved, json!({"ARN": arn, "Name": "app/db"}));
    aws.ok(&format!(
        "update-secret-version-stage --secret-id app/db --version-stage known-good --move-to-version-id {V1}"
    ));
    let described = aws.ok("describe-secret --secret-id app/db");
    assert_eq!(
        described["VersionIdsToStages"],
        json!({V1: ["known-good"], V2: ["AWSCURRENT"], third: ["AWSPREVIOUS"]})
    );
    assert_eq!(described["Description"], "new");
    assert_eq!(described["Tags"], json!([{"Key": "team", "Value": "core"}]));
    assert_eq!(described.get("KmsKeyId"), None);
    assert_eq!(aws.home.value("app/db"), "two");

    aws.ok(&format!(
        "update-secret-version-stage --secret-id app/db --version-stage known-good --remove-from-version-id {V1}"
    ));
    let count = |line: &str| aws.ok(line)["Versions"].as_array().unwrap().len();
    assert_eq!(count("list-secret-version-ids --secret-id app/db"), 2);
    let all = "list-secret-version-ids --secret-id app/db --include-deprecated";
    assert_eq!(count(all), 3);
    let page = aws.ok(&format!("{all} --max-results 2"));
    assert_eq!(page["Versions"].as_array().unwrap().len(), 2);
    let next = page["NextToken"].as_str().unwrap();
    let page = aws.ok(&format!("{all} --max-results 2 --next-token '{next}'"));
    assert_eq!(page["Versions"].as_array().unwrap().len(), 1);
    assert_eq!(page.get("NextToken"), None);

    // Bytes go in by a file and come out as base64.
    let file = aws.home.path("bytes");
    std::fs::write(&file, b"\x00\xff\r\n").unwrap();
    aws.ok(&format!(
        "create-secret --name bin --secret-binary fileb://{}",
        file.display()
    ));
    let read = aws.ok("get-secret-value --secret-id bin");
    assert_eq!(read["SecretBinary"], "AP8NCg==");
    assert_eq!(read.get("SecretString"), None);
    let pending = format!(
        "put-secret-value --secret-id bin --secret-string s --client-request-token {V3} --version-stages AWSPENDING x"
    );
    let mut stages = aws.ok(&pending)["VersionStages"].clone();
    stages.as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(stages, json!(["AWSPENDING", "x"]));
    let read = aws.ok("get-secret-value --secret-id bin --version-stage x");
    assert_eq!(read["SecretString"], "s");

    let exists = "ResourceExistsException";
    aws.refused(
        "create-secret --name app/db --secret-string x",
        exists,
        "The operation failed because the secret app/db already exists.",
    );
    aws.refused(
        &format!("put-secret-value --secret-id app/db --secret-string other --client-request-token {V1}"),
        exists,
        &format!("You can't use ClientRequestToken {V1} because that value is already in use for a version of secret {arn}."),
    );
    aws.refused(
        "get-secret-value --secret-id nope",
        "ResourceNotFoundException",
        NOT_FOUND,
    );
    aws.refused(
        "get-secret-value --secret-id app/db --version-stage AWSPENDING",
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
    );
    aws.refused(
        &format!(
            "get-secret-value --secret-id app/db --version-id {V1} --version-stage AWSCURRENT"
        ),
        "InvalidRequestException",
        "You provided a VersionStage that is not associated to the provided VersionId.",
    );
    aws.refused(
        &format!("update-secret-version-stage --secret-id app/db --version-stage AWSCURRENT --move-to-version-id {V1}"),
        "InvalidParameterException",
        &format!("The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version {V2}, so you must explicitly reference that version in RemoveFromVersionId."),
    );
    aws.refused(
        "describe-secret --secret-id 'a b'",
        "ValidationException",
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    );
    let (code, _) = aws.fails("put-secret-value --secret-id app/db --version-stages x");
    assert_eq!(code, "InvalidRequestException");
    aws.called(VALUES);
}

#[test]
fn the_cli_lists_filters_pages_and_reads_many() {
    let Some(aws) = Aws::new() else { return };
    for (name, more) in [
        ("app/b", "--description 'one AppBeta'"),
        ("app/a", "--description two --tags Key=env,Value=prod"),
        ("lib/c", "--tags Key=env,Value=dev"),
        ("lib/empty", ""),
    ] {
        let value = match name {
            "lib/empty" => String::new(),
            _ => format!("--secret-string v-{name}"),
        };
        aws.ok(&format!("create-secret --name {name} {value} {more}"));
    }
    for (line, found) in [
        ("", &["app/b", "app/a", "lib/c", "lib/empty"][..]),
        (
            "--sort-order desc",
            &["lib/empty", "lib/c", "app/a", "app/b"],
        ),
        ("--sort-by name", &["app/a", "app/b", "lib/c", "lib/empty"]),
        ("--filters Key=name,Values=app/", &["app/b", "app/a"]),
        ("--filters Key=name,Values=!app/", &["lib/c", "lib/empty"]),
        ("--filters Key=name,Values=App/", &[]),
        ("--filters Key=description,Values=bet", &["app/b"]),
        (
            "--filters Key=tag-key,Values=env Key=name,Values=lib",
            &["lib/c"],
        ),
        (
            "--filters Key=tag-value,Values=prod,dev",
            &["app/a", "lib/c"],
        ),
        ("--filters Key=all,Values=TWO", &["app/a"]),
        // The CLI's own paging, over pages of two.
        ("--page-size 2", &["app/b", "app/a", "lib/c", "lib/empty"]),
    ] {
        let list = aws.ok(&format!("list-secrets {line}"));
        assert_eq!(names(&list), found, "{line}");
    }
    let page = aws.ok("list-secrets --page-size 2 --max-items 3");
    assert_eq!(names(&page).len(), 3);
    let next = page["NextToken"].as_str().unwrap();
    let page = aws.ok(&format!(
        "list-secrets --page-size 2 --starting-token {next}"
    ));
    assert_eq!(names(&page), ["lib/empty"]);
    let all = aws.ok("list-secrets");
    let entry = &all["SecretList"][1];
    assert!(is_arn(&entry["ARN"], REGION, "app/a"), "{entry}");
    assert!(entry["SecretVersionsToStages"].is_object(), "{entry}");
    assert_eq!(entry.get("VersionIdsToStages"), None);

    let many = aws.ok("batch-get-secret-value --secret-id-list app/a nope lib/c");
    let values = many["SecretValues"].as_array().unwrap();
    let values: Vec<_> = values.iter().map(|v| &v["SecretString"]).collect();
    assert_eq!(values, ["v-app/a", "v-lib/c"]);
    assert_eq!(
        many["Errors"],
        json!([{"SecretId": "nope", "ErrorCode": "ResourceNotFoundException", "Message": NOT_FOUND}])
    );
    let many = aws.ok("batch-get-secret-value --filters Key=name,Values=app/ --max-results 20");
    assert_eq!(many["SecretValues"].as_array().unwrap().len(), 2);
    let (code, _) = aws.fails("batch-get-secret-value");
    assert_eq!(code, "InvalidParameterException");
    let (code, text) = aws.fails("list-secrets --next-token x");
    assert_eq!(code, "InvalidNextTokenException", "{text}");
    aws.called(LISTS);
}

#[test]
fn the_cli_deletes_restores_and_tags() {
    let Some(aws) = Aws::new() else { return };
    aws.ok("create-secret --name a --secret-string x");
    let tag = "tag-resource --secret-id a --tags Key=k,Value=1";
    assert_eq!(aws.ok(&format!("{tag} Key=other,Value=")), Value::Null);
    aws.ok("tag-resource --secret-id a --tags Key=k,Value=2");
    assert_eq!(
        aws.ok("describe-secret --secret-id a")["Tags"],
        json!([{"Key": "k", "Value": "2"}, {"Key": "other", "Value": ""}])
    );
    let untag = "untag-resource --secret-id a --tag-keys k other absent";
    assert_eq!(aws.ok(untag), Value::Null);
    // Not absent: AWS shows an empty list after the last tag has gone.
    assert_eq!(aws.ok("describe-secret --secret-id a")["Tags"], json!([]));
    let (code, _) = aws.fails("tag-resource --secret-id a --tags Key=aws:x,Value=1");
    assert_eq!(code, "InvalidParameterException");

    let gone = aws.ok("delete-secret --secret-id a --recovery-window-in-days 7");
    assert!(gone["DeletionDate"].is_number(), "{gone}");
    assert!(is_arn(&gone["ARN"], REGION, "a"), "{gone}");
    let marked =
        "You can't perform this operation on the secret because it was marked for deletion.";
    aws.refused(
        "get-secret-value --secret-id a",
        "InvalidRequestException",
        marked,
    );
    aws.refused(tag, "InvalidRequestException", marked);
    aws.refused(
        "create-secret --name a --secret-string y",
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    );
    assert!(aws.ok("describe-secret --secret-id a")["DeletedDate"].is_number());
    assert_eq!(names(&aws.ok("list-secrets")), [""; 0]);
    let planned = aws.ok("list-secrets --include-planned-deletion");
    assert_eq!(names(&planned), ["a"]);
    let back = aws.ok("restore-secret --secret-id a");
    assert_eq!(back["ARN"], gone["ARN"]);
    assert_eq!(
        aws.ok("get-secret-value --secret-id a")["SecretString"],
        "x"
    );

    for days in ["6", "31"] {
        let (code, _) = aws.fails(&format!(
            "delete-secret --secret-id a --recovery-window-in-days {days}"
        ));
        assert_eq!(code, "InvalidParameterException");
    }
    let both =
        "delete-secret --secret-id a --recovery-window-in-days 7 --force-delete-without-recovery";
    assert_eq!(aws.fails(both).0, "InvalidParameterException");
    aws.ok("delete-secret --secret-id a --force-delete-without-recovery");
    let none = "ResourceNotFoundException";
    aws.refused("restore-secret --secret-id a", none, NOT_FOUND);
    aws.refused("delete-secret --secret-id a", none, NOT_FOUND);
    // One that never was: with force it is no error.
    let never = aws.ok("delete-secret --secret-id never --force-delete-without-recovery");
    assert_eq!(never["Name"], "never");
    aws.ok("create-secret --name a --secret-string again");
    let read = aws.ok("get-secret-value --secret-id a");
    assert_ne!(read["ARN"], gone["ARN"]);
    aws.called(LIVES);
}

#[test]
fn the_cli_keeps_policies_and_makes_passwords() {
    let Some(aws) = Aws::new() else { return };
    aws.ok("create-secret --name a --secret-string x");
    let policy = |principal: &str| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": principal},
            "Action": "secretsmanager:GetSecretValue", "Resource": "*",
        }]})
        .to_string()
    };
    let good = policy("arn:aws:iam::123456789012:root");
    let public = policy("*");
    assert_eq!(
        aws.ok("get-resource-policy --secret-id a")
            .get("ResourcePolicy"),
        None
    );
    let checked = aws.ok(&format!(
        "validate-resource-policy --resource-policy '{good}'"
    ));
    assert_eq!(
        checked,
        json!({"PolicyValidationPassed": true, "ValidationErrors": []})
    );
    let checked = aws.ok(&format!(
        "validate-resource-policy --secret-id a --resource-policy '{public}'"
    ));
    assert_eq!(checked["PolicyValidationPassed"], false);
    assert_eq!(checked["ValidationErrors"][0]["CheckName"], "PUBLIC_ACCESS");
    aws.ok(&format!(
        "put-resource-policy --secret-id a --resource-policy '{good}' --block-public-policy"
    ));
    let kept = aws.ok("get-resource-policy --secret-id a");
    let kept: Value = serde_json::from_str(kept["ResourcePolicy"].as_str().unwrap()).unwrap();
    assert_eq!(kept, serde_json::from_str::<Value>(&good).unwrap());
    let put = format!("put-resource-policy --secret-id a --resource-policy '{public}'");
    let (code, _) = aws.fails(&format!("{put} --block-public-policy"));
    assert_eq!(code, "PublicPolicyException");
    aws.refused(
        "put-resource-policy --secret-id a --resource-policy {",
        "MalformedPolicyDocumentException",
        "This policy has invalid syntax.",
    );
    assert_eq!(aws.ok("delete-resource-policy --secret-id a")["Name"], "a");
    assert_eq!(aws.ok("delete-resource-policy --secret-id a")["Name"], "a");
    aws.refused(
        "get-resource-policy --secret-id nope",
        "ResourceNotFoundException",
        NOT_FOUND,
    );

    let made = aws.ok("get-random-password");
    assert_eq!(made["RandomPassword"].as_str().map(str::len), Some(32));
    let made = aws.ok(
        "get-random-password --password-length 12 --exclude-punctuation --exclude-uppercase \
         --exclude-lowercase --exclude-characters 01234",
    );
    let made = made["RandomPassword"].as_str().unwrap();
    assert!(made.len() == 12 && made.bytes().all(|b| (b'5'..=b'9').contains(&b)));
    let (code, _) = aws.fails("get-random-password --password-length 3");
    assert_eq!(code, "InvalidParameterException");
    let (code, _) = aws.fails("get-random-password --password-length 4097");
    assert_eq!(code, "ValidationException");
    aws.called(POLICIES);
}

#[test]
fn the_cli_replicates_and_is_told_that_nobody_rotates() {
    let Some(aws) = Aws::new() else { return };
    aws.ok("create-secret --name a --secret-string x");
    let there = aws.ok(
        "replicate-secret-to-regions --secret-id a --add-replica-regions Region=us-east-1 Region=eu-north-1",
    );
    let regions = |of: &Value| -> Vec<String> {
        let all = of["ReplicationStatus"].as_array().unwrap();
        all.iter()
            .map(|r| r["Region"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(regions(&there), ["eu-north-1", "us-east-1"]);
    let abroad = aws.ok("get-secret-value --secret-id a --region us-east-1");
    assert!(is_arn(&abroad["ARN"], "us-east-1", "a"), "{abroad}");
    assert_eq!(abroad["SecretString"], "x");
    aws.refused(
        "put-secret-value --secret-id a --secret-string y --region us-east-1",
        "InvalidParameterException",
        "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
    );
    aws.refused(
        "replicate-secret-to-regions --secret-id a --add-replica-regions Region=eu-west-1",
        "InvalidParameterException",
        "Invalid replica region.",
    );
    let arn = there["ARN"].as_str().unwrap();
    let (code, text) = aws.fails("delete-secret --secret-id a");
    assert_eq!(code, "InvalidParameterException");
    let begins = format!("You can't delete secret {arn} that still has replica regions [");
    assert!(text.starts_with(&begins), "{text}");
    let left =
        aws.ok("remove-regions-from-replication --secret-id a --remove-replica-regions eu-north-1");
    assert_eq!(regions(&left), ["us-east-1"]);
    assert_eq!(
        aws.ok("describe-secret --secret-id a")["PrimaryRegion"],
        REGION
    );
    let own = aws.ok("stop-replication-to-replica --secret-id a --region us-east-1");
    assert_eq!(own["ARN"], abroad["ARN"]);

    // Until there is somebody who runs functions, AWS's own answers say so.
    let function = "arn:aws:lambda:eu-west-1:000000000000:function:f";
    aws.refused(
        "rotate-secret --secret-id a",
        "InvalidRequestException",
        "No Lambda rotation function ARN is associated with this secret.",
    );
    aws.refused(
        &format!("rotate-secret --secret-id a --rotation-lambda-arn {function} --rotation-rules AutomaticallyAfterDays=30"),
        "AccessDeniedException",
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.",
    );
    let (code, _) =
        aws.fails("rotate-secret --secret-id a --rotation-rules AutomaticallyAfterDays=2000");
    assert_eq!(code, "ValidationException");
    aws.refused(
        "cancel-rotate-secret --secret-id a",
        "InvalidRequestException",
        "No Lambda rotation function ARN is associated with this secret.",
    );
    let described = aws.ok("describe-secret --secret-id a");
    assert_eq!(described.get("RotationEnabled"), None);
    aws.called(REGIONS);
}

#[test]
fn strongroom_aws_is_the_real_cli_on_the_vault() {
    let Some(aws) = aws() else { return };
    let home = Home::new();
    home.put("prod/db", "hunter2");
    let bin = aws.parent().unwrap_or(Path::new("/"));
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let read =
        "secretsmanager get-secret-value --secret-id prod/db --query SecretString --output text";
    let mut command = home.command();
    command.env("PATH", path).arg("aws").args(words(read));
    let done = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "hunter2\n");
}

//! Clients that other people wrote: boto3, the AWS CLI, and the extension's form.

use std::process::Command;

use super::house::{House, ID, Plan, SECRET, TOKEN, VALUE};
use crate::moto::python;

fn house() -> House {
    House::build(Plan {
        real_clock: true,
        pass: true,
        ..Plan::default()
    })
}

fn run(house: &House, mut command: Command) -> String {
    let done = command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env(
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            format!("http://{}", house.front),
        )
        .env("AWS_ACCESS_KEY_ID", ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("PASS", format!("http://{}/{TOKEN}", house.front))
        .env(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            house.agent.port().to_string(),
        )
        .env("AWS_SESSION_TOKEN_OF_TEST", TOKEN)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn boto3_is_believed_and_answered() {
    let Some(python) = python() else { return };
    let house = house();
    let mut command = Command::new(python);
    command.arg("-c").arg(
        r#"
import boto3, os
from botocore.exceptions import ClientError
sm = boto3.client('secretsmanager')
print(sm.get_secret_value(SecretId='prod/db')['SecretString'])
sm.tag_resource(SecretId='prod/db', Tags=[{'Key': 'ä', 'Value': 'b'}])
try:
    sm.get_secret_value(SecretId='missing')
except sm.exceptions.ResourceNotFoundException as e:
    print(e.response['Message'])
bad = boto3.client('secretsmanager', aws_secret_access_key='x', aws_access_key_id='AKSTRONGROOMTESTTEST')
try:
    bad.get_secret_value(SecretId='prod/db')
except ClientError as e:
    print(e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode'])
own = boto3.client('secretsmanager', aws_secret_access_key='x', aws_access_key_id='AKIAREAL', endpoint_url=os.environ['PASS'])
print(own.get_secret_value(SecretId='prod/db')['Name'])
"#,
    );
    let said = run(&house, command);
    assert_eq!(
        said,
        format!(
            "{VALUE}\nSecrets Manager can't find the specified secret.\nInvalidSignatureException 403\nprod/db\n"
        )
    );
}

#[test]
fn the_aws_cli_is_believed_and_answered() {
    let Some(python) = python() else { return };
    let house = house();
    // By its interpreter: the first line of the script may name one that has moved.
    let aws = python.with_file_name("aws");
    let mut command = Command::new(python);
    command.arg(aws).args([
        "secretsmanager",
        "get-secret-value",
        "--secret-id",
        "prod/db",
    ]);
    command.args(["--query", "SecretString", "--output", "text"]);
    assert_eq!(run(&house, command).trim(), VALUE);
}

/// A program written against the extension, as its documentation has it.
#[test]
fn a_client_of_the_extension_is_answered() {
    let Some(python) = python() else { return };
    let house = house();
    let mut command = Command::new(python);
    command.arg("-c").arg(
        r#"
import json, os, urllib.request
port = os.environ['PARAMETERS_SECRETS_EXTENSION_HTTP_PORT']
r = urllib.request.Request(f'http://localhost:{port}/secretsmanager/get?secretId=prod/db')
r.add_header('X-Aws-Parameters-Secrets-Token', os.environ['AWS_SESSION_TOKEN_OF_TEST'])
print(json.loads(urllib.request.urlopen(r).read())['SecretString'])
"#,
    );
    assert_eq!(run(&house, command).trim(), VALUE);
}

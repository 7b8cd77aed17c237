//! Anybody's calls, by AWS's SDK.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::Tag;
use strongroom::model::{Kind, SecretName, SecretValue};

use super::runner::{DONE, attributes, id, labels_of, shown, value};

/// The error code of a call, as it came over the wire.
fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or("no code").to_owned()
}

/// Anybody's calls by AWS's SDK.
pub(super) async fn on_wire(sdk: &Client, name: &SecretName, verb: &str, args: &[&str]) -> String {
    let name = name.as_str();
    let payload = |text: &str| {
        let value = value(text);
        let bytes = value.expose_secret().to_vec();
        match value.kind() {
            Kind::String => (Some(String::from_utf8(bytes).unwrap()), None),
            Kind::Binary => (None, Some(Blob::new(bytes))),
        }
    };
    let put = async |n: &str, text: &str, labels: &[&str]| {
        let (string, binary) = payload(text);
        let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
        let call = sdk.put_secret_value().secret_id(name);
        let call = call.client_request_token(id(n).as_str());
        let call = call.set_secret_string(string).set_secret_binary(binary);
        let call = call.set_version_stages((!labels.is_empty()).then_some(labels));
        let done = call.send().await;
        done.map(|d| labels_of(&mut d.version_stages.unwrap_or_default()))
            .map_err(|e| code(&e))
    };
    match verb {
        "create" => {
            let (string, binary) = payload(args[1]);
            let call = sdk.create_secret().name(name);
            let call = call.client_request_token(id(args[0]).as_str());
            let call = call.set_secret_string(string).set_secret_binary(binary);
            let done = call.send().await;
            done.map_or_else(|e| code(&e), |_| DONE.to_owned())
        }
        "put" => put(args[0], args[1], &args[2..])
            .await
            .unwrap_or_else(|e| e),
        "update" => {
            let (string, binary) = payload(args[1]);
            let call = sdk.update_secret().secret_id(name);
            let call = call.client_request_token(id(args[0]).as_str());
            let call = call.set_secret_string(string).set_secret_binary(binary);
            let done = call.send().await;
            done.map_or_else(
                |e| code(&e),
                |d| {
                    d.version_id
                        .unwrap_or_default()
                        .trim_start_matches('0')
                        .to_owned()
                },
            )
        }
        "fill" => {
            let (from, to): (u32, u32) = (args[0].parse().unwrap(), args[1].parse().unwrap());
            for n in from..=to {
                if let Err(code) = put(&n.to_string(), "x", &[]).await {
                    return format!("{n}: {code}");
                }
            }
            DONE.to_owned()
        }
        "stage" => {
            let version = |text: &str| (text != "-").then(|| id(text).as_str().to_owned());
            let call = sdk.update_secret_version_stage().secret_id(name);
            let call = call.version_stage(args[0]);
            let call = call.set_remove_from_version_id(version(args[1]));
            let done = call.set_move_to_version_id(version(args[2])).send().await;
            done.map_or_else(|e| code(&e), |_| DONE.to_owned())
        }
        "get" => {
            let call = sdk.get_secret_value().secret_id(name);
            let call = match args[0].parse::<u32>() {
                Ok(_) => call.version_id(id(args[0]).as_str()),
                // As everybody asks.
                Err(_) if args[0] == "AWSCURRENT" => call,
                Err(_) => call.version_stage(args[0]),
            };
            match call.send().await {
                Err(error) => code(&error),
                Ok(answer) => {
                    let id = answer.version_id.unwrap_or_default();
                    let (kind, bytes) = match (answer.secret_string, answer.secret_binary) {
                        (Some(text), None) => (Kind::String, text.into_bytes()),
                        (None, Some(blob)) => (Kind::Binary, blob.into_inner()),
                        _ => return "both or neither".to_owned(),
                    };
                    let value = SecretValue::new_of(kind, bytes.into()).unwrap();
                    format!("{} {}", id.trim_start_matches('0'), shown(&value))
                }
            }
        }
        "versions" => {
            let call = sdk.list_secret_version_ids().secret_id(name);
            match call.include_deprecated(true).send().await {
                Err(error) => code(&error),
                Ok(answer) => {
                    let mut all = BTreeMap::new();
                    for version in answer.versions.unwrap_or_default() {
                        let id = version.version_id.unwrap_or_default();
                        let mut borne = version.version_stages.unwrap_or_default();
                        all.insert(id, labels_of(&mut borne).replace(' ', "+"));
                    }
                    let all = all.iter().map(|(id, borne)| {
                        let id = id.trim_start_matches('0');
                        if borne.is_empty() {
                            id.to_owned()
                        } else {
                            format!("{id}={borne}")
                        }
                    });
                    all.collect::<Vec<_>>().join(" ")
                }
            }
        }
        "tag" => {
            let tags = attributes(args).tags;
            let tags = tags
                .iter()
                .map(|(k, v)| Tag::builder().key(k).value(v).build());
            let call = sdk.tag_resource().secret_id(name);
            let done = call.set_tags(Some(tags.collect())).send().await;
            done.map_or_else(|e| code(&e), |_| DONE.to_owned())
        }
        "delete" => {
            let done = sdk.delete_secret().secret_id(name).send().await;
            done.map_or_else(|e| code(&e), |_| DONE.to_owned())
        }
        "purge" => {
            let call = sdk.delete_secret().secret_id(name);
            let done = call.force_delete_without_recovery(true).send().await;
            done.map_or_else(|e| code(&e), |_| DONE.to_owned())
        }
        "restore" => {
            let done = sdk.restore_secret().secret_id(name).send().await;
            done.map_or_else(|e| code(&e), |_| DONE.to_owned())
        }
        other => panic!("no such call: {other}"),
    }
}

//! AWS's SDK for Rust on `serve`, and a program with its caching crate through `exec`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Region};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};

use crate::cli::Home;
use crate::endpoint_verbs::Serving;

/// A client with the key pair that `serve` wrote down.
fn client(serving: &Serving) -> Client {
    let file = std::fs::read_to_string(serving.of("credentials")).unwrap();
    let of = |key: &str| {
        let line = file.lines().find_map(|l| l.strip_prefix(key));
        line.unwrap().trim_start_matches([' ', '=']).to_owned()
    };
    let (id, secret) = (of("aws_access_key_id"), of("aws_secret_access_key"));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "serve"))
        .endpoint_url(serving.of("endpoint"))
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn the_rust_sdk_works_on_the_vault_and_gets_its_own_errors() {
    let home = Home::new();
    let serving = Serving::start(&home, &[]);
    let sm = client(&serving);

    let tag = Tag::builder().key("k").value("v").build();
    let made = sm.create_secret().name("rs/db").secret_string("one");
    let made = made.tags(tag).send().await.unwrap();
    let put = sm.put_secret_value().secret_id("rs/db");
    let put = put.secret_string("two").send().await.unwrap();
    assert_eq!(put.version_stages(), ["AWSCURRENT"]);
    let read = sm.get_secret_value().secret_id("rs/db").send();
    let read = read.await.unwrap();
    assert_eq!(read.secret_string(), Some("two"));
    assert_eq!(read.version_id(), put.version_id());
    let at = SystemTime::try_from(*read.created_date().unwrap()).unwrap();
    assert!(at.elapsed().unwrap_or_default() < Duration::from_secs(300));
    let previous = sm.get_secret_value().secret_id(made.arn().unwrap());
    let previous = previous.version_stage("AWSPREVIOUS").send().await.unwrap();
    assert_eq!(previous.secret_string(), Some("one"));

    let bytes: Vec<u8> = (0..=255).collect();
    let binary = sm.create_secret().name("rs/bytes");
    let binary = binary.secret_binary(Blob::new(bytes.clone()));
    binary.send().await.unwrap();
    let read = sm.get_secret_value().secret_id("rs/bytes").send();
    let read = read.await.unwrap();
    assert_eq!(read.secret_binary().unwrap().as_ref(), bytes);
    assert_eq!(read.secret_string(), None);

    let moved = sm
        .update_secret_version_stage()
        .secret_id("rs/db")
        .version_stage("AWSCURRENT")
        .remove_from_version_id(put.version_id().unwrap())
        .move_to_version_id(made.version_id().unwrap());
    moved.send().await.unwrap();
    let described = sm.describe_secret().secret_id("rs/db").send();
    let described = described.await.unwrap();
    let labels = described.version_ids_to_stages().unwrap();
    assert_eq!(labels[made.version_id().unwrap()], ["AWSCURRENT"]);
    assert_eq!(labels[put.version_id().unwrap()], ["AWSPREVIOUS"]);
    assert_eq!(described.tags()[0].value(), Some("v"));

    let filter = Filter::builder()
        .key(FilterNameStringType::Name)
        .values("rs/");
    let mut pages = sm
        .list_secrets()
        .filters(filter.build())
        .into_paginator()
        .page_size(1)
        .send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        names.extend(
            page.secret_list()
                .iter()
                .map(|s| s.name().unwrap().to_owned()),
        );
    }
    assert_eq!(names, ["rs/db", "rs/bytes"]);

    let missing = sm.get_secret_value().secret_id("nope").send().await;
    let missing = missing.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception());
    let text = "Secrets Manager can't find the specified secret.";
    assert_eq!(missing.message(), Some(text));
    let exists = sm.create_secret().name("rs/db").secret_string("x").send();
    let exists = exists.await.unwrap_err().into_service_error();
    assert!(exists.is_resource_exists_exception());
    let odd = sm.get_secret_value().secret_id("a b").send().await;
    let odd = odd.unwrap_err().into_service_error();
    assert_eq!(odd.code(), Some("ValidationException"));
    assert_eq!(home.value("rs/db"), "one");
}

/// The program of `tests/clients/rust`, as `tests/run` built it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its tools; no part of the program does"
)]
fn caching() -> Option<PathBuf> {
    let told = std::env::var_os("STRONGROOM_TEST_RUST_CLIENT").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/debug/caching-client");
    let program = told.clone().unwrap_or(built);
    if program.exists() {
        return Some(program);
    }
    assert!(told.is_none(), "no program at {}", program.display());
    eprintln!("skipped: tests/clients/rust is not built; run ./tests/run");
    None
}

#[test]
fn the_caching_crate_for_rust_reads_once_and_again_when_told() {
    let Some(program) = caching() else { return };
    let home = Home::new();
    home.put("cache/db", "one");
    home.run_with(b"\x00\xff", ["put", "cache/bytes", "--binary"])
        .ok();
    let said = home.run(["exec".as_ref(), "--".as_ref(), program.as_os_str()]);
    assert_eq!(said.ok().out, "done\n");
    assert_eq!(home.value("cache/db"), "three");
}

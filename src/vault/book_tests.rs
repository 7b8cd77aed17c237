//! The examples in the book's format pages are what strongroom writes, byte for byte.

use std::collections::BTreeMap;

use super::keyring::Keyring;
use super::meta;
use super::meta::tests::full;
use super::testing::ID;
use crate::config::{Config, RemoteConfig};
use crate::crypto::{Domain, Identity, KeyringKeys};
use crate::model::{Direction, Scope};

/// The identity of the age test kit that the book's vectors use: public, worthless.
const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

fn keys() -> KeyringKeys {
    KeyringKeys::new(KIT.parse().unwrap(), ID)
}

fn assert_in(page: &str, text: &str) {
    let block = format!("```toml\n{text}```\n");
    assert!(page.contains(&block), "the page lacks:\n{block}");
}

#[test]
fn the_books_metadata_file() {
    let text = keys()
        .seal_text(Domain::Secret, meta::emit(&full()).unwrap())
        .unwrap();
    assert_in(include_str!("../../book/src/formats/metadata.md"), &text);
}

#[test]
fn the_books_settings() {
    let mut config = Config::new(ID);
    let name: crate::model::RemoteName = "prod".parse().unwrap();
    let remote = RemoteConfig {
        name: name.clone(),
        region: "eu-central-1".into(),
        account: Some("123456789012".into()),
        profile: Some("team".into()),
        role_arn: Some("arn:aws:iam::123456789012:role/secrets".into()),
        endpoint: Some("https://vpce.example.org".into()),
        scope: Scope {
            map: Some(("team/".into(), String::new())),
            include: vec!["team/app/".into(), "team/db".into()],
            exclude: vec!["team/app/private".into()],
        },
        direction: Direction::TwoWay,
        on_conflict: crate::model::Strategy::Hold,
        extras: crate::model::Extras::default(),
    };
    config.remotes = BTreeMap::from([(name, remote)]);
    let text = keys()
        .seal_text(Domain::Vault, config.emit().unwrap())
        .unwrap();
    assert_in(include_str!("../../book/src/formats/vault.md"), &text);
}

#[test]
fn the_books_member_list() {
    let keys = keys();
    let ann: Identity = KIT.parse().unwrap();
    let text = Keyring::new(&keys, "ann", &ann.recipient())
        .seal(&keys)
        .unwrap();
    assert_in(include_str!("../../book/src/formats/vault.md"), &text);
}

//! What `AwsStore` reads, against a real moto server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom::model::{
    Attributes, Change, Lifecycle, Origin, Scope, SecretName, SecretValue, Sight, VersionId,
    VersionMeta,
};
use strongroom::store::{Progress, SecretStore as _, Silent, StoreError};

use crate::moto::{self, Moto};

pub(crate) fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

pub(crate) fn id(n: u8) -> VersionId {
    format!("{n:032x}").parse().unwrap()
}

pub(crate) fn string(text: &str) -> SecretValue {
    SecretValue::string(text.as_bytes().to_vec()).unwrap()
}

pub(crate) fn binary(bytes: &[u8]) -> SecretValue {
    SecretValue::binary(bytes.to_vec()).unwrap()
}

pub(crate) fn create(n: u8) -> Change {
    Change::Create {
        attributes: Attributes::default(),
        version: Some((id(n), VersionMeta::unread(Origin::Local))),
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Progress for Count {
    fn begin(&self, _: &str, _: Option<usize>) {}
    fn advance(&self, n: usize) {
        self.0.fetch_add(n, Ordering::SeqCst);
    }
    fn finish(&self) {}
}

#[tokio::test]
async fn a_listing_of_120_secrets_comes_in_pages_with_labels_tags_and_dates() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000001");
    moto.console(
        &keys,
        "for n in range(120):\n  \
           sm.create_secret(Name=f'app/{n:03}', SecretString=f'v{n}', Description='d', Tags=[{'Key':'n','Value':str(n)},{'Key':'aws:x','Value':'y'}])\n\
         sm.put_secret_value(SecretId='app/007', SecretString='new')\n\
         sm.put_secret_value(SecretId='app/007', SecretString='third')\n\
         sm.delete_secret(SecretId='app/119')",
    );
    let store = moto.connect(&keys).await;
    let count = Count::default();
    let view = store.view(&[], &count).await.unwrap();
    assert_eq!(view.listed, 120);
    assert_eq!(view.secrets.len(), 120);
    assert_eq!(count.0.load(Ordering::SeqCst), 120);
    assert!(view.foreign.is_empty());
    let Some(Sight::Seen(secret)) = view.secrets.get(&name("app/007")) else {
        panic!("not seen: {:?}", view.secrets.get(&name("app/007")));
    };
    // Three versions; the first lost its last label and is out of the listing.
    assert_eq!(secret.state.versions.len(), 2);
    assert_eq!(secret.state.labels.len(), 2);
    assert_eq!(secret.state.attributes.description.as_deref(), Some("d"));
    assert_eq!(
        secret.state.attributes.tags,
        BTreeMap::from([("n".to_owned(), "7".to_owned())])
    );
    assert!(secret.facts.changed.is_some());
    assert!(secret.facts.arn.contains(":100000000001:secret:app/007-"));
    let Some(Sight::Seen(gone)) = view.secrets.get(&name("app/119")) else {
        panic!("not seen");
    };
    assert!(matches!(
        gone.state.lifecycle,
        Lifecycle::Scheduled { date: Some(_) }
    ));
}

#[tokio::test]
async fn values_are_byte_exact_both_ways() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000002");
    let store = moto.connect(&keys).await;
    let every: Vec<u8> = (0..=255).collect();
    let cases = [
        ("string", string("pässwörd \u{1f511}\r\n\0\t\"\\")),
        ("every-byte", binary(&every)),
        ("text-as-binary", binary(b"pass")),
        ("largest", binary(&vec![0xa5; SecretValue::MAX])),
        ("not-utf8", binary(b"\xff\xfe")),
    ];
    for (n, (secret, value)) in (1..).zip(&cases) {
        store
            .apply(&name(secret), &create(n), Some(value))
            .await
            .unwrap();
    }
    let names: Vec<SecretName> = cases.iter().map(|(n, _)| name(n)).collect();
    let mut asked = names.clone();
    asked.insert(2, name("absent"));
    let mut batch = store.read_current(&asked).await.unwrap();
    assert!(matches!(batch.remove(2), Err(StoreError::NotFound)));
    for (n, ((secret, value), got)) in (1..).zip(cases.iter().zip(batch)) {
        let got = got.unwrap_or_else(|e| panic!("{secret}: {e}"));
        assert_eq!(got.id, id(n), "{secret}");
        assert!(got.value.same_as(value), "{secret}");
        let got = store.read(&name(secret), &id(n)).await.unwrap();
        assert!(got.value.same_as(value), "{secret}");
        assert!(got.created.is_some());
    }
    // The same bytes in somebody else's client.
    let seen = moto.console(
        &keys,
        "out([sm.get_secret_value(SecretId='string')['SecretString'], \
              list(sm.get_secret_value(SecretId='every-byte')['SecretBinary'])])",
    );
    assert_eq!(seen[0], "pässwörd \u{1f511}\r\n\0\t\"\\");
    assert_eq!(seen[1], serde_json::json!(every));
    let cli = moto.aws(
        &keys,
        &[
            "secretsmanager",
            "get-secret-value",
            "--secret-id",
            "not-utf8",
            "--query",
            "SecretBinary",
            "--output",
            "text",
        ],
    );
    assert_eq!(cli.trim(), "//4=");
}

#[tokio::test]
async fn names_are_mapped_and_what_is_out_of_scope_or_foreign_is_not_touched() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000008");
    moto.console(
        &keys,
        "for n in ['prod/a', 'prod/private/b', 'other', 'rds!db-1']:\n  sm.create_secret(Name=n, SecretString=n)",
    );
    let mut config = moto.remote();
    config.scope = Scope {
        map: Some(("team/".into(), "prod/".into())),
        include: Vec::new(),
        exclude: vec!["team/private/".into()],
    };
    let store = moto::connect(&config, &keys).await.unwrap();
    let known = [name("team/a"), name("team/gone"), name("elsewhere")];
    let view = store.view(&known, &Silent).await.unwrap();
    assert_eq!(view.listed, 4);
    let names: Vec<&str> = view.secrets.keys().map(SecretName::as_str).collect();
    assert_eq!(names, ["elsewhere", "team/a"]);
    // A name outside was never looked at, so nobody may take it for gone.
    assert!(matches!(
        view.secrets.get(&name("elsewhere")),
        Some(Sight::Blocked(_))
    ));
    assert_eq!(view.foreign.len(), 1);
    assert_eq!(view.foreign[0].0, "rds!db-1");
    store
        .apply(&name("team/new"), &create(1), Some(&string("x")))
        .await
        .unwrap();
    let there = moto.console(
        &keys,
        "out(sm.get_secret_value(SecretId='prod/new')['SecretString'])",
    );
    assert_eq!(there, "x");
    assert!(matches!(
        store
            .apply(&name("elsewhere"), &create(1), Some(&string("x")))
            .await,
        Err(StoreError::Refused { .. })
    ));
}

#[tokio::test]
async fn two_accounts_are_kept_apart_and_a_wrong_one_is_noticed() {
    let Some(moto) = Moto::shared() else { return };
    let (one, two) = (moto.account("100000000009"), moto.account("100000000010"));
    let first = moto.connect(&one).await;
    let second = moto.connect(&two).await;
    first
        .apply(&name("a"), &create(1), Some(&string("1")))
        .await
        .unwrap();
    second
        .apply(&name("a"), &create(1), Some(&string("2")))
        .await
        .unwrap();
    let got = second.read(&name("a"), &id(1)).await.unwrap();
    assert!(got.value.same_as(&string("2")));
    let identity = second.identity().await.unwrap();
    assert_eq!(identity.account.as_deref(), Some("100000000010"));
    assert!(identity.caller.unwrap().contains("assumed-role/test"));
    // A role, from the keys of another account.
    let mut config = moto.remote();
    config.role_arn = Some("arn:aws:iam::100000000010:role/sync".into());
    config.account = Some("100000000010".into());
    let roled = moto::connect(&config, &one).await.unwrap();
    let got = roled.read(&name("a"), &id(1)).await.unwrap();
    assert!(got.value.same_as(&string("2")));
    // Pinned to the one, with keys of the other.
    config.role_arn = None;
    assert!(matches!(
        moto::connect(&config, &one).await.map(|_| ()),
        Err(StoreError::WrongAccount { .. })
    ));
}

#[tokio::test]
async fn a_valueless_secret_has_nothing_to_read() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000011");
    let store = moto.connect(&keys).await;
    moto.console(
        &keys,
        "sm.create_secret(Name='bare')\nsm.create_secret(Name='full', SecretString='x')",
    );
    // moto fails such a batch as a whole.
    let got = store
        .read_current(&[name("bare"), name("full")])
        .await
        .unwrap();
    assert!(matches!(got[0], Err(StoreError::NotFound)));
    assert!(got[1].as_ref().is_ok_and(|r| r.value.same_as(&string("x"))));
    let many = vec![name("full"); 21];
    assert!(matches!(
        store.read_current(&many).await.map(|_| ()),
        Err(StoreError::Refused { .. })
    ));
    assert!(store.read_current(&[]).await.unwrap().is_empty());
}

//! What `AwsStore` changes, against a real moto server.

use std::collections::BTreeMap;

use strongroom::aws::AwsStore;
use strongroom::model::{
    Attributes, Change, Invalid, Origin, SecretName, Sight, StagingLabel, Timestamp, VersionMeta,
};
use strongroom::store::{SecretStore as _, Silent, StoreError};

use crate::aws_store::{binary, create, id, name, string};
use crate::moto::Moto;

fn label(text: &str) -> StagingLabel {
    text.parse().unwrap()
}

fn add(n: u8, labels: &[&str]) -> Change {
    Change::AddVersion {
        id: id(n),
        meta: VersionMeta::unread(Origin::Local),
        labels: labels.iter().map(|l| label(l)).collect(),
    }
}

fn shift(text: &str, from: Option<u8>, to: Option<u8>) -> Change {
    Change::MoveLabel {
        label: label(text),
        from: from.map(id),
        to: to.map(id),
    }
}

async fn labels(store: &AwsStore, secret: &SecretName) -> Vec<(String, String)> {
    let seen = store.describe(secret).await.unwrap().expect("it is there");
    let pairs = seen.state.labels.iter();
    pairs
        .map(|(l, v)| {
            (
                l.as_str().to_owned(),
                v.as_str().trim_start_matches('0').to_owned(),
            )
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let expected = expected.iter();
    expected
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[tokio::test]
async fn creating_again_with_the_same_version_is_done_and_with_another_is_refused() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.connect(&moto.account("100000000003")).await;
    let secret = name("a");
    let first = Change::Create {
        attributes: Attributes {
            description: Some("about".into()),
            tags: BTreeMap::from([("k".into(), "v".into())]),
        },
        version: Some((id(1), VersionMeta::unread(Origin::Local))),
    };
    for _ in 0..2 {
        store
            .apply(&secret, &first, Some(&string("x")))
            .await
            .unwrap();
    }
    let seen = store.describe(&secret).await.unwrap().unwrap();
    assert_eq!(seen.state.attributes.description.as_deref(), Some("about"));
    assert_eq!(seen.state.attributes.tags.len(), 1);
    assert_eq!(seen.state.current(), Some(&id(1)));
    for (change, value) in [(create(2), "x"), (create(1), "y")] {
        assert_eq!(
            store.apply(&secret, &change, Some(&string(value))).await,
            Err(StoreError::Changed(Invalid::Exists))
        );
    }
    // Without a value there is no version to know a token by.
    let bare = |description: Option<&str>| Change::Create {
        attributes: Attributes {
            description: description.map(str::to_owned),
            tags: BTreeMap::new(),
        },
        version: None,
    };
    for _ in 0..2 {
        store
            .apply(&name("bare"), &bare(Some("d")), None)
            .await
            .unwrap();
    }
    assert_eq!(
        store.apply(&name("bare"), &bare(None), None).await,
        Err(StoreError::Changed(Invalid::Exists))
    );
    let seen = store.describe(&name("bare")).await.unwrap().unwrap();
    assert!(seen.state.versions.is_empty());
    assert!(matches!(
        store.apply(&name("c"), &create(1), None).await,
        Err(StoreError::Refused { .. })
    ));
}

#[tokio::test]
async fn a_push_parks_the_version_and_moves_awscurrent_by_compare_and_swap() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000004");
    let store = moto.connect(&keys).await;
    let secret = name("db");
    store
        .apply(&secret, &create(1), Some(&string("1")))
        .await
        .unwrap();
    for _ in 0..2 {
        store
            .apply(&secret, &add(2, &["SRPUSH"]), Some(&string("2")))
            .await
            .unwrap();
    }
    assert_eq!(
        labels(&store, &secret).await,
        pairs(&[("AWSCURRENT", "1"), ("SRPUSH", "2")])
    );
    assert_eq!(
        store
            .apply(&secret, &add(2, &["SRPUSH"]), Some(&string("other")))
            .await,
        Err(StoreError::VersionMismatch(id(2)))
    );
    for bad in [
        add(3, &[]),
        add(3, &["AWSCURRENT"]),
        add(3, &["x", "AWSCURRENT"]),
        add(3, &["sr/lost"]),
    ] {
        assert!(matches!(
            store.apply(&secret, &bad, Some(&string("3"))).await,
            Err(StoreError::Refused { .. })
        ));
    }
    // The second is what a retry after a lost answer looks like.
    for _ in 0..2 {
        store
            .apply(&secret, &shift("AWSCURRENT", Some(1), Some(2)), None)
            .await
            .unwrap();
    }
    assert_eq!(
        labels(&store, &secret).await,
        pairs(&[("AWSCURRENT", "2"), ("AWSPREVIOUS", "1"), ("SRPUSH", "2")])
    );
    let got = store.read(&secret, &id(2)).await.unwrap();
    assert!(got.value.same_as(&string("2")));
    // Somebody else was faster. (By a plain put moto would leave AWSCURRENT on two.)
    moto.console(
        &keys,
        &format!(
            "sm.put_secret_value(SecretId='db', SecretString='9', ClientRequestToken='{new}', VersionStages=['own'])\n\
             sm.update_secret_version_stage(SecretId='db', VersionStage='AWSCURRENT', RemoveFromVersionId='{old}', MoveToVersionId='{new}')",
            new = id(9),
            old = id(2)
        ),
    );
    store
        .apply(&secret, &add(3, &["SRPUSH"]), Some(&string("3")))
        .await
        .unwrap();
    assert_eq!(
        store
            .apply(&secret, &shift("AWSCURRENT", Some(2), Some(3)), None)
            .await,
        Err(StoreError::Changed(Invalid::Changed {
            label: StagingLabel::current(),
            expected: Some(id(2)),
            found: Some(id(9)),
        }))
    );
    let still = labels(&store, &secret).await;
    assert!(
        still.contains(&("AWSCURRENT".into(), "9".into())),
        "{still:?}"
    );
    // Labels that cannot go.
    assert_eq!(
        store
            .apply(&secret, &shift("AWSCURRENT", Some(9), None), None)
            .await,
        Err(StoreError::Changed(Invalid::CurrentMustStay))
    );
    assert_eq!(
        store.apply(&secret, &shift("x", None, None), None).await,
        Err(StoreError::Changed(Invalid::Nothing))
    );
    assert!(matches!(
        store.read(&secret, &id(77)).await,
        Err(StoreError::NoValue(v)) if v == id(77)
    ));
}

#[tokio::test]
async fn a_custom_label_is_added_only_where_nobody_has_it() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000005");
    let store = moto.connect(&keys).await;
    let secret = name("db");
    store
        .apply(&secret, &create(1), Some(&string("1")))
        .await
        .unwrap();
    store
        .apply(&secret, &add(2, &["SRPUSH"]), Some(&string("2")))
        .await
        .unwrap();
    for _ in 0..2 {
        store
            .apply(&secret, &shift("blue", None, Some(1)), None)
            .await
            .unwrap();
    }
    // moto would put it on both.
    assert_eq!(
        store
            .apply(&secret, &shift("blue", None, Some(2)), None)
            .await,
        Err(StoreError::Changed(Invalid::Changed {
            label: label("blue"),
            expected: None,
            found: Some(id(1)),
        }))
    );
    store
        .apply(&secret, &shift("blue", Some(1), Some(2)), None)
        .await
        .unwrap();
    assert_eq!(
        labels(&store, &secret).await,
        pairs(&[("AWSCURRENT", "1"), ("SRPUSH", "2"), ("blue", "2")])
    );
    for _ in 0..2 {
        store
            .apply(&secret, &shift("blue", Some(2), None), None)
            .await
            .unwrap();
    }
    assert_eq!(
        labels(&store, &secret).await,
        pairs(&[("AWSCURRENT", "1"), ("SRPUSH", "2")])
    );
    // What moto lets others do, AWS does not: a label on two versions.
    moto.console(
        &keys,
        &format!(
            "sm.update_secret_version_stage(SecretId='db', VersionStage='x', MoveToVersionId='{}')\n\
             sm.update_secret_version_stage(SecretId='db', VersionStage='x', MoveToVersionId='{}')",
            id(1),
            id(2)
        ),
    );
    assert!(matches!(
        store.describe(&secret).await,
        Err(StoreError::Corrupt(_))
    ));
    let view = store.view(&[], &Silent).await.unwrap();
    assert!(
        matches!(view.secrets.get(&secret), Some(Sight::Blocked(r)) if r.contains("two versions"))
    );
}

#[tokio::test]
async fn attributes_are_set_by_key_and_only_over_what_was_expected() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000006");
    let store = moto.connect(&keys).await;
    let secret = name("db");
    store
        .apply(&secret, &create(1), Some(&string("1")))
        .await
        .unwrap();
    let of = |description: &str, tags: &[(&str, &str)]| Attributes {
        description: (!description.is_empty()).then(|| description.to_owned()),
        tags: tags
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect(),
    };
    let set = |from: &Attributes, to: &Attributes| Change::SetAttributes {
        from: from.clone(),
        to: to.clone(),
    };
    let (none, one, two) = (
        Attributes::default(),
        of("text", &[("a", "1"), ("b", "2")]),
        of("more", &[("b", "3"), ("c", "")]),
    );
    store.apply(&secret, &set(&none, &one), None).await.unwrap();
    store.apply(&secret, &set(&one, &two), None).await.unwrap();
    let seen = store.describe(&secret).await.unwrap().unwrap();
    assert_eq!(seen.state.attributes, two);
    // No version was made on the way.
    assert_eq!(labels(&store, &secret).await, pairs(&[("AWSCURRENT", "1")]));
    // Done already, and not what was expected.
    assert_eq!(store.apply(&secret, &set(&one, &two), None).await, Ok(()));
    assert_eq!(
        store.apply(&secret, &set(&one, &none), None).await,
        Err(StoreError::Changed(Invalid::AttributesChanged))
    );
}

#[tokio::test]
async fn deletion_and_restore_are_safe_to_repeat() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("100000000007");
    let store = moto.connect(&keys).await;
    let secret = name("db");
    store
        .apply(&secret, &create(1), Some(&string("1")))
        .await
        .unwrap();
    let date = Timestamp::from_secs(1_800_000_000).plus_days(9);
    for _ in 0..2 {
        store
            .apply(&secret, &Change::Delete { date: Some(date) }, None)
            .await
            .unwrap();
    }
    let left = moto.console(
        &keys,
        "import datetime\n\
         d = sm.describe_secret(SecretId='db')['DeletedDate']\n\
         out((d - datetime.datetime.now(d.tzinfo)).total_seconds() / 86400)",
    );
    let left = left.as_f64().unwrap();
    assert!((8.9..9.1).contains(&left), "{left} days");
    let scheduled = Err(StoreError::Changed(Invalid::Scheduled));
    let seen = store.describe(&secret).await.unwrap().unwrap();
    assert!(seen.state.lifecycle.is_scheduled());
    assert_eq!(seen.state.current(), Some(&id(1)));
    assert_eq!(store.read(&secret, &id(1)).await.map(|_| ()), scheduled);
    let batch = store
        .read_current(std::slice::from_ref(&secret))
        .await
        .unwrap();
    assert_eq!(batch.into_iter().next().unwrap().map(|_| ()), scheduled);
    assert_eq!(
        store.apply(&secret, &create(2), Some(&string("2"))).await,
        scheduled
    );
    for _ in 0..2 {
        store.apply(&secret, &Change::Restore, None).await.unwrap();
    }
    let seen = store.describe(&secret).await.unwrap().unwrap();
    assert!(seen.state.lifecycle.is_live());
    assert!(
        store
            .read(&secret, &id(1))
            .await
            .unwrap()
            .value
            .same_as(&string("1"))
    );
    for change in [
        Change::Delete { date: None },
        Change::Restore,
        add(1, &["x"]),
        shift("x", None, Some(1)),
    ] {
        let value = string("v");
        assert_eq!(
            store.apply(&name("absent"), &change, Some(&value)).await,
            Err(StoreError::NotFound),
            "{change:?}"
        );
    }
    for change in [
        Change::Tombstone,
        Change::Reschedule { date: None },
        Change::Archive { to: name("x") },
    ] {
        assert!(matches!(
            store.apply(&secret, &change, None).await,
            Err(StoreError::Refused { .. })
        ));
    }
}

#[tokio::test]
async fn an_empty_value_is_refused_before_anything_is_made() {
    let Some(moto) = Moto::shared() else { return };
    let store = moto.connect(&moto.account("100000000012")).await;
    store
        .apply(&name("b"), &create(1), Some(&string("x")))
        .await
        .unwrap();
    for empty in [string(""), binary(b"")] {
        for (secret, change) in [("a", create(1)), ("b", add(2, &["SRPUSH"]))] {
            let refused = store.apply(&name(secret), &change, Some(&empty)).await;
            assert!(
                matches!(&refused, Err(StoreError::Refused { code, .. }) if code == "EmptyValue"),
                "{refused:?}"
            );
        }
    }
    assert_eq!(store.describe(&name("a")).await, Ok(None));
    assert_eq!(
        labels(&store, &name("b")).await,
        pairs(&[("AWSCURRENT", "1")])
    );
}

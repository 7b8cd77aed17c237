use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::crypto::Identity;
use crate::model::{
    Attributes, Class, Digest, Halves, Kind, OwnField, Pair, RemoteName, Rotation, SecretState,
};

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

fn id(n: u32) -> VersionId {
    format!("{n:08}-0000-4000-8000-000000000000")
        .parse()
        .unwrap()
}

fn label(text: &str) -> StagingLabel {
    text.parse().unwrap()
}

fn face(n: u32) -> Face {
    Face {
        lifecycle: Lifecycle::Live,
        attributes: Attributes {
            description: Some("d".into()),
            tags: BTreeMap::from([("team".into(), "a".into())]),
        },
        labels: BTreeMap::from([(label("AWSCURRENT"), id(n))]),
    }
}

/// A record with everything in it.
pub(in crate::vault) fn full() -> Record {
    let prod: RemoteName = "prod".parse().unwrap();
    let meta = |content, parent, origin| VersionMeta {
        created: Some(Timestamp::from_millis(1_795_395_723_004)),
        content,
        parent,
        origin,
    };
    let value = |kind| Content::Value {
        kind,
        digest: Digest([7; 32]),
    };
    Record {
        name: "prod/db".parse().unwrap(),
        state: SecretState {
            attributes: Attributes {
                description: Some("line\n<<<<<<< \u{202e}\"quoted\"".into()),
                tags: BTreeMap::from([("team".into(), "a".into()), ("a b".into(), String::new())]),
            },
            versions: BTreeMap::from([
                (id(1), meta(value(Kind::String), None, Origin::Local)),
                (
                    id(2),
                    meta(
                        value(Kind::Binary),
                        Some(id(1)),
                        Origin::Remote(prod.clone()),
                    ),
                ),
                (
                    id(3),
                    VersionMeta {
                        created: None,
                        ..meta(Content::Placeholder, None, Origin::Remote(prod.clone()))
                    },
                ),
            ]),
            labels: BTreeMap::from([
                (label("AWSCURRENT"), id(2)),
                (label("AWSPENDING"), id(3)),
                (label("AWSPREVIOUS"), id(1)),
            ]),
            lifecycle: Lifecycle::Scheduled {
                date: Some(Timestamp::from_secs(1_797_987_723)),
            },
        },
        details: Details {
            created: Some(Timestamp::from_secs(1_795_395_000)),
            changed: Some(Timestamp::from_secs(1_795_395_600)),
            deleted: Some(Timestamp::from_secs(1_795_395_600)),
            kms_key: Some("alias/prod".into()),
            policy: Some(r#"{"Version":"2012-10-17"}"#.into()),
            untagged: true,
            rotation: Some(Rotation {
                enabled: true,
                function: Some("arn:aws:lambda:eu-central-1:123456789012:function:r".into()),
                after_days: Some(30),
                schedule: Some("rate(30 days)".into()),
                duration: Some("3h".into()),
                rotated: Some(Timestamp::from_secs(1_795_395_600)),
            }),
            replicas: BTreeMap::from([
                ("eu-west-1".into(), None),
                ("us-east-1".into(), Some("alias/us".into())),
            ]),
        },
        base: BTreeMap::from([
            (
                prod.clone(),
                RemoteBase {
                    pair: Some(Pair {
                        arn:
                            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf"
                                .into(),
                        changed: Some(Timestamp::from_secs(1_795_395_000)),
                        local: face(2),
                        remote: face(1),
                    }),
                    intents: BTreeMap::from([
                        (label("AWSCURRENT"), Some(id(1))),
                        (label("blue"), None),
                    ]),
                    seen: BTreeMap::from([
                        (Field::Description, None),
                        (Field::Tag("team".into()), Some("a".into())),
                    ]),
                    own: BTreeMap::from([
                        (
                            OwnField::KmsKey,
                            Halves {
                                here: Some("alias/new".into()),
                                there: "alias/prod".into(),
                            },
                        ),
                        (
                            OwnField::Policy,
                            Halves {
                                here: None,
                                there: r#"{"Version":"2012-10-17"}"#.into(),
                            },
                        ),
                    ]),
                },
            ),
            (
                "test".parse().unwrap(),
                RemoteBase {
                    pair: Some(Pair {
                        arn: "arn:aws:x".into(),
                        changed: None,
                        local: Face::default(),
                        remote: Face::default(),
                    }),
                    intents: BTreeMap::new(),
                    seen: BTreeMap::new(),
                    own: BTreeMap::new(),
                },
            ),
        ]),
        conflicts: vec![
            Conflict {
                remote: prod.clone(),
                field: Field::Label(label("AWSCURRENT")),
                class: Class::Edit,
                base: Some(id(1).to_string()),
                ours: Some(id(2).to_string()),
                theirs: None,
            },
            Conflict {
                remote: prod,
                field: Field::Tag("team".into()),
                class: Class::CreateCreate,
                base: None,
                ours: Some("a".into()),
                theirs: Some("b".into()),
            },
        ],
    }
}

#[test]
fn a_record_with_everything_reads_as_the_book_shows() {
    let text = emit(&full()).unwrap();
    insta::assert_snapshot!(text);
    assert_eq!(parse(&text).unwrap(), full());
}

#[test]
fn a_blank_record_comes_back() {
    let record = Record::new("a".parse().unwrap());
    let text = emit(&record).unwrap();
    assert_eq!(
        text,
        "format = 1\nname = \"a\"\nlifecycle = \"tombstone\"\n\n"
    );
    assert_eq!(parse(&text).unwrap(), record);
}

#[test]
fn what_cannot_be_a_record_is_not_written() {
    let mut record = full();
    record.state.versions.get_mut(&id(3)).unwrap().content = Content::Unread;
    assert_eq!(emit(&record), Err(RecordError::Unread(id(3))));
    let mut record = full();
    record.state.versions.remove(&id(3));
    assert!(matches!(emit(&record), Err(RecordError::Dangling { .. })));
    let mut record = full();
    record.state.lifecycle = Lifecycle::Scheduled {
        date: Some(Timestamp::from_millis(i64::MAX)),
    };
    assert_eq!(emit(&record), Err(RecordError::Time));
    let mut record = full();
    record.state.attributes.description = Some("x".repeat(MAX));
    assert_eq!(emit(&record), Err(RecordError::TooLarge));
}

#[test]
fn every_way_to_be_wrong_has_its_own_answer() {
    let keys = KeyringKeys::new(Identity::generate(), VAULT);
    let good = keys
        .seal_text(Domain::Secret, emit(&full()).unwrap())
        .unwrap();
    let path = "prod/db.toml";
    assert_eq!(read(good.as_bytes(), path, Some(&keys)).unwrap(), full());
    assert_eq!(read(good.as_bytes(), path, None).unwrap(), full());

    let answer = |text: &str| read(text.as_bytes(), path, Some(&keys)).unwrap_err();
    let sealed = |body: String| keys.seal_text(Domain::Secret, body).unwrap();
    let body = emit(&full()).unwrap();

    let moved = good.replacen(
        "\"AWSCURRENT\" = \"00000002",
        "\"AWSCURRENT\" = \"00000001",
        1,
    );
    assert_ne!(moved, good);
    assert_eq!(answer(&moved), MetaError::Mac(MacError::Mismatch));
    assert_eq!(answer(&body), MetaError::Mac(MacError::Missing));
    for marker in ["<<<<<<< HEAD", "=======", ">>>>>>> theirs", "||||||| base"] {
        let text = good.replacen("[labels]\n", &format!("[labels]\n{marker}\n"), 1);
        assert!(
            matches!(answer(&text), MetaError::ConflictMarkers { line: 12 }),
            "{:?}",
            answer(&text)
        );
    }
    let newer = good.replacen("format = 1", "format = 2", 1);
    assert_eq!(answer(&newer), MetaError::NewerFormat("2".into()));
    assert_eq!(
        read(&vec![b'#'; MAX + 1], path, Some(&keys)),
        Err(MetaError::TooLarge)
    );
    assert_eq!(read(b"\xff", path, None), Err(MetaError::NotText));
    assert_eq!(
        read(good.as_bytes(), "prod/other.toml", Some(&keys)),
        Err(MetaError::Path(PathError::OtherName))
    );
    let crlf = good.replace('\n', "\r\n");
    assert!(matches!(answer(&crlf), MetaError::Mac(_)));

    // Even a right mac does not make these canonical.
    for (from, to) in [
        ("name = \"prod/db\"", "name  = \"prod/db\""),
        ("name = \"prod/db\"", "name = 'prod/db'"),
        ("lifecycle = ", "# a comment\nlifecycle = "),
        ("\\u202E", "\\u202e"),
        ("\\u202E", "\u{202e}"),
    ] {
        let text = sealed(body.replacen(from, to, 1));
        assert!(body.contains(from), "{from}");
        assert!(
            matches!(answer(&text), MetaError::NotCanonical { .. }),
            "{from}: {:?}",
            answer(&text)
        );
    }
    let swapped = sealed(body.replacen(
        "\"a b\" = \"\"\n\"team\" = \"a\"\n",
        "\"team\" = \"a\"\n\"a b\" = \"\"\n",
        1,
    ));
    assert_eq!(answer(&swapped), MetaError::NotCanonical { line: 8 });
    let unknown = sealed(body.replacen("[labels]", "extra = 1\n[labels]", 1));
    assert!(
        answer(&unknown).to_string().contains("line"),
        "{}",
        answer(&unknown)
    );
    let forged = sealed(body.replacen("class = \"edit/edit\"", "class = \"edit/delete\"", 1));
    assert_eq!(answer(&forged), MetaError::Malformed { key: "conflict.id" });
    let short = sealed(body.replacen("digest = \"07", "digest = \"", 1));
    assert_eq!(
        answer(&short),
        MetaError::Malformed {
            key: "version.digest"
        }
    );
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            any::<char>(),
            Just('"'),
            Just('\\'),
            Just('\n'),
            Just('\u{202e}'),
            Just('=')
        ],
        0..12,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn some_id() -> impl Strategy<Value = VersionId> {
    (0..6_u32, any::<bool>(), any::<char>()).prop_map(|(n, odd, c)| {
        if odd {
            format!("{n}{c}{}", "x".repeat(31)).parse().unwrap()
        } else {
            id(n)
        }
    })
}

fn some_label() -> impl Strategy<Value = StagingLabel> {
    prop_oneof![
        Just(label("AWSCURRENT")),
        Just(label("AWSPREVIOUS")),
        text().prop_map(|t| format!("l{t}").parse().unwrap())
    ]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..253_402_300_000_000_i64).prop_map(Timestamp::from_millis)
}

fn some_lifecycle() -> impl Strategy<Value = Lifecycle> {
    prop_oneof![
        Just(Lifecycle::Live),
        Just(Lifecycle::Tombstone),
        proptest::option::of(moment()).prop_map(|date| Lifecycle::Scheduled { date })
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    (
        proptest::option::of(text()),
        proptest::collection::btree_map(text(), text(), 0..3),
    )
        .prop_map(|(description, tags)| Attributes { description, tags })
}

fn some_face() -> impl Strategy<Value = Face> {
    (
        some_lifecycle(),
        attributes(),
        proptest::collection::btree_map(some_label(), some_id(), 0..3),
    )
        .prop_map(|(lifecycle, attributes, labels)| Face {
            lifecycle,
            attributes,
            labels,
        })
}

fn some_remote() -> impl Strategy<Value = RemoteName> {
    prop_oneof![Just("prod"), Just("a"), Just("z-1")].prop_map(|n| n.parse().unwrap())
}

fn some_base() -> impl Strategy<Value = RemoteBase> {
    (
        proptest::option::of((
            text(),
            proptest::option::of(moment()),
            some_face(),
            some_face(),
            any::<bool>(),
        )),
        proptest::collection::btree_map(some_label(), proptest::option::of(some_id()), 0..3),
        proptest::collection::btree_map(some_field(), proptest::option::of(text()), 0..3),
        proptest::collection::btree_map(some_own(), (proptest::option::of(text()), text()), 0..3),
    )
        .prop_map(|(pair, intents, seen, own)| RemoteBase {
            pair: pair.map(|(arn, changed, local, remote, same)| Pair {
                arn,
                changed,
                local: if same { remote.clone() } else { local },
                remote,
            }),
            intents,
            seen,
            own: own
                .into_iter()
                .map(|(field, (here, there))| (field, Halves { here, there }))
                .collect(),
        })
}

fn some_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        some_label().prop_map(Field::Label),
        Just(Field::Description),
        text().prop_map(Field::Tag),
        Just(Field::Lifecycle),
        some_own().prop_map(Field::Own),
    ]
}

fn some_own() -> impl Strategy<Value = OwnField> {
    proptest::sample::select(OwnField::ALL.to_vec())
}

fn some_conflict() -> impl Strategy<Value = Conflict> {
    let field = some_field();
    let side = || proptest::option::of(text());
    (some_remote(), field, side(), side(), side()).prop_map(
        |(remote, field, base, ours, theirs)| Conflict {
            remote,
            field,
            class: Class::RemoteRemote,
            base,
            ours,
            theirs,
        },
    )
}

fn some_details() -> impl Strategy<Value = Details> {
    let key = || proptest::option::of(text());
    let at = || proptest::option::of(moment());
    let rotation = (
        any::<bool>(),
        key(),
        proptest::option::of(1..1000_u16),
        key(),
        key(),
        at(),
    )
        .prop_map(
            |(enabled, function, after_days, schedule, duration, rotated)| Rotation {
                enabled,
                function,
                after_days,
                schedule,
                duration,
                rotated,
            },
        );
    (
        (at(), at(), at(), any::<bool>()),
        key(),
        key(),
        proptest::option::of(rotation),
        proptest::collection::btree_map(text(), key(), 0..3),
    )
        .prop_map(
            |((created, changed, deleted, untagged), kms_key, policy, rotation, replicas)| {
                Details {
                    created,
                    changed,
                    deleted,
                    kms_key,
                    policy,
                    untagged,
                    rotation,
                    replicas,
                }
            },
        )
}

pub(in crate::vault) fn some_record() -> impl Strategy<Value = Record> {
    let version = (
        proptest::option::of(moment()),
        proptest::option::of((any::<bool>(), any::<[u8; 32]>())),
        proptest::option::of(some_id()),
        proptest::option::of(some_remote()),
    )
        .prop_map(|(created, content, parent, origin)| VersionMeta {
            created,
            content: content.map_or(Content::Placeholder, |(text, digest)| Content::Value {
                kind: if text { Kind::String } else { Kind::Binary },
                digest: Digest(digest),
            }),
            parent,
            origin: origin.map_or(Origin::Local, Origin::Remote),
        });
    (
        "[a-zA-Z/.@]{1,12}",
        attributes(),
        proptest::collection::btree_map(some_id(), version, 0..4),
        proptest::collection::vec((some_label(), any::<proptest::sample::Index>()), 0..4),
        some_lifecycle(),
        proptest::collection::btree_map(some_remote(), some_base(), 0..3),
        proptest::collection::btree_set(some_conflict(), 0..3),
        some_details(),
    )
        .prop_map(
            |(name, attributes, versions, labels, lifecycle, mut base, conflicts, details)| {
                let ids: Vec<VersionId> = versions.keys().cloned().collect();
                let labels = labels
                    .into_iter()
                    .filter(|_| !ids.is_empty())
                    .map(|(label, at)| (label, at.get(&ids).clone()))
                    .collect();
                base.retain(|_, base| !base.is_empty());
                Record {
                    name: name.parse().unwrap(),
                    details,
                    state: SecretState {
                        attributes,
                        versions,
                        labels,
                        lifecycle,
                    },
                    base,
                    conflicts: conflicts.into_iter().collect(),
                }
            },
        )
}

proptest! {
    #[test]
    fn every_record_comes_back_from_its_text(record in some_record()) {
        let text = emit(&record).unwrap();
        prop_assert_eq!(&parse(&text).unwrap(), &record);
        prop_assert!(screen(text.as_bytes()).is_ok());
    }
}

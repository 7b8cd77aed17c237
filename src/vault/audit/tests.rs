use std::fs;
use std::sync::Mutex;

use super::super::testing::{Fixture, id, name, now, put, value_of};
use super::*;
use crate::model::{Deed, Door};

fn setup(rule: AuditRule, pace: Pace) -> AuditSetup {
    AuditSetup {
        rule,
        asker: Asker {
            door: Door::Cli,
            verb: "get".to_owned(),
            uid: 1000,
            program: Some("/bin/sh".to_owned()),
            access_key: None,
            region: None,
        },
        pace,
        clock: now,
        id: || "00000000-e000-4000-8000-000000000000".to_owned(),
        complain: Box::new(|error| panic!("{error}")),
    }
}

/// A vault with one secret, audited from its second command on.
fn audited(rule: AuditRule, pace: Pace) -> Fixture {
    let mut fixture = Fixture::new(false);
    fixture.put("prod/db", 1, "hunter2-canary");
    fixture.vault.audit_with(setup(rule, pace));
    fixture
}

fn log(fixture: &Fixture) -> PathBuf {
    fixture.vault.audit_dir().join(chain::CURRENT)
}

fn lines(fixture: &Fixture) -> Vec<String> {
    let text = fs::read_to_string(log(fixture)).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

fn verify(vault: &Vault) -> Audited {
    vault.audited(&mut |_, _| ()).unwrap()
}

fn read_often(fixture: &Fixture, times: usize) {
    for _ in 0..times {
        value_of(&fixture.vault, "prod/db", 1).unwrap();
    }
}

#[test]
fn a_read_is_a_line_in_cloudtrails_words_and_no_value_is_in_it() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    value_of(&fixture.vault, "prod/db", 1).unwrap();
    let missing = value_of(&fixture.vault, "prod/db", 9);
    assert!(matches!(missing, Err(VaultError::NoValue { .. })));
    let lines = lines(&fixture);
    assert_eq!(
        lines[0],
        concat!(
            r#"{"additionalEventData":{"door":"cli","program":"/bin/sh","versionStages":["AWSCURRENT"]},"#,
            r#""chain":{"previous":"80ea0a20f02d4ab2efd82ea2b5afb7a0ef15a1d3d0e6bdee4a52eedd4ab2c1aa","sealed":0,"sequence":1},"#,
            r#""eventCategory":"Management","eventID":"00000000-e000-4000-8000-000000000000","#,
            r#""eventName":"GetSecretValue","eventSource":"strongroom.local","#,
            r#""eventTime":"2026-11-23T01:02:03.000Z","eventType":"VaultCall","eventVersion":"1.08","#,
            r#""managementEvent":true,"readOnly":true,"requestParameters":{"secretId":"prod/db","#,
            r#""versionId":"00000001-0000-4000-8000-000000000000","versionStage":"AWSCURRENT"},"#,
            r#""responseElements":null,"sourceIPAddress":"local","userAgent":"strongroom/0.1.0 get","#,
            r#""userIdentity":{"principalId":"1000","type":"LocalUser"}}"#
        )
        .replace(
            "80ea0a20f02d4ab2efd82ea2b5afb7a0ef15a1d3d0e6bdee4a52eedd4ab2c1aa",
            &fixture.vault.chain().genesis().hash
        )
    );
    assert!(lines[1].contains(r#""errorCode":"ResourceNotFoundException""#));
    assert!(!lines.concat().contains("canary"));
    let found = verify(&fixture.vault);
    assert_eq!((found.lines, found.first, found.last), (2, 1, 2));
    assert_eq!(found.broken, None);
    assert_eq!(found.head, chain::hash(lines[1].as_bytes()));
}

#[test]
fn changes_are_told_by_what_they_do_and_for_whom() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    fixture.put("prod/db", 2, "two");
    fixture.put("prod/new", 3, "three");
    let mut tx = fixture.begin();
    let mut record = tx.record(&name("prod/db")).unwrap().unwrap();
    let label = crate::model::StagingLabel::current();
    record.state.labels.insert(label, id(1));
    record.state.attributes.description = Some("text".to_owned());
    tx.put(record);
    tx.remove(&name("prod/new"));
    let endpoint =
        fixture
            .vault
            .asker_at_endpoint("UpdateSecretVersionStage", "AKIA1", "eu-west-1");
    tx.asked_by(endpoint.unwrap());
    tx.commit("test", crate::vault::Durability::Each).unwrap();
    let mut said = Vec::new();
    let found = fixture.vault.audited(&mut |_, event| {
        let of = |path: &str| event.pointer(path).and_then(|v| v.as_str()).unwrap_or("-");
        said.push(format!(
            "{} {} {} {} {} {}",
            of("/eventName"),
            of("/requestParameters/secretId"),
            of("/requestParameters/versionId")
                .get(..8)
                .unwrap_or_default(),
            of("/requestParameters/versionStage"),
            of("/additionalEventData/door"),
            of("/userIdentity/accessKeyId"),
        ));
    });
    assert_eq!(found.unwrap().broken, None);
    assert_eq!(
        said,
        [
            "PutSecretValue prod/db 00000002 AWSCURRENT cli -",
            "UpdateSecretVersionStage prod/db  AWSPREVIOUS cli -",
            "CreateSecret prod/new 00000003 AWSCURRENT cli -",
            "UpdateSecretVersionStage prod/db  AWSCURRENT endpoint AKIA1",
            "UpdateSecret prod/db  - endpoint AKIA1",
            "DeleteSecret prod/new  - endpoint AKIA1",
        ]
    );
}

#[test]
fn the_first_line_that_was_touched_is_named() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    read_often(&fixture, 5);
    let whole = lines(&fixture);
    let path = log(&fixture);
    let broken = |lines: &[String]| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        let broken = verify(&fixture.vault).broken;
        broken.map(|b| (b.line, b.why))
    };
    assert_eq!(broken(&whole), None);
    let mut altered = whole.clone();
    altered[2] = altered[2].replace("\"1000\"", "\"1001\"");
    let (line, why) = broken(&altered).unwrap();
    assert!(line == 4 && why.contains("event 3 was altered"), "{why}");
    let mut removed = whole.clone();
    removed.remove(1);
    let (line, why) = broken(&removed).unwrap();
    assert!(
        line == 2 && why.contains("event 3 follows event 1"),
        "{why}"
    );
    let mut moved = whole.clone();
    moved.swap(1, 2);
    assert_eq!(broken(&moved).unwrap().0, 2);
    let mut added = whole.clone();
    added.insert(1, whole[1].clone());
    assert_eq!(broken(&added).unwrap().0, 3);
    let mut first = whole.clone();
    first[0] = first[0].replace("prod/db", "prod/dx");
    assert_eq!(broken(&first).unwrap().0, 2);
    let mut nonsense = whole.clone();
    nonsense[4] = "{}".to_owned();
    assert_eq!(broken(&nonsense).unwrap().0, 5);
    // What a chain does not prove: that nothing was cut off at the end.
    assert_eq!(broken(&whole[..3]), None);
    // A log of another clone is none of this one.
    let other = audited(AuditRule::On, Pace::AtOnce);
    read_often(&other, 1);
    let theirs = lines(&other);
    assert_eq!(broken(&theirs).unwrap().0, 1);
}

#[test]
fn a_seal_tells_a_chain_that_was_written_anew_without_the_key() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    read_often(&fixture, 70);
    let found = verify(&fixture.vault);
    assert_eq!((found.seals, found.unchecked, found.sealed), (1, 0, 65));
    assert_eq!(verify(&fixture.reopen()).unchecked, 1);
    // Somebody alters line 10 and makes every hash after it right. Where a file ends
    // does not matter to the chain.
    let mut whole = String::new();
    for file in fixture.vault.chain().files().unwrap() {
        whole.push_str(&fs::read_to_string(&file).unwrap());
        fs::remove_file(file).unwrap();
    }
    let mut previous = String::new();
    let forged: Vec<String> = whole
        .lines()
        .map(ToOwned::to_owned)
        .enumerate()
        .map(|(at, line)| {
            let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if at == 9 {
                value["userIdentity"]["principalId"] = "0".into();
            }
            if at > 9 {
                value["chain"]["previous"] = previous.clone().into();
            }
            let line = if at < 9 { line } else { value.to_string() };
            previous = chain::hash(line.as_bytes());
            line
        })
        .collect();
    fs::write(log(&fixture), forged.join("\n") + "\n").unwrap();
    assert_eq!(verify(&fixture.reopen()).broken, None);
    let broken = verify(&fixture.vault).broken.unwrap();
    assert_eq!(broken.line, 65);
    assert!(
        broken.why.contains("the seal's mac is wrong"),
        "{}",
        broken.why
    );
}

#[test]
fn a_full_file_is_turned_over_and_the_chain_goes_on() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    read_often(&fixture, 100);
    let dir = fixture.vault.audit_dir();
    let mut names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with("log.") && n.ends_with(".jsonl"))
        .collect();
    names.sort();
    assert!(names.len() > 3, "{names:?}");
    assert_eq!(names[0], "log.000000000001.jsonl");
    let found = verify(&fixture.vault);
    assert_eq!((found.first, found.broken), (1, None));
    assert_eq!(found.last, found.lines);
    // An old file that is gone is said; the chain that is there is still one.
    fs::remove_file(dir.join(&names[0])).unwrap();
    let found = verify(&fixture.vault);
    assert!(found.first > 1 && found.broken.is_none(), "{found:?}");
    // One from the middle is a break.
    fs::remove_file(dir.join(&names[2])).unwrap();
    assert!(verify(&fixture.vault).broken.is_some());
    // A turn-over that a crash stopped before the new file goes on as well.
    fs::remove_file(log(&fixture)).unwrap();
    let before = fs::read_to_string(dir.join(&names[names.len() - 2])).unwrap();
    let last = chain::hash(before.lines().last().unwrap().as_bytes());
    read_often(&fixture, 1);
    assert!(lines(&fixture)[0].contains(&last));
}

#[test]
fn half_a_line_is_cut_off_and_the_next_one_says_so() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    read_often(&fixture, 2);
    let text = fs::read_to_string(log(&fixture)).unwrap();
    fs::write(log(&fixture), format!("{text}{{\"half")).unwrap();
    let broken = verify(&fixture.vault).broken.unwrap();
    assert!(broken.line == 3 && broken.why.contains("cut off"));
    read_often(&fixture, 1);
    assert!(lines(&fixture)[2].contains(r#""cutBytes":6"#));
    assert_eq!(verify(&fixture.vault).broken, None);
}

#[test]
fn gathered_events_are_written_together_and_all_of_them_at_the_end() {
    let mut fixture = audited(AuditRule::On, Pace::Gathered);
    let record = fixture.vault.record(&name("prod/db")).unwrap().unwrap();
    let entry = || AuditEntry::of_version(Deed::Read, &record, &id(1));
    for _ in 0..1500 {
        fixture.vault.note(None, vec![entry()]).unwrap();
    }
    fixture.vault.end_audit();
    let found = verify(&fixture.vault);
    assert_eq!(found.broken, None);
    assert_eq!(found.lines - found.seals, 1500);
    assert!(found.seals > 0);
}

#[test]
fn two_at_once_make_one_chain() {
    let fixture = audited(AuditRule::On, Pace::AtOnce);
    let mut other = fixture.unlocked();
    other.audit_with(setup(AuditRule::On, Pace::AtOnce));
    std::thread::scope(|scope| {
        for vault in [&fixture.vault, &other] {
            scope.spawn(move || {
                for _ in 0..40 {
                    value_of(vault, "prod/db", 1).unwrap();
                }
            });
        }
    });
    let found = verify(&fixture.vault);
    assert_eq!(found.broken, None);
    assert_eq!(found.lines - found.seals, 80);
}

#[test]
fn a_log_that_cannot_be_written_is_told_once_or_refused() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut fixture = Fixture::new(false);
    fixture.put("prod/db", 1, "v");
    // A file where its directory should be: root is stopped by that too.
    fs::write(fixture.vault.audit_dir(), "").unwrap();
    let on = AuditSetup {
        complain: Box::new(|error| TOLD.lock().unwrap().push(error.to_string())),
        ..setup(AuditRule::On, Pace::AtOnce)
    };
    fixture.vault.audit_with(on);
    read_often(&fixture, 3);
    assert_eq!(TOLD.lock().unwrap().len(), 1);
    fixture
        .vault
        .audit_with(setup(AuditRule::Required, Pace::Gathered));
    let refused = value_of(&fixture.vault, "prod/db", 1);
    assert!(matches!(refused, Err(VaultError::Audit(_))));
    // No change begins that could not be told of.
    let begun = fixture.vault.begin("test", now());
    assert!(matches!(begun, Err(VaultError::Audit(_))));
    fs::remove_file(fixture.vault.audit_dir()).unwrap();
    read_often(&fixture, 1);
    let mut tx = fixture.begin();
    put(&mut tx, "prod/db", 2, "w");
    tx.commit("test", crate::vault::Durability::Each).unwrap();
    assert_eq!(lines(&fixture).len(), 3);
}

#[test]
fn a_damaged_last_line_is_not_chained_to() {
    let fixture = audited(AuditRule::Required, Pace::AtOnce);
    read_often(&fixture, 1);
    fs::write(log(&fixture), "nonsense\n").unwrap();
    let refused = value_of(&fixture.vault, "prod/db", 1);
    assert!(matches!(
        refused,
        Err(VaultError::Audit(AuditError::Damaged { .. }))
    ));
}

#[test]
fn a_failed_unlocking_is_a_line_in_the_chain() {
    let mut fixture = audited(AuditRule::On, Pace::AtOnce);
    fixture.vault.end_audit();
    let open = || {
        let mut vault = fixture.reopen();
        vault.audit_with(setup(AuditRule::On, Pace::AtOnce));
        vault
    };
    let stranger = crate::crypto::Identity::generate();
    let error = open().unlock(&stranger).unwrap_err();
    assert!(matches!(error, VaultError::NoIdentity { .. }), "{error}");
    // A keyring of somebody else's, encrypted to the member.
    let path = fixture.root().join("keys/default.age");
    let genuine = fs::read(&path).unwrap();
    let to = [fixture.member.recipient()];
    let age = crate::crypto::encrypt_keyring(&stranger, now(), &to).unwrap();
    fs::write(&path, age.as_bytes()).unwrap();
    let error = open().unlock(&fixture.member).unwrap_err();
    assert!(error.is_integrity(), "{error}");
    fs::write(&path, genuine).unwrap();
    open().unlock(&fixture.member).unwrap();
    let mut said = Vec::new();
    let found = fixture.vault.audited(&mut |_, event| {
        let of = |path: &str| event.pointer(path).and_then(|v| v.as_str()).unwrap_or("-");
        said.push(format!("{} {}", of("/eventName"), of("/errorCode")));
    });
    assert_eq!(found.unwrap().broken, None);
    assert_eq!(
        said,
        [
            "UnlockVault IncorrectKeyException",
            "UnlockVault IntegrityFailure"
        ]
    );
}

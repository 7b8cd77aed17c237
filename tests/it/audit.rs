//! The audit log from outside: every door's verb, the settings, the check.

use serde_json::Value;
use strongroom::cli::Exit;

use crate::cli::Home;
use crate::moto::python;

fn events(home: &Home) -> Vec<Value> {
    let said = home.run(["--json", "audit", "log"]).ok();
    let lines = said.out.lines();
    lines.map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn short(event: &Value) -> String {
    let of = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or("-");
    format!(
        "{} {} {} {}",
        of("/eventName"),
        of("/requestParameters/secretId"),
        of("/additionalEventData/door"),
        of("/userAgent").rsplit(' ').next().unwrap(),
    )
}

#[test]
fn every_verb_that_reads_or_writes_a_value_is_in_the_log_and_no_value_is() {
    let home = Home::new();
    home.run_with(b"canary-one", ["put", "prod/db"]).ok();
    home.run(["get", "prod/db"]).ok();
    home.run_with(b"canary-two", ["put", "prod/db"]).ok();
    home.run(["diff", "prod/db~1", "prod/db"]).ok();
    home.run(["rollback", "prod/db"]).ok();
    home.run(["cp", "prod/db", "prod/copy"]).ok();
    home.run(["mv", "prod/copy", "prod/moved"]).ok();
    home.run(["rm", "prod/moved"]).ok();
    home.run(["restore", "prod/moved"]).ok();
    home.run(["describe", "prod/db", "text"]).ok();
    home.run(["generate", "app/key"]).ok();
    home.run(["fsck"]).ok();
    home.run(["exec", "--env", "X=prod/db", "--", "true"]).ok();
    // These read no value.
    home.run(["ls"]).ok();
    home.run(["show", "prod/db"]).ok();
    home.run(["log", "prod/db"]).ok();
    let events = events(&home);
    let said: Vec<String> = events.iter().map(short).collect();
    for (count, line) in [
        (1, "CreateSecret prod/db cli put"),
        (1, "GetSecretValue prod/db cli get"),
        (1, "PutSecretValue prod/db cli put"),
        (2, "GetSecretValue prod/db cli diff"),
        (1, "UpdateSecretVersionStage prod/db cli rollback"),
        (1, "CreateSecret prod/copy cli cp"),
        (1, "DeleteSecret prod/copy cli mv"),
        (1, "DeleteSecret prod/moved cli rm"),
        (1, "RestoreSecret prod/moved cli restore"),
        (1, "UpdateSecret prod/db cli describe"),
        (1, "CreateSecret app/key cli generate"),
        (1, "GetSecretValue prod/db endpoint GetSecretValue"),
    ] {
        let found = said.iter().filter(|s| *s == line).count();
        assert!(found >= count, "{line}: {found}\n{}", said.join("\n"));
    }
    for verb in [" ls", " show", " log"] {
        assert!(!said.iter().any(|s| s.ends_with(verb)), "{verb}");
    }
    let first = &events[0];
    assert_eq!(
        first.pointer("/userIdentity/principalId").unwrap(),
        &rustix::process::getuid().as_raw().to_string()
    );
    let program = first.pointer("/additionalEventData/program").unwrap();
    let own = std::env::current_exe().unwrap();
    assert_eq!(program.as_str().unwrap(), own.to_str().unwrap());
    let text = home.run(["--json", "audit", "log"]).ok().out;
    assert!(!text.contains("canary"));
    let checked = home.run(["audit", "verify", "--unlock"]).ok();
    assert!(checked.out.contains("follow from one another"));
}

#[test]
fn a_broken_line_is_exit_7_and_a_noted_head_shows_what_was_cut_off() {
    let home = Home::new();
    home.run_with(b"v", ["put", "a"]).ok();
    for _ in 0..3 {
        home.run(["get", "a"]).ok();
    }
    let json = home.run(["--json", "audit", "verify"]).ok().out;
    let json: Value = serde_json::from_str(&json).unwrap();
    let head = json["Head"].as_str().unwrap();
    assert_eq!(json["Last"], 4);
    home.run(["get", "a"]).ok();
    home.run(["audit", "verify", "--expect", head]).ok();

    let log = find(&home.path("state"), "log.jsonl");
    let whole = std::fs::read_to_string(&log).unwrap();
    let cut: Vec<&str> = whole.lines().take(2).collect();
    std::fs::write(&log, cut.join("\n") + "\n").unwrap();
    home.run(["audit", "verify"]).ok();
    let said = home
        .run(["audit", "verify", "--expect", head])
        .ends(Exit::Integrity);
    assert!(
        said.err.contains("was cut off or written anew"),
        "{}",
        said.err
    );

    std::fs::write(
        &log,
        whole
            .replacen("\"get\"", "x", 0)
            .replacen("GetSecretValue", "PutSecretValue", 1),
    )
    .unwrap();
    let said = home.run(["audit", "verify"]).ends(Exit::Integrity);
    assert!(
        said.err.contains("line 3: it does not follow"),
        "{}",
        said.err
    );
    let said = home.run(["audit", "log"]).ends(Exit::Integrity);
    assert_eq!(said.out.lines().count(), 2);
}

#[test]
fn the_setting_decides_what_a_log_that_cannot_be_written_does() {
    let home = Home::new();
    home.run_with(b"v", ["put", "a"]).ok();
    let log = find(&home.path("state"), "log.jsonl");
    let dir = log.parent().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    std::fs::write(dir, "").unwrap();
    let said = home.run(["get", "a"]).ok();
    assert_eq!(said.out, "v");
    assert!(said.err.contains("not in the audit log"), "{}", said.err);
    let config = home.path("config/strongroom/config.toml");
    std::fs::write(&config, "audit = \"required\"\n").unwrap();
    let said = home.run(["get", "a"]).ends(Exit::Guard);
    assert_eq!(said.out, "");
    let said = home
        .run(["exec", "--env", "X=a", "--", "true"])
        .ends(Exit::NotFound);
    assert!(said.err.contains("audit log is required"), "{}", said.err);
    std::fs::write(&config, "audit = \"off\"\n").unwrap();
    let said = home.run(["get", "a"]).ok();
    assert_eq!(said.err, "");
}

#[test]
fn the_endpoint_names_the_access_key_and_what_was_refused() {
    let Some(python) = python() else { return };
    let home = Home::new();
    home.run_with(b"v", ["put", "prod/db"]).ok();
    let script = r#"
import boto3
sm = boto3.client('secretsmanager')
for _ in range(3):
    sm.get_secret_value(SecretId='prod/db')
for call in [lambda: sm.get_secret_value(SecretId='no\u202ename'),
             lambda: sm.put_secret_value(SecretId='prod/db', SecretString='canary-in-a-request')]:
    try: call()
    except Exception as e: print(type(e).__name__)
import os; print(os.environ['AWS_ACCESS_KEY_ID'])
"#;
    let python = python.to_str().unwrap();
    let said = home
        .run(["exec", "--read-only", "--", python, "-c", script])
        .ok();
    let key = said.out.lines().last().unwrap().to_owned();
    let all: Vec<Value> = events(&home)
        .into_iter()
        .filter(|e| {
            e.pointer("/userIdentity/accessKeyId")
                .and_then(Value::as_str)
                == Some(&key)
        })
        .collect();
    let said: Vec<String> = (all.iter())
        .map(|e| format!("{} {}", short(e), e["errorCode"].as_str().unwrap_or("ok")))
        .collect();
    assert_eq!(said.len(), 5, "{said:?}");
    assert_eq!(said[0], "GetSecretValue prod/db endpoint GetSecretValue ok");
    assert!(
        said[3].ends_with("ResourceNotFoundException") || said[3].ends_with("ValidationException"),
        "{said:?}"
    );
    assert_eq!(
        said[4],
        "PutSecretValue prod/db endpoint PutSecretValue AccessDeniedException"
    );
    let text = home.run(["--json", "audit", "log"]).ok().out;
    assert!(!text.contains("canary"));
    let shown = home.run(["audit", "log"]).ok().out;
    assert!(!shown.contains('\u{202e}'));
}

/// The file of that name somewhere below a directory.
pub(crate) fn find(dir: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() == name {
                return path;
            }
        }
    }
    panic!("no {name} below {}", dir.display());
}

/// The book's promise that a new verb is logged without doing anything for it.
#[test]
fn values_are_decrypted_and_encrypted_in_the_audited_places_only() {
    let places = |call: &str| -> Vec<String> {
        let src = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
        let mut open = vec![src.to_owned()];
        let mut found = Vec::new();
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
                if path.is_dir() {
                    open.push(path);
                } else if !name.contains("tests") && !name.starts_with("crypto/") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                    if code.contains(call) {
                        found.push(name);
                    }
                }
            }
        }
        found.sort();
        found
    };
    assert_eq!(
        places("open_value("),
        [
            // A bundle's that is under former keys or newer ones, on its way in.
            "exchange/epoch.rs",
            // A bundle's, on its way in.
            "exchange/newcomer.rs",
            // Whether a file holds what its record says, and no more.
            "vault/carry.rs",
            "vault/merge.rs",
            "vault/reseal.rs",
            "vault/value.rs",
        ]
    );
    assert_eq!(
        places("seal_value("),
        [
            // The same under the vault's own keys.
            "exchange/epoch.rs",
            // For a newcomer, of what was read as everybody reads.
            "exchange/newcomer.rs",
            // Under new keys, of what is here.
            "vault/reseal.rs",
            "vault/transaction.rs",
        ]
    );
    assert_eq!(
        places("read_unnoted("),
        ["server/service/value.rs", "vault/value.rs"]
    );
}

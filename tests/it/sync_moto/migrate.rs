//! A migration by the program itself, between two accounts and two Regions of moto.

use std::path::Path;

use serde_json::Value;

use super::desk::{Desk, Said, console, state};
use crate::moto::{Keys, Moto, REGION};

const OLD: &str = "310987654321";
const NEW: &str = "410987654321";
const CANARY: &str = "canary-9d41-of-a-value";
const RULES: [&str; 6] = [
    "--map",
    "prod/*=live/*",
    "--drop",
    "dev/*",
    "--kms",
    "alias/own=alias/theirs",
];
const ACCOUNTS: [&str; 2] = ["--account-rewrite", "automatic"];

struct Move {
    moto: Moto,
    old: Keys,
    new: Keys,
    desk: Desk,
    said: std::cell::RefCell<String>,
}

impl Move {
    /// Two accounts, the vault's remotes `old` and `new` in them, and `far` in another
    /// Region of the new one.
    fn new() -> Option<Self> {
        let moto = Moto::start()?;
        let (old, new) = (moto.account(OLD), moto.account(NEW));
        let desk = Desk::new(&old);
        let mut profiles = String::new();
        for (name, keys) in [("old", &old), ("new", &new)] {
            profiles.push_str(&format!(
                "[{name}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
                keys.id, keys.secret, keys.session
            ));
        }
        std::fs::create_dir(desk.path(".aws")).unwrap();
        std::fs::write(desk.path(".aws/credentials"), profiles).unwrap();
        let url = moto.url();
        for (name, region, profile) in [
            ("old", REGION, "old"),
            ("new", REGION, "new"),
            ("far", "us-east-1", "new"),
        ] {
            desk.ok(&[
                "remote",
                "add",
                name,
                "--region",
                region,
                "--endpoint",
                &url,
                "--profile",
                profile,
            ]);
        }
        let text = format!(
            r#"
C = {CANARY:?}
sm.create_secret(Name='prod/db', SecretString=C+'1', ClientRequestToken=vid(1), Description='the database', Tags=[{{'Key': 'team', 'Value': 'core'}}])
sm.put_secret_value(SecretId='prod/db', SecretString=C+'2', ClientRequestToken=vid(2))
sm.put_secret_value(SecretId='prod/db', SecretString=C+'3', ClientRequestToken=vid(3))
sm.put_secret_value(SecretId='prod/db', SecretString=C+'4', ClientRequestToken=vid(4), VersionStages=['blue', 'green'])
sm.put_resource_policy(SecretId='prod/db', ResourcePolicy=json.dumps({{'Version': '2012-10-17', 'Statement': [{{'Effect': 'Allow', 'Principal': {{'AWS': 'arn:aws:iam::{OLD}:role/app'}}, 'Action': 'secretsmanager:GetSecretValue', 'Resource': '*'}}]}}))
sm.create_secret(Name='prod/tls', SecretBinary=b'\x00\xff'+C.encode(), ClientRequestToken=vid(5), KmsKeyId='alias/own')
sm.create_secret(Name='prod/queue', SecretString='{OLD} '+C, ClientRequestToken=vid(6))
sm.create_secret(Name='bare')
sm.create_secret(Name='dev/tmp', SecretString='x', ClientRequestToken=vid(7))
out(0)
"#
        );
        console(&moto, &old, &text);
        Some(Self {
            moto,
            old,
            new,
            desk,
            said: std::cell::RefCell::default(),
        })
    }

    /// Runs `migrate`, and it must end with this code.
    fn ends(&self, code: i32, args: &[&str]) -> Said {
        let said = self.desk.ends(code, &[&["migrate"], args].concat());
        let mut all = self.said.borrow_mut();
        all.push_str(&said.text());
        all.push_str(&said.err);
        said
    }

    fn plan(&self) {
        let args = [
            "plan",
            "old",
            "new",
            "-o",
            "move.plan",
            "--report",
            "move.md",
        ];
        self.ends(0, &[&args[..], &RULES[..], &ACCOUNTS[..]].concat());
    }

    /// The new account's state has the old one's secrets under their new names.
    fn assert_moved(&self) {
        let (old, new) = (state(&self.moto, &self.old), state(&self.moto, &self.new));
        assert_eq!(new.as_object().unwrap().len(), 4, "{new}");
        for (from, to) in [
            ("prod/db", "live/db"),
            ("prod/tls", "live/tls"),
            ("prod/queue", "live/queue"),
            ("bare", "bare"),
        ] {
            assert_eq!(old[from], new[to], "{from}");
        }
    }
}

#[test]
fn a_migration_between_two_accounts_from_plan_to_retirement() {
    let Some(it) = Move::new() else {
        return;
    };
    let vault = it.desk.files();
    let source = state(&it.moto, &it.old);
    // Without the answers that it needs, what needs them is blocked.
    let said = it.ends(0, &["plan", "old", "new"]).text();
    for word in ["--account-rewrite", "--kms", "2 blocked"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    it.plan();
    let page = std::fs::read_to_string(it.desk.vault().join("move.md")).unwrap();
    assert!(page.contains("| prod/queue | 1 | 0 |"), "{page}");
    it.ends(12, &["verify", "move.plan"]);

    let said = it.ends(0, &["apply", "move.plan", "--json"]).json();
    assert_eq!(said["Done"], 4, "{said}");
    it.assert_moved();
    assert_eq!(state(&it.moto, &it.old), source);
    let policy = console(
        &it.moto,
        &it.new,
        "out([sm.get_resource_policy(SecretId='live/db')['ResourcePolicy'], sm.describe_secret(SecretId='live/tls')['KmsKeyId']])",
    );
    let text = policy.to_string();
    assert!(
        text.contains(&format!("arn:aws:iam::{NEW}:role/app")),
        "{text}"
    );
    assert!(
        text.contains("alias/theirs") && !text.contains(OLD),
        "{text}"
    );

    let found = it.ends(0, &["verify", "move.plan", "--json"]).json();
    assert_eq!(found["Ok"].as_array().unwrap().len(), 4, "{found}");
    let blind = ["verify", "--from", "old", "--to", "new"];
    // What the policies became is by the rules too.
    it.ends(0, &[&blind[..], &RULES[..], &ACCOUNTS[..]].concat());
    it.ends(12, &[&blind[..], &RULES[..]].concat());
    let again = it.ends(0, &["apply", "move.plan", "--json"]).json();
    assert_eq!(
        (&again["Done"], &again["Same"]),
        (&Value::from(0), &Value::from(4))
    );
    let status = it.ends(0, &["status", "move.plan", "--json"]).json();
    assert_eq!(status["Counts"]["verified"], 4, "{status}");

    // The old account goes on living.
    let change = format!(
        "write(sm, 'prod/queue', vid(60), {CANARY:?}+'60')\nsm.tag_resource(SecretId='prod/db', Tags=[{{'Key': 'a', 'Value': 'b'}}])\nout(0)"
    );
    // moto's dates have whole seconds only; the id of the version tells as well.
    console(&it.moto, &it.old, &change);
    let found = it.ends(12, &["verify", "move.plan"]).text();
    assert!(found.contains("stale    prod/queue"), "{found}");
    it.ends(10, &["retire", "move.plan", "--even-if-read", "--yes"]);
    let said = it.ends(11, &["apply", "move.plan"]).text();
    assert!(said.contains("changed  prod/db"), "{said}");
    it.ends(0, &["apply", "move.plan", "--delta"]);
    it.ends(0, &["verify", "move.plan"]);
    // The label that the console uses came along.
    it.assert_moved();

    it.ends(15, &["retire", "move.plan", "--even-if-read"]);
    it.ends(0, &["retire", "move.plan", "--even-if-read", "--yes"]);
    let old = state(&it.moto, &it.old);
    for (name, secret) in old.as_object().unwrap() {
        assert_eq!(secret["deleted"], name != "dev/tmp", "{name}");
    }
    it.ends(0, &["verify", "move.plan"]);
    it.ends(0, &["apply", "move.plan"]);
    it.ends(11, &["rollback", "move.plan", "--yes"]);
    assert_eq!(serves_live(&it), 4);

    // The vault is as it was but for the files that were asked for.
    let mut now = it.desk.files();
    for file in ["move.plan", "move.md"] {
        assert!(now.remove(&it.desk.vault().join(file)).is_some());
    }
    assert!(now == vault, "the vault was written to");
    no_canary(it.desk.path(".").as_path());
    let said = it.said.borrow();
    assert!(!said.contains(CANARY), "{said}");
}

fn serves_live(it: &Move) -> usize {
    let new = state(&it.moto, &it.new);
    let live = new.as_object().unwrap().values();
    live.filter(|s| s["deleted"] == false).count()
}

/// No file below holds the canary, as it is or in base64 or hex.
fn no_canary(dir: &Path) {
    let words = [
        CANARY.to_owned(),
        data_encoding::BASE64.encode(CANARY.as_bytes()),
        data_encoding::HEXLOWER.encode(CANARY.as_bytes()),
    ];
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.metadata().unwrap().is_dir() {
            no_canary(&entry.path());
            continue;
        }
        let bytes = std::fs::read(entry.path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for word in &words {
            assert!(!text.contains(word.as_str()), "{}", entry.path().display());
        }
    }
}

#[test]
fn another_region_history_and_a_roll_back() {
    let Some(it) = Move::new() else {
        return;
    };
    it.ends(
        0,
        &[
            &["plan", "old", "new", "-o", "one.plan", "--history"],
            &RULES[..],
            &ACCOUNTS[..],
        ]
        .concat(),
    );
    it.ends(0, &["apply", "one.plan"]);
    it.ends(0, &["verify", "one.plan"]);
    // The first version of prod/db has no label any more.
    let first = console(
        &it.moto,
        &it.new,
        "out(sm.get_secret_value(SecretId='live/db', VersionId=vid(1))['SecretString'])",
    );
    assert_eq!(first, format!("{CANARY}1"));
    let live = state(&it.moto, &it.new);
    assert_eq!(live["live/db"]["stages"].as_object().unwrap().len(), 3);

    // On to another Region of the same account, and back.
    it.ends(
        0,
        &[
            "plan",
            "new",
            "far",
            "-o",
            "two.plan",
            "--kms",
            "alias/theirs=default",
        ],
    );
    it.ends(0, &["apply", "two.plan"]);
    it.ends(0, &["verify", "two.plan"]);
    let far = "sm = boto3.client('secretsmanager', endpoint_url=URL, region_name='us-east-1')\nout(state(sm))";
    let there = console(&it.moto, &it.new, far);
    assert_eq!(there["live/db"], live["live/db"]);
    it.ends(15, &["rollback", "two.plan"]);
    it.ends(0, &["rollback", "two.plan", "--yes"]);
    let there = console(&it.moto, &it.new, far);
    assert!(
        there
            .as_object()
            .unwrap()
            .values()
            .all(|s| s["deleted"] == true),
        "{there}"
    );
    assert_eq!(state(&it.moto, &it.new), live);
    // Tried again, the names are taken back by --restore only.
    let kms = "alias/theirs=alias/aws/secretsmanager";
    let said = it.ends(0, &["plan", "new", "far", "--kms", kms]).text();
    assert!(
        said.contains("--restore") && said.contains("4 blocked"),
        "{said}"
    );
    it.ends(
        0,
        &[
            "plan",
            "new",
            "far",
            "--kms",
            kms,
            "--restore",
            "-o",
            "three.plan",
        ],
    );
    it.ends(0, &["apply", "three.plan"]);
    it.ends(0, &["verify", "three.plan"]);
}

#[test]
fn plans_are_held_to_their_vault_accounts_and_words() {
    let Some(it) = Move::new() else {
        return;
    };
    it.plan();
    let path = it.desk.vault().join("move.plan");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("live/db", "live/dc", 1)).unwrap();
    it.ends(7, &["apply", "move.plan"]);
    std::fs::write(&path, &text).unwrap();
    // Another vault.
    let other = Desk::with_remote(&it.old, &it.moto.url());
    other.ends(7, &["migrate", "apply", path.to_str().unwrap()]);
    // A plan of a sync, and a migration's given to apply.
    it.desk.ok(&["plan", "old", "-o", "sync.plan"]);
    it.ends(7, &["status", "sync.plan"]);
    it.desk.ends(7, &["apply", "move.plan"]);
    it.ends(3, &["apply", "none.plan"]);

    for (code, args) in [
        (10, vec!["plan", "new", "new"]),
        (3, vec!["plan", "old", "none"]),
        (2, vec!["plan", "old", "new", "--map", "a*=b"]),
        (2, vec!["plan", "old", "new", "--tag", "aws:x=y"]),
        (2, vec!["plan", "old", "new", "--kms", "x"]),
        (2, vec!["apply", "move.plan", "--part", "3/2"]),
        (2, vec!["verify"]),
        (2, vec!["verify", "move.plan", "--map", "a=b"]),
        (
            2,
            vec!["verify", "--from", "old", "--to", "new", "--history"],
        ),
        (2, vec!["verify", "--from", "old"]),
        (8, vec!["apply", "move.plan", "--offline"]),
    ] {
        it.ends(code, &args);
    }
    // The word `new` means another account now.
    it.desk.ok(&["remote", "rm", "new", "--yes"]);
    let url = it.moto.url();
    let place = ["--region", REGION, "--endpoint", &url];
    it.desk
        .ok(&[&["remote", "add", "new", "--profile", "old"], &place[..]].concat());
    it.ends(10, &["apply", "move.plan"]);
    // A remote that is only pulled from is never written to.
    it.desk.ok(&["remote", "rm", "new", "--yes"]);
    it.desk.ok(&[
        &[
            "remote",
            "add",
            "new",
            "--profile",
            "new",
            "--direction",
            "pull",
        ],
        &place[..],
    ]
    .concat());
    it.ends(10, &["apply", "move.plan"]);
    assert_eq!(state(&it.moto, &it.new), serde_json::json!({}));
}

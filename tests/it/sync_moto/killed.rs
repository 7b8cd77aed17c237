//! The program is killed before and after every call it makes, and run again.

use std::process::Child;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::desk::{Desk, console, vid};
use crate::moto::{Keys, Moto};
use crate::proxy::{Fate, Proxy};

/// Makes accounts with these numbers, alike, in one go.
fn accounts(moto: &Moto, numbers: std::ops::Range<usize>) -> Vec<Keys> {
    let anybody = Keys {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "x".into(),
        session: String::new(),
    };
    let snippet = format!(
        r"
def client(n):
    c = boto3.client('sts', endpoint_url=URL, region_name=REGION)
    k = c.assume_role(RoleArn='arn:aws:iam::%012d:role/test' % (300000000000 + n), RoleSessionName='tests')['Credentials']
    k = [k['AccessKeyId'], k['SecretAccessKey'], k['SessionToken']]
    return k, boto3.client('secretsmanager', endpoint_url=URL, region_name=REGION, aws_access_key_id=k[0], aws_secret_access_key=k[1], aws_session_token=k[2])
all = []
for n in range({}, {}):
    k, sm = client(n)
    for i, name in enumerate(['push', 'label', 'text', 'delete', 'pull']):
        sm.create_secret(Name=name, SecretString=name + ' 1', ClientRequestToken=vid(i + 1))
    all.append(k)
out(all)
",
        numbers.start, numbers.end
    );
    let made = console(moto, &anybody, &snippet);
    let text = |k: &Value, n: usize| k[n].as_str().unwrap().to_owned();
    let all = made.as_array().unwrap().iter();
    all.map(|k| Keys {
        id: text(k, 0),
        secret: text(k, 1),
        session: text(k, 2),
    })
    .collect()
}

/// The same edits over there in every account, in one go.
fn console_edits(moto: &Moto, all: &[Keys]) {
    each(
        moto,
        all,
        r"
sm.put_secret_value(SecretId='pull', SecretString='pull 2', ClientRequestToken=vid(21))
sm.put_secret_value(SecretId='pull', SecretString='pull next', ClientRequestToken=vid(22), VersionStages=['blue'])
sm.create_secret(Name='fresh', SecretBinary=bytes([255, 0]), ClientRequestToken=vid(23))
",
    );
}

fn states(moto: &Moto, all: &[Keys]) -> Vec<Value> {
    let answers = each(moto, all, "answer = state(sm)");
    answers.as_array().unwrap().clone()
}

/// Runs a snippet in every account; its `answer`s come back.
fn each(moto: &Moto, all: &[Keys], snippet: &str) -> Value {
    let keys: Vec<[&str; 3]> = all
        .iter()
        .map(|k| [k.id.as_str(), k.secret.as_str(), k.session.as_str()])
        .collect();
    let snippet = snippet.replace('\n', "\n    ");
    let program = format!(
        "answers = []\nfor k in json.loads({:?}):\n    sm = boto3.client('secretsmanager', endpoint_url=URL, region_name=REGION, aws_access_key_id=k[0], aws_secret_access_key=k[1], aws_session_token=k[2])\n    answer = None\n    {snippet}\n    answers.append(answer)\nout(answers)",
        serde_json::to_string(&keys).unwrap()
    );
    console(moto, &all[0], &program)
}

/// A vault in step with its account, then edited.
fn desk(keys: &Keys, proxy: &Proxy) -> Desk {
    let desk = Desk::with_remote(keys, &proxy.url());
    desk.sync();
    desk.put(&["push", "--version-id", &vid(11)], b"push 2");
    desk.put(
        &["push", "--version-id", &vid(12), "--label", "blue"],
        b"push next",
    );
    desk.put(&["new", "--version-id", &vid(13)], b"new 1");
    desk.put(
        &[
            "text",
            "--version-id",
            &vid(14),
            "--tag",
            "team=a",
            "--description",
            "d",
        ],
        b"text 2",
    );
    desk.ok(&["label", "label", "green", "--to", &vid(2)]);
    desk.ok(&["rm", "delete"]);
    desk
}

/// The program, killed when the proxy says so. Locked while it is being started, so
/// that no call comes before there is something to kill.
fn killable(desk: &Desk, proxy: &Proxy, at: usize, after: bool) {
    let victim: Arc<Mutex<Option<Child>>> = Arc::new(Mutex::new(None));
    let mut slot = victim.lock().unwrap();
    let target = Arc::clone(&victim);
    proxy.decide(move |number, _, _| {
        let target = Arc::clone(&target);
        let kill = move || {
            let mut slot = target.lock().unwrap();
            let child = slot.as_mut().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        };
        match (number == at, after) {
            (false, _) => Fate::Pass,
            (true, true) => Fate::PassThen(Box::new(kill)),
            (true, false) => {
                kill();
                Fate::HangUp
            }
        }
    });
    *slot = Some(desk.start(&["sync", "--yes"]));
    drop(slot);
    // It is not waited for under the lock: the proxy needs that to kill it.
    loop {
        let mut slot = victim.lock().unwrap();
        if slot.as_mut().unwrap().try_wait().unwrap().is_some() {
            break;
        }
        drop(slot);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn killed_before_or_after_any_call_and_run_again_it_ends_where_it_should() {
    let Some(moto) = Moto::start() else {
        return;
    };
    let proxy = Proxy::start(&moto.url());
    // One account to learn how many calls there are.
    let first = accounts(&moto, 0..1);
    let undisturbed = desk(&first[0], &proxy);
    console_edits(&moto, &first);
    proxy.pass();
    undisturbed.sync();
    let calls = proxy.count();
    assert!(calls >= 15, "only {calls} calls: {:?}", proxy.operations());
    let there = states(&moto, &first).remove(0);
    let here = undisturbed.dump();
    undisturbed.assert_quiet();

    let all = accounts(&moto, 1..calls * 2 + 1);
    let desks: Vec<Desk> = all.iter().map(|keys| desk(keys, &proxy)).collect();
    console_edits(&moto, &all);
    for (n, desk) in desks.iter().enumerate() {
        killable(desk, &proxy, n / 2, n % 2 == 1);
        proxy.pass();
        // Once more, as the message after an interruption says.
        desk.sync();
    }
    for (n, (desk, account)) in desks.iter().zip(states(&moto, &all)).enumerate() {
        let when = if n % 2 == 1 { "after" } else { "before" };
        let context = format!("killed {when} call {}", n / 2);
        assert_eq!(account, there, "{context}");
        assert_eq!(desk.dump(), here, "{context}");
        desk.assert_quiet();
    }
    println!("killed at {} points over {calls} calls", all.len());
}

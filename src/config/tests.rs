use super::*;
use crate::model::{Extras, FieldKind};

const ID: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

fn full() -> Config {
    let mut config = Config::new(ID);
    config.git.commit = false;
    config.recovery_window = 7;
    config.max_delete = MaxDelete {
        count: 3,
        percent: 50,
    };
    for name in ["prod", "a-1_b"] {
        let name: RemoteName = name.parse().unwrap();
        let remote = RemoteConfig {
            name: name.clone(),
            region: "us-gov-west-1".into(),
            account: Some("123456789012".into()),
            profile: Some("my \"profile\"".into()),
            role_arn: Some("arn:aws:iam::123456789012:role/x/y".into()),
            endpoint: Some("http://127.0.0.1:5000".into()),
            scope: Scope {
                map: Some(("team/".into(), String::new())),
                include: vec!["team/".into(), "b".into()],
                exclude: vec!["team/private".into()],
            },
            direction: Direction::Pull,
            on_conflict: if name.as_str() == "prod" {
                Strategy::Newest
            } else {
                Strategy::Hold
            },
            extras: Extras {
                details: name.as_str() == "prod",
                push_kms: name.as_str() == "prod",
                push_policy: name.as_str() != "prod",
                push_replicas: name.as_str() == "prod",
            },
        };
        config.remotes.insert(name, remote);
    }
    for (prefix, max_stale, on_stale) in [
        ("prod/", "24h", OnStale::Deny),
        ("", "7d", OnStale::Warn),
        ("a.b/", "30m", OnStale::Warn),
    ] {
        let max_stale = max_stale.parse().unwrap();
        let rule = Freshness {
            max_stale,
            on_stale,
        };
        config.freshness.insert(prefix.to_owned(), rule);
    }
    for (path, remote, field, on_conflict) in [
        ("prod/", None, None, Strategy::Ours),
        (
            "prod/",
            Some("prod"),
            Some(FieldKind::Current),
            Strategy::Theirs,
        ),
        ("", None, Some(FieldKind::Lifecycle), Strategy::Fail),
    ] {
        config.set_policy(Rule {
            path: path.into(),
            remote: remote.map(|r| r.parse().unwrap()),
            field,
            on_conflict,
        });
    }
    config
}

#[test]
fn settings_come_back_and_equal_settings_are_equal_bytes() {
    for config in [Config::new(ID), full()] {
        let text = config.emit().unwrap();
        let again = Config::parse(&text).unwrap();
        assert_eq!(again, config);
        assert_eq!(again.emit().unwrap(), text);
    }
    insta::assert_snapshot!(full().emit().unwrap(), @r#"
    format = 1
    vault_id = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90"
    recovery_window = 7

    [git]
    commit = false

    [max_delete]
    count = 3
    percent = 50

    [remote.a-1_b]
    region = "us-gov-west-1"
    account = "123456789012"
    profile = "my \"profile\""
    role_arn = "arn:aws:iam::123456789012:role/x/y"
    endpoint = "http://127.0.0.1:5000"
    direction = "pull"
    push_policy = true
    map = { local = "team/", remote = "" }
    include = ["team/", "b"]
    exclude = ["team/private"]

    [remote.prod]
    region = "us-gov-west-1"
    account = "123456789012"
    profile = "my \"profile\""
    role_arn = "arn:aws:iam::123456789012:role/x/y"
    endpoint = "http://127.0.0.1:5000"
    direction = "pull"
    on_conflict = "newest"
    details = true
    push_kms = true
    push_replicas = true
    map = { local = "team/", remote = "" }
    include = ["team/", "b"]
    exclude = ["team/private"]

    [freshness.""]
    max_stale = "7d"
    on_stale = "warn"

    [freshness."a.b/"]
    max_stale = "30m"
    on_stale = "warn"

    [freshness."prod/"]
    max_stale = "24h"
    on_stale = "deny"

    [[policy]]
    path = ""
    field = "lifecycle"
    on_conflict = "fail"

    [[policy]]
    path = "prod/"
    on_conflict = "ours"

    [[policy]]
    path = "prod/"
    remote = "prod"
    field = "current"
    on_conflict = "theirs"
    "#);
}

#[test]
fn absent_keys_have_their_defaults() {
    let text = format!("format = 1\nvault_id = \"{ID}\"\n");
    assert_eq!(Config::parse(&text).unwrap(), Config::new(ID));
}

#[test]
fn each_bad_text_is_named_with_key_and_line() {
    let base = format!("format = 1\nvault_id = \"{ID}\"\n");
    let prod = format!("{base}[remote.prod]\nregion = \"eu-central-1\"\n");
    let cases = [
        (String::new(), "line 1: format is missing"),
        (
            "format = 2\nnew = 1\n".into(),
            "format 2 needs a newer strongroom",
        ),
        ("format = 0\n".into(), "line 1: format: must be 1"),
        (
            "format = \"1\"\n".into(),
            "line 1: format: must be a whole number",
        ),
        ("format = 1\n".into(), "line 1: vault_id is missing"),
        (
            "format = 1\nvault_id = \"X\"\n".into(),
            "line 2: vault_id: must be a UUID in lower case",
        ),
        (
            format!("{base}recovery_windw = 7\n"),
            "line 3: unknown key recovery_windw, did you mean recovery_window?",
        ),
        (format!("{base}zzz = 7\n"), "line 3: unknown key zzz"),
        (
            format!("{base}recovery_window = 31\n"),
            "line 3: recovery_window: must be 7 to 30 days",
        ),
        (
            format!("{base}recovery_window = 1000\n"),
            "line 3: recovery_window: must be 7 to 30 days",
        ),
        (
            format!("{base}[freshness.\"prod/\"]\non_stale = \"warn\"\n"),
            "line 3: freshness.prod/.max_stale is missing",
        ),
        (
            format!("{base}[freshness.\"prod/\"]\nmax_stale = \"1w\"\n"),
            "line 4: freshness.prod/.max_stale: must be a number of minutes, hours or days, as in 30m, 24h or 7d",
        ),
        (
            format!("{base}[freshness.\"prod/\"]\nmax_stale = \"1d\"\non_stale = \"ask\"\n"),
            "line 5: freshness.prod/.on_stale: must be warn or deny",
        ),
        (
            format!("{base}[freshness.\"prod/\"]\nmax_stal = \"1d\"\n"),
            "line 4: unknown key freshness.prod/.max_stal, did you mean freshness.prod/.max_stale?",
        ),
        (
            format!("{base}[freshness.\"a b\"]\nmax_stale = \"1d\"\n"),
            "line 3: freshness: its tables are prefixes of secret names",
        ),
        (
            format!("{base}[git]\ncommit = 1\n"),
            "line 4: git.commit: must be true or false",
        ),
        (
            format!("{base}[git]\ncomit = true\n"),
            "line 4: unknown key git.comit, did you mean git.commit?",
        ),
        (format!("{base}git = 3\n"), "line 3: git: must be a table"),
        (
            format!("{base}[max_delete]\npercent = 101\n"),
            "line 4: max_delete.percent: must be 0 to 100",
        ),
        (
            format!("{base}[max_delete]\ncount = -1\n"),
            "line 4: max_delete.count: must be 0 or more",
        ),
        (
            format!("{base}[remote.prod]\n"),
            "line 3: remote.prod.region is missing",
        ),
        (
            format!("{base}[remote.Prod]\nregion = \"x\"\n"),
            "line 3: remote.Prod: a remote's name is a lower-case letter, then lower-case letters, digits, - or _, at most 64",
        ),
        (
            format!("{base}[remote.prod]\nregion = \"mars\"\n"),
            "line 4: remote.prod.region: must be an AWS Region such as eu-central-1",
        ),
        (
            format!("{prod}regoin = \"x\"\n"),
            "line 5: unknown key remote.prod.regoin, did you mean remote.prod.region?",
        ),
        (
            format!("{prod}account = \"12345678901\"\n"),
            "line 5: remote.prod.account: must be 12 digits",
        ),
        (
            format!("{prod}account = 123456789012\n"),
            "line 5: remote.prod.account: must be a text in quotes",
        ),
        (
            format!("{prod}profile = \"\"\n"),
            "line 5: remote.prod.profile: must be the name of an AWS profile",
        ),
        (
            format!("{prod}role_arn = \"role/x\"\n"),
            "line 5: remote.prod.role_arn: must be the ARN of an IAM role (arn:aws:iam::...:role/...)",
        ),
        (
            format!("{prod}endpoint = \"ftp://x\"\n"),
            "line 5: remote.prod.endpoint: must be an http:// or https:// URL of a host, without user or password",
        ),
        (
            format!("{prod}endpoint = \"https://a:b@x\"\n"),
            "line 5: remote.prod.endpoint: must be an http:// or https:// URL of a host, without user or password",
        ),
        (
            format!("{prod}direction = \"up\"\n"),
            "line 5: remote.prod.direction: must be two-way, pull, push, mirror-out or mirror-in",
        ),
        (
            format!("{prod}map = {{ local = \"a\" }}\n"),
            "line 5: remote.prod.map.remote is missing",
        ),
        (
            format!("{prod}map = {{ local = \"a b\", remote = \"\" }}\n"),
            "line 5: remote.prod.map: must hold two prefixes of secret names",
        ),
        (
            format!("{prod}exclude = [\"a b\"]\n"),
            "line 5: remote.prod.exclude: must hold prefixes of secret names",
        ),
        (
            format!("{prod}include = [1]\n"),
            "line 5: remote.prod.include: must be a list of texts in quotes",
        ),
        (
            format!("{prod}on_conflict = \"latest\"\n"),
            "line 5: remote.prod.on_conflict: must be hold, ours, theirs, newest, interactive or fail",
        ),
        (
            format!("{base}policy = 3\n"),
            "line 3: policy: must be a list of tables, each under [[policy]]",
        ),
        (
            format!("{base}[[policy]]\npath = \"a\"\n"),
            "line 3: policy.on_conflict is missing",
        ),
        (
            format!("{base}[[policy]]\non_conflict = \"ours\"\n"),
            "line 3: policy.path is missing",
        ),
        (
            format!("{base}[[policy]]\npath = \"a\"\non_conflict = \"ours\"\nstrategy = 1\n"),
            "line 6: unknown key policy.strategy",
        ),
        (
            format!("{base}[[policy]]\npath = \"a\"\non_conflict = \"ours\"\nfield = \"kms\"\n"),
            "line 6: policy.field: must be current, label, description, tag, lifecycle, kms_key or policy",
        ),
        (
            format!("{base}[[policy]]\npath = \"a/**\"\non_conflict = \"ours\"\n"),
            "line 3: policy.path: must be a prefix of secret names",
        ),
        (
            format!("{base}[[policy]]\npath = \"a\"\non_conflict = \"ours\"\nremote = \"b\"\n"),
            "line 3: policy.remote: must be one of the vault's remotes",
        ),
        (
            format!(
                "{base}{0}{0}",
                "[[policy]]\npath = \"a\"\non_conflict = \"ours\"\n"
            ),
            "line 3: policy: has two rules about the same",
        ),
        (
            format!("{base}x\n"),
            "line 3: key with no value, expected `=`",
        ),
    ];
    for (text, expected) in cases {
        let error = Config::parse(&text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn a_syntax_error_does_not_repeat_the_line() {
    let error = Config::parse("format = 1\nprofile = s3cr3t\n").unwrap_err();
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let mut config = full();
    config.recovery_window = 31;
    assert_eq!(config.emit().unwrap_err().key, "recovery_window");
    let mut config = full();
    let remote = config.remotes.values_mut().next().unwrap();
    remote.endpoint = Some("file:///etc".into());
    assert_eq!(config.emit().unwrap_err().key, "remote.a-1_b.endpoint");
}

#[test]
fn hidden_names_are_written_where_they_are_and_never_change() {
    let plain = Config::new(ID);
    assert!(!plain.emit().unwrap().contains("hidden"));
    let mut hidden = plain.clone();
    hidden.hidden_names = true;
    let text = hidden.emit().unwrap();
    assert!(text.contains("\nhidden_names = true\n"), "{text}");
    assert_eq!(Config::parse(&text).unwrap(), hidden);
    let clash = Config::unite(&plain, &plain, &hidden).unwrap_err();
    assert_eq!(clash.what, "whether names are hidden");
    assert_eq!(Config::unite(&plain, &hidden, &hidden).unwrap(), hidden);
}

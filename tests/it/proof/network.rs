//! A bad network between the program and moto, drawn by seed (sync.md section 3.2
//! point 8): whatever it did, a clean run afterwards brings both into step, and nothing
//! is lost.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what mangles an answer takes it and gives another"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::asked_for;
use super::machine::step::Dice;
use crate::moto::Moto;
use crate::proxy::{Fate, Proxy};
use crate::sync_moto::desk::{Desk, console, serves, state, vid};

/// What may become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weather {
    DropBefore,
    DropAfter,
    Delay,
    Throttled,
    Broken500,
    Busy503,
    Duplicate,
    Truncated,
    Reset,
    TooLong,
    TooShort,
    StaleList,
    SkewedDate,
}

impl Weather {
    const ALL: [Self; 13] = [
        Self::DropBefore,
        Self::DropAfter,
        Self::Delay,
        Self::Throttled,
        Self::Broken500,
        Self::Busy503,
        Self::Duplicate,
        Self::Truncated,
        Self::Reset,
        Self::TooLong,
        Self::TooShort,
        Self::StaleList,
        Self::SkewedDate,
    ];

    fn befalls(self, operation: &str) -> bool {
        match self {
            Self::StaleList => operation == "ListSecrets",
            Self::Duplicate => !operation.is_empty() && !is_read(operation),
            _ => true,
        }
    }

    fn fate(self) -> Fate {
        match self {
            Self::DropBefore => Fate::HangUp,
            Self::DropAfter => Fate::Lose,
            Self::Delay => Fate::Late(Duration::from_millis(40)),
            Self::Throttled => Fate::Fail(400, "ThrottlingException"),
            Self::Broken500 => Fate::Fail(500, "InternalServiceError"),
            Self::Busy503 => Fate::Fail(503, "ServiceUnavailable"),
            Self::Duplicate => Fate::Twice,
            Self::Truncated => Fate::Mangle(truncated),
            Self::Reset => Fate::Reset,
            Self::TooLong => Fate::Mangle(|answer| with_length(answer, |n| n + 7)),
            Self::TooShort => Fate::Mangle(|answer| with_length(answer, |n| n / 2)),
            Self::StaleList => Fate::Stale,
            Self::SkewedDate => Fate::Mangle(skewed),
        }
    }
}

fn is_read(operation: &str) -> bool {
    ["List", "Describe", "Get", "BatchGet"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

fn halves(answer: &[u8]) -> (String, Vec<u8>) {
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(answer[..at].to_vec()).unwrap();
    (head, answer[at..].to_vec())
}

/// The head with one line changed or added.
fn with_line(head: &str, name: &str, value: &str) -> String {
    let start = format!("{name}:").to_ascii_lowercase();
    let others = head
        .trim_end()
        .lines()
        .filter(|l| !l.to_ascii_lowercase().starts_with(&start));
    let lines: Vec<&str> = others.collect();
    format!("{}\r\n{name}: {value}\r\n\r\n", lines.join("\r\n"))
}

/// Half of the JSON, and a header that agrees with it.
fn truncated(answer: Vec<u8>) -> Vec<u8> {
    let (head, body) = halves(&answer);
    let body = &body[..body.len() / 2];
    let head = with_line(&head, "Content-Length", &body.len().to_string());
    [head.as_bytes(), body].concat()
}

fn with_length(answer: Vec<u8>, length: impl Fn(usize) -> usize) -> Vec<u8> {
    let (head, body) = halves(&answer);
    let head = with_line(&head, "Content-Length", &length(body.len()).to_string());
    [head.as_bytes(), &body].concat()
}

fn skewed(answer: Vec<u8>) -> Vec<u8> {
    let (head, body) = halves(&answer);
    let head = with_line(&head, "Date", "Tue, 01 Jan 2019 00:00:00 GMT");
    [head.as_bytes(), &body].concat()
}

type Tally = BTreeMap<(Weather, String), usize>;

#[test]
fn after_any_weather_a_clean_run_brings_both_into_step() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654351");
    console(
        &moto,
        &keys,
        "for n in 'abcdef':\n    sm.create_secret(Name=n, SecretString=n+' 1', ClientRequestToken=vid(1))\nout(0)",
    );
    let proxy = Proxy::start(&moto.url());
    let desk = Desk::with_remote(&keys, &proxy.url());
    desk.sync();
    let count = asked_for().map_or(8, |n| n.max(8));
    let tally: Arc<Mutex<Tally>> = Arc::default();
    let mut all: Vec<(String, String, String)> = Vec::new();
    for seed in 0..count {
        let n = u32::try_from(seed).unwrap() * 10 + 100;
        let mut put = |name: &str, k: u32| {
            let value = format!("{name} here {seed}");
            desk.put(&[name, "--version-id", &vid(n + k)], value.as_bytes());
            all.push((name.to_owned(), vid(n + k), value));
        };
        put("a", 1);
        put("b", 2);
        put(&format!("new/{seed}"), 3);
        desk.ok(&["tag", "c", &format!("k=v{seed}")]);
        let script = format!(
            "write(sm, 'd', vid({}), 'd there {seed}')\nwrite(sm, 'e', vid({}), 'e there {seed}')\nout(0)",
            n + 4,
            n + 5
        );
        console(&moto, &keys, &script);
        all.push(("d".to_owned(), vid(n + 4), format!("d there {seed}")));
        all.push(("e".to_owned(), vid(n + 5), format!("e there {seed}")));

        let dice = Mutex::new(Dice(seed ^ 0x5eed));
        let noted = Arc::clone(&tally);
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let script = Arc::clone(&log);
        proxy.decide(move |number, operation, _| {
            let mut dice = dice.lock().unwrap();
            if dice.below(4) > 0 {
                return Fate::Pass;
            }
            let fits: Vec<Weather> = Weather::ALL
                .into_iter()
                .filter(|w| w.befalls(operation))
                .collect();
            let weather = fits[dice.below(fits.len())];
            let key = (weather, operation.to_owned());
            *noted.lock().unwrap().entry(key).or_default() += 1;
            script
                .lock()
                .unwrap()
                .push(format!("{number} {operation}: {weather:?}"));
            weather.fate()
        });
        let bad = desk.run(&["sync", "--yes"]);
        let context = format!("seed {seed}: {:#?}\n{}", log.lock().unwrap(), bad.err);
        assert!((0..=15).contains(&bad.code), "{context}");
        assert!(!bad.err.contains("panicked"), "{context}");
        proxy.pass();
        let clean = desk.run(&["sync", "--yes"]);
        assert_eq!(clean.code, 0, "{context}\nthen {}", clean.err);
        let again = desk.run(&["sync", "--yes"]);
        assert!(
            again.err.contains("In step"),
            "{context}\nthen {}",
            again.err
        );

        let there = state(&moto, &keys);
        let here = |name: &str| String::from_utf8(desk.get(name)).unwrap();
        for name in ["a", "b", "d", "e"] {
            let side = if "ab".contains(name) { "here" } else { "there" };
            let value = format!("{name} {side} {seed}");
            assert_eq!(here(name), value, "{context}");
            assert_eq!(serves(&there, name), value.as_bytes(), "{context}");
        }
        assert_eq!(there["c"]["tags"]["k"], format!("v{seed}"), "{context}");
        let new = format!("new/{seed}");
        assert_eq!(serves(&there, &new), here(&new).as_bytes(), "{context}");
        for (name, version, value) in &all {
            let read = desk.get(&format!("{name}#{version}"));
            assert_eq!(read, value.as_bytes(), "{context}: {name} {version}");
        }
        desk.ok(&["fsck"]);
    }
    let tally = tally.lock().unwrap();
    let mut kinds: BTreeMap<Weather, usize> = BTreeMap::new();
    for ((weather, _), n) in tally.iter() {
        *kinds.entry(*weather).or_default() += n;
    }
    println!(
        "{count} seeds, {} faults: {kinds:?}",
        kinds.values().sum::<usize>()
    );
    for ((weather, operation), n) in tally.iter() {
        println!("{weather:?} of {operation}: {n}");
    }
    assert!(kinds.len() > 9, "{kinds:?}");
}

//! One list of AWS's rules, held against everything that stands in for AWS: the model
//! in memory, moto, and strongroom's own endpoint.
//!
//! What a scenario expects is what AWS does (aws.md). Where a backend does something
//! else, that is in the table of differences, which holds in both directions: a
//! difference that is not in it fails the test, and so does one that vanishes.

mod backends;
mod differences;
mod runner;
mod scenarios;
mod wire;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use self::backends::{Backend, On};
use self::differences::DIFFERENCES;
use self::scenarios::SCENARIOS;

/// `scenario, line, what it does instead`.
type Found = BTreeSet<(String, String, String)>;

fn known(on: On) -> Found {
    DIFFERENCES
        .iter()
        .filter(|d| d.on == on)
        .map(|d| {
            (
                d.scenario.to_owned(),
                d.line.to_owned(),
                d.instead.to_owned(),
            )
        })
        .collect()
}

/// Plays every scenario on one backend.
async fn differences(backend: &Backend) -> Found {
    let mut found = Found::new();
    for (n, scenario) in SCENARIOS.iter().enumerate() {
        let prefix = format!("c{n:02}/");
        for line in scenario.script.lines().map(str::trim) {
            let (said, expected) = line.rsplit_once(" -> ").expect("`step -> answer`");
            let did = runner::step(backend, &prefix, said).await;
            if did != expected {
                found.insert((scenario.name.to_owned(), line.to_owned(), did));
            }
        }
    }
    found
}

async fn hold(on: On, backend: &Backend) -> String {
    let (found, known) = (differences(backend).await, known(on));
    let mut wrong = String::new();
    for (scenario, line, did) in found.difference(&known) {
        write!(
            wrong,
            "new:  {scenario}\n      {line}\n      {on:?}: {did}\n"
        )
        .unwrap();
    }
    for (scenario, line, did) in known.difference(&found) {
        write!(
            wrong,
            "gone: {scenario}\n      {line}\n      {on:?}: {did}\n"
        )
        .unwrap();
    }
    assert!(wrong.is_empty(), "differences from AWS on {on:?}:\n{wrong}");
    format!("{} scenarios, {} differences", SCENARIOS.len(), known.len())
}

#[tokio::test]
async fn the_model_does_what_aws_does() {
    println!("{}", hold(On::Model, &Backend::model()).await);
}

#[tokio::test]
async fn moto_does_what_aws_does_but_for_the_table() {
    let Some(moto) = crate::moto::Moto::shared() else {
        return;
    };
    println!("{}", hold(On::Moto, &Backend::moto(&moto).await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_endpoint_does_what_aws_does_but_for_the_table() {
    let endpoint = backends::Endpoint::open().await;
    println!("{}", hold(On::Endpoint, &endpoint.backend().await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_guard_holds_where_nothing_hides_the_endpoint() {
    let endpoint = backends::Endpoint::open().await;
    let Backend::Remote { store, .. } = endpoint.unhidden().await else {
        panic!("a connection");
    };
    use strongroom::store::{SecretStore as _, Silent, StoreError};
    let seen = store.view(&[], &Silent).await;
    assert_eq!(seen.err(), Some(StoreError::Itself));
}

#[test]
fn every_difference_is_of_a_line_that_there_is_and_every_line_has_one_meaning() {
    for scenario in &SCENARIOS {
        let lines: Vec<&str> = scenario.script.lines().map(str::trim).collect();
        let different: BTreeSet<&&str> = lines.iter().collect();
        assert_eq!(lines.len(), different.len(), "{}", scenario.name);
        assert!(!scenario.rule.is_empty());
    }
    for d in DIFFERENCES {
        let scenario = SCENARIOS.iter().find(|s| s.name == d.scenario);
        let scenario = scenario.unwrap_or_else(|| panic!("no scenario {:?}", d.scenario));
        let is_there = scenario.script.lines().any(|l| l.trim() == d.line);
        assert!(is_there, "{}: no line {:?}", d.scenario, d.line);
        assert!(!d.line.ends_with(&format!(" -> {}", d.instead)));
        assert!(!d.why.is_empty());
        assert!(d.on != On::Model, "the model has no excuse");
    }
    let names: BTreeSet<&str> = SCENARIOS.iter().map(|s| s.name).collect();
    assert_eq!(names.len(), SCENARIOS.len());
}

/// What stands before the part that the table makes.
const MADE: &str = "<!-- From here on made from tests/it/conformance by its own test. -->\n";

fn page() -> String {
    let mut page = String::from(
        "\n## The scenarios\n\n| rule | scenario | steps | model | moto | endpoint |\n|---|---|---|---|---|---|\n",
    );
    for scenario in &SCENARIOS {
        let on = |on| {
            let of = DIFFERENCES
                .iter()
                .filter(|d| d.on == on && d.scenario == scenario.name);
            match of.count() {
                0 => "as AWS".to_owned(),
                n => format!("{n} differ"),
            }
        };
        writeln!(
            page,
            "| {} | {} | {} | as AWS | {} | {} |",
            scenario.rule,
            scenario.name,
            scenario.script.lines().count(),
            on(On::Moto),
            on(On::Endpoint)
        )
        .unwrap();
    }
    for (on, title) in [
        (On::Moto, "Where moto differs"),
        (On::Endpoint, "Where the endpoint differs"),
    ] {
        let of: Vec<_> = DIFFERENCES.iter().filter(|d| d.on == on).collect();
        writeln!(page, "\n## {title}\n").unwrap();
        if of.is_empty() {
            page.push_str("Nowhere.\n");
            continue;
        }
        page.push_str("| scenario | step | AWS | here | |\n|---|---|---|---|---|\n");
        for d in of {
            let (said, expected) = d.line.rsplit_once(" -> ").expect("`step -> answer`");
            writeln!(
                page,
                "| {} | `{said}` | `{expected}` | `{}` | {} |",
                d.scenario, d.instead, d.why
            )
            .unwrap();
        }
    }
    page
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whether a page is to be written is nothing the program knows of"
)]
fn the_books_page_of_conformance_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/inside/conformance.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, there) = text.split_once(MADE).unwrap();
    let made = page();
    if std::env::var_os("STRONGROOM_WRITE_MATRIX").is_some() {
        fs::write(&path, format!("{head}{MADE}{made}")).unwrap();
    } else {
        assert!(
            there == made,
            "write it anew: STRONGROOM_WRITE_MATRIX=1 cargo test --release --test it conformance"
        );
    }
}

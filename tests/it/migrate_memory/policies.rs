//! Resource policies of a source that goes on living (sync.md section 6).

use strongroom::migrate::Outcome;
use strongroom::store::{Call, SecretStore as _};

use super::house::{House, name, outcome, run};

const OTHER: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"theirs"}]}"#;

/// A source with a policy, copied; then its policy is gone, and it has another version,
/// so that the change is seen whatever AWS does with LastChangedDate.
fn taken_off() -> (House, strongroom::migrate::Migration) {
    let house = House::furnished();
    let plan = house.moved();
    assert!(policy(&house).is_some());
    house.from.as_console_policy(&name("prod/db"), None);
    house.put("prod/db", 4, "later", &[]);
    (house, plan)
}

fn policy(house: &House) -> Option<String> {
    run(house.to.policy(&name("live/db"))).unwrap()
}

#[test]
fn a_policy_that_was_taken_off_the_source_is_taken_off_the_copy() {
    let (house, plan) = taken_off();
    let report = house.apply(&plan, true);
    assert!(report.is_complete() && report.quiet, "{report:?}");
    assert_eq!(policy(&house), None);
    assert!(house.verify(&plan).is_clean());
    assert!(house.blind(&super::house::rules()).is_clean());
    // Once, and no more.
    house.to.reset_calls();
    assert!(house.apply(&plan, true).quiet);
    assert!(!house.to.calls().contains_key(&Call::DeletePolicy));
}

#[test]
fn a_policy_that_somebody_else_put_on_the_copy_stays() {
    let (house, plan) = taken_off();
    house.to.as_console_policy(&name("live/db"), Some(OTHER));
    let report = house.apply(&plan, true);
    let Outcome::Skipped(why) = outcome(&report, "prod/db") else {
        panic!("{report:?}");
    };
    assert!(why.contains("somebody changed"), "{why}");
    assert_eq!(policy(&house).as_deref(), Some(OTHER));
    // And it is not forgotten.
    let found = house.verify(&plan);
    assert!(
        format!("{found:?}").contains("resource policy"),
        "{found:?}"
    );
    house.to.as_console_policy(&name("live/db"), None);
    assert!(house.apply(&plan, true).is_complete());
    assert!(house.verify(&plan).is_clean());
}

/// A copy that never was to have a policy may have one of its own: no call asks for it.
#[test]
fn nothing_is_taken_off_that_this_migration_never_put() {
    let house = House::furnished();
    let plan = house.moved();
    house.to.as_console_policy(&name("live/one"), Some(OTHER));
    house.put("prod/one", 12, "later", &[]);
    assert!(house.apply(&plan, true).is_complete());
    let has = run(house.to.policy(&name("live/one"))).unwrap();
    assert_eq!(has.as_deref(), Some(OTHER));
}

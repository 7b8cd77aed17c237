use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn picks(all: &[(&str, Pick)]) -> BTreeMap<KeyPath, Pick> {
    all.iter().map(|(p, w)| (p.parse().unwrap(), *w)).collect()
}

fn merged(base: &str, ours: &str, theirs: &str) -> (String, Vec<String>) {
    let base = Some(base).filter(|b| !b.is_empty());
    let done = merge_members(base, ours, theirs, &BTreeMap::new()).unwrap();
    let open = done.open.iter().map(ToString::to_string).collect();
    ((*done.text).clone(), open)
}

#[test]
fn what_one_side_changed_is_taken_by_table() {
    for (base, ours, theirs, expected) in [
        // Each side changed another member.
        (
            r#"{"a":1,"b":2}"#,
            r#"{"a":9,"b":2}"#,
            r#"{"a":1,"b":8}"#,
            r#"{"a":9,"b":8}"#,
        ),
        // Added on both sides, removed on one.
        (
            r#"{"a":1,"b":2}"#,
            r#"{"a":1,"b":2,"c":3}"#,
            r#"{"b":2,"d":4}"#,
            r#"{"b":2,"c":3,"d":4}"#,
        ),
        (
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"c":0}"#,
            r#"{"a":1,"b":3}"#,
            r#"{"b":3,"c":0}"#,
        ),
        // The last one goes, and all of them.
        (
            r#"{"a":1,"b":2}"#,
            r#"{"a":3,"b":2}"#,
            r#"{"a":1}"#,
            r#"{"a":3}"#,
        ),
        (
            r#"{"a":1,"o":{"b":2}}"#,
            r#"{"a":1,"o":{"b":2},"x":1}"#,
            r#"{}"#,
            r#"{"x":1}"#,
        ),
        // Both changed it to the same, written in another way.
        (
            r#"{"a":1}"#,
            r#"{"a":"\u00e9\n"}"#,
            r#"{ "a" : "é\u000a" }"#,
            r#"{"a":"\u00e9\n"}"#,
        ),
        // Into objects, not into arrays.
        (
            r#"{"db":{"host":"h","port":1},"l":[1]}"#,
            r#"{"db":{"host":"i","port":1},"l":[1]}"#,
            r#"{"db":{"host":"h","port":2},"l":[1,2]}"#,
            r#"{"db":{"host":"i","port":2},"l":[1,2]}"#,
        ),
        // Order, spaces and numbers of ours stay.
        (
            "{\"a\":1.0,\"b\":2,\"z\":0}",
            "{\n  \"z\": 0,\n  \"b\": 3,\n  \"a\": 1.0\n}\n",
            r#"{"a":1.0,"b":2,"z":1,"new":1e3}"#,
            "{\n  \"z\": 1,\n  \"b\": 3,\n  \"a\": 1.0,\n  \"new\": 1e3\n}\n",
        ),
        // No base: what one side alone has is taken, nothing goes.
        (
            "",
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"c":3}"#,
            r#"{"a":1,"b":2,"c":3}"#,
        ),
        (
            "[]",
            r#"{"a":{"x":1}}"#,
            r#"{"a":{"y":2}}"#,
            r#"{"a":{"x":1,"y":2}}"#,
        ),
        ("", "{}", r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(
            merged(base, ours, theirs),
            (expected.to_owned(), vec![]),
            "{ours} {theirs}"
        );
    }
}

#[test]
fn what_both_changed_is_open_and_a_pick_decides() {
    let (base, ours) = (
        r#"{"p":1,"o":{"k":1,"l":1},"r":1}"#,
        r#"{"p":2,"o":{"k":2,"l":1}}"#,
    );
    let theirs = r#"{"p":3,"o":{"k":3,"l":4},"r":5}"#;
    let (text, open) = merged(base, ours, theirs);
    assert_eq!(open, ["p", "/o/k", "r"]);
    assert_eq!(text, r#"{"p":2,"o":{"k":2,"l":4}}"#);
    let by = picks(&[("p", Pick::Theirs), ("/o", Pick::Ours), ("r", Pick::Theirs)]);
    let done = merge_members(Some(base), ours, theirs, &by).unwrap();
    assert!(done.open.is_empty());
    assert_eq!(*done.text, r#"{"p":3,"o":{"k":2,"l":4},"r":5}"#);
    // The nearer pick counts.
    let by = picks(&[
        ("/o", Pick::Ours),
        ("/o/k", Pick::Theirs),
        ("r", Pick::Ours),
    ]);
    let done = merge_members(Some(base), ours, theirs, &by).unwrap();
    assert_eq!(done.open, ["p".parse().unwrap()]);
    assert_eq!(*done.text, r#"{"p":2,"o":{"k":3,"l":4}}"#);
    // A number in another notation may mean another thing to whoever reads it.
    assert_eq!(merged(r#"{"a":0}"#, r#"{"a":1.0}"#, r#"{"a":1}"#).1, ["a"]);
}

#[test]
fn what_is_no_object_is_refused_by_side() {
    let none = BTreeMap::new();
    for bad in [
        "",
        "[1]",
        "secret",
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        "{} {}",
    ] {
        let ours = merge_members(None, bad, "{}", &none).err();
        let theirs = merge_members(None, "{}", bad, &none).err();
        assert_eq!(
            (ours, theirs),
            (Some(MergeError::Ours), Some(MergeError::Theirs)),
            "{bad}"
        );
    }
    // A bottomless value is one value, and no stack overflows.
    let deep = |end: &str| format!("{}{end}{}", "{\"a\":".repeat(6000), "}".repeat(6000));
    let (_, open) = merged(&deep("1"), &deep("2"), &deep("3"));
    assert_eq!(open.len(), 1);
}

#[test]
fn paths_are_read_as_they_are_shown() {
    for (text, keys) in [
        ("password", &["password"][..]),
        ("a.b~", &["a.b~"]),
        ("/db/password", &["db", "password"]),
        ("/~1", &["/"]),
        ("/a~1b/~0", &["a/b", "~"]),
        ("", &[""]),
    ] {
        let path: KeyPath = text.parse().unwrap();
        let expected: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
        assert_eq!(path.0, expected);
        assert_eq!(path.to_string(), text);
    }
    assert_eq!("/a~2".parse::<KeyPath>(), Err(KeyPathError));
    let hostile = KeyPath(vec!["\u{1b}[31m".to_owned()]);
    assert_eq!(hostile.to_string(), "\\u{1b}[31m");
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("\"x\"".to_owned()),
        Just("null".to_owned()),
        Just("[1,{\"a\":2}]".to_owned()),
    ];
    let inner = leaf.prop_recursive(3, 12, 3, |inner| {
        proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|all| object(&all))
    });
    proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|all| object(&all))
}

fn object(all: &BTreeMap<String, String>) -> String {
    let members: Vec<String> = all.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
    format!("{{{}}}", members.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn laws_of_the_merge(b in json(), x in json(), y in json()) {
        // Who agrees, and who did nothing.
        prop_assert_eq!(merged(&b, &x, &x), (x.clone(), vec![]));
        prop_assert_eq!(merged(&b, &b, &y), (y.clone(), vec![]));
        prop_assert_eq!(merged(&b, &x, &b), (x.clone(), vec![]));
        // The sides can be exchanged.
        let (one, open) = merged(&b, &x, &y);
        let (two, other) = merged(&b, &y, &x);
        let sorted = |mut open: Vec<String>| { open.sort(); open };
        prop_assert_eq!(sorted(open.clone()), sorted(other));
        prop_assert!(members(&one).is_some(), "{}", one);
        if open.is_empty() {
            prop_assert!(same_json(&one, &two), "{} {}", one, two);
            // Merged once is merged: either side already has it all.
            prop_assert_eq!(merged(&b, &one, &y), (one, vec![]));
        }
        // All picked for one side: nothing is open, and nothing of that side is lost.
        let all: BTreeMap<KeyPath, Pick> =
            [(KeyPath::default(), Pick::Theirs)].into_iter().collect();
        let done = merge_members(Some(&b), &x, &y, &all).unwrap();
        prop_assert!(done.open.is_empty());
        let back = [(KeyPath::default(), Pick::Ours)].into_iter().collect();
        let again = merge_members(Some(&b), &y, &x, &back).unwrap();
        prop_assert!(same_json(&done.text, &again.text));
    }
}

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Three, parts, unite};
use crate::model::{
    Attributes, Author, Change, Class, Conflict, Content, Digest, Field, Kind, Lifecycle, Origin,
    Pair, Record, RemoteBase, RemoteName, StagingLabel, Timestamp, VersionId, VersionMeta,
};
use crate::plan::{Choice, resolve};

fn id(n: u32) -> VersionId {
    format!("{n:08}-0000-4000-8000-000000000000")
        .parse()
        .unwrap()
}

fn blue() -> StagingLabel {
    "blue".parse().unwrap()
}

fn prod() -> RemoteName {
    "prod".parse().unwrap()
}

fn at(n: u32) -> Timestamp {
    Timestamp::from_secs(1_795_000_000 + i64::from(n) * 60)
}

fn meta(n: u32, parent: Option<VersionId>, origin: Origin) -> VersionMeta {
    let digest: Digest = format!("{n:064x}").parse().unwrap();
    VersionMeta {
        created: Some(at(n)),
        content: Content::Value {
            kind: Kind::String,
            digest,
        },
        parent,
        origin,
    }
}

/// What one clone does with the secret.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Put,
    /// A version under a label of the user's alone.
    PutBlue,
    /// AWSCURRENT back to AWSPREVIOUS.
    Back,
    Unblue,
    Describe(u8),
    Tag(u8),
    Delete,
    Restore,
    Gone,
    /// A sync that finds nothing new there, or pushes what is here.
    Agree,
    /// A sync that pulls a new version. The number is of the remote's, the same for all.
    Pull(u8),
    PullText(u8),
}

const OPS: [Op; 12] = [
    Op::Put,
    Op::PutBlue,
    Op::Back,
    Op::Unblue,
    Op::Describe(1),
    Op::Tag(2),
    Op::Delete,
    Op::Restore,
    Op::Gone,
    Op::Agree,
    Op::Pull(1),
    Op::PullText(1),
];

/// A clone: what it has, and the ids and dates it may give.
#[derive(Clone)]
struct Clone_ {
    record: Record,
    next: u32,
}

impl Clone_ {
    fn new() -> Self {
        let record = Record::new("prod/db".parse().unwrap());
        let mut new = Self { record, next: 1 };
        new.apply(
            &Change::Create {
                attributes: Attributes::default(),
                version: Some((id(1), meta(1, None, Origin::Local))),
            },
            Author::Here,
        );
        new.next = 2;
        new
    }

    fn apply(&mut self, change: &Change, author: Author<'_>) {
        // What the model refuses nobody could have done.
        drop(self.record.apply(change, author));
    }

    fn current(&self) -> Option<VersionId> {
        self.record.state.current().cloned()
    }

    fn put(&mut self, n: u32, label: StagingLabel, author: Author<'_>) {
        let origin = match author {
            Author::Here => Origin::Local,
            Author::From(remote) => Origin::Remote(remote.clone()),
        };
        let change = Change::AddVersion {
            id: id(n),
            meta: meta(n, self.current(), origin),
            labels: vec![label],
        };
        self.apply(&change, author);
    }

    fn agree(&mut self, changed: Timestamp) {
        let face = self.record.state.face();
        self.record.base.insert(
            prod(),
            RemoteBase {
                pair: Some(Pair {
                    arn: "arn:aws:x".into(),
                    changed: Some(changed),
                    local: face.clone(),
                    remote: face,
                }),
                ..RemoteBase::default()
            },
        );
    }

    fn attributes(&mut self, author: Author<'_>, edit: impl FnOnce(&mut Attributes)) {
        let from = self.record.state.attributes.clone();
        let mut to = from.clone();
        edit(&mut to);
        self.apply(&Change::SetAttributes { from, to }, author);
    }

    fn does(&mut self, op: Op) {
        let remote = prod();
        let there = Author::From(&remote);
        self.next += 1;
        let n = self.next;
        match op {
            Op::Put => self.put(n, StagingLabel::current(), Author::Here),
            Op::PutBlue => self.put(n, blue(), Author::Here),
            Op::Back => {
                let label = StagingLabel::current();
                let to = self.record.state.labels.get(&StagingLabel::previous());
                if let Some(to) = to.cloned() {
                    let (from, to) = (self.current(), Some(to));
                    self.apply(&Change::MoveLabel { label, from, to }, Author::Here);
                }
            }
            Op::Unblue => {
                let from = self.record.state.labels.get(&blue()).cloned();
                let (label, to) = (blue(), None);
                self.apply(&Change::MoveLabel { label, from, to }, Author::Here);
            }
            Op::Describe(k) => self.attributes(Author::Here, |a| {
                a.description = Some(format!("{n} {k}"));
            }),
            Op::Tag(k) => self.attributes(Author::Here, |a| {
                a.tags.insert(format!("k{k}"), n.to_string());
            }),
            Op::Delete => self.apply(&Change::Delete { date: Some(at(n)) }, Author::Here),
            Op::Restore => self.apply(&Change::Restore, Author::Here),
            Op::Gone => self.apply(&Change::Tombstone, Author::Here),
            Op::Agree => self.agree(at(n)),
            Op::Pull(k) => {
                let n = 90 + u32::from(k);
                self.put(n, StagingLabel::current(), there);
                self.agree(at(n));
            }
            Op::PullText(k) => {
                self.attributes(there, |a| a.description = Some(format!("pulled {k}")));
                self.agree(at(80 + u32::from(k)));
            }
        }
    }

    /// The same history, and then these steps, with ids of its own.
    fn and(&self, first_id: u32, ops: &[Op]) -> Self {
        let mut next = Self {
            record: self.record.clone(),
            next: first_id,
        };
        for op in ops {
            next.does(*op);
        }
        next
    }
}

fn three<'a>(o: &'a Record, a: &'a Record, b: &'a Record) -> Three<'a, Record> {
    Three {
        base: o,
        ours: a,
        theirs: b,
    }
}

/// What two clones disagree on, whichever is asked.
fn disputes(record: &Record) -> BTreeSet<(Field, BTreeSet<Option<String>>)> {
    let between = record.conflicts.iter().filter(|c| c.is_between_clones());
    between
        .map(|c| {
            let sides = BTreeSet::from([c.ours.clone(), c.theirs.clone()]);
            (c.field.clone(), sides)
        })
        .collect()
}

/// A record without what a dispute leaves to the side that is asked.
fn undisputed(record: &Record) -> Record {
    let mut rest = record.clone();
    rest.conflicts.clear();
    rest.state.labels.retain(|l, _| !l.is_local());
    for (field, _) in disputes(record) {
        match field {
            Field::Label(label) => {
                rest.state.labels.remove(&label);
                if label.is_current() {
                    rest.state.labels.remove(&StagingLabel::previous());
                }
                for base in rest.base.values_mut() {
                    base.intents.remove(&label);
                }
            }
            Field::Description => rest.state.attributes.description = None,
            Field::Tag(key) => {
                rest.state.attributes.tags.remove(&key);
            }
            Field::Lifecycle => {
                rest.state.lifecycle = Lifecycle::Live;
                rest.details.deleted = None;
            }
            Field::Own(_) => {}
        }
    }
    rest.base.retain(|_, base| !base.is_empty());
    rest
}

fn laws(o: &Record, a: &Record, b: &Record) -> Result<(), String> {
    let fail = |law: &str, found: &Record| {
        Err(format!(
            "{law}\no {o:#?}\na {a:#?}\nb {b:#?}\nfound {found:#?}"
        ))
    };
    let ab = unite(Some(o), a, b).map_err(|e| e.to_string())?;
    let ba = unite(Some(o), b, a).map_err(|e| e.to_string())?;
    for x in [a, b] {
        for (law, base, ours, theirs) in [
            ("(o, x, x) is x", o, x, x),
            ("(o, o, x) is x", o, o, x),
            ("(o, x, o) is x", o, x, o),
        ] {
            let found = parts(three(base, ours, theirs)).map_err(|e| e.to_string())?;
            if found != *x {
                return fail(law, &found);
            }
        }
    }
    if disputes(&ab) != disputes(&ba) || undisputed(&ab) != undisputed(&ba) {
        return Err(format!(
            "symmetry\no {o:?}\na {a:?}\nb {b:?}\nab {ab:?}\nba {ba:?}"
        ));
    }
    let has = |id: &VersionId| ab.state.versions.contains_key(id);
    if !a
        .state
        .versions
        .keys()
        .chain(b.state.versions.keys())
        .all(has)
    {
        return fail("no version is lost", &ab);
    }
    if !ab.state.labels.values().all(has) {
        return fail("labels are on versions that are there", &ab);
    }
    if ab.state.current().is_none() {
        return fail("AWSCURRENT does not vanish", &ab);
    }
    // Whoever lost is found by a label.
    for (field, sides) in disputes(&ab) {
        if let Field::Label(_) = field {
            let labelled = |id: &String| ab.state.labels.values().any(|v| v.as_str() == id);
            if !sides.iter().flatten().all(labelled) {
                return fail("the loser has a label", &ab);
            }
        }
    }
    for conflict in &ab.conflicts {
        if conflict.ours == conflict.theirs {
            return fail("a conflict has two sides", &ab);
        }
    }
    // Said once more, it says the same.
    let again = parts(three(b, &ab, b)).map_err(|e| e.to_string())?;
    if again != ab {
        return fail("again", &again);
    }
    // Two clones that have merged each other's work meet once more; git takes either
    // side for what they have in common.
    for base in [a, b] {
        let met = unite(Some(base), &ab, &ba).map_err(|e| e.to_string())?;
        if disputes(&met) != disputes(&ab) || undisputed(&met) != undisputed(&ab) {
            return fail("met again", &met);
        }
    }
    // Whatever is decided, nothing is left to decide.
    for choice in [Choice::Ours, Choice::Theirs] {
        let mut decided = ab.clone();
        let open: Vec<_> = decided.conflicts.drain(..).collect();
        for conflict in open {
            if let Err(error) = resolve(&mut decided, &conflict, &choice) {
                // A label that the other side took away from a secret that is not live.
                let dead = !decided.state.lifecycle.is_live();
                if !dead {
                    return fail(&format!("{choice:?} of {conflict}: {error}"), &decided);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn laws_hold_for_every_small_history() {
    let root = Clone_::new();
    let mut tried = 0;
    let stories = |n: usize| -> Vec<Vec<Op>> {
        let mut all: Vec<Vec<Op>> = vec![vec![]];
        let mut last = all.clone();
        for _ in 0..n {
            last = last
                .iter()
                .flat_map(|s| OPS.iter().map(|op| [s.as_slice(), &[*op]].concat()))
                .collect();
            all.extend(last.clone());
        }
        all
    };
    let two = stories(2);
    for common in [
        vec![],
        vec![Op::Agree],
        vec![Op::Put],
        vec![Op::Agree, Op::Put],
        vec![Op::Agree, Op::PutBlue, Op::Describe(1)],
        vec![Op::Pull(0), Op::Delete],
    ] {
        let o = root.and(10, &common);
        for left in &two {
            // Enough of the pairs to take a second.
            for right in two.iter().skip(tried % 23).step_by(23) {
                let (a, b) = (o.and(20, left), o.and(40, right));
                if let Err(why) = laws(&o.record, &a.record, &b.record) {
                    panic!("{common:?} {left:?} {right:?}\n{why}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let k = || 0u8..3;
    let op = prop_oneof![
        3 => Just(Op::Put),
        1 => Just(Op::PutBlue),
        2 => Just(Op::Back),
        1 => Just(Op::Unblue),
        1 => k().prop_map(Op::Describe),
        1 => k().prop_map(Op::Tag),
        1 => Just(Op::Delete),
        1 => Just(Op::Restore),
        1 => Just(Op::Gone),
        2 => Just(Op::Agree),
        2 => k().prop_map(Op::Pull),
        1 => k().prop_map(Op::PullText),
    ];
    prop::collection::vec(op, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn laws_hold_for_longer_histories(common in ops(), left in ops(), right in ops()) {
        let o = Clone_::new().and(10, &common);
        let (a, b) = (o.and(20, &left), o.and(40, &right));
        laws(&o.record, &a.record, &b.record).map_err(TestCaseError::fail)?;
    }
}

/// The two sides after a common story, and what becomes of them.
fn merged(common: &[Op], left: &[Op], right: &[Op]) -> (Record, Record, Record) {
    let o = Clone_::new().and(10, common);
    let (a, b) = (o.and(20, left), o.and(40, right));
    let united = unite(Some(&o.record), &a.record, &b.record).unwrap();
    (a.record, b.record, united)
}

fn from(record: &Record) -> Option<Option<VersionId>> {
    let base = record.base.get(&prod())?;
    base.intents.get(&StagingLabel::current()).cloned()
}

#[test]
fn m1_both_pulled_the_same() {
    let (a, b, united) = merged(&[Op::Agree], &[Op::Pull(1)], &[Op::Pull(1)]);
    assert_eq!(a, b);
    assert_eq!(united, a);
}

#[test]
fn m2_the_later_pull_is_followed() {
    let (_, b, united) = merged(&[Op::Agree], &[Op::Pull(1)], &[Op::Pull(2)]);
    assert_eq!(united.state.current(), b.state.current());
    assert_eq!(united.base, b.base);
    assert!(united.conflicts.is_empty());
    let (_, b, united) = merged(&[Op::Agree], &[Op::PullText(1)], &[Op::PullText(2)]);
    assert_eq!(united.state.attributes, b.state.attributes);
    assert!(united.conflicts.is_empty(), "{united:#?}");
}

#[test]
fn m3_an_edit_keeps_its_origin_under_a_newer_base() {
    let (a, b, united) = merged(&[Op::Agree], &[Op::Pull(1), Op::Put], &[Op::Pull(2)]);
    assert_eq!(united.state.current(), a.state.current());
    assert_eq!(
        from(&united),
        Some(Some(id(91))),
        "v2, which is not on the remote"
    );
    assert_eq!(united.base[&prod()].pair, b.base[&prod()].pair);
    assert!(united.conflicts.is_empty(), "the sync asks, not the merge");
}

#[test]
fn m4_a_push_there_and_an_edit_here() {
    let (a, b, united) = merged(&[Op::Agree], &[Op::Put, Op::Agree], &[Op::Put]);
    assert_eq!(united.state.current(), b.state.current());
    assert_eq!(from(&united), Some(Some(id(1))));
    assert_eq!(united.base[&prod()].pair, a.base[&prod()].pair);
    assert!(united.conflicts.is_empty());
}

#[test]
fn m5_a_deletion_and_an_edit_are_for_a_person() {
    let (_, _, united) = merged(&[Op::Agree], &[Op::Delete, Op::Agree], &[Op::Tag(1)]);
    let [conflict] = united.conflicts.as_slice() else {
        panic!("{united:#?}");
    };
    assert_eq!(conflict.field, Field::Lifecycle);
    assert_eq!(conflict.class, Class::Clones);
    assert_eq!(conflict.ours.as_deref(), Some("scheduled"));
    assert_eq!(conflict.theirs.as_deref(), Some("live"));
    assert!(united.state.attributes.tags.contains_key("k1"), "kept");
    let mut kept = united.clone();
    kept.conflicts.clear();
    resolve(&mut kept, conflict, &Choice::Theirs).unwrap();
    assert!(kept.state.lifecycle.is_live());
    // Nothing but a deletion: nobody is asked.
    let (a, _, united) = merged(&[Op::Agree], &[Op::Delete], &[]);
    assert_eq!(united, a);
}

#[test]
fn m6_the_loser_of_a_push_holds_a_recorded_conflict() {
    let o = Clone_::new().and(10, &[Op::Agree]);
    let a = o.and(20, &[Op::Put, Op::Agree]);
    let mut b = o.and(40, &[Op::Put]);
    b.record.conflicts.push(Conflict {
        remote: prod(),
        field: Field::Label(StagingLabel::current()),
        class: Class::Edit,
        base: Some(id(1).as_str().into()),
        ours: b.current().map(|id| id.as_str().into()),
        theirs: a.current().map(|id| id.as_str().into()),
    });
    let united = unite(Some(&o.record), &a.record, &b.record).unwrap();
    assert_eq!(united.state.current(), b.record.state.current());
    assert_eq!(united.conflicts, b.record.conflicts);
    // The one that does not get its way has nothing to ask.
    let c = o.and(60, &[Op::Agree, Op::Put, Op::Put]);
    let other = unite(Some(&o.record), &c.record, &b.record).unwrap();
    assert!(
        other.conflicts.iter().all(|c| c.class == Class::Clones),
        "{other:#?}"
    );
    // Nor has a question that an edit has left behind: it can be answered no more.
    let d = b.and(80, &[Op::Put]);
    let later = unite(Some(&o.record), &a.record, &d.record).unwrap();
    assert_eq!(later.state.current(), d.record.state.current());
    assert!(later.conflicts.is_empty(), "{later:#?}");
}

#[test]
fn two_rotations_are_a_conflict_whose_loser_is_found() {
    for common in [vec![], vec![Op::Agree]] {
        let (a, b, united) = merged(&common, &[Op::Put], &[Op::Put]);
        assert_eq!(united.state.current(), a.state.current());
        let lost = united.state.labels.iter().find(|(l, _)| l.is_local());
        assert_eq!(lost.map(|(_, id)| id), b.state.current());
        assert_eq!(united.conflicts.len(), 1);
        // Decided for the other: it is current, pushed from where both began, and lost
        // no more.
        let mut decided = united.clone();
        let conflict = decided.conflicts.remove(0);
        resolve(&mut decided, &conflict, &Choice::Theirs).unwrap();
        assert_eq!(decided.state.current(), b.state.current());
        assert_eq!(from(&decided), (!common.is_empty()).then(|| Some(id(1))));
        let labels: Vec<_> = decided
            .state
            .labels
            .iter()
            .filter(|(l, _)| l.is_local())
            .collect();
        assert_eq!(labels.len(), 1);
        assert_eq!(Some(labels[0].1), a.state.current());
    }
}

#[test]
fn what_is_made_on_top_is_followed_and_a_way_back_is_not_lost() {
    let o = Clone_::new();
    let a = o.and(20, &[Op::Put]);
    let b = a.and(40, &[Op::Put]);
    let united = unite(Some(&o.record), &a.record, &b.record).unwrap();
    assert_eq!(united.state.current(), b.record.state.current());
    assert!(united.conflicts.is_empty());
    let back = a.and(60, &[Op::Back]);
    let united = unite(Some(&a.record), &back.record, &b.record).unwrap();
    assert_eq!(united.state.current(), Some(&id(1)));
    assert_eq!(united.conflicts.len(), 1, "a person went back on purpose");
}

#[test]
fn a_first_sync_elsewhere_does_not_hide_where_an_edit_began() {
    let (_, b, united) = merged(&[], &[Op::Agree], &[Op::Put]);
    assert_eq!(united.state.current(), b.state.current());
    assert_eq!(from(&united), Some(Some(id(1))));
}

#[test]
fn an_undone_edit_that_somebody_pushed_is_asked_about_by_the_sync() {
    let (a, _, united) = merged(&[Op::Agree, Op::Put], &[Op::Agree], &[Op::Back]);
    assert_eq!(united.state.current(), Some(&id(1)));
    assert_eq!(from(&united), None, "no push: the sync finds it rewound");
    assert_eq!(united.base, a.base);
}

#[test]
fn one_name_made_twice() {
    let o = Record::new("prod/db".parse().unwrap());
    let a = Clone_::new().and(20, &[Op::Put]);
    let b = Clone_::new().and(40, &[Op::Put]);
    for base in [None, Some(&o)] {
        let united = unite(base, &a.record, &b.record).unwrap();
        assert_eq!(united.conflicts.len(), 1);
        assert_eq!(united.state.versions.len(), 3);
    }
}

/// Whatever the other clone made of the label meanwhile, and as of what the vault has.
#[test]
fn an_alarm_stays() {
    let o = Clone_::new();
    let mut alice = o.record.clone();
    let field = Field::Label(StagingLabel::current());
    alice.conflicts.push(Conflict {
        remote: prod(),
        field,
        class: Class::Integrity,
        base: None,
        ours: Some(id(1).as_str().to_owned()),
        theirs: Some(id(9).as_str().to_owned()),
    });
    let mut bob = Clone_::new();
    bob.put(4, StagingLabel::current(), Author::Here);
    for (a, b) in [(&alice, &bob.record), (&bob.record, &alice)] {
        let united = unite(Some(&o.record), a, b).unwrap();
        assert_eq!(united.state.current(), Some(&id(4)));
        let alarms: Vec<&Conflict> = united.conflicts.iter().filter(|c| c.is_alarm()).collect();
        let ours = Some(id(4).as_str().to_owned());
        assert!(
            matches!(alarms.as_slice(), [one] if one.ours == ours),
            "{alarms:?}"
        );
    }
}

#[test]
fn two_contents_of_one_id_are_refused_and_a_placeholder_gives_way() {
    let a = Clone_::new().and(20, &[Op::Put]).record;
    let mut b = a.clone();
    for other in b.state.versions.values_mut() {
        other.content = Content::Placeholder;
    }
    let united = unite(None, &a, &b).unwrap();
    assert_eq!(united.state.versions, a.state.versions);
    b.state
        .versions
        .insert(id(21), meta(7, None, Origin::Local));
    assert_eq!(
        unite(None, &a, &b),
        Err(super::UniteError::TwoContents(id(21)))
    );
    let mut other = a.clone();
    other.name = "x".parse().unwrap();
    assert!(matches!(
        unite(None, &a, &other),
        Err(super::UniteError::OtherSecret { .. })
    ));
}

#[test]
fn a_copy_of_a_version_is_the_makers() {
    let a = Clone_::new().and(20, &[Op::Put]).record;
    let mut b = a.clone();
    for copy in b.state.versions.values_mut() {
        copy.origin = Origin::Remote(prod());
        copy.parent = None;
    }
    for (ours, theirs) in [(&a, &b), (&b, &a)] {
        let united = unite(None, ours, theirs).unwrap();
        assert_eq!(united.state.versions, a.state.versions);
    }
}

#[test]
fn details_are_those_of_the_later_change() {
    let o = Clone_::new().record;
    let (mut a, mut b) = (o.clone(), o.clone());
    a.details.changed = Some(at(1));
    a.details.kms_key = Some("a".into());
    b.details.changed = Some(at(2));
    b.details.kms_key = Some("b".into());
    b.details.policy = Some("{}".into());
    a.details.replicas = BTreeMap::from([("eu-west-1".into(), None)]);
    b.details.replicas = BTreeMap::from([("us-east-1".into(), None)]);
    for (ours, theirs) in [(&a, &b), (&b, &a)] {
        let united = unite(Some(&o), ours, theirs).unwrap().details;
        assert_eq!(united.changed, Some(at(2)));
        assert_eq!(united.kms_key.as_deref(), Some("b"));
        assert_eq!(united.policy.as_deref(), Some("{}"));
        assert_eq!(united.replicas.len(), 2);
    }
}

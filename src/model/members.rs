//! The three-way merge of values that are JSON objects, member by member.
//!
//! It works on the texts: serde_json says where members begin and end, and what comes
//! out is one side's text with pieces of the other's put in. So the order, the spaces and
//! the numbers of that side stay as they were written, and no value is ever parsed into
//! anything that is not wiped.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Escaped;

/// How deep objects are looked into; what lies deeper is one value.
const DEPTH: usize = 16;

/// The place of a member: its own key, after the keys of the objects it lies in.
///
/// Written as the key alone where there is one key, else as a JSON Pointer (RFC 6901):
/// `password`, `/db/password`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<String>);

/// A text that is no place of a member: after a `/` a `~` is followed by `0` or `1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("in a path of keys, ~ is written ~0 and / is written ~1")]
pub struct KeyPathError;

impl KeyPath {
    fn below(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }

    /// Whether this place is `other` or lies in it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl FromStr for KeyPath {
    type Err = KeyPathError;

    fn from_str(text: &str) -> Result<Self, KeyPathError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Ok(Self(vec![text.to_owned()]));
        };
        let keys = rest.split('/').map(|key| {
            let mut parts = key.split('~');
            let mut plain = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                match (part.strip_prefix('0'), part.strip_prefix('1')) {
                    (Some(rest), _) => plain.extend(["~", rest]),
                    (_, Some(rest)) => plain.extend(["/", rest]),
                    _ => return Err(KeyPathError),
                }
            }
            Ok(plain)
        });
        keys.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] if !one.starts_with('/') => write!(f, "{}", Escaped(one)),
            keys => keys.iter().try_for_each(|key| {
                let key = key.replace('~', "~0").replace('/', "~1");
                write!(f, "/{}", Escaped(&key))
            }),
        }
    }
}

/// Whose value a member gets that both sides changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// That of the vault.
    Ours,
    /// That of the remote.
    Theirs,
}

/// What a merge came to.
pub struct Merged {
    /// The merged text; where a member is open, it has ours.
    pub text: Zeroizing<String>,
    /// The members that came from their side, or went because of it.
    pub taken: Vec<KeyPath>,
    /// The members that both sides changed differently and that no pick is for.
    pub open: Vec<KeyPath>,
}

/// Why two values cannot be merged by member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Ours is no JSON object, or has a key twice.
    #[error("the value here is not a JSON object with each key once")]
    Ours,
    /// Theirs is no JSON object, or has a key twice.
    #[error("the value there is not a JSON object with each key once")]
    Theirs,
}

/// Merges two JSON objects that go back to `base`, recursively; arrays and everything
/// else that is no object are taken whole. What one side alone changed is taken; a member
/// that both changed differently is for `picks` to decide, else it is open. Without a
/// base, or with one that is no object, a member that one side alone has is taken, and
/// nothing is removed.
pub fn merge_members(
    base: Option<&str>,
    ours: &str,
    theirs: &str,
    picks: &BTreeMap<KeyPath, Pick>,
) -> Result<Merged, MergeError> {
    members(ours).ok_or(MergeError::Ours)?;
    members(theirs).ok_or(MergeError::Theirs)?;
    let base = base.filter(|text| members(text).is_some());
    let mut merge = Merge {
        picks,
        taken: Vec::new(),
        open: Vec::new(),
    };
    let choice = merge.value(base, Some(ours), Some(theirs), &KeyPath::default());
    let text = match choice {
        Choice::Ours => Zeroizing::new(ours.to_owned()),
        Choice::Theirs => Zeroizing::new(theirs.to_owned()),
        Choice::Mixed(text) => text,
    };
    Ok(Merged {
        text,
        taken: merge.taken,
        open: merge.open,
    })
}

/// Whether two JSON texts say the same, whatever the order of members and the spaces.
/// Numbers are compared as they are written.
pub fn same_json(a: &str, b: &str) -> bool {
    same(a.trim(), b.trim(), 0)
}

/// One member of an object, as it is written.
struct Member<'a> {
    key: String,
    /// With its quotes.
    raw: &'a str,
    value: &'a str,
}

struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfArray;
        impl<'de> Visitor<'de> for OfArray {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(OfArray)
    }
}

/// The members of an object that has each key once.
fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let pairs: Pairs<'_> = serde_json::from_str(text).ok()?;
    let mut keys = BTreeSet::new();
    let mut all = Vec::with_capacity(pairs.0.len());
    for (raw, value) in pairs.0 {
        let key: String = serde_json::from_str(raw.get()).ok()?;
        if !keys.insert(key.clone()) {
            return None;
        }
        all.push(Member {
            key,
            raw: raw.get(),
            value: value.get(),
        });
    }
    Some(all)
}

fn find<'a>(members: &[Member<'a>], key: &str) -> Option<&'a str> {
    let found = members.iter().find(|m| m.key == key);
    found.map(|m| m.value)
}

fn same(a: &str, b: &str, depth: usize) -> bool {
    if a == b {
        return true;
    }
    match (a.as_bytes().first(), b.as_bytes().first()) {
        _ if depth >= DEPTH => false,
        (Some(b'{'), Some(b'{')) => match (members(a), members(b)) {
            (Some(a), Some(b)) => {
                a.len() == b.len()
                    && a.iter().all(|m| {
                        find(&b, &m.key).is_some_and(|other| same(m.value, other, depth + 1))
                    })
            }
            _ => false,
        },
        (Some(b'['), Some(b'[')) => {
            let items = |text| serde_json::from_str::<Items<'_>>(text);
            match (items(a), items(b)) {
                (Ok(a), Ok(b)) => {
                    a.0.len() == b.0.len()
                        && a.0
                            .iter()
                            .zip(b.0)
                            .all(|(a, b)| same(a.get(), b.get(), depth + 1))
                }
                _ => false,
            }
        }
        (Some(b'"'), Some(b'"')) => match (characters(a), characters(b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
        _ => false,
    }
}

/// The UTF-16 code units of a string between its quotes, as JSON counts them: a
/// character can be written in several ways.
fn characters(quoted: &str) -> Option<Zeroizing<Vec<u16>>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    // No more units than bytes: the buffer is never moved, and wiped as a whole.
    let mut units = Zeroizing::new(Vec::with_capacity(inner.len()));
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        let unit = match c {
            '\\' => match rest.next()? {
                'n' => 0x0a,
                't' => 0x09,
                'r' => 0x0d,
                'b' => 0x08,
                'f' => 0x0c,
                'u' => {
                    let digits = rest.as_str().get(..4)?;
                    rest = rest.as_str().get(4..)?.chars();
                    u16::from_str_radix(digits, 16).ok()?
                }
                c => u16::try_from(u32::from(c)).ok()?,
            },
            c => {
                let mut pair = [0; 2];
                units.extend_from_slice(c.encode_utf16(&mut pair));
                continue;
            }
        };
        units.push(unit);
    }
    Some(units)
}

/// What becomes of one value. `Ours` and `Theirs` may stand for its absence.
enum Choice {
    Ours,
    Theirs,
    Mixed(Zeroizing<String>),
}

struct Merge<'p> {
    picks: &'p BTreeMap<KeyPath, Pick>,
    taken: Vec<KeyPath>,
    open: Vec<KeyPath>,
}

impl Merge<'_> {
    fn value(
        &mut self,
        base: Option<&str>,
        ours: Option<&str>,
        theirs: Option<&str>,
        path: &KeyPath,
    ) -> Choice {
        let equal = |a: Option<&str>, b: Option<&str>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => same_json(a, b),
            _ => false,
        };
        // An absence counts as changed only where it is known what was there before;
        // for members of objects without a base the caller gives none, and one side's
        // absence is then equal to it.
        if equal(ours, theirs) || equal(theirs, base) {
            return Choice::Ours;
        }
        if equal(ours, base) {
            self.taken.push(path.clone());
            return Choice::Theirs;
        }
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && path.0.len() < DEPTH
            && let (Some(here), Some(there)) = (members(ours), members(theirs))
        {
            let before = base.and_then(members).unwrap_or_default();
            return Choice::Mixed(self.object(&before, ours, &here, &there, path));
        }
        let pick = self.picks.iter().rev().find(|(p, _)| path.is_within(p));
        match pick {
            Some((_, Pick::Ours)) => Choice::Ours,
            Some((_, Pick::Theirs)) => {
                self.taken.push(path.clone());
                Choice::Theirs
            }
            None => {
                self.open.push(path.clone());
                Choice::Ours
            }
        }
    }

    /// Writes ours anew with what comes from theirs.
    fn object(
        &mut self,
        before: &[Member<'_>],
        text: &str,
        ours: &[Member<'_>],
        theirs: &[Member<'_>],
        path: &KeyPath,
    ) -> Zeroizing<String> {
        let layout = Layout::of(text, ours, theirs);
        let mut parts: Vec<Part<'_>> = Vec::new();
        for (at, member) in ours.iter().enumerate() {
            let key = &member.key;
            let there = find(theirs, key);
            let choice = self.value(
                find(before, key),
                Some(member.value),
                there,
                &path.below(key),
            );
            let value = match choice {
                Choice::Ours => Value::Is(member.value),
                Choice::Theirs => match there {
                    Some(value) => Value::Is(value),
                    None => continue,
                },
                Choice::Mixed(text) => Value::Made(text),
            };
            parts.push(Part {
                before: layout.separator(at),
                key: member.raw,
                colon: layout.colon(at),
                value,
            });
        }
        for member in theirs.iter().filter(|m| find(ours, &m.key).is_none()) {
            let key = &member.key;
            let base = find(before, key);
            if let Choice::Theirs = self.value(base, None, Some(member.value), &path.below(key)) {
                parts.push(Part {
                    before: layout.last_separator(),
                    key: member.raw,
                    colon: layout.last_colon(),
                    value: Value::Is(member.value),
                });
            }
        }
        let size: usize = parts.iter().map(Part::len).sum();
        let size = size + layout.head.len() + layout.tail.len();
        // Never moved, so that no copy is left behind.
        let mut made = Zeroizing::new(String::with_capacity(size));
        made.push_str(layout.head);
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                made.push_str(part.before);
            }
            made.push_str(part.key);
            made.push_str(part.colon);
            made.push_str(part.value.as_str());
        }
        made.push_str(layout.tail);
        made
    }
}

enum Value<'a> {
    Is(&'a str),
    Made(Zeroizing<String>),
}

impl Value<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Is(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// One member of the merged text.
struct Part<'a> {
    before: &'a str,
    key: &'a str,
    colon: &'a str,
    value: Value<'a>,
}

impl Part<'_> {
    fn len(&self) -> usize {
        self.before.len() + self.key.len() + self.colon.len() + self.value.as_str().len()
    }
}

/// What stands around the members of an object.
struct Layout<'a> {
    /// Up to the first key.
    head: &'a str,
    /// From the last value on.
    tail: &'a str,
    /// Between a member and the next.
    separators: Vec<&'a str>,
    /// Between a key and its value.
    colons: Vec<&'a str>,
    /// What to write where ours has no example.
    colon: &'a str,
}

impl<'a> Layout<'a> {
    fn of(text: &'a str, ours: &[Member<'a>], theirs: &[Member<'a>]) -> Self {
        let ends = |m: &Member<'_>| (start(text, m.raw), start(text, m.value) + m.value.len());
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (head, tail) = match (ours.first(), ours.last()) {
            (Some(first), Some(last)) => (part(0, ends(first).0), part(ends(last).1, text.len())),
            _ => {
                let open = text.find('{').map_or(0, |at| at + 1);
                (part(0, open), part(open, text.len()))
            }
        };
        let separators = ours
            .windows(2)
            .filter_map(|two| match two {
                [a, b] => Some(part(ends(a).1, ends(b).0)),
                _ => None,
            })
            .collect();
        let colons = ours
            .iter()
            .map(|m| part(start(text, m.raw) + m.raw.len(), start(text, m.value)))
            .collect();
        let spaced = theirs.is_empty() || !ours.is_empty();
        Self {
            head,
            tail,
            separators,
            colons,
            colon: if spaced { ": " } else { ":" },
        }
    }

    fn separator(&self, at: usize) -> &'a str {
        let before = at.checked_sub(1).and_then(|at| self.separators.get(at));
        before.copied().unwrap_or_else(|| self.last_separator())
    }

    fn last_separator(&self) -> &'a str {
        match self.separators.last() {
            Some(separator) => separator,
            // One member on a line of its own.
            None if self.head.ends_with(['\n', ' ', '\t']) && self.head.contains('\n') => ",\n  ",
            None => ",",
        }
    }

    fn colon(&self, at: usize) -> &'a str {
        self.colons.get(at).copied().unwrap_or(self.colon)
    }

    fn last_colon(&self) -> &'a str {
        self.colons.last().copied().unwrap_or(self.colon)
    }
}

/// Where a piece of a text begins in it.
fn start(text: &str, piece: &str) -> usize {
    piece.as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

//! The search for many texts at once, in a stream.
//!
//! The first bytes of each text are looked up in a table, at every place of the stream;
//! what looks alike is compared whole. The table holds a hash of those bytes only, and
//! the texts are wiped when it goes: an automaton of a general library would leave their
//! beginnings in memory.

use std::collections::HashMap;
use std::io::{self, Read};

use zeroize::Zeroizing;

use super::Owner;
use super::needle::{Form, Needle};

/// How many bytes are looked up at most.
const ANCHOR: usize = 8;
/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 20;
/// The filter before the table has two to the power of this many bits.
const BITS: u32 = 18;

/// One place where a text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The byte in the stream, from 0.
    pub offset: u64,
    /// The line, from 1.
    pub line: u64,
    /// The byte in the line, from 1.
    pub column: u64,
    /// How the value is written there.
    pub form: Form,
    /// Whose it is; several where they have the same.
    pub owners: Vec<Owner>,
}

/// Texts that are ready to be looked for.
pub struct Table {
    needles: Vec<Needle>,
    /// The needles by the hash of their beginnings.
    heads: HashMap<u64, Vec<usize>>,
    filter: Vec<u64>,
    anchor: usize,
    longest: usize,
}

fn mix(window: u64) -> u64 {
    window.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Table {
    pub(super) fn new(needles: Vec<Needle>) -> Self {
        let shortest = needles.iter().map(|n| n.bytes.len()).min();
        let longest = needles.iter().map(|n| n.bytes.len()).max();
        let mut table = Self {
            heads: HashMap::new(),
            filter: vec![0; 1 << (BITS - 6)],
            anchor: shortest.unwrap_or(ANCHOR).clamp(1, ANCHOR),
            longest: longest.unwrap_or(1),
            needles,
        };
        for (at, needle) in table.needles.iter().enumerate() {
            let head = needle.bytes.iter().take(table.anchor);
            let window = head.fold(0_u64, |w, b| (w >> 8) | (u64::from(*b) << 56));
            let hash = mix(window);
            if let Some(word) = table.filter.get_mut(place(hash)) {
                *word |= 1 << bit(hash);
            }
            table.heads.entry(hash).or_default().push(at);
        }
        table
    }

    /// How many texts there are, in all their forms.
    pub fn len(&self) -> usize {
        self.needles.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Looks through a stream. Gives its length too.
    pub fn search(&self, mut stream: impl Read) -> io::Result<(Vec<Hit>, u64)> {
        let mut hits = Vec::new();
        let overlap = self.longest - 1;
        let mut buffer = Zeroizing::new(vec![0; CHUNK.max(4 * self.longest)]);
        let mut filled = 0;
        let mut at = Position::default();
        loop {
            let free = buffer.get_mut(filled..).unwrap_or_default();
            let read = match stream.read(free) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            filled += read;
            if read > 0 && filled < buffer.len() {
                continue;
            }
            let held = buffer.get(..filled).unwrap_or_default();
            // What may go on in the next chunk is looked at with it.
            let starts = match read {
                0 => filled,
                _ => filled - overlap,
            };
            self.chunk(held, starts, &mut at, &mut hits);
            if read == 0 {
                return Ok((hits, at.offset));
            }
            buffer.copy_within(starts..filled, 0);
            filled -= starts;
        }
    }

    /// Finds what begins among the first `starts` bytes, and moves on to there.
    fn chunk(&self, held: &[u8], starts: usize, at: &mut Position, hits: &mut Vec<Hit>) {
        let mask = u64::MAX << (64 - 8 * u32::try_from(self.anchor).unwrap_or(8));
        let mut window = 0_u64;
        let mut done = 0;
        let reach = starts.saturating_add(self.anchor - 1).min(held.len());
        // To which byte a longer text was found: what lies inside it is no news.
        let mut covered = at.covered;
        for (end, byte) in held.iter().take(reach).enumerate() {
            window = (window >> 8) | (u64::from(*byte) << 56);
            let hash = mix(window & mask);
            if self.filter.get(place(hash)).copied().unwrap_or(0) >> bit(hash) & 1 == 0 {
                continue;
            }
            let Some(start) = (end + 1).checked_sub(self.anchor) else {
                continue;
            };
            let rest = held.get(start..).unwrap_or_default();
            let alike = self.heads.get(&hash).into_iter().flatten();
            let found = alike
                .filter_map(|n| self.needles.get(*n))
                .filter(|n| rest.starts_with(&n.bytes))
                .max_by_key(|n| n.bytes.len());
            let Some(needle) = found else { continue };
            let offset = at.offset + wide(start - done);
            let last = offset + wide(needle.bytes.len());
            if last <= covered {
                continue;
            }
            covered = last;
            at.pass(held.get(done..start).unwrap_or_default());
            done = start;
            hits.push(Hit {
                offset: at.offset,
                line: at.lines + 1,
                column: at.offset - at.begin + 1,
                form: needle.form,
                owners: needle.owners.clone(),
            });
        }
        at.covered = covered;
        at.pass(held.get(done..starts).unwrap_or_default());
    }
}

/// How far a stream was looked through.
#[derive(Default)]
struct Position {
    offset: u64,
    lines: u64,
    /// Where the line begins.
    begin: u64,
    covered: u64,
}

impl Position {
    fn pass(&mut self, bytes: &[u8]) {
        let breaks = bytes.iter().filter(|b| **b == b'\n').count();
        if let Some(last) = bytes.iter().rposition(|b| *b == b'\n') {
            self.lines += wide(breaks);
            self.begin = self.offset + wide(last) + 1;
        }
        self.offset += wide(bytes.len());
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// The filter's word and bit for a hash.
fn place(hash: u64) -> usize {
    usize::try_from(hash >> (64 - BITS + 6)).unwrap_or(0)
}

fn bit(hash: u64) -> u64 {
    (hash >> (64 - BITS)) & 63
}

#[cfg(test)]
mod tests {
    use super::super::needle::{Needles, Rules};
    use super::*;
    use crate::model::SecretValue;

    fn owner(name: &str) -> Owner {
        Owner {
            name: name.parse().unwrap(),
            version: "i".repeat(32).parse().unwrap(),
            labels: Vec::new(),
            field: None,
        }
    }

    fn table(values: &[(&str, &str)]) -> Table {
        let mut needles = Needles::default();
        for (name, value) in values {
            let value = SecretValue::string(value.as_bytes().to_vec()).unwrap();
            needles.add(&owner(name), &value, &Rules::default());
        }
        needles.table()
    }

    /// A stream that gives little at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, free: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(free.len()).min(self.0.len());
            let (now, later) = self.0.split_at(n);
            free[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn said(table: &Table, text: &[u8]) -> Vec<String> {
        let (hits, length) = table.search(Drip(text, 7919)).unwrap();
        assert_eq!(length, wide(text.len()));
        let line = |h: &Hit| {
            let o = &h.owners[0];
            let field = o.field.as_deref().unwrap_or("-");
            format!(
                "{}:{} {} {field} {}",
                h.line,
                h.column,
                o.name,
                h.form.as_str()
            )
        };
        hits.iter().map(line).collect()
    }

    #[test]
    fn a_value_is_found_in_every_form_with_its_line_and_column() {
        let table = table(&[
            ("app/key", "s3cret/value \"1\""),
            (
                "db",
                r#"{"username":"app_user_1","password":"p4ss w0rd!x","on":true}"#,
            ),
        ]);
        let b64 = data_encoding::BASE64.encode(b"user:s3cret/value \"1\"");
        let text = format!(
            "a\nx = s3cret/value \"1\"\n{{\"k\":\"s3cret/value \\\"1\\\"\"}}\n?q=s3cret%2Fvalue%20%221%22\n  {b64}\n{}\napp_user_1 p4ss w0rd!x true\n",
            r#"{"username":"app_user_1","password":"p4ss w0rd!x","on":true}"#
        );
        assert_eq!(
            said(&table, text.as_bytes()),
            [
                "2:5 app/key - plain",
                "3:7 app/key - json",
                "4:4 app/key - url",
                "5:10 app/key - base64",
                // All of it, and not its member once more.
                "6:1 db - plain",
                "7:12 db password plain",
            ]
        );
    }

    #[test]
    fn what_lies_across_two_chunks_is_found_once() {
        let table = table(&[("a", "needle-in-the-hay-0123456789")]);
        for at in [0, 1, CHUNK - 30, CHUNK - 10, CHUNK, 2 * CHUNK - 3] {
            let mut text = vec![b'.'; 3 * CHUNK];
            text[at..at + 28].copy_from_slice(b"needle-in-the-hay-0123456789");
            assert_eq!(said(&table, &text), [format!("1:{} a - plain", at + 1)]);
        }
        assert_eq!(said(&table, b"needle-in-the-hay-012345678"), [""; 0]);
    }

    #[test]
    fn the_same_text_of_two_secrets_is_one_finding_with_two_owners() {
        let table = table(&[("a", "the-same-0123"), ("b", "the-same-0123")]);
        let (hits, _) = table.search(&b"the-same-0123"[..]).unwrap();
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].owners.len(), 2);
        assert!(said(&Needles::default().table(), b"anything").is_empty());
    }
}

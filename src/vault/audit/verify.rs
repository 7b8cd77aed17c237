//! Whether the log is what was written, and how far that can be said.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chain::{Chain, End, LONGEST, hash};
use super::line::Link;
use super::{AuditError, dir_error};
use crate::crypto::{Domain, KeyringKeys, Mac};

/// What a look through the whole log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// How many lines follow from one another.
    pub lines: u64,
    /// The number of the first line that is there; 0 where there is none. Above 1,
    /// somebody has removed older files.
    pub first: u64,
    /// The number of the last line.
    pub last: u64,
    /// SHA-256 of the last line, to be noted elsewhere.
    pub head: String,
    /// The seals that are right under the vault's key.
    pub seals: u64,
    /// The seals that were not checked: the vault is locked, or they are another key's.
    pub unchecked: u64,
    /// The last line that a seal vouches for; 0 where none does.
    pub sealed: u64,
    /// The first line that is not what was written, if there is one.
    pub broken: Option<Broken>,
}

/// Where the chain breaks. What follows is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl Chain {
    /// Looks through the log. `each` gets every line that is right, as text and read.
    pub(super) fn verify(
        &self,
        keys: Option<&KeyringKeys>,
        each: &mut dyn FnMut(&str, &Value),
    ) -> Result<Audited, AuditError> {
        let mut found = Audited::default();
        let mut end: Option<End> = None;
        for path in self.files()? {
            let fail = |e| dir_error(&path, "read", e);
            let mut file = BufReader::new(File::open(&path).map_err(fail)?);
            for number in 1.. {
                let mut bytes = Vec::new();
                let mut one = (&mut file).take(LONGEST);
                let read = one.read_until(b'\n', &mut bytes).map_err(fail)?;
                if read == 0 {
                    break;
                }
                let checked = self.line(&bytes, end.as_ref(), keys, &mut found);
                match checked {
                    Ok((line, value, link)) => {
                        each(line, &value);
                        end = Some(End {
                            sequence: link.sequence,
                            sealed: link.sealed,
                            hash: hash(line.as_bytes()),
                        });
                    }
                    Err(why) => {
                        found.broken = Some(broken(&path, number, why));
                        return Ok(finish(found, end));
                    }
                }
            }
        }
        Ok(finish(found, end))
    }

    fn line<'b>(
        &self,
        bytes: &'b [u8],
        end: Option<&End>,
        keys: Option<&KeyringKeys>,
        found: &mut Audited,
    ) -> Result<(&'b str, Value, Link), String> {
        let line = bytes
            .strip_suffix(b"\n")
            .ok_or("the line has no end: it was cut off, or is longer than any of ours")?;
        let line = std::str::from_utf8(line).map_err(|_| "not a line of this log")?;
        let value: Value = serde_json::from_str(line).map_err(|_| "not a line of this log")?;
        let link = Link::of(&value).ok_or("not a line of this log")?;
        let genesis = self.genesis();
        let before = match end {
            Some(end) => end,
            None if link.sequence == 1 => &genesis,
            // Older files are gone; where it begins is said, and nothing more can be.
            None => {
                found.first = link.sequence;
                return self.sealed(line, value, link, keys, found);
            }
        };
        if link.sequence != before.sequence + 1 {
            return Err(format!(
                "event {} follows event {}: events were removed, added or moved",
                link.sequence, before.sequence
            ));
        }
        if link.previous != before.hash {
            return Err(format!(
                "it does not follow from the line before: event {} was altered, or this one",
                before.sequence
            ));
        }
        let is_seal = value.get("eventType").and_then(Value::as_str) == Some("VaultSeal");
        let sealed = if is_seal {
            link.sequence
        } else {
            before.sealed
        };
        if link.sealed != sealed {
            return Err("it names another seal than the last one".to_owned());
        }
        if end.is_none() {
            found.first = 1;
        }
        self.sealed(line, value, link, keys, found)
    }

    /// Checks the mac of a line that is a seal.
    fn sealed<'b>(
        &self,
        line: &'b str,
        value: Value,
        link: Link,
        keys: Option<&KeyringKeys>,
        found: &mut Audited,
    ) -> Result<(&'b str, Value, Link), String> {
        if value.get("eventType").and_then(Value::as_str) == Some("VaultSeal") {
            let data = |key: &str| value.get("additionalEventData")?.get(key)?.as_str();
            let keys =
                keys.filter(|k| data("keyring").is_some_and(|c| c == k.commitment().to_string()));
            let said: Option<Mac> = data("mac").and_then(|mac| mac.parse().ok());
            let said = said.ok_or("a seal without a mac")?;
            let text = self.sealed_text(link.sequence, &link.previous);
            match keys.map(|keys| keys.mac(Domain::Audit, text.as_bytes())) {
                Some(Ok(mac)) if mac == said => {
                    found.seals += 1;
                    found.sealed = link.sequence;
                }
                Some(Ok(_)) => {
                    return Err(
                        "the seal's mac is wrong: lines before it were written anew, or it was"
                            .to_owned(),
                    );
                }
                Some(Err(_)) | None => found.unchecked += 1,
            }
        }
        found.lines += 1;
        Ok((line, value, link))
    }
}

fn broken(path: &Path, line: usize, why: String) -> Broken {
    Broken {
        path: path.to_owned(),
        line,
        why,
    }
}

fn finish(mut found: Audited, end: Option<End>) -> Audited {
    if let Some(end) = end {
        found.last = end.sequence;
        found.head = end.hash;
    }
    found
}

//! One secret's metadata file: a [`Record`] as canonical TOML and back (book,
//! formats/metadata). Pure.
//!
//! Equal records are equal bytes: keys and tables have one order, texts one
//! spelling, and a text that is not exactly what [`emit`] would write is refused.
//! So two laptops that record the same thing write the same file.

use std::collections::BTreeMap;

use crate::config::{entry, line};
use crate::crypto::{Domain, KeyringKeys, KeysError, Mac, MacError};
use crate::model::{
    Conflict, Content, Details, Face, Field, Lifecycle, Origin, Record, RemoteBase, SecretName,
    StagingLabel, Timestamp, VersionId, VersionMeta,
};

use super::keychain::Keychain;
use super::layout::{self, PathError};
use super::raw;

/// The largest metadata file, in bytes.
pub const MAX: usize = 1 << 20;

const FORMAT: &str = "format = ";
/// In place of a path, for a text that does not lie anywhere.
pub(super) const ANYWHERE: &str = "";

/// Why a metadata file is not believed. A secret with such a file is blocked: it is
/// reported, never read and never synced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Over 1 MiB.
    #[error("the file is larger than 1 MiB")]
    TooLarge,
    /// Not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// git left both sides in the file.
    #[error("line {line}: the file has git's conflict markers")]
    ConflictMarkers {
        /// The first marker, counted from 1.
        line: usize,
    },
    /// git has two versions of it and has chosen none.
    #[error("git has not merged the file")]
    Unmerged,
    /// A format of the future.
    #[error("format {0} needs a newer strongroom")]
    NewerFormat(String),
    /// Written or altered by someone without the keyring's key.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// Not the TOML of a record.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What the parser says, escaped, without the source line.
        message: String,
    },
    /// A text that is not what its key holds.
    #[error("{key} is malformed")]
    Malformed {
        /// The key.
        key: &'static str,
    },
    /// It says a record, in another spelling than the canonical one.
    #[error("line {line}: the text is not in canonical form")]
    NotCanonical {
        /// The first line that differs, counted from 1.
        line: usize,
    },
    /// It cannot be a record.
    #[error(transparent)]
    Impossible(#[from] RecordError),
    /// It lies where another secret's file belongs.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It is hidden, and was altered, moved, or written without the vault's key.
    #[error("the hidden text was altered, moved, or written without the vault's key")]
    Hidden,
    /// A text that anybody can read, where all are hidden.
    #[error("it is not hidden, as every text of this vault is")]
    NotHidden,
    /// It is hidden, and nobody holds the keys.
    #[error("its name is hidden while the vault is locked")]
    Locked,
    /// It is under the keys of a keyring that is not open: nothing is known of it.
    #[error("no access: it is in keyring {keyring}")]
    Closed {
        /// The secret whose it says it is.
        name: SecretName,
        /// The keyring that the name belongs to.
        keyring: String,
    },
}

/// The keys that metadata is verified under.
#[derive(Clone, Copy)]
pub enum Under<'k> {
    /// None: its form is looked at, and that is all.
    Form,
    /// These, whatever it is called.
    One(&'k KeyringKeys),
    /// Those of the keyring that its name belongs to.
    Each(&'k Keychain),
}

impl<'k> Under<'k> {
    /// The keys for a text that says of itself whose it is. Which keys these are proves
    /// nothing; that they fit does.
    fn keys(self, body: &str) -> Result<Option<&'k KeyringKeys>, MetaError> {
        let chain = match self {
            Self::Form => return Ok(None),
            Self::One(keys) => return Ok(Some(keys)),
            Self::Each(chain) if chain.is_alone() => return Ok(Some(chain.default_keys())),
            Self::Each(chain) => chain,
        };
        let Some(name) = said_name(body) else {
            return Ok(Some(chain.default_keys()));
        };
        match chain.route(&name) {
            (_, Some(keys)) => Ok(Some(keys)),
            (keyring, None) => {
                let keyring = keyring.to_owned();
                Err(MetaError::Closed { name, keyring })
            }
        }
    }
}

impl<'k> From<Option<&'k KeyringKeys>> for Under<'k> {
    fn from(keys: Option<&'k KeyringKeys>) -> Self {
        keys.map_or(Self::Form, Self::One)
    }
}

/// The name that a text in canonical form says: its second line.
pub(super) fn said_name(body: &str) -> Option<SecretName> {
    let line = body.lines().nth(1)?.strip_prefix("name = \"")?;
    line.strip_suffix('"')?.parse().ok()
}

/// Why a record cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A version whose value was never read: only a remote's listing has those.
    #[error("version {0} was never read")]
    Unread(VersionId),
    /// A label on a version that the record lacks.
    #[error("label {label} is on version {version}, which the record lacks")]
    Dangling {
        /// The label.
        label: StagingLabel,
        /// The version it is on.
        version: VersionId,
    },
    /// A moment outside the years that RFC 3339 can write.
    #[error("a time cannot be written as RFC 3339")]
    Time,
    /// Over 1 MiB.
    #[error("the record is larger than 1 MiB")]
    TooLarge,
}

/// Reads a metadata file found at `path` below `secrets/`. With keys its mac is
/// verified; without, its form alone.
pub fn read<'k>(
    bytes: &[u8],
    path: &str,
    under: impl Into<Under<'k>>,
) -> Result<Record, MetaError> {
    let text = screen(bytes)?;
    let body = match under.into().keys(text) {
        Ok(Some(keys)) => keys.verify_text(Domain::Secret, text)?,
        Ok(None) => Mac::split_text(text)?.0,
        Err(closed) => return Err(without_keys(Mac::split_text(text)?.0, path, closed)),
    };
    finish(body, path)
}

/// What is wrong with the form of a text whose keys are not at hand, else that.
fn without_keys(body: &str, path: &str, closed: MetaError) -> MetaError {
    match finish(body, path) {
        Ok(_) => closed,
        Err(error) => error,
    }
}

/// The macs of metadata, each under its keys. Those of one keyring are asked for at once.
pub(super) fn macs(keys: &[&KeyringKeys], bodies: &[&[u8]]) -> Result<Vec<Mac>, KeysError> {
    let Some(first) = keys.first() else {
        return Ok(Vec::new());
    };
    if keys.iter().all(|keys| std::ptr::eq(*keys, *first)) {
        return first.macs(Domain::Secret, bodies);
    }
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, keys) in keys.iter().enumerate() {
        let group = groups.entry(keys.commitment().to_string());
        group.or_default().push(at);
    }
    let mut all: Vec<Option<Mac>> = bodies.iter().map(|_| None).collect();
    for group in groups.values() {
        let texts: Vec<&[u8]> = group
            .iter()
            .filter_map(|at| bodies.get(*at).copied())
            .collect();
        let Some(keys) = group.first().and_then(|at| keys.get(*at)) else {
            continue;
        };
        for (at, mac) in group.iter().zip(keys.macs(Domain::Secret, &texts)?) {
            if let Some(place) = all.get_mut(*at) {
                *place = Some(mac);
            }
        }
    }
    let all: Option<Vec<Mac>> = all.into_iter().collect();
    all.ok_or(KeysError::NoAnswer)
}

/// A text without its mac, the mac, its path, and the keys it is to be verified under.
type Screened<'t, 'k> = (&'t str, Mac, &'t str, Option<&'k KeyringKeys>);

/// Reads many metadata files, each with its path, and asks for all their macs at
/// once: whoever holds the keys may be another process.
pub(super) fn read_many<'a>(
    files: impl Iterator<Item = (&'a [u8], &'a str)>,
    under: Under<'_>,
) -> Result<Vec<Result<Record, MetaError>>, KeysError> {
    let split = |(bytes, path)| {
        let text = screen(bytes)?;
        let (body, mac) = Mac::split_text(text)?;
        match under.keys(body) {
            Ok(keys) => Ok((body, mac, path, keys)),
            Err(closed) => Err(without_keys(body, path, closed)),
        }
    };
    let split: Vec<Result<Screened<'_, '_>, MetaError>> = files.map(split).collect();
    let sound = || split.iter().flatten();
    let bodies: Vec<&[u8]> = sound().map(|(body, ..)| body.as_bytes()).collect();
    let keys: Vec<&KeyringKeys> = sound().filter_map(|(.., keys)| *keys).collect();
    let mut macs = macs(&keys, &bodies)?.into_iter();
    let mut judge = |(body, mac, path, keys): Screened<'_, '_>| match keys {
        None => finish(body, path),
        Some(_) if macs.next() == Some(mac) => finish(body, path),
        Some(_) => Err(MacError::Mismatch.into()),
    };
    Ok(split.into_iter().map(|file| judge(file?)).collect())
}

fn finish(body: &str, path: &str) -> Result<Record, MetaError> {
    let record = parse(body)?;
    if path != ANYWHERE {
        layout::name_of_path(path, Some(&record.name))?;
    }
    Ok(record)
}

/// The checks that come before the mac, so that each has its own answer: size, text,
/// conflict markers, format.
pub(super) fn screen(bytes: &[u8]) -> Result<&str, MetaError> {
    if bytes.len() > MAX {
        return Err(MetaError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| MetaError::NotText)?;
    if let Some(line) = conflict_marker(text) {
        return Err(MetaError::ConflictMarkers { line });
    }
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix(FORMAT) {
        Some("1") | None => Ok(text),
        Some(other) if other.bytes().all(|b| b.is_ascii_digit()) => {
            Err(MetaError::NewerFormat(other.chars().take(20).collect()))
        }
        Some(_) => Ok(text),
    }
}

/// The line of the first of git's conflict markers, counted from 1. No line of our
/// files begins so: texts are on one line, behind a key.
pub(super) fn conflict_marker(text: &str) -> Option<usize> {
    let is_marker = |line: &str| {
        ["<<<<<<<", "=======", ">>>>>>>", "|||||||"]
            .iter()
            .any(|m| line.starts_with(m))
    };
    text.lines().position(is_marker).map(|at| at + 1)
}

/// Reads what stands before the mac.
pub fn parse(body: &str) -> Result<Record, MetaError> {
    let record = raw::parse(body)?;
    let again = emit(&record)?;
    if again == body {
        return Ok(record);
    }
    let same = again
        .lines()
        .zip(body.lines())
        .take_while(|(a, b)| a == b)
        .count();
    Err(MetaError::NotCanonical { line: same + 1 })
}

/// Writes what stands before the mac. What a remote's base does not hold is left
/// out, so an empty [`RemoteBase`] leaves no trace.
pub fn emit(record: &Record) -> Result<String, RecordError> {
    check(record)?;
    let mut out = format!("{FORMAT}1\n");
    let state = &record.state;
    line("name", record.name.as_str(), &mut out);
    lifecycle(state.lifecycle, &mut out)?;
    if let Some(text) = &state.attributes.description {
        line("description", text, &mut out);
    }
    out.push('\n');
    if !state.attributes.tags.is_empty() {
        out.push_str("[tags]\n");
        for (key, value) in &state.attributes.tags {
            entry(key, value, &mut out);
        }
        out.push('\n');
    }
    if !state.labels.is_empty() {
        out.push_str("[labels]\n");
        for (label, id) in &state.labels {
            entry(label.as_str(), id.as_str(), &mut out);
        }
        out.push('\n');
    }
    details(&record.details, &mut out)?;
    for (id, meta) in &state.versions {
        version(id, meta, &mut out)?;
    }
    for (name, base) in &record.base {
        if !base.is_empty() {
            remote(name.as_str(), base, &mut out)?;
        }
    }
    let mut conflicts: Vec<&Conflict> = record.conflicts.iter().collect();
    conflicts.sort();
    conflicts.dedup();
    for found in conflicts {
        conflict(&record.name, found, &mut out);
    }
    if out.len() > MAX - 128 {
        return Err(RecordError::TooLarge);
    }
    Ok(out)
}

fn check(record: &Record) -> Result<(), RecordError> {
    let state = &record.state;
    for (label, version) in &state.labels {
        if !state.versions.contains_key(version) {
            return Err(RecordError::Dangling {
                label: label.clone(),
                version: version.clone(),
            });
        }
    }
    Ok(())
}

fn time(key: &str, at: Timestamp, out: &mut String) -> Result<(), RecordError> {
    let text = at.to_string();
    if text.parse() != Ok(at) {
        return Err(RecordError::Time);
    }
    line(key, &text, out);
    Ok(())
}

fn lifecycle(lifecycle: Lifecycle, out: &mut String) -> Result<(), RecordError> {
    line("lifecycle", lifecycle.as_str(), out);
    match lifecycle {
        Lifecycle::Scheduled { date: Some(date) } => time("delete_date", date, out),
        Lifecycle::Live | Lifecycle::Scheduled { date: None } | Lifecycle::Tombstone => Ok(()),
    }
}

fn details(details: &Details, out: &mut String) -> Result<(), RecordError> {
    if details.is_empty() {
        return Ok(());
    }
    out.push_str("[details]\n");
    for (key, at) in [
        ("created", details.created),
        ("changed", details.changed),
        ("deleted", details.deleted),
    ] {
        if let Some(at) = at {
            time(key, at, out)?;
        }
    }
    for (key, text) in [("kms_key", &details.kms_key), ("policy", &details.policy)] {
        if let Some(text) = text {
            line(key, text, out);
        }
    }
    if details.untagged {
        out.push_str("untagged = true\n");
    }
    out.push('\n');
    if let Some(rotation) = &details.rotation {
        out.push_str("[details.rotation]\n");
        out.push_str(&format!("enabled = {}\n", rotation.enabled));
        if let Some(text) = &rotation.function {
            line("function", text, out);
        }
        if let Some(days) = rotation.after_days {
            out.push_str(&format!("after_days = {days}\n"));
        }
        for (key, text) in [
            ("schedule", &rotation.schedule),
            ("duration", &rotation.duration),
        ] {
            if let Some(text) = text {
                line(key, text, out);
            }
        }
        if let Some(at) = rotation.rotated {
            time("rotated", at, out)?;
        }
        out.push('\n');
    }
    for (region, key) in &details.replicas {
        out.push_str("[[details.replica]]\n");
        line("region", region, out);
        if let Some(key) = key {
            line("kms_key", key, out);
        }
        out.push('\n');
    }
    Ok(())
}

fn version(id: &VersionId, meta: &VersionMeta, out: &mut String) -> Result<(), RecordError> {
    out.push_str("[[version]]\n");
    line("id", id.as_str(), out);
    if let Some(created) = meta.created {
        time("created", created, out)?;
    }
    match meta.content {
        Content::Value { kind, digest } => {
            line("kind", kind.as_str(), out);
            line("digest", &digest.to_string(), out);
        }
        Content::Placeholder => line("kind", raw::PLACEHOLDER, out),
        Content::Unread => return Err(RecordError::Unread(id.clone())),
    }
    if let Some(parent) = &meta.parent {
        line("parent", parent.as_str(), out);
    }
    match &meta.origin {
        Origin::Local => line("origin", raw::LOCAL, out),
        Origin::Remote(name) => line("origin", name.as_str(), out),
    }
    out.push('\n');
    Ok(())
}

fn remote(name: &str, base: &RemoteBase, out: &mut String) -> Result<(), RecordError> {
    let path = format!("remote.{name}");
    out.push_str(&format!("[{path}]\n"));
    if let Some(pair) = &base.pair {
        line("arn", &pair.arn, out);
        if let Some(changed) = pair.changed {
            time("changed", changed, out)?;
        }
    }
    out.push('\n');
    if !base.intents.is_empty() {
        out.push_str(&format!("[{path}.intent]\n"));
        for (label, from) in &base.intents {
            let from = from.as_ref().map_or("", VersionId::as_str);
            entry(label.as_str(), from, out);
        }
        out.push('\n');
    }
    if let Some(pair) = &base.pair {
        face(&format!("{path}.base"), &pair.remote, out)?;
        if pair.local != pair.remote {
            face(&format!("{path}.local"), &pair.local, out)?;
        }
    }
    for (saw, text) in &base.seen {
        out.push_str(&format!("[[{path}.seen]]\n"));
        field(saw, out);
        if let Some(text) = text {
            line("text", text, out);
        }
        out.push('\n');
    }
    for (own, halves) in &base.own {
        out.push_str(&format!("[[{path}.own]]\n"));
        field(&Field::Own(*own), out);
        if let Some(here) = &halves.here {
            line("here", here, out);
        }
        line("there", &halves.there, out);
        out.push('\n');
    }
    Ok(())
}

fn face(path: &str, face: &Face, out: &mut String) -> Result<(), RecordError> {
    out.push_str(&format!("[{path}]\n"));
    lifecycle(face.lifecycle, out)?;
    if let Some(text) = &face.attributes.description {
        line("description", text, out);
    }
    out.push('\n');
    if !face.attributes.tags.is_empty() {
        out.push_str(&format!("[{path}.tags]\n"));
        for (key, value) in &face.attributes.tags {
            entry(key, value, out);
        }
        out.push('\n');
    }
    if !face.labels.is_empty() {
        out.push_str(&format!("[{path}.labels]\n"));
        for (label, id) in &face.labels {
            entry(label.as_str(), id.as_str(), out);
        }
        out.push('\n');
    }
    Ok(())
}

fn field(field: &Field, out: &mut String) {
    match field {
        Field::Label(label) => {
            line("field", raw::LABEL, out);
            line("key", label.as_str(), out);
        }
        Field::Description => line("field", raw::DESCRIPTION, out),
        Field::Tag(key) => {
            line("field", raw::TAG, out);
            line("key", key, out);
        }
        Field::Lifecycle => line("field", raw::LIFECYCLE, out),
        Field::Own(own) => line("field", own.as_str(), out),
    }
}

fn conflict(secret: &SecretName, conflict: &Conflict, out: &mut String) {
    out.push_str("[[conflict]]\n");
    line("id", &conflict.id(secret), out);
    line("remote", conflict.remote.as_str(), out);
    field(&conflict.field, out);
    line("class", conflict.class.as_str(), out);
    for (key, side) in [
        ("base", &conflict.base),
        ("ours", &conflict.ours),
        ("theirs", &conflict.theirs),
    ] {
        if let Some(text) = side {
            line(key, text, out);
        }
    }
    out.push('\n');
}

#[cfg(test)]
#[path = "meta_tests.rs"]
pub(super) mod tests;

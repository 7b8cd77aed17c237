//! What git left of two clones' work: each secret by [`crate::plan::unite`], the value
//! files that either side lists, the settings and the member list where nobody has to
//! be asked (design.md section 4; book, "Working with git").
//!
//! Either side is hostile until its mac is right. What cannot be merged stays as git
//! left it, is named, and is read by nobody meanwhile. `sides` finds what to merge,
//! `settings` has the two files that are no secret's, `incoming` looks at what was
//! fetched before it is checked out, `clone` is about a clone's own configuration.

mod clone;
mod incoming;
mod settings;
mod sides;

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::{Binding, Ct8, Member, open_value};
use crate::model::{Conflict, Content, Record, SecretName, Timestamp, VersionId};
use crate::plan::{divided, unite};

use super::disk::{Durable, Existing, Root, split};
use super::git::{self, Committed, Work};
use super::index::{chain, title};
use super::lock::Lock;
use super::transaction::WAIT;
use super::{SECRETS, Vault, VaultError, layout, meta, value};

pub use clone::GitSetup;
pub(super) use sides::unmerged;

use sides::{Bytes, Sides};

/// What became of one secret in a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Both sides went into it; these are new for a person to decide.
    United(Vec<Conflict>),
    /// The other side had no such file: deleted with `rm`, or moved to another name.
    Kept,
}

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Every secret that git could not merge, or merged wrongly.
    pub secrets: BTreeMap<SecretName, Merged>,
    /// Value files that git dropped and that metadata lists, brought back.
    pub restored: Vec<(SecretName, VersionId)>,
    /// The settings and member lists that were merged, by path.
    pub files: Vec<String>,
    /// What is not believed, by secret's name or path (escaped), and why.
    pub refused: BTreeMap<String, String>,
    /// Files beside the secrets that a person must merge, by path, and why.
    pub open: BTreeMap<String, String>,
    /// Paths in the same repository that git has not merged and that are not the vault's.
    pub foreign: Vec<String>,
    /// Whether git waits for the merge to be committed.
    pub waits: bool,
    /// What became of the commit, where git was at rest.
    pub git: Option<Committed>,
}

impl MergeReport {
    /// Whether nothing is left unmerged, here or elsewhere in the repository.
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty() && self.open.is_empty() && self.foreign.is_empty()
    }
}

/// The files that a vault is opened by, as git left them: with both sides in them it
/// could not be opened, so this side's stand in their place for a while.
pub struct Markers {
    root: Root,
    were: BTreeMap<String, Bytes>,
}

impl Markers {
    /// Puts this side's settings and member list in the place of those with markers.
    pub fn clear(dir: &std::path::Path) -> Result<Self, VaultError> {
        let root = Root::open(dir)?;
        let mut were = BTreeMap::new();
        for (path, ours) in sides::ours_of(&root, &settings::paths(&root)) {
            let (bytes, _) = root.read(&path, meta::MAX)?;
            if bytes != ours {
                root.write(&path, &ours, Existing::Replace, Durable::Now)?;
                were.insert(path, bytes);
            }
        }
        Ok(Self { root, were })
    }

    /// Puts back what git left, but for what is merged now.
    pub fn put_back(self, report: Option<&MergeReport>) -> Result<(), VaultError> {
        for (path, bytes) in &self.were {
            if report.is_none_or(|report| report.open.contains_key(path)) {
                self.root
                    .write(path, bytes, Existing::Replace, Durable::Now)?;
            }
        }
        Ok(())
    }
}

/// A file to be written: metadata, with the value files that must be there first.
struct Ready {
    path: String,
    bytes: Vec<u8>,
    values: Vec<(String, Vec<u8>)>,
}

impl Vault {
    /// Merges what git has left unmerged, or has merged wrongly, in the vault's work tree.
    /// `member` is needed only where both sides added members to a keyring.
    pub fn merge_git(
        &self,
        now: Timestamp,
        member: Option<&dyn Member>,
    ) -> Result<MergeReport, VaultError> {
        self.need_keys()?;
        let _lock = Lock::acquire(&self.state.lock_path(), "merge", WAIT)?;
        let work = self.work()?;
        let sides = self.git_result(Sides::of(&work))?;
        let mut report = MergeReport {
            foreign: sides.foreign.clone(),
            ..MergeReport::default()
        };
        let mut ready = Vec::new();
        let mut touched: BTreeSet<String> = BTreeSet::new();
        for path in &sides.paths {
            match self.merge_metadata(&sides, path) {
                Ok(None) => {}
                Ok(Some((name, merged, file))) => {
                    report.secrets.insert(name, merged);
                    ready.push(file);
                }
                Err(why) => {
                    report.refused.insert(title(path), why);
                }
            }
        }
        for (path, done) in settings::merge(self, &sides, member, now) {
            match done {
                Ok(files) => {
                    report.files.push(path);
                    for (path, bytes) in files {
                        let values = Vec::new();
                        ready.push(Ready {
                            path,
                            bytes,
                            values,
                        });
                    }
                }
                Err(why) => {
                    report.open.insert(path, why);
                }
            }
        }
        for (path, found) in &sides.values {
            match found {
                Some(bytes) => ready.push(Ready {
                    path: path.clone(),
                    bytes: bytes.clone(),
                    values: Vec::new(),
                }),
                None => {
                    let why = "the file has two contents, and its name fits neither".to_owned();
                    report.refused.insert(path.clone(), why);
                }
            }
        }
        for file in ready {
            // Metadata is the commit point: its values first.
            for (path, bytes) in file.values {
                self.root
                    .write(&path, &bytes, Existing::Keep, Durable::Now)?;
                touched.insert(path);
            }
            let there = self.root.read(&file.path, meta::MAX);
            if there.is_ok_and(|(bytes, _)| bytes == file.bytes) {
                touched.insert(file.path);
                continue;
            }
            let (replace, now) = (Existing::Replace, Durable::Now);
            self.root.write(&file.path, &file.bytes, replace, now)?;
            touched.insert(file.path);
        }
        let paths: Vec<String> = touched.iter().cloned().collect();
        self.git_result(work.settle(&self.root, &paths))?;
        let brought = self.bring_back(&sides, &mut report)?;
        self.git_result(work.settle(&self.root, &brought))?;
        touched.extend(brought);
        report.waits = work.repo.state() != git2::RepositoryState::Clean;
        if !report.waits && !touched.is_empty() && self.config().git.commit {
            let paths: Vec<String> = touched.into_iter().collect();
            let message = "merge: what git had merged wrongly";
            report.git = Some(git::commit(&self.root, &paths, message, now, git::PATIENCE));
        }
        Ok(report)
    }

    /// Commits a merge of git's in which nothing is unmerged any more.
    pub fn finish_merge(&self, message: &str, now: Timestamp) -> Result<String, VaultError> {
        let work = self.work()?;
        self.git_result(sides::finish(&work, message, now))
    }

    /// Makes one text of three, for git's merge driver. `path` is relative to the vault.
    pub fn merge_texts(
        &self,
        path: &str,
        base: &[u8],
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<Vec<u8>, String> {
        if let Some(path) = path.strip_prefix(SECRETS).and_then(|p| p.strip_prefix('/')) {
            return self
                .unite(path, Some(base), ours, theirs)
                .map(|(_, _, bytes)| bytes);
        }
        settings::merge_texts(self, path, base, ours, theirs)
    }

    fn work(&self) -> Result<Work, VaultError> {
        match self.git_result(Work::open(&self.root))? {
            Some(work) => Ok(work),
            None => Err(self.git_error("it is in no git work tree".to_owned())),
        }
    }

    fn git_result<T, E: std::fmt::Display>(&self, done: Result<T, E>) -> Result<T, VaultError> {
        done.map_err(|error| self.git_error(error.to_string()))
    }

    fn git_error(&self, reason: String) -> VaultError {
        VaultError::Merge {
            path: self.root.path().to_owned(),
            reason,
        }
    }

    /// One secret's metadata; `None` if it is as it should be. `path` is below `secrets/`.
    fn merge_metadata(
        &self,
        sides: &Sides<'_>,
        path: &str,
    ) -> Result<Option<(SecretName, Merged, Ready)>, String> {
        let full = format!("{SECRETS}/{path}");
        let [base, ours, theirs] = sides.three(&full)?;
        let is_unmerged = sides.unmerged.contains_key(&full);
        if !is_unmerged {
            let here = self.root.read(&full, meta::MAX).map(|(bytes, _)| bytes);
            let Ok(here) = here else {
                // git took it away cleanly, or somebody did.
                return Ok(None);
            };
            let is_side = [&ours, &theirs].into_iter().flatten().any(|b| *b == here);
            if is_side || self.read_metadata(&here, path).is_ok() {
                return Ok(None);
            }
        }
        let (record, merged, bytes) = match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                let (record, new, bytes) = self.unite(path, base.as_deref(), &ours, &theirs)?;
                (record, Merged::United(new), bytes)
            }
            (Some(one), None) | (None, Some(one)) => {
                let record = self.read_metadata(&one, path).map_err(|e| chain(&e))?;
                (record, Merged::Kept, one)
            }
            (None, None) => return Err("neither side has the file".to_owned()),
        };
        let values = self.missing_values(sides, &record)?;
        let file = Ready {
            path: full,
            bytes,
            values,
        };
        Ok(Some((record.name, merged, file)))
    }

    /// Verifies both sides and unites them; says what is new to decide.
    fn unite(
        &self,
        path: &str,
        base: Option<&[u8]>,
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<(Record, Vec<Conflict>, Vec<u8>), String> {
        let cover = self.need_keys().map_err(|e| e.to_string())?;
        let read = |bytes: &[u8]| self.read_metadata(bytes, path);
        let ours = read(ours).map_err(|e| format!("this side: {}", chain(&e)))?;
        let theirs = read(theirs).map_err(|e| format!("the other side: {}", chain(&e)))?;
        // A base that is not believed is none: then more is asked, and nothing lost.
        let base = base.and_then(|bytes| read(bytes).ok());
        let record = unite(base.as_ref(), &ours, &theirs).map_err(|e| e.to_string())?;
        let known = |c: &&Conflict| !ours.conflicts.contains(c) && !theirs.conflicts.contains(c);
        let new = divided(&record).filter(known).cloned().collect();
        let body = meta::emit(&record).map_err(|e| e.to_string())?;
        let keys = self.keys_for(&record.name).map_err(|e| e.to_string())?;
        let text = keys.seal_text(crate::crypto::Domain::Secret, body);
        let text = text.map_err(|e| chain(&e))?;
        let bytes = self.metadata_bytes(cover, &record.name, path, text);
        Ok((record, new, bytes.map_err(|e| chain(&e))?))
    }

    /// The value files of a record that are not in the work tree, from either side.
    fn missing_values(
        &self,
        sides: &Sides<'_>,
        record: &Record,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut missing = Vec::new();
        for (id, meta) in &record.state.versions {
            let paths = self.value_paths(&record.name, id);
            if !meta.has_value() || !paths.map_err(|e| chain(&e))?.is_empty() {
                continue;
            }
            match self.value_of_sides(sides, record, id) {
                Some(file) => missing.push(file),
                None => {
                    return Err(format!(
                        "no file of either side holds version {}",
                        id.short()
                    ));
                }
            }
        }
        Ok(missing)
    }

    /// A version's file in what git has, if it holds the value that the record vouches
    /// for: nothing else is written to the work tree.
    fn value_of_sides(
        &self,
        sides: &Sides<'_>,
        record: &Record,
        id: &VersionId,
    ) -> Option<(String, Bytes)> {
        let Content::Value { kind, digest } = record.state.versions.get(id)?.content else {
            return None;
        };
        let keys = self.keys_for(&record.name).ok()?;
        let config = self.config();
        let binding = Binding {
            vault: &config.vault_id,
            name: &record.name,
            version: id,
        };
        let place = self.place(&record.name).ok()?;
        let key = place.key(id);
        let stem = format!("{SECRETS}/{}", place.stem());
        let (folder, stem) = split(&stem);
        let is_it = |name: &str| {
            layout::parse_value_file(name).is_ok_and(|f| f.stem == stem && f.key == key)
        };
        sides.find(folder, is_it, value::MAX, |name, bytes| {
            let Ok(file) = layout::parse_value_file(name) else {
                return false;
            };
            let Ok(opened) = open_value(bytes, &binding, keys) else {
                return false;
            };
            file.ct8 == Ct8::of(bytes)
                && opened.value.kind() == kind
                && keys.digest(&opened.value).is_ok_and(|d| d == digest)
        })
    }

    /// Brings back the value files that metadata lists and that are gone from the work
    /// tree: where the one side reverted a change and the other built on it, git drops
    /// what only the metadata that it kept still needs.
    fn bring_back(
        &self,
        sides: &Sides<'_>,
        report: &mut MergeReport,
    ) -> Result<Vec<String>, VaultError> {
        let mut brought = Vec::new();
        for (name, id) in self.files()?.missing {
            let Some(record) = self.record(&name)? else {
                continue;
            };
            match self.value_of_sides(sides, &record, &id) {
                Some((path, bytes)) => {
                    self.root
                        .write(&path, &bytes, Existing::Keep, Durable::Now)?;
                    brought.push(path);
                    report.restored.push((name, id));
                }
                None => {
                    let why = format!("no file in git holds version {}", id.short());
                    report.refused.insert(name.to_string(), why);
                }
            }
        }
        Ok(brought)
    }
}

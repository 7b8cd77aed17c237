//! What a migration has done so far: a file of lines that only grows, in the state
//! directory.
//!
//! Everything in it can be found out again by asking the target, save one thing: that
//! a secret over there was made by this migration. So the intent to make secrets is on
//! the disk before the first of them is made, and a roll back without a journal
//! deletes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::item::Item;
use crate::model::{SecretName, StagingLabel, Timestamp, VersionId};

/// The largest journal that is read, in bytes.
const MAX: u64 = 1 << 30;

/// How far one secret has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Nothing was done.
    #[default]
    Planned,
    /// It is on the target, with one version.
    Created,
    /// All versions are there.
    Versions,
    /// All labels are.
    Labels,
    /// Description, tags and policy are: the copy is complete.
    Meta,
    /// The copy was read back and is right.
    Verified,
    /// The source is scheduled for deletion.
    Retired,
}

impl Stage {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Created => "created",
            Self::Versions => "versions",
            Self::Labels => "labels",
            Self::Meta => "copied",
            Self::Verified => "verified",
            Self::Retired => "retired",
        }
    }
}

/// What this migration has to do with there being a secret on the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Made {
    /// Nothing, as far as is known.
    #[default]
    No,
    /// The name was free, and it was about to make it.
    Intended,
    /// It made it.
    Created,
    /// It brought it back from its scheduled deletion.
    Restored,
    /// It has deleted it again.
    Removed,
}

impl Made {
    /// Whether a secret of that name over there is this migration's own.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Intended | Self::Created | Self::Restored)
    }
}

/// All that is known of one secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    pub(super) made: Made,
    /// What the copy is to be, where that is newer than the plan.
    pub(super) spec: Option<Item>,
    /// Version ids and labels that this migration ever meant the copy to have.
    pub(super) ids: BTreeSet<VersionId>,
    pub(super) labels: BTreeSet<StagingLabel>,
    /// Resource policies that it ever meant the copy to have.
    pub(super) policies: BTreeSet<String>,
    /// When it was last verified.
    pub(super) verified: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    item: String,
    stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Item>,
}

/// Why the journal was not read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {operation}", .path.display())]
pub struct JournalError {
    path: PathBuf,
    operation: &'static str,
    #[source]
    source: std::io::Error,
}

/// The journal of one plan.
pub struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    entries: BTreeMap<SecretName, Entry>,
    lost: usize,
}

impl Journal {
    /// Opens the journal of a plan below a state directory, making it if there is none.
    ///
    /// A line that is cut off or damaged is passed over: what it told is found out
    /// again.
    pub fn open(state: &Path, plan: &str) -> Result<Self, JournalError> {
        let dir = state.join("migrations");
        // The id is ours, but the file it comes from was elsewhere meanwhile.
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let stem: String = plan.chars().filter(|c| safe(*c)).take(64).collect();
        let path = dir.join(format!("{stem}.journal"));
        let fail = |operation| {
            let path = path.clone();
            move |source| JournalError {
                path,
                operation,
                source,
            }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(fail("make the directory of"))?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(fail("open"))?;
        File::open(&dir)
            .and_then(|dir| dir.sync_all())
            .map_err(fail("make durable"))?;
        let mut bytes = Vec::new();
        (&mut file)
            .take(MAX)
            .read_to_end(&mut bytes)
            .map_err(fail("read"))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut inner = Inner {
            file,
            entries: BTreeMap::new(),
            lost: 0,
        };
        for line in text.lines().filter(|line| !line.is_empty()) {
            match serde_json::from_str::<Line>(line) {
                Ok(line) => inner.enter(line),
                Err(_) => inner.lost += 1,
            }
        }
        // What follows must not be glued to half a line.
        if !text.is_empty() && !text.ends_with('\n') {
            inner.file.write_all(b"\n").map_err(fail("write"))?;
        }
        Ok(Self {
            path,
            inner: Mutex::new(inner),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many lines could not be read.
    pub fn lost(&self) -> usize {
        self.lock().lost
    }

    /// How far a secret has come, and whether its copy is this migration's own.
    pub fn stage(&self, source: &SecretName) -> (Stage, Made) {
        let entry = self.entry(source);
        (entry.stage, entry.made)
    }

    pub(super) fn entry(&self, source: &SecretName) -> Entry {
        let inner = self.lock();
        inner.entries.get(source).cloned().unwrap_or_default()
    }

    /// What the copy of a secret of the plan is to be now.
    pub(super) fn spec(&self, item: &Item) -> Item {
        let spec = self.entry(&item.source).spec;
        spec.unwrap_or_else(|| item.clone())
    }

    /// Remembers a stage.
    pub(super) fn reached(&self, source: &SecretName, stage: Stage) -> Result<(), JournalError> {
        self.write(vec![Line::new(source, stage)])
    }

    /// Remembers what became of the target's secret.
    pub(super) fn made(
        &self,
        source: &SecretName,
        stage: Stage,
        made: Made,
    ) -> Result<(), JournalError> {
        let mut line = Line::new(source, stage);
        line.made = Some(made);
        self.write(vec![line])
    }

    /// Remembers that a copy was right.
    pub(super) fn verified(&self, source: &SecretName, at: Timestamp) -> Result<(), JournalError> {
        let mut line = Line::new(source, Stage::Verified);
        line.at = Some(at.to_string());
        self.write(vec![line])
    }

    /// Remembers what copies are to be and which names are free for them, and waits
    /// for the disk.
    pub(super) fn intend(&self, items: &[(&Item, bool)]) -> Result<(), JournalError> {
        if items.is_empty() {
            return Ok(());
        }
        let lines = items.iter().map(|(item, free)| {
            let mut line = Line::new(&item.source, Stage::Planned);
            line.made = free.then_some(Made::Intended);
            line.spec = Some((*item).clone());
            line
        });
        self.write(lines.collect())?;
        self.sync()
    }

    /// Waits until all of it is on the disk.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let done = self.lock().file.sync_data();
        done.map_err(|source| self.failed("make durable", source))
    }

    fn write(&self, lines: Vec<Line>) -> Result<(), JournalError> {
        let mut text = String::new();
        for line in &lines {
            let line = serde_json::to_string(line)
                .map_err(|e| self.failed("write", std::io::Error::other(e)))?;
            text.push_str(&line);
            text.push('\n');
        }
        let mut inner = self.lock();
        // One call: two processes that append do not mix their lines.
        let done = inner.file.write_all(text.as_bytes());
        done.map_err(|source| self.failed("write", source))?;
        for line in lines {
            inner.enter(line);
        }
        Ok(())
    }

    fn failed(&self, operation: &'static str, source: std::io::Error) -> JournalError {
        JournalError {
            path: self.path.clone(),
            operation,
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(source: &SecretName, stage: Stage) -> Self {
        Self {
            item: source.as_str().to_owned(),
            stage,
            made: None,
            at: None,
            spec: None,
        }
    }
}

impl Inner {
    fn enter(&mut self, line: Line) {
        let Ok(name) = line.item.parse::<SecretName>() else {
            self.lost += 1;
            return;
        };
        let entry = self.entries.entry(name).or_default();
        entry.stage = line.stage;
        if let Some(made) = line.made {
            entry.made = made;
        }
        if let Some(at) = line.at.and_then(|at| at.parse().ok()) {
            entry.verified = Some(at);
        }
        if let Some(spec) = line.spec {
            entry.ids.extend(spec.versions.iter().map(|v| v.id.clone()));
            entry.labels.extend(spec.labels().into_keys());
            entry.policies.extend(spec.policy.clone());
            entry.spec = Some(spec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_passed_over_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let name: SecretName = "a/b".parse().unwrap();
        let journal = Journal::open(dir.path(), "id-1").unwrap();
        journal.made(&name, Stage::Created, Made::Created).unwrap();
        journal.reached(&name, Stage::Labels).unwrap();
        journal.sync().unwrap();
        let path = journal.path().to_owned();
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.len();
        bytes.extend(b"{\"item\":\"a/b\",\"stage\":\"ver");
        std::fs::write(&path, &bytes).unwrap();
        let journal = Journal::open(dir.path(), "id-1").unwrap();
        assert_eq!(journal.lost(), 1);
        assert_eq!(journal.stage(&name), (Stage::Labels, Made::Created));
        journal.reached(&name, Stage::Meta).unwrap();
        drop(journal);
        let journal = Journal::open(dir.path(), "id-1").unwrap();
        assert_eq!(journal.stage(&name), (Stage::Meta, Made::Created));
        assert_eq!(journal.lost(), 1);
        assert!(std::fs::read(&path).unwrap().len() > whole);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_plan_id_is_no_path() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), "../../x/y").unwrap();
        assert_eq!(journal.path(), dir.path().join("migrations/xy.journal"));
    }
}

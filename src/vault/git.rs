//! Commits of exactly the vault's own paths, in whatever repository it lies in.
//!
//! The tree of the new commit is HEAD's with our paths changed, so what the user has
//! staged is not swept in. Our entries are set in the index too: after a commit that
//! leaves the index stale, the user's next commit would revert it (crypto.md
//! section 4). Nothing here fails a command: the files are written already, and a
//! commit that cannot be made is reported.

use std::path::Path;
use std::time::Duration;

use git2::build::TreeUpdateBuilder;
use git2::{
    ErrorCode, FileMode, Index, IndexEntry, IndexTime, Oid, Repository, RepositoryOpenFlags,
    RepositoryState, Signature, Time,
};
use rustix::fs::Stat;

use super::disk::{DiskError, Root};
use crate::model::Timestamp;

/// How long the index may stay locked by someone else before we give up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The first nap while waiting, and the longest.
const NAPS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It was made; its id.
    Yes(String),
    /// HEAD already has all of it.
    Nothing,
    /// Git is not used here: switched off, or no repository.
    Off,
    /// The files are written and uncommitted, for this reason.
    Left(String),
}

/// Why no commit was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error("{}", .0.message().trim())]
    Git(#[from] git2::Error),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{0}")]
    Refused(String),
}

impl GitError {
    /// Whether someone else is in the way who will be gone soon: a lock file, or HEAD
    /// moved between our look at it and our commit.
    fn passes(&self) -> bool {
        match self {
            Self::Git(e) => matches!(e.code(), ErrorCode::Locked | ErrorCode::Modified),
            Self::Disk(_) | Self::Refused(_) => false,
        }
    }
}

/// One file in the state that is committed.
struct Blob {
    id: Oid,
    stat: Stat,
}

/// Commits the paths, relative to the vault's root, as they are on disk now; a path
/// without a file is removed.
pub(super) fn commit(
    root: &Root,
    paths: &[String],
    message: &str,
    now: Timestamp,
    patience: Duration,
) -> Committed {
    let (mut nap, longest) = NAPS;
    let mut left = patience;
    loop {
        // Opened anew for every try, since index and HEAD may have moved on.
        let tried = match Work::open(root) {
            Ok(Some(work)) => work.commit(root, paths, message, now),
            Ok(None) => return Committed::Off,
            Err(error) => Err(error),
        };
        match tried {
            Ok(Some(id)) => return Committed::Yes(id.to_string()),
            Ok(None) => return Committed::Nothing,
            Err(error) if error.passes() && !left.is_zero() => {
                std::thread::sleep(nap.min(left));
                left = left.saturating_sub(nap);
                nap = (nap * 2).min(longest);
            }
            Err(error) => return Committed::Left(error.to_string()),
        }
    }
}

/// Makes a repository at the root unless it lies in a work tree already.
pub(super) fn init(root: &Root) -> Result<(), String> {
    match Work::open(root) {
        Ok(Some(_)) => Ok(()),
        // The built-in template: hooks of the user's are not for a vault.
        Ok(None) => Repository::init(root.path())
            .map(drop)
            .map_err(|e| e.message().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What git is in the middle of, by the files it leaves while it is (sync.md section 4).
pub(super) fn under_way(root: &Root) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 6] = [
        ("MERGE_HEAD", "a merge"),
        ("rebase-merge", "a rebase"),
        ("rebase-apply", "a rebase"),
        ("CHERRY_PICK_HEAD", "a cherry-pick"),
        ("REVERT_HEAD", "a revert"),
        ("index.lock", "a change of its index"),
    ];
    let work = Work::open(root).ok().flatten()?;
    let dir = work.repo.path();
    let found = SIGNS.iter().find(|(file, _)| dir.join(file).exists());
    found.map(|(_, what)| *what)
}

/// The files below these paths that are not as HEAD has them, relative to the vault's
/// root, sorted. What git ignores is not among them.
pub(super) fn changed(
    root: &Root,
    below: &[&str],
    counts: impl Fn(&str) -> bool,
) -> Result<Vec<String>, String> {
    let failed = |error: GitError| error.to_string();
    let Some(work) = Work::open(root).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let mut options = git2::StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .disable_pathspec_match(true);
    for path in below {
        options.pathspec(format!("{}{path}", work.prefix));
    }
    let statuses = work.repo.statuses(Some(&mut options));
    let statuses = statuses.map_err(|error| failed(error.into()))?;
    let paths = statuses.iter().filter_map(|entry| {
        let path = entry.path().ok()?.strip_prefix(&work.prefix)?.to_owned();
        let (_, name) = super::disk::split(&path);
        let is_ours = path == super::CONFIG || name.ends_with(".toml") || name.ends_with(".age");
        (is_ours && !super::disk::is_leftover(name) && counts(&path)).then_some(path)
    });
    let mut paths: Vec<String> = paths.collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The commit that HEAD is at.
pub(super) fn head(root: &Root) -> Option<String> {
    let work = Work::open(root).ok().flatten()?;
    let head = work.repo.head().ok()?;
    head.target().map(|id| id.to_string())
}

/// The repository, and where in its work tree the vault lies.
pub(super) struct Work {
    pub(super) repo: Repository,
    /// Empty, or ends in `/`.
    pub(super) prefix: String,
}

impl Work {
    pub(super) fn open(root: &Root) -> Result<Option<Self>, GitError> {
        let none: &[&std::ffi::OsStr] = &[];
        let flags = RepositoryOpenFlags::empty();
        let repo = match Repository::open_ext(root.path(), flags, none) {
            Ok(repo) => repo,
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let Some(workdir) = repo.workdir() else {
            return Err(GitError::Refused("the repository has no work tree".into()));
        };
        let prefix = prefix_of(workdir, root.path())
            .ok_or_else(|| GitError::Refused("the vault is not in git's work tree".into()))?;
        Ok(Some(Self { repo, prefix }))
    }

    fn commit(
        &self,
        root: &Root,
        paths: &[String],
        message: &str,
        now: Timestamp,
    ) -> Result<Option<Oid>, GitError> {
        match self.repo.state() {
            RepositoryState::Clean => {}
            state => {
                let what = format!("git is in the middle of something ({state:?})");
                return Err(GitError::Refused(what.to_lowercase()));
            }
        }
        // Refused by libgit2: a split or sparse index.
        let mut index = self.repo.index()?;
        let blobs = self.blobs(root, paths)?;
        self.stage(&mut index, &blobs)?;
        step!();
        index.write()?;
        step!();

        let parent = match self.repo.head() {
            Ok(head) => Some(head.peel_to_commit()?),
            Err(e) if e.code() == ErrorCode::UnbornBranch => None,
            Err(e) => return Err(e.into()),
        };
        let before = match &parent {
            Some(commit) => commit.tree()?,
            None => {
                let empty = self.repo.treebuilder(None)?.write()?;
                self.repo.find_tree(empty)?
            }
        };
        let mut update = TreeUpdateBuilder::new();
        for (path, blob) in &blobs {
            match blob {
                Some(blob) => {
                    update.upsert(path.as_str(), blob.id, FileMode::Blob);
                }
                None if before.get_path(Path::new(path)).is_ok() => {
                    update.remove(path.as_str());
                }
                None => {}
            }
        }
        let after = update.create_updated(&self.repo, &before)?;
        if after == before.id() {
            return Ok(None);
        }
        let tree = self.repo.find_tree(after)?;
        let who = self.signature(now)?;
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        // Fails if HEAD is no longer at the parent.
        let id = self
            .repo
            .commit(Some("HEAD"), &who, &who, message, &tree, &parents)?;
        step!();
        Ok(Some(id))
    }

    /// Writes the files into the object database, byte for byte: no filter of git's
    /// attributes may touch them.
    fn blobs(
        &self,
        root: &Root,
        paths: &[String],
    ) -> Result<Vec<(String, Option<Blob>)>, GitError> {
        let mut blobs = Vec::with_capacity(paths.len());
        for path in paths {
            let blob = match root.read(path, super::LARGEST_FILE) {
                Ok((bytes, stat)) => Some(Blob {
                    id: self.repo.blob(&bytes)?,
                    stat,
                }),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            blobs.push((format!("{}{path}", self.prefix), blob));
        }
        // The index keeps its entries sorted; adding them in order is appending.
        blobs.sort_by(|(a, _), (b, _)| a.cmp(b));
        blobs.dedup_by(|(a, _), (b, _)| a == b);
        Ok(blobs)
    }

    fn stage(&self, index: &mut Index, blobs: &[(String, Option<Blob>)]) -> Result<(), GitError> {
        for (path, blob) in blobs {
            match blob {
                Some(blob) => index.add(&entry(path, blob))?,
                None => match index.remove_path(Path::new(path)) {
                    Ok(()) => {}
                    Err(e) if e.code() == ErrorCode::NotFound => {}
                    Err(e) => return Err(e.into()),
                },
            }
        }
        Ok(())
    }

    /// Puts these paths, relative to the vault, into the index as they are on disk, and
    /// whatever was unmerged about them is merged.
    pub(super) fn settle(&self, root: &Root, paths: &[String]) -> Result<(), GitError> {
        let mut index = self.repo.index()?;
        index.read(true)?;
        let blobs = self.blobs(root, paths)?;
        for (path, _) in &blobs {
            for stage in 1..=3 {
                match index.remove(Path::new(path), stage) {
                    Ok(()) => {}
                    Err(e) if e.code() == ErrorCode::NotFound => {}
                    Err(e) => return Err(e.into()),
                }
            }
        }
        self.stage(&mut index, &blobs)?;
        Ok(index.write()?)
    }

    pub(super) fn signature(&self, now: Timestamp) -> Result<Signature<'static>, GitError> {
        let config = self.repo.config()?;
        let read = |key| config.get_string(key).ok().filter(|v| !v.trim().is_empty());
        let name = read("user.name").unwrap_or_else(|| "strongroom".into());
        let email = read("user.email").unwrap_or_else(|| "strongroom@localhost".into());
        let time = Time::new(now.millis().div_euclid(1000), 0);
        Ok(Signature::new(&name, &email, &time)?)
    }
}

/// The index entry that `git status` finds unchanged: git compares the stat fields,
/// each cut to 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "git's index holds the low 32 bits"
)]
fn entry(path: &str, blob: &Blob) -> IndexEntry {
    let stat = &blob.stat;
    IndexEntry {
        ctime: IndexTime::new(stat.st_ctime as i32, stat.st_ctime_nsec as u32),
        mtime: IndexTime::new(stat.st_mtime as i32, stat.st_mtime_nsec as u32),
        dev: stat.st_dev as u32,
        ino: stat.st_ino as u32,
        mode: 0o100_644,
        uid: stat.st_uid,
        gid: stat.st_gid,
        file_size: stat.st_size as u32,
        id: blob.id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

/// The vault's place in the work tree, joined with `/`.
fn prefix_of(workdir: &Path, vault: &Path) -> Option<String> {
    let workdir = workdir.canonicalize().ok()?;
    let vault = vault.canonicalize().ok()?;
    let mut prefix = String::new();
    for part in vault.strip_prefix(workdir).ok()?.components() {
        let part = part.as_os_str().to_str()?;
        if part == ".git" {
            return None;
        }
        prefix.push_str(part);
        prefix.push('/');
    }
    Some(prefix)
}

#[cfg(test)]
#[path = "git_tests.rs"]
mod tests;

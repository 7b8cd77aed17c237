//! Where values are looked for: files, what git has staged, what it has in its history.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use git2::{Delta, ErrorCode, ObjectType, Oid, Repository, Sort};
use rustix::fs::OFlags;

use super::search::{Hit, Table};

/// Why a place was not looked through.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file or directory.
    #[error("{}: cannot read", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no repository there.
    #[error("{}: not in a git repository", .path.display())]
    NoRepository {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The repository cannot be read.
    #[error("{}: git: {reason}", .path.display())]
    Git {
        /// The repository.
        path: PathBuf,
        /// What git says.
        reason: String,
    },
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file, by its path; in a repository's history relative to it. Empty for the
    /// message of a commit.
    pub path: PathBuf,
    /// The first commit that has it, in hex.
    pub commit: Option<String>,
    /// Where in it, and what.
    pub hit: Hit,
}

/// How much was looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Files, or blobs and messages.
    pub texts: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Scanned {
    fn add(&mut self, bytes: u64) {
        self.texts += 1;
        self.bytes += bytes;
    }
}

/// Looks through files, and directories to their ends. What git ignores is left out
/// unless `ignored`, and `.git` always; a file that is named itself is looked through.
/// Symbolic links are not followed.
pub fn files(
    table: &Table,
    paths: &[PathBuf],
    ignored: bool,
    each: &mut dyn FnMut(Found),
) -> Result<Scanned, ScanError> {
    let mut scanned = Scanned::default();
    for path in paths {
        let kind = path.symlink_metadata().map_err(|e| fail(path, e))?;
        if !kind.is_dir() {
            file(table, path, &mut scanned, each)?;
            continue;
        }
        let repository = match ignored {
            true => None,
            false => Repository::discover(path).ok(),
        };
        walk(table, path, repository.as_ref(), &mut scanned, each)?;
    }
    Ok(scanned)
}

fn walk(
    table: &Table,
    dir: &Path,
    repository: Option<&Repository>,
    scanned: &mut Scanned,
    each: &mut dyn FnMut(Found),
) -> Result<(), ScanError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| fail(dir, e))? {
        entries.push(entry.map_err(|e| fail(dir, e))?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| fail(&path, e))?;
        if entry.file_name() == ".git" || is_ignored(repository, &path, kind.is_dir()) {
            continue;
        }
        if kind.is_dir() {
            walk(table, &path, repository, scanned, each)?;
        } else if kind.is_file() {
            file(table, &path, scanned, each)?;
        }
    }
    Ok(())
}

fn is_ignored(repository: Option<&Repository>, path: &Path, is_dir: bool) -> bool {
    let Some(repository) = repository else {
        return false;
    };
    let (Some(work), Ok(real)) = (repository.workdir(), parent_of(path)) else {
        return false;
    };
    let Ok(relative) = real.strip_prefix(work) else {
        return false;
    };
    let mut relative = relative.as_os_str().to_owned();
    if is_dir {
        relative.push("/");
    }
    repository
        .is_path_ignored(Path::new(&relative))
        .unwrap_or(false)
}

/// The path with the links of its directory resolved, its own last part as it is.
fn parent_of(path: &Path) -> io::Result<PathBuf> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let real = parent.unwrap_or(Path::new(".")).canonicalize()?;
    Ok(real.join(path.file_name().unwrap_or_default()))
}

fn file(
    table: &Table,
    path: &Path,
    scanned: &mut Scanned,
    each: &mut dyn FnMut(Found),
) -> Result<(), ScanError> {
    // A named pipe must not make it wait.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = File::options();
    let opened = options.read(true).custom_flags(flags).open(path);
    let opened = match opened {
        // Gone since it was listed.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|e| fail(path, e))?,
    };
    let (hits, length) = table.search(opened).map_err(|e| fail(path, e))?;
    scanned.add(length);
    for hit in hits {
        each(Found {
            path: path.to_owned(),
            commit: None,
            hit,
        });
    }
    Ok(())
}

/// Looks through what the next commit would bring: the staged content of every file that
/// is added or changed, not what lies in the work tree.
pub fn staged(table: &Table, at: &Path, each: &mut dyn FnMut(Found)) -> Result<Scanned, ScanError> {
    let repository = open(at)?;
    let git = |e: git2::Error| refused(&repository, &e);
    let head = match repository.head() {
        Ok(head) => Some(head.peel_to_tree().map_err(git)?),
        Err(e) if matches!(e.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => None,
        Err(e) => return Err(git(e)),
    };
    let diff = repository
        .diff_tree_to_index(head.as_ref(), None, None)
        .map_err(git)?;
    let mut scanned = Scanned::default();
    for delta in diff.deltas() {
        let new = delta.new_file();
        let gone = matches!(delta.status(), Delta::Deleted | Delta::Unmodified);
        if gone || new.mode() == git2::FileMode::Commit {
            continue;
        }
        let path = new.path().unwrap_or(Path::new("")).to_owned();
        blob(
            table,
            &repository,
            new.id(),
            &path,
            None,
            &mut scanned,
            each,
        )?;
    }
    Ok(scanned)
}

/// Looks through every file that any branch, tag or stash ever had, and the messages of
/// their commits, the oldest first. Each content is looked through once, and told with
/// the first commit and path that had it.
pub fn history(
    table: &Table,
    at: &Path,
    each: &mut dyn FnMut(Found),
) -> Result<Scanned, ScanError> {
    let repository = open(at)?;
    let git = |e: git2::Error| refused(&repository, &e);
    let mut walk = repository.revwalk().map_err(git)?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)
        .map_err(git)?;
    walk.push_glob("refs/*").map_err(git)?;
    if repository.head().is_ok() {
        walk.push_head().map_err(git)?;
    }
    let mut seen = HashSet::new();
    let mut scanned = Scanned::default();
    for id in walk {
        let commit = repository.find_commit(id.map_err(git)?).map_err(git)?;
        let name = commit.id().to_string();
        let message = commit.message_bytes();
        let (hits, length) = (table.search(message)).map_err(|e| fail(repository.path(), e))?;
        scanned.add(length);
        for hit in hits {
            each(Found {
                path: PathBuf::new(),
                commit: Some(name.clone()),
                hit,
            });
        }
        let mut open = vec![(commit.tree_id(), PathBuf::new())];
        while let Some((id, below)) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let tree = repository.find_tree(id).map_err(git)?;
            for entry in &tree {
                let path = below.join(bytes_path(entry.name_bytes()));
                match entry.kind() {
                    Some(ObjectType::Tree) => open.push((entry.id(), path)),
                    Some(ObjectType::Blob) if seen.insert(entry.id()) => {
                        let commit = Some(name.as_str());
                        blob(
                            table,
                            &repository,
                            entry.id(),
                            &path,
                            commit,
                            &mut scanned,
                            each,
                        )?;
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(scanned)
}

fn blob(
    table: &Table,
    repository: &Repository,
    id: Oid,
    path: &Path,
    commit: Option<&str>,
    scanned: &mut Scanned,
    each: &mut dyn FnMut(Found),
) -> Result<(), ScanError> {
    let blob = repository
        .find_blob(id)
        .map_err(|e| refused(repository, &e))?;
    let (hits, length) = table.search(blob.content()).map_err(|e| fail(path, e))?;
    scanned.add(length);
    for hit in hits {
        each(Found {
            path: path.to_owned(),
            commit: commit.map(ToOwned::to_owned),
            hit,
        });
    }
    Ok(())
}

fn bytes_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn open(at: &Path) -> Result<Repository, ScanError> {
    Repository::discover(at).map_err(|_| ScanError::NoRepository {
        path: at.to_owned(),
    })
}

fn refused(repository: &Repository, error: &git2::Error) -> ScanError {
    ScanError::Git {
        path: repository.path().to_owned(),
        reason: error.message().to_owned(),
    }
}

fn fail(path: &Path, source: io::Error) -> ScanError {
    ScanError::Io {
        path: path.to_owned(),
        source,
    }
}

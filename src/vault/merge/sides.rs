//! What git has of the sides of a merge: from the commits that it names, else from the
//! stages of the index.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryState, Tree};

use super::super::disk::{Root, split};
use super::super::git::{GitError, Work};
use super::super::{SECRETS, layout, meta, value};
use crate::crypto::Ct8;
use crate::model::Timestamp;

/// A file's content.
pub(super) type Bytes = Vec<u8>;

/// What git leaves in its directory while it is in the middle of something that can
/// leave files unmerged.
const SIGNS: [&str; 5] = [
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
];
/// How far back a lost value file is looked for.
const COMMITS: usize = 1000;

/// The paths below the vault that git has not merged. Costs a few looks at file names
/// while git is at rest.
pub(in crate::vault) fn unmerged(root: &Root) -> HashSet<String> {
    let is_busy = git_dir(root.path()).is_none_or(|dir| {
        let mut signs = SIGNS.iter();
        signs.any(|sign| dir.join(sign).symlink_metadata().is_ok())
    });
    if !is_busy {
        return HashSet::new();
    }
    let Ok(Some(work)) = Work::open(root) else {
        return HashSet::new();
    };
    stages(&work)
        .map(|stages| stages.ours.into_keys().collect())
        .unwrap_or_default()
}

/// The directory that git works in, without asking git; `None` where that is not plain.
fn git_dir(vault: &Path) -> Option<PathBuf> {
    let found = vault.ancestors().map(|dir| dir.join(".git"));
    let mut found = found.filter(|git| git.symlink_metadata().is_ok());
    let Some(git) = found.next() else {
        // No repository: nothing can be unmerged.
        return Some(vault.to_owned());
    };
    git.is_dir().then_some(git)
}

/// This side's content of those of the given paths that are unmerged.
pub(super) fn ours_of(root: &Root, paths: &[String]) -> Vec<(String, Bytes)> {
    let wanted: Vec<String> = unmerged(root).into_iter().collect();
    let Ok(Some(work)) = Work::open(root) else {
        return Vec::new();
    };
    let Ok(stages) = stages(&work) else {
        return Vec::new();
    };
    let wanted = wanted.into_iter().filter(|path| paths.contains(path));
    wanted
        .filter_map(|path| {
            let [_, ours, _] = *stages.ours.get(&path)?;
            let bytes = blob(&work.repo, ours?, meta::MAX)?;
            Some((path, bytes))
        })
        .collect()
}

/// Base, ours and theirs of one unmerged path.
type Stages = [Option<Oid>; 3];

#[derive(Default)]
struct Unmerged {
    ours: BTreeMap<String, Stages>,
    foreign: Vec<String>,
}

fn stages(work: &Work) -> Result<Unmerged, GitError> {
    let mut index = work.repo.index()?;
    index.read(true)?;
    let mut found = Unmerged::default();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let three = [conflict.ancestor, conflict.our, conflict.their];
        let Some(path) = three.iter().flatten().next().map(|e| e.path.clone()) else {
            continue;
        };
        let path = String::from_utf8_lossy(&path).into_owned();
        // Links and submodules have no content of ours.
        let blob = |e: git2::IndexEntry| (e.mode & 0o170_000 == 0o100_000).then_some(e.id);
        let three = three.map(|entry| entry.and_then(blob));
        match path.strip_prefix(&work.prefix) {
            Some(path) if is_ours(path) => {
                found.ours.insert(path.to_owned(), three);
            }
            _ => found.foreign.push(path),
        }
    }
    Ok(found)
}

/// Whether a path below the vault's directory is the vault's.
pub(super) fn is_ours(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    matches!(
        first,
        "strongroom.toml" | ".gitattributes" | "keys" | "secrets"
    )
}

/// Everything that a merge goes by.
pub(super) struct Sides<'w> {
    work: &'w Work,
    /// The commits' trees: base, ours and theirs, where git names them.
    trees: Option<[Option<Tree<'w>>; 3]>,
    /// Unmerged paths, relative to the vault.
    pub(super) unmerged: BTreeMap<String, Stages>,
    /// Metadata that either side changed, or that is unmerged, below `secrets/`.
    pub(super) paths: BTreeSet<String>,
    /// Unmerged value files, and what they should hold.
    pub(super) values: BTreeMap<String, Option<Bytes>>,
    pub(super) foreign: Vec<String>,
}

impl<'w> Sides<'w> {
    pub(super) fn of(work: &'w Work) -> Result<Self, GitError> {
        let Unmerged { ours, foreign } = stages(work)?;
        let mut sides = Self {
            work,
            trees: commits(&work.repo)?,
            unmerged: ours,
            paths: BTreeSet::new(),
            values: BTreeMap::new(),
            foreign,
        };
        let below = |path: &str| {
            let path = path.strip_prefix(SECRETS)?.strip_prefix('/')?;
            path.ends_with(".toml").then(|| path.to_owned())
        };
        sides.paths = sides.unmerged.keys().filter_map(|p| below(p)).collect();
        if let Some([_, Some(ours), Some(theirs)]) = &sides.trees {
            let diff = work
                .repo
                .diff_tree_to_tree(Some(ours), Some(theirs), None)?;
            for delta in diff.deltas() {
                let path = delta.new_file().path().and_then(Path::to_str);
                let path = path.and_then(|path| path.strip_prefix(work.prefix.as_str()));
                sides.paths.extend(path.and_then(below));
            }
        }
        for (path, stages) in &sides.unmerged {
            let (_, name) = split(path);
            let Ok(file) = layout::parse_value_file(name) else {
                continue;
            };
            let blobs = stages.iter().rev().flatten();
            let mut contents = blobs.filter_map(|id| blob(&work.repo, *id, value::MAX));
            let right = contents.find(|bytes| Ct8::of(bytes) == file.ct8);
            sides.values.insert(path.clone(), right);
        }
        Ok(sides)
    }

    /// Base, ours and theirs of a path relative to the vault. A rename that git thinks
    /// it saw means nothing here, so commits go before stages.
    pub(super) fn three(&self, path: &str) -> Result<[Option<Bytes>; 3], String> {
        let ids: Stages = match &self.trees {
            Some(trees) => [0, 1, 2].map(|n| {
                let tree = trees.get(n).and_then(Option::as_ref)?;
                entry(tree, &format!("{}{path}", self.work.prefix))
            }),
            None => self.unmerged.get(path).copied().unwrap_or_default(),
        };
        let mut three = [None, None, None];
        for (place, id) in three.iter_mut().zip(ids) {
            if let Some(id) = id {
                let bytes = blob(&self.work.repo, id, meta::MAX);
                *place = Some(bytes.ok_or_else(|| meta::MetaError::TooLarge.to_string())?);
            }
        }
        Ok(three)
    }

    /// The first file in a folder of the vault, on either side or in the history before,
    /// that has such a name and is right.
    pub(super) fn find(
        &self,
        folder: &str,
        is_it: impl Fn(&str) -> bool,
        cap: usize,
        is_right: impl Fn(&str, &[u8]) -> bool,
    ) -> Option<(String, Bytes)> {
        let repo = &self.work.repo;
        let in_git = format!("{}{folder}", self.work.prefix);
        let mut looked = HashSet::new();
        let mut look = |tree: &Tree<'_>| -> Option<(String, Bytes)> {
            let id = tree.get_path(Path::new(&in_git)).ok()?.id();
            if !looked.insert(id) {
                return None;
            }
            let folder_tree = repo.find_tree(id).ok()?;
            folder_tree.iter().find_map(|entry| {
                let name = entry.name().ok().filter(|name| is_it(name))?;
                if entry.kind() != Some(ObjectType::Blob) {
                    return None;
                }
                let bytes = blob(repo, entry.id(), cap)?;
                let path = format!("{folder}/{name}");
                is_right(name, &bytes).then_some((path, bytes))
            })
        };
        let trees = self.trees.iter().flatten().flatten();
        if let Some(found) = trees.into_iter().find_map(&mut look) {
            return Some(found);
        }
        let mut walk = repo.revwalk().ok()?;
        for name in [
            "HEAD",
            "MERGE_HEAD",
            "CHERRY_PICK_HEAD",
            "REVERT_HEAD",
            "ORIG_HEAD",
        ] {
            if let Ok(id) = repo.refname_to_id(name) {
                drop(walk.push(id));
            }
        }
        walk.take(COMMITS).flatten().find_map(|id| {
            let tree = repo.find_commit(id).ok()?.tree().ok()?;
            look(&tree)
        })
    }
}

/// The trees of base, ours and theirs: of the merge that is under way, else of the one
/// that HEAD is.
fn commits(repo: &Repository) -> Result<Option<[Option<Tree<'_>>; 3]>, GitError> {
    let head = match repo.head() {
        Ok(head) => head.peel_to_commit()?,
        Err(e) if e.code() == ErrorCode::UnbornBranch => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let heads = merge_heads(repo);
    let (ours, theirs) = match (repo.state(), heads.as_slice()) {
        (RepositoryState::Merge, [theirs]) => (head.id(), *theirs),
        (RepositoryState::Merge, _) => {
            let why = "git merges more than two histories at once";
            return Err(GitError::Refused(why.to_owned()));
        }
        (RepositoryState::Clean, _) if head.parent_count() == 2 => {
            (head.parent_id(0)?, head.parent_id(1)?)
        }
        _ => return Ok(None),
    };
    let base = match repo.merge_base(ours, theirs) {
        Ok(base) => Some(repo.find_commit(base)?.tree()?),
        Err(e) if e.code() == ErrorCode::NotFound => None,
        Err(e) => return Err(e.into()),
    };
    let tree = |id| repo.find_commit(id).and_then(|commit| commit.tree());
    Ok(Some([base, Some(tree(ours)?), Some(tree(theirs)?)]))
}

fn merge_heads(repo: &Repository) -> Vec<Oid> {
    let text = std::fs::read_to_string(repo.path().join("MERGE_HEAD")).unwrap_or_default();
    text.lines()
        .filter_map(|line| Oid::from_str(line).ok())
        .collect()
}

/// Commits the index as the merge that is under way.
pub(super) fn finish(work: &Work, message: &str, now: Timestamp) -> Result<String, GitError> {
    let repo = &work.repo;
    let mut index = repo.index()?;
    index.read(true)?;
    if index.has_conflicts() {
        return Err(GitError::Refused("there are unmerged files".to_owned()));
    }
    let tree = repo.find_tree(index.write_tree()?)?;
    let mut parents = vec![repo.head()?.peel_to_commit()?];
    for head in merge_heads(repo) {
        parents.push(repo.find_commit(head)?);
    }
    let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
    let who = work.signature(now)?;
    let id = repo.commit(Some("HEAD"), &who, &who, message, &tree, &parents)?;
    repo.cleanup_state()?;
    Ok(id.to_string())
}

/// The blob of a regular file in a tree.
pub(super) fn entry(tree: &Tree<'_>, path: &str) -> Option<Oid> {
    let entry = tree.get_path(Path::new(path)).ok()?;
    (entry.filemode() & 0o170_000 == 0o100_000).then(|| entry.id())
}

/// A blob's content, if it is not larger than a file of its kind can be.
pub(super) fn blob(repo: &Repository, id: Oid, cap: usize) -> Option<Bytes> {
    let (size, kind) = repo.odb().ok()?.read_header(id).ok()?;
    if size > cap || kind != ObjectType::Blob {
        return None;
    }
    Some(repo.find_blob(id).ok()?.content().to_vec())
}

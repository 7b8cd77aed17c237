//! A look at what was fetched, in git's object database, before any of it is checked out
//! (crypto.md section 4).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{DiffOptions, FileMode, Repository};

use super::super::git::{GitError, Work};
use super::super::init::ATTRIBUTES;
use super::super::keychain::Routes;
use super::super::keyring::{self, Keyring};
use super::super::layout::{self, PathError};
use super::super::unlock::unverified;
use super::super::{CONFIG, SECRETS, Vault, VaultError, ledger, meta, value};
use super::sides::blob;
use crate::config::Config;
use crate::crypto::{Ct8, Domain, KeyringKeys, Member};
use crate::model::Escaped;

/// The largest `.gitattributes`, in bytes.
const MAX_ATTRIBUTES: usize = 64 * 1024;

impl Vault {
    /// What of a commit no vault can have, by path (escaped), and why. Compares it with
    /// HEAD and looks at what differs, below the vault's directory alone; nothing is
    /// checked out. Needs the keys: the macs are verified too.
    ///
    /// Where it brings a keyring of other keys, all of it is looked at, under those: with
    /// the identity of a member, who opens them, and only if this clone accepts them.
    pub fn check_incoming(
        &self,
        commit: &str,
        member: Option<&dyn Member>,
    ) -> Result<BTreeMap<String, String>, VaultError> {
        self.need_keys()?;
        let work = self.work()?;
        let keys = match (self.brings_new_keys(commit)?, member) {
            (false, _) => None,
            (true, Some(member)) => {
                let tree = |path: &str| self.of_commit(&work, commit, path);
                Some(self.noted_unlock(self.keys_of(&tree, member))?)
            }
            (true, None) => {
                let path = self.root.full(&Keyring::list_path(keyring::DEFAULT));
                return Err(VaultError::NewEpoch { path });
            }
        };
        let found = self.look(&work.repo, &work.prefix, commit, keys.as_ref());
        self.git_result(found)
    }

    /// Whether a commit's keyring is of other keys than this vault's: then
    /// [`Vault::check_incoming`] needs a member's identity.
    pub fn brings_new_keys(&self, commit: &str) -> Result<bool, VaultError> {
        let work = self.work()?;
        let list = self.of_commit(&work, commit, &Keyring::list_path(keyring::DEFAULT));
        Ok(list.is_ok_and(|list| self.is_other_epoch(&list)))
    }

    /// A file of a commit, by its path below the vault.
    fn of_commit(&self, work: &Work, commit: &str, path: &str) -> Result<Vec<u8>, VaultError> {
        let find = || -> Result<git2::Oid, GitError> {
            let tree = work
                .repo
                .find_commit(git2::Oid::from_str(commit)?)?
                .tree()?;
            let path = format!("{}{path}", work.prefix);
            Ok(tree.get_path(Path::new(&path))?.id())
        };
        let id = self.git_result(find())?;
        let bytes = blob(&work.repo, id, keyring::MAX);
        self.git_result(bytes.ok_or_else(|| format!("{path} is no file, or too large")))
    }

    fn look(
        &self,
        repo: &Repository,
        prefix: &str,
        commit: &str,
        new: Option<&KeyringKeys>,
    ) -> Result<BTreeMap<String, String>, GitError> {
        let theirs = repo.find_commit(git2::Oid::from_str(commit)?)?.tree()?;
        let head = repo.head().and_then(|head| head.peel_to_tree()).ok();
        let mut options = DiffOptions::new();
        options
            .include_typechange(true)
            .skip_binary_check(true)
            .ignore_submodules(false);
        // Under new keys, nothing that is the same is right any more.
        let since = head.as_ref().filter(|_| new.is_none());
        let diff = repo.diff_tree_to_tree(since, Some(&theirs), Some(&mut options))?;
        let mut refused = BTreeMap::new();
        let list = Keyring::list_path(keyring::DEFAULT);
        let mut others = Vec::new();
        let mut coming = Coming {
            new,
            routes: self
                .need_keychain()
                .map(|keys| keys.routes().clone())
                .unwrap_or_default(),
            renewed: BTreeSet::new(),
        };
        for delta in diff.deltas() {
            let file = delta.new_file();
            if file.id().is_zero() {
                continue;
            }
            let path = file.path_bytes().unwrap_or_default();
            let path = String::from_utf8_lossy(path).into_owned();
            let Some(path) = path.strip_prefix(prefix) else {
                continue;
            };
            if let Err(why) = place(path, file.mode(), self.hides_names()) {
                refused.insert(Escaped(path).to_string(), why);
                continue;
            }
            let cap = match path {
                ATTRIBUTES => MAX_ATTRIBUTES,
                path if path.ends_with(".age") => value::MAX,
                path if is_ledger(path) => ledger::MAX,
                _ => meta::MAX,
            };
            if !super::sides::is_ours(path) {
                continue;
            }
            let Some(bytes) = blob(repo, file.id(), cap) else {
                refused.insert(
                    Escaped(path).to_string(),
                    format!("it is larger than {cap} bytes"),
                );
                continue;
            };
            if path == list && new.is_some() {
                let head = repo.head().and_then(|head| head.peel_to_commit());
                let has_own = head.is_ok_and(|head| {
                    let theirs = git2::Oid::from_str(commit);
                    let ahead = theirs.and_then(|t| repo.graph_descendant_of(t, head.id()));
                    !ahead.is_ok_and(|ahead| ahead)
                });
                if has_own {
                    let why = "it is of other keys, and this branch has commits of its own, \
                               which are of the old ones: put what they changed aside, and \
                               make it again on top of what was pushed";
                    refused.insert(Escaped(path).to_string(), why.to_owned());
                }
            }
            if path == CONFIG {
                coming.take_settings(&bytes);
            }
            if let Some(name) = self.renewed(path, &bytes) {
                coming.renewed.insert(name);
            }
            others.push((path.to_owned(), bytes));
        }
        for (path, bytes) in others {
            if let Err(why) = self.content(&path, &bytes, &coming) {
                refused.insert(Escaped(&path).to_string(), why);
            }
        }
        Ok(refused)
    }

    fn is_other_epoch(&self, list: &[u8]) -> bool {
        let Some(keys) = self.keys() else {
            return false;
        };
        let list = unverified(list);
        list.is_some_and(|list| list.commitment != keys.commitment())
    }

    /// The name of another keyring than the default one, if this is its member list and
    /// says other keys than those that are open.
    fn renewed(&self, path: &str, bytes: &[u8]) -> Option<String> {
        let name = keyring_of_list(path)?;
        let keys = self.keychain()?.named(name)?;
        let list = unverified(bytes)?;
        (list.commitment != keys.commitment()).then(|| name.to_owned())
    }

    /// The keys that a keyring's files are to be under: none of a keyring that is not
    /// open, or that comes with new keys. Of those nothing but the form is looked at, and
    /// unlocking verifies the rest.
    fn coming_keys<'v>(&'v self, keyring: &str, coming: &Coming<'v>) -> Option<&'v KeyringKeys> {
        match keyring {
            keyring::DEFAULT => coming.new.or(self.keys()),
            name if coming.renewed.contains(name) => None,
            name => self.keychain()?.named(name),
        }
    }

    /// Whether a file of ours is what its path says.
    fn content(&self, path: &str, bytes: &[u8], coming: &Coming<'_>) -> Result<(), String> {
        let sealed = |keyring: &str, domain| -> Result<(), String> {
            let Some(keys) = self.coming_keys(keyring, coming) else {
                return Ok(());
            };
            let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
            let mut text = text.to_owned();
            if domain == Domain::Ledger {
                let revealed = self.reveal_text(keys, path, text);
                text = revealed.map_err(|e| super::chain(&e))?;
            }
            let body = keys.verify_text(domain, &text);
            body.map(drop).map_err(|e| e.to_string())
        };
        if path == ATTRIBUTES {
            return attributes(bytes);
        }
        if path == CONFIG {
            return sealed(keyring::DEFAULT, Domain::Vault);
        }
        if path == Keyring::list_path(keyring::DEFAULT) {
            return sealed(keyring::DEFAULT, Domain::Keyring);
        }
        if let Some(name) = keyring_of_list(path) {
            return sealed(name, Domain::Keyring);
        }
        if let Some(name) = keyring_of_ledger(path) {
            return sealed(name, Domain::Ledger);
        }
        if let Some(path) = path.strip_prefix(SECRETS).and_then(|p| p.strip_prefix('/')) {
            if path.ends_with(".toml") {
                let read = if self.hides_names() {
                    // Such a vault has one keyring.
                    let keys = self.coming_keys(keyring::DEFAULT, coming);
                    let keys = keys.ok_or_else(|| VaultError::Locked.to_string())?;
                    self.read_metadata_under(keys, bytes, path)
                } else {
                    let text = std::str::from_utf8(bytes).unwrap_or_default();
                    let name = meta::said_name(text);
                    let keyring = name.as_ref().map(|name| coming.routes.keyring_of(name));
                    let keys = self.coming_keys(keyring.unwrap_or(keyring::DEFAULT), coming);
                    meta::read(bytes, path, keys)
                };
                return read.map(drop).map_err(|e| super::chain(&e));
            }
            let (_, name) = super::split(path);
            let file = layout::parse_value_file(name).map_err(|e| e.to_string())?;
            if Ct8::of(bytes) != file.ct8 {
                return Err("its name says another content".to_owned());
            }
        }
        Ok(())
    }
}

/// What comes along with a commit that says which keys the rest of it is under.
struct Coming<'k> {
    /// The default keyring's keys, if it comes with new ones.
    new: Option<&'k KeyringKeys>,
    routes: Routes,
    /// Keyrings that come with other keys than those that are open.
    renewed: BTreeSet<String>,
}

impl Coming<'_> {
    /// Takes the routes of settings whose mac is verified with everything else: if that is
    /// wrong, they are refused.
    fn take_settings(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let body = crate::crypto::Mac::split_text(text).map(|(body, _)| body);
        if let Some(config) = body.ok().and_then(|body| Config::parse(body).ok()) {
            self.routes = Routes::of(&config);
        }
    }
}

fn is_ledger(path: &str) -> bool {
    keyring_of_ledger(path).is_some()
}

/// The keyring whose ledger of a removal lies at a path.
fn keyring_of_ledger(path: &str) -> Option<&str> {
    let name = path.strip_prefix("keys/")?.strip_suffix(".removed.toml")?;
    let (name, _) = name.split_once('.')?;
    (name == keyring::DEFAULT || Config::is_keyring_name(name)).then_some(name)
}

/// The keyring whose member list lies at a path, the default one apart.
fn keyring_of_list(path: &str) -> Option<&str> {
    let name = path.strip_prefix("keys/")?.strip_suffix(".toml")?;
    Config::is_keyring_name(name).then_some(name)
}

/// Whether a path below the vault's directory may be there, as what it is.
fn place(path: &str, mode: FileMode, hides_names: bool) -> Result<(), String> {
    let refuse = |why: &str| Err(why.to_owned());
    match mode {
        FileMode::Link => return refuse("it is a symbolic link"),
        FileMode::Commit => return refuse("it is a submodule"),
        _ => {}
    }
    for part in path.split('/') {
        // What some file system takes for git's own directory.
        let folded: String = part.chars().filter(char::is_ascii).collect();
        let folded = folded.trim_end_matches(['.', ' ']).to_ascii_lowercase();
        if folded == ".git" || folded.starts_with("git~") || folded == ".gitmodules" {
            return refuse("it has a name of git's own");
        }
    }
    let first = path.split('/').next().unwrap_or_default();
    let lower = first.to_ascii_lowercase();
    if lower != first && super::sides::is_ours(&lower) {
        return refuse("it meets a file of the vault where case does not count");
    }
    if !super::sides::is_ours(path) {
        // The user's own.
        return Ok(());
    }
    if mode != FileMode::Blob {
        return refuse("it is marked as a program");
    }
    if Path::new(path)
        .file_name()
        .is_some_and(|name| name == ATTRIBUTES)
        && path != ATTRIBUTES
    {
        return refuse("attributes of git have no place below the vault's own");
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let fits = match first {
        "keys" => {
            path.matches('/').count() == 1
                && name.bytes().all(is_plain)
                // While a rekey runs, and in one work tree alone.
                && !name.contains(".next.")
                && (name.ends_with(".toml") || name.ends_with(".age"))
        }
        "secrets" if hides_names => {
            let below = path.strip_prefix("secrets/").unwrap_or_default();
            layout::is_hidden_metadata(below) || layout::is_hidden_value(below)
        }
        "secrets" if path.starts_with("secrets/,5/") => false,
        "secrets" if name.ends_with(".age") => layout::parse_value_file(name).is_ok(),
        "secrets" => {
            let below = path.strip_prefix("secrets/").unwrap_or_default();
            matches!(
                layout::name_of_path(below, None),
                Ok(_) | Err(PathError::NameNeeded)
            )
        }
        _ => path == first,
    };
    if fits {
        Ok(())
    } else {
        refuse("it is no path of a vault's")
    }
}

/// Refuses attributes by which git would change the bytes of our files, or run a program
/// over them.
fn attributes(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let Some(pattern) = words.next().filter(|p| !p.starts_with('#')) else {
            continue;
        };
        // A pattern of the user's own files.
        let ending = pattern.rsplit_once('.').map(|(_, ending)| ending);
        let by_ending = pattern.starts_with("*.")
            && ending.is_some_and(|e| {
                !["toml", "age"].contains(&e) && e.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        if by_ending {
            continue;
        }
        for word in words {
            let fine = [
                "-text",
                "merge=strongroom",
                "-merge",
                "-diff",
                "diff",
                "-filter",
                "-ident",
            ];
            if !fine.contains(&word) {
                return Err(format!(
                    "line {}: the attribute {} is not for a vault's files",
                    at + 1,
                    Escaped(word)
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_4_paths_and_modes() {
        for (path, mode) in [
            ("strongroom.toml", FileMode::Blob),
            (".gitattributes", FileMode::Blob),
            ("keys/default.toml", FileMode::Blob),
            ("secrets/prod/db.toml", FileMode::Blob),
            ("secrets/,4/ab/cdef.toml", FileMode::Blob),
            (
                "secrets/a.00000001-0000-4000-8000-000000000000.0123abcd.age",
                FileMode::Blob,
            ),
            ("README.md", FileMode::Blob),
            ("tools/run", FileMode::BlobExecutable),
        ] {
            assert_eq!(place(path, mode, false), Ok(()), "{path}");
        }
        for (path, mode) in [
            ("secrets/prod/db.toml", FileMode::Link),
            ("secrets/prod/db.toml", FileMode::BlobExecutable),
            ("secrets/prod", FileMode::Commit),
            ("tools", FileMode::Commit),
            (".GIT/hooks/post-checkout", FileMode::Blob),
            ("secrets/.git\u{200c}/x.toml", FileMode::Blob),
            ("secrets/git~1/x.toml", FileMode::Blob),
            (".gitmodules", FileMode::Blob),
            ("secrets/.gitattributes", FileMode::Blob),
            ("keys/.gitattributes", FileMode::Blob),
            ("Secrets/a.toml", FileMode::Blob),
            ("secrets/A.toml", FileMode::Blob),
            ("secrets/a.txt", FileMode::Blob),
            ("secrets/a.age", FileMode::Blob),
            ("keys/a/b.toml", FileMode::Blob),
            ("strongroom.toml/x", FileMode::Blob),
        ] {
            assert!(place(path, mode, false).is_err(), "{path}");
        }
    }

    #[test]
    fn attributes_that_touch_our_bytes_are_refused() {
        for good in [
            "* -text\n/keys/*.age -merge\n/secrets/**/*.toml merge=strongroom\n",
            "*.png filter=lfs diff=lfs\n# x\n\n/keys/** -text\n",
        ] {
            assert_eq!(attributes(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "* text=auto\n",
            "*.toml filter=evil\n",
            "secrets/** ident\n",
            "*.age merge=union\n",
            "*.[ta]* filter=evil\n",
            "/keys/** eol=crlf\n",
            "* working-tree-encoding=UTF-16\n",
        ] {
            assert!(attributes(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

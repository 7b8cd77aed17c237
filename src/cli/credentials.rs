//! The keys that `serve` keeps: an AWS shared credentials file with a profile for each,
//! which every AWS client can read.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::context::new_uuid;
use super::endpoint::mint;
use super::error::CommandError;
use super::exit::Exit;

/// The profile of the key for the whole vault, which clients take by themselves.
pub(super) const WHOLE: &str = "default";

/// A pair of keys under a profile's name.
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
}

/// Gives a key for each name: the one the file has, else a fresh one. The file then
/// holds these and no others.
pub(super) fn keep(path: &Path, names: &[String]) -> Result<Vec<Profile>, CommandError> {
    let mut there = read(path)?;
    let mut profiles = Vec::new();
    for name in names {
        let pair = match there.remove(name) {
            Some(pair) => pair,
            None => {
                let fresh = mint()?;
                (fresh.id, fresh.secret)
            }
        };
        profiles.push(Profile {
            name: name.clone(),
            id: pair.0,
            secret: pair.1,
        });
    }
    let mut text = Zeroizing::new(String::with_capacity(256 * (names.len() + 1)));
    text.push_str("# Keys of the local endpoint: strongroom serve\n");
    for profile in &profiles {
        for part in [
            "\n[",
            &profile.name,
            "]\naws_access_key_id = ",
            &profile.id,
            "\naws_secret_access_key = ",
            &profile.secret,
            "\n",
        ] {
            text.push_str(part);
        }
    }
    write(path, text.as_bytes())?;
    Ok(profiles)
}

/// Gives the one word that a file holds: what is there, else a fresh one.
pub(super) fn keep_token(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    if let Some(text) = private(path)? {
        let word = text.trim();
        if word.len() >= 32 && word.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Zeroizing::new(word.to_owned()));
        }
    }
    let token = mint()?.token;
    write(path, token.as_bytes())?;
    Ok(token)
}

type Pairs = BTreeMap<String, (String, Zeroizing<String>)>;

/// Every whole profile of a file; what else it says is not ours and not kept.
fn read(path: &Path) -> Result<Pairs, CommandError> {
    let mut pairs = Pairs::new();
    let Some(text) = private(path)? else {
        return Ok(pairs);
    };
    let (mut profile, mut id) = (None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            (profile, id) = (Some(name.trim()), None);
        } else if let Some((key, value)) = line.split_once('=') {
            match (key.trim(), profile, id) {
                ("aws_access_key_id", ..) => id = Some(value.trim()),
                ("aws_secret_access_key", Some(name), Some(id)) => {
                    let secret = Zeroizing::new(value.trim().to_owned());
                    pairs.insert(name.to_owned(), (id.to_owned(), secret));
                }
                _ => {}
            }
        }
    }
    Ok(pairs)
}

/// A file's text if it is there and nobody else can have read it: keys that somebody
/// else may know are not used again.
fn private(path: &Path) -> Result<Option<Zeroizing<String>>, CommandError> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let ours = meta.is_file()
        && meta.mode() & 0o077 == 0
        && meta.uid() == rustix::process::geteuid().as_raw();
    if !ours {
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(|e| failed(path, &e))?;
    Ok(Some(Zeroizing::new(text)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| failed(dir, &e))?;
    let temp: PathBuf = dir.join(format!(".{}", new_uuid()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temp)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()))
        .and_then(|()| fs::rename(&temp, path))
        .map_err(|e| {
            drop(fs::remove_file(&temp));
            failed(path, &e)
        })
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_kept_and_only_by_their_owner_readable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("endpoint/credentials");
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let ids = |profiles: Vec<Profile>| -> Vec<String> {
            profiles
                .into_iter()
                .map(|p| format!("{} {} {}", p.name, p.id, *p.secret))
                .collect()
        };
        let first = ids(keep(&path, &names(&["default", "prod"])).unwrap());
        assert_eq!(first.len(), 2);
        assert_ne!(first[0], first[1]);
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = ids(keep(&path, &names(&["prod", "default"])).unwrap());
        assert_eq!(again, [first[1].clone(), first[0].clone()]);
        // A profile that nobody asks for goes.
        keep(&path, &names(&["default"])).unwrap();
        let back = ids(keep(&path, &names(&["default", "prod"])).unwrap());
        assert_eq!(back[0], first[0]);
        assert_ne!(back[1], first[1]);
        // Others could read it: every key is new.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let fresh = ids(keep(&path, &names(&["default"])).unwrap());
        assert_ne!(fresh[0], first[0]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_token_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent-token");
        let first = keep_token(&path).unwrap();
        assert_eq!(*keep_token(&path).unwrap(), *first);
        fs::write(&path, "short").unwrap();
        assert_ne!(*keep_token(&path).unwrap(), *first);
    }
}

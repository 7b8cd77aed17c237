//! The settings and the member list: merged only where nobody has to be asked.

use std::collections::BTreeMap;

use super::super::disk::Root;
use super::super::keyring::{self, Keyring};
use super::super::{CONFIG, Vault, meta};
use super::sides::Sides;
use crate::config::Config;
use crate::crypto::{Domain, KeyringKeys, Member, encrypt_keyring, open_keyring};
use crate::model::{Escaped, Timestamp};

/// The largest age file of a keyring, in bytes.
const MAX_AGE: usize = 160 * 1024;

type Files = Vec<(String, Vec<u8>)>;

/// The files that a vault is opened by: its settings and its keyrings' member lists.
pub(super) fn paths(root: &Root) -> Vec<String> {
    let mut paths = vec![CONFIG.to_owned()];
    let entries = root.list("keys").unwrap_or_default();
    let lists = entries
        .into_iter()
        .map(|entry| format!("keys/{}", entry.name));
    paths.extend(lists.filter(|path| keyring_of(path).is_some_and(|(_, is_list)| is_list)));
    paths
}

/// The keyring that a path is a file of, and whether that is its member list.
fn keyring_of(path: &str) -> Option<(&str, bool)> {
    let file = path.strip_prefix("keys/")?;
    let (name, is_list) = match file.strip_suffix(".toml") {
        Some(name) => (name, true),
        None => (file.strip_suffix(".age")?, false),
    };
    let is_one = name == keyring::DEFAULT || Config::is_keyring_name(name);
    is_one.then_some((name, is_list))
}

/// The keys of a keyring by its name.
fn keys_of<'v>(vault: &'v Vault, name: &str) -> Result<&'v KeyringKeys, String> {
    let chain = vault.need_keychain().map_err(|e| e.to_string())?;
    chain.named(name).ok_or_else(|| {
        format!("no access to keyring {name}: one of its members must merge its files")
    })
}

/// Merges what is unmerged beside the secrets: by path, the files to write, or why not.
pub(super) fn merge(
    vault: &Vault,
    sides: &Sides<'_>,
    member: Option<&dyn Member>,
    now: Timestamp,
) -> BTreeMap<String, Result<Files, String>> {
    let mut done = BTreeMap::new();
    for path in sides.unmerged.keys() {
        let answer = if *path == CONFIG {
            texts(sides, path).and_then(|[base, ours, theirs]| {
                let bytes = merge_texts(vault, path, &base, &ours, &theirs)?;
                Ok(vec![(path.clone(), bytes)])
            })
        } else if let Some((name, _)) = keyring_of(path) {
            // One answer for the two: who is listed is who it is encrypted to.
            members(vault, sides, name, member, now)
        } else if path.starts_with("secrets/") {
            continue;
        } else {
            Err("merge it by hand, then: git add".to_owned())
        };
        done.insert(Escaped(path).to_string(), answer);
    }
    done
}

fn texts(sides: &Sides<'_>, path: &str) -> Result<[Vec<u8>; 3], String> {
    let [base, ours, theirs] = sides.three(path)?;
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Ok([base.unwrap_or_default(), ours, theirs]),
        _ => Err("one side has deleted the file".to_owned()),
    }
}

/// Makes one text of three. An unverified base is none.
pub(super) fn merge_texts(
    vault: &Vault,
    path: &str,
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
) -> Result<Vec<u8>, String> {
    if path == CONFIG {
        return config(vault, base, ours, theirs);
    }
    if let Some((name, true)) = keyring_of(path) {
        return match lists(vault, name, base, ours, theirs)? {
            // Whoever is listed must be able to open the keyring: one file does not do.
            (_, None) => Err("both sides changed the members".to_owned()),
            (_, Some(side)) => Ok(side.to_vec()),
        };
    }
    Err("no file that is merged so".to_owned())
}

fn body(keys: &KeyringKeys, domain: Domain, bytes: &[u8]) -> Result<String, String> {
    if bytes.len() > meta::MAX {
        return Err("the file is too large".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())?;
    let body = keys.verify_text(domain, text).map_err(|e| e.to_string())?;
    Ok(body.to_owned())
}

fn config(vault: &Vault, base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Vec<u8>, String> {
    let keys = vault.need_keys().map_err(|e| e.to_string())?;
    let read = |bytes: &[u8]| -> Result<Config, String> {
        let body = body(keys, Domain::Vault, bytes)?;
        Config::parse(&body).map_err(|e| e.to_string())
    };
    let here = read(ours).map_err(|e| format!("this side: {e}"))?;
    let there = read(theirs).map_err(|e| format!("the other side: {e}"))?;
    let was = read(base).unwrap_or_else(|_| Config::new(here.vault_id.clone()));
    let united = Config::unite(&was, &here, &there).map_err(|e| e.to_string())?;
    if united == here {
        return Ok(ours.to_vec());
    }
    let text = united.emit().map_err(|e| e.to_string())?;
    let text = keys
        .seal_text(Domain::Vault, text)
        .map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

/// The united list, and which side's file already is it.
fn lists<'b>(
    vault: &Vault,
    name: &str,
    base: &[u8],
    ours: &'b [u8],
    theirs: &'b [u8],
) -> Result<(Keyring, Option<&'b [u8]>), String> {
    let keys = keys_of(vault, name)?;
    let read = |bytes: &[u8]| -> Result<Keyring, String> {
        let body = body(keys, Domain::Keyring, bytes)?;
        let list = Keyring::parse(&body).map_err(|e| e.to_string())?;
        list.check(name, keys).map_err(|e| e.to_string())?;
        Ok(list)
    };
    let newer = "a keyring of another epoch is not merged: take the newer side's keys/ whole, then: git add keys";
    let here = read(ours).map_err(|e| format!("this side: {e}; {newer}"))?;
    let there = read(theirs).map_err(|e| format!("the other side: {e}; {newer}"))?;
    let mut united = here.clone();
    united.members.clone_from(&there.members);
    if united != there {
        return Err("the two sides' keyrings differ in more than their members".to_owned());
    }
    let was = read(base).map(|list| list.members).unwrap_or_default();
    united.members.clear();
    for name in here.members.keys().chain(there.members.keys()) {
        let (a, b) = (here.members.get(name), there.members.get(name));
        let kept = match (a, b, was.get(name)) {
            (a, b, _) if a == b => a,
            (a, b, was) if b == was => a,
            (a, b, was) if a == was => b,
            _ => {
                let name = Escaped(name);
                return Err(format!("both sides changed member {name}, differently"));
            }
        };
        if let Some(recipient) = kept {
            united.members.insert(name.clone(), recipient.clone());
        }
    }
    let side = if united == here {
        Some(ours)
    } else if united == there {
        Some(theirs)
    } else {
        None
    };
    Ok((united, side))
}

/// The member list with the age file that belongs to it.
fn members(
    vault: &Vault,
    sides: &Sides<'_>,
    name: &str,
    member: Option<&dyn Member>,
    now: Timestamp,
) -> Result<Files, String> {
    let (list, age) = (&Keyring::list_path(name), &Keyring::age_path(name));
    let keys = keys_of(vault, name)?;
    let [base, ours, theirs] = texts(sides, list)?;
    let [_, our_age, their_age] = sides.three(age)?;
    let (united, side) = lists(vault, name, &base, &ours, &theirs)?;
    let [our_age, their_age] = [our_age, their_age].map(|age| {
        let age = age.filter(|age| age.len() <= MAX_AGE);
        age.ok_or_else(|| "one side has no keyring file".to_owned())
    });
    match side {
        // The other side's list, or the same list on both: its file goes with it. Whose
        // it is was verified with the list; that it opens shows at the next unlock.
        Some(bytes) if bytes == theirs && bytes != ours => {
            Ok(vec![(age.clone(), their_age?), (list.clone(), theirs)])
        }
        Some(_) => Ok(vec![(age.clone(), our_age?), (list.clone(), ours)]),
        None => {
            let Some(member) = member else {
                return Err(
                    "both sides added members: that needs your identity, not the agent's keys"
                        .to_owned(),
                );
            };
            let identity = open_keyring(&our_age?, member).map_err(|e| e.to_string())?;
            if identity.recipient() != keys.recipient() {
                return Err("the keyring's file holds another keyring".to_owned());
            }
            let to = vault.hosted(&united);
            let file = encrypt_keyring(&identity, now, &to).map_err(|e| e.to_string())?;
            let text = united.seal(keys).map_err(|e| e.to_string())?;
            Ok(vec![
                (age.clone(), file.as_bytes().to_vec()),
                (list.clone(), text.into_bytes()),
            ])
        }
    }
}

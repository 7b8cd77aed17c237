//! Two sites that meet by a stick alone.

mod epochs;
mod histories;
mod hostile;
mod trip;

use std::path::PathBuf;

use crate::cli::{Home, Said};

/// A directory that is carried from one site to the other.
struct Stick(tempfile::TempDir);

impl Stick {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, file: &str) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }
}

/// Another home of the same person: the same identity, and no vault yet.
fn other_home(of: &Home) -> Home {
    let home = Home::empty();
    std::fs::create_dir_all(home.path("config/strongroom")).unwrap();
    std::fs::copy(of.identity(), home.identity()).unwrap();
    home
}

/// Two clones of one vault with these secrets; the second was made of a bundle.
fn two_sites(stick: &Stick, secrets: &[(&str, &str)]) -> (Home, Home) {
    let a = Home::new();
    for (name, value) in secrets {
        a.put(name, value);
    }
    create(&a, stick, "first", &[]);
    let b = other_home(&a);
    settle(&b, stick, "first", &[]).ok();
    (a, b)
}

fn create(home: &Home, stick: &Stick, file: &str, more: &[&str]) -> Said {
    let file = stick.at(file);
    let mut args = vec!["bundle", "create", "-o", &file];
    args.extend(more);
    home.run(args).ok()
}

fn settle(home: &Home, stick: &Stick, file: &str, more: &[&str]) -> Said {
    let (file, vault) = (stick.at(file), home.vault());
    let mut args = vec!["bundle", "apply", &file, "--as-new-vault"];
    args.push(vault.to_str().unwrap());
    args.extend(more);
    home.run(args)
}

fn apply(home: &Home, stick: &Stick, file: &str) -> Said {
    home.run(["bundle", "apply", &stick.at(file)])
}

/// What the vault says of its secrets: the metadata files, by path below the vault.
fn metadata(home: &Home) -> Vec<(PathBuf, String)> {
    let vault = home.vault();
    let files = home.find(".toml").into_iter();
    let files = files.filter(|path| path.starts_with(vault.join("secrets")));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&vault).unwrap().to_owned(), text)
    };
    files.map(read).collect()
}

//! A member with an ssh key, with the real program and real keys.

use std::path::PathBuf;
use std::process::Command;

use strongroom::cli::Exit;

use crate::cli::Home;

/// A key of OpenSSH's own making and its public half; none where there is no OpenSSH.
fn ssh_key(home: &Home, name: &str, passphrase: &str) -> Option<(PathBuf, String)> {
    let path = home.path(name);
    let made = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            "ed25519",
            "-C",
            "bob@example.org",
            "-N",
            passphrase,
            "-f",
        ])
        .arg(&path)
        .status();
    let Ok(made) = made else {
        eprintln!("skipped: no ssh-keygen; Debian has it in the package openssh-client");
        return None;
    };
    assert!(made.success());
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    Some((path, public.trim().to_owned()))
}

#[test]
fn an_ssh_key_opens_the_vault_plain_and_under_a_passphrase() {
    let ann = Home::new();
    ann.put("db", "one");
    for (name, passphrase) in [("plain", ""), ("sealed", "sesame street")] {
        let bob = Home::empty();
        let Some((key, public)) = ssh_key(&bob, "id_ed25519", passphrase) else {
            return;
        };
        ann.run(["members", "add", name, &public, "--yes"]).ok();
        let ask = |passphrase: Option<&str>, args: &[&str]| {
            let mut all = args.to_vec();
            let vault = ann.vault();
            all.extend(["-C", vault.to_str().unwrap()]);
            if passphrase.is_some() {
                all.extend(["--passphrase-fd", "0"]);
            }
            let mut command = bob.command();
            command.env("STRONGROOM_IDENTITY_FILE", &key).args(all);
            crate::cli::fed(command, passphrase.unwrap_or_default().as_bytes())
        };
        let right = (!passphrase.is_empty()).then_some(passphrase);
        assert_eq!(ask(right, &["get", "db"]).ok().out, "one");
        if right.is_some() {
            ask(Some("another"), &["get", "db"])
                .ends(Exit::NoIdentity)
                .has("passphrase");
            assert_eq!(ask(None, &["get", "db"]).ends(Exit::Locked).out, "");
        }
        ask(right, &["fsck"]).ok();
        // Removed, the key opens nothing any more.
        ann.run(["members", "rm", name, "--yes"]).ok();
        ask(right, &["get", "db"]).ends(Exit::NoIdentity);
    }
}

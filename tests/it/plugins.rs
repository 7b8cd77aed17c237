//! Age plugins as members (crypto.md section 2), with a plugin that really runs, with
//! Debian's age as the second reader, and on a terminal that `script` makes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::home::{Home, output, said};
use crate::reader::Reader;

const PLUGIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/age-plugin-locket"
);
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

struct Person {
    home: Home,
    /// The directory of plugins that is on their PATH.
    bin: PathBuf,
}

impl Person {
    fn new() -> Self {
        let home = Home::new();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        Self { home, bin }
    }

    fn installs(&self) {
        let target = self.bin.join("age-plugin-locket");
        fs::copy(PLUGIN, &target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn allows(&self, names: &str) {
        let dir = self.home.path().join(".config/strongroom");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), format!("plugins = [{names}]\n")).unwrap();
    }

    /// Makes an identity of the plugin's in a file; gives its recipient.
    fn makes(&self, name: &str, behaviour: &str) -> (PathBuf, String) {
        let made = Command::new(PLUGIN)
            .args(["--make", behaviour])
            .output()
            .unwrap();
        let text = String::from_utf8(made.stdout).unwrap();
        let file = self.home.path().join(name);
        fs::write(&file, &text).unwrap();
        let line = text.lines().next().unwrap();
        let key = line.strip_prefix("# public key: ").unwrap();
        (file, key.to_owned())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", format!("{}:{PATH}", self.bin.display()))
            .env("AWS_SECRET_ACCESS_KEY", "canary")
            .current_dir(self.home.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "ann")
                .env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        }
        command
    }

    fn run(&self, args: &[&str], identity: Option<&PathBuf>) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_strongroom"));
        command
            .args(args)
            .env("STRONGROOM_VAULT", self.home.vault());
        if let Some(file) = identity {
            command.env("STRONGROOM_IDENTITY_FILE", file);
        }
        output(command, b"s3cret")
    }

    fn ok(&self, args: &[&str], identity: Option<&PathBuf>) -> String {
        let done = self.run(args, identity);
        assert!(done.status.success(), "{args:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    }

    fn fails(&self, args: &[&str], identity: Option<&PathBuf>, code: i32) -> String {
        let done = self.run(args, identity);
        assert_eq!(done.status.code(), Some(code), "{args:?}: {}", said(&done));
        said(&done)
    }

    /// What the plugin was started with, a JSON object a run.
    fn log(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.home.path().join("locket.log")).unwrap_or_default();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        ["default.age", "default.toml"]
            .map(|file| fs::read(self.home.vault().join("keys").join(file)).unwrap())
            .into()
    }
}

/// A vault of ann's with one secret.
fn vault() -> Person {
    let ann = Person::new();
    ann.ok(&["init", "--no-passphrase", "--member", "ann"], None);
    ann.ok(&["put", "app/token"], None);
    ann
}

#[test]
fn crypto_2_a_plugin_that_is_not_on_the_list_is_not_run_and_nothing_is_written() {
    let ann = vault();
    ann.installs();
    let (file, key) = ann.makes("locket.key", "0");
    let before = ann.keys();
    for list in ["", "\"yubikey\""] {
        ann.allows(list);
        let error = ann.fails(&["members", "add", "bob", &key, "--yes"], None, 6);
        assert!(error.contains("the age plugin locket is needed, and it is not on your list"));
        assert!(error.contains("plugins = [\"locket\"]"), "{error}");
        let error = ann.fails(&["get", "app/token"], Some(&file), 6);
        assert!(error.contains("not on your list"), "{error}");
    }
    // What is in the vault's directory allows nothing, and runs from no relative PATH.
    fs::write(
        ann.home.vault().join("config.toml"),
        "plugins = [\"locket\"]\n",
    )
    .unwrap();
    ann.fails(&["members", "add", "bob", &key, "--yes"], None, 6);
    assert!(ann.log().is_empty(), "it ran");
    assert_eq!(ann.keys(), before);

    ann.allows("\"locket\"");
    fs::remove_file(ann.bin.join("age-plugin-locket")).unwrap();
    let error = ann.fails(&["members", "add", "bob", &key, "--yes"], None, 6);
    assert!(
        error.contains("no directory of PATH has age-plugin-locket"),
        "{error}"
    );
    assert_eq!(ann.keys(), before);
}

#[test]
fn a_member_with_a_plugin_opens_the_vault_and_so_does_debians_age() {
    let ann = vault();
    ann.installs();
    ann.allows("\"locket\"");
    let (file, key) = ann.makes("locket.key", "0");
    let joined = ann.run(&["join", "--name", "bob"], Some(&file));
    assert!(String::from_utf8_lossy(&joined.stdout).contains(&key));
    ann.ok(&["members", "add", "bob", &key, "--yes"], None);
    assert!(ann.ok(&["members", "ls"], None).contains(&key));
    if let Some(reader) = Reader::find() {
        let read = reader.verify(&ann.home, None);
        assert!(read.status.success(), "{}", said(&read));
    }
    assert_eq!(ann.ok(&["get", "app/token"], Some(&file)), "s3cret");
    // A second member of the plugin's, and a removal, which is a rekey.
    let (other, second) = ann.makes("other.key", "0");
    ann.ok(&["members", "add", "carol", &second, "--yes"], Some(&file));
    assert_eq!(ann.ok(&["get", "app/token"], Some(&other)), "s3cret");
    ann.ok(&["members", "rm", "carol", "--yes"], Some(&file));
    assert_eq!(ann.ok(&["get", "app/token"], Some(&file)), "s3cret");
    assert_eq!(ann.ok(&["get", "app/token"], None), "s3cret");
    ann.fails(&["get", "app/token"], Some(&other), 6);

    for run in ann.log() {
        let env = run["env"].as_object().unwrap();
        for name in env.keys() {
            let is_ours = name.starts_with("STRONGROOM") || name.starts_with("AWS");
            assert!(!is_ours, "{name}");
        }
        assert_eq!(run["cwd"], "/");
        assert_eq!(run["fds"], serde_json::json!([]));
    }
    assert!(
        ann.log()
            .iter()
            .any(|r| r["argument"] == "--age-plugin=identity-v1")
    );

    if Command::new("age").arg("--version").output().is_err() {
        eprintln!("skipped: there is no age to read the keyring with");
        return;
    }
    let mut age = ann.command("age");
    age.args(["-d", "-i"]).arg(&file);
    age.arg(ann.home.vault().join("keys/default.age"));
    let opened = output(age, b"");
    let text = String::from_utf8_lossy(&opened.stdout).into_owned();
    assert!(text.contains("AGE-SECRET-KEY-1"), "{}", said(&opened));
    // And the other way: what Debian's age encrypts with the plugin, we open.
    let keyring = ann.home.path().join("keyring");
    fs::write(&keyring, &text).unwrap();
    let mut age = ann.command("age");
    age.args(["-r", &key, "-o"]);
    age.arg(ann.home.vault().join("keys/default.age"))
        .arg(&keyring);
    assert!(output(age, b"").status.success());
    assert_eq!(ann.ok(&["get", "app/token"], Some(&file)), "s3cret");
}

#[test]
fn a_plugin_that_refuses_or_dies_is_named_and_nothing_is_written() {
    let ann = vault();
    ann.installs();
    ann.allows("\"locket\"");
    let before = ann.keys();
    for (behaviour, words) in [
        ("3", "the locket is broken"),
        ("4", "ended before it had answered"),
    ] {
        let (_, key) = ann.makes("k", behaviour);
        let error = ann.fails(&["members", "add", "bob", &key, "--yes"], None, 6);
        assert!(
            error.contains("age-plugin-locket") && error.contains(words),
            "{error}"
        );
    }
    assert_eq!(ann.keys(), before);

    // It asks for a PIN, and there is no terminal.
    let (file, key) = ann.makes("k", "1");
    ann.ok(&["members", "add", "bob", &key, "--yes"], None);
    let error = ann.fails(&["get", "app/token"], Some(&file), 6);
    assert!(error.contains("age-plugin-locket: wrong PIN"), "{error}");
    assert!(!error.contains('\u{1b}'), "{error}");
}

#[test]
fn a_vault_can_begin_with_a_plugins_key_that_the_plugin_opens() {
    let ann = Person::new();
    let (file, _) = ann.makes("locket.key", "0");
    ann.installs();
    ann.fails(&["init", "--member", "ann"], Some(&file), 6);
    assert!(!ann.home.vault().join("strongroom.toml").exists());
    ann.allows("\"locket\"");
    ann.ok(&["init", "--member", "ann"], Some(&file));
    ann.ok(&["put", "app/token"], Some(&file));
    assert_eq!(ann.ok(&["get", "app/token"], Some(&file)), "s3cret");

    // The file says another key's public half: nobody could open what it begins.
    let (_, other) = ann.makes("other.key", "0");
    let text = fs::read_to_string(&file).unwrap();
    let wrong = text.lines().last().unwrap();
    fs::write(&file, format!("# public key: {other}\n{wrong}\n")).unwrap();
    fs::remove_dir_all(ann.home.vault()).unwrap();
    let error = ann.fails(&["init", "--member", "ann"], Some(&file), 6);
    assert!(
        error.contains("does not open what is encrypted to"),
        "{error}"
    );
    assert!(!ann.home.vault().join("strongroom.toml").exists());
}

/// Runs the program on a terminal, and types each answer once its question is there.
/// Gives what the terminal showed; `None` where there is no `script`.
fn typed(ann: &Person, identity: &PathBuf, args: &str, answers: &[(&str, &str)]) -> Option<String> {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no script(1)");
        return None;
    }
    let mut command = ann.command("script");
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_strongroom"));
    let mut child = command
        .args(["-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("STRONGROOM_VAULT", ann.home.vault())
        .env("STRONGROOM_IDENTITY_FILE", identity)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut seen = 0;
    let mut answers = answers.iter();
    let mut next = answers.next();
    let mut bytes = [0; 4096];
    loop {
        let count = screen.read(&mut bytes).unwrap();
        if count == 0 {
            break;
        }
        shown.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&shown[seen..]).into_owned();
        if let Some((question, answer)) = next
            && text.contains(question)
        {
            seen = shown.len();
            writeln!(keyboard, "{answer}").unwrap();
            next = answers.next();
        }
    }
    drop(keyboard);
    assert!(
        next.is_none(),
        "never asked: {}",
        String::from_utf8_lossy(&shown)
    );
    child.wait().unwrap();
    Some(String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn what_a_plugin_asks_is_asked_on_the_terminal_and_cannot_steer_it() {
    let ann = vault();
    ann.installs();
    ann.allows("\"locket\"");
    for behaviour in ["1", "2"] {
        let (_, key) = ann.makes(&format!("{behaviour}.key"), behaviour);
        ann.ok(&["members", "add", behaviour, &key, "--yes"], None);
    }
    let (pin, press) = (ann.home.path().join("1.key"), ann.home.path().join("2.key"));
    let get = "get app/token --show";
    let asked = [("age-plugin-locket: PIN of the locket: ", "1234")];
    let Some(shown) = typed(&ann, &pin, get, &asked) else {
        return;
    };
    // On a terminal the value has a line of its own.
    assert!(shown.ends_with("s3cret\r\n"), "{shown}");
    assert!(!shown.contains("1234"), "{shown}");
    let asked = [("PIN of the locket: ", "9")];
    let shown = typed(&ann, &pin, get, &asked).unwrap();
    assert!(shown.contains("wrong PIN \\u{1b}[31m"), "{shown}");

    let question = "[y] open it  [n] leave it:";
    let shown = typed(&ann, &press, get, &[(question, "y")]).unwrap();
    assert!(
        shown.contains("age-plugin-locket: press the locket\\u{1b}[2J"),
        "{shown}"
    );
    assert!(shown.ends_with("s3cret\r\n"), "{shown}");
    let shown = typed(&ann, &press, get, &[(question, "n")]).unwrap();
    assert!(shown.contains("left closed"), "{shown}");
}

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::*;
use crate::crypto::{
    EncryptError, HasMemberKey as _, Identity, Member as _, MemberKey, MemberKeyError, OpenError,
    encrypt_keyring,
};
use crate::model::Timestamp;

const RECIPIENT: &str = "age1locket1qqqsyqcyq5rqwzqfpg9scrgwpurx54ph";
const IDENTITY: &str = "AGE-PLUGIN-LOCKET-1QQQSYQCYQ5RQWZQFPG9SCRGWPULXEG2L";

/// A plugin that says what it was given to say, whatever it hears.
struct Scripted {
    says: String,
    heard: Arc<Mutex<Vec<u8>>>,
    started: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(says: &str) -> Arc<Self> {
        Arc::new(Self {
            says: says.to_owned(),
            heard: Arc::default(),
            started: Mutex::default(),
        })
    }

    fn heard(&self) -> String {
        String::from_utf8(self.heard.lock().unwrap().clone()).unwrap()
    }
}

struct Ear(Arc<Mutex<Vec<u8>>>);

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl PluginHost for Scripted {
    fn start(&self, name: &PluginName, machine: Machine) -> Result<PluginPipe, PluginError> {
        let started = format!("{name} {}", machine.argument());
        self.started.lock().unwrap().push(started);
        Ok(PluginPipe {
            to: Box::new(Ear(Arc::clone(&self.heard))),
            from: Box::new(Cursor::new(self.says.clone().into_bytes())),
        })
    }

    fn say(&self, _: &PluginName, _: &str) {}

    fn confirm(&self, _: &PluginName, _: &str, _: &str, no: Option<&str>) -> Option<bool> {
        Some(no.is_none())
    }

    fn ask(&self, _: &PluginName, _: &str) -> Option<String> {
        None
    }

    fn ask_secret(&self, _: &PluginName, _: &str) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new("1234".to_owned()))
    }
}

fn encrypted(says: &str) -> (Result<usize, EncryptError>, Arc<Scripted>) {
    let host = Scripted::new(says);
    let shared: Arc<dyn PluginHost> = host.clone();
    let keys = [
        RECIPIENT.parse().unwrap(),
        Identity::generate().member_key(),
    ];
    let members = Hosted::all(keys, &shared);
    let keyring = Identity::generate();
    let file = encrypt_keyring(&keyring, Timestamp::from_secs(0), &members);
    (file.map(|f| f.as_bytes().len()), host)
}

fn opened(says: &str) -> Result<Identity, OpenError> {
    let file = format!("# public key: {RECIPIENT}\n{IDENTITY}\n");
    let key = PluginKeyFile::parse(file.as_bytes()).unwrap();
    let key = key.open(Scripted::new(says));
    let to = [Identity::generate().member_key()];
    let keyring = Identity::generate();
    let file = encrypt_keyring(&keyring, Timestamp::from_secs(0), &to).unwrap();
    key.open_keyring(file.as_bytes())
}

#[test]
fn crypto_2_a_plugins_name_cannot_be_a_path() {
    for name in ["yubikey", "se", "a+b-c.d_e", &"n".repeat(64)] {
        assert!(name.parse::<PluginName>().is_ok(), "{name}");
    }
    let long = "n".repeat(65);
    for name in [
        "", "a/b", "../x", "a b", "A", "ü", "a\0", "a\n", "a\\b", &long,
    ] {
        assert_eq!(name.parse::<PluginName>(), Err(PluginNameError), "{name:?}");
    }
    // Each with a right checksum.
    for text in [
        "age1../../bin/sh1qqqsyqcyq5rqwzqfpg9scrgwpusre92d",
        "age1a/b1qqqsyqcyq5rqwzqfpg9scrgwpudmj97n",
        "age11qqqsyqcyq5rqwzqfpg9scrgwpux633j7",
        "age1nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn1qqqsyqcyq5rqwzqfpg9scrgwpu33uc2l",
    ] {
        assert_eq!(
            text.parse::<MemberKey>(),
            Err(MemberKeyError::Plugin),
            "{text}"
        );
    }
    let upper = RECIPIENT.to_uppercase();
    let typo = RECIPIENT.replace("54ph", "54pq");
    for text in [upper.as_str(), &typo] {
        assert!(text.parse::<MemberKey>().is_err(), "{text}");
    }
    let file = format!("# {RECIPIENT}\nAGE-PLUGIN-../X-1QQQSYQCYQ5RQWZQFPG9SCRGWPU5HZ3RW\n");
    let parsed = PluginKeyFile::parse(file.as_bytes()).err();
    assert_eq!(parsed, Some(PluginFileError::Line { line: 2 }));
}

#[test]
fn a_plugins_recipient_is_a_members_key_in_one_spelling() {
    let key: MemberKey = RECIPIENT.parse().unwrap();
    assert_eq!(key.to_string(), RECIPIENT);
    assert_eq!(MemberKey::from_person(RECIPIENT), Ok(key.clone()));
    let MemberKey::Plugin(plugin) = key else {
        panic!("a plugin's");
    };
    assert_eq!(plugin.plugin().program(), "age-plugin-locket");
}

#[test]
fn a_plugins_identity_file_says_its_public_key() {
    let is = |text: &str| PluginKeyFile::is_plugin(text.as_bytes());
    assert!(is(&format!("# x\n\n{IDENTITY}\n")));
    assert!(!is("# AGE-PLUGIN-X-1\nAGE-SECRET-KEY-1\n"));
    let parse = |text: String| PluginKeyFile::parse(text.as_bytes());
    for comment in ["public key:", "   Recipient:"] {
        let key = parse(format!("#{comment} {RECIPIENT}\r\n{IDENTITY}\r\n"));
        let key = key.ok().unwrap().open(Arc::new(NoPlugins));
        assert_eq!(key.member_key().to_string(), RECIPIENT);
        assert_eq!(key.plugin().as_str(), "locket");
    }
    let other = "age1other1qqqsyqcyq5rqwzqfpg9scrgwpuk6wy7s";
    for (text, error) in [
        (IDENTITY.to_owned(), PluginFileError::NoRecipient),
        (
            format!("# {other}\n{IDENTITY}"),
            PluginFileError::NoRecipient,
        ),
        (
            format!("{IDENTITY}\n{IDENTITY}"),
            PluginFileError::Line { line: 2 },
        ),
        (IDENTITY.to_lowercase(), PluginFileError::Line { line: 1 }),
        (format!("{IDENTITY}Q"), PluginFileError::Line { line: 1 }),
        (String::new(), PluginFileError::Line { line: 1 }),
    ] {
        assert_eq!(parse(text.clone()).err(), Some(error), "{text}");
    }
}

#[test]
fn crypto_2_without_a_host_no_plugin_runs() {
    let key: MemberKey = RECIPIENT.parse().unwrap();
    let error = encrypt_keyring(&Identity::generate(), Timestamp::from_secs(0), &[key]);
    let name = "locket".parse().unwrap();
    assert_eq!(error, Err(EncryptError::Plugin(PluginError::NoHost(name))));
}

#[test]
fn a_plugin_is_spoken_to_as_the_protocol_says() {
    let says = "-> request-secret\nUElO\n-> confirm eWVz\nUQ\n-> grease\n\n\
        -> recipient-stanza 0 locket x\nAAAA\n-> done\n\n";
    let (file, host) = encrypted(says);
    assert!(file.is_ok(), "{file:?}");
    assert_eq!(
        *host.started.lock().unwrap(),
        ["locket --age-plugin=recipient-v1"]
    );
    let heard = host.heard();
    let begins =
        format!("-> add-recipient {RECIPIENT}\n\n-> extension-labels\n\n-> wrap-file-key\n");
    assert!(heard.starts_with(&begins), "{heard}");
    let ends = "\n-> done\n\n-> ok\nMTIzNA\n-> ok yes\n\n-> unsupported\n\n-> ok\n\n";
    assert!(heard.ends_with(ends), "{heard}");
}

#[test]
fn a_plugin_that_refuses_or_errs_encrypts_nothing() {
    let stanza = "-> recipient-stanza 0 locket x\nAAAA\n";
    let name: PluginName = "locket".parse().unwrap();
    let died = PluginError::Died(name.clone());
    let wrong = |what| PluginError::Protocol {
        name: name.clone(),
        what,
    };
    let said = PluginError::Said {
        name: name.clone(),
        message: "no \\u{1b}[m".to_owned(),
    };
    let long = format!("-> {}\n\n", "x".repeat(20_000));
    for (says, error) in [
        (String::new(), died.clone()),
        (stanza.to_owned(), died),
        (
            "-> done\n\n".to_owned(),
            wrong("fewer stanzas than recipients"),
        ),
        (
            format!("{stanza}-> error recipient 0\nbm8gG1tt\n-> done\n\n"),
            said,
        ),
        (
            "-> recipient-stanza 1 x\n\n".to_owned(),
            wrong("a stanza for no file"),
        ),
        (
            "-> labels a a\n\n".to_owned(),
            wrong("the same label twice"),
        ),
        ("hello\n".to_owned(), wrong("a line that begins no command")),
        (long, wrong("a line that is too long")),
    ] {
        let (file, _) = encrypted(&says);
        assert_eq!(file, Err(EncryptError::Plugin(error)), "{says:.60}");
    }
    // An age X25519 key has no labels, and a file has one set of them.
    let (file, _) = encrypted(&format!("-> labels postquantum\n\n{stanza}-> done\n\n"));
    assert_eq!(file, Err(EncryptError::Mixed));
    // What no reader would accept is not written.
    let many = "-> recipient-stanza 0 locket x\nAAAA\n".repeat(256);
    let (file, _) = encrypted(&format!("{many}-> done\n\n"));
    assert_eq!(file, Err(EncryptError::TooLarge));
    let (file, _) = encrypted("-> recipient-stanza 0 scrypt AAAA 18\nAAAA\n-> done\n\n");
    assert_eq!(file, Err(EncryptError::Refused));
}

#[test]
fn a_plugin_that_finds_nothing_opens_nothing() {
    let name: PluginName = "locket".parse().unwrap();
    let wrong = |what| {
        OpenError::Plugin(PluginError::Protocol {
            name: name.clone(),
            what,
        })
    };
    for (says, error) in [
        ("-> done\n\n", OpenError::NoIdentityMatches),
        ("", OpenError::Plugin(PluginError::Died(name.clone()))),
        (
            "-> file-key 1\nAAAAAAAAAAAAAAAAAAAAAA\n",
            wrong("a file key for no file"),
        ),
        (
            "-> file-key 0\nAAAA\n",
            wrong("a file key of a wrong length"),
        ),
        // Whatever a plugin gives, age checks against the header's mac.
        (
            "-> file-key 0\nAAAAAAAAAAAAAAAAAAAAAA\n-> done\n\n",
            OpenError::Damaged,
        ),
    ] {
        assert_eq!(opened(says).err(), Some(error), "{says}");
    }
}

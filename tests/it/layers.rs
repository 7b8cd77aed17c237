//! The house's rules that a compiler does not hold: who may import whom, and what no
//! room below the command line does (src/lib.rs, design.md section 3).

use std::fs;
use std::path::{Path, PathBuf};

/// Every room with its layer. Imports run towards the lower number only.
const ROOMS: [(&str, u8); 16] = [
    ("model", 0),
    ("plan", 1),
    ("crypto", 1),
    ("store", 1),
    ("config", 1),
    ("vault", 2),
    ("aws", 2),
    ("bundle", 2),
    ("sync", 3),
    ("migrate", 3),
    ("scan", 3),
    ("server", 3),
    ("agent", 3),
    ("exchange", 3),
    ("watch", 3),
    ("cli", 4),
];

/// One source file: its room, its path under `src`, its lines without comments and
/// texts.
struct Source {
    room: String,
    path: String,
    lines: Vec<String>,
}

impl Source {
    /// Whether a line belongs to a unit test: a file of its own or the end of one.
    fn is_test(&self, line: usize) -> bool {
        let file = self.path.rsplit('/').next().unwrap();
        let named = file == "testing.rs"
            || (self.path.split('/'))
                .any(|p| ["tests", "laws"].contains(&p.trim_end_matches(".rs")));
        let begins = |line: &String| line.trim() == "mod tests {";
        named || file.ends_with("_tests.rs") || self.lines.iter().take(line).any(begins)
    }
}

fn sources() -> Vec<Source> {
    let src = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut files = Vec::new();
    collect(&src, &mut files);
    let sources = files.into_iter().map(|file| {
        let path = file
            .strip_prefix(&src)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let first = path.split('/').next().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        Source {
            room: first.trim_end_matches(".rs").to_owned(),
            lines: text.lines().map(code).collect(),
            path,
        }
    });
    sources.collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension() == Some("rs".as_ref()) && !is_test(&path) {
            files.push(path);
        }
    }
}

/// Whether a file holds tests and nothing else: those print and make what they like.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap().file_name().unwrap();
    name.ends_with("tests") || name == "testing" || folder == "laws" || folder == "tests"
}

/// A line without its comment and without what stands in quotes.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            // A quote in a character literal opens nothing.
            '\'' if !quoted && chars.peek() == Some(&'"') => drop(chars.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            c if !quoted => code.push(c),
            _ => {}
        }
    }
    code
}

/// The rooms that are built on one of their own layer, and which.
const USES: [(&str, &str); 1] = [("watch", "sync")];

fn uses(room: &str, other: &str) -> bool {
    USES.contains(&(room, other))
}

fn layer(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(r, _)| *r == room).map(|(_, l)| *l)
}

/// The rooms that a line of code names by a `crate::` path; `use crate::{a, b}` too.
fn named(code: &str) -> Vec<&str> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let end = list.rfind('}').unwrap_or(list.len());
                let parts = list[..end].split(',');
                rooms.extend(parts.filter_map(|p| word(p.trim())));
            }
            None => rooms.extend(word(rest)),
        }
    }
    rooms
}

fn word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    Some(&text[..end.unwrap_or(text.len())]).filter(|w| !w.is_empty())
}

/// Every broken rule, as a sentence.
fn broken(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let Some(own) = layer(&source.room) else {
            if !matches!(source.room.as_str(), "lib" | "main") {
                broken.push(format!(
                    "src/{}: {} is a new room; give it a layer in src/lib.rs and in tests/it/layers.rs",
                    source.path, source.room
                ));
            }
            continue;
        };
        for (number, code) in source.lines.iter().enumerate() {
            let place = format!("src/{}:{}", source.path, number + 1);
            for other in named(code) {
                match layer(other) {
                    Some(layer) if other != source.room && layer >= own && !uses(&source.room, other) => broken.push(format!(
                        "{place}: {} (layer {own}) names {other} (layer {layer}); imports run towards lower layers only, and rooms of one layer do not import each other",
                        source.room
                    )),
                    _ => {}
                }
            }
            if code.contains("crate::{") && !code.contains('}') {
                broken.push(format!(
                    "{place}: this import names several rooms over several lines; write one `use` for each room, so that it can be read line by line"
                ));
            }
            for rule in RULES {
                if rule.spares_tests && source.is_test(number) {
                    continue;
                }
                let has = rule.words.iter().find(|w| has_word(code, w));
                if let Some(word) = has.filter(|_| (rule.applies)(&source.room)) {
                    broken.push(format!("{place}: `{word}`: {}", rule.reason));
                }
            }
        }
    }
    broken
}

/// Words that have no place in some rooms.
struct Rule {
    words: &'static [&'static str],
    applies: fn(&str) -> bool,
    /// Whether unit tests may all the same.
    spares_tests: bool,
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["SecretValue", "expose_secret"],
        applies: |room| room == "plan",
        spares_tests: false,
        reason: "a plan is made without seeing a value, so it can be shown and saved",
    },
    Rule {
        words: &[
            "aws_config",
            "aws_sdk_secretsmanager",
            "aws_sdk_sts",
            "aws_smithy_types",
            "aws_smithy_runtime_api",
            "aws_types",
            "aws_credential_types",
            "aws_sigv4",
        ],
        applies: |room| room != "aws",
        spares_tests: false,
        reason: "AWS's types stay in src/aws; everything else speaks the model's",
    },
    Rule {
        words: &[
            "println!",
            "eprintln!",
            "print!",
            "eprint!",
            "stdout()",
            "stderr()",
        ],
        applies: |room| room != "cli",
        spares_tests: true,
        reason: "only the command line prints",
    },
    Rule {
        words: &["env::var", "env::var_os", "env::vars", "env::args"],
        applies: |room| room != "cli" && room != "main",
        spares_tests: false,
        reason: "only the command line reads the environment; settings come in as arguments",
    },
    Rule {
        words: &[
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "Utc::now",
        ],
        applies: |room| room != "cli",
        spares_tests: false,
        reason: "only the command line asks the time; everything else is told it",
    },
    Rule {
        words: &["Uuid::new_v4", "Uuid::now_v7"],
        applies: |room| room != "cli",
        spares_tests: false,
        reason: "only the command line makes ids; everything else is given them",
    },
];

/// Whether a word stands in the code by itself, not as a part of another one.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(part);
        let after = code[at + word.len()..].chars().next().is_some_and(part);
        let goes_on = after && word.ends_with(part);
        !before && !goes_on
    })
}

#[test]
fn imports_run_one_way_and_the_outer_world_stays_outside() {
    let sources = sources();
    assert!(sources.len() > 80, "only {} files found", sources.len());
    for (room, _) in ROOMS {
        assert!(
            sources.iter().any(|s| s.room == room),
            "there is no room {room} any more; take it out of the table"
        );
    }
    let broken = broken(&sources);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_table_is_that_of_lib_rs() {
    let lib = include_str!("../../src/lib.rs");
    for (room, layer) in ROOMS {
        let row = |mark: &str| format!("//! | {layer} | {mark} |");
        assert!(
            lib.contains(&row(&format!("[`{room}`]"))) || lib.contains(&row(&format!("`{room}`"))),
            "src/lib.rs does not list {room} in layer {layer}"
        );
    }
}

#[test]
fn what_the_rules_forbid_is_found() {
    let found = |path: &str, line: &str| {
        let room = path.split('/').next().unwrap().trim_end_matches(".rs");
        let source = Source {
            room: room.to_owned(),
            path: path.to_owned(),
            lines: vec![code(line)],
        };
        broken(&[source]).len()
    };
    for (path, line) in [
        ("model/a.rs", "use crate::plan::Plan;"),
        ("plan/a.rs", "use crate::store::SecretStore;"),
        ("crypto/a.rs", "    let x = crate::config::Config::new();"),
        ("vault/a.rs", "use crate::{model::Record, aws::AwsStore};"),
        ("store/a.rs", "pub use crate::sync::Report;"),
        ("vault/a.rs", "use crate::{"),
        ("sync/a.rs", "use crate::cli::Ui;"),
        ("sync/a.rs", "use crate::watch::Host;"),
        ("watch/a.rs", "use crate::agent::Clock;"),
        ("plan/a.rs", "use crate::model::{Change, SecretValue};"),
        ("sync/a.rs", "use aws_sdk_sts::Client;"),
        ("cli/a.rs", "    aws_config::load();"),
        ("vault/a.rs", "    eprintln!(\"x\");"),
        ("vault/a.rs", "    let t = SystemTime::now();"),
        ("crypto/a.rs", "    let home = std::env::var_os(\"HOME\");"),
        ("sync/a.rs", "    let id = Uuid::new_v4();"),
        ("brand_new/a.rs", ""),
    ] {
        assert_eq!(found(path, line), 1, "{path}: {line}");
    }
    for (path, line) in [
        ("plan/a.rs", "use crate::model::Change; // not crate::vault"),
        ("plan/a.rs", "    let text = \"crate::vault\";"),
        ("watch/a.rs", "use crate::sync::Options;"),
        ("vault/a.rs", "use crate::vault::disk::Root;"),
        (
            "sync/a.rs",
            "/// As [`SecretValue`] says, println! is not for here.",
        ),
        ("cli/a.rs", "    println!(\"x\");"),
        ("aws/a.rs", "use aws_sdk_sts::Client;"),
        ("vault/a.rs", "    let my_println = sprint!();"),
    ] {
        assert_eq!(found(path, line), 0, "{path}: {line}");
    }
}

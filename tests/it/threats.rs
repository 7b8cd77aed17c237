//! The book's threat tables name their tests: every row has one, and it is there.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "node_modules" {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The rows of the tables in a part of the page: the cells of each.
fn rows(part: &str) -> Vec<Vec<String>> {
    let lines = part.lines().filter(|line| line.starts_with('|'));
    let cells = lines.map(|line| {
        let inner = line.trim_matches('|').split('|');
        inner.map(|cell| cell.trim().to_owned()).collect()
    });
    let is_row = |cells: &Vec<String>| {
        let first = cells.first().map_or("", String::as_str);
        !first.starts_with("---") && first != "attacker" && !first.starts_with("what is done")
    };
    cells.filter(is_row).collect()
}

/// What a cell has between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_of_the_threat_tables_names_a_test_that_is_there() {
    let page = Path::new(ROOT).join("book/src/inside/threat-model.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (before, rest) = page
        .split_once("## Each row, and the test that holds it")
        .unwrap();
    let (tests, _) = rest.split_once("\n## ").unwrap();
    let mut files = Vec::new();
    for dir in ["src", "tests/it"] {
        sources(&Path::new(ROOT).join(dir), &mut files);
    }
    let code: Vec<String> = files
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let is_test = |name: &str| {
        let head = format!("fn {name}(");
        code.iter().any(|text| {
            let mut parts = text.split(&head);
            let before = parts.next().unwrap_or_default();
            parts.next().is_some()
                && before
                    .rsplit('\n')
                    .take(8)
                    .any(|line| line.trim() == "#[test]" || line.contains("::test]"))
        })
    };
    let table = rows(tests);
    assert!(table.len() > 15, "the tables are not read: {table:?}");
    for row in &table {
        let [what, cell] = row.as_slice() else {
            panic!("a row of other columns: {row:?}");
        };
        let mut named = 0;
        for name in quoted(cell) {
            if name.contains('/') {
                assert!(Path::new(ROOT).join(name).exists(), "{what}: {name}");
            } else {
                assert!(is_test(name), "{what}: no test {name}");
                named += 1;
            }
        }
        assert!(named > 0, "{what}: names no test");
    }
    // And every attacker of the first table has a row of tests.
    let attackers = rows(before);
    assert!(attackers.len() > 8, "{attackers:?}");
    for row in attackers {
        let who = row.first().unwrap();
        let has = table.iter().any(|row| row.first() == Some(who));
        assert!(has, "no tests for: {who}");
    }
}

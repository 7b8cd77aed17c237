use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn root() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    (dir, root)
}

fn put(root: &Root, path: &str, bytes: &[u8]) -> Result<(), DiskError> {
    root.write(path, bytes, Existing::Replace, Durable::Now)
}

fn names(root: &Root, path: &str) -> Vec<String> {
    let mut names: Vec<String> = root
        .list(path)
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_comes_back_and_only_its_owner_may_read_it() {
    let (dir, root) = root();
    put(&root, "a/b/c.toml", b"one").unwrap();
    put(&root, "a/b/c.toml", b"second").unwrap();
    assert_eq!(root.read("a/b/c.toml", 6).unwrap().0, b"second");
    let mode = |p: &str| dir.path().join(p).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("a/b/c.toml"), 0o600);
    assert_eq!(mode("a"), 0o700);
    assert_eq!(mode("a/b"), 0o700);
    assert_eq!(names(&root, "a/b"), ["c.toml"]);
    root.remove("a/b/c.toml").unwrap();
    root.remove("a/b/c.toml").unwrap();
    assert!(root.read("a/b/c.toml", 6).unwrap_err().is_not_found());
}

#[test]
fn an_immutable_file_stays() {
    let (_dir, root) = root();
    let keep = |bytes| root.write("x.age", bytes, Existing::Keep, Durable::Later);
    keep(b"one").unwrap();
    keep(b"one").unwrap();
    for other in [b"two".as_slice(), b"o", b"onetwo"] {
        assert!(matches!(keep(other), Err(DiskError::Exists { .. })));
    }
    assert_eq!(root.read("x.age", 10).unwrap().0, b"one");
    assert_eq!(names(&root, ""), ["x.age"]);
    root.sync().unwrap();
}

#[test]
fn links_pipes_and_giants_are_refused() {
    let (dir, root) = root();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("f"), b"x").unwrap();
    put(&root, "d/f", b"x").unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(dir.path().join("d/f"), dir.path().join("link")).unwrap();
    symlink("d", dir.path().join("near")).unwrap();
    for path in ["out/f", "link", "near/f", "../x"] {
        let error = root.read(path, 10).unwrap_err();
        assert!(
            matches!(error, DiskError::Symlink { .. }),
            "{path}: {error}"
        );
    }
    for path in ["out/new", "near/new", "near/deep/new"] {
        let error = put(&root, path, b"x").unwrap_err();
        assert!(
            matches!(error, DiskError::Symlink { .. }),
            "{path}: {error}"
        );
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    for path in ["pipe", "d"] {
        let error = root.read(path, 10).unwrap_err();
        assert!(
            matches!(error, DiskError::NotAFile { .. }),
            "{path}: {error}"
        );
    }
    put(&root, "big", &[0; 11]).unwrap();
    assert!(matches!(
        root.read("big", 10),
        Err(DiskError::TooLarge { cap: 10, .. })
    ));
    // A link that has the name of a file is replaced, not followed.
    put(&root, "link", b"mine").unwrap();
    assert_eq!(root.read("link", 10).unwrap().0, b"mine");
    assert_eq!(root.read("d/f", 10).unwrap().0, b"x");
}

#[test]
fn without_openat2_the_same_is_refused() {
    let (dir, root) = root();
    put(&root, "d/f", b"x").unwrap();
    symlink("d", dir.path().join("near")).unwrap();
    symlink("d/f", dir.path().join("link")).unwrap();
    let open = |path| root.open_by_component(path, OFlags::RDONLY | OFlags::NOFOLLOW);
    assert!(open("d/f").is_ok());
    for path in ["near/f", "link", "../x", "d/../d/f"] {
        assert!(open(path).is_err(), "{path}");
    }
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let (dir, root) = root();
    // The target is a directory with something in it, so the last step fails.
    put(&root, "d/target/f", b"x").unwrap();
    let error = put(&root, "d/target", b"new").unwrap_err();
    assert!(matches!(error, DiskError::Io { .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    assert_eq!(names(&root, "d"), ["target"]);
    // A file where a directory is needed.
    put(&root, "file", b"x").unwrap();
    assert!(put(&root, "file/below", b"x").is_err());
    assert_eq!(names(&root, ""), ["d", "file"]);
}

#[test]
fn a_directory_open_to_all_is_noticed() {
    let (dir, _root) = root();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&inner, 0o700);
    assert_eq!(exposed(&inner), None);
    set(&inner, 0o707);
    assert_eq!(exposed(&inner), Some(inner.canonicalize().unwrap()));
    set(&inner, 0o1777);
    assert_eq!(exposed(&inner), Some(inner.canonicalize().unwrap()));
    set(&inner, 0o700);
    set(dir.path(), 0o1777);
    assert_eq!(exposed(&inner), None);
    set(dir.path(), 0o777);
    assert_eq!(exposed(&inner), Some(dir.path().canonicalize().unwrap()));
}

#[test]
fn only_our_own_temporary_files_are_leftovers() {
    assert!(is_leftover(".strongroom-12-3.tmp"));
    for name in ["x.tmp", ".strongroom-12-3", "a.strongroom-1.tmp"] {
        assert!(!is_leftover(name), "{name}");
    }
}

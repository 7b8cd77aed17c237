use super::*;

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
/// A version id with all that JSON treats specially.
const ODD: &str = "odd \"id\"\\\n\t\u{1}\u{7f} é/ \u{2028} 0123456789abcdef";

fn header(size: usize) -> ContainerHeader {
    ContainerHeader {
        vault: VAULT.to_owned(),
        name: "Prod/db".parse().unwrap(),
        version: ODD.parse().unwrap(),
        kind: Kind::String,
        created: Some("2018-04-11T20:05:45.729Z".parse().unwrap()),
        salt: std::array::from_fn(|n| u8::try_from(n).unwrap()),
        size,
    }
}

/// The text of a good container, without its padding.
fn text() -> String {
    let bytes = pack(&header(4), b"word");
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.trim_end_matches('\0').to_owned()
}

/// Pads a text as it should be and reads it.
fn read(text: &str) -> Result<ContainerHeader, BadContainer> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(padded(bytes.len()), 0);
    unpack(&bytes).map(|(header, _)| header)
}

#[test]
fn these_are_the_bytes_of_format_1() {
    let payload = "pässword".as_bytes();
    let bytes = pack(&header(payload.len()), payload);
    // Written by the second implementation, in Python.
    assert!(*bytes == include_bytes!("../testdata/value_container.bin"));
    let (read, content) = unpack(&bytes).unwrap();
    assert_eq!(read, header(payload.len()));
    assert_eq!(content, payload);
}

#[test]
fn padme_lengths() {
    // From the definition in PURBs, section 4.
    for (length, expected) in [
        (0, 512),
        (1, 512),
        (511, 512),
        (512, 512),
        (513, 544),
        (544, 544),
        (545, 576),
        (1000, 1024),
        (1024, 1024),
        (1025, 1088),
        (9000, 9216),
        (65_536, 65_536),
        (65_537, 67_584),
        (69_632, 69_632),
    ] {
        assert_eq!(padded(length), expected, "{length}");
    }
    assert_eq!(MAX_CONTAINER, 69_632);
    for length in 513..70_000 {
        let long = padded(length);
        assert!(long >= length && long * 100 < length * 112, "{length}");
        assert_eq!(padded(long), long);
    }
}

#[test]
fn every_size_comes_back_and_the_largest_fits() {
    for size in [0, 1, 250, 300, 1000, 65_535, 65_536] {
        let payload = vec![0; size];
        let bytes = pack(&header(size), &payload);
        assert!(bytes.len() <= MAX_CONTAINER);
        let (read, content) = unpack(&bytes).unwrap();
        assert_eq!((read.size, content.len()), (size, size));
    }
    let mut longest = header(65_536);
    longest.name = "n".repeat(512).parse().unwrap();
    longest.version = "\u{1}".repeat(64).parse().unwrap();
    let bytes = pack(&longest, &vec![1; 65_536]);
    assert!(bytes.len() <= MAX_CONTAINER);
    assert_eq!(unpack(&bytes).unwrap().0, longest);
}

#[test]
fn each_line_has_one_spelling() {
    let good = text();
    assert!(read(&good).is_ok());
    let salt = "AAECAwQFBgcICQoLDA0ODw==";
    for (from, to, error) in [
        (
            "strongroom-value/1\n",
            "strongroom-value/2\n",
            BadContainer::NewerFormat,
        ),
        (
            "strongroom-value/1\n",
            "strongroom-value/x\n",
            BadContainer::NotContainer,
        ),
        (
            "strongroom-value/1\n",
            "strongroom-value/1 \n",
            BadContainer::NotContainer,
        ),
        (
            "strongroom-value/1\n",
            "strongroom-value/1\r\n",
            BadContainer::NotContainer,
        ),
        ("strongroom-value/1\n", "", BadContainer::NotContainer),
        ("6f1c", "6F1C", BadContainer::Line("vault")),
        ("6f1c", "6f1", BadContainer::Line("vault")),
        ("vault: ", "vault:", BadContainer::Line("vault")),
        ("vault: ", "Vault: ", BadContainer::Line("vault")),
        ("vault: ", "extra: x\nvault: ", BadContainer::Line("vault")),
        ("name: Prod/db\n", "", BadContainer::Line("name")),
        ("Prod/db", "Prod db", BadContainer::Line("name")),
        ("Prod/db", "", BadContainer::Line("name")),
        ("Prod/db\n", "Prod/db\r\n", BadContainer::Line("name")),
        ("\\n", "\\u000a", BadContainer::Line("version")),
        ("\\u0001", "\\u0002\\", BadContainer::Line("version")),
        ("é", "\\u00e9", BadContainer::Line("version")),
        ("é/", "é\\/", BadContainer::Line("version")),
        ("version: ", "version:  ", BadContainer::Line("version")),
        ("0123456789abcdef", "", BadContainer::Line("version")),
        ("kind: string", "kind: String", BadContainer::Line("kind")),
        ("kind: string", "kind: ", BadContainer::Line("kind")),
        (".729Z", "Z", BadContainer::Line("created")),
        (".729Z", ".729+00:00", BadContainer::Line("created")),
        ("created: ", "created: -", BadContainer::Line("created")),
        (salt, "AAECAwQFBgcICQoLDA0ODw", BadContainer::Line("salt")),
        (salt, "AAECAwQFBgcICQoLDA0ODx==", BadContainer::Line("salt")),
        (salt, "AAECAwQFBgcICQoLDA0O", BadContainer::Line("salt")),
        ("size: 4", "size: 04", BadContainer::Line("size")),
        ("size: 4", "size: +4", BadContainer::Line("size")),
        ("size: 4", "size: -4", BadContainer::Line("size")),
        (
            "size: 4",
            "size: 99999999999999999999",
            BadContainer::Line("size"),
        ),
        ("size: 4", "size: 65537", BadContainer::Size),
        ("size: 4", "size: 65536", BadContainer::Size),
        ("size: 4", "size: 3", BadContainer::Padding),
        (
            "size: 4\n\n",
            "size: 4\nmore: 1\n\n",
            BadContainer::HeaderEnd,
        ),
        ("size: 4\n\n", "size: 4\n\r\n", BadContainer::HeaderEnd),
    ] {
        assert_eq!(good.matches(from).count(), 1, "{from:?}");
        assert_eq!(
            read(&good.replace(from, to)),
            Err(error),
            "{from:?} -> {to:?}"
        );
    }
    let swapped = good
        .replace("kind: string\n", "")
        .replace("created", "kind: string\ncreated");
    assert_eq!(read(&swapped), read(&good));
    let (head, tail) = good.split_once("salt").unwrap();
    let (salt, tail) = tail.split_once('\n').unwrap();
    let (head, created) = head.split_once("created").unwrap();
    let late = format!("{head}salt{salt}\ncreated{created}{tail}");
    assert_eq!(read(&late), Err(BadContainer::Line("created")));
    let unknown = good.replace("created: 2018-04-11T20:05:45.729Z", "created: -");
    assert_eq!(read(&unknown).unwrap().created, None);
}

#[test]
fn padding_is_zeros_of_the_one_length() {
    let bytes = pack(&header(4), b"word").to_vec();
    for length in (0..bytes.len()).chain([513, 544, 1024]) {
        let mut other = bytes.clone();
        other.resize(length, 0);
        assert!(unpack(&other).is_err(), "{length}");
    }
    for at in text().len()..bytes.len() {
        let mut other = bytes.clone();
        other[at] = 1;
        assert_eq!(unpack(&other).err(), Some(BadContainer::Padding), "{at}");
    }
}

#[test]
fn bytes_that_are_not_text_are_refused_in_the_header() {
    let bytes = pack(&header(4), b"word").to_vec();
    for at in 0..text().len() - 4 {
        let mut other = bytes.clone();
        other[at] = 0xff;
        assert!(unpack(&other).is_err(), "{at}");
    }
    for hostile in [&b""[..], b"\n", b"\0\0\0\0", &[b'\n'; 600], &[0xff; 512]] {
        assert_eq!(unpack(hostile).err(), Some(BadContainer::NotContainer));
    }
}

#[test]
fn a_vault_id_is_a_uuid_in_lower_case() {
    assert!(is_vault_id(VAULT));
    for bad in [
        "",
        "6f1c1a529d1e4b7a8f4e2f0a3c5d7e90",
        "6F1C1A52-9D1E-4B7A-8F4E-2F0A3C5D7E90",
        "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e9\n",
        "{6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e}",
    ] {
        assert!(!is_vault_id(bad), "{bad:?}");
    }
}

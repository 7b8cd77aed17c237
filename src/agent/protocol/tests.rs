use super::*;

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

fn lifetime() -> Lifetime {
    Lifetime {
        idle: Duration::from_millis(1),
        ttl: Duration::from_hours(8),
    }
}

fn requests() -> Vec<Request<'static>> {
    vec![
        Request::Status,
        Request::Lock,
        Request::Introduce,
        Request::Hold {
            vault: VAULT,
            lifetime: lifetime(),
            keyring: b"sealed",
        },
        Request::Attach { vault: VAULT },
        Request::Macs {
            vault: VAULT,
            domain: Domain::Secret,
            bodies: vec![b"a", b"", b"bc"],
        },
        Request::Part {
            vault: VAULT,
            domain: Domain::Plan,
            is_last: true,
            bytes: b"end",
        },
        Request::Digest {
            vault: VAULT,
            kind: Kind::Binary,
            content: &[0, 255],
        },
        Request::Open {
            vault: VAULT,
            file: b"age",
        },
        Request::Watch { vault: VAULT },
        Request::HideNames {
            vault: VAULT,
            names: vec!["prod/db", "a"],
        },
        Request::Hide {
            vault: VAULT,
            texts: vec![at("p", b"text"), at("", b"")],
        },
        Request::Reveal {
            vault: VAULT,
            sealed: vec![at("p", &[0, 255])],
        },
    ]
}

fn at<'a>(place: &'a str, bytes: &'a [u8]) -> Placed<'a> {
    Placed { place, bytes }
}

fn replies() -> Vec<Reply> {
    vec![
        Reply::Done,
        Reply::Locked,
        Reply::Refused { version: 1 },
        Reply::Status(Status {
            pid: 7,
            vaults: vec![HeldVault {
                vault: VAULT.to_owned(),
                fingerprint: "f2fa".to_owned(),
                left: lifetime(),
                is_memory_locked: true,
            }],
        }),
        Reply::Introduced {
            recipient: "age1".to_owned(),
        },
        Reply::Attached {
            recipient: "age1".to_owned(),
            commitment: "c".to_owned(),
        },
        Reply::Macs(vec![Mac::from_bytes([1; 32]), Mac::from_bytes([2; 32])]),
        Reply::Digest(Digest([3; 32])),
        Reply::Plain(Zeroizing::new(b"value".to_vec())),
        Reply::NotOpened(OpenError::Recipients(3)),
        Reply::HiddenNames(vec![[4, 5].map(|byte| Zeroizing::new([byte; 32]))]),
        Reply::Texts(vec![None, Some(Zeroizing::new(b"text".to_vec()))]),
    ]
}

/// A frame without its length, which must be right.
fn body(frame: &[u8]) -> &[u8] {
    let (length, body) = frame.split_first_chunk().unwrap();
    assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
    body
}

#[test]
fn every_request_comes_back_as_it_was() {
    for request in requests() {
        let frame = request.frame();
        let again = Request::parse(body(&frame)).ok().unwrap();
        assert_eq!(*again.frame(), *frame);
    }
}

#[test]
fn every_reply_comes_back_as_it_was() {
    for reply in replies() {
        let frame = reply.frame();
        let again = Reply::parse(body(&frame)).ok().unwrap();
        assert_eq!(*again.frame(), *frame);
    }
    for error in [
        OpenError::TooLarge,
        OpenError::NotAge,
        OpenError::Armored,
        OpenError::PassphraseFile,
        OpenError::HeaderBomb,
        OpenError::Recipients(300),
        OpenError::NoIdentityMatches,
        OpenError::Damaged,
    ] {
        let frame = Reply::NotOpened(error.clone()).frame();
        let again = Reply::parse(body(&frame)).ok().unwrap();
        assert!(matches!(again, Reply::NotOpened(same) if same == error));
    }
}

#[test]
fn a_message_that_is_cut_lengthened_or_of_another_version_is_refused() {
    let requests: Vec<_> = requests().iter().map(Request::frame).collect();
    let replies: Vec<_> = replies().iter().map(Reply::frame).collect();
    for frame in &requests {
        let body = body(frame);
        for end in 0..body.len() {
            assert!(Request::parse(&body[..end]).is_err(), "{body:?} {end}");
        }
        let longer = [body, b"x"].concat();
        assert!(Request::parse(&longer).is_err(), "{body:?}");
        let mut other = body.to_vec();
        other[0] = 9;
        let refused = Request::parse(&other).err().unwrap();
        assert_eq!(refused.version, 9);
    }
    for frame in &replies {
        let body = body(frame);
        for end in 0..body.len() {
            assert!(Reply::parse(&body[..end]).is_err(), "{body:?} {end}");
        }
        assert!(Reply::parse(&[body, b"x"].concat()).is_err(), "{body:?}");
    }
}

#[test]
fn a_vault_is_named_by_a_uuid_and_nothing_else() {
    for bad in [
        "",
        "x",
        "../../../../../../../../../../../etc",
        "6F1C1A52-9D1E-4B7A-8F4E-2F0A3C5D7E90",
    ] {
        let frame = Request::Attach { vault: bad }.frame();
        assert!(Request::parse(body(&frame)).is_err(), "{bad}");
    }
}

#[test]
fn a_count_that_promises_more_than_there_is_takes_no_memory() {
    let frame = Writer::new(6, 0).text(VAULT).byte(2).count(usize::MAX).0;
    assert!(Request::parse(body(&frame)).is_err());
    let frame = Writer::new(7, 0).count(usize::MAX).0;
    assert!(Reply::parse(body(&frame)).is_err());
}

#[test]
fn crypto_5_a_frame_has_at_most_256_kib_and_its_time() {
    let (left, right) = UnixStream::pair().unwrap();
    send(&left, &u32::try_from(MAX + 1).unwrap().to_le_bytes()).unwrap();
    let error = receive(&right, Duration::from_secs(5)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);

    // A byte now and then is no message within its time.
    let (left, right) = UnixStream::pair().unwrap();
    send(&left, &[10, 0, 0, 0, 1]).unwrap();
    let begun = Instant::now();
    let error = receive(&right, Duration::from_millis(50)).unwrap_err();
    let late = [io::ErrorKind::TimedOut, io::ErrorKind::WouldBlock];
    assert!(late.contains(&error.kind()), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));

    let (left, right) = UnixStream::pair().unwrap();
    drop(left);
    assert!(receive(&right, Duration::from_secs(5)).unwrap().is_none());
}

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW: i64 = 1_700_000_000;

/// A request as a client sends it.
struct Sent {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    fn headers(&self) -> Vec<(&str, &[u8])> {
        let all = self.headers.iter();
        all.map(|(n, v)| (n.as_str(), v.as_slice())).collect()
    }

    fn verdict(&self, secret: &SigningSecret, session: Option<&str>, now: i64) -> Verdict {
        let headers = self.headers();
        let claim = Claim::parse(&headers)?;
        claim.check(session, Timestamp::from_secs(now))?;
        claim.verify(&headers, &self.body, secret)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.into()));
    }

    fn authorization(&self) -> String {
        let found = self.headers.iter().find(|(n, _)| n == "authorization");
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    }
}

type Verdict = Result<(), SignatureError>;

struct Signer<'a> {
    region: &'a str,
    service: &'a str,
    session: Option<&'a str>,
    at: i64,
}

const SIGNER: Signer<'static> = Signer {
    region: "eu-west-1",
    service: "secretsmanager",
    session: None,
    at: NOW,
};

impl Signer<'_> {
    /// Signs by AWS's own crate.
    fn sign(&self, plain: &[(&str, &str)], body: &[u8]) -> Sent {
        let session = self.session.map(str::to_owned);
        let id = Credentials::new(ID, SECRET, session, None, "test").into();
        let at = UNIX_EPOCH + Duration::from_secs(self.at.try_into().unwrap());
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let params = v4::SigningParams::builder()
            .identity(&id)
            .region(self.region)
            .name(self.service)
            .time(at)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let request = SignableRequest::new(
            "POST",
            "http://127.0.0.1:2774/",
            plain.iter().copied(),
            SignableBody::Bytes(body),
        )
        .unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let (added, _) = instructions.into_parts();
        let mut headers: Vec<(String, Vec<u8>)> = plain
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
            .collect();
        headers.extend(
            added
                .iter()
                .map(|h| (h.name().to_owned(), h.value().into())),
        );
        Sent {
            headers,
            body: body.to_vec(),
        }
    }
}

const PLAIN: [(&str, &str); 3] = [
    ("host", "127.0.0.1:2774"),
    ("content-type", "application/x-amz-json-1.1"),
    ("x-amz-target", "secretsmanager.GetSecretValue"),
];

fn secret() -> SigningSecret {
    SigningSecret::new(Zeroizing::new(SECRET.to_owned()))
}

#[test]
fn aws_1_what_the_sdk_signs_is_believed_for_five_minutes_either_way() {
    let sent = SIGNER.sign(&PLAIN, b"{}");
    let secret = secret();
    assert_eq!(sent.verdict(&secret, None, NOW), Ok(()));
    assert_eq!(sent.verdict(&secret, None, NOW + 300), Ok(()));
    assert_eq!(sent.verdict(&secret, None, NOW - 300), Ok(()));
    let late = sent.verdict(&secret, None, NOW + 301 + 1).unwrap_err();
    assert_eq!(
        late.to_string(),
        "Signature expired: 20231114T221320Z is now earlier than 20231114T221322Z (20231114T221822Z - 5 min.)"
    );
    let early = sent.verdict(&secret, None, NOW - 301).unwrap_err();
    assert!(
        early
            .to_string()
            .starts_with("Signature not yet current: 2")
    );
}

#[test]
fn anything_changed_after_signing_is_found() {
    let secret = secret();
    let sent = || SIGNER.sign(&PLAIN, b"{}");
    let mut changed = sent();
    changed.body = b"{ }".to_vec();
    assert_eq!(
        changed.verdict(&secret, None, NOW),
        Err(SignatureError::Mismatch)
    );
    for (name, value) in [
        ("x-amz-target", "secretsmanager.DeleteSecret"),
        ("host", "127.0.0.1:2775"),
        ("x-amz-date", "20231114T221321Z"),
    ] {
        let mut changed = sent();
        changed.set(name, value);
        assert_eq!(
            changed.verdict(&secret, None, NOW),
            Err(SignatureError::Mismatch),
            "{name}"
        );
    }
    let other = SigningSecret::new(Zeroizing::new("other".to_owned()));
    assert_eq!(
        sent().verdict(&other, None, NOW),
        Err(SignatureError::Mismatch)
    );
    // A header added twice, and one that is gone.
    let mut changed = sent();
    changed
        .headers
        .push(("x-amz-target".to_owned(), b"x".to_vec()));
    assert_eq!(
        changed.verdict(&secret, None, NOW),
        Err(SignatureError::Mismatch)
    );
    changed.headers.retain(|(n, _)| n != "x-amz-target");
    assert_eq!(
        changed.verdict(&secret, None, NOW),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn another_region_or_service_in_the_scope_is_found() {
    let secret = secret();
    let mut sent = SIGNER.sign(&PLAIN, b"{}");
    let text = sent.authorization();
    sent.set("authorization", &text.replace("eu-west-1", "us-east-1"));
    assert_eq!(
        sent.verdict(&secret, None, NOW),
        Err(SignatureError::Mismatch)
    );
    let signer = Signer {
        service: "ssm",
        ..SIGNER
    };
    let error = signer.sign(&PLAIN, b"{}").verdict(&secret, None, NOW);
    assert!(error.unwrap_err().to_string().contains("correct service"));
}

#[test]
fn a_session_token_is_that_of_the_key_or_nothing() {
    let secret = secret();
    let signer = Signer {
        session: Some("tok"),
        ..SIGNER
    };
    let sent = signer.sign(&PLAIN, b"{}");
    assert_eq!(sent.verdict(&secret, Some("tok"), NOW), Ok(()));
    assert_eq!(
        sent.verdict(&secret, Some("toc"), NOW),
        Err(SignatureError::Token)
    );
    assert_eq!(sent.verdict(&secret, None, NOW), Err(SignatureError::Token));
    let without = SIGNER.sign(&PLAIN, b"{}");
    assert_eq!(
        without.verdict(&secret, Some("tok"), NOW),
        Err(SignatureError::Token)
    );
}

#[test]
fn an_authorization_that_says_too_little_is_incomplete() {
    let secret = secret();
    let whole = SIGNER.sign(&PLAIN, b"{}").authorization();
    for (from, to) in [
        ("Credential=", "Credental="),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        (", Signature=", ", Other="),
        ("/aws4_request", ""),
        ("AKIDEXAMPLE", "AKID/EXAMPLE"),
        ("AKIDEXAMPLE", ""),
        ("AKIDEXAMPLE", "AKID\u{1b}"),
        (";x-amz-target", ""),
        ("host;", ""),
        ("x-amz-date", "x-amz-dat"),
        ("content-type;host", "host;content-type"),
        (", Signature", ", SignedHeaders=a, Signature"),
    ] {
        let mut sent = SIGNER.sign(&PLAIN, b"{}");
        let text = whole.replace(from, to);
        assert_ne!(text, whole, "{from}");
        sent.set("authorization", &text);
        let verdict = sent.verdict(&secret, None, NOW);
        assert!(
            matches!(verdict, Err(SignatureError::Incomplete(_))),
            "{from}: {verdict:?}"
        );
    }
    let mut sent = SIGNER.sign(&PLAIN, b"{}");
    sent.headers.retain(|(n, _)| n != "authorization");
    assert_eq!(
        sent.verdict(&secret, None, NOW),
        Err(SignatureError::Missing)
    );
    for date in [
        "",
        "x",
        "20231114T221320",
        "2023-11-14T22:13",
        "20231340T221320Z",
        "20231114T2213é0Z",
    ] {
        let mut sent = SIGNER.sign(&PLAIN, b"{}");
        sent.set("x-amz-date", date);
        assert!(
            matches!(
                sent.verdict(&secret, None, NOW),
                Err(SignatureError::Incomplete(_))
            ),
            "{date}"
        );
    }
}

#[test]
fn keys_in_use_are_not_pushed_out_by_made_up_regions() {
    let secret = secret();
    assert_eq!(SIGNER.sign(&PLAIN, b"").verdict(&secret, None, NOW), Ok(()));
    for n in 0..100 {
        let mut sent = SIGNER.sign(&PLAIN, b"");
        let text = sent
            .authorization()
            .replace("eu-west-1", &format!("eu-west-{}", n + 2));
        sent.set("authorization", &text);
        assert_eq!(
            sent.verdict(&secret, None, NOW),
            Err(SignatureError::Mismatch)
        );
    }
    assert_eq!(secret.derived.read().unwrap().len(), 1);
    for n in 0..100 {
        let region = format!("eu-west-{n}");
        let signer = Signer {
            region: &region,
            ..SIGNER
        };
        assert_eq!(signer.sign(&PLAIN, b"").verdict(&secret, None, NOW), Ok(()));
    }
    assert_eq!(secret.derived.read().unwrap().len(), KEPT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The oracle: whatever AWS's crate signs is believed, and one flipped bit of the
    /// signature is not.
    #[test]
    fn it_is_the_signature_of_aws_sigv4(
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        extra in proptest::collection::btree_map("x-[a-z]{1,8}", "[ -~]{0,40}", 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..300),
        session in proptest::option::of("[A-Za-z0-9+/=]{1,60}"),
        at in 1_000_000_000..4_000_000_000_i64,
        bit in 0..256_usize,
    ) {
        let signer = Signer { region: &region, session: session.as_deref(), at, ..SIGNER };
        let mut plain = PLAIN.to_vec();
        plain.extend(extra.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let sent = signer.sign(&plain, &body);
        let secret = secret();
        prop_assert_eq!(sent.verdict(&secret, session.as_deref(), at), Ok(()));
        // Again, by the key that was kept.
        prop_assert_eq!(sent.verdict(&secret, session.as_deref(), at), Ok(()));
        let headers = sent.headers();
        let mut claim = Claim::parse(&headers).unwrap();
        claim.signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(
            claim.verify(&headers, &sent.body, &secret),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn no_authorization_header_panics(text in "\\PC*", date in "\\PC*") {
        let headers = [
            ("authorization", text.as_bytes()),
            ("x-amz-date", date.as_bytes()),
        ];
        drop(Claim::parse(&headers));
    }
}

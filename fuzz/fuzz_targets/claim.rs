//! A request's head, `name: value` on each line, an empty line, its body.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom::aws::signature::{Claim, SigningSecret};
use strongroom::model::Timestamp;

/// Not the key of the corpus: nothing is ever believed.
static KEY: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::new("nobody-has-this-key".to_owned().into()));

fuzz_target!(|bytes: &[u8]| {
    let mut headers = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        headers.push((name, line.get(colon + 1..).unwrap_or_default().trim_ascii()));
    }
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    if let Ok(claim) = Claim::parse(&headers) {
        let _age = claim.check(None, Timestamp::from_secs(1_795_392_000));
        assert!(claim.verify(&headers, rest, &KEY).is_err());
    }
});

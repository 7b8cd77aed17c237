//! AWS Signature Version 4, the side that checks (AWS's "Signature Version 4 signing
//! process"; aws.md section 1).
//!
//! The crate aws-sigv4 signs and does not verify; signing anew with it takes 12 us a
//! request, most of it for a key that is the same all day. So the derived key is kept
//! and the rest done here, and a property test holds the two equal.

use std::sync::{PoisonError, RwLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::model::Timestamp;

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service in the credential scope.
const SERVICE: &str = "secretsmanager";
/// How far the clocks of client and endpoint may be apart, in milliseconds.
const SKEW: i64 = 5 * 60 * 1000;
/// Headers that must be signed: what else they say could be exchanged. `host` and the
/// date are AWS's rule, the target names the operation.
const MUST_SIGN: [&str; 3] = ["host", "x-amz-date", "x-amz-target"];
/// Derived keys that one secret keeps: a few Regions, and two days around midnight.
const KEPT: usize = 16;

/// A request's headers: names in lower case, values as they came.
pub type Headers<'a> = [(&'a str, &'a [u8])];

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No Authorization header.
    #[error("Missing Authentication Token")]
    Missing,
    /// An Authorization header that says too little.
    #[error("{0}")]
    Incomplete(&'static str),
    /// Signed for another service, or by another rule.
    #[error("{0}")]
    Scope(&'static str),
    /// The session token is not that of the key.
    #[error("The security token included in the request is invalid.")]
    Token,
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {limit} ({now} - 5 min.)")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest moment that is accepted.
        limit: String,
        /// Now.
        now: String,
    },
    /// Signed in the future.
    #[error("Signature not yet current: {signed} is still later than {limit} ({now} + 5 min.)")]
    TooEarly {
        /// When it was signed.
        signed: String,
        /// The latest moment that is accepted.
        limit: String,
        /// Now.
        now: String,
    },
    /// The signature is another one.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

/// What a request says of itself: who signed it, when, for where. Nothing of it is
/// proved before [`Claim::verify`].
#[derive(Debug)]
pub struct Claim<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// The Region of the credential scope.
    pub region: &'a str,
    /// The day of the credential scope, `yyyymmdd`.
    day: &'a str,
    /// SignedHeaders, as they stand.
    signed: &'a str,
    signature: [u8; 32],
    /// `X-Amz-Date`, as it stands and as a moment.
    date: &'a str,
    moment: Timestamp,
    token: Option<&'a [u8]>,
}

impl<'a> Claim<'a> {
    /// Reads the Authorization header and what belongs to it.
    pub fn parse(headers: &Headers<'a>) -> Result<Self, SignatureError> {
        use SignatureError::{Incomplete, Scope};
        let text = one(headers, "authorization")?.ok_or(SignatureError::Missing)?;
        let Some(rest) = text.strip_prefix(ALGORITHM) else {
            return Err(Incomplete(
                "Unsupported AWS 'algorithm': the Authorization header begins with AWS4-HMAC-SHA256.",
            ));
        };
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let slot = match part.trim().split_once('=') {
                Some(("Credential", text)) => (&mut credential, text),
                Some(("SignedHeaders", text)) => (&mut signed, text),
                Some(("Signature", text)) => (&mut signature, text),
                _ => {
                    return Err(Incomplete(
                        "Authorization header holds something other than Credential, SignedHeaders and Signature.",
                    ));
                }
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(Incomplete("Authorization header says something twice."));
            }
        }
        let credential = credential.ok_or(Incomplete(
            "Authorization header requires 'Credential' parameter.",
        ))?;
        let signed = signed.ok_or(Incomplete(
            "Authorization header requires 'SignedHeaders' parameter.",
        ))?;
        let signature = signature.ok_or(Incomplete(
            "Authorization header requires 'Signature' parameter.",
        ))?;
        let date = one(headers, "x-amz-date")?.ok_or(Incomplete(
            "Authorization header requires existence of a 'X-Amz-Date' header.",
        ))?;
        let mut scope = credential.split('/');
        let mut next = || scope.next().filter(|part| is_word(part));
        let (Some(access_key), Some(day), Some(region), Some(service), Some(end), None) =
            (next(), next(), next(), next(), next(), next())
        else {
            return Err(Incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            ));
        };
        if service != SERVICE {
            return Err(Scope(
                "Credential should be scoped to correct service: 'secretsmanager'.",
            ));
        }
        if end != "aws4_request" {
            return Err(Scope(
                "Credential should be scoped with a valid terminator: 'aws4_request'.",
            ));
        }
        let moment = moment(date).ok_or(Incomplete("Date must be in ISO-8601 'basic format'."))?;
        if date.get(..8) != Some(day) {
            return Err(Scope(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
            ));
        }
        let names = || signed.split(';');
        // Sorted, each once: there is one way to write a list.
        let sorted = names().zip(names().skip(1)).all(|(a, b)| a < b);
        if !sorted || MUST_SIGN.iter().any(|must| names().all(|n| n != *must)) {
            return Err(Incomplete(
                "'Host', 'X-Amz-Date' and 'X-Amz-Target' must be signed headers, and the list sorted.",
            ));
        }
        let mut wanted = [0; 32];
        let decoded = data_encoding::HEXLOWER
            .decode_len(signature.len())
            .ok()
            .filter(|len| *len == wanted.len())
            .and_then(|_| {
                let hex = data_encoding::HEXLOWER;
                hex.decode_mut(signature.as_bytes(), &mut wanted).ok()
            });
        if decoded.is_none() {
            return Err(SignatureError::Mismatch);
        }
        Ok(Self {
            access_key,
            region,
            day,
            signed,
            signature: wanted,
            date,
            moment,
            token: first(headers, "x-amz-security-token"),
        })
    }

    /// Checks what can be checked before the body is read: the age of the signature,
    /// and that the session token is the key's own.
    pub fn check(&self, session: Option<&str>, now: Timestamp) -> Result<(), SignatureError> {
        let token_fits = match (session, self.token) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => bool::from(ours.as_bytes().ct_eq(theirs)),
            _ => false,
        };
        if !token_fits {
            return Err(SignatureError::Token);
        }
        let (signed, at) = (self.moment.millis(), now.millis());
        // Seconds are all that a signature knows.
        if signed < at - SKEW - 999 {
            return Err(SignatureError::Expired {
                signed: self.date.to_owned(),
                limit: compact(Timestamp::from_millis(at - SKEW)),
                now: compact(now),
            });
        }
        if signed > at + SKEW {
            return Err(SignatureError::TooEarly {
                signed: self.date.to_owned(),
                limit: compact(Timestamp::from_millis(at + SKEW)),
                now: compact(now),
            });
        }
        Ok(())
    }

    /// Checks the signature over the headers and the body of `POST /`, the protocol's
    /// one request, in constant time.
    pub fn verify(
        &self,
        headers: &Headers<'_>,
        body: &[u8],
        secret: &SigningSecret,
    ) -> Result<(), SignatureError> {
        let mut canonical = Sha256::new();
        canonical.update(b"POST\n/\n\n");
        for name in self.signed.split(';') {
            canonical.update(name.as_bytes());
            canonical.update(b":");
            let mut values = headers.iter().filter(|(n, _)| *n == name).peekable();
            if values.peek().is_none() {
                return Err(SignatureError::Mismatch);
            }
            for (at, (_, value)) in values.enumerate() {
                if at > 0 {
                    canonical.update(b",");
                }
                fold(value, &mut canonical);
            }
            canonical.update(b"\n");
        }
        canonical.update(b"\n");
        canonical.update(self.signed.as_bytes());
        canonical.update(b"\n");
        canonical.update(hex(&Sha256::digest(body)));
        let canonical = canonical.finalize();

        let (key, fresh) = secret.key(self.day, self.region);
        let mut mac = keyed(&*key);
        for part in [
            ALGORITHM,
            "\n",
            self.date,
            "\n",
            self.day,
            "/",
            self.region,
            "/",
            SERVICE,
            "/aws4_request\n",
        ] {
            mac.update(part.as_bytes());
        }
        mac.update(&hex(&canonical));
        let ours = mac.finalize().into_bytes();
        if !bool::from(ours.as_slice().ct_eq(&self.signature)) {
            return Err(SignatureError::Mismatch);
        }
        if fresh {
            secret.keep(self.day, self.region, key);
        }
        Ok(())
    }
}

/// A secret access key, with the keys derived from it.
pub struct SigningSecret {
    secret: Zeroizing<String>,
    derived: RwLock<Vec<Derived>>,
}

struct Derived {
    day: String,
    region: String,
    key: Zeroizing<[u8; 32]>,
}

impl SigningSecret {
    /// From a secret access key.
    pub fn new(secret: Zeroizing<String>) -> Self {
        Self {
            secret,
            derived: RwLock::default(),
        }
    }

    /// The key of a day and Region, and whether it had to be derived.
    fn key(&self, day: &str, region: &str) -> (Zeroizing<[u8; 32]>, bool) {
        let kept = self.derived.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(d) = kept.iter().find(|d| d.day == day && d.region == region) {
            return (d.key.clone(), false);
        }
        drop(kept);
        let mut first = Zeroizing::new(Vec::with_capacity(4 + self.secret.len()));
        first.extend_from_slice(b"AWS4");
        first.extend_from_slice(self.secret.as_bytes());
        let mut key = step(&first, day);
        for part in [region, SERVICE, "aws4_request"] {
            key = step(&*key, part);
        }
        (key, true)
    }

    /// Keeps a derived key. Only for one that has proved itself: whoever makes up
    /// Regions must not push out those in use.
    fn keep(&self, day: &str, region: &str, key: Zeroizing<[u8; 32]>) {
        let mut kept = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Derived {
            day: day.to_owned(),
            region: region.to_owned(),
            key,
        });
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn step(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn hex(bytes: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    data_encoding::HEXLOWER.encode_mut(bytes, &mut out);
    out
}

/// Blanks at the ends go, runs of them become one.
fn fold(value: &[u8], out: &mut Sha256) {
    let words = value
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|w| !w.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.update(b" ");
        }
        out.update(word);
    }
}

fn first<'a>(headers: &Headers<'a>, name: &str) -> Option<&'a [u8]> {
    let mut found = headers.iter().filter(|(n, _)| *n == name);
    found.next().map(|(_, value)| *value)
}

/// A header that may be there once, as text.
fn one<'a>(headers: &Headers<'a>, name: &str) -> Result<Option<&'a str>, SignatureError> {
    const UNCLEAR: SignatureError =
        SignatureError::Incomplete("A header of the signature is there twice, or not ASCII text.");
    let mut found = headers.iter().filter(|(n, _)| *n == name);
    let Some((_, value)) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() || !value.is_ascii() {
        return Err(UNCLEAR);
    }
    std::str::from_utf8(value).map(Some).map_err(|_| UNCLEAR)
}

/// What may stand in a credential scope; it goes into the access log.
fn is_word(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=128).contains(&text.len()) && text.bytes().all(word)
}

/// `yyyymmddThhmmssZ` as a moment.
fn moment(text: &str) -> Option<Timestamp> {
    let digits = |range| {
        let part: &str = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then_some(part)
    };
    let (day, time) = (digits(0..8)?, digits(9..15)?);
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let (y, m, d) = (day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    let (h, i, s) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    format!("{y}-{m}-{d}T{h}:{i}:{s}Z").parse().ok()
}

/// A moment as AWS writes it here.
fn compact(moment: Timestamp) -> String {
    let text = moment.to_string();
    let head = text.split('.').next().unwrap_or_default();
    let mut short: String = head.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    short.push('Z');
    short
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;

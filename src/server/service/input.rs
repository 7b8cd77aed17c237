//! Bodies to typed requests, and AWS's constraint checks with its texts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use zeroize::Zeroizing;

use super::super::protocol::{Code, Fault};
use crate::model::{SecretValue, StagingLabel, VersionId, is_reserved_tag};

/// Reads a request. Members that the operation does not have are ignored, as AWS
/// does (aws.md section 1). What serde says is not passed on: it quotes the input.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a member has the wrong type",
            _ => "the body is not JSON",
        };
        Fault::new(Code::SerializationException, what)
    })
}

/// Text that may be a value: wiped when dropped, never printed.
#[derive(Default)]
pub(super) struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text. What it may be used for is [`value`].
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = SecretText;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(Zeroizing::new(text.to_owned())))
            }
            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<SecretText, E> {
                Ok(SecretText(Zeroizing::new(text)))
            }
            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<SecretText, E> {
                Err(E::custom("not text"))
            }
        }
        deserializer
            .deserialize_str(Text)
            .map_err(|_| D::Error::custom("not text"))
    }
}

/// The value of a request: at most one of the two members (aws.md section 4).
pub(super) fn value(
    string: Option<&SecretText>,
    binary: Option<&SecretText>,
) -> Result<Option<SecretValue>, Fault> {
    let mut checks = Checks::default();
    match (string, binary) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Fault::new(
            Code::InvalidParameterException,
            "You can't specify both a SecretString and a SecretBinary in one request.",
        )),
        (Some(text), None) => {
            let bytes = text.as_str().as_bytes();
            checks.size("secretString", bytes.len());
            checks.finish()?;
            SecretValue::string(bytes.to_vec())
                .map(Some)
                .map_err(|_| too_large())
        }
        (None, Some(text)) => {
            let bytes = data_encoding::BASE64
                .decode(text.as_str().as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| {
                    Fault::new(Code::SerializationException, "SecretBinary is not base64")
                })?;
            checks.size("secretBinary", bytes.len());
            checks.finish()?;
            SecretValue::binary(bytes)
                .map(Some)
                .map_err(|_| too_large())
        }
    }
}

fn too_large() -> Fault {
    Fault::new(
        Code::ValidationException,
        "1 validation error detected: the value is too large",
    )
}

/// Collects broken constraints, and says them all in one ValidationException the way
/// AWS does (aws.md section 1, exact texts).
#[derive(Default)]
pub(super) struct Checks {
    errors: Vec<String>,
}

impl Checks {
    /// Member names are AWS's in camel case, such as `secretId`.
    pub(super) fn required<T>(&mut self, member: &str, value: Option<&T>) {
        if value.is_none() {
            self.fail(format!(
                "Value null at '{member}' failed to satisfy constraint: Member must not be null"
            ));
        }
    }

    /// A text's length in characters.
    pub(super) fn length(
        &mut self,
        member: &str,
        value: Option<&str>,
        range: RangeInclusive<usize>,
    ) {
        let Some(value) = value else { return };
        let (least, most) = (*range.start(), *range.end());
        let count = value.chars().count();
        if count < least {
            self.fail(format!("Value '{value}' at '{member}' failed to satisfy constraint: Member must have length greater than or equal to {least}"));
        }
        if count > most {
            self.fail(format!("Value '{value}' at '{member}' failed to satisfy constraint: Member must have length less than or equal to {most}"));
        }
    }

    /// The size of a value, which is not shown.
    fn size(&mut self, member: &str, bytes: usize) {
        if bytes == 0 {
            self.fail(format!("Value at '{member}' failed to satisfy constraint: Member must have length greater than or equal to 1"));
        }
        if bytes > SecretValue::MAX {
            let most = SecretValue::MAX;
            self.fail(format!("Value at '{member}' failed to satisfy constraint: Member must have length less than or equal to {most}"));
        }
    }

    /// A number's range.
    pub(super) fn range(&mut self, member: &str, value: Option<i64>, range: RangeInclusive<i64>) {
        let Some(value) = value else { return };
        let (least, most) = (*range.start(), *range.end());
        if value < least {
            self.fail(format!("Value '{value}' at '{member}' failed to satisfy constraint: Member must have value greater than or equal to {least}"));
        }
        if value > most {
            self.fail(format!("Value '{value}' at '{member}' failed to satisfy constraint: Member must have value less than or equal to {most}"));
        }
    }

    /// How many members a list has; what they are is not shown.
    pub(super) fn count(
        &mut self,
        member: &str,
        count: Option<usize>,
        range: RangeInclusive<usize>,
    ) {
        let Some(count) = count else { return };
        let (least, most) = (*range.start(), *range.end());
        if count < least {
            self.fail(format!("Value '[]' at '{member}' failed to satisfy constraint: Member must have length greater than or equal to {least}"));
        }
        if count > most {
            self.fail(format!("Value at '{member}' failed to satisfy constraint: Member must have length less than or equal to {most}"));
        }
    }

    /// A broken constraint in AWS's words.
    pub(super) fn fail(&mut self, text: String) {
        self.errors.push(text);
    }

    /// Nothing, or the fault that names every broken constraint.
    pub(super) fn finish(self) -> Result<(), Fault> {
        let count = self.errors.len();
        if count == 0 {
            return Ok(());
        }
        let plural = if count == 1 { "error" } else { "errors" };
        let all = self.errors.join("; ");
        Err(Fault::new(
            Code::ValidationException,
            format!("{count} validation {plural} detected: {all}"),
        ))
    }
}

/// A ClientRequestToken: the id of the version to be made. AWS's front end does not
/// fill it in; the SDKs do (aws.md section 3, idempotency).
pub(super) fn token(given: Option<&str>) -> Result<VersionId, Fault> {
    let Some(token) = given else {
        return Err(no_token(Code::InvalidRequestException));
    };
    let mut checks = Checks::default();
    checks.length("clientRequestToken", Some(token), 32..=64);
    checks.finish()?;
    token
        .parse()
        .map_err(|_| no_token(Code::InvalidRequestException))
}

/// The fault for a request without a token; its code differs by operation.
pub(super) fn no_token(code: Code) -> Fault {
    Fault::new(
        code,
        "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
    )
}

/// A staging label that a caller may name: any text of 1 to 256 characters but those
/// that strongroom sets by itself.
pub(super) fn label(member: &str, text: &str) -> Result<StagingLabel, Fault> {
    let mut checks = Checks::default();
    checks.length(member, Some(text), 1..=256);
    checks.finish()?;
    match text.parse::<StagingLabel>() {
        Ok(label) if !label.is_reserved() => Ok(label),
        _ => Err(Fault::new(
            Code::InvalidParameterException,
            format!("{text} is a label that strongroom sets by itself."),
        )),
    }
}

/// A tag of a request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: Option<String>,
    value: Option<String>,
}

/// The tags that a secret has after these are added to `there`; a key that is there
/// gets the new value (aws.md section 4).
pub(super) fn tags(
    new: Vec<Tag>,
    there: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut checks = Checks::default();
    for (at, tag) in new.iter().enumerate() {
        let member = |name: &str| format!("tags.{}.member.{name}", at + 1);
        checks.length(&member("key"), tag.key.as_deref(), 1..=128);
        checks.length(&member("value"), tag.value.as_deref(), 0..=256);
    }
    checks.finish()?;
    let mut tags = there.clone();
    let mut named = BTreeSet::new();
    for tag in new {
        let key = tag.key.unwrap_or_default();
        let invalid = |text: String| Err(Fault::new(Code::InvalidParameterException, text));
        if key.is_empty() {
            return invalid("You must provide a key for each tag.".to_owned());
        }
        if is_reserved_tag(&key) {
            return invalid("Tag keys that begin with aws: are reserved by AWS.".to_owned());
        }
        if !named.insert(key.clone()) {
            return invalid(format!("You provided the tag key {key} twice."));
        }
        tags.insert(key, tag.value.unwrap_or_default());
    }
    if tags.len() > 50 {
        return Err(Fault::new(
            Code::LimitExceededException,
            "A secret has at most 50 tags.",
        ));
    }
    Ok(tags)
}

/// A Region to replicate to.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReplicaRegion {
    region: Option<String>,
    kms_key_id: Option<String>,
}

/// The constraints of AddReplicaRegions.
pub(super) fn check_replicas(checks: &mut Checks, regions: Option<&[ReplicaRegion]>) {
    checks.count("addReplicaRegions", regions.map(<[_]>::len), 1..=100);
    for (at, one) in regions.unwrap_or_default().iter().enumerate() {
        let member = |name: &str| format!("addReplicaRegions.{}.member.{name}", at + 1);
        checks.length(&member("region"), one.region.as_deref(), 1..=128);
        checks.length(&member("kmsKeyId"), one.kms_key_id.as_deref(), 0..=2048);
    }
}

/// The Regions with their keys; the secret's own, or what cannot be a Region, is
/// refused (aws.md section 1, exact texts).
pub(super) fn replicas(
    regions: Vec<ReplicaRegion>,
    own: &str,
) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let is_region = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        match parts.split_last() {
            Some((last, words)) => number(last) && words.len() >= 2 && words.iter().all(word),
            None => false,
        }
    };
    let mut all = BTreeMap::new();
    for one in regions {
        let region = one.region.unwrap_or_default();
        if region == own || !is_region(&region) {
            return Err(Fault::new(
                Code::InvalidParameterException,
                "Invalid replica region.",
            ));
        }
        all.insert(region, one.kms_key_id.filter(|k| !k.is_empty()));
    }
    Ok(all)
}

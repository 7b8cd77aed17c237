//! One event as a line of JSON, with CloudTrail's field names in alphabetical order.

use serde::Serialize;
use serde_json::Value;

use crate::model::{Asker, AuditEvent, Deed, Door, StagingLabel};

/// Where a line stands in the chain.
#[derive(Clone, Serialize)]
pub(super) struct Link {
    /// SHA-256 of the line before, in hex.
    pub(super) previous: String,
    /// The number of the last seal.
    pub(super) sealed: u64,
    /// This line's number, from 1.
    pub(super) sequence: u64,
}

impl Link {
    /// The link of a line that was read.
    pub(super) fn of(line: &Value) -> Option<Self> {
        let chain = line.get("chain")?;
        Some(Self {
            previous: chain.get("previous")?.as_str()?.to_owned(),
            sealed: chain.get("sealed")?.as_u64()?,
            sequence: chain.get("sequence")?.as_u64()?,
        })
    }
}

/// The field names are those of a CloudTrail record (CloudTrail user guide, record
/// contents; Secrets Manager user guide, logging with CloudTrail).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    additional_event_data: Additional<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_region: Option<&'a str>,
    chain: &'a Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    event_category: &'a str,
    #[serde(rename = "eventID")]
    event_id: &'a str,
    event_name: &'a str,
    event_source: &'a str,
    event_time: String,
    event_type: &'a str,
    event_version: &'a str,
    management_event: bool,
    read_only: bool,
    request_parameters: Option<Parameters<'a>>,
    response_elements: (),
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
    user_agent: String,
    user_identity: Identity<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Additional<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    cut_bytes: u64,
    door: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyring: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<&'a str>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    move_to_version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove_from_version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_stage: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
    principal_id: String,
    r#type: &'a str,
}

/// The line of an event. `cut` is how many bytes of half a line stood before it.
pub(super) fn event(event: &AuditEvent, own: &Asker, link: &Link, cut: u64) -> String {
    let asker = event.asker.as_deref().unwrap_or(own);
    let entry = &event.entry;
    let version = entry.version.as_ref().map(|id| id.as_str());
    let mut parameters = Parameters {
        secret_id: entry.secret.as_deref(),
        ..Parameters::default()
    };
    match &entry.deed {
        Deed::MoveLabel { label, from } => {
            parameters.version_stage = Some(label.as_str());
            parameters.move_to_version_id = version;
            parameters.remove_from_version_id = from.as_ref().map(|id| id.as_str());
        }
        _ => {
            let current = entry
                .labels
                .iter()
                .find(|l| l.as_str() == StagingLabel::CURRENT);
            let label = current.or(entry.labels.first());
            parameters.version_id = version;
            parameters.version_stage = label.map(StagingLabel::as_str);
        }
    }
    let line = Line {
        additional_event_data: Additional {
            cut_bytes: cut,
            remote: entry.remote.as_ref().map(|r| r.as_str()),
            version_stages: entry.labels.iter().map(StagingLabel::as_str).collect(),
            ..additional(asker)
        },
        error_code: entry.error,
        event_name: entry.deed.name(),
        event_type: "VaultCall",
        read_only: entry.deed.is_read(),
        request_parameters: entry.secret.is_some().then_some(parameters),
        ..skeleton(event, asker, link)
    };
    text(&line)
}

/// The line of a seal, made on the occasion of an event.
pub(super) fn seal(
    event: &AuditEvent,
    own: &Asker,
    link: &Link,
    keyring: &str,
    mac: &str,
) -> String {
    let asker = event.asker.as_deref().unwrap_or(own);
    let line = Line {
        additional_event_data: Additional {
            keyring: Some(keyring),
            mac: Some(mac),
            ..additional(asker)
        },
        event_name: "Seal",
        event_type: "VaultSeal",
        ..skeleton(event, asker, link)
    };
    text(&line)
}

fn additional(asker: &Asker) -> Additional<'_> {
    Additional {
        door: asker.door.as_str(),
        program: asker.program.as_deref(),
        ..Additional::default()
    }
}

fn skeleton<'a>(event: &'a AuditEvent, asker: &'a Asker, link: &'a Link) -> Line<'a> {
    Line {
        additional_event_data: Additional::default(),
        aws_region: asker.region.as_deref(),
        chain: link,
        error_code: None,
        event_category: "Management",
        event_id: &event.id,
        event_name: "",
        event_source: "strongroom.local",
        event_time: event.at.to_string(),
        event_type: "",
        event_version: "1.08",
        management_event: true,
        read_only: true,
        request_parameters: None,
        response_elements: (),
        source_ip_address: match asker.door {
            Door::Endpoint => "endpoint",
            Door::Cli | Door::Sync | Door::Watch | Door::Migrate => "local",
        },
        user_agent: format!("strongroom/{} {}", env!("CARGO_PKG_VERSION"), asker.verb),
        user_identity: Identity {
            access_key_id: asker.access_key.as_deref(),
            principal_id: asker.uid.to_string(),
            r#type: match asker.access_key {
                Some(_) => "AccessKey",
                None => "LocalUser",
            },
        },
    }
}

#[expect(
    clippy::expect_used,
    reason = "texts and numbers under fixed keys are always JSON"
)]
fn text(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("texts and numbers are JSON")
}

//! GetSecretValue and BatchGetSecretValue (aws.md section 4).

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply, Standing};
use super::filter::{FilterInput, Filters};
use super::input::{Checks, parse};
use super::page::page;
use super::place::Found;
use super::{Service, json, must_be_live, no_version, seconds, vault_fault};
use crate::model::{Content, Kind, Record, SecretValue, StagingLabel, VersionId};
use crate::vault::VaultError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetSecretValue {
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<FilterInput>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// One value as both operations say it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    version_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_binary: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<&'a str>,
    created_date: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answers<'a> {
    secret_values: Vec<Answer<'a>>,
    errors: Vec<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    secret_id: String,
    error_code: &'static str,
    message: String,
}

/// A SecretId and the secret that it means.
type Wanted = (String, Result<Found, Fault>);

/// A version that was read, with its value as JSON wants it.
pub(super) struct Read {
    found: Found,
    id: VersionId,
    value: SecretValue,
    standing: Option<Standing>,
    /// The base64 of a binary value.
    base64: zeroize::Zeroizing<String>,
}

impl Read {
    fn answer(&self) -> Answer<'_> {
        let state = &self.found.record.state;
        let created = state.versions.get(&self.id).and_then(|v| v.created);
        let text = std::str::from_utf8(self.value.expose_secret()).ok();
        let is_string = self.value.kind() == Kind::String;
        Answer {
            arn: &self.found.arn,
            name: self.found.name.as_str(),
            version_id: self.id.as_str(),
            secret_string: text.filter(|_| is_string),
            secret_binary: (!is_string).then_some(self.base64.as_str()),
            version_stages: self.found.stages_of(&self.id),
            created_date: seconds(created.unwrap_or_else(|| self.found.created())),
        }
    }

    /// The secret's record.
    pub(super) fn record(&self) -> &Record {
        &self.found.record
    }

    /// The version.
    pub(super) fn id(&self) -> &VersionId {
        &self.id
    }

    /// The most bytes that the answer can have: every byte of a string may become
    /// `\u0000`.
    fn room(&self) -> usize {
        self.value.len() * 6 + self.base64.len() + 4096
    }
}

impl Service {
    pub(super) fn get_secret_value(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: GetSecretValue = parse(call.body)?;
        let mut checks = Checks::default();
        checks.length("versionId", request.version_id.as_deref(), 32..=64);
        checks.length("versionStage", request.version_stage.as_deref(), 1..=256);
        checks.finish()?;
        let found = self.find(call, request.secret_id.as_deref());
        let id = request.version_id.as_deref();
        let stage = request.version_stage.as_deref();
        let read = found.and_then(|found| self.read(call, found, id, stage));
        let read = self.noted(call, request.secret_id.as_deref(), read)?;
        let mut reply = json(&read.answer(), read.room())?.about(read.found.record.name.clone());
        reply.standing = read.standing;
        Ok(reply)
    }

    pub(super) fn batch_get_secret_value(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: BatchGetSecretValue = parse(call.body)?;
        let mut checks = Checks::default();
        checks.count(
            "secretIdList",
            request.secret_id_list.as_ref().map(Vec::len),
            1..=20,
        );
        checks.range("maxResults", request.max_results, 1..=20);
        checks.length("nextToken", request.next_token.as_deref(), 1..=4096);
        let inputs = request.filters.as_deref().unwrap_or_default();
        let filters = Filters::parse(inputs, checks)?;
        let invalid = |text: &str| Err(Fault::new(Code::InvalidParameterException, text));
        let paged = request.max_results.is_some() || request.next_token.is_some();
        let (wanted, next_token) = match (&request.secret_id_list, &request.filters) {
            (Some(_), None) if paged => {
                return invalid("MaxResults and NextToken go with Filters only.");
            }
            (Some(ids), None) => {
                let each = ids.iter().map(|id| (id.clone(), self.find(call, Some(id))));
                (each.collect(), None)
            }
            (None, Some(_)) => self.filtered(call, &request, &filters)?,
            (Some(_), Some(_)) | (None, None) => {
                return invalid(
                    "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
                );
            }
        };
        let mut read = Vec::new();
        let mut errors = Vec::new();
        for (id, found) in wanted {
            let one = found.and_then(|found| self.read(call, found, None, None));
            match self.noted(call, Some(&id), one) {
                Ok(one) => read.push(one),
                Err(fault) => errors.push(Failed {
                    secret_id: id,
                    error_code: fault.code.as_str(),
                    message: fault.message,
                }),
            }
        }
        let room = read.iter().map(Read::room).sum::<usize>() + 512 * errors.len() + 256;
        let answers = Answers {
            secret_values: read.iter().map(Read::answer).collect(),
            errors,
            next_token,
        };
        let mut reply = json(&answers, room)?;
        let standings = read.iter().filter_map(|one| one.standing);
        reply.standing = standings.reduce(Standing::and);
        Ok(reply)
    }

    /// One page of the secrets in use that filters let through, the oldest first.
    fn filtered(
        &self,
        call: &Call<'_>,
        request: &BatchGetSecretValue,
        filters: &Filters,
    ) -> Result<(Vec<Wanted>, Option<String>), Fault> {
        let mut all = self.all(call);
        all.retain(|found| {
            found.record.state.lifecycle.is_live() && filters.matches(&found.subject())
        });
        all.sort_by_cached_key(|found| (found.created(), found.name.clone()));
        let size = request.max_results.and_then(|n| usize::try_from(n).ok());
        let caller = call.caller;
        let (shown, next_token) = page(
            all,
            |found| found.record.name.as_str(),
            size.unwrap_or(20),
            request.next_token.as_deref(),
            &format!(
                "batch {:?} {:?} {}",
                request.filters, caller.account, caller.region
            ),
        )?;
        let shown = shown.into_iter();
        let wanted = shown.map(|found| (found.name.as_str().to_owned(), Ok(found)));
        Ok((wanted.collect(), next_token))
    }

    /// Reads one version: by id, by label, by both if they agree, else AWSCURRENT.
    fn read(
        &self,
        call: &Call<'_>,
        found: Found,
        id: Option<&str>,
        stage: Option<&str>,
    ) -> Result<Read, Fault> {
        let record = &found.record;
        let now = call.stamp.now;
        must_be_live(record, now)?;
        let has_value =
            |id: &VersionId| record.state.versions.get(id).is_some_and(|v| v.has_value());
        let id = match id {
            Some(text) => {
                let id: Option<VersionId> = text.parse().ok();
                let id = id.filter(&has_value).ok_or_else(|| no_version(text))?;
                if stage.is_some_and(|stage| !found.stages_of(&id).contains(&stage)) {
                    return Err(Fault::new(
                        Code::InvalidRequestException,
                        "You provided a VersionStage that is not associated to the provided VersionId.",
                    ));
                }
                id
            }
            None => {
                let stage = stage.unwrap_or(StagingLabel::CURRENT);
                let label = stage.parse::<StagingLabel>().ok().filter(|l| !l.is_local());
                let holder = label.and_then(|l| record.state.labels.get(&l).cloned());
                holder.filter(&has_value).ok_or_else(|| {
                    Fault::new(
                        Code::ResourceNotFoundException,
                        format!("Secrets Manager can't find the specified secret value for staging label: {stage}"),
                    )
                })?
            }
        };
        let standing = self.standing(call, &found)?;
        let value = self.value(&found, &id)?;
        self.note_read(&record.name, &id, now);
        let base64 = match value.kind() {
            Kind::String => String::new(),
            Kind::Binary => data_encoding::BASE64.encode(value.expose_secret()),
        };
        Ok(Read {
            found,
            id,
            value,
            standing,
            base64: base64.into(),
        })
    }

    /// One version's value: from memory if it was served before, else from its file.
    fn value(&self, found: &Found, id: &VersionId) -> Result<SecretValue, Fault> {
        let record = &found.record;
        let Some(Content::Value { digest, .. }) = record.state.versions.get(id).map(|v| v.content)
        else {
            return Err(no_version(id.as_str()));
        };
        if let Some(value) = self.values.get(&record.name, id, digest) {
            return Ok(value);
        }
        let value = self.vault.read_unnoted(record, id).map_err(|error| {
            if matches!(error, VaultError::ValueMissing { .. }) {
                // A checkout by git may be under way: look again at the next call.
                self.mark_stale();
            }
            vault_fault(&error)
        })?;
        self.values.put(&record.name, id, digest, &value);
        Ok(value)
    }
}

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::get;
use crate::cli::context::fresh_stamp;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::model::{Lifecycle, SecretName, SecretValue, Selector, VersionId};
use crate::server::{Answer, Call, Caller, Grant};
use crate::vault::Vault;

/// `NAME=SELECTOR[.FIELD]`: a variable and what stands for it. A name may hold dots
/// too; of several readings the one with the longest name that is in the vault counts.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    name: String,
    source: String,
}

/// A text that binds nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BindingError {
    /// No `=`, or nothing behind it.
    #[error("give a variable and a secret, as in DB_PASSWORD=prod/db.password")]
    Form,
    /// Not what a shell takes for a variable.
    #[error("a variable's name has letters, digits and _, and begins with no digit")]
    Name,
}

impl FromStr for Binding {
    type Err = BindingError;

    fn from_str(text: &str) -> Result<Self, BindingError> {
        let (name, source) = text.split_once('=').ok_or(BindingError::Form)?;
        if source.is_empty() {
            return Err(BindingError::Form);
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || !name.bytes().all(word) || name.as_bytes()[0].is_ascii_digit() {
            return Err(BindingError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
        })
    }
}

/// GetSecretValue's answer, or why there is none.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Got {
    secret_string: Option<String>,
    secret_binary: Option<String>,
    #[serde(alias = "message")]
    message: Option<String>,
}

impl Binding {
    /// The variable's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The secret that is bound.
    pub(super) fn secret(&self, vault: &Vault) -> Result<SecretName, CommandError> {
        let (selector, _, _) = self.find(vault)?;
        Ok(selector.name)
    }

    /// The value. The version is found in the vault's metadata, and its value asked of
    /// whoever has unlocked the vault.
    pub(super) fn value(
        &self,
        vault: &Vault,
        answer: &dyn Answer,
        region: &str,
    ) -> Result<SecretValue, CommandError> {
        let (selector, id, field) = self.find(vault)?;
        let value = read(answer, region, &selector.name, &id)?;
        match field {
            None => Ok(value),
            Some(key) => Ok(SecretValue::string(get::field(&value, key, &selector)?)?),
        }
    }

    /// The value as a variable can have it.
    pub(super) fn for_env(&self, value: &SecretValue) -> Result<OsString, CommandError> {
        if value.expose_secret().contains(&0) {
            return Err(CommandError::usage(format!(
                "the value for {} has a zero byte, which no variable can hold",
                self.name
            ))
            .hint("use --file in place of --env"));
        }
        Ok(OsString::from_vec(value.expose_secret().to_vec()))
    }

    fn find(&self, vault: &Vault) -> Result<(Selector, VersionId, Option<&str>), CommandError> {
        let text = self.source.as_str();
        let cuts = text.rmatch_indices('.').map(|(at, _)| at);
        let mut first = None;
        for cut in std::iter::once(text.len()).chain(cuts) {
            let (head, field) = text.split_at(cut);
            let field = field.strip_prefix('.').filter(|f| !f.is_empty());
            match found(vault, head) {
                Ok((selector, id)) => return Ok((selector, id, field)),
                // What is wrong with the whole is what the user wants to know.
                Err(error) => first = first.or(Some(error)),
            }
        }
        let error = first.unwrap_or_else(|| CommandError::usage(BindingError::Form.to_string()));
        Err(error.hint("see what there is with: strongroom ls"))
    }
}

fn found(vault: &Vault, text: &str) -> Result<(Selector, VersionId), CommandError> {
    let selector: Selector = text.parse()?;
    let record = vault.record(&selector.name)?;
    let Some(record) = record.filter(|r| r.state.lifecycle != Lifecycle::Tombstone) else {
        return Err(CommandError::not_found(format!(
            "no secret named {}",
            selector.name
        )));
    };
    let id = selector.find(&record.state)?.clone();
    Ok((selector, id))
}

fn read(
    answer: &dyn Answer,
    region: &str,
    name: &SecretName,
    id: &VersionId,
) -> Result<SecretValue, CommandError> {
    let body = json!({ "SecretId": name.as_str(), "VersionId": id.as_str() }).to_string();
    let caller = Caller {
        access_key: "exec".to_owned(),
        account: None,
        region: region.to_owned(),
        grant: Grant::default(),
    };
    let reply = answer.answer(&Call {
        operation: "GetSecretValue",
        body: body.as_bytes(),
        caller: &caller,
        stamp: &fresh_stamp(),
    });
    // serde's own message would quote the value.
    let unclear = || CommandError::new(Exit::Unexpected, format!("{name}: an unclear answer"));
    let got: Got = serde_json::from_slice(&reply.body).map_err(|_| unclear())?;
    match (reply.status, got.secret_string, got.secret_binary) {
        (200, Some(text), None) => Ok(SecretValue::string(Zeroizing::new(text.into_bytes()))?),
        (200, None, Some(text)) => {
            let text = Zeroizing::new(text);
            let bytes = data_encoding::BASE64.decode(text.as_bytes());
            Ok(SecretValue::binary(bytes.map_err(|_| unclear())?)?)
        }
        (200, ..) => Err(unclear()),
        _ => Err(CommandError::new(
            Exit::NotFound,
            format!("{name}: {}", got.message.unwrap_or_default()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_a_variable_and_a_selector() {
        for good in ["A=b", "_x9=prod/db.password", "A=b=c"] {
            assert!(good.parse::<Binding>().is_ok(), "{good}");
        }
        for bad in ["", "A", "A=", "=b", "9A=b", "A-B=c", "Ä=c", "A B=c"] {
            assert!(bad.parse::<Binding>().is_err(), "{bad}");
        }
    }
}

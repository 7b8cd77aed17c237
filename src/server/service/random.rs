//! GetRandomPassword (aws.md section 4).

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::{Checks, parse};
use super::{Service, json};
use crate::crypto::{PasswordError, PasswordRules};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRandomPassword {
    password_length: Option<i64>,
    exclude_characters: Option<String>,
    exclude_numbers: Option<bool>,
    exclude_punctuation: Option<bool>,
    exclude_uppercase: Option<bool>,
    exclude_lowercase: Option<bool>,
    include_space: Option<bool>,
    require_each_included_type: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Password<'a> {
    random_password: &'a str,
}

impl Service {
    pub(super) fn get_random_password(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: GetRandomPassword = parse(call.body)?;
        let mut checks = Checks::default();
        let most = i64::from(PasswordRules::MAX);
        checks.range("passwordLength", request.password_length, 1..=most);
        let excluded = request.exclude_characters.as_deref();
        checks.length("excludeCharacters", excluded, 0..=4096);
        checks.finish()?;
        let length = request.password_length.and_then(|n| u16::try_from(n).ok());
        let rules = PasswordRules {
            length: length.unwrap_or(PasswordRules::default().length),
            exclude_characters: request.exclude_characters.unwrap_or_default(),
            exclude_numbers: request.exclude_numbers.unwrap_or_default(),
            exclude_punctuation: request.exclude_punctuation.unwrap_or_default(),
            exclude_uppercase: request.exclude_uppercase.unwrap_or_default(),
            exclude_lowercase: request.exclude_lowercase.unwrap_or_default(),
            include_space: request.include_space.unwrap_or_default(),
            require_each: request.require_each_included_type.unwrap_or(true),
        };
        let password = rules.make().map_err(|error| match error {
            PasswordError::TooShort { .. } => Fault::new(
                Code::InvalidParameterException,
                "Password length is too short based on the required types.",
            ),
            // AWS's words for this are not known.
            PasswordError::Nothing => Fault::new(
                Code::InvalidParameterException,
                "No characters are left to make a password of.",
            ),
            PasswordError::Random(error) => {
                Fault::new(Code::InternalServiceError, error.to_string())
            }
        })?;
        let answer = Password {
            random_password: std::str::from_utf8(&password)
                .map_err(|e| Fault::new(Code::InternalServiceError, e.to_string()))?,
        };
        // A quote or a backslash takes two bytes.
        json(&answer, password.len() * 2 + 64)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::server::service::testing::Desk;

    #[test]
    fn aws_4_a_password_has_32_characters_unless_asked_otherwise() {
        let desk = Desk::new();
        let made = |body| {
            let answer = desk.ok("GetRandomPassword", body);
            answer["RandomPassword"].as_str().unwrap().to_owned()
        };
        assert_eq!(made(json!({})).len(), 32);
        assert_ne!(made(json!({})), made(json!({})));
        assert_eq!(made(json!({"PasswordLength": 4096})).len(), 4096);
        let digits = made(json!({
            "PasswordLength": 100, "ExcludeCharacters": "0123", "ExcludePunctuation": true,
            "ExcludeUppercase": true, "ExcludeLowercase": true,
        }));
        assert!(digits.chars().all(|c| "456789".contains(c)), "{digits}");
        let spaced = made(json!({
            "PasswordLength": 1000, "IncludeSpace": true, "ExcludeNumbers": true,
            "ExcludeUppercase": true, "ExcludeLowercase": true,
        }));
        assert!(spaced.contains(' ') && !spaced.contains(|c: char| c.is_alphanumeric()));
    }

    #[test]
    fn aws_4_lengths_that_do_not_fit_are_refused() {
        let desk = Desk::new();
        desk.refused(
            "GetRandomPassword",
            json!({"PasswordLength": 3}),
            "InvalidParameterException",
            "Password length is too short based on the required types.",
        );
        let one = json!({"PasswordLength": 3, "RequireEachIncludedType": false});
        desk.ok("GetRandomPassword", one);
        desk.refused(
            "GetRandomPassword",
            json!({"PasswordLength": 4097}),
            "ValidationException",
            "1 validation error detected: Value '4097' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096",
        );
        desk.refused(
            "GetRandomPassword",
            json!({"PasswordLength": 0}),
            "ValidationException",
            "1 validation error detected: Value '0' at 'passwordLength' failed to satisfy constraint: Member must have value greater than or equal to 1",
        );
        desk.refused(
            "GetRandomPassword",
            json!({
                "ExcludeNumbers": true, "ExcludePunctuation": true,
                "ExcludeUppercase": true, "ExcludeLowercase": true,
            }),
            "InvalidParameterException",
            "No characters are left to make a password of.",
        );
    }
}

//! What a request of the agent's protocol asks for: path and query to words (aws.md
//! section 11). Pure, and safe on any text.

/// The extension's path.
const GET: &str = "/secretsmanager/get";
/// The agent's path; what follows is the secret's id.
const PREFIX: &str = "/v1/";

/// What a request asks for. Whether it wants the value fresh makes no difference: the
/// vault always is.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The SecretId.
    pub secret: String,
    /// The VersionId.
    pub version: Option<String>,
    /// The VersionStage.
    pub stage: Option<String>,
}

/// A query that the agent refuses, in its words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// `/secretsmanager/get` without an id.
    #[error("missing parameter secretId")]
    NoParameter,
    /// `/v1/` without an id.
    #[error("missing secret ID")]
    NoId,
    /// A parameter that is not known.
    #[error("unknown parameter: {0}")]
    Unknown(String),
    /// Neither true nor false.
    #[error("invalid refreshNow value")]
    RefreshNow,
}

/// Reads a request's path and query; `None` is a path that nobody is at.
pub fn asked(path: &str, query: &str) -> Option<Result<Asked, BadQuery>> {
    if path == GET {
        return Some(by_query(query));
    }
    let id = path.strip_prefix(PREFIX)?;
    Some(by_path(id, query))
}

fn by_query(query: &str) -> Result<Asked, BadQuery> {
    let mut secret = String::new();
    let mut asked = read(query, |key, value| {
        let ours = key == "secretId";
        if ours {
            value.clone_into(&mut secret);
        }
        ours
    })?;
    if secret.is_empty() {
        return Err(BadQuery::NoParameter);
    }
    asked.secret = secret;
    Ok(asked)
}

fn by_path(id: &str, query: &str) -> Result<Asked, BadQuery> {
    if id.is_empty() {
        return Err(BadQuery::NoId);
    }
    let mut asked = read(query, |_, _| false)?;
    // As it stands, not decoded: the agent does so too.
    id.clone_into(&mut asked.secret);
    Ok(asked)
}

/// Reads the parameters that both forms know; `other` is asked about the rest.
fn read(query: &str, mut other: impl FnMut(&str, &str) -> bool) -> Result<Asked, BadQuery> {
    let mut asked = Asked {
        secret: String::new(),
        version: None,
        stage: None,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key), decode(value));
        match key.as_str() {
            "versionId" => asked.version = Some(value),
            "versionStage" => asked.stage = Some(value),
            "refreshNow" => {
                let known = ["true", "false", "1", "0"];
                if !known.iter().any(|k| k.eq_ignore_ascii_case(&value)) {
                    return Err(BadQuery::RefreshNow);
                }
            }
            key if other(key, &value) => {}
            _ => return Err(BadQuery::Unknown(key)),
        }
    }
    Ok(asked)
}

/// Undoes the coding of a form: `+` is a blank, `%20` too; what is no coding stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match after.split_first_chunk::<2>().and_then(|(pair, more)| {
                let digit = |b: u8| char::from(b).to_digit(16);
                let value = digit(pair[0])? * 16 + digit(pair[1])?;
                Some((u8::try_from(value).ok()?, more))
            }) {
                Some((byte, more)) => {
                    bytes.push(byte);
                    rest = more;
                }
                None => bytes.push(b'%'),
            },
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ok(path: &str, query: &str) -> (String, Option<String>, Option<String>) {
        let asked = asked(path, query).unwrap().unwrap();
        (asked.secret, asked.version, asked.stage)
    }

    fn bad(path: &str, query: &str) -> String {
        asked(path, query).unwrap().unwrap_err().to_string()
    }

    #[test]
    fn aws_11_the_extensions_form() {
        let some = |t: &str| Some(t.to_owned());
        assert_eq!(ok(GET, "secretId=a"), ("a".into(), None, None));
        assert_eq!(
            ok(
                GET,
                "secretId=a%2Fb%40c&versionId=v+1&versionStage=S&refreshNow=TRUE"
            ),
            ("a/b@c".into(), some("v 1"), some("S"))
        );
        assert_eq!(ok(GET, "secretId=a%2&").0, "a%2");
        for query in ["", "secretId", "secretId=", "versionId=v"] {
            assert_eq!(bad(GET, query), "missing parameter secretId", "{query}");
        }
        assert_eq!(bad(GET, "secretId=a&x=1"), "unknown parameter: x");
        assert_eq!(
            bad(GET, "secretId=a&refreshNow=yes"),
            "invalid refreshNow value"
        );
    }

    #[test]
    fn aws_11_the_agents_form_takes_the_path_as_it_stands() {
        assert_eq!(ok("/v1/a/b%2Fc", "").0, "a/b%2Fc");
        assert_eq!(
            ok("/v1/a", "versionStage=X&refreshNow=0").2.as_deref(),
            Some("X")
        );
        assert_eq!(bad("/v1/", ""), "missing secret ID");
        assert_eq!(bad("/v1/a", "secretId=b"), "unknown parameter: secretId");
        for path in [
            "/",
            "/v1",
            "/v2/a",
            "/secretsmanager/get/",
            "/secretsmanager",
            "",
        ] {
            assert_eq!(asked(path, ""), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(path in "\\PC*", query in "[a-zA-Z%&=+0-9]*|\\PC*") {
            drop(asked(&path, &query));
            drop(asked(GET, &query));
        }
    }
}

//! Resource policies: the grammar of an IAM resource policy, and what one grants
//! (aws.md section 4, PutResourcePolicy).
//!
//! Whether a principal exists only AWS can say; here its form is checked.

mod json;

use json::Json;

/// The versions of the policy language.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
/// The kinds of principals.
const PRINCIPALS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];
/// Condition keys that tie a request to somebody or to some place, in lower case.
const NARROWING: [&str; 12] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "aws:vpcsourceip",
];

/// Why a text is no resource policy: MalformedPolicyDocumentException in AWS's words
/// (aws.md section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PolicyError {
    /// Not JSON, or not of the grammar.
    #[error("This policy has invalid syntax.")]
    Syntax,
    /// A principal that cannot be one.
    #[error("This resource policy contains an unsupported principal.")]
    Principal,
}

/// A well-formed resource policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    text: String,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
struct Statement {
    allows: bool,
    everyone: bool,
    /// NotPrincipal: all but those.
    all_but: bool,
    /// Action, or all but NotAction.
    actions: Option<Vec<String>>,
    conditions: Option<Json>,
}

impl Policy {
    /// Reads a policy and checks its grammar.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let document: Json = serde_json::from_str(text).map_err(|_| PolicyError::Syntax)?;
        document.only(&["Version", "Id", "Statement"])?;
        if let Some(version) = document.member("Version")
            && !version.text().is_some_and(|v| VERSIONS.contains(&v))
        {
            return Err(PolicyError::Syntax);
        }
        optional_text(&document, "Id")?;
        let statements = match document.member("Statement") {
            Some(Json::List(list)) if !list.is_empty() => {
                list.iter().map(Statement::read).collect::<Result<_, _>>()?
            }
            Some(one @ Json::Object(_)) => vec![Statement::read(one)?],
            _ => return Err(PolicyError::Syntax),
        };
        let text = serde_json::to_string(&document).map_err(|_| PolicyError::Syntax)?;
        Ok(Self { text, statements })
    }

    /// The policy as JSON text without white space, its members in their order.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it lets everyone in: an Allow for `*`, or for all but some, without a
    /// condition that ties the request to an account, organisation or network. AWS
    /// proves this with a solver; this is the plain reading.
    pub(super) fn grants_public_access(&self) -> bool {
        let public = |s: &Statement| s.allows && (s.everyone || s.all_but) && !s.is_narrowed();
        self.statements.iter().any(public)
    }

    /// Whether nobody could change it any more: a Deny for everyone, without any
    /// condition, of the operation that replaces it.
    pub(super) fn locks_out(&self) -> bool {
        let locks = |s: &Statement| {
            !s.allows
                && s.everyone
                && s.conditions.is_none()
                && s.covers("secretsmanager:PutResourcePolicy")
        };
        self.statements.iter().any(locks)
    }
}

impl Statement {
    fn read(json: &Json) -> Result<Self, PolicyError> {
        json.only(&[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ])?;
        optional_text(json, "Sid")?;
        let allows = match json.member("Effect").and_then(Json::text) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(PolicyError::Syntax),
        };
        let (principal, all_but) = one_of(json, "Principal", "NotPrincipal")?;
        let everyone = check_principal(principal)? && !all_but;
        let (action, negated) = one_of(json, "Action", "NotAction")?;
        let actions = texts(action)?;
        if !actions.iter().all(|a| *a == "*" || is_action(a)) {
            return Err(PolicyError::Syntax);
        }
        let (resource, _) = one_of(json, "Resource", "NotResource")?;
        let is_resource = |r: &&str| *r == "*" || r.starts_with("arn:");
        if !texts(resource)?.iter().all(is_resource) {
            return Err(PolicyError::Syntax);
        }
        let conditions = json.member("Condition");
        if let Some(conditions) = conditions {
            check_conditions(conditions)?;
        }
        Ok(Self {
            allows,
            everyone,
            all_but,
            actions: (!negated).then(|| actions.into_iter().map(str::to_owned).collect()),
            conditions: conditions.filter(|c| !c.members().is_empty()).cloned(),
        })
    }

    fn covers(&self, operation: &str) -> bool {
        // What NotAction leaves out is rarely this; to be sure it would need the list.
        let Some(actions) = &self.actions else {
            return false;
        };
        let fits = |action: &String| match action.split_once('*') {
            None => action.eq_ignore_ascii_case(operation),
            Some((head, tail)) => {
                tail.is_empty()
                    && operation
                        .get(..head.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(head))
            }
        };
        actions.iter().any(fits)
    }

    /// Whether one of the conditions, all of which must hold, ties the request down.
    fn is_narrowed(&self) -> bool {
        let Some(conditions) = &self.conditions else {
            return false;
        };
        let ties = |(operator, tests): &(String, Json)| {
            let Some(kind) = Comparison::of(operator) else {
                return false;
            };
            let members = tests.members().iter();
            members.into_iter().any(|(key, values)| {
                NARROWING.contains(&key.to_ascii_lowercase().as_str())
                    && values
                        .scalars()
                        .is_some_and(|all| !all.is_empty() && all.iter().all(|v| kind.is_narrow(v)))
            })
        };
        conditions.members().iter().any(ties)
    }
}

/// How a condition operator that can tie a request down compares. Negated ones,
/// `IfExists` and `ForAllValues`, which hold for a missing key too, cannot.
#[derive(Clone, Copy)]
enum Comparison {
    Exact,
    Like,
    Network,
}

impl Comparison {
    fn of(operator: &str) -> Option<Self> {
        let operator = operator.strip_prefix("ForAnyValue:").unwrap_or(operator);
        match operator {
            "StringEquals" | "StringEqualsIgnoreCase" => Some(Self::Exact),
            "StringLike" | "ArnLike" | "ArnEquals" => Some(Self::Like),
            "IpAddress" => Some(Self::Network),
            _ => None,
        }
    }

    fn is_narrow(self, value: &str) -> bool {
        match self {
            Self::Exact => true,
            Self::Network => !value.ends_with("/0"),
            // What stands before the first wildcard must name somebody.
            Self::Like => {
                let head = value.split(['*', '?']).next().unwrap_or_default();
                let names_account = head
                    .split(|c: char| !c.is_ascii_digit())
                    .any(|run| run.len() == 12);
                head.len() == value.len()
                    || names_account
                    || ["o-", "vpc-", "vpce-"]
                        .iter()
                        .any(|p| head.len() > p.len() && head.starts_with(p))
            }
        }
    }
}

/// Exactly one of two members that exclude each other, and whether it is the second.
fn one_of<'j>(json: &'j Json, one: &str, other: &str) -> Result<(&'j Json, bool), PolicyError> {
    match (json.member(one), json.member(other)) {
        (Some(found), None) => Ok((found, false)),
        (None, Some(found)) => Ok((found, true)),
        _ => Err(PolicyError::Syntax),
    }
}

/// Checks the form of a Principal; says whether it stands for everyone.
fn check_principal(json: &Json) -> Result<bool, PolicyError> {
    if let Some(text) = json.text() {
        return match text {
            "*" => Ok(true),
            _ => Err(PolicyError::Syntax),
        };
    }
    json.only(&PRINCIPALS)?;
    if json.members().is_empty() {
        return Err(PolicyError::Syntax);
    }
    let mut everyone = false;
    for (kind, values) in json.members() {
        for value in texts(values)? {
            if kind == "AWS" {
                everyone |= value == "*";
                if !is_principal(value) {
                    return Err(PolicyError::Principal);
                }
            }
        }
    }
    Ok(everyone)
}

/// `*`, an account, an ARN, or the unique id of a user or role.
fn is_principal(text: &str) -> bool {
    let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let unique = text.len() >= 16 && text.starts_with('A') && text.bytes().all(upper);
    text == "*" || digits || unique || (text.starts_with("arn:") && text.split(':').count() >= 6)
}

/// `service:Action`, where the action may have wildcards.
fn is_action(text: &str) -> bool {
    let part = |text: &str, more: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && text.chars().all(fits)
    };
    let parts = text.split_once(':');
    parts.is_some_and(|(service, action)| part(service, "-") && part(action, "*?"))
}

/// `{operator: {key: value or values}}`.
fn check_conditions(json: &Json) -> Result<(), PolicyError> {
    let Json::Object(operators) = json else {
        return Err(PolicyError::Syntax);
    };
    for (operator, tests) in operators {
        let Json::Object(tests) = tests else {
            return Err(PolicyError::Syntax);
        };
        let sound = |(key, values): &(String, Json)| !key.is_empty() && values.scalars().is_some();
        if operator.is_empty() || tests.is_empty() || !tests.iter().all(sound) {
            return Err(PolicyError::Syntax);
        }
    }
    Ok(())
}

fn optional_text(json: &Json, name: &str) -> Result<(), PolicyError> {
    match json.member(name) {
        None | Some(Json::Text(_)) => Ok(()),
        Some(_) => Err(PolicyError::Syntax),
    }
}

/// One text or a list of at least one.
fn texts(json: &Json) -> Result<Vec<&str>, PolicyError> {
    let texts: Option<Vec<&str>> = match json {
        Json::Text(text) => Some(vec![text.as_str()]),
        Json::List(list) => list.iter().map(Json::text).collect(),
        _ => None,
    };
    texts
        .filter(|t| !t.is_empty() && t.iter().all(|t| !t.is_empty()))
        .ok_or(PolicyError::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}}"#;

    fn statement(inner: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{{inner}}}]}}"#)
    }

    #[test]
    fn aws_4_the_text_is_normalised_and_keeps_its_order() {
        let spaced = GOOD.replace(',', " ,\n  ").replace("\":", "\" :\t");
        assert_eq!(Policy::parse(&spaced).unwrap().text(), GOOD);
        let odd = statement(
            r#""Sid":"a \"b\" , c","Effect":"Deny","Principal":"*","NotAction":["kms:Dec*","s3:*"],"NotResource":["arn:aws:s3:::x"],"Condition":{"Bool":{"aws:SecureTransport":false},"NumericLessThan":{"aws:MultiFactorAuthAge":[300,1.5]}}"#,
        );
        assert_eq!(Policy::parse(&odd).unwrap().text(), odd);
    }

    #[test]
    fn aws_1_a_policy_outside_the_grammar_has_invalid_syntax() {
        let rest = r#""Action":"secretsmanager:*","Resource":"*""#;
        let allow = format!(r#""Effect":"Allow","Principal":"*",{rest}"#);
        assert!(Policy::parse(&statement(&allow)).is_ok());
        for bad in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            "not json".to_owned(),
            format!("{GOOD}x"),
            r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
            r#"{"Version":"2012-10-17"}"#.to_owned(),
            GOOD.replace("2012-10-17", "2013-10-17"),
            GOOD.replace("\"Version\"", "\"Versions\""),
            GOOD.replace("Allow", "allow"),
            GOOD.replace("Effect", "Efect"),
            GOOD.replace("secretsmanager:GetSecretValue", "GetSecretValue"),
            GOOD.replace("\"Resource\":\"*\"", "\"Resource\":\"x\""),
            GOOD.replace("\"Resource\":\"*\"", "\"Resource\":[]"),
            GOOD.replace("\"Resource\":\"*\"", "\"Resource\":[1]"),
            GOOD.replace("\"AWS\":", "\"Aws\":"),
            statement(&format!(r#""Effect":"Allow",{rest}"#)),
            statement(&format!(r#""Effect":"Allow","Principal":{{}},{rest}"#)),
            statement(&format!(r#""Effect":"Allow","Principal":"bob",{rest}"#)),
            statement(r#""Effect":"Allow","Principal":"*","Action":"s3:*""#),
            statement(r#""Effect":"Allow","Principal":"*","Resource":"*""#),
            statement(&format!(r#"{allow},"NotAction":"s3:*""#)),
            statement(&format!(r#"{allow},"NotPrincipal":"*""#)),
            statement(&format!(r#"{allow},"Sid":1"#)),
            statement(&format!(r#"{allow},"Condition":[]"#)),
            statement(&format!(r#"{allow},"Condition":{{"Bool":true}}"#)),
            statement(&format!(r#"{allow},"Condition":{{"Bool":{{"k":{{}}}}}}"#)),
            // The second would hide the first from whoever checks.
            statement(&format!(r#"{allow},"Principal":{{"AWS":"123456789012"}}"#)),
        ] {
            assert_eq!(Policy::parse(&bad), Err(PolicyError::Syntax), "{bad}");
        }
    }

    #[test]
    fn aws_1_a_principal_that_cannot_be_one_is_unsupported() {
        let root = "arn:aws:iam::123456789012:root";
        for (principal, is) in [
            ("123456789012", true),
            ("AIDAJQABLZS4A3QDU576Q", true),
            ("*", true),
            ("bob", false),
            ("12345", false),
            ("arn:bob", false),
        ] {
            let policy = Policy::parse(&GOOD.replace(root, principal));
            let expected = match is {
                true => None,
                false => Some(PolicyError::Principal),
            };
            assert_eq!(policy.err(), expected, "{principal}");
        }
    }

    #[test]
    fn aws_4_public_is_an_allow_for_everyone_that_no_condition_narrows() {
        let policy = |effect: &str, principal: &str, condition: &str| {
            let text = statement(&format!(
                r#""Effect":"{effect}",{principal},"Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{{{condition}}}"#
            ));
            Policy::parse(&text).unwrap()
        };
        let star = r#""Principal":"*""#;
        for (effect, principal, condition, is) in [
            ("Allow", star, "", true),
            ("Deny", star, "", false),
            ("Allow", r#""Principal":{"AWS":"*"}"#, "", true),
            (
                "Allow",
                r#""Principal":{"AWS":["123456789012","*"]}"#,
                "",
                true,
            ),
            ("Allow", r#""Principal":{"AWS":"123456789012"}"#, "", false),
            (
                "Allow",
                r#""Principal":{"Service":"rds.amazonaws.com"}"#,
                "",
                false,
            ),
            (
                "Allow",
                r#""NotPrincipal":{"AWS":"123456789012"}"#,
                "",
                true,
            ),
            (
                "Allow",
                star,
                r#""StringEquals":{"aws:PrincipalOrgID":"o-1"}"#,
                false,
            ),
            (
                "Allow",
                star,
                r#""StringEquals":{"AWS:principalorgid":["o-1","o-2"]}"#,
                false,
            ),
            (
                "Allow",
                star,
                r#""StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}"#,
                true,
            ),
            (
                "Allow",
                star,
                r#""StringNotEquals":{"aws:PrincipalOrgID":"o-1"}"#,
                true,
            ),
            (
                "Allow",
                star,
                r#""StringEquals":{"aws:PrincipalOrgID":[]}"#,
                true,
            ),
            (
                "Allow",
                star,
                r#""StringLike":{"aws:PrincipalOrgID":"*"}"#,
                true,
            ),
            (
                "Allow",
                star,
                r#""StringLike":{"aws:PrincipalOrgID":"o-1*"}"#,
                false,
            ),
            (
                "Allow",
                star,
                r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/x"}"#,
                true,
            ),
            (
                "Allow",
                star,
                r#""ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/*"}"#,
                false,
            ),
            (
                "Allow",
                star,
                r#""Bool":{"aws:SecureTransport":"true"}"#,
                true,
            ),
            (
                "Allow",
                star,
                r#""IpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#,
                false,
            ),
            (
                "Allow",
                star,
                r#""IpAddress":{"aws:SourceIp":["10.0.0.0/8","0.0.0.0/0"]}"#,
                true,
            ),
        ] {
            let found = policy(effect, principal, condition).grants_public_access();
            assert_eq!(found, is, "{effect} {principal} {condition}");
        }
    }

    #[test]
    fn aws_4_a_deny_for_everyone_of_the_policys_own_change_locks_out() {
        let policy = |principal: &str, action: &str, more: &str| {
            Policy::parse(&statement(&format!(
                r#""Effect":"Deny","Principal":{principal},"Action":"{action}","Resource":"*"{more}"#
            )))
            .unwrap()
        };
        let condition = r#","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#;
        for (principal, action, more, is) in [
            (r#""*""#, "*", "", true),
            (r#""*""#, "secretsmanager:*", "", true),
            (r#""*""#, "secretsmanager:Put*", "", true),
            (r#""*""#, "secretsmanager:putresourcepolicy", "", true),
            (r#""*""#, "secretsmanager:GetSecretValue", "", false),
            (r#""*""#, "secretsmanager:*", condition, false),
            (r#"{"AWS":"123456789012"}"#, "*", "", false),
        ] {
            let found = policy(principal, action, more).locks_out();
            assert_eq!(found, is, "{principal} {action}");
        }
    }
}

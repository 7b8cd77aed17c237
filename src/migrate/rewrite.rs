//! What names the source account: ARNs and ids in resource policies, which are
//! rewritten, and in values, which never are. Pure.

use serde_json::Value;

use super::saved::Side;
use crate::model::SecretName;

/// A policy for the target, and what was found in it.
pub(super) struct Rewritten {
    pub(super) text: String,
    /// How many account ids and ARNs were rewritten.
    pub(super) changed: usize,
    /// How many texts still name the source account.
    pub(super) left: usize,
}

/// Rewrites a resource policy: ARNs of secrets of the source become the target's, with
/// any suffix, since the target gives a new one (aws.md section 14). With `accounts`
/// every other mention of the source account becomes the target's too. `None` if the
/// text is no JSON.
pub(super) fn policy(
    text: &str,
    from: &Side,
    to: &Side,
    accounts: bool,
    target: impl Fn(&SecretName) -> Option<SecretName>,
) -> Option<Rewritten> {
    let mut json: Value = serde_json::from_str(text).ok()?;
    let mut done = Rewritten {
        text: String::new(),
        changed: 0,
        left: 0,
    };
    walk(&mut json, &mut |text: &mut String| {
        if let Some(arn) = secret_arn(text, from, to, &target) {
            *text = arn;
            done.changed += 1;
        } else if from.account != to.account
            && mentions(text.as_bytes(), from.account.as_bytes()) > 0
        {
            if accounts {
                *text = replace(text, &from.account, &to.account);
                done.changed += 1;
            } else {
                done.left += 1;
            }
        }
    });
    done.text = json.to_string();
    Some(done)
}

/// The same policy, however it is spaced and ordered.
pub(super) fn same_policy(one: &str, other: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other || matches!((parse(one), parse(other)), (Some(a), Some(b)) if a == b)
}

fn walk(json: &mut Value, act: &mut impl FnMut(&mut String)) {
    match json {
        Value::String(text) => act(text),
        Value::Array(list) => list.iter_mut().for_each(|v| walk(v, act)),
        Value::Object(map) => map.iter_mut().for_each(|(_, v)| walk(v, act)),
        _ => {}
    }
}

/// `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-xxxxxx` of the source, as the
/// target would have it.
fn secret_arn(
    text: &str,
    from: &Side,
    to: &Side,
    target: &impl Fn(&SecretName) -> Option<SecretName>,
) -> Option<String> {
    let mut parts = text.splitn(7, ':');
    let (head, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next()?;
    let ours = head == "arn"
        && service == "secretsmanager"
        && kind == "secret"
        && account == from.account
        && region == from.region;
    if !ours {
        return None;
    }
    let name = rest
        .len()
        .checked_sub(7)
        .and_then(|at| rest.split_at_checked(at))
        .filter(|(_, suffix)| suffix.starts_with('-'))
        .and_then(|(name, _)| name.parse::<SecretName>().ok())
        .and_then(|name| target(&name));
    let rest = match name {
        Some(name) => format!("{name}-??????"),
        // A pattern, or a name that does not move.
        None => rest.to_owned(),
    };
    let (region, account) = (&to.region, &to.account);
    Some(format!(
        "arn:{partition}:secretsmanager:{region}:{account}:secret:{rest}"
    ))
}

/// How often a word stands in some bytes by itself.
pub(super) fn mentions(bytes: &[u8], word: &[u8]) -> usize {
    if word.is_empty() {
        return 0;
    }
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let is_there = |at: &usize| {
        let end = at + word.len();
        bytes.get(*at..end) == Some(word)
            && !part(at.checked_sub(1).and_then(|n| bytes.get(n)))
            && !part(bytes.get(end))
    };
    (0..bytes.len()).filter(is_there).count()
}

fn replace(text: &str, from: &str, to: &str) -> String {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = found.get(from.len()..).unwrap_or_default();
        let inside = part(
            before
                .chars()
                .next_back()
                .or_else(|| out.chars().next_back()),
        ) || part(after.chars().next());
        out.push_str(before);
        out.push_str(if inside { from } else { to });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a name ends in a hyphen and six characters, as a suffix of an ARN does: a
/// partial ARN of it finds nothing (aws.md section 2).
pub(super) fn looks_suffixed(name: &SecretName) -> bool {
    let text = name.as_str();
    text.len()
        .checked_sub(7)
        .and_then(|at| text.split_at_checked(at))
        .and_then(|(_, end)| end.strip_prefix('-'))
        .is_some_and(|end| end.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(account: &str, region: &str) -> Side {
        Side {
            remote: "x".into(),
            account: account.into(),
            region: region.into(),
            endpoint: None,
        }
    }

    const TEXT: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:role/app","111111111111","arn:aws:iam::333333333333:root"]},"Action":"secretsmanager:GetSecretValue","Resource":["arn:aws:secretsmanager:eu-west-1:111111111111:secret:prod/db-AbCdEf","*"]}]}"#;

    #[test]
    fn aws_14_own_arns_move_and_accounts_only_when_asked() {
        let (from, to) = (
            side("111111111111", "eu-west-1"),
            side("222222222222", "us-east-1"),
        );
        let target = |name: &SecretName| format!("live/{name}").parse().ok();
        let kept = policy(TEXT, &from, &to, false, target).unwrap();
        assert_eq!((kept.changed, kept.left), (1, 2));
        let own = "arn:aws:secretsmanager:us-east-1:222222222222:secret:live/prod/db-??????";
        assert!(kept.text.contains(own), "{}", kept.text);
        assert!(kept.text.contains("iam::111111111111:role/app"));
        let all = policy(TEXT, &from, &to, true, target).unwrap();
        assert_eq!((all.changed, all.left), (3, 0));
        assert!(!all.text.contains("111111111111"), "{}", all.text);
        assert!(all.text.contains("iam::333333333333:root"));
        assert!(policy("{", &from, &to, true, target).is_none());
    }

    #[test]
    fn in_another_region_of_one_account_its_id_stays() {
        let (from, to) = (
            side("111111111111", "eu-west-1"),
            side("111111111111", "us-east-1"),
        );
        let same = policy(TEXT, &from, &to, false, |name| Some(name.clone())).unwrap();
        assert_eq!((same.changed, same.left), (1, 0));
        assert!(same.text.contains("iam::111111111111:role/app"));
    }

    #[test]
    fn policies_are_compared_as_json() {
        assert!(same_policy("{\"a\": 1, \"b\":2}", "{\"b\":2,\"a\":1}"));
        assert!(!same_policy("{\"a\":1}", "{\"a\":2}"));
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        let count = |text: &str| mentions(text.as_bytes(), b"111111111111");
        assert_eq!(count("arn:aws:iam::111111111111:role/x 111111111111"), 2);
        assert_eq!(count("1111111111110 x111111111111"), 0);
        assert_eq!(count(""), 0);
        assert_eq!(replace("a 1 11 1b 1", "1", "2"), "a 2 11 1b 2");
    }

    #[test]
    fn aws_2_a_name_that_ends_like_an_arn_is_noticed() {
        for (name, like) in [("x-a1b2c3", true), ("x-a1b2", false), ("x-a1b2c3-", false)] {
            assert_eq!(looks_suffixed(&name.parse().unwrap()), like, "{name}");
        }
    }
}

//! The filters of ListSecrets and BatchGetSecretValue (aws.md section 5).
//!
//! Filters are ANDed, the values of one are ORed, `!` negates a value. Most keys match
//! by a prefix and by case; `description` and `all` match word by word, without case.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::protocol::{Code, Fault};
use super::input::Checks;

/// The most filters of one call, and the most values of one filter.
const MAX: usize = 10;
/// The longest value, in characters.
const MAX_VALUE: usize = 512;
/// What AWS's model says of a value.
const PATTERN: &str = r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$";
/// The keys, in the order in which a refusal lists them.
const KEYS: [(&str, Attribute); 7] = [
    ("all", Attribute::All),
    ("primary-region", Attribute::PrimaryRegion),
    ("owning-service", Attribute::OwningService),
    ("name", Attribute::Name),
    ("tag-key", Attribute::TagKey),
    ("description", Attribute::Description),
    ("tag-value", Attribute::TagValue),
];
/// What parts the words of a name, if only one kind of them occurs in it.
const SEPARATORS: [char; 7] = ['/', '-', '_', '+', '=', '.', '@'];

/// One filter as a request has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FilterInput {
    /// What is matched on.
    #[serde(default)]
    pub(super) key: Option<String>,
    /// Any of these.
    #[serde(default)]
    pub(super) values: Option<Vec<String>>,
}

/// What a filter looks at in one secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The secret's name, as the caller knows it.
    pub(super) name: &'a str,
    /// Its description.
    pub(super) description: Option<&'a str>,
    /// Its tags.
    pub(super) tags: &'a BTreeMap<String, String>,
    /// The Region of its primary, if it is replicated.
    pub(super) primary_region: Option<&'a str>,
    /// The AWS service that owns it.
    pub(super) owning_service: Option<&'a str>,
}

/// Checked filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters(Vec<Filter>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    key: Attribute,
    values: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    negated: bool,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    All,
    PrimaryRegion,
    OwningService,
    Name,
    TagKey,
    Description,
    TagValue,
}

impl Filters {
    /// Checks what a request asks for: at most 10 filters with 1 to 10 values of at
    /// most 512 characters each, known keys (aws.md section 5). `checks` are those of
    /// the request's other members: every broken constraint is named in one fault.
    pub(super) fn parse(input: &[FilterInput], mut checks: Checks) -> Result<Self, Fault> {
        checks.count("filters", Some(input.len()), 0..=MAX);
        for (at, filter) in input.iter().enumerate() {
            check(filter, at + 1, &mut checks);
        }
        checks.finish()?;
        let missing = |text: String| Fault::new(Code::InvalidParameterException, text);
        let filters = input.iter().map(|filter| {
            let name = filter.key.as_deref().unwrap_or_default();
            let Some(key) = key(name) else {
                return Err(missing("Invalid filter key".to_owned()));
            };
            let Some(values) = &filter.values else {
                return Err(missing(format!("Invalid filter values for key: {name}")));
            };
            let values = values.iter().map(|value| match value.strip_prefix('!') {
                Some(text) => Pattern {
                    negated: true,
                    text: text.to_owned(),
                },
                None => Pattern {
                    negated: false,
                    text: value.clone(),
                },
            });
            Ok(Filter {
                key,
                values: values.collect(),
            })
        });
        filters.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a secret passes every filter.
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        self.0.iter().all(|filter| filter.matches(subject))
    }
}

impl Filter {
    /// Whether any of the values fits. A negated value fits what its text does not:
    /// a secret without the attribute too, which aws.md section 5 has no record of.
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let fits = |value: &Pattern| self.key.finds(&value.text, subject) != value.negated;
        self.values.iter().any(fits)
    }
}

impl Attribute {
    /// Whether the text is found in what this key stands for.
    fn finds(self, text: &str, subject: &Subject<'_>) -> bool {
        let tags = subject.tags;
        let begins = |it: &str| it.starts_with(text);
        let has_words = |it: &str| contains_words(it, text);
        match self {
            Self::Name => begins(subject.name),
            Self::Description => subject.description.is_some_and(has_words),
            Self::TagKey => tags.keys().any(|key| begins(key)),
            Self::TagValue => tags.values().any(|value| begins(value)),
            Self::PrimaryRegion => subject.primary_region.is_some_and(begins),
            Self::OwningService => subject.owning_service.is_some_and(begins),
            Self::All => {
                has_words(subject.name)
                    || subject.description.is_some_and(has_words)
                    || tags.iter().any(|(k, v)| has_words(k) || has_words(v))
            }
        }
    }
}

/// Whether every word of `sought` begins some word of `text`, without regard to case.
/// A text without words, such as a lone separator, is found nowhere.
fn contains_words(text: &str, sought: &str) -> bool {
    let (text, sought) = (words(text), words(sought));
    let begins = |word: &String| text.iter().any(|t| t.starts_with(word.as_str()));
    !sought.is_empty() && sought.iter().all(begins)
}

/// The words of a text, in lower case: parted by white space, then by the separators
/// if they are all of one kind, then by case humps (aws.md section 5).
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in text.split_whitespace() {
        let mut kinds = SEPARATORS.iter().filter(|s| part.contains(**s));
        match (kinds.next(), kinds.next()) {
            (None, _) => humps(part, &mut words),
            (Some(separator), None) => {
                for piece in part.split(*separator).filter(|p| !p.is_empty()) {
                    humps(piece, &mut words);
                }
            }
            // Two kinds of separator make one word of it all.
            (Some(_), Some(_)) => words.push(part.to_lowercase()),
        }
    }
    words
}

/// Cuts before an upper-case letter that a lower-case one follows, and after the
/// lower-case letters behind it: `AppBeta` is App and Beta, `COMPANYthings` is COMPAN
/// and Ythings, `COMPANY` is one word.
fn humps(text: &str, words: &mut Vec<String>) {
    let chars: Vec<char> = text.chars().collect();
    let mut word = String::new();
    let mut in_hump = false;
    for (at, c) in chars.iter().enumerate() {
        let next_is_lower = chars.get(at + 1).is_some_and(|n| n.is_lowercase());
        let begins = c.is_uppercase() && next_is_lower;
        let ends = in_hump && !c.is_lowercase();
        if (begins || ends) && !word.is_empty() {
            words.push(std::mem::take(&mut word).to_lowercase());
        }
        in_hump = begins || (in_hump && !ends);
        word.push(*c);
    }
    if !word.is_empty() {
        words.push(word.to_lowercase());
    }
}

fn key(name: &str) -> Option<Attribute> {
    KEYS.iter().find(|(n, _)| *n == name).map(|(_, key)| *key)
}

/// Adds what one filter breaks of AWS's model; `at` counts from 1.
fn check(filter: &FilterInput, at: usize, checks: &mut Checks) {
    if let Some(name) = &filter.key
        && key(name).is_none()
    {
        let set: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
        checks.fail(format!(
            "Value '{name}' at 'filters.{at}.member.key' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            set.join(", ")
        ));
    }
    let Some(values) = &filter.values else {
        return;
    };
    let place = format!(
        "Value '[{}]' at 'filters.{at}.member.values' failed to satisfy constraint: Member must",
        values.join(", ")
    );
    if values.is_empty() {
        checks.fail(format!("{place} have length greater than or equal to 1"));
    }
    if values.len() > MAX {
        checks.fail(format!("{place} have length less than or equal to {MAX}"));
    }
    if !values.iter().all(|value| is_valid(value)) {
        checks.fail(format!(
            "{place} satisfy constraint: [Member must have length less than or equal to {MAX_VALUE}, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: {PATTERN}]"
        ));
    }
}

/// Whether a value fits [`PATTERN`] and is not too long.
fn is_valid(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c);
    value.chars().all(allowed) && value.len() <= MAX_VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(key: &str, values: &[&str]) -> FilterInput {
        FilterInput {
            key: Some(key.to_owned()),
            values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
        }
    }

    fn parsed(filters: &[FilterInput]) -> Filters {
        Filters::parse(filters, Checks::default()).unwrap()
    }

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    /// Whether `key` with `value` finds a secret of this name, description and tag.
    fn finds(key: &str, value: &str, name: &str, text: Option<&str>, tag: (&str, &str)) -> bool {
        parsed(&[filter(key, &[value])]).matches(&Subject {
            name,
            description: text,
            tags: &tags(&[tag]),
            primary_region: Some("eu-west-1"),
            owning_service: Some("rds"),
        })
    }

    #[test]
    fn aws_5_prefix_keys_match_by_case_and_from_the_start() {
        for (key, value, is) in [
            ("name", "testing1/", true),
            ("name", "testing1/one", true),
            ("name", "testing1 one", false),
            ("name", "Testing1", false),
            ("name", "one", false),
            ("name", "", true),
            ("tag-key", "te", true),
            ("tag-key", "Te", false),
            ("tag-key", "am", false),
            ("tag-value", "Pay", true),
            ("tag-value", "pay", false),
            ("primary-region", "eu-", true),
            ("primary-region", "us-", false),
            ("owning-service", "rd", true),
            ("owning-service", "RD", false),
        ] {
            let found = finds(key, value, "testing1/one", None, ("team", "Payments"));
            assert_eq!(found, is, "{key}={value}");
        }
    }

    #[test]
    fn aws_5_description_matches_word_by_word_without_case() {
        for (value, text, is) in [
            ("a secret", "a secret", true),
            ("a secret", "an secret", true),
            ("a secret", "asecret", false),
            ("o t", "one two", true),
            ("O T", "one two", true),
            ("t o", "one two", true),
            ("wo", "one two", false),
            ("one three", "one two", false),
            ("", "one two", false),
            ("/", "one / two", false),
        ] {
            let found = finds("description", value, "x", Some(text), ("k", "v"));
            assert_eq!(found, is, "{value} in {text}");
        }
        assert!(!finds("description", "a", "a", None, ("a", "a")));
    }

    #[test]
    fn aws_5_words_are_split_by_one_kind_of_separator_then_by_humps() {
        for (text, expected) in [
            ("my/secret", vec!["my", "secret"]),
            ("my-secret-two", vec!["my", "secret", "two"]),
            ("my/secret+value", vec!["my/secret+value"]),
            ("AppBeta", vec!["app", "beta"]),
            ("appBeta", vec!["app", "beta"]),
            ("COMPANYthings", vec!["compan", "ythings"]),
            ("COMPANY", vec!["company"]),
            ("AppBETA", vec!["app", "beta"]),
            ("My.AppBeta", vec!["my", "app", "beta"]),
            ("one two", vec!["one", "two"]),
            ("/", vec![]),
            ("", vec![]),
            ("test1", vec!["test1"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn aws_5_all_looks_into_names_descriptions_and_tags() {
        let on = |value: &str| {
            finds(
                "all",
                value,
                "SecretOne",
                Some("Card numbers"),
                ("costCenter", "Paid by Sales"),
            )
        };
        for (value, is) in [
            ("sec", true),
            ("ret", false),
            ("one", true),
            ("secretone", false),
            ("SecretOne", true),
            ("NUMB", true),
            ("center", true),
            ("sales", true),
            // The words are looked for in one attribute, not across them.
            ("secret card", false),
            ("/", false),
            ("!sec", false),
            ("!nowhere", true),
        ] {
            assert_eq!(on(value), is, "{value}");
        }
    }

    #[test]
    fn aws_5_an_exclamation_mark_negates() {
        let none = ("k", "v");
        assert!(!finds("name", "!/", "/a", None, none));
        assert!(finds("name", "!/", "a", None, none));
        assert!(!finds("description", "!a", "x", Some("one and two"), none));
        assert!(finds("description", "!a", "x", Some("one two"), none));
        assert!(finds("description", "!a", "x", None, none));
        assert!(!finds("tag-key", "!k", "x", None, none));
        assert!(!finds("name", "!", "x", None, none));
    }

    #[test]
    fn aws_5_filters_are_anded_and_values_are_ored() {
        let tags = tags(&[("env", "prod"), ("team", "a")]);
        let subject = Subject {
            name: "db/main",
            description: Some("the main one"),
            tags: &tags,
            primary_region: None,
            owning_service: None,
        };
        for (filters, is) in [
            (vec![], true),
            (vec![filter("name", &["x", "db"])], true),
            (vec![filter("name", &["x", "y"])], false),
            (
                vec![filter("name", &["d"]), filter("tag-key", &["x"])],
                false,
            ),
            (
                vec![filter("name", &["d"]), filter("tag-key", &["e"])],
                true,
            ),
            (vec![filter("name", &["x"]), filter("name", &["db"])], false),
            (
                vec![filter("tag-key", &["e"]), filter("tag-key", &["t"])],
                true,
            ),
            (vec![filter("name", &["x", "!y"])], true),
            (vec![filter("primary-region", &["e"])], false),
        ] {
            assert_eq!(parsed(&filters).matches(&subject), is, "{filters:?}");
        }
    }

    #[test]
    fn aws_5_limits_and_keys_are_checked() {
        let long = "x".repeat(513);
        let many: Vec<&str> = vec!["x"; 11];
        for (filters, text) in [
            (
                vec![filter("x", &["a"])],
                "1 validation error detected: Value 'x' at 'filters.1.member.key' failed to satisfy constraint: Member must satisfy enum value set: [",
            ),
            (
                vec![filter("name", &[])],
                "1 validation error detected: Value '[]' at 'filters.1.member.values' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                vec![filter("name", &["a"]), filter("name", &many)],
                "1 validation error detected: Value '[x, x, x, x, x, x, x, x, x, x, x]' at 'filters.2.member.values' failed to satisfy constraint: Member must have length less than or equal to 10",
            ),
            (
                vec![filter("name", &[&long])],
                "1 validation error detected: Value '[xxx",
            ),
            (
                vec![filter("name", &["a*"])],
                "1 validation error detected: Value '[a*]' at 'filters.1.member.values' failed to satisfy constraint: Member must satisfy constraint: [",
            ),
            (
                vec![filter("name", &["a"]); 11],
                "1 validation error detected: Value at 'filters' failed",
            ),
            (
                vec![filter("x", &[])],
                "2 validation errors detected: Value 'x' at 'filters.1.member.key'",
            ),
        ] {
            let fault = Filters::parse(&filters, Checks::default()).unwrap_err();
            assert_eq!(fault.code, Code::ValidationException);
            assert!(fault.message.starts_with(text), "{}", fault.message);
        }
        let most = vec![filter("name", &["x"; 10]); 10];
        assert!(Filters::parse(&most, Checks::default()).is_ok());
        assert!(Filters::parse(&[filter("name", &[&"x".repeat(512)])], Checks::default()).is_ok());
    }

    #[test]
    fn aws_5_a_filter_without_a_key_or_values_is_refused() {
        let keyless = FilterInput {
            key: None,
            values: Some(vec!["a".into()]),
        };
        let valueless = FilterInput {
            key: Some("name".into()),
            values: None,
        };
        for input in [keyless, valueless] {
            let fault = Filters::parse(&[input], Checks::default()).unwrap_err();
            assert_eq!(fault.code, Code::InvalidParameterException);
        }
    }
}

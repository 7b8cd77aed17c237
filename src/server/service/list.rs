//! ListSecrets (aws.md section 5).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Fault, Reply};
use super::describe::{Description, View};
use super::filter::{FilterInput, Filters, Subject};
use super::input::{Checks, parse};
use super::page::page;
use super::place::Found;
use super::{Service, json};
use crate::model::{SecretName, Timestamp};

/// The values of SortBy.
const SORTS: [&str; 4] = [
    "created-date",
    "last-accessed-date",
    "last-changed-date",
    "name",
];
/// The values of SortOrder.
const ORDERS: [&str; 2] = ["asc", "desc"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSecrets {
    include_planned_deletion: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    filters: Option<Vec<FilterInput>>,
    sort_order: Option<String>,
    sort_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List<'a> {
    secret_list: Vec<Description<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Found {
    /// What a filter looks at.
    pub(super) fn subject(&self) -> Subject<'_> {
        let attributes = &self.record.state.attributes;
        Subject {
            name: self.name.as_str(),
            description: attributes.description.as_deref(),
            tags: &attributes.tags,
            primary_region: self.primary_region(),
            owning_service: self.owning_service(),
        }
    }
}

impl Service {
    pub(super) fn list_secrets(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: ListSecrets = parse(call.body)?;
        let mut checks = Checks::default();
        checks.range("maxResults", request.max_results, 1..=100);
        checks.length("nextToken", request.next_token.as_deref(), 1..=4096);
        one_of(&mut checks, "sortBy", request.sort_by.as_deref(), &SORTS);
        let order = request.sort_order.as_deref();
        one_of(&mut checks, "sortOrder", order, &ORDERS);
        let inputs = request.filters.unwrap_or_default();
        let filters = Filters::parse(&inputs, checks)?;
        let planned = request.include_planned_deletion.unwrap_or_default();
        let by = request.sort_by.as_deref().unwrap_or("created-date");
        let descending = order == Some("desc");

        let read: BTreeMap<SecretName, Timestamp> = {
            let accessed = self.accessed();
            let days = accessed.iter();
            days.filter_map(|(name, a)| Some((name.clone(), a.secret?)))
                .collect()
        };
        let mut all = self.all(call);
        all.retain(|found| {
            (planned || !found.record.state.lifecycle.is_scheduled())
                && filters.matches(&found.subject())
        });
        // What is compared is found once for each, not for each comparison.
        all.sort_by_cached_key(|found| {
            let date = match by {
                "name" => None,
                "last-accessed-date" => read.get(&found.record.name).copied(),
                "last-changed-date" => Some(found.changed()),
                _ => Some(found.created()),
            };
            Rank {
                descending,
                key: (date, found.name.clone()),
            }
        });
        let caller = call.caller;
        let question = format!(
            "list {by} {descending} {planned} {inputs:?} {:?} {}",
            caller.account, caller.region
        );
        let size = request.max_results.and_then(|n| usize::try_from(n).ok());
        let (shown, next_token) = page(
            all,
            |found| found.record.name.as_str(),
            size.unwrap_or(100),
            request.next_token.as_deref(),
            &question,
        )?;
        let entries = shown
            .iter()
            .map(|found| found.description(View::List, read.get(&found.record.name).copied()));
        let list = List {
            secret_list: entries.collect(),
            next_token,
        };
        json(&list, 512 * (shown.len() + 1))
    }
}

/// A place in the order asked for: by date, equal dates by name.
#[derive(PartialEq, Eq)]
struct Rank {
    descending: bool,
    key: (Option<Timestamp>, SecretName),
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.descending {
            true => other.key.cmp(&self.key),
            false => self.key.cmp(&other.key),
        }
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn one_of(checks: &mut Checks, member: &str, value: Option<&str>, set: &[&str]) {
    if let Some(value) = value
        && !set.contains(&value)
    {
        let set = set.join(", ");
        checks.fail(format!(
            "Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: [{set}]"
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::server::service::testing::Desk;

    fn names(answer: &Value) -> Vec<String> {
        let list = answer["SecretList"].as_array().unwrap().iter();
        list.map(|s| s["Name"].as_str().unwrap().to_owned())
            .collect()
    }

    fn listed(desk: &Desk, body: Value) -> Vec<String> {
        names(&desk.ok("ListSecrets", body))
    }

    #[test]
    fn aws_5_an_entry_is_a_description_with_secret_versions_to_stages() {
        let desk = Desk::new();
        let arn = desk.create("a", "1");
        let described = desk.ok("DescribeSecret", json!({"SecretId": "a"}));
        let list = desk.ok("ListSecrets", json!({}));
        let entry = &list["SecretList"][0];
        assert_eq!(entry["ARN"], json!(arn));
        assert_eq!(
            entry["SecretVersionsToStages"],
            described["VersionIdsToStages"]
        );
        for absent in ["VersionIdsToStages", "KmsKeyId", "DeletedDate", "Tags"] {
            assert_eq!(entry.get(absent), None, "{absent}");
        }
        assert_eq!(list.get("NextToken"), None);
        let empty = Desk::new().ok("ListSecrets", json!({}));
        assert_eq!(empty, json!({"SecretList": []}));
    }

    #[test]
    fn aws_5_the_order_is_by_creation_unless_asked_otherwise() {
        let desk = Desk::new();
        for name in ["b", "c", "a"] {
            desk.create(name, "1");
        }
        desk.put("b", "2");
        desk.later(1);
        desk.ok("GetSecretValue", json!({"SecretId": "c"}));
        desk.later(2);
        desk.ok("GetSecretValue", json!({"SecretId": "b"}));
        for (body, expected) in [
            (json!({}), ["b", "c", "a"]),
            (json!({"SortOrder": "asc"}), ["b", "c", "a"]),
            (json!({"SortOrder": "desc"}), ["a", "c", "b"]),
            (
                json!({"SortBy": "created-date", "SortOrder": "desc"}),
                ["a", "c", "b"],
            ),
            (json!({"SortBy": "name"}), ["a", "b", "c"]),
            (
                json!({"SortBy": "name", "SortOrder": "desc"}),
                ["c", "b", "a"],
            ),
            (json!({"SortBy": "last-changed-date"}), ["c", "a", "b"]),
            (json!({"SortBy": "last-accessed-date"}), ["a", "c", "b"]),
        ] {
            assert_eq!(listed(&desk, body.clone()), expected, "{body}");
        }
    }

    #[test]
    fn aws_5_secrets_planned_for_deletion_are_listed_when_asked_for() {
        let desk = Desk::new();
        desk.create("a", "1");
        desk.create("b", "1");
        desk.ok("DeleteSecret", json!({"SecretId": "b"}));
        assert_eq!(listed(&desk, json!({})), ["a"]);
        let answer = desk.ok("ListSecrets", json!({"IncludePlannedDeletion": true}));
        assert_eq!(names(&answer), ["a", "b"]);
        assert!(answer["SecretList"][1]["DeletedDate"].is_number());
        let force = json!({"SecretId": "b", "ForceDeleteWithoutRecovery": true});
        desk.ok("DeleteSecret", force);
        assert_eq!(
            listed(&desk, json!({"IncludePlannedDeletion": true})),
            ["a"]
        );
    }

    #[test]
    fn aws_5_pages_are_cut_by_max_results_and_tokens_are_verified() {
        let desk = Desk::new();
        let all: Vec<String> = (0..5).map(|n| format!("s{n}")).collect();
        for name in &all {
            desk.create(name, "1");
        }
        let mut seen = Vec::new();
        let mut body = json!({"MaxResults": 2, "SortBy": "name"});
        let mut first = None;
        loop {
            let answer = desk.ok("ListSecrets", body.clone());
            seen.extend(names(&answer));
            let Some(token) = answer.get("NextToken") else {
                break;
            };
            first.get_or_insert(token.clone());
            body["NextToken"] = token.clone();
        }
        assert_eq!(seen, all);
        for body in [
            json!({"NextToken": "bm9uc2Vuc2U"}),
            json!({"NextToken": first}),
            json!({"NextToken": first, "SortBy": "name", "SortOrder": "desc"}),
            json!({"NextToken": first, "SortBy": "name", "IncludePlannedDeletion": true}),
        ] {
            let (code, _) = desk.fault("ListSecrets", body.clone());
            assert_eq!(code, "InvalidNextTokenException", "{body}");
        }
    }

    #[test]
    fn aws_5_filters_narrow_the_list() {
        let desk = Desk::new();
        desk.create("testing1/one", "1");
        desk.create("testing1-one", "1");
        let tag = json!({"SecretId": "testing1/one", "Tags": [{"Key": "env", "Value": "prod"}]});
        assert_eq!(desk.raw("TagResource", tag).0, 200);
        let filter = |key: &str, value: &str| {
            let body = json!({"Filters": [{"Key": key, "Values": [value]}], "SortBy": "name"});
            listed(&desk, body)
        };
        assert_eq!(filter("name", "testing1/"), ["testing1/one"]);
        assert_eq!(filter("name", "!testing1/"), ["testing1-one"]);
        assert_eq!(filter("tag-key", "en"), ["testing1/one"]);
        assert_eq!(filter("tag-value", "x").len(), 0);
        assert_eq!(filter("all", "ONE"), ["testing1-one", "testing1/one"]);
    }

    #[test]
    fn aws_1_broken_constraints_are_all_named() {
        let desk = Desk::new();
        let (code, text) = desk.fault(
            "ListSecrets",
            json!({
                "MaxResults": 101, "SortBy": "x", "SortOrder": "up",
                "Filters": [{"Key": "x", "Values": ["a"]}],
            }),
        );
        assert_eq!(code, "ValidationException");
        assert!(
            text.starts_with("4 validation errors detected: Value '101' at 'maxResults'"),
            "{text}"
        );
        assert!(
            text.contains("Value 'x' at 'filters.1.member.key'"),
            "{text}"
        );
        assert!(text.contains("[created-date, last-accessed-date, last-changed-date, name]"));
    }
}

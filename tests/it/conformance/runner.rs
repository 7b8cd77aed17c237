//! Plays one step of a scenario and says, in words, what came of it.
//!
//! Steps without a prefix are the engine's, by `SecretStore`; those with `api.` are
//! anybody's, by the API itself. A version is named by its number.

use strongroom::model::{
    Attributes, Change, Invalid, Kind, Origin, SecretName, SecretValue, Sight, StagingLabel,
    VersionId, VersionMeta,
};
use strongroom::store::{MemoryStore, Retrieved, SecretStore, Silent, StoreError};

use super::backends::Backend;
use super::wire::on_wire;

/// What a step that succeeds says, if it has nothing else to say.
pub(super) const DONE: &str = "done";

pub(super) fn id(text: &str) -> VersionId {
    format!("{:032}", text.parse::<u32>().expect("a number"))
        .parse()
        .unwrap()
}

fn number(id: &VersionId) -> String {
    id.as_str().trim_start_matches('0').to_owned()
}

pub(super) fn label(text: &str) -> StagingLabel {
    text.parse().unwrap()
}

/// `x` is a string, `b:x` the same bytes as a binary, `x*9` nine of them.
pub(super) fn value(text: &str) -> SecretValue {
    let (kind, text) = match text.strip_prefix("b:") {
        Some(rest) => (Kind::Binary, rest),
        None => (Kind::String, text),
    };
    let text = match text.split_once('*') {
        Some((one, times)) => one.repeat(times.parse().unwrap()),
        None => text.to_owned(),
    };
    SecretValue::new_of(kind, text.into_bytes().into()).unwrap()
}

pub(super) fn shown(value: &SecretValue) -> String {
    let text = String::from_utf8_lossy(value.expose_secret()).into_owned();
    let text = match text.len() {
        0..=20 => text,
        n => format!("{}*{n}", &text[..1]),
    };
    match value.kind() {
        Kind::String => text,
        Kind::Binary => format!("b:{text}"),
    }
}

fn unread() -> VersionMeta {
    VersionMeta::unread(Origin::Local)
}

/// An error in the words of scenarios.
fn word(error: &StoreError) -> String {
    match error {
        StoreError::NotFound => "not found".to_owned(),
        StoreError::NoValue(_) => "no value".to_owned(),
        StoreError::VersionMismatch(_) => "other content".to_owned(),
        StoreError::Changed(why) => match why {
            Invalid::Changed { found, .. } => {
                let found = found.as_ref().map_or_else(|| "none".to_owned(), number);
                format!("label on {found}")
            }
            Invalid::Exists => "exists".to_owned(),
            Invalid::Scheduled => "scheduled".to_owned(),
            Invalid::AttributesChanged => "attributes changed".to_owned(),
            Invalid::NoVersion(_) => "no version".to_owned(),
            Invalid::CurrentMustStay => "must stay".to_owned(),
            other => other.to_string(),
        },
        StoreError::Refused { code, .. } | StoreError::Denied { code, .. } => code.clone(),
        other => other.to_string(),
    }
}

fn outcome(result: Result<(), StoreError>) -> String {
    result.map_or_else(|e| word(&e), |()| DONE.to_owned())
}

fn got(result: Result<Retrieved, StoreError>) -> String {
    result.map_or_else(
        |e| word(&e),
        |r| format!("{} {}", number(&r.id), shown(&r.value)),
    )
}

/// `d=text` and `k=v` words.
pub(super) fn attributes(words: &[&str]) -> Attributes {
    let mut attributes = Attributes::default();
    for (key, value) in words.iter().filter_map(|w| w.split_once('=')) {
        if key == "d" {
            attributes.description = Some(value.to_owned());
        } else {
            attributes.tags.insert(key.to_owned(), value.to_owned());
        }
    }
    attributes
}

/// Plays a step; names of secrets get the prefix. `again` only tells a step from the
/// same one before.
pub(super) async fn step(on: &Backend, prefix: &str, step: &str) -> String {
    let step = step.strip_prefix("again ").unwrap_or(step);
    let words: Vec<&str> = step.split_whitespace().collect();
    let (verb, args) = words.split_first().expect("a verb");
    let secret = |n: usize| -> SecretName { format!("{prefix}{}", args[n]).parse().unwrap() };
    if let Some(verb) = verb.strip_prefix("api.") {
        return match on {
            Backend::Model(store) => on_model(store, &secret(0), verb, &args[1..]).await,
            Backend::Remote { sdk, .. } => on_wire(sdk, &secret(0), verb, &args[1..]).await,
        };
    }
    let apply = async |change: Change, value: Option<SecretValue>| {
        outcome(on.apply(&secret(0), &change, value.as_ref()).await)
    };
    let now = async || {
        let seen = on.describe(&secret(0)).await;
        seen.map(|s| s.map(|s| s.state.attributes).unwrap_or_default())
    };
    match *verb {
        "create" if args.get(1) == Some(&"bare") => {
            let attributes = attributes(&args[2..]);
            let change = Change::Create {
                attributes,
                version: None,
            };
            apply(change, None).await
        }
        "create" => {
            let change = Change::Create {
                attributes: attributes(&args[3..]),
                version: Some((id(args[1]), unread())),
            };
            apply(change, Some(value(args[2]))).await
        }
        "put" => {
            let change = Change::AddVersion {
                id: id(args[1]),
                meta: unread(),
                labels: args[3..].iter().map(|l| label(l)).collect(),
            };
            apply(change, Some(value(args[2]))).await
        }
        "move" => {
            let version = |text: &str| (text != "-").then(|| id(text));
            let change = Change::MoveLabel {
                label: label(args[1]),
                from: version(args[2]),
                to: version(args[3]),
            };
            apply(change, None).await
        }
        "attributes" => {
            let from = match now().await {
                Ok(from) => from,
                Err(error) => return word(&error),
            };
            let to = attributes(&args[1..]);
            apply(Change::SetAttributes { from, to }, None).await
        }
        // The first word is what they are expected to be.
        "attributes-from" => {
            let (from, to) = (attributes(&args[1..2]), attributes(&args[2..]));
            apply(Change::SetAttributes { from, to }, None).await
        }
        "delete" => apply(Change::Delete { date: None }, None).await,
        "restore" => apply(Change::Restore, None).await,
        "read" => got(on.read(&secret(0), &id(args[1])).await),
        "current" => {
            let names: Vec<SecretName> = (0..args.len()).map(secret).collect();
            match on.read_current(&names).await {
                Ok(all) => all.into_iter().map(got).collect::<Vec<_>>().join(", "),
                Err(error) => word(&error),
            }
        }
        "look" => match on.describe(&secret(0)).await {
            Ok(None) => "absent".to_owned(),
            Ok(Some(seen)) => {
                let mut said: Vec<String> = Vec::new();
                if seen.state.lifecycle.is_scheduled() {
                    said.push("scheduled".to_owned());
                }
                let labels = seen.state.labels.iter();
                said.extend(labels.map(|(l, v)| format!("{l}={}", number(v))));
                let attributes = seen.state.attributes;
                said.extend(attributes.description.map(|d| format!("d={d}")));
                said.extend(attributes.tags.iter().map(|(k, v)| format!("{k}={v}")));
                if said.is_empty() {
                    "bare".to_owned()
                } else {
                    said.join(" ")
                }
            }
            Err(error) => word(&error),
        },
        "list" => match on.view(&[], &Silent).await {
            Ok(view) => {
                let names = view.secrets.iter().filter_map(|(name, sight)| {
                    let name = name.as_str().strip_prefix(prefix)?;
                    Some(match sight {
                        Sight::Seen(s) if s.state.lifecycle.is_scheduled() => {
                            format!("{name}(scheduled)")
                        }
                        Sight::Seen(_) => name.to_owned(),
                        Sight::Blocked(_) => format!("{name}(blocked)"),
                    })
                });
                names.collect::<Vec<_>>().join(" ")
            }
            Err(error) => word(&error),
        },
        other => panic!("no such verb: {other}"),
    }
}

pub(super) fn labels_of(words: &mut [String]) -> String {
    words.sort();
    words.join(" ")
}

/// Anybody's calls on the model: what AWS would have put on the wire.
async fn on_model(store: &MemoryStore, name: &SecretName, verb: &str, args: &[&str]) -> String {
    let code = || store.last_refusal().map(|r| r.code).unwrap_or_default();
    let state = || store.state().get(name).cloned();
    let console = |change: &Change, value: Option<&SecretValue>| {
        store
            .as_console_with(name, change, value)
            .map_err(|_| code())
    };
    let put = |n: &str, text: &str, labels: &[&str]| {
        let plain = ["AWSCURRENT"];
        let labels = if labels.is_empty() {
            &plain[..]
        } else {
            labels
        };
        let change = Change::AddVersion {
            id: id(n),
            meta: unread(),
            labels: labels.iter().map(|l| label(l)).collect(),
        };
        console(&change, Some(&value(text)))
    };
    let borne = |n: &str| {
        let labels = state().map(|s| s.labels).unwrap_or_default();
        let of = labels.iter().filter(|(_, v)| **v == id(n));
        labels_of(&mut of.map(|(l, _)| l.to_string()).collect::<Vec<_>>())
    };
    match verb {
        "create" => {
            let change = Change::Create {
                attributes: Attributes::default(),
                version: Some((id(args[0]), unread())),
            };
            let done = console(&change, Some(&value(args[1])));
            done.map_or_else(|e| e, |()| DONE.to_owned())
        }
        "put" => put(args[0], args[1], &args[2..]).map_or_else(|e| e, |()| borne(args[0])),
        "update" => put(args[0], args[1], &[]).map_or_else(|e| e, |()| args[0].to_owned()),
        "fill" => {
            let (from, to): (u32, u32) = (args[0].parse().unwrap(), args[1].parse().unwrap());
            for n in from..=to {
                if let Err(code) = put(&n.to_string(), "x", &[]) {
                    return format!("{n}: {code}");
                }
            }
            DONE.to_owned()
        }
        "stage" => {
            let version = |text: &str| (text != "-").then(|| id(text));
            let change = Change::MoveLabel {
                label: label(args[0]),
                from: version(args[1]),
                to: version(args[2]),
            };
            console(&change, None).map_or_else(|e| e, |()| DONE.to_owned())
        }
        "get" => {
            let read = match args[0].parse::<u32>() {
                Ok(_) => store.read(name, &id(args[0])).await,
                Err(_) => {
                    let holder = state().and_then(|s| s.labels.get(&label(args[0])).cloned());
                    let scheduled = state().is_some_and(|s| s.lifecycle.is_scheduled());
                    match holder {
                        Some(holder) => store.read(name, &holder).await,
                        None if scheduled => return "InvalidRequestException".to_owned(),
                        None => return "ResourceNotFoundException".to_owned(),
                    }
                }
            };
            read.map_or_else(
                |_| code(),
                |r| format!("{} {}", number(&r.id), shown(&r.value)),
            )
        }
        "versions" => match state() {
            None => "ResourceNotFoundException".to_owned(),
            Some(state) => {
                let all = state.versions.keys().map(|v| {
                    let borne = borne(&number(v));
                    let borne = borne.replace(' ', "+");
                    if borne.is_empty() {
                        number(v)
                    } else {
                        format!("{}={borne}", number(v))
                    }
                });
                all.collect::<Vec<_>>().join(" ")
            }
        },
        "tag" => {
            let Some(state) = state() else {
                return "ResourceNotFoundException".to_owned();
            };
            let from = state.attributes;
            let mut to = from.clone();
            to.tags.extend(attributes(args).tags);
            let change = Change::SetAttributes { from, to };
            console(&change, None).map_or_else(|e| e, |()| DONE.to_owned())
        }
        "delete" => {
            console(&Change::Delete { date: None }, None).map_or_else(|e| e, |()| DONE.to_owned())
        }
        "purge" => {
            store.as_console_purge(name);
            DONE.to_owned()
        }
        "restore" => console(&Change::Restore, None).map_or_else(|e| e, |()| DONE.to_owned()),
        other => panic!("no such call: {other}"),
    }
}

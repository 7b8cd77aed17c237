use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::preferences::{AuditRule, Holder, Preferences};
use super::{BadValue, Config, Freshness, OnStale, RemoteConfig};
use crate::model::{Direction, Escaped, Extras, FieldKind, RemoteName, Rule, Scope, Strategy};

/// Why `strongroom.toml` cannot be used. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the parser says, escaped, without the source line.
        message: String,
    },
    /// A format of the future.
    #[error("format {0} needs a newer strongroom")]
    NewerFormat(i64),
    /// A key that does not exist.
    #[error("line {line}: unknown key {key}{}", .suggestion.as_ref().map(|s| format!(", did you mean {s}?")).unwrap_or_default())]
    UnknownKey {
        /// The key with the tables it stands in, escaped.
        key: String,
        /// Where.
        line: usize,
        /// The known key that it looks like.
        suggestion: Option<String>,
    },
    /// A key that must be there and is not.
    #[error("line {line}: {key} is missing")]
    Missing {
        /// The key with the tables it stands in.
        key: String,
        /// The line of the table it belongs to.
        line: usize,
    },
    /// A value that its key does not accept.
    #[error("line {line}: {bad}")]
    Value {
        /// Where.
        line: usize,
        /// The key and its rule.
        bad: BadValue,
    },
}

/// Reads the text of a person's or a clone's preferences.
pub(super) fn preferences(text: &str, holder: Holder) -> Result<Preferences, ConfigError> {
    let root = parse(text)?;
    let root = Table {
        text,
        path: String::new(),
        start: 0,
        table: root.get_ref(),
    };
    root.only(match holder {
        Holder::Person => &["vault", "identity", "editor", "offline", "audit", "plugins"],
        Holder::Clone => &[
            "identity", "editor", "offline", "commit", "audit", "plugins",
        ],
    })?;
    let text = |key| Ok::<_, ConfigError>(root.string(key)?.map(|found| found.value));
    let flag = |key| Ok::<_, ConfigError>(root.boolean(key)?.map(|found| found.value));
    let audit = match root.string("audit")? {
        None => None,
        Some(found) => Some(
            AuditRule::from_word(&found.value)
                .ok_or_else(|| found.refuse("must be off, on or required"))?,
        ),
    };
    Ok(Preferences {
        audit,
        vault: text("vault")?,
        identity: text("identity")?,
        editor: text("editor")?,
        offline: flag("offline")?,
        commit: flag("commit")?,
        plugins: match root.table.contains_key("plugins") {
            true => Some(root.strings("plugins")?),
            false => None,
        },
    })
}

fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, ConfigError> {
    DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        line: line_of(text, error.span().unwrap_or(0..0).start),
        message: Escaped(error.message()).to_string(),
    })
}

/// Reads the whole text.
pub(super) fn config(text: &str) -> Result<Config, ConfigError> {
    let root = parse(text)?;
    let root = Table {
        text,
        path: String::new(),
        start: 0,
        table: root.get_ref(),
    };
    // Before anything else is judged: the keys below may mean something new there.
    let format = root.integer("format")?;
    match format {
        Some(Found { value: 1, .. }) => {}
        Some(Found { value, .. }) if value > 1 => return Err(ConfigError::NewerFormat(value)),
        Some(found) => return Err(found.refuse("must be 1")),
        None => return Err(root.missing("format")),
    }
    root.only(&[
        "format",
        "vault_id",
        "recovery_window",
        "hidden_names",
        "git",
        "max_delete",
        "remote",
        "freshness",
        "policy",
        "keyring",
    ])?;
    let vault_id = root.string("vault_id")?;
    let vault_id = vault_id.ok_or_else(|| root.missing("vault_id"))?;
    let mut config = Config::new(vault_id.value);
    if let Some(days) = root.integer("recovery_window")? {
        config.recovery_window = days.narrow("must be 7 to 30 days")?;
    }
    if let Some(hidden) = root.boolean("hidden_names")? {
        config.hidden_names = hidden.value;
    }
    if let Some(git) = root.table("git")? {
        git.only(&["commit"])?;
        if let Some(commit) = git.boolean("commit")? {
            config.git.commit = commit.value;
        }
    }
    if let Some(limit) = root.table("max_delete")? {
        limit.only(&["count", "percent"])?;
        if let Some(count) = limit.integer("count")? {
            config.max_delete.count = count.narrow("must be 0 or more")?;
        }
        if let Some(percent) = limit.integer("percent")? {
            config.max_delete.percent = percent.narrow("must be 0 to 100")?;
        }
    }
    if let Some(remotes) = root.table("remote")? {
        for (key, _) in remotes.table {
            let start = key.span().start;
            let name: RemoteName = key.get_ref().parse().map_err(|_| {
                let bad = BadValue {
                    key: format!("remote.{}", Escaped(key.get_ref())),
                    rule: "a remote's name is a lower-case letter, then lower-case letters, digits, - or _, at most 64",
                };
                ConfigError::Value {
                    line: line_of(text, start),
                    bad,
                }
            })?;
            if let Some(table) = remotes.table(name.as_str())? {
                let remote = remote(&table, name.clone())?;
                config.remotes.insert(name, remote);
            }
        }
    }
    if let Some(rules) = root.table("freshness")? {
        for (key, _) in rules.table {
            let prefix = key.get_ref().to_string();
            if let Some(table) = rules.table(&prefix)? {
                config.freshness.insert(prefix, freshness(&table)?);
            }
        }
    }
    if let Some(keyrings) = root.table("keyring")? {
        for (key, _) in keyrings.table {
            let name = key.get_ref().to_string();
            if let Some(table) = keyrings.table(&name)? {
                table.only(&["prefixes"])?;
                let prefixes = table.strings("prefixes")?;
                config.keyrings.insert(name, prefixes);
            }
        }
    }
    for table in root.tables("policy")? {
        config.policies.push(rule(&table)?);
    }
    config.policies.sort();
    config.check().map_err(|bad| ConfigError::Value {
        line: root.line_of_key(&bad.key),
        bad,
    })?;
    Ok(config)
}

fn remote(table: &Table<'_, '_>, name: RemoteName) -> Result<RemoteConfig, ConfigError> {
    table.only(&[
        "region",
        "account",
        "profile",
        "role_arn",
        "endpoint",
        "direction",
        "on_conflict",
        "details",
        "push_kms",
        "push_policy",
        "push_replicas",
        "map",
        "include",
        "exclude",
    ])?;
    let text = |key| Ok(table.string(key)?.map(|found| found.value));
    let region = text("region")?.ok_or_else(|| table.missing("region"))?;
    let direction = match table.string("direction")? {
        None => Direction::default(),
        Some(found) => Direction::from_word(&found.value)
            .ok_or_else(|| found.refuse("must be two-way, pull, push, mirror-out or mirror-in"))?,
    };
    let on_conflict = strategy(table)?.unwrap_or_default();
    let flag = |key| Ok::<_, ConfigError>(table.boolean(key)?.is_some_and(|found| found.value));
    let map = match table.table("map")? {
        None => None,
        Some(map) => {
            map.only(&["local", "remote"])?;
            let local = map.string("local")?.ok_or_else(|| map.missing("local"))?;
            let remote = map.string("remote")?;
            let remote = remote.ok_or_else(|| map.missing("remote"))?;
            Some((local.value, remote.value))
        }
    };
    Ok(RemoteConfig {
        name,
        region,
        account: text("account")?,
        profile: text("profile")?,
        role_arn: text("role_arn")?,
        endpoint: text("endpoint")?,
        scope: Scope {
            map,
            include: table.strings("include")?,
            exclude: table.strings("exclude")?,
        },
        direction,
        on_conflict,
        extras: Extras {
            details: flag("details")?,
            push_kms: flag("push_kms")?,
            push_policy: flag("push_policy")?,
            push_replicas: flag("push_replicas")?,
        },
    })
}

fn strategy(table: &Table<'_, '_>) -> Result<Option<Strategy>, ConfigError> {
    let Some(found) = table.string("on_conflict")? else {
        return Ok(None);
    };
    match Strategy::from_word(&found.value) {
        Some(strategy) => Ok(Some(strategy)),
        None => Err(found.refuse("must be hold, ours, theirs, newest, interactive or fail")),
    }
}

fn rule(table: &Table<'_, '_>) -> Result<Rule, ConfigError> {
    table.only(&["path", "remote", "field", "on_conflict"])?;
    let path = table.string("path")?.ok_or_else(|| table.missing("path"))?;
    let remote = match table.string("remote")? {
        None => None,
        Some(found) => match found.value.parse::<RemoteName>() {
            Ok(name) => Some(name),
            Err(_) => return Err(found.refuse("must be one of the vault's remotes")),
        },
    };
    let field = match table.string("field")? {
        None => None,
        Some(found) => match FieldKind::from_word(&found.value) {
            Some(kind) => Some(kind),
            None => {
                let rule = "must be current, label, description, tag, lifecycle, kms_key or policy";
                return Err(found.refuse(rule));
            }
        },
    };
    Ok(Rule {
        path: path.value,
        remote,
        field,
        on_conflict: strategy(table)?.ok_or_else(|| table.missing("on_conflict"))?,
    })
}

fn freshness(table: &Table<'_, '_>) -> Result<Freshness, ConfigError> {
    table.only(&["max_stale", "on_stale"])?;
    let max = table.string("max_stale")?;
    let max = max.ok_or_else(|| table.missing("max_stale"))?;
    let max_stale = max.value.parse().map_err(|_| {
        max.refuse("must be a number of minutes, hours or days, as in 30m, 24h or 7d")
    })?;
    let on_stale = match table.string("on_stale")? {
        None => OnStale::default(),
        Some(found) => {
            OnStale::from_word(&found.value).ok_or_else(|| found.refuse("must be warn or deny"))?
        }
    };
    Ok(Freshness {
        max_stale,
        on_stale,
    })
}

/// A table, and where it stands.
struct Table<'a, 'i> {
    text: &'a str,
    /// `remote.prod.`, or nothing at the root.
    path: String,
    /// Offset of the table's own key.
    start: usize,
    table: &'a DeTable<'i>,
}

/// A value, and where it stands.
struct Found<T> {
    value: T,
    key: String,
    line: usize,
}

impl<T> Found<T> {
    fn refuse(&self, rule: &'static str) -> ConfigError {
        ConfigError::Value {
            line: self.line,
            bad: BadValue {
                key: self.key.clone(),
                rule,
            },
        }
    }
}

impl Found<i64> {
    fn narrow<N: TryFrom<i64>>(&self, rule: &'static str) -> Result<N, ConfigError> {
        N::try_from(self.value).map_err(|_| self.refuse(rule))
    }
}

impl<'a, 'i> Table<'a, 'i> {
    /// Refuses every key that is not among the known ones.
    fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let close = known
                .iter()
                .map(|k| (strsim::damerau_levenshtein(k, name), *k))
                .filter(|(distance, k)| *distance <= (k.len() / 3).max(1))
                .min();
            return Err(ConfigError::UnknownKey {
                key: format!("{}{}", self.path, Escaped(name)),
                line: line_of(self.text, key.span().start),
                suggestion: close.map(|(_, k)| format!("{}{k}", self.path)),
            });
        }
        Ok(())
    }

    fn missing(&self, key: &str) -> ConfigError {
        ConfigError::Missing {
            key: format!("{}{key}", self.path),
            line: line_of(self.text, self.start),
        }
    }

    fn find<T>(
        &self,
        key: &str,
        rule: &'static str,
        read: impl FnOnce(&'a DeValue<'i>) -> Option<T>,
    ) -> Result<Option<Found<T>>, ConfigError> {
        let Some((spanned, value)) = self.table.iter().find(|(k, _)| k.get_ref() == key) else {
            return Ok(None);
        };
        let found = Found {
            value: (),
            key: format!("{}{key}", self.path),
            line: line_of(self.text, spanned.span().start),
        };
        match read(value.get_ref()) {
            None => Err(found.refuse(rule)),
            Some(value) => Ok(Some(Found {
                value,
                key: found.key,
                line: found.line,
            })),
        }
    }

    fn string(&self, key: &str) -> Result<Option<Found<String>>, ConfigError> {
        self.find(key, "must be a text in quotes", |v| {
            v.as_str().map(ToOwned::to_owned)
        })
    }

    fn integer(&self, key: &str) -> Result<Option<Found<i64>>, ConfigError> {
        self.find(key, "must be a whole number", |v| {
            let number = v.as_integer()?;
            i64::from_str_radix(number.as_str(), number.radix()).ok()
        })
    }

    fn boolean(&self, key: &str) -> Result<Option<Found<bool>>, ConfigError> {
        self.find(key, "must be true or false", DeValue::as_bool)
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let read = |value: &DeValue<'_>| {
            let items = value.as_array()?.iter();
            items
                .map(|item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(ToOwned::to_owned))
                .collect()
        };
        let found = self.find(key, "must be a list of texts in quotes", read)?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    fn table(&self, key: &str) -> Result<Option<Self>, ConfigError> {
        let found = self.find(key, "must be a table", DeValue::as_table)?;
        Ok(found.map(|found| Self {
            text: self.text,
            path: format!("{}{}.", self.path, Escaped(key)),
            start: self.span_of(key).start,
            table: found.value,
        }))
    }

    /// The tables of `[[key]]`, each where it stands.
    fn tables(&self, key: &str) -> Result<Vec<Self>, ConfigError> {
        let rule = "must be a list of tables, each under [[policy]]";
        let read = |value: &'a DeValue<'i>| {
            let items = value.as_array()?.iter();
            items
                .map(|item: &'a Spanned<DeValue<'i>>| {
                    Some((item.span().start, item.get_ref().as_table()?))
                })
                .collect::<Option<Vec<_>>>()
        };
        let found = self.find(key, rule, read)?;
        let tables = found.into_iter().flat_map(|found| found.value);
        Ok(tables
            .map(|(start, table)| Self {
                text: self.text,
                path: format!("{}{key}.", self.path),
                start,
                table,
            })
            .collect())
    }

    fn span_of(&self, key: &str) -> Range<usize> {
        let found = self.table.iter().find(|(k, _)| k.get_ref() == key);
        found.map_or(0..0, |(k, _)| k.span())
    }

    /// The line of a dotted key; that of its table where the key itself is absent.
    fn line_of_key(&self, path: &str) -> usize {
        let mut table = self.table;
        let mut start = self.start;
        for part in path.split('.') {
            let Some((key, value)) = table.iter().find(|(k, _)| k.get_ref() == part) else {
                break;
            };
            start = key.span().start;
            match value.get_ref().as_table() {
                Some(inner) => table = inner,
                None => break,
            }
        }
        line_of(self.text, start)
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.bytes().filter(|b| *b == b'\n').count() + 1
}

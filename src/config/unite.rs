//! Two clones' settings made into one, where nobody has to be asked.

use std::collections::BTreeMap;

use super::Config;

/// A setting that two clones changed differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("both sides changed {what}, differently")]
pub struct SettingsClash {
    /// The setting, in words.
    pub what: String,
}

impl Config {
    /// Makes one of two settings that have a common ancestor. Whatever one side alone
    /// changed is taken; remotes and rules are taken one by one.
    pub fn unite(base: &Self, ours: &Self, theirs: &Self) -> Result<Self, SettingsClash> {
        // A new setting must be thought of here.
        let Self {
            vault_id,
            hidden_names,
            git,
            max_delete,
            recovery_window,
            remotes,
            freshness,
            policies: _,
            keyrings,
        } = ours;
        if *vault_id != theirs.vault_id {
            return Err(clash("the vault's id"));
        }
        if *hidden_names != theirs.hidden_names {
            return Err(clash("whether names are hidden"));
        }
        // A rule is told by what it is about, and is right or not as a whole.
        let rules = |config: &Self| -> BTreeMap<_, _> {
            let about = |rule: &crate::model::Rule| {
                (
                    rule.path.clone(),
                    rule.remote.clone(),
                    rule.field.map(|f| f.as_str()),
                )
            };
            let rules = config.policies.iter();
            rules.map(|rule| (about(rule), rule.clone())).collect()
        };
        let policies = entries(&rules(base), &rules(ours), &rules(theirs), |(path, ..)| {
            format!("the policy for {path:?}")
        })?;
        Ok(Self {
            vault_id: vault_id.clone(),
            hidden_names: *hidden_names,
            git: one(&base.git, git, &theirs.git, "whether git is used")?,
            max_delete: one(
                &base.max_delete,
                max_delete,
                &theirs.max_delete,
                "max_delete",
            )?,
            recovery_window: one(
                &base.recovery_window,
                recovery_window,
                &theirs.recovery_window,
                "the recovery window",
            )?,
            remotes: entries(&base.remotes, remotes, &theirs.remotes, |name| {
                format!("remote {name}")
            })?,
            freshness: entries(&base.freshness, freshness, &theirs.freshness, |prefix| {
                format!("the freshness of {prefix:?}")
            })?,
            policies: policies.into_values().collect(),
            keyrings: entries(&base.keyrings, keyrings, &theirs.keyrings, |name| {
                format!("keyring {name}")
            })?,
        })
    }
}

fn clash(what: impl Into<String>) -> SettingsClash {
    SettingsClash { what: what.into() }
}

fn one<T: Clone + PartialEq>(
    base: &T,
    ours: &T,
    theirs: &T,
    what: &str,
) -> Result<T, SettingsClash> {
    if ours == theirs || base == theirs {
        Ok(ours.clone())
    } else if base == ours {
        Ok(theirs.clone())
    } else {
        Err(clash(what))
    }
}

fn entries<K: Clone + Ord, V: Clone + PartialEq>(
    base: &BTreeMap<K, V>,
    ours: &BTreeMap<K, V>,
    theirs: &BTreeMap<K, V>,
    what: impl Fn(&K) -> String,
) -> Result<BTreeMap<K, V>, SettingsClash> {
    let mut all = BTreeMap::new();
    for key in ours.keys().chain(theirs.keys()) {
        let (was, here, there) = (base.get(key), ours.get(key), theirs.get(key));
        if let Some(value) = one(&was, &here, &there, &what(key))? {
            all.insert(key.clone(), value.clone());
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Rule, Strategy};

    fn config(remotes: &[(&str, &str)]) -> Config {
        let mut text =
            String::from("format = 1\nvault_id = \"6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90\"\n");
        for (name, region) in remotes {
            text.push_str(&format!("[remote.{name}]\nregion = \"{region}\"\n"));
        }
        Config::parse(&text).unwrap()
    }

    #[test]
    fn remotes_of_both_sides_are_kept_and_one_changed_twice_is_named() {
        let o = config(&[("old", "eu-west-1")]);
        let a = config(&[("a", "eu-west-1"), ("old", "eu-west-1")]);
        let b = config(&[("b", "eu-west-1")]);
        let united = Config::unite(&o, &a, &b).unwrap();
        let names: Vec<_> = united.remotes.keys().map(|n| n.as_str()).collect();
        assert_eq!(names, ["a", "b"], "and the one that was removed is gone");
        assert_eq!(Config::unite(&o, &o, &b), Ok(b));
        let c = config(&[("old", "us-east-1")]);
        let d = config(&[("old", "eu-north-1")]);
        let clash = Config::unite(&o, &c, &d).unwrap_err();
        assert_eq!(
            clash.to_string(),
            "both sides changed remote old, differently"
        );
    }

    #[test]
    fn rules_and_numbers_are_merged_one_by_one() {
        let o = config(&[]);
        let (mut a, mut b) = (o.clone(), o.clone());
        a.recovery_window = 7;
        b.max_delete.count = 3;
        for (side, path) in [(&mut a, "a/"), (&mut b, "b/")] {
            side.set_policy(Rule {
                path: path.into(),
                remote: None,
                field: None,
                on_conflict: Strategy::default(),
            });
        }
        let united = Config::unite(&o, &a, &b).unwrap();
        assert_eq!((united.recovery_window, united.max_delete.count), (7, 3));
        assert_eq!(united.policies.len(), 2);
        b.recovery_window = 8;
        assert!(Config::unite(&o, &a, &b).is_err());
        b.vault_id = "0f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90".into();
        assert!(Config::unite(&o, &a, &b).is_err());
    }
}

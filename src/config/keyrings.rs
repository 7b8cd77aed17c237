//! The keyrings beside the default one, as the settings have them: which names belong to
//! which (design.md section 4; book, formats/vault).

use super::Config;
use crate::model::SecretName;

/// The longest name of a keyring, in bytes.
const LONGEST: usize = 64;

impl Config {
    /// Whether a keyring can be called so, the default one apart: its files are.
    pub fn is_keyring_name(name: &str) -> bool {
        let is_plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        name != "default"
            && (1..=LONGEST).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(is_plain)
    }

    /// Each beginning of a name with the keyring that it belongs to.
    pub fn keyring_prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keyrings.iter().flat_map(|(name, prefixes)| {
            let prefixes = prefixes.iter();
            prefixes.map(move |prefix| (prefix.as_str(), name.as_str()))
        })
    }

    /// The first rule of keyrings that does not hold, and the key it is about.
    pub(super) fn broken_keyring(&self) -> Option<(String, &'static str)> {
        if self.hidden_names && !self.keyrings.is_empty() {
            let rule = "a vault with hidden names has the default keyring alone";
            return Some(("keyring".to_owned(), rule));
        }
        for (name, prefixes) in &self.keyrings {
            let key = || format!("keyring.{name}.prefixes");
            if !Self::is_keyring_name(name) {
                let rule = "a keyring's name is a lower-case letter, then lower-case letters, digits, - or _, at most 64, and not default";
                return Some(("keyring".to_owned(), rule));
            }
            if prefixes.is_empty() {
                return Some((key(), "must hold a prefix of secret names"));
            }
            let is_folder = |p: &String| p.ends_with('/') && p.parse::<SecretName>().is_ok();
            if !prefixes.iter().all(is_folder) {
                return Some((key(), "must hold prefixes of secret names that end in /"));
            }
        }
        let mut all: Vec<(&str, &str)> = self.keyring_prefixes().collect();
        all.sort_unstable();
        let pairs = all.iter().zip(all.iter().skip(1));
        for ((first, _), (second, name)) in pairs {
            // Sorted, what begins with another one comes behind it.
            if second.starts_with(first) {
                let key = format!("keyring.{name}.prefixes");
                return Some((key, "must not overlap another prefix of a keyring"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keyrings: &[(&str, &[&str])]) -> Config {
        let mut config = Config::new("6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90");
        for (name, prefixes) in keyrings {
            let prefixes = prefixes.iter().map(|p| (*p).to_owned()).collect();
            config.keyrings.insert((*name).to_owned(), prefixes);
        }
        config
    }

    #[test]
    fn keyrings_come_back_and_a_vault_without_any_writes_nothing_of_them() {
        let some = config(&[("ops", &["ops/", "infra/"]), ("prod", &["prod/"])]);
        let text = some.emit().unwrap();
        assert!(text.contains("[keyring.ops]\nprefixes = [\"ops/\", \"infra/\"]\n"));
        assert_eq!(Config::parse(&text), Ok(some));
        assert!(!config(&[]).emit().unwrap().contains("keyring"));
    }

    #[test]
    fn prefixes_that_overlap_and_names_that_are_no_file_names_are_refused() {
        for bad in [
            config(&[("prod", &[])]),
            config(&[("prod", &["prod"])]),
            config(&[("prod", &[""])]),
            config(&[("prod", &["/ /"])]),
            config(&[("default", &["prod/"])]),
            config(&[("prod.next", &["prod/"])]),
            config(&[("Prod", &["prod/"])]),
            config(&[("../x", &["prod/"])]),
            config(&[("a", &["prod/"]), ("b", &["prod/"])]),
            config(&[("a", &["prod/"]), ("b", &["prod/eu/"])]),
            config(&[("a", &["prod/eu/", "prod/"])]),
            config(&[("a", &["prod/", "prod-x/", "prod/eu/"])]),
        ] {
            assert!(bad.emit().is_err(), "{:?}", bad.keyrings);
        }
        let good = config(&[("a", &["prod/"]), ("b", &["prod-eu/", "prod.eu/", "pro/"])]);
        assert!(good.emit().is_ok());
    }

    #[test]
    fn keyrings_of_both_sides_are_kept() {
        let o = config(&[]);
        let (a, b) = (config(&[("a", &["a/"])]), config(&[("b", &["b/"])]));
        let united = Config::unite(&o, &a, &b).unwrap();
        assert_eq!(united, config(&[("a", &["a/"]), ("b", &["b/"])]));
        // What both sides claim is for a person.
        let c = config(&[("c", &["a/x/"])]);
        assert!(Config::unite(&o, &a, &c).unwrap().emit().is_err());
    }

    #[test]
    fn a_vault_with_hidden_names_has_one_keyring() {
        let mut config = config(&[("prod", &["prod/"])]);
        assert_eq!(config.broken_keyring(), None);
        config.hidden_names = true;
        assert!(
            config
                .emit()
                .unwrap_err()
                .to_string()
                .contains("hidden names")
        );
        config.keyrings.clear();
        assert_eq!(config.broken_keyring(), None);
    }
}

use super::ConfigError;
use super::read;

/// What one person, or one clone of a vault, has set for itself. It is in no vault and
/// nobody else's business; a flag and an environment variable outrank it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// The vault to use where there is none above the working directory. A person's.
    pub vault: Option<String>,
    /// Another identity file.
    pub identity: Option<String>,
    /// The editor of `edit`, where the environment names none.
    pub editor: Option<String>,
    /// Whether everything that needs a network is refused.
    pub offline: Option<bool>,
    /// Whether changes are committed to git. A clone's: the vault's own setting is
    /// between it and a person's.
    pub commit: Option<bool>,
    /// What becomes of the audit log (book, audit).
    pub audit: Option<AuditRule>,
    /// The age plugins that may be run, by name (crypto.md section 2). In no vault's
    /// settings, since git carries those.
    pub plugins: Option<Vec<String>>,
}

/// Whether reads and writes of values are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditRule {
    /// They are not.
    Off,
    /// They are, and a log that cannot be written is a warning.
    #[default]
    On,
    /// They are, and a value whose reading cannot be logged is not given out.
    Required,
}

impl AuditRule {
    /// Reads the setting's word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "on" => Some(Self::On),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// Whose preferences a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// One person's, for all vaults.
    Person,
    /// One clone's.
    Clone,
}

impl Preferences {
    /// Reads a file's text. A key that its holder cannot set is an error.
    pub fn parse(text: &str, holder: Holder) -> Result<Self, ConfigError> {
        read::preferences(text, holder)
    }

    /// These, and where they say nothing the others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            vault: self.vault.or(other.vault),
            identity: self.identity.or(other.identity),
            editor: self.editor.or(other.editor),
            offline: self.offline.or(other.offline),
            commit: self.commit.or(other.commit),
            audit: self.audit.or(other.audit),
            plugins: self.plugins.or(other.plugins),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clones_go_before_a_persons_and_each_has_its_keys() {
        let person = "vault = \"/v\"\noffline = true\neditor = \"vi\"\n";
        let person = Preferences::parse(person, Holder::Person).unwrap();
        let clone = "offline = false\ncommit = false\nidentity = \"/i\"\n";
        let clone = Preferences::parse(clone, Holder::Clone).unwrap();
        let both = clone.or(person);
        assert_eq!(both.offline, Some(false));
        assert_eq!(both.commit, Some(false));
        assert_eq!(both.vault.as_deref(), Some("/v"));
        assert_eq!(both.editor.as_deref(), Some("vi"));
        assert_eq!(both.identity.as_deref(), Some("/i"));
    }

    #[test]
    fn a_clones_word_on_the_audit_log_goes_before_a_persons() {
        let person = Preferences::parse("audit = \"off\"\n", Holder::Person).unwrap();
        let clone = Preferences::parse("audit = \"required\"\n", Holder::Clone).unwrap();
        assert_eq!(person.audit, Some(AuditRule::Off));
        assert_eq!(clone.or(person).audit, Some(AuditRule::Required));
        let error = Preferences::parse("audit = \"maybe\"\n", Holder::Clone).unwrap_err();
        assert!(error.to_string().contains("off, on or required"), "{error}");
    }

    #[test]
    fn crypto_2_a_clones_list_of_plugins_takes_the_place_of_a_persons() {
        let parse = |text, holder| Preferences::parse(text, holder).unwrap();
        let person = parse("plugins = [\"yubikey\", \"se\"]\n", Holder::Person);
        let both = parse("", Holder::Clone).or(person.clone());
        assert_eq!(both.plugins.unwrap(), ["yubikey", "se"]);
        let none = parse("plugins = []\n", Holder::Clone).or(person);
        assert_eq!(none.plugins, Some(Vec::new()));
        for text in ["plugins = \"yubikey\"\n", "plugins = [1]\n"] {
            assert!(Preferences::parse(text, Holder::Person).is_err(), "{text}");
        }
        // What git carries allows nothing.
        assert!(crate::config::Config::parse("format = 1\nplugins = [\"x\"]\n").is_err());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        let error = Preferences::parse("ofline = true\n", Holder::Person).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1: unknown key ofline, did you mean offline?"
        );
        for (text, holder) in [
            ("commit = true\n", Holder::Person),
            ("vault = \"/v\"\n", Holder::Clone),
            ("offline = \"yes\"\n", Holder::Clone),
            ("offline", Holder::Person),
        ] {
            assert!(Preferences::parse(text, holder).is_err(), "{text}");
        }
    }
}

use std::fmt;
use std::str::FromStr;

/// The longest name of a plugin, in characters; a file's name has room for it.
const LONGEST_NAME: usize = 64;
/// The longest recipient of a plugin, in characters: post-quantum keys take some 2,000.
const LONGEST: usize = 4096;
const RECIPIENT: &str = "age1";

/// What a plugin is called: `yubikey` is the program `age-plugin-yubikey` (C2SP
/// age-plugin, "Plugin names"). It can hold no separator of paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(String);

/// A text that is no plugin's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a plugin's name has 1 to 64 of a-z 0-9 + - . _")]
pub struct PluginNameError;

impl PluginName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its program is called.
    pub fn program(&self) -> String {
        format!("age-plugin-{}", self.0)
    }
}

impl FromStr for PluginName {
    type Err = PluginNameError;

    fn from_str(text: &str) -> Result<Self, PluginNameError> {
        let allowed = |b: u8| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'_')
        };
        match (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(PluginNameError),
        }
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key that a plugin encrypts to, `age1<name>1...` in lower case. Its checksum
/// is right; what is in it only the plugin knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PluginRecipient {
    name: PluginName,
    text: String,
}

impl PluginRecipient {
    /// The plugin it belongs to.
    pub fn plugin(&self) -> &PluginName {
        &self.name
    }
}

impl FromStr for PluginRecipient {
    type Err = PluginNameError;

    fn from_str(text: &str) -> Result<Self, PluginNameError> {
        if text.len() > LONGEST || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(PluginNameError);
        }
        let prefix = prefix(text).ok_or(PluginNameError)?;
        let name = prefix.strip_prefix(RECIPIENT).ok_or(PluginNameError)?;
        Ok(Self {
            name: name.parse()?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for PluginRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The part before the separator of a text in Bech32 (BIP 173, of any length) whose
/// checksum is right.
pub(super) fn prefix(text: &str) -> Option<String> {
    let decoded = age_core::primitives::bech32_decode(
        text,
        |_| (),
        |_| Ok(()),
        |prefix, _| Ok(prefix.to_string()),
    );
    decoded.ok()
}

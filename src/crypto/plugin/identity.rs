use std::sync::Arc;

use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::machine::unwrap;
use super::name::prefix;
use super::{PluginHost, PluginName, PluginRecipient};
use crate::crypto::member::{HasMemberKey, Member, MemberKey, open};
use crate::crypto::{Identity, OpenError};

const IDENTITY: &str = "AGE-PLUGIN-";

/// Why an identity file of a plugin was not read. Nothing of the key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginFileError {
    /// A line that is neither a comment nor a plugin's identity, or a second key.
    #[error(
        "line {line} of the identity file is neither a comment nor the one identity of an age plugin"
    )]
    Line {
        /// The line, counted from 1.
        line: usize,
    },
    /// No comment has the public key.
    #[error("the identity file does not say its public key; add a line: # public key: age1...")]
    NoRecipient,
}

/// An identity file of a plugin, as read.
pub struct PluginKeyFile {
    name: PluginName,
    identity: Zeroizing<String>,
    recipient: PluginRecipient,
}

impl PluginKeyFile {
    /// Whether the first line that is no comment begins like a plugin's identity.
    pub fn is_plugin(bytes: &[u8]) -> bool {
        let mut lines = bytes.split(|b| *b == b'\n');
        let first = lines.find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
        first.is_some_and(|line| line.starts_with(IDENTITY.as_bytes()))
    }

    /// Reads the file: comments, of which one has the public key as plugins write it, and
    /// one identity `AGE-PLUGIN-<NAME>-1...` in upper case.
    pub fn parse(bytes: &[u8]) -> Result<Self, PluginFileError> {
        let mut found: Option<(PluginName, &str)> = None;
        let mut recipients: Vec<PluginRecipient> = Vec::new();
        for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let bad = PluginFileError::Line { line: at + 1 };
            let line = std::str::from_utf8(line).map_err(|_| bad)?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if let Some(comment) = line.strip_prefix('#') {
                let words = comment.split_ascii_whitespace();
                recipients.extend(words.filter_map(|word| word.parse().ok()));
            } else if !line.is_empty() {
                let name = plugin_of(line).ok_or(bad)?;
                match found {
                    None => found = Some((name, line)),
                    Some(_) => return Err(bad),
                }
            }
        }
        let (name, identity) = found.ok_or(PluginFileError::Line { line: 1 })?;
        let mut recipients = recipients.into_iter();
        let recipient = recipients.find(|r| *r.plugin() == name);
        Ok(Self {
            identity: Zeroizing::new(identity.to_owned()),
            recipient: recipient.ok_or(PluginFileError::NoRecipient)?,
            name,
        })
    }

    /// The plugin.
    pub fn plugin(&self) -> &PluginName {
        &self.name
    }

    /// The identity, whose plugin a host runs. Nothing runs yet.
    pub fn open(self, host: Arc<dyn PluginHost>) -> PluginIdentity {
        PluginIdentity { file: self, host }
    }
}

/// The plugin of an identity in upper case whose checksum is right.
fn plugin_of(text: &str) -> Option<PluginName> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let prefix = prefix(text)?.to_ascii_uppercase();
    let name = prefix.strip_prefix(IDENTITY)?.strip_suffix('-')?;
    name.to_ascii_lowercase().parse().ok()
}

/// A member's key that a plugin keeps or guards.
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// fn some() -> strongroom::crypto::PluginIdentity { unimplemented!() }
/// shows(some());
/// ```
pub struct PluginIdentity {
    file: PluginKeyFile,
    host: Arc<dyn PluginHost>,
}

impl PluginIdentity {
    /// The plugin.
    pub fn plugin(&self) -> &PluginName {
        &self.file.name
    }
}

impl age::Identity for PluginIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    /// All of a header at once: the plugin is run once, and its person asked once.
    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        let found = unwrap(
            &self.file.name,
            self.host.as_ref(),
            &self.file.identity,
            stanzas,
        );
        found.map_err(|e| e.into_io().into()).transpose()
    }
}

impl HasMemberKey for PluginIdentity {
    fn member_key(&self) -> MemberKey {
        MemberKey::Plugin(self.file.recipient.clone())
    }

    fn plugins(&self) -> &dyn PluginHost {
        self.host.as_ref()
    }
}

impl Member for PluginIdentity {
    fn open_keyring(&self, file: &[u8]) -> Result<Identity, OpenError> {
        open(file, self)
    }

    fn as_age_identity(&self) -> &dyn age::Identity {
        self
    }
}

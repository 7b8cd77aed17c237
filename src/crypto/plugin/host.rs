use std::io::{Read, Write};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{PluginError, PluginName};
use crate::crypto::{HasMemberKey, MemberKey, Recipient};

/// What a plugin is started for (C2SP age-plugin, "State machines").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// To encrypt to its recipients.
    Recipient,
    /// To decrypt with its identities.
    Identity,
}

impl Machine {
    /// The argument that its program is started with.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Recipient => "--age-plugin=recipient-v1",
            Self::Identity => "--age-plugin=identity-v1",
        }
    }
}

/// The two ends of a plugin that was started.
pub struct PluginPipe {
    /// What it reads.
    pub to: Box<dyn Write + Send>,
    /// What it writes.
    pub from: Box<dyn Read + Send>,
}

/// Decides which plugins run, starts them, and answers what they ask of the person.
///
/// Whatever a plugin says is text from elsewhere: who shows it escapes it.
pub trait PluginHost: Send + Sync {
    /// Starts a plugin's program, if the person has allowed it.
    fn start(&self, name: &PluginName, machine: Machine) -> Result<PluginPipe, PluginError>;

    /// Shows a message.
    fn say(&self, name: &PluginName, message: &str);

    /// Asks the person to choose; `None` if there is nobody to ask.
    fn confirm(
        &self,
        name: &PluginName,
        message: &str,
        yes: &str,
        no: Option<&str>,
    ) -> Option<bool>;

    /// Asks for something that is no secret; `None` if there is nobody to ask.
    fn ask(&self, name: &PluginName, message: &str) -> Option<String>;

    /// Asks for a secret, such as a PIN; `None` if there is nobody to ask.
    fn ask_secret(&self, name: &PluginName, message: &str) -> Option<Zeroizing<String>>;
}

/// A host that runs nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoPlugins;

impl PluginHost for NoPlugins {
    fn start(&self, name: &PluginName, _: Machine) -> Result<PluginPipe, PluginError> {
        Err(PluginError::NoHost(name.clone()))
    }

    fn say(&self, _: &PluginName, _: &str) {}

    fn confirm(&self, _: &PluginName, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn ask(&self, _: &PluginName, _: &str) -> Option<String> {
        None
    }

    fn ask_secret(&self, _: &PluginName, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

/// A member's key and what runs its plugin, if it is one's.
#[derive(Clone)]
pub struct Hosted {
    /// The key.
    pub key: MemberKey,
    /// What runs plugins.
    pub host: Arc<dyn PluginHost>,
}

impl Hosted {
    /// Each of the keys with the host.
    pub fn all(keys: impl IntoIterator<Item = MemberKey>, host: &Arc<dyn PluginHost>) -> Vec<Self> {
        let hosted = |key| Self {
            key,
            host: Arc::clone(host),
        };
        keys.into_iter().map(hosted).collect()
    }
}

impl From<MemberKey> for Hosted {
    /// A key that nothing runs a plugin for.
    fn from(key: MemberKey) -> Self {
        let host: Arc<dyn PluginHost> = Arc::new(NoPlugins);
        Self { key, host }
    }
}

impl From<Recipient> for Hosted {
    fn from(key: Recipient) -> Self {
        MemberKey::from(key).into()
    }
}

impl HasMemberKey for Hosted {
    fn member_key(&self) -> MemberKey {
        self.key.clone()
    }

    fn plugins(&self) -> &dyn PluginHost {
        self.host.as_ref()
    }
}

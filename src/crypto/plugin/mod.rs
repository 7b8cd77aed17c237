//! Age plugins as members (C2SP age-plugin): recipients `age1<name>1...`, which only the
//! program `age-plugin-<name>` can encrypt to, and identities `AGE-PLUGIN-<NAME>-1...`,
//! which only it can decrypt with.
//!
//! age's own client of plugins is not used: it hands a plugin the whole environment and
//! looks for it by itself. Here a [`PluginHost`] decides which program runs, with what.
//!
//! Must never happen: a name that came from a vault's file decides on its own that a
//! program runs; or a file key stays in a buffer that is not wiped.

mod error;
mod host;
mod identity;
mod machine;
mod name;
mod wire;

pub use error::PluginError;
pub use host::{Hosted, Machine, NoPlugins, PluginHost, PluginPipe};
pub use identity::{PluginFileError, PluginIdentity, PluginKeyFile};
pub(super) use machine::recipients;
pub use name::{PluginName, PluginNameError, PluginRecipient};

#[cfg(test)]
mod tests;

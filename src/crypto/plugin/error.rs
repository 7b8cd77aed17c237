use std::path::PathBuf;

use super::PluginName;

/// Why a plugin did not do its work. What it says itself is escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The person has not allowed it.
    #[error("the age plugin {0} is needed, and it is not on your list of plugins")]
    NotAllowed(PluginName),
    /// Nothing here can run one.
    #[error("the age plugin {0} is needed, and nothing here runs plugins")]
    NoHost(PluginName),
    /// No such program.
    #[error("the age plugin {0} is needed, and no directory of PATH has {program}", program = .0.program())]
    Missing(PluginName),
    /// The system did not start it.
    #[error("{path}: cannot start it: {reason}", path = .path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It ended, or closed its end, in the middle.
    #[error("{program} ended before it had answered", program = .0.program())]
    Died(PluginName),
    /// It said something that the protocol does not have (C2SP age-plugin).
    #[error("{program} does not keep to the protocol: {what}", program = .name.program())]
    Protocol {
        /// The plugin.
        name: PluginName,
        /// What was wrong.
        what: &'static str,
    },
    /// It refused, in its own words.
    #[error("{program}: {message}", program = .name.program())]
    Said {
        /// The plugin.
        name: PluginName,
        /// Its words.
        message: String,
    },
}

impl PluginError {
    /// As the error of age's traits, to come out of age again by [`PluginError::of`].
    pub(super) fn into_io(self) -> std::io::Error {
        std::io::Error::other(self)
    }

    /// The error that was put into one of age's.
    pub(in crate::crypto) fn of(error: &std::io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        inner.downcast_ref::<Self>().cloned()
    }
}

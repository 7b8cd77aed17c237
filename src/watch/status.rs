use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a watch says of itself, for `strongroom status`. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// When it began.
    pub since: String,
    /// Its remotes.
    pub remotes: BTreeMap<String, RemoteStatus>,
    /// Why it does nothing for now, if so.
    pub paused: Option<String>,
    /// When that began.
    pub paused_since: Option<String>,
    /// Secrets that it leaves alone, and why.
    pub held: BTreeMap<String, String>,
    /// Why files are looked at every so often, if the system does not tell of changes.
    pub polled: Option<String>,
}

/// One remote of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoteStatus {
    /// When it last answered.
    pub asked: Option<String>,
    /// When something was last done with it.
    pub synced: Option<String>,
    /// When it is asked next.
    pub next: Option<String>,
    /// Why it is not in step, if it does not answer or was never synced with.
    pub trouble: Option<String>,
}

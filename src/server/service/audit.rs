//! What the audit log hears of the endpoint: every value that is given out, from memory
//! too, every change, and what was refused of both.

use std::sync::Arc;

use serde::Deserialize;

use super::value::Read;
use super::{Service, vault_fault};
use crate::model::{Asker, AuditEntry, Deed};
use crate::server::protocol::{Call, Fault};

/// How much of a name that nothing has is noted, in characters.
const LONGEST: usize = 600;

/// What a request that changes something is about. Nothing else of it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    #[serde(alias = "Name")]
    secret_id: Option<String>,
}

impl Service {
    /// Who asks.
    pub(super) fn asker(&self, call: &Call<'_>) -> Option<Arc<Asker>> {
        let caller = call.caller;
        self.vault
            .asker_at_endpoint(call.operation, &caller.access_key, &caller.region)
    }

    /// Notes a value before it is given out, or why none is. `asked` is the SecretId of
    /// the request.
    pub(super) fn noted(
        &self,
        call: &Call<'_>,
        asked: Option<&str>,
        read: Result<Read, Fault>,
    ) -> Result<Read, Fault> {
        if !self.vault.is_audited() {
            return read;
        }
        let entry = match &read {
            Ok(read) => AuditEntry::of_version(Deed::Read, read.record(), read.id()),
            Err(fault) => refused(Deed::Read, asked, fault),
        };
        let noted = self.vault.note(self.asker(call).as_ref(), vec![entry]);
        match (read, noted) {
            (Ok(_), Err(error)) => Err(vault_fault(&error)),
            (read, _) => read,
        }
    }

    /// Notes that an operation that changes something was refused.
    pub(super) fn note_refusal(&self, call: &Call<'_>, fault: &Fault) {
        if !self.vault.is_audited() {
            return;
        }
        let Ok(operation) = self.operation(call.operation) else {
            return;
        };
        if !operation.writes {
            return;
        }
        let about: Option<About> = serde_json::from_slice(call.body).ok();
        let asked = about.and_then(|about| about.secret_id);
        let entry = refused(Deed::Refused(operation.name), asked.as_deref(), fault);
        // It is refused already; nothing more can be.
        drop(self.vault.note(self.asker(call).as_ref(), vec![entry]));
    }
}

fn refused(deed: Deed, asked: Option<&str>, fault: &Fault) -> AuditEntry {
    AuditEntry {
        deed,
        secret: asked.map(|asked| asked.chars().take(LONGEST).collect()),
        version: None,
        labels: Vec::new(),
        remote: None,
        error: Some(fault.code.as_str()),
    }
}

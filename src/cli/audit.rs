//! Who asks, for the audit log: what this process can find out about itself.

use std::path::Path;

use rustix::process::{getppid, getuid};

use super::context::{Context, color, new_uuid, now};
use super::error::CommandError;
use super::ui::Ui;
use crate::config::AuditRule;
use crate::model::{Asker, Door};
use crate::vault::{AuditSetup, Pace, Vault};

impl Context {
    /// Has what is read and written in a vault noted, unless that is switched off.
    pub(super) fn audit(&self, vault: &mut Vault) -> Result<(), CommandError> {
        let rule = self.audit_rule()?;
        if rule == AuditRule::Off {
            return Ok(());
        }
        let globals = &self.globals;
        let ui = Ui::new(
            globals.quiet,
            globals.json,
            globals.yes,
            globals.progress,
            color(),
        );
        let door = door(&self.verb);
        vault.audit_with(AuditSetup {
            rule,
            asker: Asker {
                door,
                verb: self.verb.clone(),
                uid: getuid().as_raw(),
                program: program(),
                access_key: None,
                region: None,
            },
            pace: match self.verb.as_str() {
                // Many reads, of which none is given out.
                "exec" | "aws" | "serve" | "fsck" | "scan" => Pace::Gathered,
                _ => Pace::AtOnce,
            },
            clock: now,
            id: new_uuid,
            complain: Box::new(move |error| {
                ui.warn(&format!("this is not in the audit log: {}", chain(error)));
            }),
        });
        Ok(())
    }
}

/// The door that a verb is.
fn door(verb: &str) -> Door {
    match verb {
        "exec" | "aws" | "serve" => Door::Endpoint,
        "fetch" | "plan" | "apply" | "sync" | "pull" | "push" => Door::Sync,
        "watch" => Door::Watch,
        "migrate" => Door::Migrate,
        _ => Door::Cli,
    }
}

/// The program that started this one: its file, where the system shows it.
fn program() -> Option<String> {
    let parent = Path::new("/proc").join(getppid()?.as_raw_nonzero().to_string());
    if let Ok(exe) = std::fs::read_link(parent.join("exe")) {
        return Some(exe.to_string_lossy().into_owned());
    }
    let name = std::fs::read_to_string(parent.join("comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_was_started_by_a_program_and_verbs_have_doors() {
        assert!(program().is_some_and(|p| !p.is_empty()));
        assert_eq!(door("get"), Door::Cli);
        assert_eq!(door("push"), Door::Sync);
        assert_eq!(door("exec"), Door::Endpoint);
    }
}

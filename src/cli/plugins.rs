//! Age plugins as programs of this machine: those that the person allows, from PATH, with
//! an environment that holds no secret.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::context::var;
use super::harden;
use super::ui::Ui;
use crate::crypto::{Machine, PluginError, PluginHost, PluginName, PluginPipe};
use crate::model::Escaped;

/// The variables that a plugin sees. AWS's and strongroom's own are not among them.
const SEEN: [&str; 23] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "TZ",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "GPG_TTY",
    "PCSCLITE_CSOCK_NAME",
];
/// Becomes the plugin without the descriptors that a shell can name: a passphrase may be
/// behind one.
const CLOSING: &str = "exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; exec \"$0\" \"$@\"";

/// What runs plugins here.
pub(super) struct Plugins {
    pub(super) ui: Ui,
    /// The names that the person allows, and nobody else can.
    pub(super) allowed: Vec<PluginName>,
    pub(super) search_path: OsString,
    /// Whether a descriptor beyond a shell's reach is to be kept from a plugin.
    pub(super) keeps_descriptors: bool,
}

impl Plugins {
    /// The program of a plugin that is allowed: the first in the absolute directories of
    /// PATH. A relative one could be a vault's.
    pub(super) fn find(&self, name: &PluginName) -> Result<PathBuf, PluginError> {
        if !self.allowed.contains(name) {
            return Err(PluginError::NotAllowed(name.clone()));
        }
        let program = name.program();
        let is_program = |path: &PathBuf| {
            let file = path.metadata();
            file.is_ok_and(|f| f.is_file() && f.permissions().mode() & 0o111 != 0)
        };
        std::env::split_paths(&self.search_path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(&program))
            .find(is_program)
            .ok_or_else(|| PluginError::Missing(name.clone()))
    }

    /// What a plugin says, escaped, after its name.
    fn said(name: &PluginName, message: &str) -> String {
        let lines: Vec<String> = message
            .trim()
            .lines()
            .map(|line| format!("{}: {}", name.program(), Escaped(line)))
            .collect();
        lines.join("\n")
    }
}

impl PluginHost for Plugins {
    fn start(&self, name: &PluginName, machine: Machine) -> Result<PluginPipe, PluginError> {
        let path = self.find(name)?;
        if self.keeps_descriptors {
            harden::keep_descriptors();
        }
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", CLOSING])
            .arg(&path)
            .arg(machine.argument())
            .env_clear()
            .envs(SEEN.iter().filter_map(|name| Some((name, var(name)?))))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let failed = |reason: String| PluginError::Start {
            path: path.clone(),
            reason,
        };
        let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
        let ends = child.stdin.take().zip(child.stdout.take());
        let (to, from) = ends.ok_or_else(|| failed("it has no pipes".to_owned()))?;
        // It ends when its pipes do; somebody has to hear of it.
        std::thread::spawn(move || child.wait());
        Ok(PluginPipe {
            to: Box::new(to),
            from: Box::new(from),
        })
    }

    fn say(&self, name: &PluginName, message: &str) {
        self.ui.status(&Self::said(name, message));
    }

    fn confirm(
        &self,
        name: &PluginName,
        message: &str,
        yes: &str,
        no: Option<&str>,
    ) -> Option<bool> {
        if !self.ui.can_ask() {
            return None;
        }
        let question = Self::said(name, message);
        let (yes, no) = (Escaped(yes), no.map(Escaped));
        let choices = match no {
            Some(no) => format!("[y] {yes}  [n] {no}:"),
            None => format!("[y] {yes}:"),
        };
        loop {
            let answer = self.ui.ask(&format!("{question}\n{choices}")).ok()?;
            match answer.as_str() {
                "y" | "yes" => return Some(true),
                "n" | "no" if no.is_some() => return Some(false),
                "" => return None,
                _ => {}
            }
        }
    }

    fn ask(&self, name: &PluginName, message: &str) -> Option<String> {
        match self.ui.can_ask() {
            true => self.ui.ask_exactly(&Self::said(name, message)).ok(),
            false => None,
        }
    }

    fn ask_secret(&self, name: &PluginName, message: &str) -> Option<Zeroizing<String>> {
        let prompt = format!("{}: ", Self::said(name, message));
        self.ui.hidden(&prompt).ok()
    }
}

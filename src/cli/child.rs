//! A program that is run for somebody: it gets the environment it is meant to get and
//! nothing of ours, its signals reach it, and its end is our end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::fs::Mode;
use rustix::process::{Pid, Signal, getpgrp, kill_process, umask};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::context::{Context, OWN_SECRETS};
use super::error::CommandError;
use super::exit::Exit;

/// What is handed on. A keyboard's signals reach the whole foreground group, so those
/// two are handed on only where we are not in it.
const HANDED_ON: [(Signal, bool); 6] = [
    (Signal::INT, true),
    (Signal::QUIT, true),
    (Signal::TERM, false),
    (Signal::HUP, false),
    (Signal::USR1, false),
    (Signal::USR2, false),
];

/// Changes of the environment: a value, or away with it.
pub(super) type Changes = BTreeMap<String, Option<OsString>>;

/// The signals that came in since it was made.
pub(super) struct Signals(mpsc::UnboundedReceiver<(Signal, bool)>);

impl Signals {
    /// Begins to catch signals. Before anything is there that must be cleaned up.
    pub(super) fn catch() -> Result<Self, CommandError> {
        let failed = |e| CommandError::from_error(Exit::Unexpected, e);
        let (sender, receiver) = mpsc::unbounded_channel();
        let ignored = ignored();
        for (kind, keyboard) in HANDED_ON {
            // Whoever started us with `nohup` meant the child.
            if ignored & (1 << (kind.as_raw() - 1)) != 0 {
                continue;
            }
            let mut stream = signal(SignalKind::from_raw(kind.as_raw())).map_err(failed)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send((kind, keyboard)).is_ok() {}
            });
        }
        Ok(Self(receiver))
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Option<(Signal, bool)> {
        self.0.recv().await
    }
}

/// The signals this process was started to ignore, a bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Starts a program.
pub(super) fn start(
    ctx: &Context,
    words: &[OsString],
    changes: &Changes,
) -> Result<Child, CommandError> {
    let Some((program, rest)) = words.split_first() else {
        return Err(CommandError::usage("there is no program to run"));
    };
    let script = closing(ctx)?;
    let mut command = match script {
        None => {
            let mut command = Command::new(program);
            command.args(rest);
            command
        }
        Some(script) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(script).arg("strongroom").args(words);
            command
        }
    };
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    for name in OWN_SECRETS {
        command.env_remove(name);
    }
    // The user's mask is the child's; ours is back before any thread makes a file.
    let ours = umask(Mode::from_raw_mode(ctx.umask));
    let child = command.spawn();
    umask(ours);
    child.map_err(|error| {
        let status = match error.kind() {
            std::io::ErrorKind::NotFound => 127,
            _ => 126,
        };
        CommandError::new(
            Exit::Child(status),
            format!("{}: {error}", program.to_string_lossy()),
        )
    })
}

/// A script that closes the descriptors an identity or a passphrase came by, and then
/// becomes the program; `None` where there are none.
fn closing(ctx: &Context) -> Result<Option<String>, CommandError> {
    let given = [ctx.globals.identity_fd, ctx.globals.passphrase_fd];
    let mut script = String::new();
    for fd in given.into_iter().flatten().filter(|fd| *fd > 2) {
        // More digits than one are not a descriptor to a POSIX shell.
        if fd > 9 {
            return Err(CommandError::usage(format!(
                "descriptor {fd} would stay open in the program that is run"
            ))
            .hint("use a descriptor from 3 to 9"));
        }
        script.push_str(&format!("exec {fd}<&-; "));
    }
    if script.is_empty() {
        return Ok(None);
    }
    script.push_str("exec \"$@\"");
    Ok(Some(script))
}

/// Waits for the program's end, handing on signals.
pub(super) async fn wait(child: &mut Child, signals: &mut Signals) -> Result<Exit, CommandError> {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let pid = pid.and_then(Pid::from_raw);
    loop {
        tokio::select! {
            biased;
            status = child.wait() => {
                let status = status.map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
                return Ok(Exit::Child(number(status)));
            }
            Some((kind, keyboard)) = signals.next() => {
                if let Some(pid) = pid
                    && !(keyboard && in_foreground())
                {
                    // It may have ended in between, which is as good.
                    let _sent = kill_process(pid, kind);
                }
            }
        }
    }
}

/// The status as a shell gives it.
fn number(status: ExitStatus) -> u8 {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// Whether what is typed at the terminal reaches us, and so our child, directly.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_descriptors_of_ours_are_closed_before_the_program_begins() {
        let home = tempfile::tempdir().unwrap();
        let with = |fd: Option<u32>| {
            let mut globals = Cli::try_parse_from(["strongroom", "ls"]).unwrap().globals;
            globals.passphrase_fd = fd;
            closing(&Context::in_home(home.path(), globals))
        };
        assert_eq!(with(None).unwrap(), None);
        assert_eq!(with(Some(0)).unwrap(), None, "stdin is the program's");
        assert_eq!(with(Some(10)).unwrap_err().exit, Exit::Usage);
        let script = with(Some(9)).unwrap().unwrap();
        let run = |script: &str| {
            std::process::Command::new("/bin/sh")
                .args([
                    "-c",
                    "exec 9</dev/null; exec /bin/sh -c \"$0\" strongroom \"$@\"",
                ])
                .args([script, "sh", "-c", "test -e /proc/self/fd/9"])
                .status()
                .unwrap()
                .code()
        };
        assert_eq!(run("exec \"$@\""), Some(0), "it is there to be closed");
        assert_eq!(run(&script), Some(1));
    }

    #[test]
    fn a_status_is_what_a_shell_would_give() {
        assert_eq!(number(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(number(ExitStatus::from_raw(9)), 137);
    }
}

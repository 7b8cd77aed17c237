use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zeroize::Zeroizing;

use super::put::{NewVersion, stored};
use super::{DONE, begin, commit};
use crate::cli::context::{Context, OWN_SECRETS};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::memory::{MemoryDir, plain_swap};
use crate::model::{Kind, SecretName, SecretValue};

/// Change a value in your editor
///
/// The editor ($VISUAL, $EDITOR, else vi) gets a file in memory that nobody else can
/// read, and that is gone when it ends. What you save becomes a new version; nothing
/// happens if you change nothing. A value that is JSON must stay JSON.
///
/// Example: EDITOR=nano strongroom edit prod/db
#[derive(Debug, Args)]
pub struct Edit {
    /// The secret's name
    name: SecretName,
    /// Values do not belong on the command line; this catches one that does
    #[arg(hide = true, num_args = 0.., value_name = "VALUE")]
    argv: Vec<OsString>,
    /// Store the new value even if the old one was JSON and this is not
    #[arg(long)]
    no_check: bool,
}

/// How often the editor is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long an editor may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Editors that come back at once and leave the file open, and the flags by which
/// they wait.
const WINDOWED: [(&[&str], &[&str]); 8] = [
    (
        &[
            "code",
            "code-insiders",
            "codium",
            "vscodium",
            "cursor",
            "windsurf",
        ],
        &["--wait", "-w"],
    ),
    (&["subl", "sublime_text"], &["--wait", "-w"]),
    (&["atom", "pulsar"], &["--wait", "-w"]),
    (&["zed", "zeditor"], &["--wait", "-w"]),
    (&["gedit", "gnome-text-editor", "xed"], &["--wait", "-w"]),
    (&["kate"], &["--block", "-b"]),
    (&["gvim", "mvim"], &["--nofork", "-f"]),
    (&["mate"], &["--wait", "-w"]),
];

impl Edit {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if !self.argv.is_empty() {
            return Err(super::put::value_in_argv(&self.name));
        }
        let editor = Editor::of(ctx)?;
        let vault = ctx.unlocked()?;
        let record = ctx.record(&vault, &self.name)?;
        let Some(current) = record.state.current() else {
            return Err(CommandError::not_found(format!(
                "{} has no AWSCURRENT version to edit",
                self.name
            )));
        };
        let old = vault.read(&record, current)?;
        if old.kind() == Kind::Binary {
            return Err(CommandError::new(
                Exit::Unsupported,
                format!("{} is binary; a text editor would damage it", self.name),
            )
            .hint(format!(
                "strongroom get {0} -o FILE; then: strongroom put {0} --file FILE --binary",
                self.name
            )));
        }
        let was_json = is_json(old.expose_secret());
        let desk = Desk::make(ctx, was_json)?;
        if let Some(place) = plain_swap() {
            ctx.ui.warn(&format!(
                "{} takes memory that is swapped, and is not encrypted: what you edit could reach it",
                place.display()
            ));
        }
        desk.write(old.expose_secret())?;
        let new = loop {
            editor.run(&desk)?;
            let new = desk.read(&old)?;
            if !was_json || self.no_check || is_json(new.expose_secret()) {
                break new;
            }
            let error = CommandError::usage(format!(
                "{} was JSON, and the new text is not; nothing was stored",
                self.name
            ));
            // --yes must not open the editor again for ever.
            if ctx.globals.yes || !ctx.ui.stdin_is_terminal() {
                return Err(error.hint("to store it all the same, add --no-check"));
            }
            ctx.ui.warn("the value was JSON, and the new text is not");
            if ctx.ui.confirm("Edit it again?").is_err() {
                return Err(error);
            }
        };
        drop(desk);
        if new.same_as(&old) {
            ctx.ui
                .status(&format!("{} is unchanged; no new version", self.name));
            return DONE;
        }
        let stamp = ctx.stamp()?;
        let mut tx = begin(ctx, &vault, "edit")?;
        let now = tx.record(&self.name)?;
        let version = NewVersion {
            name: &self.name,
            value: &new,
            labels: &[],
            description: None,
            tags: &[],
            stamp: &stamp,
        };
        let (record, _) = version.store(&vault, &mut tx)?;
        let short = stamp.id.short();
        commit(ctx, tx, &format!("edit {}: version {short}", self.name))?;
        if now.as_ref().and_then(|r| r.state.current()) != Some(current) {
            ctx.ui.warn(&format!(
                "{} got another version while you were editing; it is AWSPREVIOUS now",
                self.name
            ));
        }
        ctx.ui.status(&format!(
            "Stored a new version of {} as version {short}",
            self.name
        ));
        if ctx.ui.json() {
            ctx.ui.json_data(&stored(&record, &stamp.id))?;
        }
        DONE
    }
}

/// Whether a value is meant as JSON: an object or a list. A number alone may be a PIN.
fn is_json(bytes: &[u8]) -> bool {
    matches!(
        serde_json::from_slice(bytes),
        Ok(Value::Object(_) | Value::Array(_))
    )
}

/// One file in a directory in memory; dropping it removes both.
struct Desk {
    dir: MemoryDir,
    file: PathBuf,
}

impl Desk {
    fn make(ctx: &Context, json: bool) -> Result<Self, CommandError> {
        let dir = MemoryDir::make(ctx, "edit").map_err(|e| e.hint("use put instead"))?;
        let file = dir
            .path()
            .join(if json { "value.json" } else { "value.txt" });
        Ok(Self { dir, file })
    }

    fn write(&self, bytes: &[u8]) -> Result<(), CommandError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|e| unexpected(&self.file, &e))
    }

    /// What the editor left. Editors end a text with a line end; one that the old
    /// value did not have is taken off again.
    fn read(&self, old: &SecretValue) -> Result<SecretValue, CommandError> {
        let limit = SecretValue::MAX + 2;
        let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
        File::open(&self.file)
            .and_then(|file| {
                let limit = u64::try_from(limit).unwrap_or(u64::MAX);
                file.take(limit).read_to_end(&mut bytes)
            })
            .map_err(|e| unexpected(&self.file, &e))?;
        if bytes.ends_with(b"\n") && !old.expose_secret().ends_with(b"\n") {
            bytes.pop();
        }
        if bytes.len() > SecretValue::MAX {
            return Err(CommandError::usage(format!(
                "the value has more than {} bytes, the most AWS accepts; nothing was stored",
                SecretValue::MAX
            )));
        }
        Ok(SecretValue::string(bytes)?)
    }
}

fn unexpected(path: &Path, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}

/// The editor, as the environment names it: a command for the shell, as git has it.
struct Editor {
    command: OsString,
    arguments: &'static [&'static str],
}

impl Editor {
    fn of(ctx: &Context) -> Result<Self, CommandError> {
        let command = ctx.editor()?.unwrap_or_else(|| OsString::from("vi"));
        let text = command.to_string_lossy().into_owned();
        let mut words = text.split_whitespace();
        let program = words.next().map(Path::new).and_then(Path::file_name);
        let program = program.and_then(OsStr::to_str).unwrap_or("").to_owned();
        let flags: Vec<&str> = words.collect();
        let windowed = WINDOWED
            .iter()
            .find(|(names, _)| names.contains(&program.as_str()));
        if let Some((_, waits)) = windowed
            && !flags.iter().any(|flag| waits.contains(flag))
        {
            let wait = waits.first().copied().unwrap_or_default();
            return Err(CommandError::new(
                Exit::Unsupported,
                format!("{program} does not wait until the file is closed"),
            )
            .hint(format!("set EDITOR='{program} {wait}'")));
        }
        Ok(Self {
            arguments: quiet_arguments(&program),
            command,
        })
    }

    /// Runs it to its end. A signal to us ends it too, so that the file goes.
    fn run(&self, desk: &Desk) -> Result<(), CommandError> {
        let failed = |e: std::io::Error| {
            CommandError::new(
                Exit::Unexpected,
                format!("{}: {e}", self.command.to_string_lossy()),
            )
        };
        // Set first: no signal may end us while the file is there. Ctrl-C on the
        // terminal goes to the editor as well, and there it is a key like any other.
        let stop = Arc::new(AtomicBool::new(false));
        let interrupt = Arc::new(AtomicBool::new(false));
        for (signal, flag) in [(SIGTERM, &stop), (SIGHUP, &stop), (SIGINT, &interrupt)] {
            signal_hook::flag::register(signal, Arc::clone(flag)).map_err(failed)?;
        }
        let mut script = self.command.clone();
        script.push(" \"$@\"");
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(script)
            .arg("strongroom edit")
            .args(self.arguments)
            .arg(&desk.file)
            // What the editor puts beside the file is to be in memory too.
            .env("TMPDIR", desk.dir.path());
        for name in OWN_SECRETS {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(failed)?;
        let status = wait(&mut child, &stop).map_err(failed)?;
        match status {
            None => Err(CommandError::new(
                Exit::Aborted,
                "stopped by a signal; nothing was stored",
            )),
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(CommandError::new(
                Exit::Aborted,
                "the editor failed; nothing was stored",
            )
            .hint("name another one with EDITOR")),
        }
    }
}

/// Waits for the editor; `None` if a signal ended the wait.
fn wait(child: &mut Child, stop: &AtomicBool) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status).filter(|_| !stop.load(Ordering::Relaxed)));
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(TICK);
    }
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended in between, which is as good.
        let _asked = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        std::thread::sleep(TICK);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// What keeps an editor from writing copies of the text elsewhere: swap files,
/// backups, undo files, the registers of the last session.
fn quiet_arguments(program: &str) -> &'static [&'static str] {
    match program {
        // Debian's vi may be vim, whose options another vi does not know.
        "vi" if !is_vim(program) => &[],
        "vi" | "vim" | "nvim" | "gvim" | "mvim" | "view" | "vim.tiny" | "vim.basic" => &[
            "-n",
            "-i",
            "NONE",
            "--cmd",
            "set nobackup nowritebackup noswapfile noundofile nomodeline viewoptions= directory=",
        ],
        _ => &[],
    }
}

/// Whether the program of this name that would be run is vim or Neovim.
fn is_vim(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .find_map(|dir| Path::new(dir).join(program).canonicalize().ok())
        .and_then(|path| Some(path.file_name()?.to_str()?.contains("vim")))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_or_an_object_is_json_and_a_number_is_a_pin() {
        assert!(is_json(b"{\"a\": 1}"));
        assert!(is_json(b"[]\n"));
        assert!(!is_json(b"1234"));
        assert!(!is_json(b"\"a\""));
        assert!(!is_json(b"{\"a\": 1"));
    }

    #[test]
    fn every_vim_is_told_to_keep_nothing() {
        for vim in ["vim", "nvim", "gvim"] {
            assert!(quiet_arguments(vim).contains(&"-n"), "{vim}");
        }
        assert!(quiet_arguments("nano").is_empty());
    }
}

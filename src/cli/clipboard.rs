//! The clipboard, through the desktop's own tools, and its clearing after a while
//! (crypto.md section 6).
//!
//! A copy of this program waits in the background with a salted hash of the value, so
//! that it can tell whether the clipboard still holds it; the value itself stays with
//! the tool.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::context::{Context, OWN_SECRETS};
use super::error::CommandError;
use super::exit::Exit;

/// The most that is read back from a clipboard, in bytes.
const MAX: u64 = 1 << 20;
/// The hidden verb of the copy that waits.
pub(super) const CLEAR_VERB: &str = "clear-clipboard";

/// One desktop's tools: how to fill the clipboard from stdin, and how to print it.
struct Tool {
    copy: &'static [&'static str],
    paste: &'static [&'static str],
}

const WAYLAND: Tool = Tool {
    copy: &["wl-copy", "--sensitive"],
    paste: &["wl-paste", "--no-newline"],
};
const X11: [Tool; 2] = [
    Tool {
        copy: &["xclip", "-selection", "clipboard", "-in"],
        paste: &["xclip", "-selection", "clipboard", "-out"],
    },
    Tool {
        copy: &["xsel", "--clipboard", "--input"],
        paste: &["xsel", "--clipboard", "--output"],
    },
];
const MACOS: Tool = Tool {
    copy: &["pbcopy"],
    paste: &["pbpaste"],
};

/// Puts a value into the clipboard, and has it cleared after `after` unless something
/// else is in it by then.
pub(super) fn copy(ctx: &Context, value: &[u8], after: Duration) -> Result<(), CommandError> {
    let tool = find(ctx).ok_or_else(|| {
        CommandError::new(Exit::Unsupported, "no clipboard here")
            .hint("it takes wl-copy, xclip or xsel and a desktop session, or pbcopy; or write the value to a file with -o FILE")
    })?;
    feed(tool.copy, value)?;
    wait(value, after)
}

fn find(ctx: &Context) -> Option<Tool> {
    let has = |tool: &Tool| tool.copy.first().is_some_and(|name| ctx.has_program(name));
    if ctx.desktop.wayland && has(&WAYLAND) {
        return Some(WAYLAND);
    }
    if ctx.desktop.x11
        && let Some(tool) = X11.into_iter().find(has)
    {
        return Some(tool);
    }
    Some(MACOS).filter(has)
}

fn command(words: &[&str]) -> Result<Command, CommandError> {
    let Some((program, args)) = words.split_first() else {
        return Err(CommandError::new(Exit::Unexpected, "no clipboard tool"));
    };
    let mut command = Command::new(program);
    command.args(args).stderr(Stdio::null());
    for name in OWN_SECRETS {
        command.env_remove(name);
    }
    Ok(command)
}

fn feed(words: &[&str], value: &[u8]) -> Result<(), CommandError> {
    let failed = |what: String| {
        let tool = words.first().copied().unwrap_or_default();
        CommandError::new(Exit::Unexpected, format!("{tool}: {what}"))
    };
    let mut child = command(words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(value).map_err(|e| failed(e.to_string()))?;
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(status.to_string())),
    }
}

/// Starts the copy of this program that waits. What it needs goes through a pipe.
fn wait(value: &[u8], after: Duration) -> Result<(), CommandError> {
    let failed = |e: std::io::Error| {
        CommandError::from_error(Exit::Unexpected, e)
            .hint("the value is in the clipboard and will not be cleared from it")
    };
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
    let me = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(me)
        .args([CLEAR_VERB, "--after", &after.as_secs().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .env_remove(OWN_SECRETS[0])
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&salt).map_err(failed)?;
        stdin.write_all(&hash(&salt, value)).map_err(failed)?;
    }
    // It outlives this process on purpose.
    Ok(())
}

/// The waiting copy: sleeps, then clears the clipboard if it still holds the value
/// whose salted hash came on stdin.
pub(super) fn clear_later(ctx: &Context, after: Duration) -> Result<(), CommandError> {
    let mut told = Vec::with_capacity(64);
    std::io::stdin()
        .take(64)
        .read_to_end(&mut told)
        .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
    let Some((salt, expected)) = told.split_first_chunk::<32>() else {
        return Err(CommandError::usage("this verb is strongroom's own"));
    };
    // The terminal may close before the time is up. Failing means only that it would
    // end this process too.
    let _session = rustix::process::setsid();
    std::thread::sleep(after);
    let Some(tool) = find(ctx) else {
        return Ok(());
    };
    let mut child = command(tool.paste)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
    let mut there = Zeroizing::new(Vec::new());
    if let Some(out) = child.stdout.take() {
        drop(out.take(MAX).read_to_end(&mut there));
    }
    drop(child.wait());
    if subtle::ConstantTimeEq::ct_eq(hash(salt, &there).as_slice(), expected).into() {
        feed(tool.copy, b"")?;
    }
    Ok(())
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes a key of any length (RFC 2104 section 2)"
)]
fn hash(salt: &[u8; 32], value: &[u8]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(salt).expect("HMAC takes a key of any length");
    hmac.update(value);
    hmac.finalize().into_bytes().into()
}

/// Which desktop session there is, as the environment says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Desktop {
    /// WAYLAND_DISPLAY is set.
    pub wayland: bool,
    /// DISPLAY is set.
    pub x11: bool,
}

impl Context {
    /// Whether a program of this name is on the search path.
    fn has_program(&self, name: &str) -> bool {
        let path: OsString = self.search_path.clone().unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
    }
}

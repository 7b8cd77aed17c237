//! Values on their way in: from a file, from stdin, from a prompt. Never from the
//! command line, where the process list and the shell's history would have them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use crate::model::{Kind, SecretValue};

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// A file.
    File(&'a Path),
    /// Standard input, or a prompt where that is a terminal.
    Stdin,
}

/// Reads a value. Bytes are taken as they are; only what is typed at a prompt has no
/// line end to take.
pub(super) fn value(
    ctx: &Context,
    source: Source<'_>,
    kind: Kind,
    prompt: &str,
) -> Result<SecretValue, CommandError> {
    let bytes = match source {
        Source::File(path) => {
            let file = File::open(path).map_err(|e| {
                CommandError::new(Exit::NotFound, format!("{}: {e}", path.display()))
            })?;
            read(file, &path.display().to_string())?
        }
        Source::Stdin if ctx.ui.stdin_is_terminal() => {
            let text = ctx.ui.hidden(prompt)?;
            Zeroizing::new(text.as_bytes().to_vec())
        }
        Source::Stdin => read(io::stdin().lock(), "stdin")?,
    };
    Ok(SecretValue::new_of(kind, bytes)?)
}

fn read(from: impl Read, what: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    // One byte more than allowed tells too much from just enough; the buffer never
    // grows, so no copy of the value is left behind by a reallocation.
    let limit = SecretValue::MAX + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    from.take(u64::try_from(limit).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|e| CommandError::new(Exit::Unexpected, format!("{what}: {e}")))?;
    if bytes.len() == limit {
        return Err(CommandError::usage(format!(
            "{what}: the value has more than {} bytes, the most AWS accepts",
            SecretValue::MAX
        )));
    }
    Ok(bytes)
}

//! The bundle: one encrypted file that carries secrets over an air gap (crypto.md
//! section 7; book, formats/bundle).
//!
//! A stream of frames without paths, modes or compression inside an age file. What is
//! inside the frames is the vault's business; this room knows lengths, order, totals
//! and the trailer. Nothing that was read is given out before the trailer is proved.

mod error;
mod frame;
mod have;
mod header;
mod outer;
mod read;
mod stage;
mod target;
#[cfg(test)]
mod tests;
mod write;

pub use error::BundleError;
pub use frame::{MAX_BYTES, MAX_FRAME, MAX_FRAMES};
pub use have::{Have, HaveError, MAX_HAVE, Mark};
pub use header::{Counts, Header, HeaderError, Holder, Seen};
pub use outer::{Key, Lock, is_under_passphrase};
pub use read::{Bundle, Foundation, Span, Unproved, read};
pub use stage::Stage;
pub use target::Target;
pub use write::Writer;

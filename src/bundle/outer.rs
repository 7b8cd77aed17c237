//! The envelope: an age file for the receiver's keys, or for a key that is sealed under
//! a passphrase at the file's beginning. age's own passphrases are not used: their cost
//! is read from the file without a bound on memory (crypto.md sections 2, 3 and 7).

use std::io::{Chain, Cursor, Read, Write};
use std::path::Path;

use super::error::{BundleError, reading};
use crate::crypto::{
    Argon2Cost, EncryptError, Hosted, Identity, Member, OpenError, OpenStream, Passphrase,
    SealStream, SealedIdentity, StreamError, open_stream, seal_stream,
};
use crate::model::Timestamp;

/// The first line of a bundle under a passphrase.
const FIRST: &[u8] = b"strongroom-bundle-passphrase/1\n";
const FAMILY: &[u8] = b"strongroom-bundle-passphrase/";
/// The most bytes between the first line and the age file: a sealed identity.
const MAX_SEALED: usize = 4096;

/// What a bundle is encrypted for.
pub enum Lock<'a> {
    /// The receivers' keys.
    To(&'a [Hosted]),
    /// A passphrase that both sides know.
    Passphrase {
        /// The passphrase.
        passphrase: &'a Passphrase,
        /// What one guess costs.
        cost: Argon2Cost,
        /// Now.
        now: Timestamp,
    },
}

/// What opens a bundle.
pub enum Key<'a> {
    /// One of the keys it is encrypted to.
    Identity(&'a dyn Member),
    /// Its passphrase.
    Passphrase(&'a Passphrase),
}

/// Whether a bundle that begins with these bytes is under a passphrase.
pub fn is_under_passphrase(beginning: &[u8]) -> bool {
    beginning.starts_with(FAMILY)
}

/// What is inside an envelope, decrypted as it is read: what was read of the file to find
/// out its form comes first.
pub(super) type Plain<R> = OpenStream<Chain<Cursor<Vec<u8>>, R>>;

/// Begins the envelope.
pub(super) fn seal<W: Write>(
    lock: &Lock<'_>,
    mut out: W,
    path: &Path,
) -> Result<SealStream<W>, BundleError> {
    let writing = |source| BundleError::Io {
        path: path.to_owned(),
        operation: "write",
        source,
    };
    let begun = match lock {
        Lock::To(recipients) => seal_stream(recipients, out),
        Lock::Passphrase {
            passphrase,
            cost,
            now,
        } => {
            let key = Identity::generate();
            let sealed = SealedIdentity::seal(&key, passphrase, *cost, *now)?;
            let head = [FIRST, sealed.as_str().as_bytes(), b"\n"].concat();
            out.write_all(&head).map_err(writing)?;
            seal_stream(&[key.recipient()], out)
        }
    };
    begun.map_err(|error| match error {
        StreamError::Encrypt(EncryptError::Plugin(error)) => error.into(),
        StreamError::Encrypt(error) => error.into(),
        StreamError::Io(source) => writing(source),
        StreamError::Open(_) => BundleError::Damaged,
    })
}

/// Opens the envelope.
pub(super) fn open<R: Read>(
    mut input: R,
    key: &Key<'_>,
    path: &Path,
) -> Result<Plain<R>, BundleError> {
    let limit = FIRST.len() + MAX_SEALED + 1;
    let mut head = Vec::with_capacity(limit);
    let wanted = u64::try_from(limit).unwrap_or(u64::MAX);
    input
        .by_ref()
        .take(wanted)
        .read_to_end(&mut head)
        .map_err(|e| reading(path, e))?;
    let identity;
    let (key, rest) = match key {
        Key::Identity(_) if is_under_passphrase(&head) => return Err(BundleError::ForSomeoneElse),
        Key::Identity(identity) => (*identity, head),
        Key::Passphrase(passphrase) => {
            let (sealed, rest) = split(&head)?;
            let sealed = SealedIdentity::parse(sealed)?;
            identity = sealed.open(passphrase)?;
            (&identity as &dyn Member, rest.to_vec())
        }
    };
    let chained = Cursor::new(rest).chain(input);
    open_stream(chained, key).map_err(|error| match error {
        StreamError::Open(OpenError::NoIdentityMatches) => BundleError::ForSomeoneElse,
        StreamError::Open(OpenError::Plugin(error)) => error.into(),
        StreamError::Open(OpenError::Damaged) => BundleError::Damaged,
        StreamError::Open(OpenError::HeaderBomb) => BundleError::HeaderBomb,
        StreamError::Open(error) => BundleError::NotABundle(error),
        StreamError::Encrypt(error) => error.into(),
        StreamError::Io(error) => reading(path, error),
    })
}

/// The sealed identity at a file's beginning, and what follows its empty line.
fn split(head: &[u8]) -> Result<(&[u8], &[u8]), BundleError> {
    let Some(body) = head.strip_prefix(FIRST) else {
        let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
        let newer = line
            .strip_prefix(FAMILY)
            .filter(|n| !n.is_empty() && n.len() < 20 && n.iter().all(u8::is_ascii_digit));
        return Err(match newer {
            Some(n) => BundleError::NewerFormat(String::from_utf8_lossy(n).into_owned()),
            None => BundleError::NotABundle(OpenError::NotAge),
        });
    };
    let end = body.windows(2).position(|two| two == b"\n\n");
    let end = end.ok_or(BundleError::Damaged)? + 1;
    let (sealed, rest) = body.split_at(end);
    Ok((sealed, rest.get(1..).unwrap_or_default()))
}

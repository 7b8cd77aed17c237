//! age v1 files of any length, written and read as a stream (C2SP age, STREAM).
//!
//! Must never happen: age's parser sees a header that was not scanned first (it is
//! quadratic; crypto.md section 2). What has come out of a stream that then fails is
//! genuine as far as it goes, and must not be acted on.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Write};

use super::envelope;
use super::error::{EncryptError, OpenError};
use super::member::{HasMemberKey, Member};

/// The largest header of a stream, in bytes: reading a hostile one takes age about a
/// millisecond.
const MAX_HEADER: usize = 8 * 1024;
/// The most recipients of a stream; they fit the header.
pub const MAX_READERS: usize = 64;

/// Why a stream could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The file is not one that these keys open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing was encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The system could not read or write it.
    #[error("cannot read or write")]
    Io(#[from] io::Error),
}

/// Encrypts what is written to it. Without [`SealStream::finish`] the file is cut short,
/// and no reader accepts it.
pub struct SealStream<W: Write>(age::stream::StreamWriter<W>);

impl<W: Write> Write for SealStream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> SealStream<W> {
    /// Writes the last chunk and gives the file back.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

/// Begins a file for these recipients, at most [`MAX_READERS`].
pub fn seal_stream<W: Write>(
    to: &[impl HasMemberKey],
    out: W,
) -> Result<SealStream<W>, StreamError> {
    if to.is_empty() {
        return Err(EncryptError::NoRecipients.into());
    }
    if to.len() > MAX_READERS {
        return Err(EncryptError::TooManyReaders(to.len()).into());
    }
    let to = super::plugin::recipients(to)?;
    let to = to.iter().map(AsRef::as_ref);
    let encryptor = age::Encryptor::with_recipients(to).map_err(|e| envelope::refused(&e))?;
    Ok(SealStream(encryptor.wrap_output(out)?))
}

/// Decrypts as it is read. An error of kind `InvalidData` says that the file was altered
/// or cut, `UnexpectedEof` that it certainly was cut; others are the system's.
pub struct OpenStream<R: Read>(age::stream::StreamReader<Source<R>>);

type Source<R> = Chain<Cursor<Vec<u8>>, BufReader<R>>;

impl<R: Read> Read for OpenStream<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

/// Opens a file with an identity. Its header has at most 8 KiB, and no passphrase.
pub fn open_stream<R: Read>(input: R, identity: &dyn Member) -> Result<OpenStream<R>, StreamError> {
    let mut input = BufReader::new(input);
    let limit = u64::try_from(MAX_HEADER).unwrap_or(u64::MAX);
    let mut head = Vec::with_capacity(MAX_HEADER);
    input.by_ref().take(limit).read_to_end(&mut head)?;
    let goes_on = !input.fill_buf()?.is_empty();
    envelope::scan_head(&head, goes_on)?;
    let source = Cursor::new(head).chain(input);
    let decryptor = age::Decryptor::new_buffered(source).map_err(|e| envelope::refusal(&e))?;
    let keys = std::iter::once(identity.as_age_identity());
    let reader = decryptor.decrypt(keys).map_err(|e| envelope::refusal(&e))?;
    Ok(OpenStream(reader))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::crypto::{Identity, Recipient};

    fn sealed(plain: &[u8], to: &[Recipient]) -> Vec<u8> {
        let mut out = seal_stream(to, Vec::new()).unwrap();
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    }

    fn opened(file: &[u8], identity: &Identity) -> Result<Vec<u8>, io::ErrorKind> {
        let mut plain = Vec::new();
        let mut reader = open_stream(file, identity).map_err(|_| io::ErrorKind::Other)?;
        reader.read_to_end(&mut plain).map_err(|e| e.kind())?;
        Ok(plain)
    }

    #[test]
    fn what_is_written_comes_back_for_each_reader() {
        let keys: Vec<Identity> = (0..MAX_READERS).map(|_| Identity::generate()).collect();
        let to: Vec<Recipient> = keys.iter().map(Identity::recipient).collect();
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let file = sealed(&plain, &to);
            for key in [&keys[0], &keys[MAX_READERS - 1]] {
                assert_eq!(opened(&file, key), Ok(plain.clone()), "{length}");
            }
        }
        assert!(matches!(
            open_stream(sealed(b"x", &to).as_slice(), &Identity::generate()),
            Err(StreamError::Open(OpenError::NoIdentityMatches))
        ));
        let crowd = vec![to[0].clone(); MAX_READERS + 1];
        assert!(matches!(
            seal_stream(&crowd, Vec::new()),
            Err(StreamError::Encrypt(EncryptError::TooManyReaders(65)))
        ));
    }

    #[test]
    fn a_cut_or_altered_stream_is_an_error() {
        let key = Identity::generate();
        let file = sealed(&vec![7; 150_000], &[key.recipient()]);
        let header = file.len() - 150_000 - 3 * 16;
        assert_eq!(
            opened(&file[..header + 2 * 65_552], &key),
            Err(io::ErrorKind::UnexpectedEof)
        );
        for cut in [file.len() - 1, file.len() - 40_000, header + 100] {
            assert_eq!(
                opened(&file[..cut], &key),
                Err(io::ErrorKind::InvalidData),
                "{cut}"
            );
        }
        for at in [header + 5, header + 70_000, file.len() - 1] {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert_eq!(opened(&bad, &key), Err(io::ErrorKind::InvalidData), "{at}");
        }
        let longer = [file.as_slice(), b"x"].concat();
        assert!(opened(&longer, &key).is_err());
    }

    #[test]
    fn crypto_9_a_header_bomb_is_refused_in_under_10_ms() {
        let stanza = format!("-> X25519 {}\n{}\n", "A".repeat(43), "A".repeat(43));
        let bomb = format!(
            "age-encryption.org/v1\n{}--- {}\n",
            stanza.repeat(20_000),
            "A".repeat(43)
        );
        let key = Identity::generate();
        let took = (0..20).map(|_| {
            let started = Instant::now();
            let refused = open_stream(bomb.as_bytes(), &key);
            assert!(matches!(
                refused.err(),
                Some(StreamError::Open(OpenError::HeaderBomb))
            ));
            started.elapsed()
        });
        assert!(took.min().unwrap() < Duration::from_millis(10));
        let scrypt = b"age-encryption.org/v1\n-> scrypt AAAA 18\nAAAA\n--- AAAA\n";
        assert!(matches!(
            open_stream(scrypt.as_slice(), &key).err(),
            Some(StreamError::Open(OpenError::PassphraseFile))
        ));
    }
}

//! A member's identity under a passphrase (crypto.md section 3; book,
//! formats/identity): Argon2id (RFC 9106), then XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha) with the whole header as associated data.
//!
//! Must never happen: memory is asked for before the parameters are checked, the
//! cipher is tried before the check value has matched, or Argon2's memory is given
//! back unwiped.

use age::secrecy::ExposeSecret;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cost::{Argon2Cost, CostError};
use super::identity::{Identity, Recipient};
use super::passphrase::Passphrase;
use super::random::{self, RandomError};
use crate::model::Timestamp;

const FIRST: &str = "strongroom-identity/1";
const FAMILY: &str = "strongroom-identity/";
const COLUMNS: usize = 64;
const TAG: usize = 16;
/// The largest file that is looked at, in bytes; a written one has about 500.
const MAX_FILE: usize = 4096;

/// An age identity under a passphrase: the member's identity file, read and checked
/// but not opened.
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(strongroom::crypto::SealedIdentity::parse(b"").unwrap());
/// ```
pub struct SealedIdentity {
    text: String,
    /// Length of the header with its last line, `---`: the associated data.
    header: usize,
    cost: Argon2Cost,
    salt: Vec<u8>,
    check: [u8; 32],
    nonce: [u8; 24],
    public: Recipient,
    created: Timestamp,
    /// Ciphertext and tag.
    sealed: Vec<u8>,
}

/// The rule of the identity format that a file breaks (book, formats/identity).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedIdentityError {
    /// Over 4 KiB.
    #[error("the identity file is larger than any strongroom writes")]
    TooLarge,
    /// The first line is not `strongroom-identity/1`; perhaps a plain identity file.
    #[error("not a sealed identity (strongroom-identity/1)")]
    NotSealed,
    /// The first line names another format version.
    #[error("the identity file needs a newer strongroom")]
    NewerFormat,
    /// A header line is absent, out of order or not spelt as the format says.
    #[error("line `{0}` of the identity file is absent or malformed")]
    Line(&'static str),
    /// Parameters that would cost more, or protect less, than is ever accepted.
    #[error("the identity file's cost is refused")]
    Cost(#[from] CostError),
    /// A salt outside 16 to 32 bytes.
    #[error("the identity file's salt has {0} bytes; 16 to 32 are accepted")]
    Salt(usize),
    /// What follows `---` is not base64 in lines of 64.
    #[error("the identity file's body is not base64 in lines of 64")]
    Body,
}

/// Why an identity was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A passphrase without characters.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// A cost below 64 MiB or 3 passes.
    #[error("the cost {0} is below 64 MiB and 3 passes; such a file is never written")]
    Weak(Argon2Cost),
    /// A time outside the years RFC 3339 can write.
    #[error("the time of creation cannot be written as RFC 3339")]
    Created,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Argon2's memory is not to be had.
    #[error("there are not {0} KiB of memory for argon2")]
    Memory(u32),
    /// The cipher refused; it has no reason to with 74 bytes.
    #[error("the cipher refused to encrypt")]
    Refused,
}

/// Why a sealed identity was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// The check value differs: another passphrase, or its own lines were altered.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The passphrase is right, and the rest of the file was altered.
    #[error("the identity file is damaged: the passphrase is right, its content was altered")]
    Damaged,
    /// Argon2's memory is not to be had.
    #[error("there are not {0} KiB of memory for argon2")]
    Memory(u32),
}

impl SealedIdentity {
    /// Seals an identity under a passphrase, with a fresh salt and nonce.
    ///
    /// Takes as long as the cost says, about a second by default, and fails when the
    /// passphrase is empty or the cost weak.
    pub fn seal(
        identity: &Identity,
        passphrase: &Passphrase,
        cost: Argon2Cost,
        created: Timestamp,
    ) -> Result<Self, SealError> {
        if passphrase.is_empty() {
            return Err(SealError::EmptyPassphrase);
        }
        if cost.is_weak() {
            return Err(SealError::Weak(cost));
        }
        if created.to_string().parse() != Ok(created) {
            return Err(SealError::Created);
        }
        seal_with(
            identity,
            passphrase,
            cost,
            created,
            random::bytes()?,
            random::bytes()?,
        )
    }

    /// Reads a sealed identity: exact order and spelling, every bound checked, no
    /// work done yet.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealedIdentityError> {
        if bytes.len() > MAX_FILE {
            return Err(SealedIdentityError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SealedIdentityError::NotSealed)?;
        let mut lines = Lines(text);
        match lines.next() {
            Some(FIRST) => {}
            Some(line) if is_other_version(line) => return Err(SealedIdentityError::NewerFormat),
            _ => return Err(SealedIdentityError::NotSealed),
        }
        let kdf = lines.after("kdf: argon2id v=19 ");
        let (cost, salt) = parse_kdf(kdf.ok_or(SealedIdentityError::Line("kdf"))?)?;
        let check = lines.after("kcv: ").and_then(base64);
        let check = check.ok_or(SealedIdentityError::Line("kcv"))?;
        let nonce = lines
            .after("aead: xchacha20poly1305 nonce=")
            .and_then(base64);
        let nonce = nonce.ok_or(SealedIdentityError::Line("aead"))?;
        let public = lines.after("public: ").and_then(|t| t.parse().ok());
        let public = public.ok_or(SealedIdentityError::Line("public"))?;
        let created = lines.after("created: ").and_then(|text| {
            let time: Timestamp = text.parse().ok()?;
            (time.to_string() == text).then_some(time)
        });
        let created = created.ok_or(SealedIdentityError::Line("created"))?;
        if lines.next() != Some("---") {
            return Err(SealedIdentityError::Line("---"));
        }
        let sealed = parse_body(lines.0).ok_or(SealedIdentityError::Body)?;
        Ok(Self {
            text: text.to_owned(),
            header: text.len() - lines.0.len(),
            cost,
            salt,
            check,
            nonce,
            public,
            created,
            sealed,
        })
    }

    /// Whether a file begins as a sealed identity does, of this or another version.
    pub fn is_sealed(bytes: &[u8]) -> bool {
        bytes.starts_with(FAMILY.as_bytes())
    }

    /// Opens the identity. Takes as long as the cost says.
    pub fn open(&self, passphrase: &Passphrase) -> Result<Identity, UnsealError> {
        let keys = stretch(passphrase, &self.salt, self.cost)
            .ok_or(UnsealError::Memory(self.cost.memory_kib()))?;
        if !bool::from(keys.check().ct_eq(&self.check)) {
            return Err(UnsealError::WrongPassphrase);
        }
        let split = self.sealed.len().checked_sub(TAG);
        let (body, tag) = split
            .and_then(|at| self.sealed.split_at_checked(at))
            .ok_or(UnsealError::Damaged)?;
        let tag = tag.try_into().map_err(|_| UnsealError::Damaged)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let header = self.text.as_bytes().get(..self.header);
        keys.cipher()
            .decrypt_inout_detached(
                &self.nonce.into(),
                header.ok_or(UnsealError::Damaged)?,
                plain.as_mut_slice().into(),
                tag,
            )
            .map_err(|_| UnsealError::Damaged)?;
        let text = std::str::from_utf8(&plain).map_err(|_| UnsealError::Damaged)?;
        let identity: Identity = text.parse().map_err(|_| UnsealError::Damaged)?;
        if identity.recipient() == self.public {
            Ok(identity)
        } else {
            Err(UnsealError::Damaged)
        }
    }

    /// The file's text, ASCII, to be written to disk.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The public key it says it holds. Believed only once [`Self::open`] succeeds.
    pub fn public(&self) -> &Recipient {
        &self.public
    }

    /// When it was sealed.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// What opening it costs; [`Argon2Cost::is_weak`] is worth a warning.
    pub fn cost(&self) -> Argon2Cost {
        self.cost
    }
}

fn seal_with(
    identity: &Identity,
    passphrase: &Passphrase,
    cost: Argon2Cost,
    created: Timestamp,
    salt: [u8; 16],
    nonce: [u8; 24],
) -> Result<SealedIdentity, SealError> {
    let keys = stretch(passphrase, &salt, cost).ok_or(SealError::Memory(cost.memory_kib()))?;
    let public = identity.recipient();
    let b64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let mut text = format!(
        "{FIRST}\nkdf: argon2id v=19 {cost} salt={}\nkcv: {}\naead: xchacha20poly1305 nonce={}\npublic: {public}\ncreated: {created}\n---\n",
        b64(&salt),
        b64(keys.check()),
        b64(&nonce),
    );
    let header = text.len();

    let canonical = identity.canonical();
    let canonical = canonical.expose_secret().as_bytes();
    let mut buffer = Zeroizing::new(Vec::with_capacity(canonical.len() + TAG));
    buffer.extend_from_slice(canonical);
    let tag = keys
        .cipher()
        .encrypt_inout_detached(&nonce.into(), text.as_bytes(), buffer.as_mut_slice().into())
        .map_err(|_| SealError::Refused)?;
    buffer.extend_from_slice(&tag);
    let sealed = buffer.to_vec();

    for (at, c) in b64(&sealed).chars().enumerate() {
        if at > 0 && at % COLUMNS == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push('\n');
    Ok(SealedIdentity {
        text,
        header,
        cost,
        salt: salt.to_vec(),
        check: *keys.check(),
        nonce,
        public,
        created,
        sealed,
    })
}

/// What Argon2 makes of a passphrase: the cipher's key and the check value.
struct Stretched {
    key: Zeroizing<[u8; 32]>,
    check: Zeroizing<[u8; 32]>,
}

impl Stretched {
    fn check(&self) -> &[u8; 32] {
        &self.check
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

/// Stretches a passphrase; nothing when the memory is not to be had.
fn stretch(passphrase: &Passphrase, salt: &[u8], cost: Argon2Cost) -> Option<Stretched> {
    let params = Params::new(cost.memory_kib(), cost.passes(), cost.lanes(), Some(64)).ok()?;
    // argon2 does not wipe memory of its own (crypto.md section 3), hence this.
    let count = params.block_count();
    let mut memory: Zeroizing<Vec<Block>> = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(count).ok()?;
    memory.resize(count, Block::new());
    let mut out = Zeroizing::new([0; 64]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.expose_secret(),
            salt,
            &mut *out,
            memory.as_mut_slice(),
        )
        .ok()?;
    let mut keys = Stretched {
        key: Zeroizing::new([0; 32]),
        check: Zeroizing::new([0; 32]),
    };
    let (key, check) = out.split_at(32);
    keys.key.copy_from_slice(key);
    keys.check.copy_from_slice(check);
    Some(keys)
}

/// Reads `m=.. t=.. p=.. salt=..`.
fn parse_kdf(text: &str) -> Result<(Argon2Cost, Vec<u8>), SealedIdentityError> {
    let malformed = SealedIdentityError::Line("kdf");
    let mut words = text.split(' ');
    let mut word = |prefix: &str| words.next().and_then(|word| word.strip_prefix(prefix));
    let memory = word("m=").and_then(number).ok_or(malformed)?;
    let passes = word("t=").and_then(number).ok_or(malformed)?;
    let lanes = word("p=").and_then(number).ok_or(malformed)?;
    let salt = word("salt=").ok_or(malformed)?;
    if words.next().is_some() {
        return Err(malformed);
    }
    let salt = data_encoding::BASE64.decode(salt.as_bytes());
    let salt = salt.map_err(|_| malformed)?;
    let cost = Argon2Cost::new(memory, passes, lanes)?;
    if !(16..=32).contains(&salt.len()) {
        return Err(SealedIdentityError::Salt(salt.len()));
    }
    Ok((cost, salt))
}

/// Reads the base64 after the header: full lines of 64, then one of 1 to 64.
fn parse_body(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('\n')?;
    let mut joined = String::with_capacity(text.len());
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let full = line.len() == COLUMNS;
        let last = lines.peek().is_none() && (1..=COLUMNS).contains(&line.len());
        if !(full || last) {
            return None;
        }
        joined.push_str(line);
    }
    data_encoding::BASE64.decode(joined.as_bytes()).ok()
}

/// Reads a decimal number in its one spelling.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

fn is_other_version(line: &str) -> bool {
    line.strip_prefix(FAMILY)
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The header's lines, from the front.
struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        self.0 = rest;
        Some(line)
    }

    fn after(&mut self, prefix: &str) -> Option<&'a str> {
        self.next()?.strip_prefix(prefix)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;

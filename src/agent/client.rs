use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::error::ClientError;
use super::protocol::{
    HEAD, LONGEST, MAX, MOST, Malformed, Reply, Request, Status, receive, seat, send,
};
use super::socket::{Peer, check, directory};
use super::ttl::Lifetime;
use crate::crypto::{
    Commitment, Domain, HiddenName, Identity, KeyHolder, KeyringKeys, KeysError, Mac, OpenError,
    Placed, Recipient, Revealed, encrypt_keyring,
};
use crate::model::{Digest, SecretName, SecretValue, Timestamp};

/// How long the agent may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many connections one client has at most, for as many threads.
const CONNECTIONS: usize = 4;

/// A client of the running agent. It can be shared between threads and copied.
#[derive(Clone)]
pub struct Client(Arc<Pool>);

struct Pool {
    path: PathBuf,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<UnixStream>,
    open: usize,
}

/// A connection in use; its place is free again when it is dropped.
struct Line<'p> {
    pool: &'p Pool,
    stream: Option<UnixStream>,
    /// Whether it was used before, so that the agent may have closed it meanwhile.
    is_old: bool,
}

impl Client {
    /// The agent that listens at `path`; `None` if there is none. A socket in a
    /// directory that is not ours alone is refused, and so is an agent of another
    /// user's.
    pub fn connect(path: &Path) -> Result<Option<Self>, ClientError> {
        if !check(directory(path)?)? {
            return Ok(None);
        }
        let pool = Pool {
            path: path.to_owned(),
            state: Mutex::default(),
            freed: Condvar::new(),
        };
        match pool.connect() {
            Ok(stream) => {
                let state = State {
                    idle: vec![stream],
                    open: 1,
                };
                let state = Mutex::new(state);
                Ok(Some(Self(Arc::new(Pool { state, ..pool }))))
            }
            Err(ClientError::Io { source, .. }) if is_nobody(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the agent holds.
    pub fn status(&self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the agent forget every key and end. Its socket is gone when this returns.
    pub fn lock(&self) -> Result<(), ClientError> {
        done(&self.ask(&Request::Lock)?)
    }

    /// Hands the agent a keyring to hold; `vault` is the vault's UUID text. It travels
    /// encrypted to a key that the agent made for this.
    pub fn hold(
        &self,
        vault: &str,
        keyring: &Identity,
        lifetime: Lifetime,
    ) -> Result<(), ClientError> {
        let to: Recipient = match self.ask(&Request::Introduce)? {
            Reply::Introduced { recipient } => {
                recipient.parse().map_err(|_| ClientError::NoAnswer)?
            }
            other => return Err(unexpected(&other)),
        };
        let sealed = encrypt_keyring(keyring, Timestamp::from_secs(0), &[to])?;
        done(&self.ask(&Request::Hold {
            vault,
            lifetime,
            keyring: sealed.as_bytes(),
        })?)
    }

    /// The keys of a vault, which stay with the agent; `None` if it does not hold them.
    pub fn keys(&self, vault: &str) -> Result<Option<KeyringKeys>, ClientError> {
        match self.ask(&Request::Attach { vault }) {
            Ok(Reply::Attached {
                recipient,
                commitment,
            }) => Ok(Some(KeyringKeys::held(Box::new(Held {
                client: self.clone(),
                vault: vault.to_owned(),
                recipient: recipient.parse().map_err(|_| ClientError::NoAnswer)?,
                commitment: commitment.parse().map_err(|_| ClientError::NoAnswer)?,
            })))),
            Ok(other) => Err(unexpected(&other)),
            Err(ClientError::Locked) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same with another keyring of the vault than the default one.
    pub fn hold_named(
        &self,
        vault: &str,
        name: &str,
        keyring: &Identity,
        lifetime: Lifetime,
    ) -> Result<(), ClientError> {
        self.hold(&seat(vault, name), keyring, lifetime)
    }

    /// The keys of another keyring of a vault than the default one; `None` if the agent
    /// does not hold them.
    pub fn keys_named(&self, vault: &str, name: &str) -> Result<Option<KeyringKeys>, ClientError> {
        self.keys(&seat(vault, name))
    }

    /// A connection on which the agent says when it locks the vault.
    pub fn watch_lock(&self, vault: &str) -> Result<LockWatch, ClientError> {
        let stream = self.0.connect()?;
        let watch = Request::Watch { vault };
        done(&self.0.converse(&stream, &watch.frame())?)?;
        Ok(LockWatch(stream))
    }

    /// Asks, and asks again where an old connection turns out to be closed.
    fn ask(&self, request: &Request<'_>) -> Result<Reply, ClientError> {
        let mut last = self.ask_all(&[request.frame()])?;
        last.pop().ok_or(ClientError::NoAnswer)
    }

    /// Asks for several things on one connection.
    fn ask_all(&self, frames: &[Zeroizing<Vec<u8>>]) -> Result<Vec<Reply>, ClientError> {
        loop {
            let mut line = self.0.line()?;
            let Some(stream) = line.stream.as_ref() else {
                return Err(ClientError::NoAnswer);
            };
            let replies = frames.iter().map(|frame| self.0.converse(stream, frame));
            match replies.collect::<Result<Vec<_>, _>>() {
                Err(ClientError::Io { .. }) if line.is_old => line.stream = None,
                Err(error @ ClientError::Locked) => return Err(error),
                Err(error) => {
                    line.stream = None;
                    return Err(error);
                }
                Ok(replies) => return Ok(replies),
            }
        }
    }
}

impl Pool {
    fn connect(&self) -> Result<UnixStream, ClientError> {
        let fail = |source| self.fail(source);
        let stream = UnixStream::connect(&self.path).map_err(fail)?;
        let peer = Peer::of(&stream).map_err(fail)?;
        if !peer.is_us() {
            return Err(ClientError::Foreign {
                path: self.path.clone(),
                owner: peer.uid,
            });
        }
        stream.set_write_timeout(Some(PATIENCE)).map_err(fail)?;
        Ok(stream)
    }

    fn fail(&self, source: io::Error) -> ClientError {
        ClientError::Io {
            path: self.path.clone(),
            source,
        }
    }

    /// A connection nobody else uses; waits if all are in use.
    fn line(&self) -> Result<Line<'_>, ClientError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.idle.is_empty() && state.open >= CONNECTIONS {
            let woken = self.freed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let stream = state.idle.pop();
        let is_old = stream.is_some();
        if !is_old {
            state.open += 1;
        }
        drop(state);
        let mut line = Line {
            pool: self,
            stream,
            is_old,
        };
        if !is_old {
            line.stream = Some(self.connect()?);
        }
        Ok(line)
    }

    fn converse(&self, stream: &UnixStream, frame: &[u8]) -> Result<Reply, ClientError> {
        send(stream, frame).map_err(|e| self.fail(e))?;
        let answer = receive(stream, PATIENCE).map_err(|e| self.fail(e))?;
        let Some(answer) = answer else {
            return Err(self.fail(io::ErrorKind::UnexpectedEof.into()));
        };
        match Reply::parse(&answer) {
            Ok(Reply::Locked) => Err(ClientError::Locked),
            Ok(reply) => Ok(reply),
            Err(Malformed { version: 1 }) => Err(ClientError::NoAnswer),
            Err(Malformed { .. }) => Err(ClientError::OtherVersion),
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let state = self.pool.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        match self.stream.take() {
            Some(stream) => state.idle.push(stream),
            None => state.open = state.open.saturating_sub(1),
        }
        self.pool.freed.notify_one();
    }
}

/// Tells when the agent locks a vault, or ends.
pub struct LockWatch(UnixStream);

impl LockWatch {
    /// Waits until it is locked.
    pub fn wait(self) {
        while !self.wait_for(Duration::from_secs(3600)) {}
    }

    /// Waits until it is locked, for at most that long, and says whether it is.
    pub fn wait_for(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // The agent says nothing more on this connection; it closes it.
            match receive(&self.0, left) {
                Ok(None) => return true,
                Ok(Some(_)) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {}
                    _ => return true,
                },
            }
        }
    }
}

/// What a batch of texts has at most, in bytes: its answer has to fit a frame, too, and
/// a text grows by an eighth when it is hidden.
const BATCH: usize = (MAX - HEAD) / 8 * 7;
/// What a text has besides itself, in the message or in the answer, in bytes: the
/// shortest is padded to 512.
const EACH: usize = 640;

/// Splits what is asked for into what fits one message each; what is longer than that
/// is alone in its own.
fn batches<T>(all: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let mut rest = all;
    while !rest.is_empty() {
        let mut sum = 0;
        let fits = |one: &&T| {
            sum += size(one) + EACH;
            sum <= BATCH
        };
        let count = rest.iter().take(MOST).take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        batches.push(now);
        rest = later;
    }
    batches
}

/// Keys that the agent holds.
struct Held {
    client: Client,
    vault: String,
    recipient: Recipient,
    commitment: Commitment,
}

impl Held {
    /// The mac of a text that is too long for one message.
    fn long_mac(&self, domain: Domain, body: &[u8]) -> Result<Mac, ClientError> {
        if body.len() > LONGEST {
            return Err(ClientError::TooLarge(body.len()));
        }
        let parts: Vec<&[u8]> = body.chunks(MAX - HEAD).collect();
        let last = parts.len().saturating_sub(1);
        let frames = parts.iter().enumerate().map(|(at, bytes)| {
            let part = Request::Part {
                vault: &self.vault,
                domain,
                is_last: at == last,
                bytes,
            };
            part.frame()
        });
        let frames: Vec<_> = frames.collect();
        match self.client.ask_all(&frames)?.pop() {
            Some(Reply::Macs(macs)) if macs.len() == 1 => {
                macs.into_iter().next().ok_or(ClientError::NoAnswer)
            }
            Some(other) => Err(unexpected(&other)),
            None => Err(ClientError::NoAnswer),
        }
    }
}

impl Held {
    /// Asks for texts in as many messages as they need.
    fn texts(
        &self,
        placed: &[Placed<'_>],
        request: impl Fn(Vec<Placed<'_>>) -> Zeroizing<Vec<u8>>,
    ) -> Result<Vec<Option<Revealed>>, KeysError> {
        let mut all = Vec::with_capacity(placed.len());
        for batch in batches(placed, |text| text.place.len() + text.bytes.len()) {
            match self.client.ask_all(&[request(batch.to_vec())])?.pop() {
                Some(Reply::Texts(texts)) if texts.len() == batch.len() => all.extend(texts),
                Some(other) => return Err(unexpected(&other).into()),
                None => return Err(KeysError::NoAnswer),
            }
        }
        Ok(all)
    }
}

impl KeyHolder for Held {
    fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    fn commitment(&self) -> Commitment {
        self.commitment
    }

    fn macs(&self, domain: Domain, bodies: &[&[u8]]) -> Result<Vec<Mac>, KeysError> {
        let mut macs = Vec::with_capacity(bodies.len());
        let mut rest = bodies;
        while let Some(first) = rest.first() {
            if first.len() + 4 > MAX - HEAD {
                macs.push(self.long_mac(domain, first)?);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let mut size = 0;
            let fits = |body: &&&[u8]| {
                size += body.len() + 4;
                size <= MAX - HEAD
            };
            let count = rest.iter().take(MOST).take_while(fits).count();
            let (now, later) = rest.split_at(count);
            let reply = self.client.ask(&Request::Macs {
                vault: &self.vault,
                domain,
                bodies: now.to_vec(),
            })?;
            match reply {
                Reply::Macs(some) if some.len() == count => macs.extend(some),
                other => return Err(unexpected(&other).into()),
            }
            rest = later;
        }
        Ok(macs)
    }

    fn digest(&self, value: &SecretValue) -> Result<Digest, KeysError> {
        let reply = self.client.ask(&Request::Digest {
            vault: &self.vault,
            kind: value.kind(),
            content: value.expose_secret(),
        })?;
        match reply {
            Reply::Digest(digest) => Ok(digest),
            other => Err(unexpected(&other).into()),
        }
    }

    fn hide_names(&self, names: &[&SecretName]) -> Result<Vec<HiddenName>, KeysError> {
        let mut all = Vec::with_capacity(names.len());
        for batch in batches(names, |name| name.as_str().len()) {
            let names: Vec<&str> = batch.iter().map(|name| name.as_str()).collect();
            let reply = self.client.ask(&Request::HideNames {
                vault: &self.vault,
                names,
            })?;
            match reply {
                Reply::HiddenNames(parts) if parts.len() == batch.len() => {
                    let name = |[place, versions]: [Zeroizing<[u8; 32]>; 2]| {
                        HiddenName::from_parts(*place, versions)
                    };
                    all.extend(parts.into_iter().map(name));
                }
                other => return Err(unexpected(&other).into()),
            }
        }
        Ok(all)
    }

    fn hide(&self, texts: &[Placed<'_>]) -> Result<Vec<Vec<u8>>, KeysError> {
        let vault = &self.vault;
        let hidden = self.texts(texts, |texts| Request::Hide { vault, texts }.frame())?;
        let bytes = |text: Option<Revealed>| text.map(|text| text.to_vec());
        let hidden: Option<_> = hidden.into_iter().map(bytes).collect();
        hidden.ok_or(KeysError::NoAnswer)
    }

    fn reveal(&self, sealed: &[Placed<'_>]) -> Result<Vec<Option<Revealed>>, KeysError> {
        let vault = &self.vault;
        self.texts(sealed, |sealed| Request::Reveal { vault, sealed }.frame())
    }

    fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        if file.len() > MAX - HEAD {
            return Err(OpenError::TooLarge);
        }
        let open = Request::Open {
            vault: &self.vault,
            file,
        };
        match self.client.ask(&open).map_err(KeysError::from)? {
            Reply::Plain(plain) => Ok(plain),
            Reply::NotOpened(error) => Err(error),
            other => Err(KeysError::from(unexpected(&other)).into()),
        }
    }
}

fn done(reply: &Reply) -> Result<(), ClientError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: &Reply) -> ClientError {
    match reply {
        Reply::Locked => ClientError::Locked,
        Reply::Refused { version: 1 } => ClientError::Refused,
        Reply::Refused { .. } => ClientError::OtherVersion,
        _ => ClientError::NoAnswer,
    }
}

/// Whether nobody listens: no socket, or one that its agent left behind.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

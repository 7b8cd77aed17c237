use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::connection;
use super::journal::Journal;
use super::protocol::seat;
use super::socket::{Listener, Peer, Spot};
use super::table::{Gone, Table};
use super::ttl::{Clock, Lifetime, Moment};
use crate::crypto::Identity;

/// How many clients are served at a time; more wait (crypto.md section 5).
const CONNECTIONS: usize = 16;
/// How often the clocks are looked at when nobody asks for anything.
const TICK: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// How long an agent stays that holds nothing yet.
const GRACE: Duration = Duration::from_secs(10);

/// The agent's side of the socket.
pub struct Server {
    shared: Arc<Shared>,
    socket: UnixListener,
    born: Duration,
    /// Can be read from when a client has left or locked.
    bell: UnixStream,
}

/// What the threads of an agent have in common.
pub(super) struct Shared {
    pub(super) table: Table,
    /// What keyrings are handed over under; made anew by each agent.
    pub(super) own: Identity,
    clock: Clock,
    journal: Journal,
    spot: Spot,
    active: AtomicUsize,
    was_used: AtomicBool,
    is_ending: AtomicBool,
    /// Wakes the listening thread.
    bell: UnixStream,
}

impl Shared {
    fn new(spot: Spot, clock: Clock, journal: Journal) -> io::Result<(Self, UnixStream)> {
        let (bell, heard) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let shared = Self {
            table: Table::new(clock()),
            own: Identity::generate(),
            clock,
            journal,
            spot,
            active: AtomicUsize::new(0),
            was_used: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            bell,
        };
        Ok((shared, heard))
    }

    pub(super) fn now(&self) -> Moment {
        (self.clock)()
    }

    pub(super) fn note(&self, text: &str) {
        self.journal.note(self.now().wall, text);
    }

    pub(super) fn hold(
        &self,
        vault: &str,
        keyring: &Identity,
        lifetime: Lifetime,
    ) -> io::Result<()> {
        self.table.hold(vault, keyring, lifetime, self.now())?;
        self.was_used.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Forgets what is to be forgotten by now, and ends when nothing is left.
    pub(super) fn sweep(&self, now: Moment) {
        let gone = self.table.sweep(now);
        for (vault, why) in &gone {
            self.note(&format!("locked {vault}: {}", why.as_str()));
        }
        if !gone.is_empty() && self.table.is_empty() {
            self.end(Gone::Ended);
        }
    }

    /// Forgets every key and removes the socket: the next agent can begin.
    pub(super) fn lock(&self, why: Gone) {
        self.table.clear();
        if self.spot.clear() {
            self.note(&format!("locked everything: {}", why.as_str()));
        }
    }

    /// Locks, and lets the listening thread end.
    pub(super) fn end(&self, why: Gone) {
        self.lock(why);
        self.is_ending.store(true, Ordering::SeqCst);
        self.ring();
    }

    fn ring(&self) {
        // A bell that is full rings already.
        let _full = (&self.bell).write(&[1]);
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }
}

/// Counts a client out, however its thread ends.
struct Seat(Arc<Shared>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        self.0.ring();
    }
}

impl Server {
    /// An agent that holds nothing yet. One that is handed nothing ends after ten
    /// seconds.
    pub fn new(listener: Listener, clock: Clock, journal: Journal) -> io::Result<Self> {
        let Listener { socket, spot } = listener;
        socket.set_nonblocking(true)?;
        let (shared, bell) = Shared::new(spot, clock, journal)?;
        Ok(Self {
            born: shared.now().boot,
            shared: Arc::new(shared),
            socket,
            bell,
        })
    }

    /// Takes a keyring in; `vault` is the vault's UUID text.
    pub fn hold(&self, vault: &str, keyring: &Identity, lifetime: Lifetime) -> io::Result<()> {
        self.shared.hold(vault, keyring, lifetime)
    }

    /// The same with another keyring of the vault than the default one.
    pub fn hold_named(
        &self,
        vault: &str,
        name: &str,
        keyring: &Identity,
        lifetime: Lifetime,
    ) -> io::Result<()> {
        self.hold(&seat(vault, name), keyring, lifetime)
    }

    /// Locks, too, when logind announces a suspend or the locking of a session.
    /// `address` is the system bus in D-Bus's notation; only Unix sockets are gone to.
    #[cfg(feature = "cli")]
    pub fn listen_to_logind(&self, address: &str) {
        if address.starts_with("unix:") {
            super::logind::listen(&self.shared, address.to_owned());
        }
    }

    /// Serves until it is told to lock, the time of the last keyring is up, or `stop`
    /// can be read from. Then every key is wiped and the socket removed.
    pub fn run(self, stop: impl AsFd) -> io::Result<()> {
        let shared = &self.shared;
        shared.note("listening");
        let result = loop {
            let now = shared.now();
            shared.sweep(now);
            let is_forgotten = !shared.was_used.load(Ordering::SeqCst)
                && now.boot.saturating_sub(self.born) > GRACE;
            if shared.is_ending() || is_forgotten {
                break Ok(());
            }
            let has_room = shared.active.load(Ordering::SeqCst) < CONNECTIONS;
            let mut fds = vec![
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN),
            ];
            if has_room {
                fds.push(PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN));
            }
            match poll(&mut fds, Some(&TICK)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => break Err(error.into()),
            }
            let mut is_ready = fds.iter().map(|fd| !fd.revents().is_empty());
            let (stopped, rung) = (is_ready.next(), is_ready.next());
            if stopped == Some(true) {
                shared.note("told to end by a signal");
                break Ok(());
            }
            if rung == Some(true) {
                let _rung = (&self.bell).read(&mut [0; 64]);
            }
            if is_ready.next() == Some(true) {
                self.accept();
            }
        };
        shared.end(Gone::Ended);
        result
    }

    fn accept(&self) {
        let Ok((stream, _)) = self.socket.accept() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let peer = match Peer::of(&stream) {
            Ok(peer) if peer.is_us() => peer,
            Ok(peer) => {
                let (uid, pid) = (peer.uid, peer.pid);
                shared.note(&format!("process {pid} of user {uid} turned away"));
                return;
            }
            Err(_) => return,
        };
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        shared.active.fetch_add(1, Ordering::SeqCst);
        let seat = Seat(shared);
        let work = move || connection::serve(&seat.0, &stream, peer);
        let name = "client".to_owned();
        // Without a thread the connection closes, and the client says so.
        drop(std::thread::Builder::new().name(name).spawn(work));
    }
}

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// How much a door puts up with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long the head of a request may take; also how long an idle connection is
    /// kept.
    pub head: Duration,
    /// How long a body may take.
    pub body: Duration,
    /// How long a client may leave what was sent to it unread. On Linux only: the
    /// system sees to it (TCP_USER_TIMEOUT).
    pub unread: Duration,
    /// How long answers under way may take once the door is closing.
    pub grace: Duration,
    /// The largest body, in bytes. AWS's largest value is 65,536 bytes; as a JSON text
    /// of `\u` escapes that is 393,216, and description, tags and policy can add some
    /// 150,000: 1 MiB has room to spare.
    pub size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(15),
            body: Duration::from_secs(15),
            unread: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            size: 1 << 20,
        }
    }
}

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// Over [`Limits::size`].
    TooLarge,
    /// It took too long.
    TooSlow,
    /// The client went away, or does not know how to write a body.
    Broken,
}

impl Limits {
    /// Has the system hang up on a client that does not read.
    pub(super) fn impose(&self, stream: &tokio::net::TcpStream) {
        #[cfg(target_os = "linux")]
        {
            let millis = u32::try_from(self.unread.as_millis()).unwrap_or(u32::MAX);
            // Without it such a client keeps its seat, and no more than that.
            let _refused = rustix::net::sockopt::set_tcp_user_timeout(stream, millis);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = stream;
    }

    /// Reads a body. What is too large is read on for a while and thrown away, since a
    /// client that is still sending does not see the answer.
    pub(super) async fn read<B>(&self, body: B) -> Result<Zeroizing<Vec<u8>>, BadBody>
    where
        B: Body + Unpin,
    {
        let deadline = tokio::time::timeout(self.body, self.collect(body));
        deadline.await.unwrap_or(Err(BadBody::TooSlow))
    }

    async fn collect<B>(&self, mut body: B) -> Result<Zeroizing<Vec<u8>>, BadBody>
    where
        B: Body + Unpin,
    {
        let told = body.size_hint().exact();
        let told = told.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let patience = self.size.saturating_mul(8);
        if told.is_some_and(|n| n > patience) {
            return Err(BadBody::TooLarge);
        }
        let room = told.unwrap_or(4096).min(self.size);
        let mut whole = Zeroizing::new(Vec::with_capacity(room));
        let mut seen: usize = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BadBody::Broken)?;
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            use hyper::body::Buf as _;
            seen = seen.saturating_add(data.remaining());
            if seen > patience {
                return Err(BadBody::TooLarge);
            }
            if seen > self.size {
                continue;
            }
            if seen > whole.capacity() {
                // A growing Vec would leave its old bytes behind.
                let mut larger = Zeroizing::new(Vec::with_capacity((seen * 2).min(self.size)));
                larger.extend_from_slice(&whole);
                whole = larger;
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                whole.extend_from_slice(chunk);
                let len = chunk.len();
                data.advance(len);
            }
        }
        if seen > self.size {
            return Err(BadBody::TooLarge);
        }
        Ok(whole)
    }
}

/// The seats for connections. A connection that has proved nothing yet gives its seat
/// up to a new one when all are taken, the oldest first: ten thousand idle ones do not
/// keep a real client out.
pub(super) struct Seats {
    max: usize,
    gives_way: bool,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// In the order they came.
    unproved: BTreeMap<u64, Arc<Notify>>,
    proved: BTreeSet<u64>,
}

/// One connection's seat; dropping it makes room.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    /// Notified when the seat is given to somebody else.
    pub(super) lost: Arc<Notify>,
}

impl Seats {
    /// `gives_way` says whether one that has proved nothing loses its seat to a new one.
    pub(super) fn new(max: usize, gives_way: bool) -> Arc<Self> {
        Arc::new(Self {
            max,
            gives_way,
            taken: Mutex::default(),
        })
    }

    /// A seat, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.unproved.len() + taken.proved.len() >= self.max {
            if !self.gives_way {
                return None;
            }
            let (_, oldest) = taken.unproved.pop_first()?;
            oldest.notify_one();
        }
        let number = taken.next;
        taken.next += 1;
        let lost = Arc::new(Notify::new());
        taken.unproved.insert(number, Arc::clone(&lost));
        Some(Seat {
            seats: Arc::clone(self),
            number,
            lost,
        })
    }
}

impl Seat {
    /// Notes that whoever sits here has shown a key.
    pub(super) fn prove(&self) {
        let mut taken = self
            .seats
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if taken.unproved.remove(&self.number).is_some() {
            taken.proved.insert(self.number);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self
            .seats
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.unproved.remove(&self.number);
        taken.proved.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::body::Bytes;

    use super::*;

    #[test]
    fn the_oldest_that_proved_nothing_gives_way() {
        let seats = Seats::new(2, true);
        let first = seats.take().unwrap();
        let second = seats.take().unwrap();
        first.prove();
        let third = seats.take().unwrap();
        third.prove();
        // The second lost its seat, and proving late does not bring it back.
        second.prove();
        assert!(seats.take().is_none(), "two have proved themselves");
        drop(second);
        assert!(
            seats.take().is_none(),
            "a lost seat is not given back twice"
        );
        drop(first);
        assert!(seats.take().is_some());
        drop(third);
        let strict = Seats::new(1, false);
        let only = strict.take();
        assert!(strict.take().is_none());
        drop(only);
        assert!(strict.take().is_some());
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit() {
        let limits = Limits {
            size: 10,
            ..Limits::default()
        };
        let read = |n: usize| limits.read(Full::new(Bytes::from(vec![7; n])));
        assert_eq!(read(10).await.map(|b| b.len()), Ok(10));
        assert_eq!(read(11).await.map(|b| b.len()), Err(BadBody::TooLarge));
        assert_eq!(read(81).await.map(|b| b.len()), Err(BadBody::TooLarge));
    }
}

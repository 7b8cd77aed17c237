//! Sockets: who gets a seat, how long a connection may idle, and how it all ends.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::limits::{Limits, Seat, Seats};
use super::tls::Tls;

/// A whole answer.
pub(super) type Answered = Response<Full<Bytes>>;
/// Connections over the limit that are told so; the rest is closed without a word.
const TURNED_AWAY: usize = 64;
/// How long one that is told so may take to ask and listen.
const TURN_AWAY: Duration = Duration::from_secs(2);
/// The most that is kept of a request's head, in bytes: a session token of AWS's own
/// can have some thousands.
const HEAD: usize = 64 * 1024;

/// Ends doors: when this is dropped or told to, they answer what is under way and close.
pub struct Stopper(watch::Sender<bool>);

/// What a door listens to beside its socket.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// A stopper, and what it stops.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// Asks every door to close.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    async fn asked(&mut self) {
        // An error is a stopper that was dropped.
        drop(self.0.wait_for(|stop| *stop).await);
    }
}

/// Who answers the requests of a door.
pub(super) trait Desk: Send + Sync + 'static {
    /// Whether connections that have proved nothing give way when all seats are taken.
    const GIVES_WAY: bool;

    /// Answers one request.
    fn answer(
        &self,
        request: Request<Incoming>,
        visitor: &Visitor,
    ) -> impl Future<Output = Answered> + Send;

    /// What one is told for whom there is no seat.
    fn full(&self) -> Answered;
}

/// The connection a request came by.
pub(super) struct Visitor {
    /// The address it came in on.
    pub(super) local: Option<IpAddr>,
    seat: Seat,
}

impl Visitor {
    /// Notes that it has shown a key.
    pub(super) fn prove(&self) {
        self.seat.prove();
    }
}

/// Bytes that are wiped when the last of the connection lets go of them.
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A body that is wiped once it is sent. hyper's own buffer is not.
pub(super) fn wiped(body: Zeroizing<Vec<u8>>) -> Full<Bytes> {
    Full::new(Bytes::from_owner(Wiped(body)))
}

/// Accepts connections until it is stopped, and lets answers under way finish.
pub(super) async fn serve<D: Desk>(
    listener: TcpListener,
    desk: Arc<D>,
    limits: Limits,
    tls: Option<Tls>,
    mut stop: Stop,
) {
    let seats = Seats::new(limits.connections, D::GIVES_WAY);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut tasks = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.asked() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Out of descriptors, most likely: let some connections end.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        // Small answers must not wait for more to send.
        drop(stream.set_nodelay(true));
        limits.impose(&stream);
        let desk = Arc::clone(&desk);
        match seats.take() {
            Some(seat) => {
                tasks.spawn(welcome(
                    stream,
                    seat,
                    desk,
                    limits,
                    tls.clone(),
                    stop.clone(),
                ));
            }
            None => {
                if let Ok(permit) = Arc::clone(&turned_away).try_acquire_owned() {
                    let tls = tls.clone();
                    tasks.spawn(async move {
                        drop(tokio::time::timeout(TURN_AWAY, turn_away(stream, desk, tls)).await);
                        drop(permit);
                    });
                }
            }
        }
    }
    drop(listener);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tasks.shutdown().await;
    }
}

/// Serves one connection to its end.
async fn welcome<D: Desk>(
    stream: TcpStream,
    seat: Seat,
    desk: Arc<D>,
    limits: Limits,
    tls: Option<Tls>,
    stop: Stop,
) {
    let visitor = Arc::new(Visitor {
        local: stream.local_addr().ok().map(|a| a.ip()),
        seat,
    });
    let lost = Arc::clone(&visitor.seat.lost);
    let conversation = async {
        match tls {
            None => talk(stream, visitor, desk, limits, stop).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(limits.head, tls.0.accept(stream));
                if let Ok(Ok(stream)) = handshake.await {
                    talk(stream, visitor, desk, limits, stop).await;
                }
            }
        }
    };
    tokio::select! {
        () = conversation => {}
        () = lost.notified() => {}
    }
}

async fn talk<D: Desk>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    visitor: Arc<Visitor>,
    desk: Arc<D>,
    limits: Limits,
    mut stop: Stop,
) {
    let service = service_fn(move |request| {
        let (desk, visitor) = (Arc::clone(&desk), Arc::clone(&visitor));
        async move { Ok::<_, Infallible>(desk.answer(request, &visitor).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // What a client does wrong is its own business.
        done = connection.as_mut() => drop(done),
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

/// Answers one request with "full" and hangs up.
async fn turn_away<D: Desk>(stream: TcpStream, desk: Arc<D>, tls: Option<Tls>) {
    let service = service_fn(move |_request| {
        let answer = desk.full();
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(HEAD);
    match tls {
        None => drop(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await,
        ),
        Some(tls) => {
            if let Ok(stream) = tls.0.accept(stream).await {
                drop(
                    builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            }
        }
    }
}

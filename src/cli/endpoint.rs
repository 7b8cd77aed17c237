//! What `serve`, `exec` and `aws` have in common: the service behind the doors, fresh
//! keys, sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::context::{Context, fresh_stamp, var};
use super::error::CommandError;
use super::exit::Exit;
use crate::agent::Client;
use crate::server::service::Options;
use crate::server::{Answer, Call, Changes, Clock, KeyPair, Reply, Service};
use crate::vault::Vault;

/// The Region where neither the vault nor the user names one.
const REGION: &str = "us-east-1";

/// How often a locked endpoint looks whether the agent was unlocked again.
const LOOK: Duration = Duration::from_millis(500);

/// The service over a vault that others may change meanwhile.
struct Live {
    service: Arc<Service>,
    _changes: Changes,
}

impl Answer for Live {
    fn answer(&self, call: &Call<'_>) -> Reply {
        self.service.answer(call)
    }
}

/// Unlocks the vault and gives who answers for it. Changes of its files are served at
/// once, and nothing is served while the agent that holds its keys is locked.
pub(super) fn open_service(ctx: &Context) -> Result<Arc<dyn Answer>, CommandError> {
    let vault = ctx.unlocked()?;
    let is_held = vault.keys().is_some_and(|keys| keys.identity().is_none());
    let id = vault.config().vault_id.clone();
    let options = Options {
        no_commit: ctx.no_commit()?,
        ..Options::default()
    };
    let service = Arc::new(Service::new(vault, options)?);
    let changes =
        Changes::watch(&service).map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
    if !changes.is_live() {
        ctx.ui.warn("the system tells of no changes here: those by other processes are looked for every two seconds");
    }
    if is_held {
        let socket = ctx.agent_socket()?;
        let service = Arc::downgrade(&service);
        std::thread::spawn(move || follow(&socket, &id, &service));
    }
    Ok(Arc::new(Live {
        service,
        _changes: changes,
    }))
}

/// Locks the service when the agent locks the vault, and unlocks it when the agent
/// holds the vault's keys again.
fn follow(socket: &Path, vault: &str, service: &Weak<Service>) {
    loop {
        let watch = match Client::connect(socket) {
            Ok(Some(agent)) => agent.watch_lock(vault).ok(),
            _ => None,
        };
        let Some(open) = service.upgrade() else {
            return;
        };
        match watch {
            Some(watch) => {
                open.unlock();
                drop(open);
                watch.wait();
                match service.upgrade() {
                    Some(open) => open.lock(),
                    None => return,
                }
            }
            None => {
                open.lock();
                drop(open);
                std::thread::sleep(LOOK);
            }
        }
    }
}

/// The clock and the ids of the doors.
pub(super) fn clock() -> Clock {
    Arc::new(fresh_stamp)
}

/// A fresh pair of keys from the operating system's randomness.
pub(super) fn mint() -> Result<KeyPair, CommandError> {
    let mut random = Zeroizing::new([0; KeyPair::RANDOM]);
    getrandom::fill(&mut *random).map_err(|_| {
        CommandError::new(
            Exit::Unexpected,
            "the operating system gave no random bytes",
        )
    })?;
    Ok(KeyPair::mint(&random))
}

/// Opens a socket for a door, and says where it is.
pub(super) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CommandError> {
    let failed = |e: std::io::Error| {
        let exit = match e.kind() {
            std::io::ErrorKind::AddrInUse => Exit::Busy,
            _ => Exit::Unexpected,
        };
        CommandError::new(exit, format!("{address}: {e}"))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The Region of the vault's only remote, else the user's own, else us-east-1.
pub(super) fn region(vault: &Vault) -> String {
    let config = vault.config();
    let mut remotes = config.remotes.values();
    if let (Some(only), None) = (remotes.next(), remotes.next()) {
        return only.region.clone();
    }
    let own = var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION"));
    own.and_then(|r| r.into_string().ok())
        .unwrap_or_else(|| REGION.to_owned())
}

/// Runs a future to its end, with a thread for each processor: doors answer on them.
pub(super) fn block_on<T>(
    future: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?
        .block_on(future)
}

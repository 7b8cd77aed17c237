//! What `serve`, `exec` and `aws` have in common: the service behind the doors, fresh
//! keys, sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::context::{Context, fresh_stamp, var};
use super::error::CommandError;
use super::exit::Exit;
use crate::server::{Answer, Clock, KeyPair};
use crate::vault::Vault;

/// The Region where neither the vault nor the user names one.
const REGION: &str = "us-east-1";

/// Unlocks the vault and gives who answers for it.
pub(super) fn open_service(_ctx: &Context) -> Result<Arc<dyn Answer>, CommandError> {
    Err(CommandError::new(
        Exit::Unsupported,
        "this build has no service behind its endpoint",
    ))
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

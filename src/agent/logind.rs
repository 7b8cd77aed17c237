use std::sync::{Arc, Weak};

use futures_util::StreamExt as _;
use futures_util::stream::select;
use zbus::connection::Builder;
use zbus::message::{Message, Type};
use zbus::{Connection, MatchRule, MessageStream, OwnedFd, OwnedObjectPath, OwnedVariant};

use super::server::Shared;
use super::table::Gone;

const LOGIND: &str = "org.freedesktop.login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// Locks when logind says that the machine is about to be suspended or that a session
/// of this user is being locked (crypto.md section 5), from a thread of its own. The
/// suspend waits until the keys are gone, as far as logind lets it.
///
/// Without logind, or when the bus goes away, nothing is lost but this: a suspend is
/// then noticed right after it, by the clocks.
pub(super) fn listen(shared: &Arc<Shared>, address: String) {
    let shared = Arc::downgrade(shared);
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let heard = match runtime {
            Ok(runtime) => runtime.block_on(hear(&shared, &address)),
            Err(error) => Err(zbus::Error::from(error)),
        };
        if let (Err(error), Some(shared)) = (heard, shared.upgrade()) {
            shared.note(&format!("not listening to logind: {error}"));
        }
    };
    let name = "logind".to_owned();
    // Without a thread the clocks are all there is.
    drop(std::thread::Builder::new().name(name).spawn(work));
}

async fn hear(shared: &Weak<Shared>, address: &str) -> zbus::Result<()> {
    let bus = Builder::address(address).build().await?;
    let sleeps = signals(&bus, MANAGER, "PrepareForSleep").await?;
    let locks = signals(&bus, SESSION, "Lock").await?;
    let _delay = delay(&bus).await;
    if let Some(shared) = shared.upgrade() {
        shared.note("listening to logind");
    }
    let mut heard = select(sleeps, locks);
    while let Some(message) = heard.next().await {
        let message = message?;
        let header = message.header();
        let why = match header.member().map(|member| member.as_str()) {
            Some("PrepareForSleep") if message.body().deserialize::<bool>()? => Gone::Slept,
            Some("Lock") if is_ours(&bus, &message).await => Gone::SessionLocked,
            _ => continue,
        };
        if let Some(shared) = shared.upgrade() {
            shared.end(why);
        }
        return Ok(());
    }
    Ok(())
}

async fn signals(
    bus: &Connection,
    interface: &'static str,
    member: &'static str,
) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(LOGIND)
        .interface(interface)
        .member(member)
        .build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// Asks logind to wait with a suspend, some seconds at most, for as long as the
/// descriptor is open. It may refuse.
async fn delay(bus: &Connection) -> Option<OwnedFd> {
    let request = ("sleep", "strongroom", "Forgetting unlocked keys", "delay");
    let path = "/org/freedesktop/login1";
    let reply = bus
        .call_method(Some(LOGIND), path, Some(MANAGER), "Inhibit", &request)
        .await
        .ok()?;
    reply.body().deserialize().ok()
}

/// Whether the session that is being locked is one of this user. If that cannot be
/// told, it is taken for one.
async fn is_ours(bus: &Connection, signal: &Message) -> bool {
    match user_of(bus, signal).await {
        Some(user) => user == rustix::process::geteuid().as_raw(),
        None => true,
    }
}

async fn user_of(bus: &Connection, signal: &Message) -> Option<u32> {
    let header = signal.header();
    let properties = Some("org.freedesktop.DBus.Properties");
    let reply = bus
        .call_method(
            Some(LOGIND),
            header.path()?,
            properties,
            "Get",
            &(SESSION, "User"),
        )
        .await
        .ok()?;
    let value: OwnedVariant = reply.body().deserialize().ok()?;
    let (user, _): (u32, OwnedObjectPath) = value.try_into().ok()?;
    Some(user)
}

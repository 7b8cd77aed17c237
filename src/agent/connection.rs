use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::protocol::{LONGEST, Malformed, Reply, Request, Status, receive, send};
use super::server::Shared;
use super::socket::Peer;
use super::table::Gone;
use super::ttl::Moment;
use crate::crypto::{Domain, Identity, KeyHolder, KeysError, OpenError, open_keyring};
use crate::model::{SecretName, SecretValue};
use zeroize::Zeroizing;

/// How long a client may take for a message, and between two (crypto.md section 5).
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client asked for, for the log.
#[derive(Default)]
struct Count {
    opened: usize,
    macs: usize,
    digests: usize,
    hidden: usize,
}

/// Answers one client until it closes, is silent for too long, or talks nonsense.
pub(super) fn serve(shared: &Shared, stream: &UnixStream, peer: Peer) {
    let who = format!("process {} ({})", peer.pid, peer.program());
    let mut count = Count::default();
    let mut parts: Vec<u8> = Vec::new();
    drop(stream.set_write_timeout(Some(PATIENCE)));
    while let Ok(Some(frame)) = receive(stream, PATIENCE) {
        let now = shared.now();
        shared.sweep(now);
        let request = match Request::parse(&frame) {
            Ok(request) => request,
            Err(Malformed { version }) => {
                shared.note(&format!("{who}: a message of version {version} refused"));
                drop(send(stream, &refused()));
                break;
            }
        };
        match request {
            Request::Watch { vault } => {
                let reply = match stream.try_clone() {
                    Ok(clone) => shared.table.watch(vault, clone, now),
                    Err(_) => Reply::Refused { version: 1 },
                };
                shared.note(&format!("{who}: waits for the lock of {vault}"));
                drop(send(stream, &reply.frame()));
                break;
            }
            Request::Lock => {
                shared.note(&format!("{who}: asks to lock"));
                shared.lock(Gone::Asked);
                // The process ends with its listening thread; the answer comes first.
                drop(send(stream, &Reply::Done.frame()));
                shared.end(Gone::Asked);
                break;
            }
            Request::Hold {
                vault,
                lifetime,
                keyring,
            } => {
                let held = match open_keyring(keyring, &shared.own) {
                    Ok(keyring) => shared.hold(vault, &keyring, lifetime).is_ok(),
                    Err(_) => false,
                };
                let reply = match held {
                    true => Reply::Done.frame(),
                    false => refused(),
                };
                shared.note(&format!("{who}: hands over the keyring of {vault}"));
                if send(stream, &reply).is_err() {
                    break;
                }
            }
            request => {
                let reply = answer(shared, request, now, &mut parts, &mut count);
                if send(stream, &reply.frame()).is_err() {
                    break;
                }
            }
        }
    }
    if count.opened + count.macs + count.digests + count.hidden > 0 {
        shared.note(&format!(
            "{who}: {} values opened, {} macs, {} digests, {} names and texts hidden or revealed",
            count.opened, count.macs, count.digests, count.hidden
        ));
    }
}

fn answer(
    shared: &Shared,
    request: Request<'_>,
    now: Moment,
    parts: &mut Vec<u8>,
    count: &mut Count,
) -> Reply {
    let table = &shared.table;
    let reply = match request {
        Request::Status => Some(Reply::Status(Status {
            pid: std::process::id(),
            vaults: table.list(now),
        })),
        Request::Introduce => Some(introduction(&shared.own)),
        Request::Attach { vault } => table.with(vault, now, |keys| Reply::Attached {
            recipient: keys.recipient().to_string(),
            commitment: keys.commitment().to_string(),
        }),
        Request::Macs {
            vault,
            domain,
            bodies,
        } => {
            count.macs += bodies.len();
            table.with(vault, now, |keys| macs(keys, domain, &bodies))
        }
        Request::Part {
            vault,
            domain,
            is_last,
            bytes,
        } => {
            if parts.len() + bytes.len() > LONGEST {
                parts.clear();
                return Reply::Refused { version: 1 };
            }
            parts.extend_from_slice(bytes);
            if !is_last {
                return Reply::Done;
            }
            count.macs += 1;
            let whole = std::mem::take(parts);
            table.with(vault, now, |keys| macs(keys, domain, &[&whole]))
        }
        Request::Digest {
            vault,
            kind,
            content,
        } => {
            count.digests += 1;
            let value = SecretValue::new_of(kind, Zeroizing::new(content.to_vec()));
            table.with(vault, now, |keys| match value.map(|v| keys.digest(&v)) {
                Ok(Ok(digest)) => Reply::Digest(digest),
                Ok(Err(_)) | Err(_) => Reply::Refused { version: 1 },
            })
        }
        Request::Open { vault, file } => {
            count.opened += 1;
            table.with(vault, now, |keys| match keys.decrypt(file) {
                Ok(plain) => Reply::Plain(plain),
                Err(OpenError::Keys(KeysError::Locked)) => Reply::Locked,
                Err(error) => Reply::NotOpened(error),
            })
        }
        Request::HideNames { vault, names } => {
            count.hidden += names.len();
            table.with(vault, now, |keys| hide_names(keys, &names))
        }
        Request::Hide { vault, texts } => {
            count.hidden += texts.len();
            table.with(vault, now, |keys| match keys.hide(&texts) {
                Ok(hidden) => {
                    let hidden = hidden.into_iter().map(|text| Some(Zeroizing::new(text)));
                    Reply::Texts(hidden.collect())
                }
                Err(_) => Reply::Refused { version: 1 },
            })
        }
        Request::Reveal { vault, sealed } => {
            count.hidden += sealed.len();
            table.with(vault, now, |keys| match keys.reveal(&sealed) {
                Ok(texts) => Reply::Texts(texts),
                Err(_) => Reply::Refused { version: 1 },
            })
        }
        // These end or change the conversation and are answered there.
        Request::Watch { .. } | Request::Lock | Request::Hold { .. } => None,
    };
    reply.unwrap_or(Reply::Locked)
}

fn macs(keys: &impl KeyHolder, domain: Domain, bodies: &[&[u8]]) -> Reply {
    match keys.macs(domain, bodies) {
        Ok(macs) => Reply::Macs(macs),
        Err(_) => Reply::Refused { version: 1 },
    }
}

fn hide_names(keys: &impl KeyHolder, names: &[&str]) -> Reply {
    let names: Result<Vec<SecretName>, _> = names.iter().map(|name| name.parse()).collect();
    let Ok(names) = names else {
        return Reply::Refused { version: 1 };
    };
    let names: Vec<&SecretName> = names.iter().collect();
    match keys.hide_names(&names) {
        Ok(hidden) => {
            let parts = hidden
                .iter()
                .map(|name| [*name.place(), *name.version_key()].map(Zeroizing::new));
            Reply::HiddenNames(parts.collect())
        }
        Err(_) => Reply::Refused { version: 1 },
    }
}

fn introduction(own: &Identity) -> Reply {
    Reply::Introduced {
        recipient: own.recipient().to_string(),
    }
}

fn refused() -> Zeroizing<Vec<u8>> {
    Reply::Refused { version: 1 }.frame()
}

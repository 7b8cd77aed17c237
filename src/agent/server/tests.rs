use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::*;
use crate::agent::protocol::{MAX, receive, send};
use crate::agent::{Client, ClientError};
use crate::crypto::{
    Binding, Domain, KeyringKeys, KeysError, LocalKeys, OpenError, open_value, seal_value,
};
use crate::model::{SecretName, SecretValue, Timestamp, VersionId};

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

/// An agent in this process, with clocks that stand still unless told.
struct Agent {
    dir: tempfile::TempDir,
    /// Milliseconds awake, and milliseconds asleep.
    clocks: Arc<(AtomicU64, AtomicU64)>,
    stop: UnixStream,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Agent {
    fn start() -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let clocks = Arc::new((AtomicU64::new(1_000_000), AtomicU64::new(0)));
        let (stop, stopped) = UnixStream::pair().unwrap();
        let read = Arc::clone(&clocks);
        let clock = move || {
            let awake = Duration::from_millis(read.0.load(Ordering::SeqCst));
            let asleep = Duration::from_millis(read.1.load(Ordering::SeqCst));
            Moment {
                boot: awake + asleep,
                awake,
                wall: Timestamp::from_secs(0),
            }
        };
        let listener = Listener::plain(&dir.path().join("agent.sock"));
        let server = Server::new(listener, Box::new(clock), Journal::none()).unwrap();
        let thread = thread::spawn(move || server.run(stopped));
        Self {
            dir,
            clocks,
            stop,
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("agent.sock")
    }

    fn client(&self) -> Client {
        Client::connect(&self.path()).unwrap().unwrap()
    }

    fn unlocked() -> (Self, Client) {
        let agent = Self::start();
        let client = agent.client();
        let lifetime = Lifetime {
            idle: Duration::from_secs(10),
            ttl: Duration::from_secs(60),
        };
        client.hold(VAULT, &kit(), lifetime).unwrap();
        (agent, client)
    }

    fn pass(&self, awake: u64, asleep: u64) {
        self.clocks.0.fetch_add(awake * 1000, Ordering::SeqCst);
        self.clocks.1.fetch_add(asleep * 1000, Ordering::SeqCst);
    }

    fn ends(mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
        assert!(!self.path().exists());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop((&self.stop).write_all(&[1]));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn kit() -> Identity {
    KIT.parse().unwrap()
}

fn keys(client: &Client) -> KeyringKeys {
    client.keys(VAULT).unwrap().unwrap()
}

fn place() -> (SecretName, VersionId) {
    let id = "00000001-0000-4000-8000-000000000000";
    ("prod/db".parse().unwrap(), id.parse().unwrap())
}

#[test]
fn the_agent_does_what_its_holder_could() {
    let (_agent, client) = Agent::unlocked();
    let (far, near) = (keys(&client), KeyringKeys::new(kit(), VAULT));
    assert_eq!(far.commitment(), near.commitment());
    assert_eq!(far.recipient(), near.recipient());
    assert!(far.identity().is_none());
    let long = vec![b'x'; 3 * MAX + 5];
    for body in [&b""[..], b"a = 1\n", &long, &long[..MAX - 64]] {
        for domain in [Domain::Vault, Domain::Keyring, Domain::Secret, Domain::Plan] {
            assert_eq!(far.mac(domain, body), near.mac(domain, body));
        }
    }
    let value = SecretValue::binary(vec![0; SecretValue::MAX]).unwrap();
    assert_eq!(far.digest(&value), near.digest(&value));
    let (name, version) = place();
    let binding = Binding {
        vault: VAULT,
        name: &name,
        version: &version,
    };
    let file = seal_value(&value, &binding, None, &far.recipient()).unwrap();
    let opened = open_value(file.as_bytes(), &binding, &far).unwrap();
    assert_eq!(opened.value.expose_secret(), value.expose_secret());
    for bad in [&b"not age"[..], &file.as_bytes()[..300], &vec![0; 400_000]] {
        let near = open_value(bad, &binding, &near).err().unwrap();
        assert_eq!(open_value(bad, &binding, &far).err(), Some(near));
    }
}

#[test]
fn ten_thousand_macs_are_few_round_trips() {
    let (agent, client) = Agent::unlocked();
    let (proxy, traffic) = record(&agent.path());
    drop(client);
    let client = Client::connect(&proxy).unwrap().unwrap();
    let far = keys(&client);
    let bodies: Vec<Vec<u8>> = (0..10_000_u32)
        .map(|n| format!("{n:0600}").into_bytes())
        .collect();
    let all: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let begun = Instant::now();
    let macs = far.macs(Domain::Secret, &all).unwrap();
    let took = begun.elapsed();
    assert_eq!(
        Ok(macs),
        KeyringKeys::new(kit(), VAULT).macs(Domain::Secret, &all)
    );
    let bytes = traffic.lock().unwrap().len();
    // 604 bytes each, in frames of at most 256 KiB.
    let trips = bytes.div_ceil(MAX);
    assert!(trips < 30, "{trips}");
    println!("10,000 macs through the agent: {bytes} bytes, {took:?}");
}

#[test]
fn crypto_5_its_time_up_it_locks_and_ends() {
    let (agent, client) = Agent::unlocked();
    let far = keys(&client);
    agent.pass(9, 0);
    assert!(far.mac(Domain::Secret, b"").is_ok());
    agent.pass(9, 0);
    assert!(far.mac(Domain::Secret, b"").is_ok());
    agent.pass(10, 0);
    let error = far.mac(Domain::Secret, b"").unwrap_err();
    assert!(
        matches!(error, KeysError::Locked | KeysError::Gone),
        "{error}"
    );
    agent.ends();
}

#[test]
fn crypto_5_after_a_suspend_nothing_is_answered() {
    let (agent, client) = Agent::unlocked();
    let far = keys(&client);
    agent.pass(0, 3);
    let (name, version) = place();
    let binding = Binding {
        vault: VAULT,
        name: &name,
        version: &version,
    };
    let error = open_value(b"age", &binding, &far).err().unwrap();
    assert!(matches!(error, OpenError::Keys(_)), "{error}");
    agent.ends();
}

#[test]
fn crypto_5_a_signal_locks_and_ends() {
    let (agent, client) = Agent::unlocked();
    let watch = client.watch_lock(VAULT).unwrap();
    (&agent.stop).write_all(&[1]).unwrap();
    watch.wait();
    agent.ends();
}

#[test]
fn whoever_waits_for_the_lock_is_told_at_once() {
    let (agent, client) = Agent::unlocked();
    let watch = client.watch_lock(VAULT).unwrap();
    let far = keys(&client);
    assert!(!watch.wait_for(Duration::from_millis(20)));
    client.lock().unwrap();
    // The socket is gone when the answer is there: the next agent can begin.
    assert!(!agent.path().exists());
    assert!(watch.wait_for(Duration::from_secs(30)));
    let error = far.mac(Domain::Secret, b"").unwrap_err();
    assert!(
        matches!(error, KeysError::Locked | KeysError::Gone),
        "{error}"
    );
    assert!(Client::connect(&agent.path()).unwrap().is_none());
    agent.ends();
}

#[test]
fn one_agent_holds_several_vaults() {
    let (agent, client) = Agent::unlocked();
    let other = VAULT.replace('6', "7");
    assert!(client.keys(&other).unwrap().is_none());
    assert!(matches!(
        client.watch_lock(&other),
        Err(ClientError::Locked)
    ));
    let long = Lifetime::default();
    client.hold(&other, &Identity::generate(), long).unwrap();
    let status = client.status().unwrap();
    assert_eq!(status.vaults.len(), 2);
    let watch = client.watch_lock(VAULT).unwrap();
    let (a, b) = (keys(&client), client.keys(&other).unwrap().unwrap());
    assert_ne!(a.commitment(), b.commitment());
    // The one whose time is up goes alone.
    agent.pass(11, 0);
    assert!(b.mac(Domain::Secret, b"").is_ok());
    assert_eq!(a.mac(Domain::Secret, b""), Err(KeysError::Locked));
    assert!(watch.wait_for(Duration::from_secs(30)));
    assert_eq!(client.status().unwrap().vaults.len(), 1);
}

#[test]
fn an_agent_that_is_handed_nothing_ends() {
    let agent = Agent::start();
    agent.pass(11, 0);
    agent.ends();
}

#[test]
fn nonsense_is_refused_and_the_others_are_still_served() {
    let (agent, client) = Agent::unlocked();
    for nonsense in [
        &[1, 0, 0, 0, 9][..],
        &[2, 0, 0, 0, 1, 99],
        &[0, 0, 0, 0],
        &[255, 255, 255, 255],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let stream = UnixStream::connect(agent.path()).unwrap();
        send(&stream, nonsense).unwrap();
        let patience = Duration::from_secs(30);
        // A refusal or a close, and a close after it.
        if let Ok(Some(_)) = receive(&stream, patience) {
            assert!(!matches!(receive(&stream, patience), Ok(Some(_))));
        }
    }
    assert!(keys(&client).mac(Domain::Secret, b"").is_ok());
}

#[test]
fn crypto_5_more_clients_than_it_serves_at_a_time_all_get_their_turn() {
    let (agent, _client) = Agent::unlocked();
    thread::scope(|scope| {
        for _ in 0..3 * CONNECTIONS {
            scope.spawn(|| {
                let far = keys(&agent.client());
                assert!(far.mac(Domain::Secret, b"").is_ok());
            });
        }
    });
}

#[test]
fn one_client_serves_many_threads() {
    let (_agent, client) = Agent::unlocked();
    let far = keys(&client);
    thread::scope(|scope| {
        for n in 0..16_u8 {
            let far = &far;
            scope.spawn(move || {
                let near = KeyringKeys::new(kit(), VAULT);
                for _ in 0..20 {
                    assert_eq!(far.mac(Domain::Plan, &[n]), near.mac(Domain::Plan, &[n]));
                }
            });
        }
    });
}

#[test]
fn no_key_passes_through_the_socket() {
    let agent = Agent::start();
    let (proxy, traffic) = record(&agent.path());
    let client = Client::connect(&proxy).unwrap().unwrap();
    client.hold(VAULT, &kit(), Lifetime::default()).unwrap();
    let far = keys(&client);
    let value = SecretValue::string(b"a canary value".to_vec()).unwrap();
    far.digest(&value).unwrap();
    far.mac(Domain::Secret, b"a = 1\n").unwrap();
    let (name, version) = place();
    let binding = Binding {
        vault: VAULT,
        name: &name,
        version: &version,
    };
    let file = seal_value(&value, &binding, None, &far.recipient()).unwrap();
    assert!(open_value(file.as_bytes(), &binding, &far).is_ok());
    client.status().unwrap();

    let mut derived = [0; LocalKeys::<Vec<u8>>::SIZE];
    LocalKeys::new(&kit(), VAULT, &mut derived[..]).unwrap();
    let seen = traffic.lock().unwrap();
    let has = |bytes: &[u8]| seen.windows(bytes.len()).any(|w| w == bytes);
    assert!(has(b"a canary value"), "the traffic is recorded");
    for key in derived[..160].chunks_exact(32) {
        assert!(!has(key));
    }
    assert!(!has(KIT.as_bytes()) && !has(&KIT.as_bytes()[20..40]));
}

/// A socket beside the agent's that passes everything on and keeps a copy.
fn record(agent: &Path) -> (PathBuf, Arc<Mutex<Vec<u8>>>) {
    let path = agent.with_file_name("proxy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let traffic = Arc::new(Mutex::new(Vec::new()));
    let (all, agent) = (Arc::clone(&traffic), agent.to_owned());
    thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(near), Ok(far)) = (near, UnixStream::connect(&agent)) else {
                return;
            };
            for (mut from, mut to) in [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far, near),
            ] {
                let all = Arc::clone(&all);
                thread::spawn(move || {
                    let mut buffer = [0; 65_536];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        all.lock().unwrap().extend_from_slice(&buffer[..n]);
                        if to.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    drop(to.shutdown(std::net::Shutdown::Both));
                });
            }
        }
    });
    (path, traffic)
}

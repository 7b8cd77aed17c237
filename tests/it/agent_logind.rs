//! The agent and logind, over a real bus of its own on which the test plays logind.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use strongroom::cli::Exit;
use tokio::runtime::Runtime;
use zbus::message::{Message, Type};
use zbus::{Connection, MessageStream, ObjectPath, OwnedFd, Variant};

use crate::agent::until;
use crate::cli::{Home, Said};

const NAME: &str = "org.freedesktop.login1";
const SESSION: &str = "/org/freedesktop/login1/session/_37";

/// A bus that ends with the test.
struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    /// `None` where there is no dbus-daemon.
    fn start() -> Option<Self> {
        let daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = daemon else {
            eprintln!("skipped: no dbus-daemon; Debian has it as the package dbus-daemon");
            return None;
        };
        let mut address = String::new();
        let out = daemon.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut address).unwrap();
        let address = address.trim_end().to_owned();
        Some(Self { daemon, address })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// What stands for logind: says whose a session is, and hands out descriptors that hold
/// a suspend up.
struct Logind {
    runtime: Runtime,
    bus: Connection,
    /// The other ends of what was handed out; at its end once the keys are gone.
    delays: Arc<Mutex<Vec<std::io::PipeReader>>>,
    asked_whose: Arc<AtomicUsize>,
}

impl Logind {
    fn start(bus: &Bus, user_of_session: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let delays = Arc::default();
        let asked_whose = Arc::default();
        let kept = (Arc::clone(&delays), Arc::clone(&asked_whose));
        let bus = runtime.block_on(async {
            let bus = zbus::connection::Builder::address(bus.address.as_str())
                .build()
                .await
                .unwrap();
            let calls = MessageStream::from(&bus);
            bus.request_name(NAME).await.unwrap();
            tokio::spawn(answer(bus.clone(), calls, kept, user_of_session));
            bus
        });
        Self {
            runtime,
            bus,
            delays,
            asked_whose,
        }
    }

    fn says(&self, path: &str, interface: &str, member: &str, body: Option<bool>) {
        let nobody = None::<&str>;
        let path = ObjectPath::try_from(path).unwrap();
        let said = async {
            match body {
                Some(body) => {
                    self.bus
                        .emit_signal(nobody, &path, interface, member, &body)
                        .await
                }
                None => {
                    self.bus
                        .emit_signal(nobody, &path, interface, member, &())
                        .await
                }
            }
        };
        self.runtime.block_on(said).unwrap();
    }

    fn prepares_for_sleep(&self, begins: bool) {
        let manager = "org.freedesktop.login1.Manager";
        self.says(
            "/org/freedesktop/login1",
            manager,
            "PrepareForSleep",
            Some(begins),
        );
    }

    fn locks_the_session(&self) {
        self.says(SESSION, "org.freedesktop.login1.Session", "Lock", None);
    }
}

type Kept = (Arc<Mutex<Vec<std::io::PipeReader>>>, Arc<AtomicUsize>);

async fn answer(bus: Connection, mut calls: MessageStream, kept: Kept, user: u32) {
    while let Some(Ok(call)) = calls.next().await {
        let header = call.header();
        if header.message_type() != Type::MethodCall {
            continue;
        }
        match header.member().unwrap().as_str() {
            "Inhibit" => {
                let asked: (String, String, String, String) = call.body().deserialize().unwrap();
                assert_eq!((asked.0.as_str(), asked.3.as_str()), ("sleep", "delay"));
                let (reader, writer) = std::io::pipe().unwrap();
                kept.0.lock().unwrap().push(reader);
                let fd = OwnedFd::from(std::os::fd::OwnedFd::from(writer));
                reply(&bus, &call, &fd).await;
            }
            "Get" => {
                kept.1.fetch_add(1, Ordering::SeqCst);
                let path = ObjectPath::try_from("/org/freedesktop/login1/user/_0").unwrap();
                reply(&bus, &call, &Variant::from((user, path))).await;
            }
            other => panic!("{other} is not asked of logind"),
        }
    }
}

async fn reply<B: serde::Serialize + zbus::Type>(bus: &Connection, call: &Message, body: &B) {
    bus.reply(&call.header(), body).await.unwrap();
}

fn unlocked(bus: &Bus) -> Home {
    let home = Home::new();
    home.put("prod/db", "hunter2");
    let mut command = home.command();
    command
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .arg("unlock");
    Said::of(command.output().unwrap()).ok();
    until("the agent listens to logind", || {
        log(&home).contains("listening to logind")
    });
    assert_eq!(home.value("prod/db"), "hunter2");
    home
}

fn log(home: &Home) -> String {
    std::fs::read_to_string(home.path("state/strongroom/agent/agent.log")).unwrap_or_default()
}

/// Whether somebody has the other end.
fn is_held(delay: &std::io::PipeReader) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(delay, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() == 0
}

fn is_locked(home: &Home) -> bool {
    home.run(["agent", "status"]).code == i32::from(Exit::Locked.code())
}

#[test]
fn crypto_5_the_agent_locks_before_the_machine_is_suspended() {
    let Some(bus) = Bus::start() else { return };
    let logind = Logind::start(&bus, 0);
    let home = unlocked(&bus);
    // The end of another suspend.
    logind.prepares_for_sleep(false);
    assert!(!is_locked(&home));

    let mut delay = logind.delays.lock().unwrap().pop().unwrap();
    assert!(is_held(&delay), "the suspend would not wait");

    logind.prepares_for_sleep(true);
    // Read to its end only once the agent has let go of the delay: after the keys.
    assert_eq!(std::io::Read::read(&mut delay, &mut [0]).unwrap(), 0);
    assert!(is_locked(&home), "{}", log(&home));
    assert!(
        log(&home).contains("the machine was suspended"),
        "{}",
        log(&home)
    );
}

#[test]
fn crypto_5_the_agent_locks_with_a_session_of_its_user_and_with_no_other() {
    let Some(bus) = Bus::start() else { return };
    let us = rustix::process::geteuid().as_raw();
    {
        let logind = Logind::start(&bus, us + 1);
        let home = unlocked(&bus);
        logind.locks_the_session();
        until("it asks whose the session is", || {
            logind.asked_whose.load(Ordering::SeqCst) == 1
        });
        assert!(!is_locked(&home));
        home.run(["lock"]).ok();
    }
    let logind = Logind::start(&bus, us);
    let home = unlocked(&bus);
    logind.locks_the_session();
    until("the agent locks", || is_locked(&home));
    assert!(
        log(&home).contains("the session was locked"),
        "{}",
        log(&home)
    );
}

#[test]
fn the_agent_does_without_a_bus() {
    let home = Home::new();
    home.put("prod/db", "hunter2");
    let mut command = home.command();
    let nowhere = format!("unix:path={}", home.path("nowhere").display());
    command
        .env("DBUS_SYSTEM_BUS_ADDRESS", nowhere)
        .arg("unlock");
    Said::of(command.output().unwrap()).ok();
    until("it says so", || {
        log(&home).contains("not listening to logind")
    });
    assert_eq!(home.value("prod/db"), "hunter2");
    home.run(["lock"]).ok();
}

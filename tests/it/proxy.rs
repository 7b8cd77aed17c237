//! A proxy in front of moto that counts the calls, and does to some of them what a
//! test says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// What becomes of one call.
pub(crate) enum Fate {
    /// It goes through.
    Pass,
    /// It goes through, and something happens before its answer is given.
    PassThen(Box<dyn FnOnce() + Send>),
    /// It goes through, and the answer is rewritten.
    Rewrite(fn(&mut Value)),
    /// It goes through, and the bytes of the answer, headers and all, are changed.
    Edit(fn(&mut [u8])),
    /// It does not go through; this is the answer: a status and an error code.
    Fail(u16, &'static str),
    /// It does not go through, and nobody answers.
    HangUp,
    /// It goes through, and nobody answers.
    Lose,
    /// It goes through late.
    Late(Duration),
    /// It goes through twice, and the second answer counts.
    Twice,
    /// It goes through, and the answer is another: headers and all.
    Mangle(fn(Vec<u8>) -> Vec<u8>),
    /// It goes through, and the connection is reset in the middle of the answer.
    Reset,
    /// It does not go through; the answer is that of the last time it was asked for.
    Stale,
}

/// Decides on a call by its number from 0 on, its operation (empty for STS) and its
/// body.
type Decide = dyn Fn(usize, &str, &Value) -> Fate + Send + Sync;

struct Shared {
    target: String,
    decide: Mutex<Arc<Decide>>,
    calls: Mutex<Vec<String>>,
    /// The last answer to each operation.
    answers: Mutex<BTreeMap<String, Vec<u8>>>,
    stop: AtomicBool,
}

/// A running proxy on a free loopback port.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Passes everything on to `url`.
    pub(crate) fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            target: url.trim_start_matches("http://").to_owned(),
            decide: Mutex::new(Arc::new(|_, _, _| Fate::Pass)),
            calls: Mutex::new(Vec::new()),
            answers: Mutex::new(BTreeMap::new()),
            stop: AtomicBool::new(false),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if shared.stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let shared = Arc::clone(&shared);
                    // One that never says anything must not hold up the others.
                    std::thread::spawn(move || shared.serve(stream));
                }
            }
        });
        Self {
            port,
            shared,
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on calls are counted from 0 and meet this fate.
    pub(crate) fn decide(
        &self,
        decide: impl Fn(usize, &str, &Value) -> Fate + Send + Sync + 'static,
    ) {
        *lock(&self.shared.decide) = Arc::new(decide);
        lock(&self.shared.calls).clear();
    }

    /// From now on everything goes through, counted from 0.
    pub(crate) fn pass(&self) {
        self.decide(|_, _, _| Fate::Pass);
    }

    /// The operations called since the last decision; STS is not among them.
    pub(crate) fn operations(&self) -> Vec<String> {
        let calls = lock(&self.shared.calls);
        calls.iter().filter(|o| !o.is_empty()).cloned().collect()
    }

    /// How many calls there were since the last decision, STS and all.
    pub(crate) fn count(&self) -> usize {
        lock(&self.shared.calls).len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Serves one call; the connection is closed after it.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        let (mut operation, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            let (name, value) = text.split_once(": ").unwrap_or((text, ""));
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => {
                    operation = value.rsplit('.').next().unwrap_or_default().to_owned();
                }
                "content-length" => length = value.parse().unwrap_or(0),
                "connection" => continue,
                _ => {}
            }
            head.push_str(text);
            head.push_str("\r\n");
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let number = {
            let mut calls = lock(&self.calls);
            calls.push(operation.clone());
            calls.len() - 1
        };
        let decide = Arc::clone(&lock(&self.decide));
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let fate = decide(number, &operation, &json);
        let answer = match fate {
            Fate::HangUp => return None,
            Fate::Fail(status, code) => {
                let text = format!("{{\"__type\":\"{code}\",\"message\":\"as the test says\"}}");
                response(status, text.as_bytes())
            }
            Fate::Pass => {
                let answer = self.forward(&head, &body)?;
                lock(&self.answers).insert(operation, answer.clone());
                answer
            }
            Fate::Lose => {
                self.forward(&head, &body)?;
                return None;
            }
            Fate::Late(by) => {
                std::thread::sleep(by);
                self.forward(&head, &body)?
            }
            Fate::Twice => {
                self.forward(&head, &body)?;
                self.forward(&head, &body)?
            }
            Fate::Mangle(mangle) => mangle(self.forward(&head, &body)?),
            Fate::Reset => {
                let answer = self.forward(&head, &body)?;
                let mut stream = reader.into_inner();
                stream.write_all(&answer[..answer.len() / 2]).ok()?;
                // What is not sent yet is dropped, and the other end told so.
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).ok()?;
                return None;
            }
            Fate::Stale => {
                let kept = lock(&self.answers).get(&operation).cloned();
                match kept {
                    Some(answer) => answer,
                    None => self.forward(&head, &body)?,
                }
            }
            Fate::PassThen(act) => {
                let answer = self.forward(&head, &body)?;
                act();
                answer
            }
            Fate::Edit(edit) => {
                let mut answer = self.forward(&head, &body)?;
                edit(&mut answer);
                answer
            }
            Fate::Rewrite(rewrite) => {
                let answer = self.forward(&head, &body)?;
                let start = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
                let mut json: Value = serde_json::from_slice(&answer[start..]).ok()?;
                rewrite(&mut json);
                response(200, json.to_string().as_bytes())
            }
        };
        reader.into_inner().write_all(&answer).ok()
    }

    fn forward(&self, head: &str, body: &[u8]) -> Option<Vec<u8>> {
        let mut there = TcpStream::connect(&self.target).ok()?;
        there.write_all(head.as_bytes()).ok()?;
        there.write_all(body).ok()?;
        let mut answer = Vec::new();
        there.read_to_end(&mut answer).ok()?;
        Some(answer)
    }
}

fn response(status: u16, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

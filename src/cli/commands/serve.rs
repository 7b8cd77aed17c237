use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustix::process::Signal;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::child::Signals;
use super::super::context::{new_uuid, var};
use super::super::credentials::{self, WHOLE};
use super::super::endpoint;
use super::DONE;
use crate::aws::signature::SigningSecret;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::server::http::{self, Door};
use crate::server::proxy2773::{self, Agent};
use crate::server::{AccessLog, Answer, Caller, Grant, Hosts, Key, Keys, Limits, Stopper, Tls};
use crate::vault::Vault;

/// Serve the vault to AWS's SDKs
///
/// Answers AWS Secrets Manager's API from the vault, on this machine alone unless
/// --listen says otherwise, and the Secrets Manager agent's protocol beside it. Requests
/// must be signed: with the keys in the variables STRONGROOM_SERVE_ACCESS_KEY_ID and
/// STRONGROOM_SERVE_SECRET_ACCESS_KEY, else with those in a credentials file that is made
/// once and whose path is said. For each remote whose account is known that file has a
/// further profile, which sees the vault as that account. Ends on Ctrl-C.
///
/// Example: strongroom serve --read-only --allow dev/
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2774")]
    listen: String,
    /// The port on 127.0.0.1 for clients of the Secrets Manager agent
    #[arg(long, value_name = "PORT", default_value_t = proxy2773::PORT, conflicts_with = "no_agent_port")]
    agent_port: u16,
    /// Do not serve clients of the Secrets Manager agent
    #[arg(long)]
    no_agent_port: bool,
    /// Refuse everything that would change the vault
    #[arg(long)]
    read_only: bool,
    /// Let clients see only these secrets: a name, or a prefix that ends in / or * (can
    /// be repeated)
    #[arg(long, value_name = "PREFIX")]
    allow: Vec<String>,
    /// Write a line of JSON for each request to FILE, never a value
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Write where the doors are to FILE, as JSON, once requests are answered
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Print where the doors are on stdout, as a line of JSON, once requests are answered
    #[arg(long)]
    stdio_ready: bool,
    /// Serve HTTPS with this certificate chain, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// A secret that is shorter can be found by trying.
const SHORTEST: usize = 16;

impl Serve {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let given = given_pair()?;
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(
                Tls::read(certificate, key)
                    .map_err(|e| CommandError::from_error(Exit::Usage, e))?,
            ),
            _ => None,
        };
        let (host, address) = self.address()?;
        if !address.ip().is_loopback() && tls.is_none() {
            ctx.ui
                .warn("values will cross the network unencrypted; add --tls-cert and --tls-key");
        }
        let access = self.access()?;
        let answer = endpoint::open_service(ctx)?;
        let vault = ctx.open()?;
        let plan = Plan {
            given,
            tls,
            host,
            address,
            access,
        };
        endpoint::block_on(self.serve(ctx, &vault, answer, plan))
    }

    /// The host's name as it was given, and the address it stands for.
    fn address(&self) -> Result<(String, SocketAddr), CommandError> {
        let bad = |why: &str| CommandError::usage(format!("--listen {}: {why}", self.listen));
        let (host, _) = self
            .listen
            .rsplit_once(':')
            .ok_or_else(|| bad("give a host and a port, as in 127.0.0.1:2774"))?;
        let address = self
            .listen
            .to_socket_addrs()
            .map_err(|e| bad(&e.to_string()))?
            .next()
            .ok_or_else(|| bad("no such host"))?;
        Ok((host.to_owned(), address))
    }

    fn access(&self) -> Result<Option<Arc<AccessLog>>, CommandError> {
        let Some(path) = &self.access_log else {
            return Ok(None);
        };
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| failed(path, &e))?;
        Ok(Some(Arc::new(AccessLog::new(file))))
    }

    fn grant(&self) -> Grant {
        Grant {
            read_only: self.read_only,
            only: self.allow.clone(),
        }
    }

    async fn serve(
        &self,
        ctx: &Context,
        vault: &Vault,
        answer: Arc<dyn Answer>,
        plan: Plan,
    ) -> CommandResult {
        let mut signals = Signals::catch()?;
        let home = vault.state_dir().join("endpoint");
        let file = home.join("credentials");
        let (keys, whole) = self.keys(vault, plan.given, &file)?;
        let (front, front_at) = endpoint::listen(plan.address).await?;
        let mut agent = None;
        if !self.no_agent_port {
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, self.agent_port));
            let opened = endpoint::listen(at).await;
            agent = Some(opened.map_err(|e| {
                e.hint(
                    "choose another with --agent-port PORT, or leave it out with --no-agent-port",
                )
            })?);
        }
        let limits = Limits::default();
        let (stopper, stop) = Stopper::new();
        let names = [plan.host.trim_matches(['[', ']']).to_owned()];
        let hosts = Hosts::new(names.into_iter().filter(|n| !is_any(n)));
        let door = Door {
            answer: Arc::clone(&answer),
            keys,
            pass: None,
            hosts: hosts.clone(),
            clock: endpoint::clock(),
            access: plan.access.clone(),
            limits,
        };
        let scheme = if plan.tls.is_some() { "https" } else { "http" };
        let shown = match is_any(&plan.host) {
            true => front_at.to_string(),
            false => format!("{}:{}", plan.host, front_at.port()),
        };
        let url = format!("{scheme}://{shown}");
        let mut doors = vec![tokio::spawn(http::serve(
            front,
            Arc::new(door),
            plan.tls,
            stop.clone(),
        ))];
        let mut ready = json!({ "endpoint": url, "credentials": file });
        let mut lines = vec![
            format!("AWS_ENDPOINT_URL_SECRETS_MANAGER={url}"),
            format!("AWS_SHARED_CREDENTIALS_FILE={}", file.display()),
        ];
        if let Some((listener, at)) = agent {
            let path = home.join("token");
            let token = credentials::keep_token(&path)?;
            let agent = Agent {
                answer,
                tokens: vec![token],
                caller: Caller {
                    access_key: whole,
                    account: None,
                    region: endpoint::region(vault),
                    grant: self.grant(),
                },
                hosts: Hosts::default(),
                clock: endpoint::clock(),
                access: plan.access,
                limits,
            };
            doors.push(tokio::spawn(proxy2773::serve(
                listener,
                Arc::new(agent),
                stop,
            )));
            if let Some(object) = ready.as_object_mut() {
                object.insert("agent".to_owned(), json!(format!("http://{at}")));
                object.insert("token".to_owned(), json!(path));
            }
            lines.push(format!(
                "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT={}",
                at.port()
            ));
            lines.push(format!("AWS_TOKEN=file://{}", path.display()));
        }
        ctx.ui.status(&format!(
            "Serving at {url}; point a client to it by these variables:"
        ));
        for line in &lines {
            ctx.ui.status(&format!("  {line}"));
        }
        let _ready = self.say_ready(ctx, &ready)?;
        loop {
            // A first Ctrl-C closes the doors; what is under way is still answered.
            match signals.next().await {
                Some((Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT, _)) | None => break,
                Some(_) => {}
            }
        }
        stopper.stop();
        for door in doors {
            drop(door.await);
        }
        ctx.ui.status("Stopped");
        DONE
    }

    /// The keys that are accepted, and the id of the one for the whole vault.
    fn keys(
        &self,
        vault: &Vault,
        given: Option<Pair>,
        file: &Path,
    ) -> Result<(Arc<Keys>, String), CommandError> {
        let keys = Keys::default();
        let config = vault.config();
        let bound = config.remotes.iter();
        let accounts: Vec<(String, String)> = bound
            .filter_map(|(name, r)| Some((name.to_string(), r.account.clone()?)))
            .collect();
        // A remote of the name `default` would take the place of the whole vault.
        let names = accounts.iter().map(|(n, _)| match n.as_str() {
            WHOLE => format!("remote-{n}"),
            n => n.to_owned(),
        });
        let own = given.is_none().then(|| WHOLE.to_owned());
        let names: Vec<String> = own.into_iter().chain(names).collect();
        let mut profiles = credentials::keep(file, &names)?.into_iter();
        let whole = match given {
            Some(pair) => pair,
            None => profiles
                .next()
                .map(|p| (p.id, p.secret))
                .ok_or_else(|| CommandError::new(Exit::Unexpected, "no key was made"))?,
        };
        let accept = |(id, secret): Pair, account: Option<String>| {
            keys.add(Key {
                id,
                secret: SigningSecret::new(secret),
                session: None,
                account,
                grant: self.grant(),
            });
        };
        let id = whole.0.clone();
        accept(whole, None);
        for (profile, (_, account)) in profiles.zip(accounts) {
            accept((profile.id, profile.secret), Some(account));
        }
        Ok((Arc::new(keys), id))
    }

    /// Tells scripts that requests are answered; the file goes with what is returned.
    fn say_ready(
        &self,
        ctx: &Context,
        ready: &serde_json::Value,
    ) -> Result<Option<ReadyFile>, CommandError> {
        let file = match &self.ready_file {
            Some(path) => Some(ReadyFile::write(path, ready)?),
            None => None,
        };
        if self.stdio_ready {
            ctx.ui.line(&ready.to_string())?;
        }
        Ok(file)
    }
}

/// What is known before the first socket.
struct Plan {
    given: Option<Pair>,
    tls: Option<Tls>,
    host: String,
    address: SocketAddr,
    access: Option<Arc<AccessLog>>,
}

/// An access key id and its secret.
type Pair = (String, Zeroizing<String>);

/// The keys of the environment.
fn given_pair() -> Result<Option<Pair>, CommandError> {
    let text = |name: &str| var(name).and_then(|v| v.into_string().ok());
    let id = text("STRONGROOM_SERVE_ACCESS_KEY_ID");
    let secret = text("STRONGROOM_SERVE_SECRET_ACCESS_KEY").map(Zeroizing::new);
    let (id, secret) = match (id, secret) {
        (None, None) => return Ok(None),
        (Some(id), Some(secret)) => (id, secret),
        _ => {
            return Err(CommandError::usage(
                "STRONGROOM_SERVE_ACCESS_KEY_ID and STRONGROOM_SERVE_SECRET_ACCESS_KEY go together",
            ));
        }
    };
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !(4..=128).contains(&id.len()) || !id.bytes().all(word) {
        return Err(CommandError::usage(
            "STRONGROOM_SERVE_ACCESS_KEY_ID has 4 to 128 letters, digits and _",
        ));
    }
    if secret.len() < SHORTEST {
        return Err(CommandError::usage(format!(
            "STRONGROOM_SERVE_SECRET_ACCESS_KEY has fewer than {SHORTEST} characters"
        )));
    }
    Ok(Some((id, secret)))
}

/// Whether a host stands for every address of the machine.
fn is_any(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    bare.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified())
}

/// The file that says where the doors are, for as long as they are there.
struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Written whole: whoever sees it can read it to its end.
    fn write(path: &Path, ready: &serde_json::Value) -> Result<Self, CommandError> {
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty());
        let temp = dir
            .unwrap_or(Path::new("."))
            .join(format!(".{}", new_uuid()));
        std::fs::write(&temp, format!("{ready}\n"))
            .and_then(|()| std::fs::rename(&temp, path))
            .map_err(|e| {
                drop(std::fs::remove_file(&temp));
                failed(path, &e)
            })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use clap::Args;
use zeroize::Zeroizing;

use super::super::child::{self, Changes, Signals};
use super::super::context::{OWN_SECRETS, var};
use super::super::endpoint;
use super::super::memory::MemoryDir;
use super::binding::Binding;
use crate::aws::signature::SigningSecret;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::freshness;
use crate::model::SecretName;
use crate::server::http::{self, Door, Pass};
use crate::server::proxy2773::{self, Agent};
use crate::server::{Answer, Caller, Grant, Hosts, Key, KeyPair, Keys, Limits, Stopper};

/// Run a program against the vault
///
/// Starts a Secrets Manager endpoint for this one program, on a port and with a key
/// pair of its own, and points AWS's SDKs, the AWS CLI and clients of the Secrets
/// Manager agent to it. The endpoint ends with the program. Calls to other AWS services
/// fail for want of credentials, unless --keep-aws is given.
///
/// Example: strongroom exec -- python app.py
#[derive(Debug, Args)]
pub struct Exec {
    /// Let the program see only these secrets: a name, or a prefix that ends in / or *
    /// (can be repeated)
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Refuse everything that would change the vault
    #[arg(long)]
    read_only: bool,
    /// Leave the program your own AWS credentials for other services
    #[arg(long)]
    keep_aws: bool,
    /// Set a variable to a secret's value, or to a member of its JSON (can be repeated)
    #[arg(long, value_name = "NAME=SELECTOR[.FIELD]")]
    env: Vec<Binding>,
    /// Write a value to a file in memory and set a variable to its path (can be repeated)
    #[arg(long, value_name = "NAME=SELECTOR[.FIELD]")]
    file: Vec<Binding>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The variables by which a client finds the endpoint; nobody else may set them.
const SET: [&str; 11] = [
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
    "AWS_TOKEN",
    "NO_PROXY",
];
/// Variables by which a client would take other keys than ours, or think ours to end.
const REMOVED: [&str; 4] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
];
impl Exec {
    /// Runs a program with nothing asked for.
    pub(super) fn of(command: Vec<OsString>) -> Self {
        Self {
            only: Vec::new(),
            read_only: false,
            keep_aws: false,
            env: Vec::new(),
            file: Vec::new(),
            command,
        }
    }

    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        self.check_names()?;
        self.check_freshness(ctx)?;
        let answer = endpoint::open_service(ctx)?;
        self.run_with(ctx, answer)
    }

    /// No variable may be set twice, least of all one that we set.
    fn check_names(&self) -> Result<(), CommandError> {
        let bound: Vec<&str> = self
            .env
            .iter()
            .chain(&self.file)
            .map(Binding::name)
            .collect();
        for (at, name) in bound.iter().enumerate() {
            let ours = SET.iter().chain(&REMOVED).chain(&OWN_SECRETS);
            if ours.into_iter().any(|n| n.eq_ignore_ascii_case(name)) {
                return Err(CommandError::usage(format!(
                    "{name} is set by exec itself and cannot be given a value"
                )));
            }
            if bound.iter().take(at).any(|before| before == name) {
                return Err(CommandError::usage(format!("{name} is given two values")));
            }
        }
        Ok(())
    }

    /// Nothing that the program may see is stale without a word.
    fn check_freshness(&self, ctx: &Context) -> Result<(), CommandError> {
        let vault = ctx.open()?;
        if vault.config().freshness.is_empty() {
            return Ok(());
        }
        let bound: Result<Vec<SecretName>, CommandError> = self
            .env
            .iter()
            .chain(&self.file)
            .map(|binding| binding.secret(&vault))
            .collect();
        let (bound, grant) = (bound?, self.grant());
        freshness::check_all(ctx, &vault, |name| {
            grant.covers(name) || bound.contains(name)
        })
    }

    fn grant(&self) -> Grant {
        Grant {
            read_only: self.read_only,
            only: self.only.clone(),
        }
    }

    pub(super) fn run_with(self, ctx: &Context, answer: Arc<dyn Answer>) -> CommandResult {
        endpoint::block_on(self.serve_and_run(ctx, answer))
    }

    async fn serve_and_run(self, ctx: &Context, answer: Arc<dyn Answer>) -> CommandResult {
        // First of all: no signal may end us with a value left in a file.
        let mut signals = Signals::catch()?;
        let vault = ctx.open()?;
        let region = endpoint::region(&vault);
        let mut changes = Changes::new();
        for binding in &self.env {
            let value = binding.value(&vault, &*answer, &region)?;
            changes.insert(binding.name().to_owned(), Some(binding.for_env(&value)?));
        }
        let dir = match self.file.is_empty() {
            true => None,
            false => Some(MemoryDir::make(ctx, "exec")?),
        };
        for binding in &self.file {
            if let Some(dir) = &dir {
                let value = binding.value(&vault, &*answer, &region)?;
                let path = dir.write(binding.name(), value.expose_secret())?;
                changes.insert(binding.name().to_owned(), Some(path.into_os_string()));
            }
        }
        drop(vault);

        let pair = endpoint::mint()?;
        let grant = self.grant();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (front, front_at) = endpoint::listen(any).await?;
        let (agent, agent_at) = endpoint::listen(any).await?;
        let found = Surroundings {
            region: &region,
            front: front_at,
            agent: agent_at,
            pair: &pair,
            keep_aws: self.keep_aws,
        };
        changes.extend(found.changes(var));

        // The sockets are there, so the program can connect from its first moment on.
        let mut child = child::start(ctx, &self.command, &changes)?;
        drop(changes);
        let (stopper, stop) = Stopper::new();
        let (door, keys) = self.door(&pair, &grant, &region, &answer);
        let doors = [
            tokio::spawn(http::serve(front, door, None, stop.clone())),
            tokio::spawn(proxy2773::serve(
                agent,
                self.agent(pair, &grant, &region, answer),
                stop,
            )),
        ];
        let ended = child::wait(&mut child, &mut signals).await;
        drop(keys);
        drop(dir);
        stopper.stop();
        for door in doors {
            // What is still asked now is asked by nobody.
            door.abort();
            drop(door.await);
        }
        ended
    }

    fn door(
        &self,
        pair: &KeyPair,
        grant: &Grant,
        region: &str,
        answer: &Arc<dyn Answer>,
    ) -> (Arc<Door>, Lent) {
        let keys = Arc::new(Keys::default());
        let pass = self.keep_aws.then(|| Pass {
            token: pair.token.clone(),
            caller: caller(pair, grant, region),
        });
        if pass.is_none() {
            keys.add(Key {
                id: pair.id.clone(),
                secret: SigningSecret::new(pair.secret.clone()),
                session: Some(pair.token.clone()),
                account: None,
                grant: grant.clone(),
            });
        }
        let lent = Lent {
            keys: Arc::clone(&keys),
            id: pair.id.clone(),
        };
        let door = Door {
            answer: Arc::clone(answer),
            keys,
            pass,
            hosts: Hosts::default(),
            clock: endpoint::clock(),
            access: None,
            limits: Limits::default(),
        };
        (Arc::new(door), lent)
    }

    fn agent(
        &self,
        pair: KeyPair,
        grant: &Grant,
        region: &str,
        answer: Arc<dyn Answer>,
    ) -> Arc<Agent> {
        let caller = caller(&pair, grant, region);
        let mut tokens = vec![pair.token];
        // The extension's clients send the session token they have, which is the
        // user's own then. Nobody else has it either.
        if self.keep_aws
            && let Some(own) = var("AWS_SESSION_TOKEN").and_then(|t| t.into_string().ok())
        {
            tokens.push(Zeroizing::new(own));
        }
        Arc::new(Agent {
            answer,
            tokens,
            caller,
            hosts: Hosts::default(),
            clock: endpoint::clock(),
            access: None,
            limits: Limits::default(),
        })
    }
}

/// A key that is unknown once this is dropped.
struct Lent {
    keys: Arc<Keys>,
    id: String,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.keys.revoke(&self.id);
    }
}

fn caller(pair: &KeyPair, grant: &Grant, region: &str) -> Caller {
    Caller {
        access_key: pair.id.clone(),
        account: None,
        region: region.to_owned(),
        grant: grant.clone(),
    }
}

/// What a client must find to find the endpoint.
struct Surroundings<'a> {
    region: &'a str,
    front: SocketAddr,
    agent: SocketAddr,
    pair: &'a KeyPair,
    keep_aws: bool,
}

impl Surroundings<'_> {
    /// The changes of the environment; `own` is what the user has set.
    fn changes(&self, own: impl Fn(&str) -> Option<OsString>) -> Changes {
        let mut changes = Changes::new();
        let mut set = |name: &str, value: String| {
            changes.insert(name.to_owned(), Some(OsString::from(value)));
        };
        let token = self.pair.token.as_str();
        set(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            self.agent.port().to_string(),
        );
        set("AWS_TOKEN", token.to_owned());
        // A profile may say `ignore_configured_endpoint_urls = true`; this outranks it.
        set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false".to_owned());
        if self.keep_aws {
            let url = format!("http://{}/{token}", self.front);
            set("AWS_ENDPOINT_URL_SECRETS_MANAGER", url);
        } else {
            let url = format!("http://{}", self.front);
            set("AWS_ENDPOINT_URL_SECRETS_MANAGER", url);
            set("AWS_ACCESS_KEY_ID", self.pair.id.clone());
            set("AWS_SECRET_ACCESS_KEY", self.pair.secret.to_string());
            set("AWS_SESSION_TOKEN", token.to_owned());
            set("AWS_REGION", self.region.to_owned());
            set("AWS_DEFAULT_REGION", self.region.to_owned());
            set("AWS_EC2_METADATA_DISABLED", "true".to_owned());
            for name in REMOVED {
                changes.insert(name.to_owned(), None);
            }
        }
        // A proxy must not be asked for what is on this machine.
        let proxies = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
        if proxies.iter().any(|name| own(name).is_some()) {
            let listed = own("no_proxy").or_else(|| own("NO_PROXY"));
            let mut list = listed.unwrap_or_default();
            if !list.is_empty() {
                list.push(",");
            }
            list.push("127.0.0.1,localhost");
            changes.insert("no_proxy".to_owned(), Some(list.clone()));
            changes.insert("NO_PROXY".to_owned(), Some(list));
        }
        changes
    }
}

#[cfg(test)]
#[path = "exec_tests.rs"]
mod tests;

//! What stands in for AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use aws_credential_types::Credentials;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Region};
use strongroom::aws::AwsStore;
use strongroom::aws::signature::SigningSecret;
use strongroom::config::RemoteConfig;
use strongroom::crypto::Identity;
use strongroom::model::{
    Change, Direction, RemoteSecret, RemoteView, Scope, SecretName, SecretValue, Stamp, Timestamp,
    VersionId,
};
use strongroom::server::http::{self, Door};
use strongroom::server::service::Options;
use strongroom::server::{Clock, Grant, Hosts, Key, Keys as Accepted, Limits, Service, Stopper};
use strongroom::store::{MemoryStore, Progress, Retrieved, SecretStore, StoreError};
use strongroom::vault::{InitOptions, Vault};
use tempfile::TempDir;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::moto::{self, Keys, Moto, REGION};
use crate::proxy::{Fate, Proxy};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum On {
    Model,
    Moto,
    Endpoint,
}

/// One of them, as the engine reaches it and as anybody else does.
pub(super) enum Backend {
    Model(MemoryStore),
    Remote { store: AwsStore, sdk: Client },
}

impl Backend {
    pub(super) fn model() -> Self {
        let now = Timestamp::from_secs(1_800_000_000);
        Self::Model(MemoryStore::new("123456789012", REGION, now))
    }

    pub(super) async fn moto(moto: &Moto) -> Self {
        let keys = moto.account("100000000900");
        Self::remote(&moto.remote(), &keys).await
    }

    async fn remote(config: &RemoteConfig, keys: &Keys) -> Self {
        let session = (!keys.session.is_empty()).then(|| keys.session.clone());
        let url = config.endpoint.clone().expect("an endpoint");
        let sdk = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new(
                &keys.id,
                &keys.secret,
                session,
                None,
                "tests",
            ))
            .endpoint_url(url)
            .build();
        Self::Remote {
            store: moto::connect(config, keys).await.expect("it answers"),
            sdk: Client::from_conf(sdk),
        }
    }
}

impl SecretStore for Backend {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        match self {
            Self::Model(store) => store.view(known, progress).await,
            Self::Remote { store, .. } => store.view(known, progress).await,
        }
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        match self {
            Self::Model(store) => store.describe(name).await,
            Self::Remote { store, .. } => store.describe(name).await,
        }
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        match self {
            Self::Model(store) => store.policy(name).await,
            Self::Remote { store, .. } => store.policy(name).await,
        }
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        match self {
            Self::Model(store) => store.read(name, id).await,
            Self::Remote { store, .. } => store.read(name, id).await,
        }
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        match self {
            Self::Model(store) => store.read_current(names).await,
            Self::Remote { store, .. } => store.read_current(names).await,
        }
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Model(store) => store.apply(name, change, value).await,
            Self::Remote { store, .. } => store.apply(name, change, value).await,
        }
    }
}

/// strongroom's own endpoint over a vault that was just made.
///
/// The connection to AWS refuses to talk to another strongroom, which it knows by the
/// `Server` header; a proxy in between takes the name away.
pub(super) struct Endpoint {
    url: String,
    hidden: Proxy,
    keys: Keys,
    stopper: Stopper,
    _dir: TempDir,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

impl Endpoint {
    pub(super) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = InitOptions {
            vault_id: "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90",
            keyring: Identity::generate(),
            member_name: "ann",
            member: &Identity::generate().recipient(),
            now: now(),
            git: false,
        };
        let (vault, _) =
            Vault::init(&dir.path().join("v"), &dir.path().join("state"), options).unwrap();
        let options = Options {
            no_commit: true,
            ..Options::default()
        };
        let keys = Keys {
            id: "AKSTRONGROOMTESTTEST".to_owned(),
            secret: "a secret access key of the tests".to_owned(),
            session: String::new(),
        };
        let accepted = Accepted::default();
        accepted.add(Key {
            id: keys.id.clone(),
            secret: SigningSecret::new(Zeroizing::new(keys.secret.clone())),
            session: None,
            account: None,
            grant: Grant::default(),
        });
        let made = AtomicU64::new(0);
        let clock: Clock = Arc::new(move || {
            let n = made.fetch_add(1, Ordering::SeqCst);
            Stamp {
                now: now(),
                id: format!("{n:08x}-0000-4000-8000-{n:012x}").parse().unwrap(),
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let door = Door {
            answer: Arc::new(Service::new(vault, options).unwrap()),
            keys: Arc::new(accepted),
            pass: None,
            hosts: Hosts::default(),
            clock,
            access: None,
            limits: Limits::default(),
        };
        let (stopper, stop) = Stopper::new();
        tokio::spawn(http::serve(listener, Arc::new(door), None, stop));
        let hidden = Proxy::start(&url);
        hidden.decide(|_, _, _| Fate::Edit(without_name));
        Self {
            url,
            hidden,
            keys,
            stopper,
            _dir: dir,
        }
    }

    pub(super) async fn backend(&self) -> Backend {
        Backend::remote(&remote(self.hidden.url()), &self.keys).await
    }

    /// Without the proxy.
    pub(super) async fn unhidden(&self) -> Backend {
        Backend::remote(&remote(self.url.clone()), &self.keys).await
    }
}

fn remote(url: String) -> RemoteConfig {
    RemoteConfig {
        name: "prod".parse().unwrap(),
        region: REGION.into(),
        account: None,
        profile: None,
        role_arn: None,
        endpoint: Some(url),
        scope: Scope::default(),
        direction: Direction::default(),
        on_conflict: strongroom::model::Strategy::Hold,
        extras: strongroom::model::Extras::default(),
    }
}

/// An answer whose `Server` header says nothing.
fn without_name(answer: &mut [u8]) {
    const NAME: &[u8] = b"server: strongroom\r\n";
    let at = answer.windows(NAME.len()).position(|w| w == NAME);
    let at = at.expect("the endpoint says who it is");
    answer[at..at + NAME.len()].copy_from_slice(b"server: somebodyxx\r\n");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the signatures of a real client are of the real time"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_millis(i64::try_from(since.unwrap().as_millis()).unwrap())
}

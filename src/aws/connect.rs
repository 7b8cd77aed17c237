//! Credentials, endpoint, Region, and whose account it is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use secrecy::{ExposeSecret as _, SecretString};

use super::convert;
use super::itself::LoopGuard;
use crate::config::RemoteConfig;
use crate::model::Escaped;
use crate::store::StoreError;

/// What a connection may be given beside its configuration.
#[derive(Default)]
pub struct Options {
    /// Keys to use in place of the SDK's credential chain. A configured role is
    /// assumed with them.
    pub keys: Option<AccessKeys>,
}

/// A pair of AWS keys.
pub struct AccessKeys {
    /// AWS_ACCESS_KEY_ID.
    pub id: String,
    /// AWS_SECRET_ACCESS_KEY.
    pub secret: SecretString,
    /// AWS_SESSION_TOKEN, where the keys belong to a session.
    pub session: Option<SecretString>,
}

/// Whose account a connection was seen to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The 12-digit account id, from STS or from the ARN of an item.
    pub account: Option<String>,
    /// The caller's own ARN, where STS answers.
    pub caller: Option<String>,
}

/// Loads the SDK's configuration: the standard credential chain, the profile, the
/// role on top of it, the Region and the endpoint.
pub(super) async fn load(config: &RemoteConfig, options: &Options) -> SdkConfig {
    let mut loader: ConfigLoader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.region.clone()))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(30))
                .build(),
        );
    if let Some(profile) = &config.profile {
        // The standard chain would take keys from the environment first. Who names a
        // profile means that one, as with the AWS CLI.
        let region = Some(Region::new(config.region.clone()));
        let provider = ProfileFileCredentialsProvider::builder()
            .profile_name(profile)
            .configure(&ProviderConfig::without_region().with_region(region))
            .build();
        loader = loader.profile_name(profile).credentials_provider(provider);
    }
    if let Some(url) = &config.endpoint {
        loader = loader.endpoint_url(url);
    }
    if let Some(keys) = &options.keys {
        loader = loader.credentials_provider(Credentials::new(
            &keys.id,
            keys.secret.expose_secret(),
            keys.session.as_ref().map(|s| s.expose_secret().to_owned()),
            None,
            "strongroom",
        ));
    }
    let sdk = loader.load().await;
    let (Some(role), Some(base)) = (&config.role_arn, sdk.credentials_provider()) else {
        return sdk;
    };
    let provider = aws_config::sts::AssumeRoleProvider::builder(role)
        .session_name("strongroom")
        .configure(&for_sts(&sdk))
        .build_from_provider(base)
        .await;
    sdk.into_builder()
        .credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(provider),
        )
        .build()
}

/// The same for STS. A custom endpoint is a whole AWS in miniature and answers for
/// STS too; an endpoint of AWS's own, in a VPC for example, is Secrets Manager's alone.
fn for_sts(sdk: &SdkConfig) -> SdkConfig {
    let mut builder = sdk.to_builder();
    if sdk.endpoint_url().is_some_and(is_amazons) {
        builder.set_endpoint_url(None);
    }
    builder.build()
}

fn is_amazons(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"]
        .iter()
        .any(|domain| host.to_ascii_lowercase().ends_with(domain))
}

/// A client that tries once: the buckets must see every throttle.
pub(super) fn client(sdk: &SdkConfig) -> aws_sdk_secretsmanager::Client {
    let config = aws_sdk_secretsmanager::config::Builder::from(sdk)
        .retry_config(RetryConfig::disabled())
        .interceptor(LoopGuard)
        // Its own, so that a new client asks the provider anew.
        .identity_cache(aws_sdk_secretsmanager::config::IdentityCache::lazy().build())
        .build();
    aws_sdk_secretsmanager::Client::from_conf(config)
}

/// Asks STS whose keys these are. `None` where it does not say: it may be out of
/// reach, forbidden, or missing behind a custom endpoint. Keys that are bad show
/// themselves at the first real call.
pub(super) async fn ask_sts(sdk: &SdkConfig) -> Option<Identity> {
    let config = aws_sdk_sts::config::Builder::from(&for_sts(sdk))
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(3))
                .operation_timeout(Duration::from_secs(8))
                .build(),
        )
        .build();
    let answer = aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .send()
        .await
        .ok()?;
    let account = answer.account.filter(|a| !a.is_empty());
    account.is_some().then_some(Identity {
        account,
        caller: answer.arn,
    })
}

/// Holds every answer against the account and Region that it must come from
/// (sync.md section 1.11).
pub(super) struct Guard {
    region: String,
    pinned: Option<String>,
    seen: Mutex<Identity>,
}

impl Guard {
    pub(super) fn new(config: &RemoteConfig) -> Self {
        Self {
            region: config.region.clone(),
            pinned: config.account.clone(),
            seen: Mutex::default(),
        }
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    pub(super) fn seen(&self) -> Identity {
        self.lock().clone()
    }

    /// Checks and keeps what STS said.
    pub(super) fn met(&self, identity: Identity) -> Result<(), StoreError> {
        let account = identity.account.clone().unwrap_or_default();
        if self.pinned.as_ref().is_some_and(|p| *p != account) {
            return Err(self.wrong(&self.region, &account));
        }
        *self.lock() = identity;
        Ok(())
    }

    /// Checks the ARN of an item. The first one tells the account where nothing was
    /// pinned and STS is silent.
    pub(super) fn check(&self, arn: &str) -> Result<(), StoreError> {
        let (region, account) = convert::place(arn)
            .ok_or_else(|| StoreError::Corrupt(format!("no ARN of a secret: {}", Escaped(arn))))?;
        let mut seen = self.lock();
        let expected = self.pinned.as_ref().or(seen.account.as_ref());
        if region != self.region || expected.is_some_and(|a| a != account) {
            drop(seen);
            return Err(self.wrong(region, account));
        }
        if seen.account.is_none() {
            seen.account = Some(account.to_owned());
        }
        Ok(())
    }

    fn wrong(&self, region: &str, account: &str) -> StoreError {
        let expected = self.pinned.clone().or_else(|| self.lock().account.clone());
        StoreError::WrongAccount {
            expected: format!("{} in {}", expected.unwrap_or_default(), self.region),
            found: format!("{} in {}", Escaped(account), Escaped(region)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Identity> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Direction, Scope};

    fn guard(account: Option<&str>) -> Guard {
        Guard::new(&RemoteConfig {
            name: "prod".parse().unwrap(),
            region: "eu-west-1".into(),
            account: account.map(str::to_owned),
            profile: None,
            role_arn: None,
            endpoint: None,
            scope: Scope::default(),
            direction: Direction::default(),
            on_conflict: crate::model::Strategy::Hold,
            extras: crate::model::Extras::default(),
        })
    }

    fn arn(region: &str, account: &str) -> String {
        format!("arn:aws:secretsmanager:{region}:{account}:secret:a-AbCdEf")
    }

    #[test]
    fn sync_1_11_every_item_must_be_of_the_pinned_account_and_region() {
        let guard = guard(Some("111111111111"));
        assert_eq!(guard.check(&arn("eu-west-1", "111111111111")), Ok(()));
        for wrong in [
            arn("eu-west-1", "222222222222"),
            arn("eu-west-2", "111111111111"),
        ] {
            assert!(matches!(
                guard.check(&wrong),
                Err(StoreError::WrongAccount { .. })
            ));
        }
        assert!(matches!(guard.check("a"), Err(StoreError::Corrupt(_))));
        let other = Identity {
            account: Some("222222222222".into()),
            caller: None,
        };
        assert!(matches!(
            guard.met(other),
            Err(StoreError::WrongAccount { .. })
        ));
    }

    #[test]
    fn an_unpinned_connection_holds_on_to_the_first_account_it_sees() {
        let guard = guard(None);
        assert_eq!(guard.seen(), Identity::default());
        assert_eq!(guard.check(&arn("eu-west-1", "111111111111")), Ok(()));
        assert_eq!(guard.seen().account.as_deref(), Some("111111111111"));
        assert!(guard.check(&arn("eu-west-1", "222222222222")).is_err());
    }

    #[test]
    fn only_amazons_own_endpoints_leave_sts_where_it_is() {
        for (url, own) in [
            ("https://secretsmanager.eu-west-1.amazonaws.com", true),
            (
                "https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com/",
                true,
            ),
            (
                "https://secretsmanager.cn-north-1.amazonaws.com.cn:443",
                true,
            ),
            ("http://127.0.0.1:5000", false),
            ("http://amazonaws.com.example.org", false),
        ] {
            assert_eq!(is_amazons(url), own, "{url}");
        }
    }
}

//! One call, carried through throttles, faults and expired credentials.
//!
//! Every call of this room is safe to repeat: tokens are explicit, label moves
//! compare, and the rest sets what is wanted (sync.md section 1.14).

use std::error::Error;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::connect;
use super::error::{Failure, Kind};
use super::quota::{Operation, Quota};

/// The first back-off reaches up to this.
const BASE: Duration = Duration::from_millis(100);
/// No back-off is longer.
const CAP: Duration = Duration::from_secs(20);
/// Attempts at a call that AWS throttles: about half a minute of patience.
const THROTTLED_ATTEMPTS: u32 = 10;
/// Attempts at a call that gets no answer or a broken one.
const BROKEN_ATTEMPTS: u32 = 4;

/// A client with its patience.
pub(super) struct Caller {
    sdk: SdkConfig,
    client: Mutex<Versioned>,
    quota: Quota,
}

/// A client and how often it was made anew.
struct Versioned {
    client: Client,
    made: u32,
}

impl Caller {
    pub(super) fn new(sdk: SdkConfig) -> Self {
        let client = connect::client(&sdk);
        Self {
            sdk,
            client: Mutex::new(Versioned { client, made: 0 }),
            quota: Quota::new(),
        }
    }

    pub(super) fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// Sends one request until it is answered, or for as long as that makes sense.
    pub(super) async fn call<T, E, F>(
        &self,
        operation: Operation,
        send: impl Fn(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (mut attempt, mut renewed) = (0, false);
        loop {
            self.quota.admit(operation).await;
            let (client, made) = self.client();
            let failure = match Box::pin(send(client)).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Failure::of_sdk(operation, &error),
            };
            attempt += 1;
            let most = match failure.kind {
                Kind::Throttled => {
                    self.quota.throttled(operation);
                    THROTTLED_ATTEMPTS
                }
                Kind::Fault | Kind::Unreachable | Kind::Garbled => BROKEN_ATTEMPTS,
                // The provider may have newer ones by now.
                Kind::Expired if !renewed => {
                    self.renew(made);
                    renewed = true;
                    continue;
                }
                _ => return Err(failure),
            };
            if attempt >= most {
                return Err(failure);
            }
            tokio::time::sleep(back_off(attempt, roll())).await;
        }
    }

    fn client(&self) -> (Client, u32) {
        let at = self.lock();
        (at.client.clone(), at.made)
    }

    /// Makes a client that asks the credentials provider anew, unless another call
    /// already has.
    fn renew(&self, made: u32) {
        let mut at = self.lock();
        if at.made == made {
            *at = Versioned {
                client: connect::client(&self.sdk),
                made: made.wrapping_add(1),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Versioned> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Full jitter: anything from nothing to the doubled base, `roll` out of `u32::MAX`.
fn back_off(attempt: u32, roll: u32) -> Duration {
    let doubled = 2_u32
        .checked_pow(attempt.saturating_sub(1))
        .and_then(|factor| BASE.checked_mul(factor))
        .unwrap_or(CAP);
    doubled
        .min(CAP)
        .mul_f64(f64::from(roll) / f64::from(u32::MAX))
}

/// Without a source of randomness there is no jitter, only the whole wait.
fn roll() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    /// How a call ends that always fails alike, and after how many attempts.
    async fn persistent(code: &'static str) -> (Kind, u32, u32) {
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .build();
        let caller = Caller::new(sdk);
        let attempts = AtomicU32::new(0);
        let failure = caller
            .call(Operation::GetSecretValue, |_| {
                attempts.fetch_add(1, Ordering::SeqCst);
                let error =
                    GetSecretValueError::generic(ErrorMetadata::builder().code(code).build());
                let status = StatusCode::try_from(400).unwrap();
                let raw = HttpResponse::new(status, SdkBody::empty());
                async { Err::<(), _>(SdkError::service_error(error, raw)) }
            })
            .await
            .unwrap_err();
        let made = caller.lock().made;
        (failure.kind, attempts.into_inner(), made)
    }

    #[tokio::test(start_paused = true)]
    async fn patience_depends_on_the_kind_of_failure() {
        for (code, kind, attempts, made) in [
            ("ThrottlingException", Kind::Throttled, 10, 0),
            ("InternalServiceError", Kind::Fault, 4, 0),
            // Once more, with credentials asked for anew.
            ("ExpiredTokenException", Kind::Expired, 2, 1),
            ("UnrecognizedClientException", Kind::Credentials, 1, 0),
            ("AccessDeniedException", Kind::Denied, 1, 0),
            ("ResourceNotFoundException", Kind::NotFound, 1, 0),
            ("LimitExceededException", Kind::Other, 1, 0),
        ] {
            let got = persistent(code).await;
            assert_eq!(got, (kind, attempts, made), "{code}");
        }
    }

    #[test]
    fn sync_2_back_off_doubles_from_100_ms_to_20_s_with_full_jitter() {
        for (attempt, millis) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (8, 12_800),
            (9, 20_000),
            (60, 20_000),
        ] {
            assert_eq!(
                back_off(attempt, u32::MAX),
                Duration::from_millis(millis),
                "{attempt}"
            );
            assert_eq!(back_off(attempt, 0), Duration::ZERO);
            let half = back_off(attempt, u32::MAX / 2);
            assert!(half.as_millis().abs_diff(u128::from(millis / 2)) <= 1);
        }
    }
}

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
    use super::*;

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

//! The seam between a rotation that is asked for and whatever carries it out.

use crate::model::{SecretName, VersionId};

/// One rotation to carry out (aws.md section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationJob {
    /// The secret, by the vault's name.
    pub secret: SecretName,
    /// Its full ARN: the `SecretId` of each step's event.
    pub arn: String,
    /// The function; none for a managed secret, which its owning service rotates.
    pub function: Option<String>,
    /// The version to be made: the `ClientRequestToken` of each step's event.
    pub token: VersionId,
    /// Which steps.
    pub steps: RotationSteps,
}

/// Which of the four steps a rotation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationSteps {
    /// createSecret, setSecret, testSecret, finishSecret. The version named by the
    /// token is there, with AWSPENDING and without a value.
    All,
    /// testSecret alone, for RotateImmediately=false. The rotator puts a copy of the
    /// current value under AWSPENDING and takes the label off again afterwards.
    Test,
}

/// Whoever runs rotation functions.
///
/// It works through the endpoint as any client does: the service only tells it what to
/// begin with, and learns the end from UpdateSecretVersionStage.
pub trait Rotator: Send + Sync {
    /// Whether a function can be invoked. Asked before anything is changed: a refused
    /// RotateSecret leaves nothing behind (aws.md section 7). `None` asks for a managed
    /// secret, which has no function.
    fn serves(&self, function: Option<&str>) -> bool;

    /// Starts the steps and returns at once. A job whose token was started before is
    /// tried again; failures are the rotator's own to retry.
    fn start(&self, job: RotationJob);
}

/// Serves no function. RotateSecret then answers what AWS answers for a function that
/// is missing or that it may not invoke: AccessDeniedException (aws.md section 1).
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRotator;

impl Rotator for NoRotator {
    fn serves(&self, _function: Option<&str>) -> bool {
        false
    }

    fn start(&self, _job: RotationJob) {}
}

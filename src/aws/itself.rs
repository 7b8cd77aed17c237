//! The loop guard: a sync must not take a vault's own endpoint for AWS (design.md
//! section 7).

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// What every reply of a strongroom endpoint says in its `Server` header.
const NAME: &str = "strongroom";

/// The answer came from a strongroom endpoint.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint is strongroom itself")]
pub(super) struct Itself;

/// Looks at who answers, before the answer itself is looked at.
#[derive(Debug)]
pub(super) struct LoopGuard;

impl Intercept for LoopGuard {
    fn name(&self) -> &'static str {
        "LoopGuard"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match context.response().headers().get("server") {
            Some(NAME) => Err(Itself.into()),
            _ => Ok(()),
        }
    }
}

//! Description and tags: the changes that AWS guards by nothing.

use super::AwsStore;
use super::convert;
use super::quota::Operation;
use crate::model::{Attributes, Invalid, SecretName};
use crate::store::StoreError;

impl AwsStore {
    pub(super) async fn set_attributes(
        &self,
        name: &SecretName,
        from: &Attributes,
        to: &Attributes,
    ) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        // AWS compares nothing here, so this does; what changes between this look and
        // the calls is lost (sync.md section 1.7).
        let remote = self.remote_name(name, Operation::UpdateSecret)?;
        let there = self.look_up(name).await?.ok_or(StoreError::NotFound)?;
        if there.state.lifecycle.is_scheduled() {
            return Err(StoreError::Changed(Invalid::Scheduled));
        }
        if there.state.attributes == *to {
            return Ok(());
        }
        if there.state.attributes != *from {
            return Err(StoreError::Changed(Invalid::AttributesChanged));
        }
        if from.description != to.description {
            // An empty description is none (aws.md section 4).
            let text = to.description.clone().unwrap_or_default();
            // Going back to an old text in another run is another call.
            let run = self.now.to_string();
            let token = convert::fixed_token(&["UpdateSecret", remote.as_str(), &text, &run]);
            let answer = self
                .caller
                .call(Operation::UpdateSecret, |client| {
                    client
                        .update_secret()
                        .secret_id(remote.as_str())
                        .client_request_token(&token)
                        .description(&text)
                        .send()
                })
                .await;
            match answer {
                Ok(answer) => self
                    .guard
                    .check(answer.arn.as_deref().unwrap_or_default())?,
                Err(failure) => return Err(self.refused(name, failure).await),
            }
        }
        // Out before in: a secret may be full of tags.
        let gone: Vec<String> = from
            .tags
            .keys()
            .filter(|key| !to.tags.contains_key(*key))
            .cloned()
            .collect();
        if !gone.is_empty() {
            let answer = self
                .caller
                .call(Operation::UntagResource, |client| {
                    client
                        .untag_resource()
                        .secret_id(remote.as_str())
                        .set_tag_keys(Some(gone.clone()))
                        .send()
                })
                .await;
            if let Err(failure) = answer {
                return Err(self.refused(name, failure).await);
            }
        }
        let set: Vec<_> = to
            .tags
            .iter()
            .filter(|(key, value)| from.tags.get(*key) != Some(value))
            .map(|(key, value)| convert::tag(key, value))
            .collect();
        if !set.is_empty() {
            let answer = self
                .caller
                .call(Operation::TagResource, |client| {
                    client
                        .tag_resource()
                        .secret_id(remote.as_str())
                        .set_tags(Some(set.clone()))
                        .send()
                })
                .await;
            if let Err(failure) = answer {
                return Err(self.refused(name, failure).await);
            }
        }
        Ok(())
    }
}

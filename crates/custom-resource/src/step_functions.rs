//! Waits with AWS Step Functions. AWS KMS seals the response URL.

use aws_sdk_kms::primitives::Blob;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::wait::{Binding, BoxError, BoxFuture, Waiter};

/// Seals with one KMS key and waits in one state machine.
///
/// The encryption context is `{"RequestId": …, "Ticket": …}`: a ticket from one execution's history
/// opens neither for another request nor with a field that somebody changed, and a key policy or
/// role can require the context.
pub struct StepFunctions {
    kms: aws_sdk_kms::Client,
    key_arn: String,
    sfn: aws_sdk_sfn::Client,
    state_machine_arn: String,
}

impl StepFunctions {
    /// Creates the waiter from its key and its state machine.
    pub fn new(
        kms: aws_sdk_kms::Client,
        key_arn: String,
        sfn: aws_sdk_sfn::Client,
        state_machine_arn: String,
    ) -> Self {
        Self { kms, key_arn, sfn, state_machine_arn }
    }
}

impl Waiter for StepFunctions {
    fn seal<'a>(&'a self, secret: &'a str, bound: &'a Binding) -> BoxFuture<'a, Result<String, BoxError>> {
        Box::pin(async move {
            let sealed = self
                .kms
                .encrypt()
                .key_id(&self.key_arn)
                .encryption_context("RequestId", &bound.request_id)
                .encryption_context("Ticket", &bound.ticket)
                .plaintext(Blob::new(secret.as_bytes()))
                .send()
                .await?;
            let blob = sealed.ciphertext_blob.ok_or("KMS returned no ciphertext")?;
            Ok(STANDARD.encode(blob.as_ref()))
        })
    }

    fn open<'a>(&'a self, sealed: &'a str, bound: &'a Binding) -> BoxFuture<'a, Result<String, BoxError>> {
        Box::pin(async move {
            let opened = self
                .kms
                .decrypt()
                .key_id(&self.key_arn)
                .encryption_context("RequestId", &bound.request_id)
                .encryption_context("Ticket", &bound.ticket)
                .ciphertext_blob(Blob::new(STANDARD.decode(sealed)?))
                .send()
                .await?;
            let blob = opened.plaintext.ok_or("KMS returned no plaintext")?;
            Ok(String::from_utf8(blob.into_inner())?)
        })
    }

    fn start<'a>(&'a self, name: &'a str, input: &'a Value) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let started = self
                .sfn
                .start_execution()
                .state_machine_arn(&self.state_machine_arn)
                .name(name)
                .input(input.to_string())
                .send()
                .await;
            match started {
                Ok(_) => Ok(()),
                // An earlier delivery of the request started it.
                Err(error) if error.as_service_error().is_some_and(|e| e.is_execution_already_exists()) => {
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        })
    }
}

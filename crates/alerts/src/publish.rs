//! Publishing of messages.

use std::future::Future;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use lambda_kit::call::CallError;

use crate::message::Message;

/// Publishes messages.
pub trait Publisher {
    /// Publishes a message. After an error it may have been published: the response can be lost.
    fn publish(&self, message: &Message) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// A topic in SNS.
#[derive(Debug, Clone)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// Creates the topic with this ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }
}

impl Publisher for Topic {
    async fn publish(&self, message: &Message) -> Result<(), CallError> {
        const ACTION: &str = "sns:Publish";
        let mut call = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .message_structure("json")
            .subject(&message.subject)
            .message(&message.body);
        for (name, value) in &message.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|error| CallError::caused_by(ACTION, &error))?;
            call = call.message_attributes(*name, value);
        }
        call.send().await.map(|_| ()).map_err(|error| CallError::new(ACTION, &error))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sns::operation::publish::{PublishError, PublishOutput};
    use aws_sdk_sns::types::error::KmsAccessDeniedException;
    use aws_smithy_mocks::{mock, mock_client};

    use super::*;

    fn message() -> Message {
        Message { subject: "s".into(), body: "{}".into(), attributes: vec![("severity", "error".into())] }
    }

    #[tokio::test]
    async fn message_has_a_text_for_each_protocol_and_attributes() {
        let rule = mock!(Client::publish)
            .match_requests(|request| {
                let severity = &request.message_attributes().unwrap()["severity"];
                (request.topic_arn(), request.message_structure(), request.subject())
                    == (Some("arn:t"), Some("json"), Some("s"))
                    && (severity.data_type(), severity.string_value()) == ("String", Some("error"))
            })
            .then_output(|| PublishOutput::builder().message_id("m").build());
        let client = mock_client!(aws_sdk_sns, [&rule]);
        Topic::new(client, "arn:t".into()).publish(&message()).await.unwrap();
        assert_eq!(rule.num_calls(), 1);
    }

    #[tokio::test]
    async fn error_names_a_key_that_may_not_be_used() {
        let rule = mock!(Client::publish).then_error(|| {
            let refused =
                KmsAccessDeniedException::builder().message("the ciphertext refers to a key").build();
            PublishError::KmsAccessDeniedException(refused)
        });
        let client = mock_client!(aws_sdk_sns, [&rule]);
        let error = Topic::new(client, "arn:t".into()).publish(&message()).await.unwrap_err();
        assert!(
            error.to_string().starts_with("sns:Publish: ")
                && error.to_string().contains("the ciphertext refers"),
            "{error}"
        );
    }
}

//! The contents of dead-letter queues, without deleting messages.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use lambda_kit::call::CallError;

use super::Queues;
use crate::moment::Moment;
use crate::rules::{QueueContents, QueuedMessage};

/// The largest number of messages that are read at a time.
const MAX_MESSAGES: usize = 50;
/// The visibility timeout in seconds: long enough not to receive a message twice at a time.
const VISIBILITY_TIMEOUT: i32 = 10;

/// The queues in Amazon SQS.
#[derive(Debug)]
pub struct SqsQueues {
    client: Client,
    queues: Vec<String>,
    destination: Option<String>,
}

impl SqsQueues {
    /// Creates the queues with these URLs. Their messages are redriven to `destination`, or to their original
    /// queue.
    pub fn new(client: Client, queues: Vec<String>, destination: Option<String>) -> Self {
        Self { client, queues, destination }
    }
}

impl Queues for SqsQueues {
    fn urls(&self) -> &[String] {
        &self.queues
    }

    async fn inspect(&self, queue: &str) -> Result<QueueContents, CallError> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(queue)
            .attribute_names(QueueAttributeName::QueueArn)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|error| CallError::new("sqs:GetQueueAttributes", &error))?;
        let attribute =
            |name| answer.attributes().and_then(|all| all.get(&name)).map(String::as_str).unwrap_or_default();
        let number = |name| attribute(name).parse::<u64>().unwrap_or(0);
        let count = number(QueueAttributeName::ApproximateNumberOfMessages)
            + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        let mut messages = Vec::new();
        while count > 0 && messages.len() < MAX_MESSAGES {
            let page = self
                .client
                .receive_message()
                .queue_url(queue)
                .max_number_of_messages(10)
                .visibility_timeout(VISIBILITY_TIMEOUT)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .send()
                .await
                .map_err(|error| CallError::new("sqs:ReceiveMessage", &error))?;
            if page.messages().is_empty() {
                break;
            }
            messages.extend(page.messages().iter().map(|message| {
                let sent =
                    message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
                let attributes: BTreeMap<String, String> = message
                    .message_attributes()
                    .into_iter()
                    .flatten()
                    .filter_map(|(name, value)| Some((name.clone(), value.string_value()?.to_owned())))
                    .collect();
                QueuedMessage {
                    id: message.message_id().unwrap_or_default().to_owned(),
                    sent: sent.and_then(|millis| millis.parse().ok()).map(Moment::from_millis),
                    body: message.body().unwrap_or_default().to_owned(),
                    attributes,
                }
            }));
        }
        Ok(QueueContents {
            queue: attribute(QueueAttributeName::QueueArn).to_owned(),
            count,
            messages,
            destination: self.destination.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesOutput;
    use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
    use aws_sdk_sqs::types::Message;
    use aws_smithy_mocks::{RuleMode, mock, mock_client};

    use super::*;

    #[tokio::test]
    async fn queue_is_read_without_deleting_and_an_empty_one_is_not_read() {
        let attributes = |count: &'static str| {
            mock!(Client::get_queue_attributes).then_output(move || {
                GetQueueAttributesOutput::builder()
                    .attributes(QueueAttributeName::QueueArn, "arn:q")
                    .attributes(QueueAttributeName::ApproximateNumberOfMessages, count)
                    .build()
            })
        };
        let filled = attributes("1");
        let page = mock!(Client::receive_message)
            .match_requests(|request| request.visibility_timeout() == Some(VISIBILITY_TIMEOUT))
            .then_output(|| {
                ReceiveMessageOutput::builder()
                    .messages(Message::builder().message_id("m").body("{}").build())
                    .build()
            });
        let end = mock!(Client::receive_message).then_output(|| ReceiveMessageOutput::builder().build());
        let empty = attributes("0");
        let client = mock_client!(aws_sdk_sqs, RuleMode::Sequential, [&filled, &page, &end, &empty]);
        let queues = SqsQueues::new(client, vec!["https://q".into()], None);
        let contents = queues.inspect("https://q").await.unwrap();
        assert_eq!((contents.queue.as_str(), contents.count, contents.messages.len()), ("arn:q", 1, 1));
        assert_eq!(queues.inspect("https://q").await.unwrap().count, 0);
        assert_eq!((page.num_calls(), end.num_calls()), (1, 1));
    }
}

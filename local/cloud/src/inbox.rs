//! A queue that is subscribed to a topic, and the messages that it received.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::{Error, aws::Account};

/// A queue that keeps the messages it received.
pub struct Inbox {
    account: Account,
    url: String,
    seen: Mutex<Vec<Value>>,
}

impl Inbox {
    /// Creates the queue and subscribes it with raw delivery, so that an alert arrives as its JSON.
    ///
    /// # Errors
    /// A call failed.
    pub fn of(account: &Account, name: &str, topic: &str) -> Result<Self, Error> {
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*",
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }]});
        let words = json!({"QueueName": name, "Attributes": {"Policy": policy.to_string()}});
        let url = text(&account.json("sqs", "CreateQueue", words)?["QueueUrl"]);
        let words = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
        let arn = text(&account.json("sqs", "GetQueueAttributes", words)?["Attributes"]["QueueArn"]);
        let words = [
            ("TopicArn", topic),
            ("Protocol", "sqs"),
            ("Endpoint", &arn),
            ("Attributes.entry.1.key", "RawMessageDelivery"),
            ("Attributes.entry.1.value", "true"),
        ];
        account.query("sns", "Subscribe", &words)?;
        Ok(Self { account: account.clone(), url, seen: Mutex::default() })
    }

    /// Returns all messages until now, in the order of arrival. A message that is not JSON is a
    /// string.
    ///
    /// # Errors
    /// A call failed.
    pub fn all(&self) -> Result<Vec<Value>, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let words = json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10});
            let received = self.account.json("sqs", "ReceiveMessage", words)?;
            let messages = received["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(seen.clone());
            }
            for message in messages {
                let body = text(&message["Body"]);
                seen.push(serde_json::from_str(&body).unwrap_or_else(|_| body.into()));
                let words = json!({"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]});
                self.account.json("sqs", "DeleteMessage", words)?;
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//! CloudFormation's request: parsed once, into one closed type.

use std::fmt;

use aws_lambda_events::cloudformation::UpdateRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::properties::{PropertyError, UnknownNames, parse};
use crate::secret::ResponseUrl;

/// The type of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestType {
    /// Create the resource.
    Create,
    /// Change the resource, because properties changed or a failed update is rolled back.
    Update,
    /// Delete the resource.
    Delete,
}

impl fmt::Display for RequestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        })
    }
}

/// One request of CloudFormation.
///
/// Source: "Custom resource request and response reference" of the CloudFormation user guide.
#[derive(Debug, Clone)]
pub struct Request {
    /// Create, Update or Delete.
    pub request_type: RequestType,
    /// The destination of the response.
    pub response_url: ResponseUrl,
    /// An id that is unique together with the stack id.
    pub request_id: String,
    /// ARN of the stack.
    pub stack_id: String,
    /// For example `Custom::CopyJob`.
    pub resource_type: String,
    /// Name of the resource in the template.
    pub logical_resource_id: String,
    /// The resource's id; absent in a Create.
    pub physical_resource_id: Option<String>,
    /// The properties, scalars as strings.
    pub resource_properties: Map<String, Value>,
    /// The properties before an Update.
    pub old_resource_properties: Option<Map<String, Value>>,
}

/// The envelope of every request. An Update has all the fields of a Create and of a Delete.
///
/// `CloudFormationCustomResourceRequest` itself is an enum with an internal tag: its errors have no
/// path, and quote the value at fault, which may be a secret of the template.
type Envelope = UpdateRequest<Option<Map<String, Value>>, Option<Map<String, Value>>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    request_type: RequestType,
}

impl Request {
    /// Parses an event.
    ///
    /// It ignores unknown fields, and takes an event without `ResourceType`, `PhysicalResourceId`
    /// or properties: whatever has an addressee gets a response.
    ///
    /// # Errors
    /// The field at fault and the reason, without the field's value.
    pub fn parse(event: &Value) -> Result<Self, String> {
        let Tag { request_type } =
            serde_path_to_error::deserialize(event).map_err(|error| describe(&error))?;
        let mut event = event.clone();
        if let Value::Object(fields) = &mut event {
            for optional in ["ResourceType", "PhysicalResourceId"] {
                fields.entry(optional).or_insert_with(|| Value::from(""));
            }
        }
        let envelope: Envelope = serde_path_to_error::deserialize(event).map_err(|error| describe(&error))?;
        Ok(Self {
            request_type,
            response_url: ResponseUrl::new(envelope.response_url),
            request_id: envelope.request_id,
            stack_id: envelope.stack_id,
            resource_type: envelope.resource_type,
            logical_resource_id: envelope.logical_resource_id,
            physical_resource_id: Some(envelope.physical_resource_id).filter(|id| !id.is_empty()),
            resource_properties: envelope.resource_properties.unwrap_or_default(),
            old_resource_properties: envelope.old_resource_properties,
        })
    }

    /// Returns the resource's owner.
    pub fn owner(&self) -> Owner {
        Owner::new(&self.stack_id, &self.logical_resource_id)
    }

    /// Parses the properties. `secret` lists the top-level properties whose values no error
    /// repeats.
    ///
    /// Unknown names are rejected, but not in a Delete: it has to work with properties that an
    /// older version accepted.
    ///
    /// # Errors
    /// The first property that is unknown, missing or of another type, with its path.
    pub fn properties<T: DeserializeOwned>(&self, secret: &[&str]) -> Result<T, PropertyError> {
        let unknown = match self.request_type {
            RequestType::Delete => UnknownNames::Ignore,
            RequestType::Create | RequestType::Update => UnknownNames::Reject,
        };
        parse(&self.resource_properties, unknown, secret)
    }
}

/// Names the field at fault. Of all values, only the request type is repeated: any other value may
/// be a secret of the template.
fn describe(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        // A field is missing: the text holds its name only.
        "." => error.inner().to_string(),
        "RequestType" => format!("`RequestType`: {}", error.inner()),
        field => format!("`{field}` is not of the form that CloudFormation documents"),
    }
}

/// The owner of a resource: one logical id in one stack.
///
/// Its [`tag`](Owner::tag) marks the provider's entries in documents that several owners share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    stack_id: String,
    logical_id: String,
    tag: String,
}

impl Owner {
    /// Creates the owner `logical_id` in the stack with ARN `stack_id`.
    pub fn new(stack_id: &str, logical_id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(stack_id.as_bytes());
        hash.update([0]);
        hash.update(logical_id.as_bytes());
        let tag = hex::encode(&hash.finalize()[..4]);
        Self { stack_id: stack_id.to_owned(), logical_id: logical_id.to_owned(), tag }
    }

    /// Returns eight hexadecimal digits, the same for every request of this owner.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the ARN of the stack.
    pub fn stack_id(&self) -> &str {
        &self.stack_id
    }

    /// Returns the name of the resource in the template.
    pub fn logical_id(&self) -> &str {
        &self.logical_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/demo/uuid";

    fn event() -> Value {
        serde_json::json!({
            "RequestType": "Create", "ResponseURL": "https://x.example/", "RequestId": "r", "StackId": STACK,
            "LogicalResourceId": "L", "ResourceProperties": {"ServiceToken": "t"}, "ServiceToken": "t",
            "SomethingNew": 1,
        })
    }

    #[test]
    fn request_with_unknown_or_missing_fields_is_accepted() {
        let request = Request::parse(&event()).unwrap();
        assert_eq!(request.request_type, RequestType::Create);
        assert_eq!((request.physical_resource_id, request.resource_type.as_str()), (None, ""));
        assert_eq!(request.old_resource_properties, None);
    }

    #[test]
    fn field_of_another_type_is_rejected_without_its_value() {
        for field in ["StackId", "ResourceProperties", "OldResourceProperties", "ResourceType"] {
            let mut event = event();
            event[field] = serde_json::json!([1234]);
            let expected = format!("`{field}` is not of the form that CloudFormation documents");
            assert_eq!(Request::parse(&event).unwrap_err(), expected);
        }
    }

    #[test]
    fn tag_of_an_owner_depends_on_stack_and_logical_id_only() {
        let tag = Owner::new(STACK, "A").tag().to_owned();
        assert_eq!(tag, Owner::new(STACK, "A").tag());
        assert_ne!(tag, Owner::new(STACK, "B").tag());
        assert_ne!(tag, Owner::new("arn:other", "A").tag());
        assert_eq!(tag.len(), 8);
    }
}

//! What CloudFormation sends: one closed type, parsed once at the door.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::secret::ResponseUrl;

/// What CloudFormation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestType {
    /// The resource is to be made.
    Create,
    /// Properties changed, or a failed update is rolled back.
    Update,
    /// The resource is to be removed.
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

/// One request of CloudFormation, as Lambda delivers it.
///
/// Unknown top-level fields are ignored: CloudFormation adds some (`ServiceToken`) that its reference does not list.
/// Source: "Custom resource request and response reference" of the CloudFormation user guide.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    /// What is asked for.
    pub request_type: RequestType,
    /// Where the answer goes.
    #[serde(rename = "ResponseURL")]
    pub response_url: ResponseUrl,
    /// Identifies the request together with the stack id.
    pub request_id: String,
    /// ARN of the stack.
    pub stack_id: String,
    /// For example `Custom::CopyJob`.
    #[serde(default)]
    pub resource_type: String,
    /// Name of the resource in the template.
    pub logical_resource_id: String,
    /// Absent in a Create.
    #[serde(default)]
    pub physical_resource_id: Option<String>,
    /// The properties, scalars as strings.
    #[serde(default)]
    pub resource_properties: Map<String, Value>,
    /// The properties before an Update.
    #[serde(default)]
    pub old_resource_properties: Option<Map<String, Value>>,
}

impl Request {
    /// Who owns the resource.
    pub fn owner(&self) -> Owner {
        Owner::new(&self.stack_id, &self.logical_resource_id)
    }
}

/// The owner of a resource: one logical id in one stack.
///
/// Its [`tag`](Owner::tag) marks what a provider writes into documents or names that it shares with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    stack_id: String,
    logical_id: String,
    tag: String,
}

impl Owner {
    /// The owner `logical_id` in the stack with ARN `stack_id`.
    pub fn new(stack_id: &str, logical_id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(stack_id.as_bytes());
        hash.update([0]);
        hash.update(logical_id.as_bytes());
        let tag = hex::encode(&hash.finalize()[..4]);
        Self { stack_id: stack_id.to_owned(), logical_id: logical_id.to_owned(), tag }
    }

    /// Eight hexadecimal digits, the same for every request of this owner.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// ARN of the stack.
    pub fn stack_id(&self) -> &str {
        &self.stack_id
    }

    /// Name of the resource in the template.
    pub fn logical_id(&self) -> &str {
        &self.logical_id
    }

    /// Partition, Region and account of the stack, read from its ARN; `None` if the id is not an ARN.
    pub fn place(&self) -> Option<Place<'_>> {
        let mut parts = self.stack_id.split(':');
        match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
            ("arn", partition, "cloudformation", region, account) => {
                Some(Place { partition, region, account })
            }
            _ => None,
        }
    }
}

/// Where a stack lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: &'a str,
    /// Region of the stack.
    pub region: &'a str,
    /// Account of the stack, 12 digits.
    pub account: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/demo/uuid";

    #[test]
    fn a_request_with_unknown_top_level_fields_is_accepted() {
        let request: Request = serde_json::from_value(serde_json::json!({
            "RequestType": "Create", "ResponseURL": "https://x.example/", "RequestId": "r", "StackId": STACK,
            "LogicalResourceId": "L", "ResourceProperties": {"ServiceToken": "t"}, "ServiceToken": "t"
        }))
        .unwrap();
        assert_eq!(request.request_type, RequestType::Create);
        assert_eq!(request.physical_resource_id, None);
    }

    #[test]
    fn the_tag_of_an_owner_depends_on_stack_and_logical_id_and_on_nothing_else() {
        let tag = Owner::new(STACK, "A").tag().to_owned();
        assert_eq!(tag, Owner::new(STACK, "A").tag());
        assert_ne!(tag, Owner::new(STACK, "B").tag());
        assert_ne!(tag, Owner::new("arn:other", "A").tag());
        assert_eq!(tag.len(), 8);
    }

    #[test]
    fn the_place_of_a_stack_is_read_from_its_arn() {
        let owner = Owner::new(STACK, "A");
        let place = owner.place().unwrap();
        assert_eq!((place.partition, place.region, place.account), ("aws", "eu-west-1", "111111111111"));
        assert_eq!(Owner::new("not-an-arn", "A").place(), None);
    }
}

//! Stacks. Source: "CloudFormation events detail reference" of the CloudFormation user guide.

use serde::{Deserialize, Deserializer};

/// A status with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusDetails {
    /// The status: a text, because CloudFormation adds values and only the suffix matters.
    pub status: String,
    /// The reason.
    #[serde(default, deserialize_with = "filled")]
    pub status_reason: Option<String>,
}

/// A status change of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stack {
    /// The stack's ARN.
    pub stack_id: String,
    /// The status.
    pub status_details: StatusDetails,
    /// The token of the operation, if the operation has one.
    #[serde(default, deserialize_with = "filled")]
    pub client_request_token: Option<String>,
}

/// A status change of a resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StackResource {
    /// The stack's ARN.
    pub stack_id: String,
    /// The logical id.
    pub logical_resource_id: String,
    /// The resource type.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// The status.
    pub status_details: StatusDetails,
    /// The token of the operation, if the operation has one.
    #[serde(default, deserialize_with = "filled")]
    pub client_request_token: Option<String>,
}

/// Reads an optional text. An absent text is an empty one in the events. Source: the example of "Stack
/// Status Change event detail".
fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

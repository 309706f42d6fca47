//! Stacks. Source: "CloudFormation events detail reference" of the CloudFormation user guide.

use serde::{Deserialize, Deserializer};

/// A status and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusDetails {
    /// The status. Not closed: CloudFormation adds some, and what matters is how it ends.
    pub status: String,
    /// Why.
    #[serde(default, deserialize_with = "filled")]
    pub status_reason: Option<String>,
}

/// A stack that changed its status.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stack {
    /// Its ARN.
    pub stack_id: String,
    /// The status.
    pub status_details: StatusDetails,
    /// The same for all events of one operation, if it was begun with one.
    #[serde(default, deserialize_with = "filled")]
    pub client_request_token: Option<String>,
}

/// A resource of a stack that changed its status.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StackResource {
    /// ARN of the stack.
    pub stack_id: String,
    /// Its name in the template.
    pub logical_resource_id: String,
    /// Its type.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// The status.
    pub status_details: StatusDetails,
    /// The same for all events of one operation, if it was begun with one.
    #[serde(default, deserialize_with = "filled")]
    pub client_request_token: Option<String>,
}

/// A text, if there is one: what is not there comes as an empty text [page: Stack Status Change event detail, the example].
fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// The name of a stack from its ARN: `arn:…:stack/NAME/ID`.
pub(crate) fn stack_name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

//! Records of API calls. Source: "CloudTrail record contents for management, data, and network activity
//! events".

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The record of a call, with the members that the rules need.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudTrailRecord {
    /// The operation.
    pub event_name: String,
    /// The time of the call.
    pub event_time: Option<String>,
    /// The error code; absent after a success.
    pub error_code: Option<String>,
    /// The error message.
    pub error_message: Option<String>,
    /// The caller.
    #[serde(default, deserialize_with = "or_default")]
    pub user_identity: Principal,
    /// The source: an address or a service.
    #[serde(rename = "sourceIPAddress")]
    pub source_address: Option<String>,
    /// The request. The service hides secret values.
    #[serde(default)]
    pub request_parameters: Value,
    /// The response.
    #[serde(default)]
    pub response_elements: Value,
}

/// Reads a member that may be null as its default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// The ARN of the user or the role's session.
    pub arn: Option<String>,
    /// The service that made the call.
    pub invoked_by: Option<String>,
    /// The caller's account.
    pub account_id: Option<String>,
    /// The id, if there is no ARN.
    pub principal_id: Option<String>,
    /// The context of a role's session.
    pub session_context: Option<Session>,
    /// The resource that the credentials were issued to, such as a function.
    pub in_scope_of: Option<Scope>,
}

/// The resource that credentials were issued to. The service that issues them sets it; a caller cannot.
/// Source: "CloudTrail userIdentity element", `inScopeOf`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// The ARN of the resource, without a version.
    pub credentials_issued_to: Option<String>,
}

/// The context of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The role.
    pub session_issuer: Option<Issuer>,
}

/// The issuer of a session: a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Issuer {
    /// The role's ARN.
    pub arn: Option<String>,
}

impl Principal {
    /// Returns the role or user: the same for all sessions of a role.
    pub fn principal(&self) -> &str {
        let role = self.session_context.as_ref().and_then(|session| session.session_issuer.as_ref());
        role.and_then(|role| role.arn.as_deref())
            .or(self.arn.as_deref())
            .or(self.invoked_by.as_deref())
            .or(self.principal_id.as_deref())
            .unwrap_or("an unknown caller")
    }

    /// Returns the name of the role or user for texts: the part after the last slash.
    pub fn name(&self) -> &str {
        let principal = self.principal();
        principal.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(principal)
    }

    /// Returns the ARN of the Lambda function that made the call, if one did.
    pub fn function(&self) -> Option<&str> {
        let issued_to = self.in_scope_of.as_ref()?.credentials_issued_to.as_deref()?;
        issued_to.split(':').nth(2).filter(|service| *service == "lambda").map(|_| issued_to)
    }
}

impl CloudTrailRecord {
    /// Returns a text of the request.
    pub fn request(&self, name: &str) -> Option<&str> {
        self.request_parameters.get(name).and_then(Value::as_str).filter(|value| !value.is_empty())
    }

    /// Returns a text of the response.
    pub fn response(&self, name: &str) -> Option<&str> {
        self.response_elements.get(name).and_then(Value::as_str).filter(|value| !value.is_empty())
    }

    /// Returns true if the caller lacks the permission.
    pub fn was_denied(&self) -> bool {
        self.error_code
            .as_deref()
            .is_some_and(|code| code.starts_with("AccessDenied") || code.contains("Unauthorized"))
    }
}

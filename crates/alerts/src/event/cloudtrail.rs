//! API calls. Source: "CloudTrail record contents for management, data, and network activity events".

use serde::Deserialize;
use serde_json::Value;

/// A call, as far as anything here depends on it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudTrailRecord {
    /// The operation.
    pub event_name: String,
    /// When it was called.
    pub event_time: Option<String>,
    /// Why it was refused; absent where it succeeded.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
    /// Who called.
    #[serde(default)]
    pub user_identity: Principal,
    /// From where: an address, or a service.
    #[serde(rename = "sourceIPAddress")]
    pub source_address: Option<String>,
    /// What was asked for. Values that are secrets are hidden by the service.
    #[serde(default)]
    pub request_parameters: Value,
    /// What came back.
    #[serde(default)]
    pub response_elements: Value,
}

/// Who called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// ARN of the user or of the role's session.
    pub arn: Option<String>,
    /// The service that acts for its own.
    pub invoked_by: Option<String>,
    /// The account of the caller.
    pub account_id: Option<String>,
    /// The id, where there is no ARN.
    pub principal_id: Option<String>,
    /// Of a role's session.
    pub session_context: Option<Session>,
}

/// What a session comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The role.
    pub session_issuer: Option<Issuer>,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Issuer {
    /// Its ARN.
    pub arn: Option<String>,
}

impl Principal {
    /// The role or user behind the call: the same for every session of a role.
    pub fn behind(&self) -> &str {
        let role = self.session_context.as_ref().and_then(|session| session.session_issuer.as_ref());
        role.and_then(|role| role.arn.as_deref())
            .or(self.arn.as_deref())
            .or(self.invoked_by.as_deref())
            .or(self.principal_id.as_deref())
            .unwrap_or("somebody unknown")
    }

    /// The name of the role or user: what follows the last slash.
    pub fn name(&self) -> &str {
        let behind = self.behind();
        behind.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(behind)
    }
}

impl CloudTrailRecord {
    /// A text of the request.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.request_parameters.get(name).and_then(Value::as_str).filter(|value| !value.is_empty())
    }

    /// A text of the response.
    pub fn answered(&self, name: &str) -> Option<&str> {
        self.response_elements.get(name).and_then(Value::as_str).filter(|value| !value.is_empty())
    }

    /// Whether the caller lacked the permission.
    pub fn was_denied(&self) -> bool {
        self.error_code
            .as_deref()
            .is_some_and(|code| code.starts_with("AccessDenied") || code.contains("Unauthorized"))
    }
}

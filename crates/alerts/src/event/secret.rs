//! Events of Secrets Manager. Source: "AWS CloudTrail entries for Secrets Manager" and "Secret event
//! notifications" of its user guide.

use serde::Deserialize;
use serde_json::Value;

/// The outcome of a rotation, or of its test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RotationOutcome {
    /// The rotation started.
    #[serde(rename = "RotationStarted")]
    Started,
    /// The rotation succeeded.
    #[serde(rename = "RotationSucceeded")]
    Succeeded,
    /// The rotation failed.
    #[serde(rename = "RotationFailed")]
    Failed,
    /// Another new version ended the rotation.
    #[serde(rename = "RotationAbandoned")]
    Abandoned,
    /// A test started.
    #[serde(rename = "TestRotationStarted")]
    TestStarted,
    /// A test succeeded.
    #[serde(rename = "TestRotationSucceeded")]
    TestSucceeded,
    /// A test failed.
    #[serde(rename = "TestRotationFailed")]
    TestFailed,
    /// A service event that is not about a rotation: replication, deletion of a version.
    #[serde(other)]
    Other,
}

/// A service event about a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The outcome.
    pub outcome: RotationOutcome,
    /// The secret's ARN.
    pub secret: String,
    /// Secrets Manager's error message.
    pub error: Option<String>,
    /// The time.
    pub event_time: Option<String>,
}

/// Reads a service event.
pub(super) fn rotation(detail: &Value) -> Result<Rotation, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Detail {
        event_name: RotationOutcome,
        error_message: Option<String>,
        event_time: Option<String>,
        #[serde(default)]
        additional_event_data: Value,
    }
    let found: Detail = super::typed(detail, "a service event of Secrets Manager")?;
    // The key's letter case differs between versions.
    let data = found.additional_event_data.as_object();
    let secret = data.and_then(|data| data.iter().find(|(name, _)| name.eq_ignore_ascii_case("SecretId")));
    let secret = secret.and_then(|(_, value)| value.as_str()).unwrap_or_default();
    if secret.is_empty() && found.event_name != RotationOutcome::Other {
        return Err(
            "not a service event of Secrets Manager: `additionalEventData.SecretId` is missing".to_owned()
        );
    }
    Ok(Rotation {
        outcome: found.event_name,
        secret: secret.to_owned(),
        error: found.error_message,
        event_time: found.event_time,
    })
}

/// A staging label that moved, other than AWSPENDING and AWSPREVIOUS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretLabel {
    /// The secret's name.
    pub name: String,
    /// The label.
    pub label_updated: String,
    /// The version that has the label now.
    pub version_id: String,
}

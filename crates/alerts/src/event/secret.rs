//! Secrets Manager. Source: "AWS CloudTrail entries for Secrets Manager" and "Secret event notifications" of its user guide.

use serde::Deserialize;
use serde_json::Value;

/// How a rotation, or the try-out of one, went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RotationOutcome {
    /// It began.
    #[serde(rename = "RotationStarted")]
    Started,
    /// It ended well.
    #[serde(rename = "RotationSucceeded")]
    Succeeded,
    /// It failed.
    #[serde(rename = "RotationFailed")]
    Failed,
    /// Another new version ended it.
    #[serde(rename = "RotationAbandoned")]
    Abandoned,
    /// A try-out began.
    #[serde(rename = "TestRotationStarted")]
    TestStarted,
    /// A try-out ended well.
    #[serde(rename = "TestRotationSucceeded")]
    TestSucceeded,
    /// A try-out failed.
    #[serde(rename = "TestRotationFailed")]
    TestFailed,
    /// A service event that says nothing about a rotation: replication, deletion of a version.
    #[serde(other)]
    Other,
}

/// A service event about a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// How it went.
    pub outcome: RotationOutcome,
    /// ARN of the secret.
    pub secret: String,
    /// What Secrets Manager says went wrong.
    pub error: Option<String>,
    /// When.
    pub event_time: Option<String>,
}

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

/// A label moved: any but AWSPENDING and AWSPREVIOUS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretLabel {
    /// Name of the secret.
    pub name: String,
    /// The label.
    pub label_updated: String,
    /// The version that carries it now.
    pub version_id: String,
}

//! The event that Secrets Manager sends for each step of a rotation.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

/// One of the four steps, in this order. Each is an invocation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Step {
    /// Creates the new credential and stores it under AWSPENDING.
    #[serde(rename = "createSecret")]
    Create,
    /// Makes the server accept it.
    #[serde(rename = "setSecret")]
    Set,
    /// Logs in with it.
    #[serde(rename = "testSecret")]
    Test,
    /// Moves AWSCURRENT to it.
    #[serde(rename = "finishSecret")]
    Finish,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Self; 4] = [Self::Create, Self::Set, Self::Test, Self::Finish];

    /// Returns the name that Secrets Manager uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The event of one step.
///
/// `aws_lambda_events` has a type for it, without the rotation token, which is a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEvent {
    /// The step.
    pub step: Step,
    /// The secret's ARN.
    pub secret_id: String,
    /// The id of the version with the label AWSPENDING: 32 to 64 characters.
    pub client_request_token: String,
    /// The token that PutSecretValue needs where the function rotates across accounts or with an
    /// assumed role.
    #[serde(default)]
    pub rotation_token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_of_an_event_hides_the_rotation_token() {
        let text = include_str!("../../../events/secretsmanager/rotation-set-secret.json");
        let event: RotationEvent = serde_json::from_str(text).unwrap();
        assert_eq!((event.step, event.client_request_token.len()), (Step::Set, 36));
        assert!(event.secret_id.ends_with(":secret:app-AbCdEf"), "{}", event.secret_id);
        assert!(event.rotation_token.is_some() && !format!("{event:?}").contains("0f1e2d3c"), "{event:?}");
    }

    #[test]
    fn unknown_step_is_rejected_with_the_known_ones() {
        let error = serde_json::from_str::<RotationEvent>(
            r#"{"Step":"dropSecret","SecretId":"s","ClientRequestToken":"t"}"#,
        );
        let text = error.unwrap_err().to_string();
        assert!(text.contains("dropSecret") && text.contains("createSecret"), "{text}");
    }
}

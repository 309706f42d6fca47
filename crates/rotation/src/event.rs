//! What Secrets Manager sends.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

/// One of the four steps, in this order; each is an invocation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Step {
    /// Make the new credential and write it under AWSPENDING.
    #[serde(rename = "createSecret")]
    Create,
    /// Make the engine accept it.
    #[serde(rename = "setSecret")]
    Set,
    /// Log in with it.
    #[serde(rename = "testSecret")]
    Test,
    /// Move AWSCURRENT to it.
    #[serde(rename = "finishSecret")]
    Finish,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Self; 4] = [Self::Create, Self::Set, Self::Test, Self::Finish];

    /// The name that Secrets Manager gives it.
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
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEvent {
    /// The step.
    pub step: Step,
    /// ARN of the secret.
    pub secret_id: String,
    /// Id of the version that carries AWSPENDING: 32 to 64 characters.
    pub client_request_token: String,
    /// Goes into PutSecretValue where the function rotates across accounts or with an assumed role.
    #[serde(default)]
    pub rotation_token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_and_its_rotation_token_is_not_shown() {
        let text = include_str!("../../../events/secretsmanager/rotation-set-secret.json");
        let event: RotationEvent = serde_json::from_str(text).unwrap();
        assert_eq!((event.step, event.client_request_token.len()), (Step::Set, 36));
        assert!(event.secret_id.ends_with(":secret:app-AbCdEf"), "{}", event.secret_id);
        assert!(event.rotation_token.is_some() && !format!("{event:?}").contains("0f1e2d3c"), "{event:?}");
    }

    #[test]
    fn a_step_that_is_none_of_the_four_is_refused_by_name() {
        let error = serde_json::from_str::<RotationEvent>(
            r#"{"Step":"dropSecret","SecretId":"s","ClientRequestToken":"t"}"#,
        );
        let text = error.unwrap_err().to_string();
        assert!(text.contains("dropSecret") && text.contains("createSecret"), "{text}");
    }
}

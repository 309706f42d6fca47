//! Actions outside of the four steps: the second kind of event that a rotation function accepts.
//!
//! An EventBridge rule or schedule sends it, or anyone who may invoke the function. The event holds
//! no credential and cannot choose one: an action works with the values of the secret's labels.

use serde::Deserialize;

/// An action that a rotation function performs outside of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Action {
    /// Makes the credential of AWSCURRENT the only valid one, where the previous one is still
    /// valid.
    RetirePrevious,
    /// Logs in with AWSCURRENT until every server accepts it, and measures how long that took.
    VerifyPropagation,
}

impl Action {
    /// Returns the name in events, records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RetirePrevious => "RetirePrevious",
            Self::VerifyPropagation => "VerifyPropagation",
        }
    }
}

/// The event of an action.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ActionEvent {
    /// The action.
    pub action: Action,
    /// The secret's ARN.
    pub secret_id: String,
    /// The minutes that must have passed since the rotation, if more than in the function's
    /// configuration. Clients that read the secret before it need time to read it again.
    #[serde(default)]
    pub after_minutes: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_event_with_an_unknown_key_or_action_is_rejected() {
        let read = |text: &str| serde_json::from_str::<ActionEvent>(text);
        let event = read(r#"{"Action":"RetirePrevious","SecretId":"arn:s"}"#).unwrap();
        assert_eq!(
            (event.action, event.secret_id.as_str(), event.after_minutes),
            (Action::RetirePrevious, "arn:s", None)
        );
        for (text, part) in [
            (r#"{"Action":"Drop","SecretId":"s"}"#, "`Drop`"),
            (r#"{"Action":"RetirePrevious"}"#, "SecretId"),
            (r#"{"Action":"RetirePrevious","SecretId":"s","Token":"t"}"#, "`Token`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

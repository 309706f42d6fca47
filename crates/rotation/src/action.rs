//! What a function does for its secret outside of the four steps: the second kind of event that it takes.
//!
//! A rule or schedule of EventBridge sends it, or whoever may invoke the function. Nothing in it is a credential, and nothing in it
//! says what a credential shall be: an action works with the values of the secret's own labels.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::Deserialize;

use crate::document::{DocumentError, SecretDocument};
use crate::error::RotationError;
use crate::retry::Retry;
use crate::versions::{CURRENT, Description, PENDING, Versions};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Action {
    /// Makes the credential of AWSCURRENT the only one, where the one before it is still in force.
    RetirePrevious,
    /// Logs in with AWSCURRENT until that works, and says how long after the rotation it did.
    VerifyPropagation,
}

impl Action {
    /// Its name in events, records and metrics.
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
    /// What to do.
    pub action: Action,
    /// ARN of the secret.
    pub secret_id: String,
    /// Minutes that must have passed since the rotation: clients that have read the secret before it need time to read it again.
    #[serde(default = "an_hour")]
    pub after_minutes: u32,
}

fn an_hour() -> u32 {
    60
}

/// What an action came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// It did its part.
    Now,
    /// There was nothing to do.
    Nothing,
    /// It is not the time; a later event will find it.
    Later(&'static str),
}

/// One action: the event, and the secret it is about.
pub struct Occasion<'a, V> {
    /// The secret's versions.
    pub versions: &'a V,
    /// Time and pauses.
    pub retry: &'a Retry,
    /// What is asked for.
    pub event: &'a ActionEvent,
    /// The time of day.
    pub now: SystemTime,
}

impl<V: Versions> Occasion<'_, V> {
    /// What the service says of the secret.
    ///
    /// # Errors
    /// The call failed.
    pub async fn describe(&self) -> Result<Description, RotationError> {
        Ok(self.versions.describe(&self.event.secret_id).await?)
    }

    /// The value of a version, as long as it carries the label.
    ///
    /// # Errors
    /// A call failed, or the value is no JSON object.
    pub async fn value(
        &self,
        version: &str,
        label: &'static str,
    ) -> Result<Option<SecretDocument>, RotationError> {
        let value: Option<SecretString> =
            self.versions.value(&self.event.secret_id, Some(version), label).await?;
        value
            .map(|text| SecretDocument::parse(&text))
            .transpose()
            .map_err(|source| RotationError::Document { label, source })
    }

    /// The version with AWSCURRENT.
    ///
    /// # Errors
    /// There is none.
    pub fn current<'d>(&self, described: &'d Description) -> Result<&'d str, RotationError> {
        let none = RotationError::Document { label: CURRENT, source: DocumentError::NotAnObject };
        described.holder(CURRENT).ok_or(none)
    }

    /// How long ago the last rotation ended, if there was one.
    pub fn since_rotation(&self, described: &Description) -> Option<Duration> {
        described.last_rotated.map(|at| self.now.duration_since(at).unwrap_or_default())
    }
}

/// Whether a rotation has begun and not ended.
pub fn under_way(described: &Description) -> bool {
    described.holder(PENDING).is_some_and(|version| !described.carries(version, CURRENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_read_and_anything_it_does_not_know_is_refused_by_name() {
        let read = |text: &str| serde_json::from_str::<ActionEvent>(text);
        let event = read(r#"{"Action":"RetirePrevious","SecretId":"arn:s"}"#).unwrap();
        assert_eq!(
            (event.action, event.secret_id.as_str(), event.after_minutes),
            (Action::RetirePrevious, "arn:s", 60)
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

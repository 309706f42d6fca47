//! Alarms. Source: "Alarm events and EventBridge" of the CloudWatch user guide.

use serde::Deserialize;
use serde_json::Value;

use crate::moment::Moment;

/// A state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// Below the threshold.
    Ok,
    /// Beyond it.
    Alarm,
    /// Too few values to say.
    InsufficientData,
}

/// An alarm that changed its state.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Its name.
    pub alarm_name: String,
    /// The state now.
    pub state: State,
    /// The state before.
    pub previous_state: State,
    /// What it measures.
    #[serde(default)]
    pub configuration: Configuration,
    /// Present while its actions are muted on purpose.
    #[serde(default)]
    pub mute_detail: Option<Value>,
}

/// A state and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct State {
    /// The state.
    pub value: AlarmState,
    /// Why, in words.
    #[serde(default)]
    pub reason: Option<String>,
    /// Since when.
    #[serde(default)]
    pub timestamp: Option<String>,
}

/// What an alarm measures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Configuration {
    /// What its author says it is about.
    #[serde(default)]
    pub description: Option<String>,
}

/// The time of a state: `2019-10-02T17:04:40.989+0000`.
pub(super) fn time(text: &str) -> Option<Moment> {
    // RFC 3339 has a colon in the offset.
    Moment::parse(text).or_else(|| {
        let (time, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
        let (hours, minutes) = offset.split_at_checked(3)?;
        Moment::parse(&format!("{time}{hours}:{minutes}"))
    })
}

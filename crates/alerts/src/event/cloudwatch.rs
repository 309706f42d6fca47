//! Alarms. Source: "Alarm events and EventBridge" of the CloudWatch user guide.

use serde::Deserialize;
use serde_json::Value;

use crate::moment::Moment;

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// The threshold is not breached.
    Ok,
    /// The threshold is breached.
    Alarm,
    /// There is not enough data.
    InsufficientData,
}

/// A state change of an alarm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// The alarm's name.
    pub alarm_name: String,
    /// The new state.
    pub state: State,
    /// The previous state.
    pub previous_state: State,
    /// The configuration.
    #[serde(default)]
    pub configuration: Configuration,
    /// Present while the alarm's actions are muted.
    #[serde(default)]
    pub mute_detail: Option<Value>,
}

/// A state with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct State {
    /// The state.
    pub value: AlarmState,
    /// The reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// The time of the state change.
    #[serde(default)]
    pub timestamp: Option<String>,
}

/// The configuration of an alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Configuration {
    /// The alarm's description.
    #[serde(default)]
    pub description: Option<String>,
}

/// Reads the time of a state: `2019-10-02T17:04:40.989+0000`.
pub(super) fn time(text: &str) -> Option<Moment> {
    // RFC 3339 needs a colon in the offset.
    Moment::parse(text).or_else(|| {
        let (time, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
        let (hours, minutes) = offset.split_at_checked(3)?;
        Moment::parse(&format!("{time}{hours}:{minutes}"))
    })
}

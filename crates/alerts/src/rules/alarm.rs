//! CloudWatch alarms.

use crate::command::Command;
use crate::event::{Alarm, AlarmState, Event};
use crate::incident::{Incident, IncidentKey};
use crate::kind::{Kind, Severity};
use crate::state::Observation;

pub(super) fn state(event: &Event, alarm: &Alarm) -> Vec<Observation> {
    let name = alarm.alarm_name.as_str();
    let subject = event.resources.first().map_or(name, String::as_str);
    match alarm.state.value {
        AlarmState::Ok => {
            let key = IncidentKey::new(Kind::Alarm, &event.location, subject, None);
            let how = alarm.state.reason.as_deref().unwrap_or("the alarm is OK");
            vec![Observation::resolved(key, how, event.id.clone(), event.time)]
        }
        // Insufficient data is neither. A muted alarm was muted on purpose.
        AlarmState::InsufficientData => Vec::new(),
        AlarmState::Alarm if alarm.mute_detail.is_some() => Vec::new(),
        AlarmState::Alarm => {
            let about = alarm.configuration.description.as_deref().unwrap_or_default();
            let impact = if about.is_empty() { "The alarm has no description." } else { about };
            let incident = Incident::new(
                Kind::Alarm,
                Severity::Error,
                event.location.clone(),
                subject,
                name,
                event.time,
            )
            .what(&format!("The alarm {name} changed to the state ALARM."))
            .impact(impact)
            .cause(alarm.state.reason.as_deref())
            .action(
                "Read the alarm's configuration and state, then follow the runbook:",
                Command::aws("cloudwatch", "describe-alarms")
                    .option("alarm-names", name)
                    .flag("--alarm-types MetricAlarm CompositeAlarm")
                    .option("region", &event.location.region),
            );
            vec![Observation::firing(incident, event.id.clone())]
        }
    }
}

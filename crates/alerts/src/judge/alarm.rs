//! CloudWatch alarms.

use crate::command::Command;
use crate::event::{Alarm, AlarmState, Known};
use crate::incident::{Incident, Key};
use crate::kind::{Kind, Severity};
use crate::state::Signal;

pub(super) fn state(known: &Known, alarm: &Alarm) -> Vec<Signal> {
    let name = alarm.alarm_name.as_str();
    let subject = known.resources.first().map_or(name, String::as_str);
    match alarm.state.value {
        AlarmState::Ok => {
            let key = Key::new(Kind::Alarm, &known.place, subject, None);
            let how = alarm.state.reason.as_deref().unwrap_or("the alarm is OK");
            vec![Signal::cleared(key, how, known.id.clone(), known.time)]
        }
        // Muted on purpose: whoever did that knows. Too few values is neither.
        AlarmState::InsufficientData => Vec::new(),
        AlarmState::Alarm if alarm.mute_detail.is_some() => Vec::new(),
        AlarmState::Alarm => {
            let about = alarm.configuration.description.as_deref().unwrap_or_default();
            let impact = if about.is_empty() {
                "Its author did not say (the alarm has no description)."
            } else {
                about
            };
            let incident =
                Incident::new(Kind::Alarm, Severity::Error, known.place.clone(), subject, name, known.time)
                    .what(&format!("The alarm {name} went off."))
                    .impact(impact)
                    .cause(alarm.state.reason.as_deref())
                    .remedy(
                        "Look at what it measures and at its history:",
                        Command::aws("cloudwatch", "describe-alarms")
                            .option("alarm-names", name)
                            .flag("--alarm-types MetricAlarm CompositeAlarm")
                            .option("region", &known.place.region),
                    );
            vec![Signal::raised(incident, known.id.clone())]
        }
    }
}

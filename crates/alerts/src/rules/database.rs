//! Events of RDS and Redshift about databases.

use crate::command::Command;
use crate::event::{Database, Engine, Event};
use crate::incident::Incident;
use crate::kind::{Kind, Severity};
use crate::state::Observation;

/// The categories of RDS events that lead to an alert, with severity and impact.
/// Source: "Amazon RDS event categories and event messages".
const CATEGORIES: [(&str, Severity, &str); 6] = [
    ("failure", Severity::Error, "The database, or a part of it, does not work."),
    ("low storage", Severity::Error, "When the storage is full, the database refuses writes."),
    ("failover", Severity::Warning, "Connections were closed. Clients that reconnect reach the new writer."),
    ("availability", Severity::Warning, "The database was stopped or restarted. Connections were closed."),
    ("read replica", Severity::Warning, "A replica may be behind, or replication may have stopped."),
    ("recovery", Severity::Warning, "The database was recovered. Connections were closed."),
];

pub(super) fn event(event: &Event, database: &Database) -> Vec<Observation> {
    let (severity, impact) = match database.engine {
        Engine::Rds if database.categories.is_empty() => {
            // The event subscription selects the categories; its messages do not repeat them.
            (
                Severity::Warning,
                "The event subscription selects this event. The runbook explains the event id.",
            )
        }
        Engine::Rds => {
            let found = CATEGORIES
                .iter()
                .find(|(name, ..)| database.categories.iter().any(|category| category == name));
            let Some((_, severity, impact)) = found else { return Vec::new() };
            (*severity, *impact)
        }
        Engine::Redshift => match database.is_error {
            Some(true) => {
                (Severity::Error, "The warehouse failed to do what was requested, or cannot be reached.")
            }
            _ if database
                .categories
                .iter()
                .any(|category| ["pending", "security"].contains(&category.to_lowercase().as_str())) =>
            {
                (Severity::Warning, "The warehouse changes, or will change.")
            }
            _ => return Vec::new(),
        },
    };
    let here = |command: Command| command.option("region", &event.location.region);
    let (engine, command) = match database.engine {
        Engine::Rds => ("RDS", here(Command::aws("rds", "describe-events").flag("--duration 1440"))),
        Engine::Redshift => {
            ("Redshift", here(Command::aws("redshift", "describe-events").flag("--duration 1440")))
        }
    };
    let incident = Incident::new(
        Kind::DatabaseEvent,
        severity,
        event.location.clone(),
        &database.subject,
        &database.name,
        event.time,
    )
    .what(&format!("{engine} reports {}.", database.event_id))
    .impact(impact)
    .cause(Some(&database.message))
    .action("List the other events of the last day, then follow the runbook:", command)
    .dedup_key(&database.event_id);
    vec![Observation::firing(incident, event.id.clone())]
}

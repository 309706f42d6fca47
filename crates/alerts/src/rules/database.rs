//! What RDS and Redshift say about databases: what is worth waking or telling somebody.

use crate::command::Command;
use crate::event::{Database, Engine, Event};
use crate::incident::Incident;
use crate::kind::{Kind, Severity};
use crate::state::Observation;

/// Categories of RDS events and what they mean; of others nobody is told.
/// Source: "Amazon RDS event categories and event messages".
const CATEGORIES: [(&str, Severity, &str); 6] = [
    ("failure", Severity::Error, "The database does not work, or part of it."),
    ("low storage", Severity::Error, "When the storage is full, the database stops taking writes."),
    ("failover", Severity::Warning, "Connections were cut. Clients that reconnect reach the new writer."),
    ("availability", Severity::Warning, "The database was stopped or restarted. Connections were cut."),
    ("read replica", Severity::Warning, "A replica may lag behind or have stopped."),
    ("recovery", Severity::Warning, "The database was recovered. Connections were cut."),
];

pub(super) fn event(event: &Event, database: &Database) -> Vec<Observation> {
    let (severity, impact) = match database.engine {
        Engine::Rds if database.categories.is_empty() => {
            // An event subscription has chosen the categories already and does not repeat them.
            (Severity::Warning, "The event subscription asks for this; see the runbook for its id.")
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
                (Severity::Error, "The warehouse does not do what was asked of it, or is not reachable.")
            }
            _ if database
                .categories
                .iter()
                .any(|category| ["pending", "security"].contains(&category.to_lowercase().as_str())) =>
            {
                (Severity::Warning, "Something about the warehouse changes or will change.")
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
    .action("See what else happened to it within a day:", command)
    .dedup_key(&database.event_id);
    vec![Observation::firing(incident, event.id.clone())]
}

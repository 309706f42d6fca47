//! The batch of statements of a run: its name, its token and its completion event.

use alerts::incident::digest;
use lambda_kit::moment::Moment;

/// The beginning of the names of the monitor's batches. Event rules match it.
pub const NAME_PREFIX: &str = alerts::rules::MONITOR_STATEMENT_PREFIX;

/// Returns the name of a run's batch.
pub(crate) fn name(watched: &str, run: u64) -> String {
    format!("{NAME_PREFIX}{watched}.{run}")
}

/// Returns the token of a run's batch: whoever starts the batch a second time gets the same one.
pub(crate) fn token(watched: &str, run: u64, started: Moment) -> String {
    digest(&["token", watched, &run.to_string(), &started.micros().to_string()])
}

/// The completion event of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The event's `statementName`.
    pub name: String,
    /// The event's `statementId`.
    pub id: String,
    /// True if the event's `state` is FINISHED. After any other state there is no result.
    pub finished: bool,
}

impl Completion {
    /// Returns the run of a warehouse that the batch belongs to.
    pub(crate) fn run(&self, watched: &str) -> Option<u64> {
        // The end of one statement is not the end of its batch.
        if self.id.contains(':') {
            return None;
        }
        let rest = self.name.strip_prefix(NAME_PREFIX)?;
        let (name, run) = rest.rsplit_once('.')?;
        (name == watched).then(|| run.parse().ok()).flatten()
    }
}

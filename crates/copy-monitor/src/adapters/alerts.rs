//! Findings, told by the alerts' announcer.

use alerts::announcer::{Announcer as Alerts, Turn};
use alerts::publish::Publisher;
use alerts::store::Store;
use lambda_kit::call::{CallError, chain};
use tokio::sync::Mutex;

use crate::finding::Finding;
use crate::incident::signal;
use crate::ports::Announcer;

/// Tells findings as incidents. What could not be published is kept in the alerts' state and comes again with the finding, or by the schedule.
#[derive(Debug)]
pub struct Incidents<S, P> {
    alerts: Alerts<S, P>,
    turn: Turn,
    /// The files of a job share one limit, which is one item of the state: told at the same time they would only get into each other's way.
    one: Mutex<()>,
}

impl<S: Store, P: Publisher> Incidents<S, P> {
    /// Told by this announcer in an invocation of this time.
    pub fn new(alerts: Alerts<S, P>, turn: Turn) -> Self {
        Self { alerts, turn, one: Mutex::new(()) }
    }
}

impl<S: Store + Send + Sync, P: Publisher + Send + Sync> Announcer for Incidents<S, P> {
    async fn announce(&self, finding: &Finding) -> Result<(), CallError> {
        let _one = self.one.lock().await;
        let kind = finding.problem.kind();
        tracing::info!(kind, id = finding.id, turn = ?finding.turn, "finding");
        for told in self.alerts.report(&[signal(finding)], self.turn).await {
            told.map_err(|error| CallError::without_answer("announce", &chain(&error)))?;
        }
        Ok(())
    }
}

//! Where findings go: one line of the log each.

use copy_monitor::finding::Finding;
use copy_monitor::ports::Announcer;
use lambda_kit::call::CallError;

/// The function's own log.
pub(crate) struct Log;

impl Announcer for Log {
    async fn announce(&self, finding: &Finding) -> Result<(), CallError> {
        let kind = finding.problem.kind();
        let text = serde_json::to_string(finding)
            .map_err(|error| CallError::without_answer("announce", &error.to_string()))?;
        tracing::warn!(kind, id = finding.id, finding = text, "finding");
        Ok(())
    }
}

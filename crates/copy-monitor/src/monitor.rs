//! One invocation of the monitor, and how it tells a finding exactly once.

use std::collections::HashSet;

use futures_util::future::join_all;
use lambda_kit::call::CallError;
use tokio::time::Instant;
use warehouse::value::InvalidValue;

use crate::finding::{Finding, Problem, Turn};
use crate::moment::Moment;
use crate::ports::{Announcer, Claimed, Document, Ledger, Objects, Statements};
use crate::settings::Settings;
use crate::state::{SWEEP, SweepState, TARGET, TargetState};

/// Findings that are told at the same time.
const AT_ONCE: usize = 16;

/// Why an invocation could not do its work. The next one goes on where this one stopped.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A document of the ledger is not what this version writes.
    #[error(
        "the ledger's document \"{name}\" cannot be read: {problem}; it was written by another version, or by hand"
    )]
    Document {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A value that no statement may hold.
    #[error(transparent)]
    Sql(#[from] InvalidValue),
}

/// One invocation: what it may use, and until when.
#[derive(Debug)]
pub struct Monitor<'a, S, O, L, A> {
    /// What is watched.
    pub settings: &'a Settings,
    /// The warehouse.
    pub statements: &'a S,
    /// The buckets.
    pub objects: &'a O,
    /// The memory.
    pub ledger: &'a L,
    /// Who passes findings on.
    pub announcer: &'a A,
    /// Unlike that of every other invocation: its request id.
    pub holder: &'a str,
    /// It stops before this.
    pub until: Instant,
}

/// What came of telling a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was told by this invocation.
    Now,
    /// It was told before.
    Before,
    /// Another invocation is at it: whether it succeeds is not known yet.
    ByAnother,
}

impl<S: Statements, O: Objects, L: Ledger, A: Announcer> Monitor<'_, S, O, L, A> {
    /// Tells a finding, unless it was told or another invocation is at it.
    pub(crate) async fn tell(&self, finding: &Finding, now: Moment) -> Result<Told, MonitorError> {
        match self.ledger.claim(&finding.id, self.holder, now, now.plus(self.settings.lease)).await? {
            Claimed::Told => return Ok(Told::Before),
            Claimed::ByAnother => return Ok(Told::ByAnother),
            Claimed::Yes => {}
        }
        if let Err(error) = self.announcer.announce(finding).await {
            // Otherwise the next invocation would have to wait until the claim has run out.
            if let Err(release) = self.ledger.release(&finding.id, self.holder).await {
                tracing::warn!(finding = finding.id, error = %release, "a finding that could not be told stays taken up");
            }
            return Err(error.into());
        }
        self.ledger.told(&finding.id, now).await?;
        Ok(Told::Now)
    }

    /// Tells findings, several at a time; how many were told now, and whether all of them are told.
    pub(crate) async fn tell_all(
        &self,
        findings: &[Finding],
        now: Moment,
    ) -> Result<(u32, bool), MonitorError> {
        let (mut told, mut all) = (0, true);
        let mut failed = None;
        // A holder's second claim of the same finding would be granted.
        let mut seen = HashSet::new();
        let findings: Vec<&Finding> =
            findings.iter().filter(|finding| seen.insert(finding.id.as_str())).collect();
        for some in findings.chunks(AT_ONCE) {
            for result in join_all(some.iter().map(|finding| self.tell(finding, now))).await {
                match result {
                    Ok(Told::Now) => told += 1,
                    Ok(Told::Before) => {}
                    Ok(Told::ByAnother) => all = false,
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok((told, all))
    }

    /// Those of these ids that were not told yet.
    pub(crate) async fn untold(&self, ids: Vec<String>) -> Result<HashSet<String>, MonitorError> {
        let mut untold = HashSet::new();
        for some in ids.chunks(100) {
            let told = self.ledger.told_among(some).await?;
            untold.extend(some.iter().filter(|id| !told.contains(*id)).cloned());
        }
        Ok(untold)
    }

    /// A finding about the warehouse or one of its jobs.
    pub(crate) fn finding(
        &self,
        id: String,
        problem: Problem,
        job: Option<&str>,
        since: Moment,
        noticed: Moment,
        command: Vec<String>,
    ) -> Finding {
        let watched = &self.settings.watched;
        Finding {
            id,
            turn: Turn::Began,
            problem,
            account: watched.account.clone(),
            region: watched.region.clone(),
            warehouse: watched.target.to_string(),
            job: job.map(str::to_owned),
            since,
            noticed,
            command,
        }
    }

    pub(crate) async fn target(&self) -> Result<(u64, TargetState), MonitorError> {
        read(TARGET, self.ledger.document(TARGET).await?)
    }

    pub(crate) async fn sweep_state(&self) -> Result<(u64, SweepState), MonitorError> {
        read(SWEEP, self.ledger.document(SWEEP).await?)
    }

    /// Whether it was written: not if somebody else wrote since `revision`.
    pub(crate) async fn save<T: serde::Serialize>(
        &self,
        name: &'static str,
        revision: u64,
        state: &T,
    ) -> Result<bool, MonitorError> {
        let body = serde_json::to_string(state)
            .map_err(|error| MonitorError::Document { name, problem: error.to_string() })?;
        Ok(self.ledger.save(name, revision, &body).await?)
    }

    pub(crate) fn out_of_time(&self) -> bool {
        Instant::now() >= self.until
    }
}

fn read<T: serde::de::DeserializeOwned + Default>(
    name: &'static str,
    document: Option<Document>,
) -> Result<(u64, T), MonitorError> {
    match document {
        None => Ok((0, T::default())),
        Some(document) => serde_json::from_str(&document.body)
            .map(|state| (document.revision, state))
            .map_err(|error| MonitorError::Document { name, problem: error.to_string() }),
    }
}

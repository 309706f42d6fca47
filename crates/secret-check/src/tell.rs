//! A check whose findings become incidents, and whose silence ends them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use alerts::notifier::{Notifier, RecordError, InvocationWindow};
use alerts::incident::AccountRegion;
use alerts::open::{Entry, Open};
use alerts::publish::Publisher;
use alerts::state::{EventId, Observation};
use alerts::store::{Store, StoreError};
use lambda_kit::call::CallError;
use tokio::time::Instant;

use crate::check::{CheckError, Sink, Summary, check};
use crate::finding::Finding;
use crate::incident::{incident, is_asked_for};
use crate::rules::Rules;
use crate::secret::Secrets;

/// The check's name in the alerts' table and in the ids of its events.
const CHECK: &str = "check-secrets";

/// Why a check is not done. The next one begins anew; what was told is not told again.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The secrets could not all be looked at. What was found is told; nothing is taken for over.
    #[error("the secrets could not all be checked")]
    Check(#[source] CheckError),
    /// What the last check found could not be read or written.
    #[error("the record of what is open cannot be used")]
    Record(#[source] StoreError),
    /// Something could not be told.
    #[error("{failed} of {of} findings and ends could not be told")]
    Report {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
        /// Why the first of them could not.
        #[source]
        first: RecordError,
    },
    /// The function's time is over.
    #[error("the time ran out after {told} of {of} findings and ends were told; give the function more time")]
    OutOfTime {
        /// How many were told.
        told: usize,
        /// Of how many.
        of: usize,
    },
}

/// What was found, until the check is over: whether something is missing is not known before.
#[derive(Debug, Default)]
struct Found(Mutex<Vec<Finding>>);

impl Sink for Found {
    async fn found(&self, finding: &Finding) -> Result<(), CallError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(finding.clone());
        Ok(())
    }
}

/// A run of the check.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The same for every attempt at this run, and for no other run: a finding counts once a run.
    pub id: &'a str,
    /// Its time.
    pub window: InvocationWindow,
    /// It stops before this.
    pub until: Instant,
}

/// Checks all secrets of an account and Region and tells what is wrong, and what is not wrong any more.
///
/// # Errors
/// See [`TellError`]. Whatever could be told was.
pub async fn check_and_tell<S: Secrets, T: Store, P: Publisher>(
    rules: &Rules,
    secrets: &S,
    notifier: &Notifier<T, P>,
    run: Run<'_>,
) -> Result<Summary, TellError> {
    let sink = Found::default();
    let now = run.window.now;
    let time = SystemTime::from(now);
    let checked = check(rules, secrets, &sink, time, run.until).await;
    let findings = sink.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let location = AccountRegion::new(&rules.account, &rules.region);
    let event = |what: &str, entry: &Entry| {
        let detail = entry.detail.as_deref().unwrap_or_default();
        EventId::of(&[CHECK, run.id, what, entry.kind.name(), &entry.subject, detail])
    };
    let mut there = BTreeSet::new();
    let mut observations = Vec::new();
    for finding in &findings {
        let incident = incident(finding, now);
        let entry = Entry::of(&incident);
        observations.push((None, Observation::firing(incident, event("found", &entry))));
        there.insert(entry);
    }
    let mut open = Open::read(notifier.store(), CHECK, &location, now).await.map_err(TellError::Record)?;
    let before = open.entries();
    let all: BTreeSet<Entry> = before.union(&there).cloned().collect();
    // Before anything is told, so that its end cannot be missed.
    open.write(notifier.store(), &all, now).await.map_err(TellError::Record)?;
    let mut kept = all;
    if let Ok(summary) = &checked {
        // Of a secret that could not be asked, silence says nothing.
        let unknown = |entry: &Entry| is_asked_for(entry.kind) && summary.not_asked.contains(&entry.subject);
        for entry in before.difference(&there).filter(|entry| !unknown(entry)) {
            let how = "a check of all secrets does not find it any more";
            let over = Observation::resolved(entry.key(&location), how, event("over", entry), now);
            observations.push((Some(entry), over));
        }
    }
    let (of, mut told, mut failed) = (observations.len(), 0, Vec::new());
    for (ends, observation) in observations {
        if Instant::now() >= run.until {
            return Err(TellError::OutOfTime { told, of });
        }
        for result in notifier.report(&[observation], run.window).await {
            match (result, ends) {
                (Err(error), _) => failed.push(error),
                (Ok(_), Some(entry)) => {
                    kept.remove(entry);
                }
                (Ok(_), None) => {}
            }
        }
        told += 1;
    }
    open.write(notifier.store(), &kept, now).await.map_err(TellError::Record)?;
    let summary = checked.map_err(TellError::Check)?;
    let failures = failed.len();
    match failed.into_iter().next() {
        Some(first) => Err(TellError::Record { failed: failures, of, first }),
        None => Ok(summary),
    }
}

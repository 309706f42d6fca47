//! The check: page by page, with few further calls.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::SystemTime;

use lambda_kit::call::CallError;
use tokio::time::Instant;

use crate::finding::Finding;
use crate::rules::{Rules, evaluate, judge_details, judge_pending};
use crate::secret::{Secret, Secrets};

/// Where findings go, one by one.
pub trait Sink: Send + Sync {
    /// Takes a finding. It comes with every check as long as it lasts, with the same id.
    fn found(&self, finding: &Finding) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// Why a check did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The function's time is over.
    #[error("the time ran out after {seen} secrets; give the function more time")]
    OutOfTime {
        /// How many were judged.
        seen: u64,
    },
}

/// What a check saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Secrets.
    pub secrets: u64,
    /// Calls of Secrets Manager.
    pub calls: u64,
    /// Findings by kind.
    pub findings: BTreeMap<&'static str, u64>,
    /// ARNs of the secrets that could not be asked for more: a policy of their own may forbid it.
    pub not_asked: BTreeSet<String>,
}

impl Summary {
    /// Takes in what another check saw.
    pub fn add(&mut self, other: Self) {
        self.secrets += other.secrets;
        self.calls += other.calls;
        for (kind, number) in other.findings {
            *self.findings.entry(kind).or_default() += number;
        }
        self.not_asked.extend(other.not_asked);
    }
}

/// Checks all secrets of an account and Region; stops at `until`.
///
/// # Errors
/// A call failed, or the time ran out. Nothing is lost by either: the next check begins anew.
pub async fn check<S: Secrets, F: Sink>(
    rules: &Rules,
    secrets: &S,
    sink: &F,
    now: SystemTime,
    until: Instant,
) -> Result<Summary, CheckError> {
    let mut summary = Summary::default();
    let mut next = None;
    loop {
        let (page, more) = secrets.page(next).await?;
        summary.calls += 1;
        for secret in &page {
            if Instant::now() >= until {
                return Err(CheckError::OutOfTime { seen: summary.secrets });
            }
            for finding in findings(rules, secrets, secret, now, &mut summary).await? {
                sink.found(&finding).await?;
                *summary.findings.entry(finding.problem.kind()).or_default() += 1;
            }
            summary.secrets += 1;
        }
        next = more;
        if next.is_none() {
            return Ok(summary);
        }
    }
}

async fn findings<S: Secrets>(
    rules: &Rules,
    secrets: &S,
    secret: &Secret,
    now: SystemTime,
    summary: &mut Summary,
) -> Result<Vec<Finding>, CheckError> {
    let (mut found, questions) = evaluate(rules, secret, now);
    if let (true, Some(version)) = (questions.pending_version, secret.pending()) {
        summary.calls += 1;
        match secrets.version_created(&secret.arn, version).await {
            Ok(created) => found.extend(judge_pending(rules, secret, created, now)),
            Err(error) => refused(secret, error, summary)?,
        }
    }
    if questions.details {
        summary.calls += 1;
        match secrets.details(&secret.arn).await {
            Ok(Some(details)) => found.extend(judge_details(rules, secret, &details, now)),
            // It is deleted by now.
            Ok(None) => {}
            Err(error) => refused(secret, error, summary)?,
        }
    }
    Ok(found)
}

/// One secret's own policy must not end the check of all others.
fn refused(secret: &Secret, error: CallError, summary: &mut Summary) -> Result<(), CheckError> {
    if !error.is_refusal() {
        return Err(error.into());
    }
    tracing::warn!(secret = secret.arn, %error, "the secret could not be asked for more");
    summary.not_asked.insert(secret.arn.clone());
    Ok(())
}

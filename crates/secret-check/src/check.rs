//! The check of one account and Region: page by page, with few further calls.

use std::collections::{BTreeMap, BTreeSet};

use alerts::Incident;
use alerts::kind::Kind;
use alerts::moment::Moment;
use lambda_kit::call::CallError;
use tokio::time::Instant;

use crate::rules::{Rules, evaluate, evaluate_details, evaluate_pending};
use crate::secret::{Secret, Secrets};

/// The reason why a check is incomplete. The next check starts anew.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The invocation has no time left.
    #[error("timed out after {seen} secrets; increase the function's timeout")]
    TimedOut {
        /// The number of secrets that were checked.
        seen: u64,
    },
}

/// The numbers of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Secrets.
    pub secrets: u64,
    /// Calls of Secrets Manager.
    pub calls: u64,
    /// Incidents by kind.
    pub incidents: BTreeMap<Kind, u64>,
    /// The ARNs of secrets whose details could not be read. A secret's own policy may forbid it.
    pub access_denied: BTreeSet<String>,
}

impl Summary {
    /// Adds the numbers of another check.
    pub fn add(&mut self, other: Self) {
        self.secrets += other.secrets;
        self.calls += other.calls;
        for (kind, number) in other.incidents {
            *self.incidents.entry(kind).or_default() += number;
        }
        self.access_denied.extend(other.access_denied);
    }

    /// Returns false if a problem of this kind could not have been found for this secret.
    pub fn covers(&self, kind: Kind, arn: &str) -> bool {
        let needs_details =
            [Kind::RotationStuck, Kind::ReplicaOutOfSync, Kind::SecretDeleted].contains(&kind);
        !(needs_details && self.access_denied.contains(arn))
    }
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Findings {
    /// The incidents that were found, also by an incomplete check.
    pub incidents: Vec<Incident>,
    /// The numbers.
    pub summary: Summary,
    /// The reason why the check is incomplete.
    pub error: Option<CheckError>,
}

/// Checks all secrets of an account and Region. The check stops at `until`.
pub async fn check<S: Secrets>(rules: &Rules, secrets: &S, now: Moment, until: Instant) -> Findings {
    let mut findings = Findings::default();
    findings.error = pages(rules, secrets, now, until, &mut findings).await.err();
    findings
}

async fn pages<S: Secrets>(
    rules: &Rules,
    secrets: &S,
    now: Moment,
    until: Instant,
    findings: &mut Findings,
) -> Result<(), CheckError> {
    let mut next = None;
    loop {
        let (page, more) = secrets.page(next).await?;
        findings.summary.calls += 1;
        for secret in &page {
            if Instant::now() >= until {
                return Err(CheckError::TimedOut { seen: findings.summary.secrets });
            }
            for incident in incidents(rules, secrets, secret, now, &mut findings.summary).await? {
                *findings.summary.incidents.entry(incident.kind).or_default() += 1;
                findings.incidents.push(incident);
            }
            findings.summary.secrets += 1;
        }
        next = more;
        if next.is_none() {
            return Ok(());
        }
    }
}

async fn incidents<S: Secrets>(
    rules: &Rules,
    secrets: &S,
    secret: &Secret,
    now: Moment,
    summary: &mut Summary,
) -> Result<Vec<Incident>, CheckError> {
    let (mut found, lookups) = evaluate(rules, secret, now);
    if let (true, Some(version)) = (lookups.pending_version, secret.pending()) {
        summary.calls += 1;
        match secrets.version_created(&secret.arn, version).await {
            Ok(created) => found.extend(evaluate_pending(rules, secret, created, now)),
            Err(error) => denied(secret, error, summary)?,
        }
    }
    if lookups.details {
        summary.calls += 1;
        match secrets.details(&secret.arn).await {
            Ok(Some(details)) => found.extend(evaluate_details(rules, secret, &details, now)),
            // The secret is deleted by now.
            Ok(None) => {}
            Err(error) => denied(secret, error, summary)?,
        }
    }
    Ok(found)
}

/// Remembers a secret whose own policy denies access. It must not end the check of all others.
fn denied(secret: &Secret, error: CallError, summary: &mut Summary) -> Result<(), CheckError> {
    if !error.is_access_denied() {
        return Err(error.into());
    }
    tracing::warn!(secret = secret.arn, %error, "cannot read the secret's details");
    summary.access_denied.insert(secret.arn.clone());
    Ok(())
}

//! The check of many accounts and Regions in one run. One that cannot be read does not hide another.

use std::future::Future;

use alerts::command::Command;
use alerts::incident::AccountRegion;
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;
use alerts::notifier::{ReconcileError, Run};
use alerts::publish::Publisher;
use alerts::store::Store;
use alerts::{Coverage, Incident, Notifier, Scope};
use lambda_kit::call::CallError;
use lambda_kit::error::chain;
use lambda_kit::metrics::Metrics;
use tokio::time::Instant;

use crate::check::{CheckError, Findings, Summary, check};
use crate::rules::Rules;
use crate::secret::Secrets;

/// The name of the check, in the scope of the secrets' incidents.
const CHECK: &str = "check-secrets";
/// The name of the check, in the scope of [`Kind::SecretCheckFailed`].
const ACCESS: &str = "check-secrets-access";

/// Gives access to the secrets of accounts and Regions.
pub trait Access {
    /// The secrets of one account and Region.
    type Secrets: Secrets;

    /// Returns the secrets of an account and Region.
    fn secrets(
        &self,
        location: &AccountRegion,
    ) -> impl Future<Output = Result<Self::Secrets, CallError>> + Send;

    /// Returns the command that shows, in the account, whether access is possible.
    fn command(&self, location: &AccountRegion) -> Command;
}

/// The result of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The numbers of the accounts and Regions that were checked completely.
    pub summary: Summary,
    /// The number of accounts and Regions that were checked completely.
    pub checked: u32,
    /// The accounts and Regions that were not, each with the reason.
    pub not_checked: Vec<(AccountRegion, String)>,
}

impl Overview {
    /// Returns the metrics. `SecretChecks` counts the accounts and Regions that were checked completely:
    /// an alarm on missing data detects a check that does not run.
    pub fn metrics(&self, at: Moment) -> Metrics {
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let of = |kind| count(self.summary.incidents.get(&kind).copied().unwrap_or(0));
        Metrics::new("Sluice/Secrets", at)
            .count("SecretChecks", self.checked)
            .count("AccountsNotChecked", count(self.not_checked.len() as u64))
            .count("Secrets", count(self.summary.secrets))
            .count("RotationOverdue", of(Kind::RotationOverdue))
            .count("RotationStuck", of(Kind::RotationStuck))
            .count("RotationDisabled", of(Kind::RotationDisabled))
            .count("SecretUnused", of(Kind::SecretUnused))
            .count("ReplicaOutOfSync", of(Kind::ReplicaOutOfSync))
            .count("ScheduledForDeletion", of(Kind::SecretDeleted))
            .count("AccessDenied", count(self.summary.access_denied.len() as u64))
    }
}

/// Checks all accounts and Regions, one after the other.
///
/// The check starts with a different account every hour, so that none is starved.
///
/// # Errors
/// The first account and Region whose incidents could not be recorded. All others were.
pub async fn check_all<A: Access, S: Store, P: Publisher>(
    rules: &Rules,
    locations: &[AccountRegion],
    access: &A,
    notifier: &Notifier<S, P>,
    run: Run<'_>,
) -> Result<Overview, ReconcileError> {
    let mut overview = Overview::default();
    let mut failure = None;
    for location in rotated(locations, run.window.now) {
        let rules = Rules { location: location.clone(), ..rules.clone() };
        let result = match check_location(&rules, access, notifier, run).await {
            Ok(result) => report(&result, access, location, notifier, run).await.map(|()| result),
            Err(error) => Err(error),
        };
        let (account, region) = (&location.account, &location.region);
        match result {
            Ok(Ok(summary)) => {
                overview.checked += 1;
                overview.summary.add(summary);
            }
            Ok(Err(reason)) => {
                tracing::warn!(account, region, reason, "cannot check the secrets");
                overview.not_checked.push((location.clone(), reason));
            }
            Err(error) => {
                tracing::error!(account, region, error = chain(&error), "cannot record all incidents");
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(overview), Err)
}

/// Checks the secrets of one account and Region, and reconciles its incidents. Returns the reason if the
/// check is incomplete; what it found is recorded all the same.
///
/// # Errors
/// Not all incidents could be recorded.
pub async fn check_account<C: Secrets, S: Store, P: Publisher>(
    rules: &Rules,
    secrets: &C,
    notifier: &Notifier<S, P>,
    run: Run<'_>,
) -> Result<Result<Summary, CheckError>, ReconcileError> {
    let Findings { incidents, summary, error } = check(rules, secrets, run.window.now, run.until).await;
    let coverage = match error {
        // An incomplete check resolves nothing.
        Some(_) => Coverage::none(),
        None => Coverage::of(|open| {
            let covered = summary.covers(open.kind, &open.subject);
            covered.then_some("a check of all secrets does not find the problem any more")
        }),
    };
    let scope = Scope::new(CHECK, rules.location.clone());
    notifier.reconcile(&scope, &incidents, &coverage, run).await?;
    drop(coverage);
    Ok(error.map_or(Ok(summary), Err))
}

/// Checks one account and Region, if there is time left for it. Returns the reason if that is not
/// possible.
async fn check_location<A: Access, S: Store, P: Publisher>(
    rules: &Rules,
    access: &A,
    notifier: &Notifier<S, P>,
    run: Run<'_>,
) -> Result<Result<Summary, String>, ReconcileError> {
    if Instant::now() >= run.until {
        let reason = "timed out before this account was checked; increase the function's timeout";
        return Ok(Err(reason.to_owned()));
    }
    match access.secrets(&rules.location).await {
        Ok(secrets) => {
            let result = check_account(rules, &secrets, notifier, run).await?;
            Ok(result.map_err(|error| chain(&error)))
        }
        Err(error) => Ok(Err(chain(&error))),
    }
}

/// Reconciles whether one account and Region could be checked.
async fn report<A: Access, S: Store, P: Publisher>(
    result: &Result<Summary, String>,
    access: &A,
    location: &AccountRegion,
    notifier: &Notifier<S, P>,
    run: Run<'_>,
) -> Result<(), ReconcileError> {
    let failed = result
        .as_ref()
        .err()
        .map(|reason| check_failed(location, reason, access.command(location), run.window.now));
    let coverage = Coverage::all("all secrets were checked");
    let scope = Scope::new(ACCESS, location.clone());
    notifier.reconcile(&scope, failed.as_slice(), &coverage, run).await.map(|_| ())
}

/// Returns all locations, starting with a different one every hour.
fn rotated(locations: &[AccountRegion], now: Moment) -> impl Iterator<Item = &AccountRegion> {
    let hour = now.since(Moment::BEGINNING).as_secs() / 3600;
    let number = u64::try_from(locations.len()).unwrap_or(u64::MAX).max(1);
    let first = usize::try_from(hour % number).unwrap_or(0);
    locations.iter().skip(first).chain(locations.iter().take(first))
}

/// Returns the incident of an account and Region whose secrets could not be checked.
pub fn check_failed(location: &AccountRegion, reason: &str, command: Command, now: Moment) -> Incident {
    let name = format!("secrets of {} in {}", location.account, location.region);
    Incident::new(Kind::SecretCheckFailed, Severity::Error, location.clone(), &name, &name, now)
        .what("Not all secrets of this account and Region could be checked.")
        .impact("Rotations there that are overdue, stuck or disabled are not detected.")
        .cause(Some(reason))
        .action(
            "Check whether the read role exists and trusts the hub. If not, deploy the spoke again (make deploy-spoke):",
            command,
        )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_location_is_first_in_some_hour() {
        let locations: Vec<AccountRegion> =
            ["1", "2", "3"].map(|account| AccountRegion::new(account, "r")).into();
        let order = |hour: u64| {
            let now = Moment::BEGINNING.plus(Duration::from_secs(hour * 3600));
            rotated(&locations, now).map(|location| location.account.as_str()).collect::<String>()
        };
        assert_eq!([0, 1, 2, 3].map(order), ["123", "231", "312", "123"]);
        assert_eq!(rotated(&[], Moment::BEGINNING).count(), 0);
    }
}

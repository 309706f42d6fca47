//! Many accounts and Regions in one run: each for itself, so that one which cannot be read hides no other.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::SystemTime;

use alerts::notifier::Notifier;
use alerts::command::Command;
use alerts::incident::{Incident, AccountRegion};
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;
use alerts::open::{Entry, Open};
use alerts::publish::Publisher;
use alerts::state::{EventId, Observation};
use alerts::store::Store;
use lambda_kit::call::{CallError, chain};
use lambda_kit::metrics::Metrics;
use tokio::time::Instant;

use crate::check::Summary;
use crate::rules::Rules;
use crate::secret::Secrets;
use crate::tell::{Run, TellError, check_and_tell};

/// The name under which is remembered which places could not be checked.
const CHECK: &str = "check-secrets-places";

/// The way to the secrets of each place.
pub trait Access {
    /// The secrets of one.
    type Secrets: Secrets;

    /// Opens the way to a place.
    fn secrets(&self, location: &AccountRegion) -> impl Future<Output = Result<Self::Secrets, CallError>> + Send;

    /// What shows, in a place's account, whether the way there is open.
    fn command(&self, location: &AccountRegion) -> Command;
}

/// What a run saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Of all places that were checked to the end.
    pub summary: Summary,
    /// Places that were checked to the end.
    pub checked: u32,
    /// Places that were not, each with the reason.
    pub not_checked: Vec<(AccountRegion, String)>,
}

impl Overview {
    /// For CloudWatch. `SecretChecks` counts places that were checked to the end: an alarm on its absence finds a check that does not run.
    pub fn metrics(&self, at: SystemTime) -> Metrics {
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let of = |kind: &str| count(self.summary.findings.get(kind).copied().unwrap_or(0));
        Metrics::new("Sluice/Secrets", at)
            .count("SecretChecks", self.checked)
            .count("PlacesNotChecked", count(self.not_checked.len() as u64))
            .count("Secrets", count(self.summary.secrets))
            .count("Overdue", of("Overdue"))
            .count("Stuck", of("Stuck"))
            .count("RotationOff", of("RotationOff"))
            .count("Unused", of("Unused"))
            .count("ReplicaOutOfSync", of("ReplicaOutOfSync"))
            .count("ScheduledForDeletion", of("ScheduledForDeletion"))
            .count("NotAsked", count(self.summary.not_asked.len() as u64))
    }
}

/// Checks all places, one after the other, and tells what is wrong in each and which could not be checked.
///
/// The first place is another one each hour, so that none is always the one for which no time is left.
///
/// # Errors
/// The first place about which something could not be told; whatever else could be told was.
pub async fn check_all<A: Access, T: Store, P: Publisher>(
    rules: &Rules,
    places: &[AccountRegion],
    access: &A,
    notifier: &Notifier<T, P>,
    run: Run<'_>,
) -> Result<Overview, TellError> {
    let mut overview = Overview::default();
    let mut failed = None;
    for location in in_turn(places, run.window.now) {
        let rules = Rules { account: location.account.clone(), region: location.region.clone(), ..rules.clone() };
        let checked = match look(&rules, location, access, notifier, run).await {
            Ok(summary) => Ok(summary),
            Err(NotChecked::AccountRegion(reason)) => Err(reason),
            Err(NotChecked::RecordStats(error)) => {
                let error_text = chain(&error);
                tracing::error!(
                    account = location.account,
                    region = location.region,
                    error_text,
                    "not all could be told"
                );
                failed.get_or_insert(error);
                continue;
            }
        };
        if let Err(reason) = &checked {
            tracing::warn!(account = location.account, region = location.region, reason, "not checked");
        }
        let problem =
            checked.as_ref().err().map(|reason| incident(location, reason, access.command(location), run.window.now));
        if let Err(error) = tell(location, problem, notifier, run).await {
            failed.get_or_insert(error);
        }
        match checked {
            Ok(summary) => {
                overview.checked += 1;
                overview.summary.add(summary);
            }
            Err(reason) => overview.not_checked.push((location.clone(), reason)),
        }
    }
    failed.map_or(Ok(overview), Err)
}

/// Why a place was not checked to the end.
enum NotChecked {
    /// It could not be looked at.
    AccountRegion(String),
    /// What was found there could not be told or remembered.
    RecordStats(TellError),
}

/// Checks one place, if there is time left for it.
async fn look<A: Access, T: Store, P: Publisher>(
    rules: &Rules,
    location: &AccountRegion,
    access: &A,
    notifier: &Notifier<T, P>,
    run: Run<'_>,
) -> Result<Summary, NotChecked> {
    if Instant::now() >= run.until {
        let reason = "the time ran out before its turn; give the function more time";
        return Err(NotChecked::AccountRegion(reason.to_owned()));
    }
    let secrets = access.secrets(location).await.map_err(|error| NotChecked::AccountRegion(chain(&error)))?;
    check_and_tell(rules, &secrets, notifier, run).await.map_err(|error| match error {
        TellError::Check(error) => NotChecked::AccountRegion(chain(&error)),
        error => NotChecked::RecordStats(error),
    })
}

/// All places, another one first each hour.
fn in_turn(places: &[AccountRegion], now: Moment) -> impl Iterator<Item = &AccountRegion> {
    let hour = now.since(Moment::from_millis(0)).as_secs() / 3600;
    let number = u64::try_from(places.len()).unwrap_or(u64::MAX).max(1);
    let first = usize::try_from(hour % number).unwrap_or(0);
    places.iter().skip(first).chain(places.iter().take(first))
}

/// Tells that a place could not be checked, or that it could again.
async fn tell<T: Store, P: Publisher>(
    location: &AccountRegion,
    problem: Option<Incident>,
    notifier: &Notifier<T, P>,
    run: Run<'_>,
) -> Result<(), TellError> {
    let now = run.window.now;
    let event = |what: &str| EventId::of(&[CHECK, run.id, what, &location.account, &location.region]);
    let mut open = Open::read(notifier.store(), CHECK, location, now).await.map_err(TellError::Record)?;
    let mut after = BTreeSet::new();
    let mut observations = Vec::new();
    if let Some(incident) = problem {
        after.insert(Entry::of(&incident));
        observations.push(Observation::firing(incident, event("not checked")));
        // Before it is told, so that its end cannot be missed.
        open.write(notifier.store(), &after, now).await.map_err(TellError::Record)?;
    } else {
        let how = "all secrets there were checked";
        observations.extend(
            open.entries().iter().map(|entry| Observation::resolved(entry.key(location), how, event("checked"), now)),
        );
    }
    let of = observations.len();
    let failed: Vec<_> =
        notifier.report(&observations, run.window).await.into_iter().filter_map(Result::err).collect();
    let failures = failed.len();
    if let Some(first) = failed.into_iter().next() {
        return Err(TellError::Record { failed: failures, of, first });
    }
    open.write(notifier.store(), &after, now).await.map_err(TellError::Record)
}

/// The incident of a place that could not be checked.
pub(crate) fn incident(location: &AccountRegion, reason: &str, command: Command, now: Moment) -> Incident {
    let name = format!("secrets of {} in {}", location.account, location.region);
    Incident::new(Kind::SecretCheckFailed, Severity::Error, location.clone(), &name, &name, now)
        .what("Its secrets could not all be looked at.")
        .impact("A rotation there that is overdue, stuck or off is not noticed.")
        .cause(Some(reason))
        .action("See whether the way there is open; if not, deploy the account's spoke once more (make deploy-spoke):", command)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_place_is_first_in_some_hour_and_each_is_there_once() {
        let places: Vec<AccountRegion> = ["1", "2", "3"].map(|account| AccountRegion::new(account, "r")).into();
        let order = |hour: u64| {
            let now = Moment::from_millis(0).plus(Duration::from_secs(hour * 3600));
            in_turn(&places, now).map(|location| location.account.as_str()).collect::<String>()
        };
        assert_eq!([0, 1, 2, 3].map(order), ["123", "231", "312", "123"]);
        assert_eq!(in_turn(&[], Moment::from_millis(0)).count(), 0);
    }
}

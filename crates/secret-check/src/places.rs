//! Many accounts and Regions in one run: each for itself, so that one which cannot be read hides no other.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::SystemTime;

use alerts::announcer::Announcer;
use alerts::command::Command;
use alerts::incident::{Incident, Place};
use alerts::kind::{Kind, Severity};
use alerts::moment::Moment;
use alerts::open::{Entry, Open};
use alerts::publish::Publisher;
use alerts::state::{EventId, Signal};
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
    fn secrets(&self, place: &Place) -> impl Future<Output = Result<Self::Secrets, CallError>> + Send;

    /// What shows, in a place's account, whether the way there is open.
    fn command(&self, place: &Place) -> Command;
}

/// What a run saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Of all places that were checked to the end.
    pub summary: Summary,
    /// Places that were checked to the end.
    pub checked: u32,
    /// Places that were not, each with the reason.
    pub not_checked: Vec<(Place, String)>,
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
    places: &[Place],
    access: &A,
    announcer: &Announcer<T, P>,
    run: Run<'_>,
) -> Result<Overview, TellError> {
    let mut overview = Overview::default();
    let mut failed = None;
    for place in in_turn(places, run.turn.now) {
        let rules = Rules { account: place.account.clone(), region: place.region.clone(), ..rules.clone() };
        let checked = match look(&rules, place, access, announcer, run).await {
            Ok(summary) => Ok(summary),
            Err(NotChecked::Place(reason)) => Err(reason),
            Err(NotChecked::Told(error)) => {
                let error_text = chain(&error);
                tracing::error!(
                    account = place.account,
                    region = place.region,
                    error_text,
                    "not all could be told"
                );
                failed.get_or_insert(error);
                continue;
            }
        };
        if let Err(reason) = &checked {
            tracing::warn!(account = place.account, region = place.region, reason, "not checked");
        }
        let problem =
            checked.as_ref().err().map(|reason| incident(place, reason, access.command(place), run.turn.now));
        if let Err(error) = tell(place, problem, announcer, run).await {
            failed.get_or_insert(error);
        }
        match checked {
            Ok(summary) => {
                overview.checked += 1;
                overview.summary.add(summary);
            }
            Err(reason) => overview.not_checked.push((place.clone(), reason)),
        }
    }
    failed.map_or(Ok(overview), Err)
}

/// Why a place was not checked to the end.
enum NotChecked {
    /// It could not be looked at.
    Place(String),
    /// What was found there could not be told or remembered.
    Told(TellError),
}

/// Checks one place, if there is time left for it.
async fn look<A: Access, T: Store, P: Publisher>(
    rules: &Rules,
    place: &Place,
    access: &A,
    announcer: &Announcer<T, P>,
    run: Run<'_>,
) -> Result<Summary, NotChecked> {
    if Instant::now() >= run.until {
        let reason = "the time ran out before its turn; give the function more time";
        return Err(NotChecked::Place(reason.to_owned()));
    }
    let secrets = access.secrets(place).await.map_err(|error| NotChecked::Place(chain(&error)))?;
    check_and_tell(rules, &secrets, announcer, run).await.map_err(|error| match error {
        TellError::Check(error) => NotChecked::Place(chain(&error)),
        error => NotChecked::Told(error),
    })
}

/// All places, another one first each hour.
fn in_turn(places: &[Place], now: Moment) -> impl Iterator<Item = &Place> {
    let hour = now.since(Moment::from_millis(0)).as_secs() / 3600;
    let number = u64::try_from(places.len()).unwrap_or(u64::MAX).max(1);
    let first = usize::try_from(hour % number).unwrap_or(0);
    places.iter().skip(first).chain(places.iter().take(first))
}

/// Tells that a place could not be checked, or that it could again.
async fn tell<T: Store, P: Publisher>(
    place: &Place,
    problem: Option<Incident>,
    announcer: &Announcer<T, P>,
    run: Run<'_>,
) -> Result<(), TellError> {
    let now = run.turn.now;
    let event = |what: &str| EventId::of(&[CHECK, run.id, what, &place.account, &place.region]);
    let mut open = Open::read(announcer.store(), CHECK, place, now).await.map_err(TellError::Record)?;
    let mut after = BTreeSet::new();
    let mut signals = Vec::new();
    if let Some(incident) = problem {
        after.insert(Entry::of(&incident));
        signals.push(Signal::raised(incident, event("not checked")));
        // Before it is told, so that its end cannot be missed.
        open.write(announcer.store(), &after, now).await.map_err(TellError::Record)?;
    } else {
        let how = "all secrets there were checked";
        signals.extend(
            open.entries().iter().map(|entry| Signal::cleared(entry.key(place), how, event("checked"), now)),
        );
    }
    let of = signals.len();
    let failed: Vec<_> =
        announcer.report(&signals, run.turn).await.into_iter().filter_map(Result::err).collect();
    let failures = failed.len();
    if let Some(first) = failed.into_iter().next() {
        return Err(TellError::Report { failed: failures, of, first });
    }
    open.write(announcer.store(), &after, now).await.map_err(TellError::Record)
}

/// The incident of a place that could not be checked.
pub(crate) fn incident(place: &Place, reason: &str, command: Command, now: Moment) -> Incident {
    let name = format!("secrets of {} in {}", place.account, place.region);
    Incident::new(Kind::SecretsNotChecked, Severity::Error, place.clone(), &name, &name, now)
        .what("Its secrets could not all be looked at.")
        .impact("A rotation there that is overdue, stuck or off is not noticed.")
        .cause(Some(reason))
        .remedy("See whether the way there is open; if not, deploy the account's spoke once more (make deploy-spoke):", command)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_place_is_first_in_some_hour_and_each_is_there_once() {
        let places: Vec<Place> = ["1", "2", "3"].map(|account| Place::new(account, "r")).into();
        let order = |hour: u64| {
            let now = Moment::from_millis(0).plus(Duration::from_secs(hour * 3600));
            in_turn(&places, now).map(|place| place.account.as_str()).collect::<String>()
        };
        assert_eq!([0, 1, 2, 3].map(order), ["123", "231", "312", "123"]);
        assert_eq!(in_turn(&[], Moment::from_millis(0)).count(), 0);
    }
}

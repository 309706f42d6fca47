//! The plan of a run: what will be run, what it costs, and why the rest is not run.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};

use crate::{catalog::Check, money::Usd, report::Outcome};

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest sum of estimated costs.
    pub max_cost: Usd,
    /// The time at which everything is removed.
    pub ends: Timestamp,
    /// True if nothing costs anything, because the local cloud answers.
    pub is_free: bool,
}

impl Limits {
    /// Returns why a check may not be started at `now`, after `spent`, or `None`.
    pub fn objection(&self, check: &Check, spent: Usd, now: Timestamp) -> Option<String> {
        let sum = spent.plus(self.cost(check));
        if sum > self.max_cost {
            return Some(format!(
                "its estimated {} would bring the sum to {sum}, above --max-cost {}",
                check.cost.usd, self.max_cost
            ));
        }
        let needed = SignedDuration::from_mins(i64::from(check.cost.minutes));
        // The end time is the end of the removal too, so the whole check must fit.
        if now.saturating_add(needed).is_ok_and(|end| end > self.ends) {
            return Some(format!(
                "it takes about {} minutes, and the run ends at {}",
                check.cost.minutes,
                self.ends.strftime("%H:%M UTC")
            ));
        }
        None
    }

    /// Returns the estimated cost of a check.
    pub fn cost(&self, check: &Check) -> Usd {
        if self.is_free { Usd::default() } else { check.cost.usd }
    }
}

/// The plan for each selected check.
#[derive(Debug)]
pub struct Plan<'c> {
    /// The checks in their order, with the result of those that will not be run.
    pub entries: Vec<(&'c Check, Option<Outcome>)>,
    /// The limits.
    pub limits: Limits,
    /// The costs of earlier starts of the same run.
    pub spent: Usd,
}

impl<'c> Plan<'c> {
    /// Plans the checks; `obstacle` returns the result of one that cannot be run. Each check is
    /// planned as if the earlier ones took as long as estimated.
    pub fn make(
        checks: &[&'c Check],
        limits: Limits,
        (mut spent, now): (Usd, Timestamp),
        mut obstacle: impl FnMut(&Check) -> Option<Outcome>,
    ) -> Self {
        let before = spent;
        let mut minutes = 0;
        let mut entries = Vec::new();
        for check in checks {
            let start = now.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX);
            let outcome = obstacle(check)
                .or_else(|| limits.objection(check, spent, start).map(|reason| Outcome::NotRun { reason }));
            if outcome.is_none() {
                spent = spent.plus(limits.cost(check));
                minutes += i64::from(check.cost.minutes);
            }
            entries.push((*check, outcome));
        }
        Self { entries, limits, spent: before }
    }

    /// Returns the checks that will be run.
    pub fn runs(&self) -> impl Iterator<Item = &'c Check> {
        self.entries.iter().filter(|(_, outcome)| outcome.is_none()).map(|(check, _)| *check)
    }

    /// Returns the plan for the operator.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let (mut sum, mut minutes, mut hourly) = (Usd::default(), 0, Usd::default());
        for (check, outcome) in &self.entries {
            // Writing to a String cannot fail.
            let _ = match outcome {
                None => {
                    sum = sum.plus(self.limits.cost(check));
                    minutes += check.cost.minutes;
                    hourly = hourly.max(check.cost.hourly);
                    writeln!(
                        text,
                        "  run   {:9} {:3} min  {}",
                        self.limits.cost(check).to_string(),
                        check.cost.minutes,
                        check.id
                    )
                }
                Some(Outcome::NeedsAws { reason }) => {
                    writeln!(text, "  AWS                      {}: {reason}", check.id)
                }
                Some(Outcome::NotRun { reason }) => {
                    writeln!(text, "  no                       {}: {reason}", check.id)
                }
                Some(other) => writeln!(text, "  done                     {}: {}", check.id, other.name()),
            };
        }
        let _ = writeln!(
            text,
            "{} of {} checks, about {sum} and {minutes} minutes; at most {} are spent",
            self.runs().count(),
            self.entries.len(),
            self.limits.max_cost,
        );
        let _ = writeln!(
            text,
            "Everything is removed after its check, and at {} at the latest.",
            self.limits.ends.strftime("%F %H:%M UTC")
        );
        if !self.limits.is_free && !hourly.is_zero() {
            let _ = writeln!(
                text,
                "If this machine dies meanwhile, resources of up to {hourly} an hour stay until you run --clean-up."
            );
        }
        text
    }
}

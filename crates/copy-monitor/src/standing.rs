//! Problems that last: told when they have lasted long enough, told again each day, and when they are over.
//!
//! A finding a day, not one a run: whoever passes them on decides how many of them people hear of, and needs to hear that the problem is still there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::{DAY, Finding, Turn, lasting, over};
use crate::moment::Moment;

/// A problem that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    since: Moment,
    /// Its finding's id, once it was told.
    told: Option<String>,
    /// The whole days since its beginning when it was told last.
    #[serde(default)]
    days: u32,
}

/// The problems that last, by what they are about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Standings(BTreeMap<String, Standing>);

/// Whether a problem is there, judged in one run.
pub(crate) struct Judged {
    /// What it is about: kind and job.
    pub(crate) key: String,
    /// Whether it is there.
    pub(crate) holds: bool,
    /// How long it has to last before it is told.
    pub(crate) patience: Duration,
}

impl Judged {
    /// Told the first time that it is there.
    pub(crate) fn at_once(key: impl Into<String>, holds: bool) -> Self {
        Self { key: key.into(), holds, patience: Duration::ZERO }
    }
}

impl Standings {
    /// Takes a judgement over; gives the finding that has to be told because of it.
    ///
    /// `finding` makes it from its beginning. Its id follows from what it is about, since when, and how many days it lasts, so that a run
    /// which is repeated tells the same one.
    pub(crate) fn judge(
        &mut self,
        judged: &Judged,
        now: Moment,
        finding: impl FnOnce(Moment) -> Finding,
    ) -> Option<Finding> {
        if !judged.holds {
            let ended = self.0.remove(&judged.key)?;
            let told = ended.told?;
            return Some(Finding { id: over(&told), turn: Turn::Over, ..finding(ended.since) });
        }
        let standing =
            self.0.entry(judged.key.clone()).or_insert_with(|| Standing { since: now, told: None, days: 0 });
        let lasted = now.since(standing.since);
        let days = u32::try_from(lasted.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX);
        let finding = match &standing.told {
            None if lasted < judged.patience => return None,
            None => finding(standing.since),
            Some(_) if days <= standing.days => return None,
            Some(told) => {
                Finding { id: lasting(told, days), turn: Turn::Lasts { days }, ..finding(standing.since) }
            }
        };
        standing.told.get_or_insert_with(|| finding.id.clone());
        standing.days = days;
        Some(finding)
    }

    /// Forgets what is about something that is not watched any more, without a word.
    pub(crate) fn forget(&mut self, about: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| !about(key));
    }
}

//! Problems that last: told when they have lasted long enough, told again when they are over.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Turn, over};
use crate::moment::Moment;

/// A problem that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    since: Moment,
    /// Its finding's id, once it was told.
    told: Option<String>,
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
    /// `finding` makes it from its beginning. Its id follows from what it is about and since when, so that a run which is repeated tells the same one.
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
            self.0.entry(judged.key.clone()).or_insert_with(|| Standing { since: now, told: None });
        if standing.told.is_some() || now.since(standing.since) < judged.patience {
            return None;
        }
        let finding = finding(standing.since);
        standing.told = Some(finding.id.clone());
        Some(finding)
    }

    /// Forgets what is about something that is not watched any more, without a word.
    pub(crate) fn forget(&mut self, about: impl Fn(&str) -> bool) {
        self.0.retain(|key, _| !about(key));
    }
}

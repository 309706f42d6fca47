//! The results of a run, as a text and as JSON, for an issue.

use std::{collections::BTreeMap, fmt::Write};

use serde::{Deserialize, Serialize};

use crate::{catalog::Check, redact::Redactor};

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// The answer is the one that the kit assumes.
    AsAssumed {
        /// The answer.
        answer: String,
    },
    /// The answer is another one.
    Other {
        /// The answer.
        answer: String,
        /// The change of the kit that it requires.
        change: String,
    },
    /// The local cloud cannot answer.
    NeedsAws {
        /// The reason.
        reason: String,
    },
    /// The check was not started, or was stopped.
    NotRun {
        /// The reason.
        reason: String,
    },
    /// The check has no answer.
    Failed {
        /// The reason.
        reason: String,
    },
}

/// The result of one check with what it is based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The texts that the answer was decided by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
    /// The seconds that it took, without the removal.
    #[serde(default)]
    pub seconds: u64,
}

impl Record {
    /// Returns the record of a check that ran nothing.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, seen: Vec::new(), seconds: 0 }
    }
}

/// The longest piece of evidence in a report.
const EVIDENCE: usize = 600;

/// A report, from which names and account ids are removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `AWS` or `the local cloud`.
    pub answered_by: &'static str,
    /// The version of Sluice.
    pub version: &'static str,
    /// The number of checks with each result.
    pub counts: BTreeMap<&'static str, usize>,
    /// The results in the order of the catalog.
    pub checks: Vec<Entry>,
    /// The number of resources that could not be removed.
    pub not_removed: usize,
}

/// A check in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The check.
    pub id: String,
    /// The question.
    pub question: String,
    /// Its result.
    #[serde(flatten)]
    pub record: Record,
}

impl Outcome {
    /// Returns the name of the result.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AsAssumed { .. } => "as assumed",
            Self::Other { .. } => "other",
            Self::NeedsAws { .. } => "needs AWS",
            Self::NotRun { .. } => "not run",
            Self::Failed { .. } => "failed",
        }
    }

    fn redacted(self, redactor: &Redactor) -> Self {
        let clean = |text: String| redactor.redact(&text);
        match self {
            Self::NotRun { reason } => Self::NotRun { reason: clean(reason) },
            Self::Failed { reason } => Self::Failed { reason: clean(reason) },
            // The other texts are those of the catalog.
            other => other,
        }
    }
}

/// The results in the order in which reports count them.
pub const RESULTS: [&str; 5] = ["as assumed", "other", "needs AWS", "not run", "failed"];

impl Report {
    /// Builds the report of the checks that have a result.
    pub fn build(
        checks: &[&Check],
        results: &BTreeMap<String, Record>,
        is_local: bool,
        not_removed: usize,
        redactor: &Redactor,
    ) -> Self {
        let mut counts: BTreeMap<_, _> = RESULTS.into_iter().map(|name| (name, 0)).collect();
        let mut entries = Vec::new();
        for check in checks {
            let Some(record) = results.get(&check.id).cloned() else { continue };
            *counts.entry(record.outcome.name()).or_default() += 1;
            let seen = record.seen.iter().map(|text| shortened(&redactor.redact(text))).collect();
            let record = Record { outcome: record.outcome.redacted(redactor), seen, seconds: record.seconds };
            entries.push(Entry { id: check.id.clone(), question: check.question.trim().into(), record });
        }
        let answered_by = if is_local { "the local cloud" } else { "AWS" };
        Self { answered_by, version: env!("CARGO_PKG_VERSION"), counts, checks: entries, not_removed }
    }

    /// Returns the report as JSON.
    ///
    /// # Errors
    /// Never, because all keys are texts.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Returns the report as a text.
    pub fn text(&self) -> String {
        let mut text = format!("verify-aws {}, answered by {}\n", self.version, self.answered_by);
        if self.answered_by != "AWS" {
            text += "These answers show that the checks work. They say nothing about AWS.\n";
        }
        for entry in &self.checks {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n{}: {}", entry.id, entry.record.outcome.name());
            let _ = writeln!(text, "  {}", entry.question);
            let lines = match &entry.record.outcome {
                Outcome::AsAssumed { answer } => vec![("answer", answer)],
                Outcome::Other { answer, change } => vec![("answer", answer), ("change", change)],
                Outcome::NeedsAws { reason } | Outcome::NotRun { reason } | Outcome::Failed { reason } => {
                    vec![("reason", reason)]
                }
            };
            let seen = entry.record.seen.iter().map(|seen| ("seen", seen));
            for (name, value) in lines.into_iter().chain(seen) {
                let _ = writeln!(text, "  {name}: {}", value.trim());
            }
        }
        let counts: Vec<_> = RESULTS.iter().map(|name| format!("{} {name}", self.counts[name])).collect();
        let _ = writeln!(
            text,
            "\n{} checks, answered by {}: {}",
            self.checks.len(),
            self.answered_by,
            counts.join(", ")
        );
        if self.not_removed > 0 {
            let _ = writeln!(text, "NOT REMOVED: {} (run with --clean-up)", self.not_removed);
        }
        text
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(EVIDENCE) {
        Some((end, _)) => format!("{} ... ({} characters)", &text[..end], text.chars().count()),
        None => text.into(),
    }
}

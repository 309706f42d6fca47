//! What a finding means for people on call: one incident, with what it is about in the first line and the command that mends it.
//!
//! An incident is about one file, or about one job. Everything about the files of one job shares one limit on how much is told: the first
//! files are told one by one, each with its line and its command; of ten thousand files the rest is one summary with their number. The
//! job's own state has a limit of its own, so that a storm of files never hides that the job itself is inactive.

use std::time::Duration;

use alerts::command::Command;
use alerts::incident::{Incident, Place};
use alerts::kind::{Kind, Severity};
use alerts::moment::said;
use alerts::state::{EventId, Signal};

use crate::finding::{Cause, DAY, FileId, Finding, Problem, Turn};

/// Most characters of a key in a first line; its end says more than its beginning.
const SHORT_KEY: usize = 60;

/// What the alerts' announcer is told. The same finding gives the same event id, so that it counts once however often it is told.
pub fn signal(finding: &Finding) -> Signal {
    let event = EventId::of(&["check-copy-jobs", &finding.id]);
    let incident = incident(finding);
    match finding.turn {
        Turn::Began => Signal::raised(incident, event),
        // It occurs once more, at the moment at which it was so many days old: not after the run that found it began, and so before any end
        // that a later run finds, in whatever order the two are told.
        Turn::Lasts { days } => {
            Signal::raised(Incident { since: finding.since.plus(DAY * days), ..incident }, event)
        }
        // Clocks of Redshift and Lambda differ: an end is never before its beginning.
        Turn::Over => {
            let at = finding.noticed.max(incident.since);
            Signal::cleared(incident.key(), end(&finding.problem), event, at)
        }
    }
}

/// The incident that a finding begins, or that it ended.
fn incident(finding: &Finding) -> Incident {
    let (kind, severity) = kind(&finding.problem);
    let place = Place::new(&finding.account, &finding.region);
    let job = Job::of(finding);
    let (subject, name, group) = match finding.problem.file() {
        Some(file) => (url(file), format!("{}: {}", job.name, short(&file.key)), Some(job.files())),
        None => (job.whole(), job.whole(), None),
    };
    // The beginning, the days and the end of one finding share the id up to the colon: this is what belongs together.
    let episode = finding.id.split(':').next().unwrap_or_default();
    let text = text(finding, &job);
    let incident = Incident::new(kind, severity, place, &subject, &name, finding.since)
        .told_apart_by(episode)
        .what(&text.what)
        .impact(text.impact)
        .cause(text.cause.as_deref())
        .remedy(text.remedy, Command::of(&finding.command));
    match group {
        Some(group) => incident.one_of(&group),
        None => incident,
    }
}

fn kind(problem: &Problem) -> (Kind, Severity) {
    match problem {
        Problem::FileInError { .. } => (Kind::FileInError, Severity::Error),
        Problem::NeverLoaded { .. } => (Kind::FileNeverLoaded, Severity::Error),
        Problem::Overwritten { .. } => (Kind::KeyOverwritten, Severity::Error),
        Problem::JobInactive { .. }
        | Problem::JobWithoutIntegration
        | Problem::JobNotAutomatic
        | Problem::JobGone => (Kind::CopyJobInactive, Severity::Error),
        Problem::FilesWaiting { .. } => (Kind::CopyLate, Severity::Warning),
        Problem::Stale { .. } => (Kind::CopyLate, Severity::Error),
        Problem::Unknown { .. } | Problem::UnknownFile { .. } => (Kind::CopyUnknown, Severity::Warning),
        Problem::PrefixUnknown => (Kind::CopyNotWatched, Severity::Warning),
        Problem::CannotList { .. } | Problem::Blind { .. } | Problem::CannotAsk { .. } => {
            (Kind::CopyNotWatched, Severity::Error)
        }
    }
}

/// A job, or all jobs of a warehouse, as people call them.
struct Job<'a> {
    name: &'a str,
    known: bool,
    warehouse: &'a str,
}

impl<'a> Job<'a> {
    fn of(finding: &'a Finding) -> Self {
        let job = finding.job.as_deref().filter(|name| !name.is_empty());
        Self {
            name: job.unwrap_or("unknown job"),
            known: finding.job.is_some(),
            warehouse: &finding.warehouse,
        }
    }

    fn whole(&self) -> String {
        if self.known {
            format!("copy job {} on {}", self.name, self.warehouse)
        } else {
            format!("all copy jobs on {}", self.warehouse)
        }
    }

    fn files(&self) -> String {
        format!("files of {}", self.whole())
    }
}

struct Text {
    what: String,
    impact: &'static str,
    cause: Option<String>,
    remedy: &'static str,
}

fn text(finding: &Finding, job: &Job<'_>) -> Text {
    let (job_is, lasted) = (job.whole(), finding.noticed.since(finding.since));
    let said_of = |what: String, impact, remedy| Text { what, impact, cause: None, remedy };
    match &finding.problem {
        Problem::FileInError { file, cause, job_message } => Text {
            what: format!("Redshift refused {} for {job_is}{}.", url(file), place_of(cause.as_ref())),
            impact: "Its rows are not in the table, and the job never tries this file again.",
            cause: match cause {
                Some(cause) => {
                    Some(format!("{} (error {}, query {})", cause.message.trim(), cause.code, cause.query_id))
                }
                None => job_message.clone(),
            },
            remedy: if finding.command.get(1).is_some_and(|word| word == "redshift-data") {
                "Mend the file under its own name, then load exactly this key:"
            } else {
                "Mend the file under its own name, then copy it to a new name, which the job loads by itself:"
            },
        },
        Problem::NeverLoaded { file, modified, size } => said_of(
            format!(
                "{} ({size} bytes, written at {}) is in the bucket under the prefix of {job_is}, and Redshift shows no trace of it.",
                url(file),
                modified,
            ),
            "Its rows are not in the table, and nothing will load it by itself: the event of its arrival is lost.",
            "Write it over itself, which makes a new event:",
        ),
        Problem::Overwritten { file, loaded_etag, modified } => said_of(
            format!(
                "{} was replaced at {}, after {job_is} had loaded it: its ETag is {} now, {loaded_etag} was loaded.",
                url(file),
                modified,
                file.etag,
            ),
            "The table has the rows of the old content. Redshift loads a name once, so the new content will not come.",
            "If the new rows are wanted, delete the old ones, then copy the object to a new name, which the job loads:",
        ),
        Problem::JobInactive { state } => said_of(
            format!("Redshift shows the integration of {job_is} as {state}."),
            "New files in the bucket are not loaded.",
            "See what the integration's errors say, then mend it:",
        ),
        Problem::JobWithoutIntegration => said_of(
            format!("No working integration brings events to {job_is}, for {} by now.", said(lasted)),
            "New files in the bucket are not noticed, so they are not loaded.",
            "Look for the integration, and deploy the source's stack again if it is gone:",
        ),
        Problem::JobNotAutomatic => said_of(
            format!("AUTO is off for {job_is}."),
            "New files in the bucket wait until somebody runs the job.",
            "Turn it on again, or set Manual for this job in the monitor's JOB_SETTINGS:",
        ),
        Problem::JobGone => said_of(
            format!("Redshift does not show {job_is} any more."),
            "New files in the bucket are not loaded. What it had loaded stays in the table.",
            "See which jobs there are. If it was not dropped on purpose, deploy its stack again:",
        ),
        Problem::FilesWaiting { files, oldest } => said_of(
            format!("{} for {job_is}, the oldest since {}.", files_wait(*files), oldest),
            "Their rows are not in the table yet.",
            "See that the warehouse runs and has room in its queue. The job can be run at once:",
        ),
        Problem::Stale { newest_object, newest_loaded, limit_seconds } => said_of(
            format!(
                "Objects for {job_is} have waited longer than its limit of {}: the newest object is of {}, {}.",
                said(Duration::from_secs(*limit_seconds)),
                newest_object,
                match newest_loaded {
                    Some(loaded) => format!("the newest one that was loaded of {}", loaded),
                    None => "and none was ever loaded".to_owned(),
                },
            ),
            "Whoever reads the table sees old data.",
            "See what Redshift has of the job's newest files:",
        ),
        Problem::PrefixUnknown => said_of(
            format!("The text of {job_is} does not show which bucket and prefix it reads."),
            "Files that are never loaded, and files that are overwritten, are not found for this job.",
            "Name Bucket and Prefix of this job in the monitor's JOB_SETTINGS. Its text:",
        ),
        Problem::CannotList { bucket, message } => Text {
            what: format!("The monitor may not list the bucket {bucket} for {job_is}."),
            impact: "Files that are never loaded, and files that are overwritten, are not found for this job.",
            cause: Some(message.clone()),
            remedy: "Allow s3:ListBucket in the bucket's policy and in the function's role. Try it:",
        },
        Problem::Unknown { from, to } => said_of(
            format!(
                "The monitor of {job_is} stood still for longer than Redshift's views remember. Nothing is known of {} to {}.",
                from, to,
            ),
            "Files of that time may have been refused, and nobody was told. They are neither lost nor loaded as far as is known.",
            "See what Redshift still shows of that time, then compare with the bucket:",
        ),
        Problem::UnknownFile { file, modified } => said_of(
            format!(
                "{} is from {}, a time of which the monitor knows nothing: whether {job_is} loaded it is not known. It is the first such object.",
                url(file),
                modified,
            ),
            "Objects of that time may be missing in the table.",
            "Compare the objects of that time with the table. The objects under the job's prefix:",
        ),
        Problem::Blind { access } => said_of(
            format!(
                "The monitor's user may not see other users' rows in Redshift's views (SYSLOG ACCESS is: {access})."
            ),
            "Nothing that it does not see can be believed: files in error are not found.",
            "As a superuser, let it see them:",
        ),
        Problem::CannotAsk { message } => Text {
            what: format!(
                "The monitor could not read Redshift's system views, two runs in a row or more. This is about {job_is}."
            ),
            impact: "Files in error are not found as long as this lasts. What happens meanwhile is found afterwards.",
            cause: Some(message.clone()),
            remedy: "See what Redshift says. A paused cluster has to be resumed:",
        },
    }
}

/// What ended a problem.
fn end(problem: &Problem) -> &'static str {
    match problem {
        Problem::FileInError { .. } => "a COPY of exactly this key loaded it",
        Problem::JobInactive { .. } | Problem::JobWithoutIntegration => "the integration works again",
        Problem::JobNotAutomatic => "AUTO is on again, or not wanted any more",
        Problem::FilesWaiting { .. } => "no file waits too long any more",
        Problem::Stale { .. } => "the newest objects are loaded",
        Problem::PrefixUnknown => "the job's bucket and prefix are known",
        Problem::CannotList { .. } => "the bucket can be listed again",
        Problem::Blind { .. } => "the monitor sees all users' rows again",
        Problem::CannotAsk { .. } => "the views can be read again",
        Problem::NeverLoaded { .. }
        | Problem::Overwritten { .. }
        | Problem::JobGone
        | Problem::Unknown { .. }
        | Problem::UnknownFile { .. } => "the monitor does not find it any more",
    }
}

fn place_of(cause: Option<&Cause>) -> String {
    let Some(cause) = cause else { return ", and names no line of it".to_owned() };
    match (cause.line, cause.column.trim()) {
        (0, "") => String::new(),
        (0, column) => format!(", column {column}"),
        (line, "") => format!(", line {line}"),
        (line, column) => format!(", line {line}, column {column}"),
    }
}

fn files_wait(files: u64) -> String {
    if files == 1 { "1 file waits".to_owned() } else { format!("{files} files wait") }
}

fn url(file: &FileId) -> String {
    format!("s3://{}/{}", file.bucket, file.key)
}

fn short(key: &str) -> String {
    let more = key.chars().count().saturating_sub(SHORT_KEY);
    if more == 0 { key.to_owned() } else { ['…'].into_iter().chain(key.chars().skip(more + 1)).collect() }
}

#[cfg(test)]
#[path = "incident_tests.rs"]
mod tests;

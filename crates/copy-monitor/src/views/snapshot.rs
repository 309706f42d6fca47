//! The jobs and the reader, as the views show them in one run.

use std::collections::{BTreeMap, HashMap};

use lambda_kit::arn::Arn;
use lambda_kit::moment::Moment;

use super::rows::Row;
use crate::state::ViewsState;

const ESTABLISHED: &str = "Established";
const INACTIVE: &str = "Inactive";

/// The jobs and the reader, as the views show them in one run.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    user: Option<i64>,
    /// The user that reads the views.
    pub(crate) user_name: Option<String>,
    /// The user's SYSLOG ACCESS; empty if the views do not show the user.
    pub(crate) access: String,
    sees_all: bool,
    pub(crate) jobs: BTreeMap<i64, JobSnapshot>,
    /// The integrations by the job's name: the view has no job id.
    integrations: HashMap<String, Integration>,
    /// The last messages of each job, the newest first.
    messages: HashMap<i64, Vec<String>>,
    pub(crate) counts: BTreeMap<i64, Counts>,
}

/// A message of a job about a rejected file whose error the views do not show. The view of messages
/// has no column for the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobMessage<'a> {
    /// The message names the file.
    OfFile(&'a str),
    /// The job's last message that names no file.
    OfJob(&'a str),
}

/// A job in `SYS_COPY_JOB`.
#[derive(Debug)]
pub(crate) struct JobSnapshot {
    pub(crate) name: String,
    /// The parameters of the job's COPY.
    pub(crate) text: String,
    pub(crate) auto: bool,
}

/// The integration of a job.
#[derive(Debug, Default)]
pub(crate) struct Integration {
    pub(crate) owner: Option<i64>,
    pub(crate) bucket: Option<String>,
    /// The account of the integration, which is that of the bucket: a bucket's owner creates it.
    pub(crate) account: Option<String>,
    pub(crate) state: String,
}

impl Integration {
    /// Returns true if the integration delivers events.
    pub(crate) fn is_established(&self) -> bool {
        self.state == ESTABLISHED
    }

    /// Returns true if Redshift shows the integration as inactive.
    pub(crate) fn is_inactive(&self) -> bool {
        self.state == INACTIVE
    }
}

/// The number of a job's waiting files, and the newest of its objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) waiting: u64,
    /// Files that wait and lie before the cursor.
    pub(crate) waiting_behind: u64,
    pub(crate) oldest_waiting: Option<Moment>,
    pub(crate) newest_seen: Option<Moment>,
    pub(crate) newest_loaded: Option<Moment>,
    pub(crate) newest_rejected: Option<Moment>,
}

impl Snapshot {
    pub(super) fn add_reader(&mut self, row: Row<'_>) {
        self.user = row.integer("user_id");
        self.user_name = row.text("user_name").map(str::to_owned);
        self.access = row.text("syslog_access").unwrap_or_default().to_owned();
        self.sees_all = row.flag("superuser") || self.access.eq_ignore_ascii_case("UNRESTRICTED");
    }

    /// Returns the id of the user that reads the views.
    pub(crate) fn user(&self) -> Option<i64> {
        self.user
    }

    pub(super) fn add_job(&mut self, row: Row<'_>) {
        let Some(id) = row.integer("job_id") else { return };
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let job = JobSnapshot { name: text("job_name"), text: text("job_text"), auto: row.flag("is_auto") };
        self.jobs.insert(id, job);
    }

    pub(super) fn add_integration(&mut self, row: Row<'_>) {
        let Some(name) = row.text("job_name") else { return };
        // The documentation's table has a space in the name of this column.
        let state = row.text("channel state").or_else(|| row.text("channel_state")).unwrap_or_default();
        let integration = Integration {
            owner: row.integer("job_owner"),
            bucket: row.text("bucket").map(str::to_owned),
            account: row
                .text("channel_arn")
                .and_then(|arn| arn.trim().parse::<Arn>().ok())
                .map(|arn| arn.account)
                .filter(|account| !account.is_empty()),
            state: state.to_owned(),
        };
        if !self.integrations.get(name).is_some_and(Integration::is_established) {
            self.integrations.insert(name.to_owned(), integration);
        }
    }

    pub(super) fn add_message(&mut self, row: Row<'_>) {
        if let (Some(job), Some(message)) = (row.integer("job_id"), row.text("message")) {
            self.messages.entry(job).or_default().push(message.trim().to_owned());
        }
    }

    /// Returns the message of a job about a file: the newest that names the file, or else the newest
    /// that names no file at all. A message about another file is none about this one.
    pub(crate) fn message(&self, job: i64, bucket: &str, key: &str) -> Option<JobMessage<'_>> {
        let messages = self.messages.get(&job)?;
        let url = format!("s3://{bucket}/{key}");
        let of_file = messages.iter().find(|message| names(message, &url));
        of_file.map(|message| JobMessage::OfFile(message)).or_else(|| {
            let of_job = messages.iter().find(|message| !message.contains("s3://"));
            of_job.map(|message| JobMessage::OfJob(message))
        })
    }

    pub(super) fn add_counts(&mut self, row: Row<'_>) {
        let Some(job) = row.integer("job_id") else { return };
        let counts = Counts {
            waiting: row.count("waiting"),
            waiting_behind: row.count("waiting_behind"),
            oldest_waiting: row.time("oldest_waiting"),
            newest_seen: row.time("newest_seen"),
            newest_loaded: row.time("newest_loaded"),
            newest_rejected: row.time("newest_rejected"),
        };
        self.counts.insert(job, counts);
    }

    /// Returns the integration of a job.
    pub(crate) fn integration(&self, job_name: &str) -> Option<&Integration> {
        self.integrations.get(job_name)
    }

    /// Returns true if a job that is not in the views does not exist: the reader sees all users'
    /// rows, or it owns all known jobs.
    pub(crate) fn is_complete(&self, state: &ViewsState) -> bool {
        let owns = |owner: Option<i64>| owner.is_some() && owner == self.user;
        self.sees_all || (!state.jobs.is_empty() && state.jobs.values().all(|job| owns(job.owner)))
    }

    /// Returns the time since which the oldest waiting file of any job waits.
    pub(crate) fn oldest_waiting(&self) -> Option<Moment> {
        self.counts.values().filter_map(|counts| counts.oldest_waiting).min()
    }
}

/// Returns true if a text contains the URL of an object, and not only that of one whose key begins
/// with this object's key.
fn names(text: &str, url: &str) -> bool {
    text.match_indices(url).any(|(at, _)| {
        let mut rest = text[at + url.len()..].chars();
        match rest.next() {
            None => true,
            // The end of a sentence, not of a part of a key.
            Some('.') => rest.next().is_none_or(char::is_whitespace),
            Some(next) => next.is_whitespace() || ":;,'\")]".contains(next),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(messages: &[&str]) -> Snapshot {
        let messages = messages.iter().map(|message| (*message).to_owned()).collect();
        Snapshot { messages: HashMap::from([(7, messages)]), ..Snapshot::default() }
    }

    #[test]
    fn message_is_about_the_file_that_it_names() {
        let snapshot = snapshot(&[
            "s3://b/in/a.csv.old: Access Denied",
            "Cannot load s3://b/in/b.csv.",
            "s3://b/in/a.csv: The specified key does not exist.",
            "s3://b/in/a.csv: an older message",
        ]);
        let found = |key| snapshot.message(7, "b", key);
        let expected = "s3://b/in/a.csv: The specified key does not exist.";
        assert_eq!(found("in/a.csv"), Some(JobMessage::OfFile(expected)));
        assert_eq!(found("in/b.csv"), Some(JobMessage::OfFile("Cannot load s3://b/in/b.csv.")));
        // The messages name other files, so none is about this one.
        for other in ["in/a", "in/c.csv"] {
            assert_eq!(found(other), None, "{other}");
        }
        assert_eq!(snapshot.message(8, "b", "in/a.csv"), None);
    }

    #[test]
    fn message_without_a_file_may_be_about_any_file() {
        let snapshot = snapshot(&["s3://b/in/a: no such key", "relation \"t\" does not exist", "older"]);
        let of_job = JobMessage::OfJob("relation \"t\" does not exist");
        assert_eq!(snapshot.message(7, "b", "in/b"), Some(of_job));
    }
}

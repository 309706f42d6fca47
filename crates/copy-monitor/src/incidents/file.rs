//! Incidents about a file.

use alerts::incident::{Incident, IncidentKey, digest};
use alerts::kind::{Kind, Severity};
use lambda_kit::moment::Moment;

use super::subject::{about, account_region, bucket_owner, job_name, of_owner};
use crate::commands::{self, Reload, url};
use crate::ports::Object;
use crate::settings::Watched;
use crate::state::{Gap, JobState};
use crate::views::{JobMessage, RejectedFile};

/// Most characters of a key in the first line. The end of a key says more than its beginning.
const SHORT_KEY: usize = 60;

/// Returns the dedup key of a rejected file. Another content under the same name is another one.
pub(crate) fn rejected_id(watched: &Watched, job: i64, bucket: &str, key: &str, etag: &str) -> String {
    digest(&[&watched.name, "rejected", &job.to_string(), bucket, key, etag])
}

/// COPY rejected the file.
///
/// `sole_key` is true if no other key begins with the file's key. `message` is a message of the job,
/// for a file whose error the views do not show.
pub(crate) fn rejected(
    watched: &Watched,
    job: &JobState,
    file: &RejectedFile,
    sole_key: bool,
    message: Option<JobMessage<'_>>,
) -> Incident {
    let id = rejected_id(watched, file.job, &file.bucket, &file.key, &file.etag);
    // Without a line the cause is rarely in the file: a missing table, object or permission.
    let fix = match file.error {
        Some(_) => "Fix the file under its own name, or the table if the file is right.",
        None => "Redshift names no line, so the file may be right: fix the cause.",
    };
    let (load, command) = match commands::reload(watched, job, &file.bucket, &file.key, &id, sole_key) {
        Reload::Copy(command) => {
            ("Then load exactly this key; the command prints how it ends:".to_owned(), command)
        }
        Reload::NewName(command) => {
            let owner = bucket_owner(job);
            (format!("Then copy the file to a new name, which the job loads, {owner}:"), command)
        }
        Reload::Foreign(command) => (
            format!("Then ask the owner of the job to load it, as the runbook says; {}:", of_owner(job)),
            command,
        ),
    };
    let cause = match (&file.error, message) {
        (Some(error), _) => Some(error.clone()),
        (None, Some(JobMessage::OfFile(message))) => Some(message.to_owned()),
        (None, Some(JobMessage::OfJob(message))) => {
            Some(format!("the job's last message, which may be about another file: {message}"))
        }
        (None, None) => None,
    };
    of_file(watched, Kind::FileRejected, job, &file.bucket, &file.key, &id, file.enqueued)
        .what(&format!(
            "COPY rejected {} for {}{}.",
            url(&file.bucket, &file.key),
            job_name(watched, &job.name),
            position(file)
        ))
        .impact("The file's rows are not in the table, and the job never tries this file again.")
        .cause(cause.as_deref())
        .action(&format!("{fix} {load}"), command)
}

/// Returns the key of the incident of a rejected file.
pub(crate) fn rejected_key(watched: &Watched, job: i64, bucket: &str, key: &str, etag: &str) -> IncidentKey {
    let id = rejected_id(watched, job, bucket, key, etag);
    IncidentKey::new(Kind::FileRejected, &account_region(watched), &url(bucket, key), Some(&id))
}

/// The resolution of a rejected file that a COPY without a job loaded.
pub(crate) const LOADED_MANUALLY: &str = "a COPY of exactly this key loaded the file";

/// The resolution of a rejected file that was copied to the new name in its alert.
pub(crate) const LOADED_UNDER_NEW_NAME: &str = "the job loaded the copy of the file under its new name";

/// The object is in the bucket, and Redshift's views have no trace of it.
pub(crate) fn never_loaded(
    watched: &Watched,
    id: i64,
    job: &JobState,
    bucket: &str,
    object: &Object,
) -> Incident {
    let key = digest(&[&watched.name, "never-loaded", &id.to_string(), bucket, &object.key, &object.etag]);
    of_file(watched, Kind::FileNeverLoaded, job, bucket, &object.key, &key, object.modified)
        .what(&format!(
            "{} ({} bytes, written at {}) is under the prefix of {}, and Redshift's views have no trace of it.",
            url(bucket, &object.key),
            object.size,
            object.modified,
            job_name(watched, &job.name),
        ))
        .impact(
            "The object's rows are not in the table. The event of its arrival is lost, so Redshift will not load it.",
        )
        .action(
            &format!("Copy the object onto itself, which sends a new event, {}:", bucket_owner(job)),
            commands::copy_onto_itself(bucket, &object.key),
        )
}

/// The object was replaced after a file of its name was loaded: Redshift does not load a name
/// twice.
pub(crate) fn overwritten(
    watched: &Watched,
    id: i64,
    job: &JobState,
    bucket: &str,
    object: &Object,
    loaded_etag: &str,
) -> Incident {
    let key = digest(&[&watched.name, "overwritten", &id.to_string(), bucket, &object.key, &object.etag]);
    of_file(watched, Kind::ObjectOverwritten, job, bucket, &object.key, &key, object.modified)
        .what(&format!(
            "{} was replaced at {}, after {} had loaded it. Its ETag is {} now; the loaded one is {loaded_etag}.",
            url(bucket, &object.key),
            object.modified,
            job_name(watched, &job.name),
            object.etag,
        ))
        .impact(
            "The table has the rows of the old content. Redshift loads a name once, so it will not load the new content.",
        )
        .action(
            &format!(
                "To load the new rows, delete the old ones, then copy the object to a new name, which the job loads, {}:",
                bucket_owner(job)
            ),
            commands::copy_to_new_name(bucket, &object.key),
        )
}

/// The object is from a period of which nothing is known. One incident for each job and period,
/// which names the first such object.
pub(crate) fn unknown(
    watched: &Watched,
    id: i64,
    job: &JobState,
    bucket: &str,
    object: &Object,
    gap: &Gap,
) -> Incident {
    let key = format!("gap:{id}:{}", gap.from.micros());
    let subject = job_name(watched, &job.name);
    let mut incident =
        about(watched, Kind::CopyHistoryUnknown, Severity::Warning, &subject, &key, object.modified)
            .group(&files_of(watched, job))
            .what(&format!(
                "{} was written at {}, in a period that the monitor did not observe. Whether {subject} loaded it is unknown. It is the first such object.",
                url(bucket, &object.key),
                object.modified,
            ))
            .impact("Objects of that period may be missing from the table.")
            .action(
                &format!(
                    "Compare the objects of that period with the table. To list the objects under the job's prefix, {}:",
                    bucket_owner(job)
                ),
                commands::list_objects(bucket, job.prefix.as_deref().unwrap_or_default()),
            );
    incident.name = name(job, &object.key);
    incident
}

fn of_file(
    watched: &Watched,
    kind: Kind,
    job: &JobState,
    bucket: &str,
    key: &str,
    dedup_key: &str,
    since: Moment,
) -> Incident {
    let at = account_region(watched);
    Incident::new(kind, Severity::Error, at, &url(bucket, key), &name(job, key), since)
        .dedup_key(dedup_key)
        .group(&files_of(watched, job))
}

fn files_of(watched: &Watched, job: &JobState) -> String {
    format!("files of {}", job_name(watched, &job.name))
}

fn position(file: &RejectedFile) -> String {
    if file.error.is_none() {
        return ", without naming a line".to_owned();
    }
    match (file.line, file.column.as_str()) {
        (0, "") => String::new(),
        (0, column) => format!(", column {column}"),
        (line, "") => format!(", line {line}"),
        (line, column) => format!(", line {line}, column {column}"),
    }
}

fn name(job: &JobState, key: &str) -> String {
    let job = if job.name.is_empty() { "(unknown)" } else { &job.name };
    let more = key.chars().count().saturating_sub(SHORT_KEY);
    if more == 0 {
        return format!("{job}: {key}");
    }
    let end: String = key.chars().skip(more + 1).collect();
    format!("{job}: …{end}")
}

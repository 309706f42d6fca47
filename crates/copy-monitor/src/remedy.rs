//! The command that mends a problem or looks closer, as arguments.
//!
//! **A file in error** is loaded by the job's own COPY from exactly that key, run through the Data API once the file is mended: a job takes neither a manifest nor a
//! second try ("COPY JOB" of the Redshift database developer guide). `FROM` is a prefix, so the COPY is given only if no other key begins with the file's key and if
//! Redshift shows the job's whole text. Otherwise the mended file is copied to a new name under the prefix: the job loads a name that it has not seen.
//! **An object that was never loaded** is written over itself, which makes a new event; the job then loads and remembers it as any other.

use warehouse::data_api::Login;
use warehouse::sql::Literal;
use warehouse::target::Target;

use crate::finding::FileId;
use crate::job_text;
use crate::moment::Moment;
use crate::settings::Watched;
use crate::state::JobState;

fn command(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// A statement through the Data API.
pub(crate) fn statement(watched: &Watched, sql: &str) -> Vec<String> {
    let mut parts = command(&["aws", "redshift-data", "execute-statement", "--region", &watched.region]);
    match &watched.target {
        Target::Cluster(name) => parts.extend(command(&["--cluster-identifier", name])),
        Target::Workgroup(name) => parts.extend(command(&["--workgroup-name", name])),
    }
    parts.extend(command(&["--database", &watched.database]));
    match &watched.login {
        Login::Secret(arn) => parts.extend(command(&["--secret-arn", arn])),
        Login::DbUser(user) => parts.extend(command(&["--db-user", user])),
    }
    parts.extend(command(&["--sql", sql]));
    parts
}

/// Loads a file that was refused, once it is mended. `alone`: no other key begins with its key.
pub(crate) fn reload(watched: &Watched, job: &JobState, file: &FileId, alone: bool) -> Vec<String> {
    let copy = job.copy.as_ref().filter(|_| alone);
    match copy.and_then(|copy| job_text::copy_of(copy, &file.bucket, &file.key)) {
        Some(sql) => statement(watched, &sql),
        None => {
            let (from, to) = (url(file), format!("{}.reload", url(file)));
            command(&["aws", "s3", "cp", &from, &to])
        }
    }
}

/// Makes a new event for an object that was never loaded.
pub(crate) fn send_again(file: &FileId) -> Vec<String> {
    command(&["aws", "s3", "cp", &url(file), &url(file), "--metadata-directive", "REPLACE"])
}

fn url(file: &FileId) -> String {
    format!("s3://{}/{}", file.bucket, file.key)
}

/// Shows what Redshift has of a job's newest files.
pub(crate) fn look_at(watched: &Watched, job: i64) -> Vec<String> {
    statement(
        watched,
        &format!(
            "SELECT file_name, status, enqueue_time FROM sys_copy_job_detail WHERE job_id = {job} ORDER BY enqueue_time DESC LIMIT 20"
        ),
    )
}

/// Runs a job's waiting files.
pub(crate) fn run(watched: &Watched, job: &JobState) -> Vec<String> {
    on_job(watched, job, |name| format!("COPY JOB RUN {name}"))
}

/// Turns AUTO on.
pub(crate) fn automatic(watched: &Watched, job: &JobState) -> Vec<String> {
    on_job(watched, job, |name| format!("COPY JOB ALTER {name} AUTO ON"))
}

/// A statement about a job, whose name is not quoted in it: a name that is no plain word gets none.
fn on_job(watched: &Watched, job: &JobState, sql: impl Fn(&str) -> String) -> Vec<String> {
    match warehouse::sql::JobName::existing(&job.name) {
        Ok(name) => statement(watched, &sql(name.as_str())),
        Err(_) => statement(watched, "SELECT job_id, job_name, is_auto FROM sys_copy_job"),
    }
}

/// Shows the state of the integrations into the account's warehouses.
pub(crate) fn integrations(watched: &Watched) -> Vec<String> {
    command(&["aws", "redshift", "describe-inbound-integrations", "--region", &watched.region])
}

/// Lets the reader see other users' rows.
pub(crate) fn let_see(watched: &Watched, user: Option<&str>) -> Vec<String> {
    let user = user.and_then(|user| warehouse::sql::Identifier::new("user", user).ok());
    match user {
        Some(user) => statement(watched, &format!("ALTER USER {user} SYSLOG ACCESS UNRESTRICTED")),
        None => statement(watched, "SELECT user_name, superuser, syslog_access FROM svv_user_info"),
    }
}

/// Shows the failed statement.
pub(crate) fn describe(watched: &Watched, statement: Option<&str>) -> Vec<String> {
    match statement {
        Some(id) => {
            command(&["aws", "redshift-data", "describe-statement", "--region", &watched.region, "--id", id])
        }
        None => self::statement(watched, "SELECT 1"),
    }
}

/// Shows what was loaded and refused in a time.
pub(crate) fn loads_between(watched: &Watched, from: Moment, to: Moment) -> Vec<String> {
    // Both are made here, from numbers.
    let literal = |moment: Moment| {
        Literal::new("time", &moment.sql()).map_or_else(|_| String::new(), |l| l.to_string())
    };
    statement(
        watched,
        &format!(
            "SELECT job_name, file_location, file_name, status FROM sys_copy_job_detail WHERE enqueue_time BETWEEN {} AND {} ORDER BY enqueue_time",
            literal(from),
            literal(to)
        ),
    )
}

/// Lists the objects under a prefix.
pub(crate) fn list(bucket: &str, prefix: &str) -> Vec<String> {
    command(&["aws", "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, "--max-items", "20"])
}

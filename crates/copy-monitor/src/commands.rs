//! The command in an alert: it fixes a problem or shows its cause.
//!
//! **A rejected file** is loaded by the job's own COPY from exactly that key, run through the Data
//! API after the cause is fixed: a job takes neither a manifest nor a second attempt ("COPY JOB" of
//! the Redshift database developer guide). `FROM` is a prefix, so the COPY is given only if no
//! other key begins with the file's key and if Redshift shows the job's whole text. Otherwise the
//! fixed file is copied to a new name under the prefix, which the job loads.
//!
//! A statement of a job runs as the job's owner, never as another user: the owner wrote the job's
//! text. If the kit has no login of the owner, the command shows who that is.
//!
//! **An object that was never loaded** is copied onto itself. This sends a new event, and the job
//! loads the object as any other.

use alerts::command::Command;
use alerts::rules::RELOAD_STATEMENT_PREFIX;
use lambda_kit::moment::Moment;
use warehouse::data_api::Login;
use warehouse::sql::{Identifier, JobName, Literal};
use warehouse::target::Target;

use crate::settings::Watched;
use crate::state::JobState;

/// Runs a statement through the Data API. ExecuteStatement returns an id at once, so the command
/// waits for the end and prints the status and the error.
fn statement(watched: &Watched, login: &Login, sql: &str) -> Command {
    until_end(watched, execute(watched, login, sql))
}

/// Runs a query through the Data API and prints its rows.
fn query(watched: &Watched, sql: &str) -> Command {
    let rows = Command::aws("redshift-data", "get-statement-result")
        .option("region", &watched.region)
        .flag("--id \"$id\" --query Records");
    statement(watched, &watched.login, sql).and_then(&rows)
}

fn execute(watched: &Watched, login: &Login, sql: &str) -> Command {
    let command = Command::aws("redshift-data", "execute-statement").option("region", &watched.region);
    let command = match &watched.target {
        Target::Cluster(name) => command.option("cluster-identifier", name),
        Target::Workgroup(name) => command.option("workgroup-name", name),
    };
    let command = command.option("database", &watched.database);
    let command = match login {
        Login::Secret(arn) => command.option("secret-arn", arn),
        Login::DbUser(user) => command.option("db-user", user),
    };
    command.option("sql", sql)
}

/// Adds to a started statement the commands that wait for its end. The AWS CLI has no `wait` for the
/// Data API (botocore has no waiters for it). The states are those of DescribeStatement.
fn until_end(watched: &Watched, execute: Command) -> Command {
    let describe = Command::literal("while s=$(aws redshift-data describe-statement")
        .option("region", &watched.region)
        .flag("--id \"$id\" --query '[Status,Error]' --output text) && echo \"$s\" && [[ $s =~ ^(SUBMITTED|PICKED|STARTED) ]]; do sleep 1; done");
    execute.flag("--query Id --output text").into_variable("id").and_then(&describe)
}

/// A command that loads a rejected file once it is fixed.
pub(crate) enum Reload {
    /// Runs the job's COPY from exactly the file's key.
    Copy(Command),
    /// Copies the file to a new name, which the job loads.
    NewName(Command),
    /// Shows the owner of the job, of whom the kit has no login.
    Foreign(Command),
}

/// Returns the command that loads a rejected file, whose incident has this id.
///
/// `sole_key` is true if no other key begins with the file's key.
pub(crate) fn reload(
    watched: &Watched,
    job: &JobState,
    bucket: &str,
    key: &str,
    id: &str,
    sole_key: bool,
) -> Reload {
    let Some(login) = &job.login else { return Reload::Foreign(show_owner(watched, job)) };
    let copy = job.copy.as_ref().filter(|_| sole_key);
    match copy.and_then(|copy| warehouse::job_text::copy_of(copy, bucket, key)) {
        Some(sql) => {
            // With an event of this name, a reload that fails raises an alert of its own.
            let name = format!("{RELOAD_STATEMENT_PREFIX}{}.{id}", job.name);
            let execute = execute(watched, login, &sql).option("statement-name", &name).flag("--with-event");
            Reload::Copy(until_end(watched, execute))
        }
        None => Reload::NewName(copy_to_new_name(bucket, key)),
    }
}

/// The end of the new name that [`copy_to_new_name`] gives to an object.
pub(crate) const NEW_NAME_SUFFIX: &str = ".reload";

/// Copies an object to a new name, which the job loads.
pub(crate) fn copy_to_new_name(bucket: &str, key: &str) -> Command {
    let url = url(bucket, key);
    Command::aws("s3", "cp").argument(&url).argument(&format!("{url}{NEW_NAME_SUFFIX}"))
}

/// Copies an object onto itself, which sends a new event.
pub(crate) fn copy_onto_itself(bucket: &str, key: &str) -> Command {
    let url = url(bucket, key);
    Command::aws("s3", "cp").argument(&url).argument(&url).flag("--metadata-directive REPLACE")
}

/// Returns the URL of an object.
pub(crate) fn url(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

/// Shows the newest files of a job in Redshift's view.
pub(crate) fn show_files(watched: &Watched, job: i64) -> Command {
    query(
        watched,
        &format!(
            "SELECT file_name, status, enqueue_time FROM sys_copy_job_detail WHERE job_id = {job} ORDER BY enqueue_time DESC LIMIT 20"
        ),
    )
}

/// Shows the jobs.
pub(crate) fn show_jobs(watched: &Watched) -> Command {
    query(watched, "SELECT job_id, job_name, is_auto FROM sys_copy_job")
}

/// Shows the parameters of the jobs.
pub(crate) fn show_job_texts(watched: &Watched) -> Command {
    query(watched, "SELECT job_name, job_text FROM sys_copy_job")
}

/// Loads the waiting files of a job.
pub(crate) fn run_job(watched: &Watched, job: &JobState) -> Command {
    on_job(watched, job, |name| format!("COPY JOB RUN {name}"))
}

/// Turns AUTO on for a job.
pub(crate) fn turn_auto_on(watched: &Watched, job: &JobState) -> Command {
    on_job(watched, job, |name| format!("COPY JOB ALTER {name} AUTO ON"))
}

/// The statement has the job's name without quotes, so a name that is no plain word gets none.
fn on_job(watched: &Watched, job: &JobState, sql: impl Fn(&str) -> String) -> Command {
    match (&job.login, JobName::existing(&job.name)) {
        (Some(login), Ok(name)) => statement(watched, login, &sql(name.as_str())),
        (Some(_), Err(_)) => show_jobs(watched),
        (None, _) => show_owner(watched, job),
    }
}

/// Shows the name of the user that owns a job, or else the jobs.
pub(crate) fn show_owner(watched: &Watched, job: &JobState) -> Command {
    match job.owner {
        Some(owner) => {
            query(watched, &format!("SELECT usename FROM pg_catalog.pg_user WHERE usesysid = {owner}"))
        }
        None => show_jobs(watched),
    }
}

/// Shows the state of the integrations into the account's warehouses.
pub(crate) fn show_integrations(watched: &Watched) -> Command {
    Command::aws("redshift", "describe-inbound-integrations").option("region", &watched.region)
}

/// Lets the reader see the rows of other users.
pub(crate) fn allow_reading(watched: &Watched, user: Option<&str>) -> Command {
    match user.and_then(|user| Identifier::new("user", user).ok()) {
        Some(user) => {
            statement(watched, &watched.login, &format!("ALTER USER {user} SYSLOG ACCESS UNRESTRICTED"))
        }
        None => query(watched, "SELECT user_name, superuser, syslog_access FROM svv_user_info"),
    }
}

/// Shows a batch that failed, or resumes a cluster that is paused.
pub(crate) fn repair_views(watched: &Watched, batch: Option<&str>, is_paused: bool) -> Command {
    match (&watched.target, batch) {
        (Target::Cluster(name), _) if is_paused => Command::aws("redshift", "resume-cluster")
            .option("region", &watched.region)
            .option("cluster-identifier", name),
        (_, Some(id)) => Command::aws("redshift-data", "describe-statement")
            .option("region", &watched.region)
            .option("id", id),
        (_, None) => query(watched, "SELECT 1"),
    }
}

/// Shows the files of a period.
pub(crate) fn show_period(watched: &Watched, from: Moment, to: Moment) -> Command {
    // The texts are made of numbers here, so they always fit into a literal.
    let literal = |moment: Moment| {
        Literal::new("time", &moment.sql()).map_or_else(|_| String::new(), |literal| literal.to_string())
    };
    query(
        watched,
        &format!(
            "SELECT job_name, file_location, file_name, status FROM sys_copy_job_detail WHERE enqueue_time BETWEEN {} AND {} ORDER BY enqueue_time",
            literal(from),
            literal(to)
        ),
    )
}

/// Shows the policy of a bucket.
pub(crate) fn show_policy(bucket: &str) -> Command {
    Command::aws("s3api", "get-bucket-policy").option("bucket", bucket).flag("--query Policy --output text")
}

/// Lists the objects under a prefix.
pub(crate) fn list_objects(bucket: &str, prefix: &str) -> Command {
    Command::aws("s3api", "list-objects-v2")
        .option("bucket", bucket)
        .option("prefix", prefix)
        .flag("--max-items 20")
}

//! The sentences about jobs that cannot be created, changed or dropped, with what to do.

use custom_resource::{Failure, Owner};
use lambda_kit::arn::stack_name;
use warehouse::data_api::{Login, SqlRunError};
use warehouse::sql::{Identifier, JobName};

/// Returns the failure of `COPY … JOB CREATE`.
pub(crate) fn job_create(error: SqlRunError, database: &str, user: &str) -> Failure {
    let no_grant = error.database_message().is_some_and(|message| {
        let message = message.to_lowercase();
        message.contains("permission denied") && message.contains("copy job")
    });
    let quoted = |name: &str| Identifier::new("", name).map(|name| name.to_string());
    match (no_grant, quoted(database), quoted(user)) {
        // Source: "COPY JOB" and "GRANT" of the Redshift database developer guide (scoped
        // permissions for copy jobs).
        (true, Ok(database), Ok(user)) => Failure::caused_by(
            format!(
                "the user {user} may not create copy jobs; run \
                 GRANT CREATE FOR COPY JOBS IN DATABASE {database} TO {user} as a superuser"
            ),
            error,
        ),
        _ => Failure::caused_by("the job could not be created", error),
    }
}

/// Returns the failure of an Update that would change more than AUTO of the job with this base
/// name.
pub(crate) fn changed_job(job: &str) -> Failure {
    Failure::new(format!(
        "this stack already has job \"{job}\", of which only `Auto` can change: Redshift loads only files that are newer than a job and \
         forgets what an old job loaded, so a changed job could lose files or load them twice. Deploy the new job as its own stack \
         (JOB_STACK=sluice-job-NAME with make deploy-job) with another prefix, move the writers to that prefix, and delete this stack when \
         SYS_COPY_JOB_DETAIL shows no pending file"
    ))
}

/// Returns the failure of an Update that names another user than the owner of the job with this base
/// name.
pub(crate) fn other_owner(job: &str) -> Failure {
    Failure::new(format!(
        "property `WarehouseSecretArn`: job \"{job}\" of this stack belongs to another database user, and Redshift does not change the owner \
         of a job; give the previous `WarehouseSecretArn` or `DbUser`, or deploy the job as its own stack with another prefix"
    ))
}

/// Returns the base of a job's name from the identity of its resource.
pub(crate) fn base_name(identity: &str) -> &str {
    let name = identity.rsplit('/').next().unwrap_or(identity);
    match name.rsplit_once('_') {
        Some((base, hash)) if hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => base,
        _ => name,
    }
}

/// Returns true if a login failed because the database does not exist. A copy job belongs to a
/// database, so it is gone as well.
///
/// Source: PostgreSQL's error 3D000, from which Redshift has its text; "COPY JOB" of the Redshift
/// database developer guide grants the right to create jobs by database.
pub(crate) fn says_no_database(message: &str, database: &str) -> bool {
    message.contains(&format!("database \"{database}\" does not exist"))
}

/// Returns the failure of `COPY JOB DROP`.
pub(crate) fn job_drop(
    error: SqlRunError,
    name: &JobName,
    database: &str,
    login: &Login,
    owner: &Owner,
) -> Failure {
    if error.is_transient() {
        return Failure::caused_by(
            format!("the job {name} may not have been dropped; delete the stack again"),
            error,
        );
    }
    let login = match login {
        Login::Secret(arn) => format!("the user of secret {arn}"),
        Login::DbUser(user) => format!("the user \"{user}\""),
    };
    let stack = stack_name(owner.stack_id());
    Failure::caused_by(
        format!(
            "the job {name} could not be dropped as {login}; restore what is missing and delete the stack again, or run \
             COPY JOB DROP {name} in database \"{database}\" as a superuser and then \
             `aws cloudformation delete-stack --stack-name {stack} --retain-resources {}`",
            owner.logical_id()
        ),
        error,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_grant_has_its_statement() {
        let denied =
            SqlRunError::Failed("ERROR: permission denied to create copy jobs in database dev".into());
        let reason = job_create(denied, "dev", "Plain").chain();
        assert!(
            reason.starts_with(
                "the user \"Plain\" may not create copy jobs; run GRANT CREATE FOR COPY JOBS IN DATABASE \"dev\" TO \"Plain\""
            ),
            "{reason}"
        );
        let other = job_create(SqlRunError::Failed("ERROR: syntax".into()), "dev", "plain").chain();
        assert!(other.starts_with("the job could not be created: Redshift rejected"), "{other}");
    }

    #[test]
    fn base_of_a_name_has_no_hash() {
        assert_eq!(base_name("cluster main/dev/orders_eu_0a1b2c3d"), "orders_eu");
        assert_eq!(base_name("adopted/cluster main/dev/by_hand"), "by_hand");
    }
}

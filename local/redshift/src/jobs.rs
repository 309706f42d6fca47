//! COPY JOBs: their definition, and one run of one file [D: COPY JOB, auto-copy].

use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::Client;

use crate::app::App;
use crate::data_api::{Outcome, ResultSet, Session, sql_error};
use crate::load::{self, Object};
use crate::sql::{self, JobCommand, JobCreate, JobGrant, Role, SqlError, Statement};
use local_servers::postgres::{Login, Server};

/// Maximum number on one cluster or workgroup.
const MAX_JOBS: i64 = 200;

const DONE: Outcome = Outcome { result: None, rows: -1, query_id: 0 };

fn refuse_in_block(session: &Session, what: &str) -> Result<(), SqlError> {
    if session.in_block {
        return Err(SqlError::new(format!("{what} cannot run inside a transaction block")));
    }
    Ok(())
}

async fn system(session: &Session) -> Result<Client, SqlError> {
    session.server.connect(&session.database, &Login::system()).await.map_err(|error| sql_error(&error))
}

/// Checks that the user is a superuser or has the scoped privilege on copy jobs of this database.
async fn demand_privilege(session: &Session, system: &Client, privilege: &str) -> Result<(), SqlError> {
    let allowed: bool = system
        .query_one(
            "SELECT coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = $1), false) OR EXISTS (SELECT 1 FROM \
             sluice_sys.copy_job_grant g WHERE g.privilege = $2 AND (g.grantee = 'public' OR \
             pg_has_role($1::name, (SELECT oid FROM pg_roles WHERE rolname = g.grantee), 'MEMBER')))",
            &[&session.user, &privilege],
        )
        .await
        .map_err(|error| sql_error(&error))?
        .get(0);
    if allowed {
        return Ok(());
    }
    Err(SqlError::new(format!(
        "permission denied to {} copy jobs in database {}",
        privilege, session.database
    )))
}

/// `COPY … JOB CREATE`.
pub(crate) async fn create(session: &Session, job: &JobCreate) -> Result<Outcome, SqlError> {
    refuse_in_block(session, "COPY JOB CREATE")?;
    let system = system(session).await?;
    demand_privilege(session, &system, "create").await?;
    load::demand_format(&job.copy.format)?;
    load::demand_insert(session, &job.copy).await?;
    let mut count = 0_i64;
    for database in databases(&session.server).await.map_err(|error| sql_error(&error))? {
        let client =
            session.server.connect(&database, &Login::system()).await.map_err(|error| sql_error(&error))?;
        let row = client.query_one("SELECT count(*) FROM sluice_sys.copy_job", &[]).await;
        count += row.map_err(|error| sql_error(&error))?.get::<_, i64>(0);
    }
    if count >= MAX_JOBS {
        return Err(SqlError::new(format!("the limit of {MAX_JOBS} copy jobs is reached")));
    }
    let Role::Arn(role) = &job.copy.role else {
        return Err(SqlError::new("COPY JOB does not support the default IAM role"));
    };
    let inserted = system
        .execute(
            "INSERT INTO sluice_sys.copy_job (job_name, owner_id, owner_name, iam_role, bucket, prefix, copy_text, job_text, is_auto) \
             SELECT $1, usesysid::int, usename::text, $3, $4, $5, $6, $7, $8 FROM pg_catalog.pg_user WHERE usename = $2 \
             ON CONFLICT (job_name) DO NOTHING",
            &[
                &job.name,
                &session.user,
                role,
                &job.copy.bucket,
                &job.copy.prefix,
                &job.copy_text,
                &job.job_text,
                &job.auto,
            ],
        )
        .await
        .map_err(|error| sql_error(&error))?;
    if inserted == 0 {
        return Err(SqlError::new(format!("copy job \"{}\" already exists", job.name)));
    }
    crate::auto_copy::mirror(&session.app, &session.namespace_id, &system)
        .await
        .map_err(|error| sql_error(&error))?;
    Ok(DONE)
}

/// The fields of a job that its runs need.
struct Job {
    id: i64,
    name: String,
    owner_id: i32,
    owner: String,
    copy_text: String,
}

async fn find(session: &Session, system: &Client, name: &str, privilege: &str) -> Result<Job, SqlError> {
    let row = system
        .query_opt(
            "SELECT job_id, job_name, owner_id, owner_name, copy_text FROM sluice_sys.copy_job WHERE job_name = $1",
            &[&name],
        )
        .await
        .map_err(|error| sql_error(&error))?
        .ok_or_else(|| SqlError::new(format!("copy job \"{name}\" does not exist")))?;
    let job = Job {
        id: row.get(0),
        name: row.get(1),
        owner_id: row.get(2),
        owner: row.get(3),
        copy_text: row.get(4),
    };
    if job.owner != session.user {
        demand_privilege(session, system, privilege).await?;
    }
    Ok(job)
}

/// `COPY JOB …`.
pub(crate) async fn command(session: &Session, command: &JobCommand) -> Result<Outcome, SqlError> {
    let system = system(session).await?;
    match command {
        JobCommand::Drop(name) => {
            refuse_in_block(session, "COPY JOB DROP")?;
            let job = find(session, &system, name, "drop").await?;
            let dropped =
                system.execute("DELETE FROM sluice_sys.copy_job WHERE job_id = $1", &[&job.id]).await;
            dropped.map_err(|error| sql_error(&error))?;
            Ok(DONE)
        }
        JobCommand::Alter { name, auto } => {
            let job = find(session, &system, name, "alter").await?;
            if let Some(auto) = auto {
                let changed = system
                    .execute(
                        "UPDATE sluice_sys.copy_job SET is_auto = $2 WHERE job_id = $1",
                        &[&job.id, auto],
                    )
                    .await;
                changed.map_err(|error| sql_error(&error))?;
                wake(&session.app, &session.namespace_id);
            }
            Ok(DONE)
        }
        JobCommand::Run(name) => {
            let job = find(session, &system, name, "alter").await?;
            let place = Place {
                app: &session.app,
                namespace_id: &session.namespace_id,
                target_name: &session.target_name,
                server: &session.server,
                database: &session.database,
            };
            // The first failure is the statement's error; the files after it are still loaded.
            let mut failure = None;
            for object in pending(&system, Some(job.id)).await.map_err(|error| sql_error(&error))? {
                let ran = run_file(&place, &system, &object).await.map_err(|error| sql_error(&error))?;
                if let Err(error) = ran {
                    failure.get_or_insert(error);
                }
            }
            failure.map_or(Ok(DONE), Err)
        }
        JobCommand::List => list(&system, session, None).await,
        JobCommand::Show(name) => {
            find(session, &system, name, "alter").await?;
            list(&system, session, Some(name)).await
        }
    }
}

/// The columns of LIST and SHOW are not documented: name and text are the stand-in's choice.
async fn list(system: &Client, session: &Session, name: Option<&str>) -> Result<Outcome, SqlError> {
    let rows = system
        .query(
            "SELECT job_name, job_text FROM sluice_sys.copy_job WHERE ($1::text IS NULL OR job_name = $1) \
             AND sluice_sys.sees(owner_id, $2) ORDER BY job_name",
            &[&name, &session.user],
        )
        .await
        .map_err(|error| sql_error(&error))?;
    let rows: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| vec![Some(row.get(0)), Some(row.get(1))]).collect();
    let count = i64::try_from(rows.len()).unwrap_or(-1);
    Ok(Outcome { result: Some(ResultSet::text(&["job_name", "job_text"], rows)), rows: count, query_id: 0 })
}

/// `GRANT … FOR COPY JOBS IN DATABASE … TO …` and its REVOKE.
pub(crate) async fn grant(session: &Session, grant: &JobGrant) -> Result<Outcome, SqlError> {
    let system = system(session).await?;
    if grant.database != session.database {
        return Err(SqlError::not_imitated("grants on copy jobs of another database; connect to it"));
    }
    let row = session
        .client
        .query_one("SELECT usesuper FROM pg_catalog.pg_user WHERE usename = current_user", &[])
        .await
        .map_err(|error| sql_error(&error))?;
    if !row.get::<_, bool>(0) {
        return Err(SqlError::new("permission denied to grant privileges on copy jobs"));
    }
    let known = system
        .query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&grant.grantee])
        .await
        .map_err(|error| sql_error(&error))?;
    if known.is_none() && grant.grantee != "public" {
        return Err(SqlError::new(format!("user \"{}\" does not exist", grant.grantee)));
    }
    for privilege in &grant.privileges {
        let text = if grant.revoke {
            "DELETE FROM sluice_sys.copy_job_grant WHERE grantee = $1 AND privilege = $2"
        } else {
            "INSERT INTO sluice_sys.copy_job_grant VALUES ($1, $2) ON CONFLICT DO NOTHING"
        };
        system.execute(text, &[&grant.grantee, privilege]).await.map_err(|error| sql_error(&error))?;
    }
    Ok(DONE)
}

/// Refuses to drop a user that has grants on copy jobs or owns some [D: DROP USER; that both count is
/// a choice].
pub(crate) async fn demand_no_grant(session: &Session, user: &str) -> Result<(), SqlError> {
    let system = system(session).await?;
    let found = system
        .query_opt(
            "SELECT 1 FROM sluice_sys.copy_job_grant WHERE grantee = $1 UNION SELECT 1 FROM sluice_sys.copy_job WHERE owner_name = $1 LIMIT 1",
            &[&user],
        )
        .await
        .map_err(|error| sql_error(&error))?;
    match found {
        None => Ok(()),
        Some(_) => Err(SqlError::new(format!(
            "user \"{user}\" cannot be dropped because the user has a privilege on or owns copy jobs"
        ))),
    }
}

fn wake(app: &App, namespace_id: &str) {
    if let Some(warehouse) = app.world().warehouses.get(namespace_id) {
        warehouse.wake.notify_one();
    }
}

/// The databases of users.
pub(crate) async fn databases(server: &Server) -> Result<Vec<String>, tokio_postgres::Error> {
    let client = server.connect("postgres", &Login::system()).await?;
    let names =
        "SELECT datname::text FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1";
    Ok(client.query(names, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// The warehouse and database of a run.
pub(crate) struct Place<'a> {
    pub(crate) app: &'a Arc<App>,
    pub(crate) namespace_id: &'a str,
    pub(crate) target_name: &'a str,
    pub(crate) server: &'a Arc<Server>,
    pub(crate) database: &'a str,
}

/// A pending file.
pub(crate) struct Pending {
    job: Job,
    /// True if the job has AUTO ON.
    pub(crate) auto: bool,
    /// The file.
    pub(crate) object: Object,
}

/// The pending files, oldest first: of one job, or of every job with AUTO ON.
pub(crate) async fn pending(
    system: &Client,
    job: Option<i64>,
) -> Result<Vec<Pending>, tokio_postgres::Error> {
    let rows = system
        .query(
            "SELECT j.job_id, j.job_name, j.owner_id, j.owner_name, j.copy_text, d.key, d.size, d.bucket, j.is_auto \
             FROM sluice_sys.copy_job_detail d JOIN sluice_sys.copy_job j USING (job_id) \
             WHERE d.status = 'P' AND (j.job_id = $1 OR ($1 IS NULL AND j.is_auto)) ORDER BY d.enqueue_time, d.key",
            &[&job],
        )
        .await?;
    let one = |row: &tokio_postgres::Row| Pending {
        job: Job {
            id: row.get(0),
            name: row.get(1),
            owner_id: row.get(2),
            owner: row.get(3),
            copy_text: row.get(4),
        },
        object: Object { key: row.get(5), size: row.get(6), bucket: row.get(7) },
        auto: row.get(8),
    };
    Ok(rows.iter().map(one).collect())
}

impl Pending {
    /// Returns the id of the job.
    pub(crate) fn job_id(&self) -> i64 {
        self.job.id
    }
}

/// Loads one file as the job's owner and returns how that ended; the error is that of the tables
/// behind the system views. The file is not loaded again, whatever the outcome.
pub(crate) async fn run_file(
    place: &Place<'_>,
    system: &Client,
    pending: &Pending,
) -> Result<Result<(), SqlError>, tokio_postgres::Error> {
    // The worker and COPY JOB RUN may both load the file, so one at a time, and only while it is
    // pending.
    let loading =
        place.app.world().warehouses.get(place.namespace_id).map(|warehouse| Arc::clone(&warehouse.loading));
    let Some(loading) = loading else { return Ok(Ok(())) };
    let _permit = loading.file((place.database.to_owned(), pending.job.id)).await;
    let waiting = system
        .query_opt(
            "SELECT 1 FROM sluice_sys.copy_job_detail WHERE job_id = $1 AND bucket = $2 AND key = $3 AND status = 'P'",
            &[&pending.job.id, &pending.object.bucket, &pending.object.key],
        )
        .await?;
    if waiting.is_none() {
        return Ok(Ok(()));
    }
    let result = load_file(place, pending).await;
    let status = if result.is_ok() { "I" } else { "E" };
    system
        .execute(
            "UPDATE sluice_sys.copy_job_detail SET status = $4 WHERE job_id = $1 AND bucket = $2 AND key = $3",
            &[&pending.job.id, &pending.object.bucket, &pending.object.key, &status],
        )
        .await?;
    if let Err(error) = &result {
        let Job { id, name, owner_id, .. } = &pending.job;
        let message = format!("s3://{}/{}: {error}", pending.object.bucket, pending.object.key);
        system
            .execute(
                "INSERT INTO sluice_sys.copy_job_info (job_id, job_name, owner_id, message) VALUES ($1, $2, $3, $4)",
                &[id, name, owner_id, &message],
            )
            .await?;
    }
    Ok(result)
}

async fn load_file(place: &Place<'_>, pending: &Pending) -> Result<(), SqlError> {
    let Statement::Copy(copy) = sql::read(&pending.job.copy_text)? else {
        return Err(SqlError::new("the job's definition is not a COPY"));
    };
    let login = Login::Trusted(pending.job.owner.clone());
    let client = place.server.connect(place.database, &login).await.map_err(|error| sql_error(&error))?;
    let session = Session {
        app: Arc::clone(place.app),
        target_name: place.target_name.to_owned(),
        namespace_id: place.namespace_id.to_owned(),
        server: Arc::clone(place.server),
        database: place.database.to_owned(),
        user: pending.job.owner.clone(),
        client,
        in_block: false,
    };
    load::one_object(&session, &copy, &pending.object, pending.job.id).await.map(|_| ())
}

/// Records a new object as pending for every job that it matches; a known name is ignored.
pub(crate) async fn note(
    system: &Client,
    event: &crate::world::S3Event,
    created: Timestamp,
) -> Result<u64, tokio_postgres::Error> {
    system
        .execute(
            "INSERT INTO sluice_sys.copy_job_detail (job_id, bucket, key, size, etag, modification_time) \
             SELECT job_id, $1, $2, $3, $4, $5::text::timestamptz FROM sluice_sys.copy_job \
             WHERE bucket = $1 AND starts_with($2, prefix) AND created_at <= $5::text::timestamptz \
             ON CONFLICT DO NOTHING",
            &[&event.bucket, &event.key, &event.size, &event.etag.trim_matches('"'), &created.to_string()],
        )
        .await
}

//! One copy job, and optionally the table that it loads.

use std::time::Duration;

use custom_resource::{Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use tokio::time::Instant;
use warehouse::cluster::{ControlPlane, DescribeError, Warehouse};
use warehouse::data_api::{Database, Login, SqlRunError, Token};
use warehouse::jobs::{ExistingJob, ExistingTable, QueryError};
use warehouse::sql::{CreateTable, JobName, TableName};
use warehouse::target::Target;

use crate::preflight;
use crate::properties::{Properties, Wanted};
use crate::{refusal, uses};

/// The first part of the identity of an adopted job.
const ADOPTED: &str = "adopted/";

/// The longest pause between two looks at a view that does not show a new job yet.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The provider.
pub struct CopyJobs {
    control: ControlPlane,
    data: aws_sdk_redshiftdata::Client,
}

impl CopyJobs {
    /// Creates a provider with its clients.
    pub fn new(control: ControlPlane, data: aws_sdk_redshiftdata::Client) -> Self {
        Self { control, data }
    }

    async fn create_or_adopt(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: &Properties,
    ) -> Result<Outcome<()>, Failure> {
        if new.adopt_existing {
            return self.adopt(context, new).await;
        }
        self.create_job(context, new, &new.wanted(id.tag())?).await
    }

    fn database(&self, target: &Target, database: &str, login: Login) -> Database {
        Database::new(self.data.clone(), target.clone(), database.to_owned(), login)
    }

    async fn available(&self, target: &Target) -> Result<Warehouse, Failure> {
        let warehouse = self.control.describe(target).await.map_err(describe_failed)?;
        if warehouse.is_available() {
            return Ok(warehouse);
        }
        let remedy = warehouse.remedy(target);
        Err(Failure::new(format!("{target} is {} and runs no statements; {remedy}", warehouse.status)))
    }

    /// Uses the existing job with exactly this name, unchanged.
    async fn adopt(&self, context: &Context, new: &Properties) -> Result<Outcome<()>, Failure> {
        let target = new.target()?;
        self.available(&target).await?;
        let name =
            JobName::existing(&new.job_name).map_err(|error| Failure::new(format!("property {error}")))?;
        let database = self.database(&target, &new.database, new.login()?);
        match database.job(&name, context.end_of_statements()).await.map_err(query_failed)? {
            Some(existing) => Ok(ready(&existing)),
            None => Err(Failure::new(format!(
                "property `JobName`: there is no job \"{name}\" in database \"{}\" that this user may see; with `AdoptExisting: true` give the full \
                 name of an existing job (SELECT job_name FROM sys_copy_job), or omit it to create one",
                new.database
            ))),
        }
    }

    /// Creates the job, or sets AUTO of the existing one with this name.
    ///
    /// A failure has leftovers as soon as the job may exist: also if it cannot be read whether an
    /// earlier delivery of this request created it.
    async fn create_job(
        &self,
        context: &Context,
        new: &Properties,
        wanted: &Wanted,
    ) -> Result<Outcome<()>, Failure> {
        let warehouse = self.available(&wanted.target).await?;
        let database = self.database(&wanted.target, &new.database, wanted.login.clone());
        let (job, until) = (&wanted.job, context.end_of_statements());

        let jobs = database.jobs(until).await.map_err(query_failed)?;
        if let Some(existing) = jobs.iter().find(|existing| existing.name == job.name.as_str()) {
            // The name covers the owner and the definition; only AUTO may differ.
            if existing.auto != new.auto {
                run_once(context, &database, &job.name.alter_auto(new.auto), "AUTO could not be changed")
                    .await
                    .map_err(Failure::with_leftovers)?;
            }
            return Ok(ready(existing));
        }
        preflight::role_is_attached(&job.copy, &wanted.target, &warehouse)?;
        if new.require_integration {
            preflight::integration_is_active(&self.control, &job.copy, &warehouse).await?;
        }
        if !new.allow_overlap {
            preflight::no_other_job_loads(&job.copy, &jobs)?;
        }
        let table = job.copy.table();
        let existing = database.table(table, until).await.map_err(query_failed)?;
        let creates_table = existing.is_none();
        match (&wanted.table, &existing) {
            (create, Some(existing)) => preflight::fits_table(&job.copy, create.as_ref(), existing)?,
            (Some(create), None) => create_table(context, &database, create).await?,
            (None, None) => {
                return Err(Failure::new(format!(
                    "property `TableName`: there is no table {table} in database \"{}\"; create it, or set `CreateTable: true` and give `TableColumns`",
                    new.database
                )));
            }
        }
        let created = async {
            preflight::may_use_role(&database, &job.copy, existing.as_ref(), until).await?;
            preflight::role_can_list(&database, &job.copy, until).await?;
            self.run_job_create(context, new, wanted, &database, existing.as_ref()).await
        };
        match created.await {
            Ok(existing) => {
                tracing::info!(job = %job.name, id = existing.id, auto = new.auto, "the job exists");
                Ok(ready(&existing))
            }
            Err(failure) => {
                if creates_table && !failure.has_leftovers() {
                    drop_if_empty(context, &database, table, until).await;
                }
                Err(failure)
            }
        }
    }

    /// Runs `COPY … JOB CREATE` and waits until the system view shows the job.
    async fn run_job_create(
        &self,
        context: &Context,
        new: &Properties,
        wanted: &Wanted,
        database: &Database,
        table: Option<&ExistingTable>,
    ) -> Result<ExistingJob, Failure> {
        let (name, until) = (&wanted.job.name, context.end_of_statements());
        let sql = wanted.job.create(new.auto);
        if let Err(error) = database.run(&sql, Token::OncePer(&context.request_id), until).await {
            if error.may_have_effect() {
                return Err(Failure::caused_by("the job may have been created", error).with_leftovers());
            }
            let user = match (table, &wanted.login) {
                (Some(table), _) => table.user.clone(),
                (None, Login::DbUser(user)) => user.clone(),
                (None, Login::Secret(_)) => database.current_user(until).await.unwrap_or_default(),
            };
            return Err(refusal::job_create(error, &new.database, &user));
        }
        // SYS views lag behind the statement that made the job.
        let mut pause = Duration::from_millis(250);
        loop {
            let found = database.job(name, until).await;
            match found.map_err(|error| query_failed(error).with_leftovers())? {
                Some(existing) => return Ok(existing),
                None if Instant::now() + pause >= until => {
                    return Err(Failure::new(format!(
                        "the job {name} was created but SYS_COPY_JOB does not show it"
                    ))
                    .with_leftovers());
                }
                None => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Drops the job without looking for it first: a view that lags would hide a new one.
    async fn drop_job(
        &self,
        context: &Context,
        database: &Database,
        name: &JobName,
        database_name: &str,
    ) -> Result<(), SqlRunError> {
        let until = context.end_of_statements();
        let token = Token::OncePer(&context.request_id);
        let error = match database.run(&name.drop_job(), token, until).await {
            Ok(_) => {
                tracing::info!(job = %name, "the job was dropped");
                return Ok(());
            }
            Err(error) => error,
        };
        let Some(message) = error.database_message() else { return Err(error) };
        if refusal::says_no_database(message, database_name) {
            tracing::info!(job = %name, "the job was dropped with its database");
            return Ok(());
        }
        // The text for a job that does not exist is not documented; the view decides.
        match database.job(name, until).await {
            Ok(None) => {
                tracing::info!(job = %name, message, "there is no such job");
                Ok(())
            }
            Ok(Some(_)) => Err(error),
            Err(QueryError::Run(unreadable)) if unreadable.is_transient() => Err(unreadable),
            Err(_) => Err(error),
        }
    }
}

fn ready(existing: &ExistingJob) -> Outcome<()> {
    Outcome::Ready(Attributes::none().with("JobName", &existing.name).with("JobId", existing.id.to_string()))
}

pub(crate) fn query_failed(error: QueryError) -> Failure {
    let is_transient = error.is_transient();
    Failure::caused_by("the database could not be queried", error).with_leftovers_if(is_transient)
}

fn describe_failed(error: DescribeError) -> Failure {
    let is_transient = error.is_transient();
    Failure::from_error(error).with_leftovers_if(is_transient)
}

async fn run_once(context: &Context, database: &Database, sql: &str, problem: &str) -> Result<(), Failure> {
    let token = Token::OncePer(&context.request_id);
    database.run(sql, token, context.end_of_statements()).await.map(|_| ()).map_err(|error| {
        let may_have_effect = error.may_have_effect();
        Failure::caused_by(problem, error).with_leftovers_if(may_have_effect)
    })
}

async fn create_table(context: &Context, database: &Database, create: &CreateTable) -> Result<(), Failure> {
    run_once(context, database, &create.to_string(), "the table could not be created").await
}

/// Drops a table that this request created. If it has rows meanwhile, it stays.
async fn drop_if_empty(context: &Context, database: &Database, table: &TableName, until: Instant) {
    let token = Token::OncePer(&context.request_id);
    let dropped = match database.is_empty(table, until).await {
        Ok(true) => database.run(&format!("DROP TABLE {table}"), token, until).await.map(|_| true),
        Ok(false) => Ok(false),
        Err(error) => {
            tracing::warn!(%table, %error, "the created table stays: its rows could not be read");
            return;
        }
    };
    match dropped {
        Ok(true) => tracing::info!(%table, "the created table was dropped"),
        Ok(false) => tracing::warn!(%table, "the created table has rows and stays"),
        Err(error) => tracing::warn!(%table, %error, "the created table could not be dropped"),
    }
}

impl Provider for CopyJobs {
    type Properties = Properties;
    type Progress = ();
    const KIND: &'static str = "sluice-copy-job";
    /// A job's mark is a hash of 32 bits over its owner and its definition, for which an event can
    /// search. A job is never replaced, so a Delete names what the stack allows.
    const CHECKS_DELETE: bool = true;

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        uses::of(properties)
    }

    /// The job's full name has a hash of its definition, so every change but AUTO is a change of
    /// identity.
    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        if properties.adopt_existing {
            return Ok(format!(
                "{ADOPTED}{}/{}/{}",
                properties.target()?,
                properties.database,
                properties.job_name
            ));
        }
        // The owner is already part of the physical id.
        let wanted = properties.wanted("")?;
        Ok(format!("{}/{}/{}", wanted.target, properties.database, wanted.job.name))
    }

    /// A changed format makes options invalid that were valid before, but it cannot change anyway.
    fn invalid_update(&self, old: Option<&Properties>, new: &Properties, invalid: Failure) -> Failure {
        match old {
            Some(old) if old.format != new.format => refusal::changed_job(&old.job_name),
            _ => invalid,
        }
    }

    async fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.create_or_adopt(context, id, &new).await
    }

    /// A job keeps its owner: the new user neither sees it nor may change it.
    async fn update(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Option<Properties>,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        let before = old.filter(|_| !new.adopt_existing).and_then(|old| old.login().ok());
        let login = new.login()?;
        if before.as_ref().is_some_and(|before| *before != login) {
            let wanted = new.wanted(id.tag())?;
            let database = self.database(&wanted.target, &new.database, login);
            let found = database.job(&wanted.job.name, context.end_of_statements()).await;
            if found.map_err(query_failed)?.is_none() {
                return Err(refusal::other_owner(&new.job_name));
            }
        }
        self.create_or_adopt(context, id, &new).await
    }

    async fn replace(
        &self,
        _: &Context,
        old: &PhysicalId,
        _: &PhysicalId,
        _: Properties,
    ) -> Result<Outcome<()>, Failure> {
        Err(refusal::changed_job(refusal::base_name(old.identity())))
    }

    async fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<()>, Failure> {
        if old.adopt_existing || id.identity().starts_with(ADOPTED) {
            return Ok(Outcome::done());
        }
        let target = old.target()?;
        let warehouse = match self.control.describe(&target).await {
            // The jobs were deleted with the cluster.
            Err(DescribeError::Absent(_)) => return Ok(Outcome::done()),
            other => other.map_err(Failure::from_error)?,
        };
        if !warehouse.is_available() {
            let remedy = warehouse.remedy(&target);
            return Err(Failure::new(format!(
                "the job cannot be dropped while {target} is {}; {remedy}",
                warehouse.status
            )));
        }
        let login = old.login()?;
        let database = self.database(&target, &old.database, login.clone());
        let name = old.wanted(id.tag())?.job.name;
        self.drop_job(context, &database, &name, &old.database)
            .await
            .map_err(|error| refusal::job_drop(error, &name, &old.database, &login, &context.owner))?;
        Ok(Outcome::done())
    }
}

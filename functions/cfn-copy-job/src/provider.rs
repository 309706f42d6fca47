//! One copy job, and optionally the table that it loads.

use custom_resource::{Attributes, Context, Failure, Outcome, PhysicalId, Provider};
use tokio::time::Instant;
use warehouse::cluster::{ControlPlane, DescribeError, Warehouse};
use warehouse::data_api::{Database, Login, SqlRunError, Token};
use warehouse::jobs::{ExistingJob, QueryError};
use warehouse::sql::{CreateTable, JobName, TableName};
use warehouse::target::Target;

use crate::preflight;
use crate::properties::{Properties, Wanted};

/// The first part of the identity of an adopted job.
const ADOPTED: &str = "adopted/";

/// The provider.
pub(crate) struct CopyJobs {
    control: ControlPlane,
    data: aws_sdk_redshiftdata::Client,
}

impl CopyJobs {
    pub(crate) fn new(control: ControlPlane, data: aws_sdk_redshiftdata::Client) -> Self {
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
        let warehouse = self.control.describe(target).await.map_err(Failure::from_error)?;
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
        match database.job(&name, context.deadline).await.map_err(query_failed)? {
            Some(existing) => Ok(ready(&name, &existing)),
            None => Err(Failure::new(format!(
                "property `JobName`: there is no job \"{name}\" in database \"{}\" that this user may see; with `AdoptExisting: true` give the full \
                 name of an existing job (SELECT job_name FROM sys_copy_job), or omit it to create one",
                new.database
            ))),
        }
    }

    /// Creates the job, or sets AUTO of the existing one with this name.
    async fn create_job(
        &self,
        context: &Context,
        new: &Properties,
        wanted: &Wanted,
    ) -> Result<Outcome<()>, Failure> {
        let warehouse = self.available(&wanted.target).await?;
        let database = self.database(&wanted.target, &new.database, wanted.login.clone());
        let (job, until) = (&wanted.job, context.deadline);

        if let Some(existing) = database.job(&job.name, until).await.map_err(query_failed)? {
            // The name covers the owner and the definition; only AUTO may differ.
            if existing.auto != new.auto {
                run_once(context, &database, &job.name.alter_auto(new.auto), "AUTO could not be changed")
                    .await?;
            }
            return Ok(ready(&job.name, &existing));
        }

        preflight::role_is_attached(&job.copy, &wanted.target, &warehouse)?;
        if new.require_integration {
            preflight::integration_is_active(&self.control, &job.copy, &warehouse).await?;
        }
        let table = job.copy.table();
        let created_table = match (
            &wanted.table,
            database.has_table(table, until).await.map_err(query_failed)?,
        ) {
            (_, true) => false,
            (Some(create), false) => {
                create_table(context, &database, create).await?;
                true
            }
            (None, false) => {
                return Err(Failure::new(format!(
                    "property `TableName`: there is no table {table} in database \"{}\"; create it, or set `CreateTable: true` and give `TableColumns`",
                    new.database
                )));
            }
        };
        let created = async {
            preflight::role_can_list(&database, &job.copy, until).await?;
            run_once(context, &database, &job.create(new.auto), "the job could not be created").await?;
            let found = database.job(&job.name, until).await.map_err(query_failed)?;
            found.ok_or_else(|| {
                Failure::new(format!("the job {} was created but SYS_COPY_JOB does not show it", job.name))
                    .with_leftovers()
            })
        };
        match created.await {
            Ok(existing) => {
                tracing::info!(job = %job.name, id = existing.id, auto = new.auto, "the job exists");
                Ok(ready(&job.name, &existing))
            }
            Err(failure) => {
                if created_table && !failure.has_leftovers() {
                    drop_if_empty(&database, table, until).await;
                }
                Err(failure)
            }
        }
    }
}

fn ready(name: &JobName, existing: &ExistingJob) -> Outcome<()> {
    Outcome::Ready(Attributes::none().with("JobName", name.as_str()).with("JobId", existing.id.to_string()))
}

fn query_failed(error: QueryError) -> Failure {
    Failure::caused_by("the database could not be queried", error)
}

async fn run_once(context: &Context, database: &Database, sql: &str, problem: &str) -> Result<(), Failure> {
    database.run(sql, Token::OncePer(&context.request_id), context.deadline).await.map(|_| ()).map_err(
        |error| {
            // A statement that was cut off may have taken effect.
            let may_have_effect = !matches!(error, SqlRunError::Failed(_) | SqlRunError::Call(_));
            Failure::caused_by(problem, error).with_leftovers_if(may_have_effect)
        },
    )
}

async fn create_table(context: &Context, database: &Database, create: &CreateTable) -> Result<(), Failure> {
    run_once(context, database, &create.to_string(), "the table could not be created").await
}

/// Drops a table that this request created. If it has rows meanwhile, it stays.
async fn drop_if_empty(database: &Database, table: &TableName, until: Instant) {
    let dropped = match database.is_empty(table, until).await {
        Ok(true) => database.run(&format!("DROP TABLE {table}"), Token::Fresh, until).await.map(|_| true),
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

    async fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.create_or_adopt(context, id, &new).await
    }

    async fn replace(
        &self,
        _: &Context,
        _: &PhysicalId,
        _: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        Err(Failure::new(format!(
            "only `Auto` of an existing copy job can be changed: Redshift loads only files that are newer than a job and forgets what an old job loaded, \
             so a changed job could lose files or load them twice. Give the new definition to a second `Custom::CopyJob` (another logical id and \
             JobName than \"{}\") with another prefix, move the writers to that prefix, and remove this one when SYS_COPY_JOB_DETAIL shows no pending file",
            new.job_name
        )))
    }

    async fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<()>, Failure> {
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
        let database = self.database(&target, &old.database, old.login()?);
        let name = old.wanted(id.tag())?.job.name;
        if database.job(&name, context.deadline).await.map_err(query_failed)?.is_some() {
            run_once(context, &database, &name.drop_job(), "the job could not be dropped").await?;
            tracing::info!(job = %name, "the job was dropped");
        }
        Ok(Outcome::done())
    }
}

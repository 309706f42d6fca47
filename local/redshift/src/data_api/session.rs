//! A session of the database in which one statement or one batch runs.

use std::sync::Arc;

use tokio_postgres::Client;

use super::access::Target;
use super::fields::{Outcome, run};
use crate::app::App;
use crate::load;
use crate::sql::{self, SqlError, Statement};
use local_servers::postgres::{Login, describe_error};

/// A session, with the state that our own statements need.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) app: Arc<App>,
    pub(crate) target_name: String,
    pub(crate) namespace_id: String,
    pub(crate) server: Arc<local_servers::postgres::Server>,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) client: Client,
    /// True inside a transaction block that the batch has opened.
    pub(crate) in_block: bool,
}

impl Session {
    pub(super) async fn open(
        app: &Arc<App>,
        target: &Target,
        database: &str,
        login: &Login,
    ) -> Result<Self, SqlError> {
        let client = target.server.connect(database, login).await.map_err(|error| postgres(&error))?;
        Ok(Self {
            app: Arc::clone(app),
            target_name: target.name.clone(),
            namespace_id: target.namespace_id.clone(),
            server: Arc::clone(&target.server),
            database: database.to_owned(),
            user: login.user().to_owned(),
            client,
            in_block: false,
        })
    }

    /// Runs one statement.
    pub(super) async fn run(&self, text: &str, parameters: &[(String, String)]) -> Result<Outcome, SqlError> {
        match sql::read(text)? {
            Statement::Copy(copy) => load::copy(self, &copy).await,
            Statement::CreateJob(job) => crate::jobs::create(self, &job).await,
            Statement::Job(command) => crate::jobs::command(self, &command).await,
            Statement::JobGrant(grant) => crate::jobs::grant(self, &grant).await,
            Statement::AssumeRole(grant) => crate::assume_role::grant(self, &grant).await,
            Statement::Other => {
                if let Some(user) = sql::dropped_user(text) {
                    crate::jobs::demand_no_grant(self, &user).await?;
                }
                let (postgres_text, values) = sql::bind(&sql::for_postgres(text)?, parameters)?;
                let syslog = sql::syslog_access(text);
                if syslog.is_some() && self.in_block {
                    return Err(SqlError::not_imitated("SYSLOG ACCESS inside a transaction block"));
                }
                let outcome =
                    run(&self.client, &postgres_text, &values).await.map_err(|error| postgres(&error))?;
                if let Some((user, unrestricted)) = syslog {
                    self.syslog_access(&user, unrestricted).await?;
                }
                Ok(outcome)
            }
        }
    }

    /// `SYSLOG ACCESS` of a user, which only a superuser may set.
    async fn syslog_access(&self, user: &str, unrestricted: bool) -> Result<(), SqlError> {
        let system =
            self.server.connect(&self.database, &Login::system()).await.map_err(|error| postgres(&error))?;
        let superuser = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolsuper";
        let row = system.query_opt(superuser, &[&self.user]).await.map_err(|error| postgres(&error))?;
        if row.is_none() {
            return Err(SqlError::new("must be superuser to change SYSLOG ACCESS"));
        }
        let user = sql::identifier(user);
        let change = if unrestricted {
            format!("GRANT sluice_syslog TO {user}")
        } else {
            format!("REVOKE sluice_syslog FROM {user}")
        };
        system.batch_execute(&change).await.map_err(|error| postgres(&error))
    }
}

/// An error of PostgreSQL in the words of the Data API.
pub(crate) fn postgres(error: &tokio_postgres::Error) -> SqlError {
    let text = describe_error(error);
    SqlError::new(text.strip_prefix("ERROR: ").unwrap_or(&text))
}

/// The text of `DescribeStatement.Error`.
pub(super) fn error_text(error: &SqlError) -> String {
    // A rejected login is FATAL, which PostgreSQL writes itself.
    let text = error.to_string();
    match text.strip_prefix("ERROR: ") {
        Some(rest) if rest.starts_with("FATAL: ") => rest.to_owned(),
        _ => text,
    }
}

//! Temporary credentials of the wire port: GetClusterCredentials, GetClusterCredentialsWithIAM and,
//! Serverless, GetCredentials.
//!
//! Each login has a user of its own, `IAM:name`, whose session starts as the database user: what
//! Redshift calls a temporary user is a PostgreSQL role with a password that expires and membership
//! in the real one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::answer::ApiError;
use crate::app::App;
use crate::sql;
use local_servers::postgres::{Login, describe_error};

/// A password and its expiry.
pub(crate) struct Temporary {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) expiration: Timestamp,
}

/// The database user that a temporary user becomes.
pub(crate) enum Becomes<'a> {
    /// An existing database user. If there is none, the login fails, as on Redshift.
    Known(&'a str),
    /// A database user that is created if it is missing.
    Created(&'a str),
    /// Itself: the identity's own database user.
    Itself,
}

/// 900 to 3600 seconds, 900 if left out [M: redshift].
pub(crate) fn duration(seconds: Option<i64>) -> Result<Duration, ApiError> {
    let seconds = seconds.unwrap_or(900);
    match u64::try_from(seconds) {
        Ok(seconds) if (900..=3600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(ApiError::new(
            "InvalidParameterValue",
            format!("DurationSeconds must be between 900 and 3600; found {seconds}."),
        )),
    }
}

/// Creates the temporary user, or sets a new password.
pub(crate) async fn make(
    app: &App,
    namespace_id: &str,
    login: &str,
    becomes: Becomes<'_>,
    lasts: Duration,
) -> Result<Temporary, ApiError> {
    let server = app
        .world()
        .warehouses
        .get(namespace_id)
        .filter(|warehouse| warehouse.available)
        .and_then(|warehouse| warehouse.server.as_ref().map(Arc::clone))
        .ok_or_else(|| {
            ApiError::new("InvalidClusterState", "The warehouse is paused or not yet in service.")
        })?;
    let failed = |error: tokio_postgres::Error| {
        ApiError::new("InternalFailure", describe_error(&error)).with_status(500)
    };
    let client = server.connect("postgres", &Login::system()).await.map_err(failed)?;
    let exists = async |name: &str| {
        let row = client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&name]).await;
        row.map(|row| row.is_some()).map_err(failed)
    };
    let password: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    let expiration = Timestamp::now() + lasts;
    let role = sql::identifier(login);
    if !exists(login).await? {
        client.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.map_err(failed)?;
    }
    let literal = sql::literal(&password);
    let until = sql::literal(&expiration.to_string());
    client
        .batch_execute(&format!("ALTER ROLE {role} PASSWORD {literal} VALID UNTIL {until}"))
        .await
        .map_err(failed)?;
    let real = match becomes {
        Becomes::Itself => None,
        Becomes::Known(user) => Some((user, exists(user).await?)),
        Becomes::Created(user) => {
            if !exists(user).await? {
                let create = format!("CREATE ROLE {} LOGIN", sql::identifier(user));
                client.batch_execute(&create).await.map_err(failed)?;
            }
            Some((user, true))
        }
    };
    if let Some((user, there)) = real {
        let user = sql::identifier(user);
        let change = if there {
            format!("ALTER ROLE {role} LOGIN; GRANT {user} TO {role}; ALTER ROLE {role} SET role = {user}")
        } else {
            format!("ALTER ROLE {role} NOLOGIN")
        };
        client.batch_execute(&change).await.map_err(failed)?;
    }
    Ok(Temporary { user: login.to_owned(), password, expiration })
}

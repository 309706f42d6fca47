//! Gives one user what another has: roles, groups, privileges, settings, limits.
//!
//! Redshift has no login as another role, so the second user gets everything that the first was
//! granted, and loses what the first no longer has: the difference of two lists, statement by
//! statement. Each statement is complete in itself, so the next run continues after a crash. The
//! views contain the session's database only, so there is a session in every database. What an owner
//! may do cannot be granted: see [`owned`]. Sources: "GRANT", "REVOKE", "ALTER USER", "ALTER GROUP",
//! "ALTER DEFAULT PRIVILEGES" and the pages of the `SVV_…_PRIVILEGES` views of the Redshift database
//! developer guide.

mod grants;
mod owned;
mod settings;
mod statement;

use secrecy::SecretString;

use self::grants::{Kind, OF_DATABASE, OF_WAREHOUSE, difference, grants};
use self::settings::{changed_settings, limits, settings};
use self::statement::identifier;
use super::session::{Access, Session, SessionError};

/// Gives `user` what `model` has. The statement `create` creates the user if it does not exist.
pub(super) async fn clone_privileges(
    access: &Access,
    session: &Session<'_>,
    model: &str,
    user: &str,
    create: &SecretString,
) -> Result<(), SessionError> {
    session.pin_search_path().await?;
    let others = other_databases(access, session).await?;
    owned::check(session, model, user).await?;
    for other in &others {
        owned::check(other, model, user).await?;
    }
    // The first of the two users is the model, never the second: its later grants stay.
    if model.strip_suffix("_clone") == Some(user) {
        return Ok(());
    }
    let Some(wanted) = limits(session, model).await? else {
        return Err(SessionError::Statement(format!("there is no user `{model}` to copy the privileges of")));
    };
    if wanted.superuser {
        let problem = format!(
            "`{model}` is a superuser, and no second superuser is created; rotate it as a single user"
        );
        return Err(SessionError::Statement(problem));
    }
    let mut own = limits(session, user).await?;
    if own.is_none() {
        session.run(create).await?;
        own = limits(session, user).await?;
    }
    let mut statements = own.map(|own| own.changes(&wanted, user)).transpose()?.unwrap_or_default();
    statements.extend(missing(session, &OF_WAREHOUSE, model, user).await?);
    statements.extend(missing(session, &OF_DATABASE, model, user).await?);
    let (theirs, ours) = (settings(session, model).await?, settings(session, user).await?);
    statements.extend(changed_settings(&theirs, &ours, user)?);
    for statement in statements {
        session.run(&statement.into()).await?;
    }
    for other in &others {
        for statement in missing(other, &OF_DATABASE, model, user).await? {
            other.run(&statement.into()).await?;
        }
    }
    Ok(())
}

/// Returns the statements that make the grants of `user` those of `model`.
async fn missing(
    session: &Session<'_>,
    kinds: &[Kind],
    model: &str,
    user: &str,
) -> Result<Vec<String>, SessionError> {
    let mut statements = Vec::new();
    for kind in kinds {
        let (theirs, ours) = (grants(session, kind, model).await?, grants(session, kind, user).await?);
        statements.extend(difference(&theirs, &ours, &identifier(user)?));
    }
    Ok(statements)
}

/// Opens a session in every other database of the warehouse. Grants on those of other warehouses
/// (datashares) are grants on a database or schema here.
async fn other_databases(
    access: &Access,
    session: &Session<'_>,
) -> Result<Vec<Session<'static>>, SessionError> {
    // Of Redshift's own databases nobody has grants.
    let sql = "SELECT database_name FROM pg_catalog.svv_redshift_databases WHERE database_type = 'local' \
               AND database_name NOT IN ('template0', 'template1', 'padb_harvest', 'sys:internal') ORDER BY 1";
    let mut sessions = Vec::new();
    for row in session.run(&sql.into()).await? {
        let Some(name) = row.into_iter().next().flatten().filter(|name| *name != session.database()) else {
            continue;
        };
        let other = session.in_database(access, name).await.map_err(SessionError::Engine)?;
        let other = other.ok_or(SessionError::Refused)?;
        other.pin_search_path().await?;
        sessions.push(other);
    }
    Ok(sessions)
}

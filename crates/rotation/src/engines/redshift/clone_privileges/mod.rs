//! Gives one user what another has: roles, groups, privileges, settings, limits.
//!
//! Redshift has no login as another role, so the second user gets everything that the first was
//! granted, and loses what the first no longer has: the difference of two lists, statement by
//! statement. Each statement is complete in itself, so the next run continues after a crash. A user
//! keeps the objects that it owns. Sources: "GRANT", "REVOKE", "ALTER USER", "ALTER GROUP", "ALTER
//! DEFAULT PRIVILEGES" and the pages of the `SVV_…_PRIVILEGES` views of the Redshift database
//! developer guide. The views contain the session's database only.

mod grants;
mod settings;
mod statement;

use secrecy::SecretString;

use self::grants::{KINDS, difference, grants};
use self::settings::{changed_settings, limits, settings};
use self::statement::identifier;
use super::session::{Session, SessionError};

/// Gives `user` what `model` has. The statement `create` creates the user if it does not exist.
pub(super) async fn clone_privileges(
    session: &Session<'_>,
    model: &str,
    user: &str,
    create: &SecretString,
) -> Result<(), SessionError> {
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
    for kind in &KINDS {
        let (theirs, ours) = (grants(session, kind, model).await?, grants(session, kind, user).await?);
        statements.extend(difference(&theirs, &ours, &identifier(user)?));
    }
    let (theirs, ours) = (settings(session, model).await?, settings(session, user).await?);
    statements.extend(changed_settings(&theirs, &ours, user)?);
    for statement in statements {
        session.run(&statement.into()).await?;
    }
    Ok(())
}

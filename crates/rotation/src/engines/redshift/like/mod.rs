//! Makes one user like another: roles, groups, privileges, settings, limits.
//!
//! Redshift has no login as another role, so the second user gets everything that the first was given, and loses what the first has
//! no longer: the difference of two lists, statement by statement. Each statement is complete in itself, so a run that died anywhere is
//! taken up by the next. What a user owns stays its own. Sources: "GRANT", "REVOKE", "ALTER USER", "ALTER GROUP", "ALTER DEFAULT PRIVILEGES" and the
//! pages of the `SVV_…_PRIVILEGES` views of the Redshift database developer guide. The views show the database of the session only.

mod grants;
mod settings;

use secrecy::SecretString;
use warehouse::sql::{Identifier, Literal};

use self::grants::{KINDS, difference, grants};
use self::settings::{changed_settings, limits, settings};
use super::session::{Problem, Rows, Session};

/// Makes `user`, by the statement `create` if there is none yet, like `like`.
pub(super) async fn make_like(
    session: &Session<'_>,
    like: &str,
    user: &str,
    create: &SecretString,
) -> Result<(), Problem> {
    // The first of the two users is what the second is made like, never the other way round: what it was given meanwhile stays.
    if like.strip_suffix("_clone") == Some(user) {
        return Ok(());
    }
    let Some(model) = limits(session, like).await? else {
        return Err(Problem::Statement(format!("there is no user `{like}` that it could be made like")));
    };
    if model.superuser {
        let problem =
            format!("`{like}` is a superuser; a second superuser is not made. Rotate it as a single user");
        return Err(Problem::Statement(problem));
    }
    let mut own = limits(session, user).await?;
    if own.is_none() {
        session.run(create).await?;
        own = limits(session, user).await?;
    }
    let mut statements = own.map(|own| own.changes(&model, user)).transpose()?.unwrap_or_default();
    for kind in &KINDS {
        let (theirs, ours) = (grants(session, kind, like).await?, grants(session, kind, user).await?);
        statements.extend(difference(&theirs, &ours, &identifier(user)?));
    }
    let (theirs, ours) = (settings(session, like).await?, settings(session, user).await?);
    statements.extend(changed_settings(&theirs, &ours, user)?);
    for statement in statements {
        session.run(&statement.into()).await?;
    }
    Ok(())
}

async fn query(session: &Session<'_>, sql: &str, user: &str) -> Result<Rows, Problem> {
    let user = Literal::new("username", user).map_err(|error| Problem::Statement(error.to_string()))?;
    session.run(&sql.replace('$', &user.to_string()).into()).await
}

fn identifier(name: &str) -> Result<String, Problem> {
    let checked = Identifier::new("name", name).map_err(|error| Problem::Statement(error.to_string()))?;
    Ok(checked.to_string())
}

/// Words of SQL, as the views have them.
fn keyword(word: &str) -> Result<&str, Problem> {
    let known = !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ' || byte == b'_');
    known.then_some(word).ok_or_else(|| {
        Problem::Statement(format!("a system view names a privilege `{word}`, which is not known here"))
    })
}

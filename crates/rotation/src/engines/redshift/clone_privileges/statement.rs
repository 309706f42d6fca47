//! The parts of a statement that come from a view: nothing in them becomes SQL of its own.

use warehouse::sql::{Identifier, Literal};

use crate::engines::redshift::session::{Rows, Session, SessionError};

/// Runs the query of a view for one user, whose name replaces `$`.
pub(super) async fn query(session: &Session<'_>, sql: &str, user: &str) -> Result<Rows, SessionError> {
    let user = Literal::new("username", user).map_err(|error| SessionError::Statement(error.to_string()))?;
    session.run(&sql.replace('$', &user.to_string()).into()).await
}

/// Quotes a name from a view.
pub(super) fn identifier(name: &str) -> Result<String, SessionError> {
    let checked =
        Identifier::new("name", name).map_err(|error| SessionError::Statement(error.to_string()))?;
    Ok(checked.to_string())
}

/// Checks a keyword of SQL from a view.
pub(super) fn keyword(word: &str) -> Result<&str, SessionError> {
    let known = !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b' ' || byte == b'_');
    known
        .then_some(word)
        .ok_or_else(|| SessionError::Statement(format!("a system view names the unknown privilege `{word}`")))
}

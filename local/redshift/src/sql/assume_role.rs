//! `GRANT ASSUMEROLE` and `REVOKE ASSUMEROLE` [D: GRANT, REVOKE].

use super::{Cursor, SqlError};

/// The commands that a role can be granted for [D: GRANT].
pub(crate) const COMMANDS: [&str; 4] = ["copy", "unload", "external function", "create model"];

/// `GRANT ASSUMEROLE ON 'role' TO user FOR COPY`, or its REVOKE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumeRoleGrant {
    /// ARNs of the roles; `None` is ALL.
    pub roles: Option<Vec<String>>,
    /// Users, or `public`.
    pub grantees: Vec<String>,
    /// Of `COMMANDS`.
    pub commands: Vec<&'static str>,
    /// REVOKE.
    pub revoke: bool,
}

/// Parses the statement, or returns `None` for a grant of something else.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Result<AssumeRoleGrant, SqlError>> {
    let start = cursor.at;
    let revoke = cursor.accept("revoke");
    if (revoke || cursor.accept("grant")) && cursor.accept("assumerole") {
        return Some(rest(cursor, revoke));
    }
    cursor.at = start;
    None
}

fn rest(cursor: &mut Cursor<'_>, revoke: bool) -> Result<AssumeRoleGrant, SqlError> {
    cursor.expect("on")?;
    let roles = if cursor.accept("all") {
        None
    } else if cursor.accept("default") {
        return Err(SqlError::not_imitated("ASSUMEROLE on the default role; name the role"));
    } else {
        let mut roles = vec![cursor.text()?];
        while cursor.accept_symbol(',') {
            roles.push(cursor.text()?);
        }
        Some(roles)
    };
    cursor.expect(if revoke { "from" } else { "to" })?;
    let mut grantees = Vec::new();
    loop {
        if cursor.accept("role") || cursor.accept("group") {
            return Err(SqlError::not_imitated("ASSUMEROLE of roles and groups of the database"));
        }
        grantees.push(cursor.identifier()?);
        if !cursor.accept_symbol(',') {
            break;
        }
    }
    cursor.expect("for")?;
    let mut commands = Vec::new();
    if cursor.accept("all") {
        commands.extend(COMMANDS);
    } else {
        loop {
            let found = COMMANDS.into_iter().find(|command| {
                let start = cursor.at;
                let all = command.split(' ').all(|word| cursor.accept(word));
                if !all {
                    cursor.at = start;
                }
                all
            });
            commands.push(found.ok_or_else(|| cursor.error())?);
            if !cursor.accept_symbol(',') {
                break;
            }
        }
    }
    cursor.end()?;
    Ok(AssumeRoleGrant { roles, grantees, commands, revoke })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{self, Statement};

    fn parsed(text: &str) -> AssumeRoleGrant {
        match sql::read(text).expect("valid") {
            Statement::AssumeRole(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn assume_role_statements_are_read() {
        let revoke = parsed("REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL;");
        assert_eq!((revoke.roles, revoke.revoke), (None, true));
        assert_eq!((revoke.grantees, revoke.commands), (vec!["public".to_owned()], COMMANDS.to_vec()));
        let grant = parsed("GRANT ASSUMEROLE ON 'arn:a', 'arn:b' TO \"u\", v FOR COPY, EXTERNAL FUNCTION");
        assert_eq!(grant.roles, Some(vec!["arn:a".to_owned(), "arn:b".to_owned()]));
        assert_eq!(grant.grantees, ["u", "v"]);
        assert_eq!(grant.commands, ["copy", "external function"]);
        for wrong in [
            "GRANT ASSUMEROLE ON x TO u FOR COPY",
            "GRANT ASSUMEROLE ON ALL TO u",
            "GRANT ASSUMEROLE ON ALL TO u FOR x",
        ] {
            assert!(sql::read(wrong).is_err(), "{wrong}");
        }
    }
}

//! A user's limits and settings, and the statements that make those of two users equal.

use std::collections::BTreeMap;

use warehouse::sql::Literal;

use super::statement::{identifier, keyword, query};
use crate::engines::redshift::session::{Session, SessionError};

/// A user's row in `SVV_USER_INFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) superuser: bool,
    create_databases: bool,
    connections: String,
    system_log: String,
    session_timeout: String,
}

pub(super) async fn limits(session: &Session<'_>, user: &str) -> Result<Option<Limits>, SessionError> {
    let sql = "SELECT CASE WHEN superuser THEN 'y' ELSE 'n' END, CASE WHEN createdb THEN 'y' ELSE 'n' END, connection_limit, syslog_access, \
               session_timeout FROM pg_catalog.svv_user_info WHERE user_name = $";
    let rows = query(session, sql, user).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let text = |column: usize| row.get(column).cloned().flatten().unwrap_or_default().trim().to_owned();
    Ok(Some(Limits {
        superuser: text(0) == "y",
        create_databases: text(1) == "y",
        connections: text(2),
        system_log: text(3),
        session_timeout: text(4),
    }))
}

impl Limits {
    /// Returns the statements that make a user's limits those of `model`, one for each difference.
    pub(super) fn changes(&self, model: &Self, user: &str) -> Result<Vec<String>, SessionError> {
        let number = |text: &str| text.parse::<u32>().ok();
        let user = identifier(user)?;
        let mut words = Vec::new();
        if self.create_databases != model.create_databases {
            words.push(if model.create_databases { "CREATEDB" } else { "NOCREATEDB" }.to_owned());
        }
        if self.connections != model.connections {
            words.push(match number(&model.connections) {
                Some(limit) => format!("CONNECTION LIMIT {limit}"),
                None => "CONNECTION LIMIT UNLIMITED".to_owned(),
            });
        }
        if self.system_log != model.system_log {
            words.push(format!("SYSLOG ACCESS {}", keyword(&model.system_log)?));
        }
        if self.session_timeout != model.session_timeout {
            words.push(match number(&model.session_timeout) {
                None | Some(0) => "RESET SESSION TIMEOUT".to_owned(),
                Some(seconds) => format!("SESSION TIMEOUT {seconds}"),
            });
        }
        Ok(words.iter().map(|words| format!("ALTER USER {user} {words}")).collect())
    }
}

/// Returns a user's settings, names and values, from `pg_user.useconfig`.
pub(super) async fn settings(
    session: &Session<'_>,
    user: &str,
) -> Result<BTreeMap<String, String>, SessionError> {
    // No user setting contains a line break.
    let sql = "SELECT pg_catalog.array_to_string(useconfig, pg_catalog.chr(10)) FROM pg_catalog.pg_user WHERE usename = $";
    let rows = query(session, sql, user).await?;
    let text = rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

pub(super) fn changed_settings(
    theirs: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
    user: &str,
) -> Result<Vec<String>, SessionError> {
    let user = identifier(user)?;
    let mut statements = Vec::new();
    for (name, value) in theirs.iter().filter(|(name, value)| ours.get(*name) != Some(*value)) {
        let value = if name == "search_path" {
            // The only setting that is a list: of schemas.
            schemas(value).iter().map(|schema| identifier(schema)).collect::<Result<Vec<_>, _>>()?.join(", ")
        } else {
            Literal::new(name, value).map_err(|error| SessionError::Statement(error.to_string()))?.to_string()
        };
        statements.push(format!("ALTER USER {user} SET {} TO {value}", identifier(name)?));
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        statements.push(format!("ALTER USER {user} RESET {}", identifier(name)?));
    }
    Ok(statements)
}

/// Returns the names of a list such as `a, "$user", "b ""c"""`.
fn schemas(list: &str) -> Vec<String> {
    let (mut found, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut name)),
            ' ' if !quoted => {}
            other => name.push(other),
        }
    }
    found.push(name);
    found.retain(|name| !name.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_different_limits_are_set() {
        let plain = Limits {
            superuser: false,
            create_databases: false,
            connections: "UNLIMITED".into(),
            system_log: "RESTRICTED".into(),
            session_timeout: "0".into(),
        };
        let other = Limits {
            create_databases: true,
            connections: "5".into(),
            system_log: "UNRESTRICTED".into(),
            session_timeout: "60".into(),
            ..plain.clone()
        };
        assert!(plain.changes(&plain, "u").unwrap().is_empty());
        assert_eq!(
            plain.changes(&other, "u").unwrap(),
            [
                "ALTER USER \"u\" CREATEDB",
                "ALTER USER \"u\" CONNECTION LIMIT 5",
                "ALTER USER \"u\" SYSLOG ACCESS UNRESTRICTED",
                "ALTER USER \"u\" SESSION TIMEOUT 60"
            ]
        );
        assert_eq!(
            other.changes(&plain, "u").unwrap(),
            [
                "ALTER USER \"u\" NOCREATEDB",
                "ALTER USER \"u\" CONNECTION LIMIT UNLIMITED",
                "ALTER USER \"u\" SYSLOG ACCESS RESTRICTED",
                "ALTER USER \"u\" RESET SESSION TIMEOUT"
            ]
        );
    }

    #[test]
    fn settings_are_copied_and_search_path_stays_a_list() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let theirs = map(&[("search_path", "\"$user\", public, \"a, \"\"b\"\"\""), ("timezone", "It's")]);
        let ours = map(&[("timezone", "UTC"), ("query_group", "x")]);
        assert_eq!(
            changed_settings(&theirs, &ours, "u").unwrap(),
            [
                "ALTER USER \"u\" SET \"search_path\" TO \"$user\", \"public\", \"a, \"\"b\"\"\"",
                "ALTER USER \"u\" SET \"timezone\" TO 'It''s'",
                "ALTER USER \"u\" RESET \"query_group\""
            ]
        );
        assert!(changed_settings(&theirs, &theirs, "u").unwrap().is_empty());
    }
}

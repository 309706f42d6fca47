//! A user's grants, and the statements that make two users' grants equal.

use std::collections::BTreeMap;

use super::statement::{identifier, keyword, query};
use crate::engines::redshift::session::{Session, SessionError};

/// A user's grants, each with the grant option or without.
pub(super) type Grants = BTreeMap<Grant, bool>;

/// One grant. The user's name follows each part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    give: String,
    take: String,
    /// Revokes only the grant option.
    take_option: String,
    /// Follows the user's name if the grant option is included.
    option: &'static str,
}

/// A kind of grant: the query of a view and how to read its rows.
pub(super) struct Kind {
    sql: &'static str,
    read: fn(&[&str]) -> Result<Grant, SessionError>,
}

/// The grants that every database shows. The last column of each query is the grant option.
pub(super) const OF_WAREHOUSE: [Kind; 3] = [
    Kind {
        sql: "SELECT role_name, CASE WHEN admin_option THEN 'y' ELSE 'n' END FROM pg_catalog.svv_user_grants WHERE user_name = $",
        read: role,
    },
    Kind {
        sql: "SELECT g.groname, 'n' FROM pg_catalog.pg_group g, pg_catalog.pg_user u WHERE u.usesysid = ANY(g.grolist) AND u.usename = $",
        read: group,
    },
    Kind {
        sql: "SELECT database_name, privilege_type, privilege_scope, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM pg_catalog.svv_database_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: database,
    },
];

/// The grants that only a session in their database shows.
pub(super) const OF_DATABASE: [Kind; 6] = [
    Kind {
        sql: "SELECT namespace_name, privilege_type, privilege_scope, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM pg_catalog.svv_schema_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: schema,
    },
    Kind {
        sql: "SELECT namespace_name, relation_name, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM pg_catalog.svv_relation_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: relation,
    },
    Kind {
        sql: "SELECT namespace_name, relation_name, column_name, privilege_type, 'n' \
              FROM pg_catalog.svv_column_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: column,
    },
    Kind {
        sql: "SELECT namespace_name, function_name, argument_types, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM pg_catalog.svv_function_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: function,
    },
    Kind {
        sql: "SELECT language_name, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM pg_catalog.svv_language_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: language,
    },
    Kind {
        sql: "SELECT COALESCE(schema_name, ''), object_type, owner_name, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM pg_catalog.svv_default_privileges WHERE grantee_type = 'user' AND grantee_name = $",
        read: default,
    },
];

pub(super) async fn grants(session: &Session<'_>, kind: &Kind, user: &str) -> Result<Grants, SessionError> {
    let mut found = Grants::new();
    for row in query(session, kind.sql, user).await? {
        let row: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect();
        let Some((passes_on, row)) = row.split_last() else { continue };
        let passes_on = *passes_on == "y";
        // Two grantors may have granted the same.
        *found.entry((kind.read)(row)?).or_default() |= passes_on;
    }
    Ok(found)
}

/// Returns the statements that grant to `ours` what `theirs` has, and revoke the rest.
pub(super) fn difference(theirs: &Grants, ours: &Grants, user: &str) -> Vec<String> {
    let mut statements = Vec::new();
    for (grant, passes_on) in theirs {
        let Grant { give, take_option, option, .. } = grant;
        match (ours.get(grant), passes_on) {
            (Some(has), wanted) if has == wanted => {}
            (_, true) => statements.push(format!("{give} {user}{option}")),
            (None, false) => statements.push(format!("{give} {user}")),
            (Some(_), false) => statements.push(format!("{take_option} {user}")),
        }
    }
    let gone = ours.keys().filter(|grant| !theirs.contains_key(grant));
    statements.extend(gone.map(|grant| format!("{} {user}", grant.take)));
    statements
}

/// Returns `GRANT what TO user WITH GRANT OPTION` and its opposites.
fn privilege(what: &str) -> Grant {
    Grant {
        give: format!("GRANT {what} TO"),
        take: format!("REVOKE {what} FROM"),
        take_option: format!("REVOKE GRANT OPTION FOR {what} FROM"),
        option: " WITH GRANT OPTION",
    }
}

fn unexpected() -> SessionError {
    SessionError::Statement("a system view does not have the documented columns".to_owned())
}

fn role(row: &[&str]) -> Result<Grant, SessionError> {
    let [name] = row else { return Err(unexpected()) };
    let name = identifier(name)?;
    Ok(Grant {
        give: format!("GRANT ROLE {name} TO"),
        take: format!("REVOKE ROLE {name} FROM"),
        take_option: format!("REVOKE ADMIN OPTION FOR ROLE {name} FROM"),
        option: " WITH ADMIN OPTION",
    })
}

fn group(row: &[&str]) -> Result<Grant, SessionError> {
    let [name] = row else { return Err(unexpected()) };
    let name = identifier(name)?;
    let [give, take] = ["ADD", "DROP"].map(|verb| format!("ALTER GROUP {name} {verb} USER"));
    Ok(Grant { give, take_option: take.clone(), take, option: "" })
}

fn database(row: &[&str]) -> Result<Grant, SessionError> {
    let [name, word, scope] = row else { return Err(unexpected()) };
    scoped(word, scope, "DATABASE", &identifier(name)?)
}

fn schema(row: &[&str]) -> Result<Grant, SessionError> {
    let [name, word, scope] = row else { return Err(unexpected()) };
    scoped(word, scope, "SCHEMA", &identifier(name)?)
}

/// On the object itself, or on all of a kind in it, now and later ("Scoped permissions").
fn scoped(word: &str, scope: &str, place: &str, name: &str) -> Result<Grant, SessionError> {
    let word = keyword(word)?;
    Ok(privilege(&match scope {
        "" => format!("{word} ON {place} {name}"),
        scope if scope == place => format!("{word} ON {place} {name}"),
        scope => format!("{word} FOR {} IN {place} {name}", keyword(scope)?),
    }))
}

fn relation(row: &[&str]) -> Result<Grant, SessionError> {
    let [schema, name, word] = row else { return Err(unexpected()) };
    Ok(privilege(&format!("{} ON TABLE {}.{}", keyword(word)?, identifier(schema)?, identifier(name)?)))
}

fn column(row: &[&str]) -> Result<Grant, SessionError> {
    let [schema, name, column, word] = row else { return Err(unexpected()) };
    let (word, column) = (keyword(word)?, identifier(column)?);
    Ok(privilege(&format!("{word} ({column}) ON TABLE {}.{}", identifier(schema)?, identifier(name)?)))
}

fn function(row: &[&str]) -> Result<Grant, SessionError> {
    let [schema, name, arguments, word] = row else { return Err(unexpected()) };
    // Types as the catalog prints them: `integer, character varying`.
    if !arguments.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ,_()[]".contains(&byte)) {
        return Err(SessionError::Statement(format!("function `{name}` has arguments of unknown types")));
    }
    let (word, schema, name) = (keyword(word)?, identifier(schema)?, identifier(name)?);
    Ok(privilege(&format!("{word} ON FUNCTION {schema}.{name}({arguments})")))
}

fn language(row: &[&str]) -> Result<Grant, SessionError> {
    let [name, word] = row else { return Err(unexpected()) };
    Ok(privilege(&format!("{} ON LANGUAGE {}", keyword(word)?, identifier(name)?)))
}

fn default(row: &[&str]) -> Result<Grant, SessionError> {
    let [schema, objects, owner, word] = row else { return Err(unexpected()) };
    let objects = match *objects {
        "RELATION" => "TABLES",
        "FUNCTION" => "FUNCTIONS",
        "PROCEDURE" => "PROCEDURES",
        _ => return Err(unexpected()),
    };
    let place = if schema.is_empty() { String::new() } else { format!(" IN SCHEMA {}", identifier(schema)?) };
    let head = format!("ALTER DEFAULT PRIVILEGES FOR USER {}{place}", identifier(owner)?);
    let Grant { give, take, take_option, option } = privilege(&format!("{} ON {objects}", keyword(word)?));
    let [give, take, take_option] = [give, take, take_option].map(|part| format!("{head} {part}"));
    Ok(Grant { give, take, take_option, option })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(grants: &[(Grant, bool)]) -> Grants {
        grants.iter().cloned().collect()
    }

    #[test]
    fn every_kind_of_privilege_is_granted_and_revoked() {
        let cases: [(Grant, &str, &str); 12] = [
            (
                role(&["r \"1\""]).unwrap(),
                "GRANT ROLE \"r \"\"1\"\"\" TO",
                "REVOKE ROLE \"r \"\"1\"\"\" FROM",
            ),
            (group(&["g"]).unwrap(), "ALTER GROUP \"g\" ADD USER", "ALTER GROUP \"g\" DROP USER"),
            (
                database(&["dev", "TEMP", "DATABASE"]).unwrap(),
                "GRANT TEMP ON DATABASE \"dev\" TO",
                "REVOKE TEMP ON DATABASE \"dev\" FROM",
            ),
            (
                database(&["dev", "SELECT", "TABLES"]).unwrap(),
                "GRANT SELECT FOR TABLES IN DATABASE \"dev\" TO",
                "REVOKE SELECT FOR TABLES IN DATABASE \"dev\" FROM",
            ),
            (
                schema(&["s", "USAGE", "SCHEMA"]).unwrap(),
                "GRANT USAGE ON SCHEMA \"s\" TO",
                "REVOKE USAGE ON SCHEMA \"s\" FROM",
            ),
            (
                schema(&["s", "EXECUTE", "FUNCTIONS"]).unwrap(),
                "GRANT EXECUTE FOR FUNCTIONS IN SCHEMA \"s\" TO",
                "REVOKE EXECUTE FOR FUNCTIONS IN SCHEMA \"s\" FROM",
            ),
            (
                relation(&["s", "t", "SELECT"]).unwrap(),
                "GRANT SELECT ON TABLE \"s\".\"t\" TO",
                "REVOKE SELECT ON TABLE \"s\".\"t\" FROM",
            ),
            (
                column(&["s", "t", "c", "UPDATE"]).unwrap(),
                "GRANT UPDATE (\"c\") ON TABLE \"s\".\"t\" TO",
                "REVOKE UPDATE (\"c\") ON TABLE \"s\".\"t\" FROM",
            ),
            (
                function(&["s", "f", "integer, character varying", "EXECUTE"]).unwrap(),
                "GRANT EXECUTE ON FUNCTION \"s\".\"f\"(integer, character varying) TO",
                "REVOKE EXECUTE ON FUNCTION \"s\".\"f\"(integer, character varying) FROM",
            ),
            (
                language(&["plpythonu", "USAGE"]).unwrap(),
                "GRANT USAGE ON LANGUAGE \"plpythonu\" TO",
                "REVOKE USAGE ON LANGUAGE \"plpythonu\" FROM",
            ),
            (
                default(&["s", "RELATION", "o", "SELECT"]).unwrap(),
                "ALTER DEFAULT PRIVILEGES FOR USER \"o\" IN SCHEMA \"s\" GRANT SELECT ON TABLES TO",
                "ALTER DEFAULT PRIVILEGES FOR USER \"o\" IN SCHEMA \"s\" REVOKE SELECT ON TABLES FROM",
            ),
            (
                default(&["", "PROCEDURE", "o", "EXECUTE"]).unwrap(),
                "ALTER DEFAULT PRIVILEGES FOR USER \"o\" GRANT EXECUTE ON PROCEDURES TO",
                "ALTER DEFAULT PRIVILEGES FOR USER \"o\" REVOKE EXECUTE ON PROCEDURES FROM",
            ),
        ];
        for (grant, give, take) in cases {
            let one = has(&[(grant, false)]);
            assert_eq!(difference(&one, &Grants::new(), "\"u\""), [format!("{give} \"u\"")]);
            assert_eq!(difference(&Grants::new(), &one, "\"u\""), [format!("{take} \"u\"")]);
            assert!(difference(&one, &one, "\"u\"").is_empty());
        }
    }

    #[test]
    fn grant_option_is_granted_and_revoked_alone() {
        for (grant, give, take) in [
            (
                relation(&["s", "t", "SELECT"]).unwrap(),
                "GRANT SELECT ON TABLE \"s\".\"t\" TO u WITH GRANT OPTION",
                "REVOKE GRANT OPTION FOR SELECT ON TABLE \"s\".\"t\" FROM u",
            ),
            (
                role(&["r"]).unwrap(),
                "GRANT ROLE \"r\" TO u WITH ADMIN OPTION",
                "REVOKE ADMIN OPTION FOR ROLE \"r\" FROM u",
            ),
        ] {
            let (with, without) = (has(&[(grant.clone(), true)]), has(&[(grant, false)]));
            assert_eq!(difference(&with, &without, "u"), [give]);
            assert_eq!(difference(&with, &Grants::new(), "u"), [give]);
            assert_eq!(difference(&without, &with, "u"), [take]);
        }
    }

    #[test]
    fn text_of_a_view_never_becomes_sql() {
        assert!(relation(&["s", "t", "SELECT ON x TO y; DROP"]).is_err());
        assert!(function(&["s", "f", "integer) TO public; --", "EXECUTE"]).is_err());
        assert!(schema(&["s", "USAGE", "TABLES; DROP"]).is_err());
        assert!(default(&["s", "VIEW", "o", "SELECT"]).is_err());
        assert!(relation(&["s", "t"]).is_err());
    }
}

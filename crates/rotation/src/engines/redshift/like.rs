//! Makes one user like another: roles, groups, privileges, settings, limits.
//!
//! Redshift has no login as another role, so the second user gets everything that the first was given, and loses what the first has
//! no longer: the difference of two lists, statement by statement. Each statement is complete in itself, so a run that died anywhere is
//! taken up by the next. What a user owns stays its own. Sources: "GRANT", "REVOKE", "ALTER USER", "ALTER GROUP", "ALTER DEFAULT PRIVILEGES" and the
//! pages of the `SVV_…_PRIVILEGES` views of the Redshift database developer guide. The views show the database of the session only.

use std::collections::BTreeMap;

use secrecy::SecretString;
use warehouse::sql::{Identifier, Literal};

use super::session::{Problem, Rows, Session};

/// What a user has: how it is given, and whether it may be passed on.
type Grants = BTreeMap<Grant, bool>;

/// One thing that a user can be given; the user's name goes to the end of each part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    give: String,
    take: String,
    /// Said before what is taken where only the right to pass it on is.
    take_option: String,
    /// What follows the user's name where it may be passed on.
    option: &'static str,
}

/// How a view names its columns: one query and how its rows are read.
struct Kind {
    sql: &'static str,
    read: fn(&[&str]) -> Result<Grant, Problem>,
}

/// The last column of each is whether it may be passed on.
const KINDS: [Kind; 9] = [
    Kind {
        sql: "SELECT role_name, CASE WHEN admin_option THEN 'y' ELSE 'n' END FROM svv_user_grants WHERE user_name = $",
        read: role,
    },
    Kind {
        sql: "SELECT g.groname, 'n' FROM pg_group g, pg_user u WHERE u.usesysid = ANY(g.grolist) AND u.usename = $",
        read: group,
    },
    Kind {
        sql: "SELECT database_name, privilege_type, privilege_scope, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM svv_database_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: database,
    },
    Kind {
        sql: "SELECT namespace_name, privilege_type, privilege_scope, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM svv_schema_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: schema,
    },
    Kind {
        sql: "SELECT namespace_name, relation_name, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM svv_relation_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: relation,
    },
    Kind {
        sql: "SELECT namespace_name, relation_name, column_name, privilege_type, 'n' \
              FROM svv_column_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: column,
    },
    Kind {
        sql: "SELECT namespace_name, function_name, argument_types, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM svv_function_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: function,
    },
    Kind {
        sql: "SELECT language_name, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM svv_language_privileges WHERE identity_type = 'user' AND identity_name = $",
        read: language,
    },
    Kind {
        sql: "SELECT COALESCE(schema_name, ''), object_type, owner_name, privilege_type, CASE WHEN admin_option THEN 'y' ELSE 'n' END \
              FROM svv_default_privileges WHERE grantee_type = 'user' AND grantee_name = $",
        read: default,
    },
];

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

async fn grants(session: &Session<'_>, kind: &Kind, user: &str) -> Result<Grants, Problem> {
    let mut found = Grants::new();
    for row in query(session, kind.sql, user).await? {
        let row: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect();
        let Some((passes_on, row)) = row.split_last() else { continue };
        let passes_on = *passes_on == "y";
        // Two grantors may have given the same.
        *found.entry((kind.read)(row)?).or_default() |= passes_on;
    }
    Ok(found)
}

/// The statements that give `ours` what `theirs` has, and take what it has not.
fn difference(theirs: &Grants, ours: &Grants, user: &str) -> Vec<String> {
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

/// `GRANT what TO user WITH GRANT OPTION` and its contraries.
fn privilege(what: &str) -> Grant {
    Grant {
        give: format!("GRANT {what} TO"),
        take: format!("REVOKE {what} FROM"),
        take_option: format!("REVOKE GRANT OPTION FOR {what} FROM"),
        option: " WITH GRANT OPTION",
    }
}

fn unexpected() -> Problem {
    Problem::Statement("a system view has other columns than documented".to_owned())
}

fn role(row: &[&str]) -> Result<Grant, Problem> {
    let [name] = row else { return Err(unexpected()) };
    let name = identifier(name)?;
    Ok(Grant {
        give: format!("GRANT ROLE {name} TO"),
        take: format!("REVOKE ROLE {name} FROM"),
        take_option: format!("REVOKE ADMIN OPTION FOR ROLE {name} FROM"),
        option: " WITH ADMIN OPTION",
    })
}

fn group(row: &[&str]) -> Result<Grant, Problem> {
    let [name] = row else { return Err(unexpected()) };
    let name = identifier(name)?;
    let [give, take] = ["ADD", "DROP"].map(|verb| format!("ALTER GROUP {name} {verb} USER"));
    Ok(Grant { give, take_option: take.clone(), take, option: "" })
}

fn database(row: &[&str]) -> Result<Grant, Problem> {
    let [name, word, scope] = row else { return Err(unexpected()) };
    scoped(word, scope, "DATABASE", &identifier(name)?)
}

fn schema(row: &[&str]) -> Result<Grant, Problem> {
    let [name, word, scope] = row else { return Err(unexpected()) };
    scoped(word, scope, "SCHEMA", &identifier(name)?)
}

/// On the thing itself, or on all of a kind in it, now and later ("Scoped permissions").
fn scoped(word: &str, scope: &str, place: &str, name: &str) -> Result<Grant, Problem> {
    let word = keyword(word)?;
    Ok(privilege(&match scope {
        "" => format!("{word} ON {place} {name}"),
        scope if scope == place => format!("{word} ON {place} {name}"),
        scope => format!("{word} FOR {} IN {place} {name}", keyword(scope)?),
    }))
}

fn relation(row: &[&str]) -> Result<Grant, Problem> {
    let [schema, name, word] = row else { return Err(unexpected()) };
    Ok(privilege(&format!("{} ON TABLE {}.{}", keyword(word)?, identifier(schema)?, identifier(name)?)))
}

fn column(row: &[&str]) -> Result<Grant, Problem> {
    let [schema, name, column, word] = row else { return Err(unexpected()) };
    let (word, column) = (keyword(word)?, identifier(column)?);
    Ok(privilege(&format!("{word} ({column}) ON TABLE {}.{}", identifier(schema)?, identifier(name)?)))
}

fn function(row: &[&str]) -> Result<Grant, Problem> {
    let [schema, name, arguments, word] = row else { return Err(unexpected()) };
    // Types as the catalog prints them: `integer, character varying`.
    if !arguments.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" ,_()[]".contains(&byte)) {
        return Err(Problem::Statement(format!(
            "function `{name}` has arguments of types that are not known here"
        )));
    }
    let (word, schema, name) = (keyword(word)?, identifier(schema)?, identifier(name)?);
    Ok(privilege(&format!("{word} ON FUNCTION {schema}.{name}({arguments})")))
}

fn language(row: &[&str]) -> Result<Grant, Problem> {
    let [name, word] = row else { return Err(unexpected()) };
    Ok(privilege(&format!("{} ON LANGUAGE {}", keyword(word)?, identifier(name)?)))
}

fn default(row: &[&str]) -> Result<Grant, Problem> {
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

/// What stands in `SVV_USER_INFO`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limits {
    superuser: bool,
    create_databases: bool,
    connections: String,
    system_log: String,
    session_timeout: String,
}

async fn limits(session: &Session<'_>, user: &str) -> Result<Option<Limits>, Problem> {
    let sql = "SELECT CASE WHEN superuser THEN 'y' ELSE 'n' END, CASE WHEN createdb THEN 'y' ELSE 'n' END, connection_limit, syslog_access, \
               session_timeout FROM svv_user_info WHERE user_name = $";
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
    /// The statements that make a user's limits those of `model`: one for each that differs.
    fn changes(&self, model: &Self, user: &str) -> Result<Vec<String>, Problem> {
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

/// A user's settings: names and values, as `pg_user.useconfig` has them.
async fn settings(session: &Session<'_>, user: &str) -> Result<BTreeMap<String, String>, Problem> {
    // No setting that a user can have holds a line break.
    let sql = "SELECT array_to_string(useconfig, chr(10)) FROM pg_user WHERE usename = $";
    let rows = query(session, sql, user).await?;
    let text = rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn changed_settings(
    theirs: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
    user: &str,
) -> Result<Vec<String>, Problem> {
    let user = identifier(user)?;
    let mut statements = Vec::new();
    for (name, value) in theirs.iter().filter(|(name, value)| ours.get(*name) != Some(*value)) {
        let value = if name == "search_path" {
            // A list of schemas, the only setting that is one.
            schemas(value).iter().map(|schema| identifier(schema)).collect::<Result<Vec<_>, _>>()?.join(", ")
        } else {
            Literal::new(name, value).map_err(|error| Problem::Statement(error.to_string()))?.to_string()
        };
        statements.push(format!("ALTER USER {user} SET {} TO {value}", identifier(name)?));
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        statements.push(format!("ALTER USER {user} RESET {}", identifier(name)?));
    }
    Ok(statements)
}

/// The names of a list such as `a, "$user", "b ""c"""`.
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

    fn has(grants: &[(Grant, bool)]) -> Grants {
        grants.iter().cloned().collect()
    }

    #[test]
    fn each_kind_of_privilege_is_given_and_taken_in_redshifts_words() {
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
    fn the_right_to_pass_on_is_given_and_taken_by_itself() {
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
    fn what_a_view_says_never_becomes_sql_of_its_own() {
        assert!(relation(&["s", "t", "SELECT ON x TO y; DROP"]).is_err());
        assert!(function(&["s", "f", "integer) TO public; --", "EXECUTE"]).is_err());
        assert!(schema(&["s", "USAGE", "TABLES; DROP"]).is_err());
        assert!(default(&["s", "VIEW", "o", "SELECT"]).is_err());
        assert!(relation(&["s", "t"]).is_err());
    }

    #[test]
    fn limits_that_differ_are_set_and_no_others() {
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
    fn settings_follow_and_a_search_path_stays_a_list() {
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

//! The right of users to run commands with an IAM role: `ASSUMEROLE` [D: GRANT, usage notes for
//! granting the ASSUMEROLE permission].
//!
//! A grant is membership in a role of PostgreSQL, because it is valid in every database of the
//! warehouse and goes with its user. The role's name has the command and a hash of the ARN, as
//! `sluice_sys.assume_role` computes it. As long as the roles of PUBLIC exist, everybody may use
//! every IAM role.

use tokio_postgres::Client;

use crate::data_api::{Outcome, Session, sql_error};
use crate::sql::{self, AssumeRoleGrant, SqlError};
use local_servers::postgres::Login;

const DONE: Outcome = Outcome { result: None, rows: -1, query_id: 0 };

async fn system(session: &Session) -> Result<Client, SqlError> {
    session.server.connect(&session.database, &Login::system()).await.map_err(|error| sql_error(&error))
}

async fn flag(
    client: &Client,
    sql: &str,
    values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<bool, SqlError> {
    let row = client.query_one(sql, values).await.map_err(|error| sql_error(&error))?;
    Ok(row.get::<_, Option<bool>>(0).unwrap_or(false))
}

/// `GRANT ASSUMEROLE` and `REVOKE ASSUMEROLE`.
pub(crate) async fn grant(session: &Session, grant: &AssumeRoleGrant) -> Result<Outcome, SqlError> {
    let system = system(session).await?;
    let superuser = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = $1";
    if !flag(&system, superuser, &[&session.user]).await? {
        return Err(SqlError::new("must be superuser to grant or revoke ASSUMEROLE"));
    }
    for grantee in &grant.grantees {
        for command in &grant.commands {
            if grantee == "public" {
                of_public(&system, grant, command).await?;
            } else {
                of_user(&system, grant, grantee, command).await?;
            }
        }
    }
    Ok(DONE)
}

async fn of_public(system: &Client, grant: &AssumeRoleGrant, command: &str) -> Result<(), SqlError> {
    if grant.roles.is_some() {
        return Err(SqlError::not_imitated("ASSUMEROLE of PUBLIC on single roles"));
    }
    let name = sql::identifier(&public_role(command));
    let change = if grant.revoke {
        format!("DROP ROLE IF EXISTS {name}")
    } else {
        format!("DROP ROLE IF EXISTS {name}; CREATE ROLE {name} NOLOGIN")
    };
    system.batch_execute(&change).await.map_err(|error| sql_error(&error))
}

async fn of_user(
    system: &Client,
    grant: &AssumeRoleGrant,
    user: &str,
    command: &str,
) -> Result<(), SqlError> {
    let exists = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1)";
    if !flag(system, exists, &[&user]).await? {
        return Err(SqlError::new(format!("user \"{user}\" does not exist")));
    }
    if !grant.revoke && flag(system, exists, &[&public_role(command)]).await? {
        return Err(SqlError::not_imitated(
            "GRANT ASSUMEROLE before REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL, whose effect is not documented",
        ));
    }
    let Some(roles) = &grant.roles else {
        if !grant.revoke {
            return Err(SqlError::not_imitated("ASSUMEROLE of a user on ALL roles"));
        }
        // Every role that the user is a member of for this command.
        let prefix = format!("{}%", name_prefix(command).replace('_', "\\_"));
        let memberships = "SELECT g.rolname::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid \
             JOIN pg_catalog.pg_roles u ON u.oid = m.member WHERE u.rolname = $1 AND g.rolname LIKE $2";
        let rows = system.query(memberships, &[&user, &prefix]).await.map_err(|error| sql_error(&error))?;
        for row in rows {
            let change = format!("REVOKE {} FROM {}", sql::identifier(row.get(0)), sql::identifier(user));
            system.batch_execute(&change).await.map_err(|error| sql_error(&error))?;
        }
        return Ok(());
    };
    for role in roles {
        let name: String = system
            .query_one("SELECT sluice_sys.assume_role($1, $2)", &[role, &command])
            .await
            .map_err(|error| sql_error(&error))?
            .get(0);
        let known = flag(system, exists, &[&name]).await?;
        let (name, user) = (sql::identifier(&name), sql::identifier(user));
        let change = match (grant.revoke, known) {
            (true, false) => continue,
            (true, true) => format!("REVOKE {name} FROM {user}"),
            (false, true) => format!("GRANT {name} TO {user}"),
            (false, false) => format!("CREATE ROLE {name} NOLOGIN; GRANT {name} TO {user}"),
        };
        system.batch_execute(&change).await.map_err(|error| sql_error(&error))?;
    }
    Ok(())
}

fn name_prefix(command: &str) -> String {
    format!("sluice_assume_{}_", command.replace(' ', "_"))
}

fn public_role(command: &str) -> String {
    format!("sluice_public_{}", command.replace(' ', "_"))
}

/// Checks that the session's user may run COPY with the role.
///
/// The message is that of "Usage notes for granting the ASSUMEROLE permission".
pub(crate) async fn demand_copy(session: &Session, role: &str) -> Result<(), SqlError> {
    let system = system(session).await?;
    let allowed = "SELECT pg_catalog.has_assumerole_privilege($1::text::name, $2, 'copy')";
    if flag(&system, allowed, &[&session.user, &role]).await? {
        return Ok(());
    }
    Err(SqlError::new(format!(
        "User {} does not have ASSUMEROLE permission on IAM role \"{role}\" for COPY",
        session.user
    )))
}

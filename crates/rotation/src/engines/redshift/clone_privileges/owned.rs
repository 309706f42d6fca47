//! The objects that a user owns.
//!
//! An owner may read, change and drop its objects without a grant, and Redshift has no grant of
//! ownership: no other user can have what the owner has. Objects of one of two alternating users
//! would be out of reach for the other. Source: "Permissions" ("Object owners") and "ALTER TABLE" of
//! the Redshift database developer guide.

use super::statement::query;
use crate::engines::redshift::session::{Session, SessionError};

/// Objects in a session's database. Temporary tables end with their session.
const OBJECTS: &str = "SELECT 'schema ' || n.nspname FROM pg_catalog.pg_namespace n, pg_catalog.pg_user u \
     WHERE n.nspowner = u.usesysid AND u.usename = $ AND pg_catalog.substring(n.nspname, 1, 8) <> 'pg_temp_' \
     UNION ALL SELECT 'table ' || n.nspname || '.' || c.relname FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n, pg_catalog.pg_user u \
     WHERE n.oid = c.relnamespace AND c.relowner = u.usesysid AND u.usename = $ \
     AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND pg_catalog.substring(n.nspname, 1, 8) <> 'pg_temp_' \
     UNION ALL SELECT 'function ' || n.nspname || '.' || p.proname FROM pg_catalog.pg_proc p, pg_catalog.pg_namespace n, pg_catalog.pg_user u \
     WHERE n.oid = p.pronamespace AND p.proowner = u.usesysid AND u.usename = $ \
     UNION ALL SELECT 'database ' || d.datname FROM pg_catalog.pg_database d, pg_catalog.pg_user u \
     WHERE d.datdba = u.usesysid AND u.usename = $ ORDER BY 1";
/// Default privileges of others on the objects that the user creates.
const DEFAULTS: &str = "SELECT 'default privileges for ' || grantee_name FROM pg_catalog.svv_default_privileges \
                        WHERE owner_name = $ AND grantee_name <> $ ORDER BY 1";

/// Rejects a user that owns something in the session's database.
pub(super) async fn check(session: &Session<'_>, owner: &str, other: &str) -> Result<(), SessionError> {
    let mut found = Vec::new();
    for sql in [OBJECTS, DEFAULTS] {
        let rows = query(session, sql, owner).await?;
        found.extend(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()));
    }
    let Some(first) = found.first() else { return Ok(()) };
    let more = match found.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let problem = format!(
        "`{owner}` owns {first}{more} in database `{}`, and what an owner may do cannot be granted to `{other}`; \
         give them to a user that does not rotate (ALTER … OWNER TO), or rotate as a single user; nothing was \
         changed",
        session.database()
    );
    Err(SessionError::Statement(problem))
}

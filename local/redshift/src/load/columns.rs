//! The columns that a COPY fills.

use tokio_postgres::types::Type;

use crate::data_api::{Session, sql_error};
use crate::sql::{self, CopyStatement, SqlError};

/// A column of the target.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) ty: Type,
    /// Length of char and varchar.
    pub(super) length: Option<usize>,
    /// Precision of a decimal.
    pub(super) precision: Option<usize>,
    /// Scale of a decimal.
    pub(super) scale: Option<usize>,
    pub(super) not_null: bool,
}

impl Column {
    pub(super) fn is_text(&self) -> bool {
        matches!(self.ty, Type::VARCHAR | Type::BPCHAR | Type::TEXT)
    }

    /// VARCHAR, for which the rules of empty and missing fields differ from those of CHAR.
    pub(super) fn is_varchar(&self) -> bool {
        matches!(self.ty, Type::VARCHAR | Type::TEXT)
    }

    /// SUPER, which is `json` here.
    pub(super) fn is_super(&self) -> bool {
        self.ty == Type::JSON
    }

    /// Type as `SYS_LOAD_ERROR_DETAIL.column_type` shows it.
    pub(super) fn type_name(&self) -> &str {
        match self.ty {
            Type::BPCHAR => "char",
            Type::TEXT => "varchar",
            Type::JSON => "super",
            _ => self.ty.name(),
        }
    }
}

fn relation(copy: &CopyStatement) -> String {
    match &copy.schema {
        Some(schema) => format!("{}.{}", sql::identifier(schema), sql::identifier(&copy.table)),
        None => sql::identifier(&copy.table),
    }
}

/// Checks that the table exists and that the user may insert into it [D: COPY, COPY JOB, required
/// privileges].
pub(crate) async fn demand_insert(session: &Session, copy: &CopyStatement) -> Result<(), SqlError> {
    let row = session
        .client
        .query_one(
            "SELECT has_table_privilege(current_user, $1::text::regclass, 'INSERT')",
            &[&relation(copy)],
        )
        .await
        .map_err(|error| sql_error(&error))?;
    if row.get(0) {
        Ok(())
    } else {
        Err(SqlError::new(format!("permission denied for relation {}", copy.table)))
    }
}

/// The target of a COPY.
#[derive(Debug, Clone)]
pub(super) struct TableColumns {
    /// Quoted, with its schema.
    pub(super) relation: String,
    pub(super) oid: u32,
    pub(super) columns: Vec<Column>,
}

impl TableColumns {
    /// Reads the columns as the user of the session.
    pub(super) async fn read(session: &Session, copy: &CopyStatement) -> Result<Self, SqlError> {
        let relation = relation(copy);
        let rows = session
            .client
            .query(
                "SELECT attrelid::oid, attname::text, atttypid::oid, atttypmod, attnotnull FROM pg_catalog.pg_attribute \
                 WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                &[&relation],
            )
            .await
            .map_err(|error| sql_error(&error))?;
        let mut all = Vec::new();
        let mut oid = 0;
        for row in rows {
            oid = row.get::<_, u32>(0);
            let ty = Type::from_oid(row.get(2)).unwrap_or(Type::UNKNOWN);
            let modifier: i32 = row.get(3);
            let length = matches!(ty, Type::VARCHAR | Type::BPCHAR)
                .then(|| usize::try_from(modifier - 4).ok())
                .flatten();
            // The halves of the modifier of numeric; -1 is a numeric of any precision and scale.
            let half = |bits: i32| {
                (ty == Type::NUMERIC && modifier >= 4)
                    .then(|| usize::try_from(((modifier - 4) >> bits) & 0xffff).ok())
                    .flatten()
            };
            let (precision, scale) = (half(16), half(0));
            all.push(Column { name: row.get(1), ty, length, precision, scale, not_null: row.get(4) });
        }
        let columns = if copy.columns.is_empty() {
            all
        } else {
            let mut chosen = Vec::new();
            for name in &copy.columns {
                let found = all.iter().find(|column| column.name == *name).ok_or_else(|| {
                    SqlError::new(format!("column \"{name}\" of relation \"{}\" does not exist", copy.table))
                })?;
                chosen.push(found.clone());
            }
            chosen
        };
        Ok(Self { relation, oid, columns })
    }

    /// The statement that reads the rows.
    pub(super) fn copy_in(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| sql::identifier(&column.name)).collect();
        format!("COPY {} ({}) FROM STDIN", self.relation, names.join(", "))
    }
}

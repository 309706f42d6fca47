//! Result sets and the typed fields of GetStatementResult [M: redshift-data, Field].

use serde_json::{Value, json};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// A column of a result.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its label.
    pub(crate) name: String,
    /// Its type.
    pub(crate) ty: Type,
}

/// Rows as text, with the types of their columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResultSet {
    /// Columns.
    pub(crate) columns: Vec<Column>,
    /// Rows.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// Bytes of all values.
    pub(crate) size: i64,
}

impl ResultSet {
    /// A result of text columns that this process produces itself.
    #[must_use]
    pub(crate) fn text(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> Self {
        let columns =
            columns.iter().map(|name| Column { name: (*name).to_owned(), ty: Type::VARCHAR }).collect();
        Self::new(columns, rows)
    }

    /// Rows and their size.
    #[must_use]
    pub(crate) fn new(columns: Vec<Column>, rows: Vec<Vec<Option<String>>>) -> Self {
        let size: usize = rows.iter().flatten().flatten().map(String::len).sum();
        Self { columns, rows, size: i64::try_from(size).unwrap_or(i64::MAX) }
    }

    /// `ColumnMetadata`.
    #[must_use]
    pub(crate) fn metadata(&self) -> Value {
        let one = |column: &Column| {
            json!({
                "name": column.name, "label": column.name, "typeName": type_name(&column.ty), "nullable": 1,
                "isCaseSensitive": is_text(&column.ty), "isCurrency": false, "isSigned": is_number(&column.ty),
                "precision": 0, "scale": 0, "length": 0, "schemaName": "", "tableName": "",
            })
        };
        Value::Array(self.columns.iter().map(one).collect())
    }

    /// One row as `Field`s.
    #[must_use]
    pub(crate) fn record(&self, row: &[Option<String>]) -> Value {
        let one = |(column, value): (&Column, &Option<String>)| field(&column.ty, value.as_deref());
        Value::Array(self.columns.iter().zip(row).map(one).collect())
    }
}

fn is_number(ty: &Type) -> bool {
    matches!(*ty, Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC)
}

fn is_text(ty: &Type) -> bool {
    matches!(*ty, Type::VARCHAR | Type::TEXT | Type::BPCHAR | Type::NAME | Type::CHAR)
}

/// Redshift has no `text`: such columns are varchar. SUPER is `json` here.
fn type_name(ty: &Type) -> &str {
    match *ty {
        Type::TEXT => "varchar",
        Type::JSON => "super",
        _ => ty.name(),
    }
}

fn field(ty: &Type, value: Option<&str>) -> Value {
    let Some(value) = value else { return json!({"isNull": true}) };
    let number = |value: &str| value.parse::<i64>().ok().map(|number| json!({"longValue": number}));
    let typed = match *ty {
        Type::BOOL => Some(json!({"booleanValue": value == "t"})),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => number(value),
        // Infinity and NaN have no JSON number.
        Type::FLOAT4 | Type::FLOAT8 => value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| json!({"doubleValue": number})),
        _ => None,
    };
    typed.unwrap_or_else(|| json!({"stringValue": value}))
}

/// The outcome of a statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Rows, if it returns any.
    pub(crate) result: Option<ResultSet>,
    /// Rows returned or touched, -1 if that has no meaning.
    pub(crate) rows: i64,
    /// Id of the query in the system views, 0 if it has none.
    pub(crate) query_id: i64,
}

/// Runs one statement of PostgreSQL. `types` comes from preparing it, the values come as text.
///
/// Preparing first also rejects several statements in one text, as Redshift's Data API does.
pub(crate) async fn run(
    client: &Client,
    sql: &str,
    values: &[String],
) -> Result<Outcome, tokio_postgres::Error> {
    let prepared = client.prepare(sql).await?;
    let columns: Vec<Column> = prepared
        .columns()
        .iter()
        .map(|column| Column { name: column.name().to_owned(), ty: column.type_().clone() })
        .collect();
    drop(prepared);
    let messages = if values.is_empty() {
        client.simple_query(sql).await?
    } else {
        let list: Vec<String> = values.iter().map(|value| crate::sql::literal(value)).collect();
        client.batch_execute(&format!("PREPARE sluice_bound AS {sql}")).await?;
        let answer = client.simple_query(&format!("EXECUTE sluice_bound({})", list.join(", "))).await;
        // In an aborted transaction this fails too; the session ends with the statement or batch.
        let _forgotten = client.batch_execute("DEALLOCATE sluice_bound").await;
        answer?
    };
    let mut rows = Vec::new();
    let mut touched = -1;
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => rows.push(texts(&row)),
            SimpleQueryMessage::CommandComplete(count) => touched = i64::try_from(count).unwrap_or(-1),
            _ => {}
        }
    }
    if columns.is_empty() {
        return Ok(Outcome { result: None, rows: touched, query_id: 0 });
    }
    let count = i64::try_from(rows.len()).unwrap_or(-1);
    Ok(Outcome { result: Some(ResultSet::new(columns, rows)), rows: count, query_id: 0 })
}

fn texts(row: &SimpleQueryRow) -> Vec<Option<String>> {
    (0..row.len()).map(|number| row.get(number).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_member_of_its_type() {
        assert_eq!(field(&Type::BOOL, Some("t")), json!({"booleanValue": true}));
        assert_eq!(field(&Type::INT8, Some("7")), json!({"longValue": 7}));
        assert_eq!(field(&Type::FLOAT8, Some("0.5")), json!({"doubleValue": 0.5}));
        assert_eq!(field(&Type::NUMERIC, Some("1.50")), json!({"stringValue": "1.50"}));
        assert_eq!(field(&Type::INT4, None), json!({"isNull": true}));
    }
}

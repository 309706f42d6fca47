//! Values as JSON, for SUPER columns [D: Using COPY to load data into SUPER columns].

use std::sync::Arc;

use parquet::basic::Type as Physical;
use parquet::file::reader::RowGroupReader;
use parquet::record::Field as Value;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use super::super::columns::Column;
use super::schema::{Logical, logical};
use super::{Failure, Field, ReadError};

/// Reads a column of a row group as JSON text.
pub(super) fn column(
    group: &dyn RowGroupReader,
    root: &Field,
    field: &Field,
    column: &Column,
) -> Result<Vec<Option<String>>, ReadError> {
    supported(field, column)?;
    let projection = Type::group_type_builder(root.name()).with_fields(vec![Arc::clone(field)]).build()?;
    let rows = RowIter::from_row_group(Some(projection), group)?;
    rows.map(|row| -> Result<Option<String>, ReadError> {
        let row = row?.into_columns();
        let Some((_, value)) = row.first() else { return Ok(None) };
        if matches!(value, Value::Null) {
            return Ok(None);
        }
        let parses = !field.is_group() && logical(field) == Logical::Json;
        Ok(Some(json(value, field.name(), column, parses)?))
    })
    .collect()
}

/// Refuses types whose JSON is not documented, and those that the reader cannot convert.
fn supported(field: &Type, column: &Column) -> Result<(), Failure> {
    if field.is_group() {
        return field.get_fields().iter().try_for_each(|field| supported(field, column));
    }
    let what = match (field.get_physical_type(), logical(field)) {
        (Physical::BYTE_ARRAY, Logical::Text | Logical::Json) => return Ok(()),
        (Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE, Logical::None) => return Ok(()),
        (Physical::INT32 | Physical::INT64, Logical::None | Logical::Integer(_)) => return Ok(()),
        (Physical::INT96, _) | (_, Logical::Date | Logical::Time { .. } | Logical::Nanoseconds) => {
            "dates and times in SUPER columns"
        }
        _ => "bytes, decimals and unsigned numbers in SUPER columns",
    };
    Err(Failure::of(field.name(), column, what))
}

/// A map is an object (choice); its keys are strings.
fn json(value: &Value, field: &str, column: &Column, parses: bool) -> Result<String, Failure> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let inner = |value: &Value| json(value, field, column, false);
    Ok(match value {
        Value::Null => "null".to_owned(),
        // [D: Unloading semistructured data in the Parquet format] what UNLOAD wrote as JSON.
        Value::Str(text) if parses => match serde_json::from_str::<&serde_json::value::RawValue>(text) {
            Ok(value) => value.get().to_owned(),
            Err(error) => {
                return Err(Failure::of(field, column, format!("values that are not JSON ({error})")));
            }
        },
        Value::Str(text) => quoted(text),
        Value::Bool(value) => value.to_string(),
        Value::Byte(value) => value.to_string(),
        Value::Short(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Float(value) if value.is_finite() => value.to_string(),
        Value::Double(value) if value.is_finite() => value.to_string(),
        Value::Group(row) => {
            let member = |(name, value): (&String, &Value)| Ok(format!("{}:{}", quoted(name), inner(value)?));
            let members: Result<Vec<_>, Failure> = row.get_column_iter().map(member).collect();
            format!("{{{}}}", members?.join(","))
        }
        Value::ListInternal(list) => {
            let elements: Result<Vec<_>, Failure> = list.elements().iter().map(inner).collect();
            format!("[{}]", elements?.join(","))
        }
        Value::MapInternal(map) => {
            let entry = |(key, value): &(Value, Value)| match key {
                Value::Str(key) => Ok(format!("{}:{}", quoted(key), inner(value)?)),
                _ => Err(Failure::of(field, column, "maps whose keys are no strings in SUPER columns")),
            };
            let entries: Result<Vec<_>, Failure> = map.entries().iter().map(entry).collect();
            format!("{{{}}}", entries?.join(","))
        }
        other => return Err(Failure::of(field, column, format!("the value {other} in SUPER columns"))),
    })
}

//! JSON files: one object after the other [D: COPY from JSON format].

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::sql::{JsonSource, SqlError};

use super::columns::TableColumns;
use super::{Row, RowError};

/// Reads the objects; the first that is not well formed ends the file.
pub(super) fn rows(
    text: &str,
    source: &JsonSource,
    paths: Option<&[u8]>,
    table: &TableColumns,
) -> Result<Vec<Result<Row, RowError>>, SqlError> {
    let fold = match source {
        JsonSource::Auto => false,
        JsonSource::AutoIgnoreCase => true,
        JsonSource::NoShred => return Err(SqlError::not_imitated("JSON 'noshred'")),
        JsonSource::Paths(_) => {
            let _file = paths;
            return Err(SqlError::not_imitated("JSONPaths files; use JSON 'auto'"));
        }
    };
    let mut found = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<BTreeMap<String, Box<RawValue>>>();
    let mut start = 0;
    while let Some(object) = stream.next() {
        let blank = text[start..].len() - text[start..].trim_start().len();
        let line = 1 + text[..start + blank].matches('\n').count() as u64;
        match object {
            Ok(object) => {
                let raw = text[start..stream.byte_offset()].trim().to_owned();
                let fields = table.columns.iter().map(|column| field(&object, &column.name, fold)).collect();
                found.push(Ok(Row { line, raw, fields }));
            }
            Err(error) => {
                let raw = text[start..].trim().lines().next().unwrap_or_default().to_owned();
                let message = format!("Invalid JSON: {error}");
                found.push(Err(RowError {
                    line,
                    raw,
                    column: None,
                    value: String::new(),
                    position: 0,
                    code: 1216,
                    message,
                }));
                break;
            }
        }
        start = stream.byte_offset();
    }
    Ok(found)
}

/// The value of a column: strings without their quotes, numbers as written, nested values as JSON text.
fn field(object: &BTreeMap<String, Box<RawValue>>, column: &str, fold: bool) -> Option<String> {
    let value = object.get(column).or_else(|| {
        let same = |(name, _): &(&String, &Box<RawValue>)| fold && name.to_lowercase() == column;
        object.iter().find(same).map(|(_, value)| value)
    })?;
    let text = value.get();
    match text.chars().next() {
        Some('n') => None,
        Some('"') => serde_json::from_str(text).ok(),
        _ => Some(text.to_owned()),
    }
}

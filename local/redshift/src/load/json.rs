//! JSON files: one value after the other [D: COPY from JSON format].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sql::{FieldMapping, SqlError};

use super::columns::{Column, TableColumns};
use super::{Row, RowError};

/// A value as it was written, so that numbers keep their digits.
type Raw = Box<RawValue>;

/// The mapping of values to columns.
pub(super) enum Mapping {
    /// By the name of the column; with `true` the case of the field is ignored.
    Names(bool),
    /// By one path for each column.
    Paths(Vec<Vec<Step>>),
}

pub(super) enum Step {
    Field(String),
    Element(usize),
}

impl Mapping {
    /// Reads the mapping; `paths` is the JSONPaths file, if it needs one.
    pub(super) fn read(
        source: &FieldMapping,
        paths: Option<&[u8]>,
        table: &TableColumns,
    ) -> Result<Self, SqlError> {
        Ok(match source {
            FieldMapping::Auto => Self::Names(false),
            FieldMapping::AutoIgnoreCase => Self::Names(true),
            FieldMapping::NoShred => {
                return Err(SqlError::not_imitated("the option 'noshred' of JSON and AVRO"));
            }
            FieldMapping::Paths(file) => Self::Paths(read_paths(file, paths.unwrap_or_default(), table)?),
        })
    }
}

/// Reads the values up to the first that is not well formed, or to more errors than the load
/// tolerates.
pub(super) fn rows(
    text: &str,
    source: &FieldMapping,
    paths: Option<&[u8]>,
    table: &TableColumns,
    tolerated: u64,
) -> Result<Vec<Result<Row, RowError>>, SqlError> {
    let mapping = Mapping::read(source, paths, table)?;
    let mut found = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Raw>();
    let (mut start, mut line, mut errors) = (0, 1, 0);
    while let Some(value) = stream.next() {
        // [D: COPY from JSON format] an error has the last line of its object.
        let end =
            if value.is_ok() { stream.byte_offset() } else { text.len() - text[start..].trim_start().len() };
        line += text[start..end].matches('\n').count() as u64;
        let broken = |message: String| {
            let raw = text[start..].trim_start().lines().next().unwrap_or_default().to_owned();
            Err(RowError { line, raw, column: None, value: String::new(), position: 0, code: 1216, message })
        };
        match value {
            Ok(value) => match fields(&value, &mapping, table) {
                Ok(fields) => found.push(Ok(Row { line, raw: value.get().to_owned(), fields })),
                Err(why) => {
                    found.push(broken(why.to_owned()));
                    errors += 1;
                }
            },
            Err(error) => {
                found.push(broken(format!("Invalid JSON: {error}")));
                break;
            }
        }
        if errors > tolerated {
            break;
        }
        start = end;
    }
    Ok(found)
}

/// Returns the text for each column from an object.
pub(super) fn fields(
    value: &RawValue,
    mapping: &Mapping,
    table: &TableColumns,
) -> Result<Vec<Option<String>>, &'static str> {
    match mapping {
        Mapping::Names(fold) => {
            let object = object(value).ok_or("Invalid JSON: an object is expected")?;
            let of = |name: &str| {
                object.get(name).or_else(|| {
                    object
                        .iter()
                        .find(|(known, _)| *fold && known.to_lowercase() == name)
                        .map(|(_, value)| value)
                })
            };
            let field = |column: &Column| of(&column.name).and_then(|value| text_of(value, column));
            Ok(table.columns.iter().map(field).collect())
        }
        Mapping::Paths(paths) => {
            paths.iter().zip(&table.columns).map(|(path, column)| follow(value, path, column)).collect()
        }
    }
}

fn object(value: &RawValue) -> Option<BTreeMap<String, Raw>> {
    serde_json::from_str(value.get()).ok()
}

/// The value at a path [D: JSONPath expressions]: a field that is not there is NULL, an element
/// that is not there is an error.
fn follow(value: &RawValue, path: &[Step], column: &Column) -> Result<Option<String>, &'static str> {
    let Some((step, rest)) = path.split_first() else { return Ok(text_of(value, column)) };
    let next = match step {
        Step::Field(name) => match object(value).and_then(|mut object| object.remove(name)) {
            Some(next) => next,
            None => return Ok(None),
        },
        Step::Element(index) => {
            let list: Vec<Raw> = serde_json::from_str(value.get()).unwrap_or_default();
            list.into_iter()
                .nth(*index)
                .ok_or("Invalid JSONPath format: Not an array or index out of range.")?
        }
    };
    follow(&next, rest, column)
}

/// Strings without their quotes, numbers as written, nested values as JSON text; for SUPER columns
/// every value as JSON text.
fn text_of(value: &RawValue, column: &Column) -> Option<String> {
    let text = value.get();
    match text.chars().next() {
        Some('n') => None,
        _ if column.is_super() => Some(text.to_owned()),
        Some('"') => serde_json::from_str(text).ok(),
        _ => Some(text.to_owned()),
    }
}

#[derive(Deserialize)]
struct PathsFile {
    jsonpaths: Vec<String>,
}

/// A JSONPaths file: `{"jsonpaths": ["$.a", "$['b'][0]"]}`, one path a column, no wildcards or
/// filters.
fn read_paths(file: &str, bytes: &[u8], table: &TableColumns) -> Result<Vec<Vec<Step>>, SqlError> {
    let invalid = |why: String| SqlError::new(format!("Invalid JSONPath format in {file}: {why}"));
    let parsed: PathsFile = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
    if parsed.jsonpaths.len() != table.columns.len() {
        return Err(SqlError::new(format!(
            "Number of jsonpaths and the number of columns should match. JSONPath size: {}, Number of columns in table or \
             column list: {}",
            parsed.jsonpaths.len(),
            table.columns.len()
        )));
    }
    parsed
        .jsonpaths
        .iter()
        .map(|path| steps(path).ok_or_else(|| invalid(format!("the path {path:?} is not understood"))))
        .collect()
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let name = &after[..end];
            if name.is_empty() || name == "*" {
                return None;
            }
            found.push(Step::Field(name.to_owned()));
            rest = &after[end..];
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = |quote: char| inside.strip_prefix(quote)?.strip_suffix(quote);
            found.push(match quoted('\'').or_else(|| quoted('"')) {
                Some(name) => Step::Field(name.to_owned()),
                None => Step::Element(inside.parse().ok()?),
            });
            rest = after;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::types::Type;

    fn table(names: &[&str]) -> TableColumns {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            ty: Type::VARCHAR,
            length: None,
            precision: None,
            scale: None,
            not_null: false,
        };
        TableColumns { relation: "t".into(), oid: 1, columns: names.iter().map(column).collect() }
    }

    fn parse(
        text: &str,
        source: &FieldMapping,
        paths: Option<&str>,
    ) -> Vec<Result<Vec<Option<String>>, u64>> {
        rows(text, source, paths.map(str::as_bytes), &table(&["id", "name"]), u64::MAX)
            .expect("valid")
            .into_iter()
            .map(|row| row.map(|row| row.fields).map_err(|error| error.line))
            .collect()
    }

    fn pair(id: &str, name: Option<&str>) -> Result<Vec<Option<String>>, u64> {
        Ok(vec![Some(id.to_owned()), name.map(str::to_owned)])
    }

    #[test]
    fn objects_fill_columns_by_name_and_keep_number_digits() {
        let text = "{\"id\": 12345678901234567.8901, \"other\": 1}\n{\"name\": \"a\\n\", \"id\": [1]}";
        assert_eq!(
            parse(text, &FieldMapping::Auto, None),
            [pair("12345678901234567.8901", None), pair("[1]", Some("a\n"))]
        );
        assert_eq!(parse("{\"ID\": 1}", &FieldMapping::AutoIgnoreCase, None), [pair("1", None)]);
    }

    #[test]
    fn json_that_is_not_well_formed_is_an_error_of_its_line() {
        assert_eq!(
            parse("{\"id\": 1}\n\n[1]\n{oops", &FieldMapping::Auto, None),
            [pair("1", None), Err(3), Err(4)]
        );
        // An error has the last line of its object.
        assert_eq!(parse("{\"id\":\n1}\n[\n1]\n", &FieldMapping::Auto, None), [pair("1", None), Err(4)]);
    }

    #[test]
    fn super_columns_take_any_value_as_json() {
        let mut table = table(&["id", "name"]);
        table.columns[1].ty = Type::JSON;
        let text = "{\"id\": 1, \"name\": \"a\"} {\"name\": {\"b\": [1.50]}} {\"name\": null}";
        let found = rows(text, &FieldMapping::Auto, None, &table, 0).expect("valid");
        let names: Vec<_> = found.into_iter().map(|row| row.expect("valid").fields[1].clone()).collect();
        assert_eq!(names, [Some("\"a\"".to_owned()), Some("{\"b\": [1.50]}".to_owned()), None]);
    }

    #[test]
    fn a_jsonpaths_file_maps_one_path_to_each_column() {
        let source = FieldMapping::Paths("s3://b/p.json".into());
        let paths = "{\"jsonpaths\": [\"$.a['x y'][1]\", \"$.b.c\"]}";
        let text = "{\"a\": {\"x y\": [1, 2]}, \"b\": {\"c\": \"n\"}} {\"b\": 1}";
        assert_eq!(parse(text, &source, Some(paths)), [pair("2", Some("n")), Ok(vec![None, None])]);
        for bad in ["{}", "{\"jsonpaths\": [\"$.a\"]}", "{\"jsonpaths\": [\"a\", \"$.*\"]}"] {
            assert!(rows("", &source, Some(bad.as_bytes()), &table(&["id", "name"]), 0).is_err(), "{bad}");
        }
        // A field that is not there is NULL, an element is an error.
        assert_eq!(parse("{\"a\": {\"x y\": [1]}}", &source, Some(paths)), [Err(1)]);
    }
}

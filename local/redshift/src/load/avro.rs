//! Avro files [D: Data format parameters, AVRO]: the fields of each record reach columns as those of
//! JSON do, by name or by a JSONPaths file.
//!
//! COPY converts a value to text and the text to the column's type [K: dates are read by DATEFORMAT
//! and numbers by TIMEFORMAT `'epochmillisecs'`], so that logical types have no effect.

mod container;

use apache_avro::schema::{Name, Schema};
use apache_avro::types::Value;

use crate::sql::{FieldMapping, SqlError};

use super::columns::TableColumns;
use super::json::{self, Mapping};
use super::{Row, RowError};

/// Reads the records up to more errors than the load tolerates. An error has the number of its
/// record as its line (choice).
pub(super) fn rows(
    bytes: &[u8],
    source: &FieldMapping,
    paths: Option<&[u8]>,
    table: &TableColumns,
    tolerated: u64,
) -> Result<Vec<Result<Row, RowError>>, SqlError> {
    let mapping = Mapping::read(source, paths, table)?;
    container::check(bytes)?;
    let reader = apache_avro::Reader::new(bytes).map_err(|error| container::unreadable(&error))?;
    let Schema::Record(_) = reader.writer_schema() else {
        return Err(container::unreadable("the schema type must be record"));
    };
    supported(reader.writer_schema(), &mut Vec::new())?;
    let mut found = Vec::new();
    let mut errors = 0;
    for (number, record) in reader.enumerate() {
        let line = number as u64 + 1;
        let mut raw = String::new();
        let row = record.map_err(|error| format!("Invalid Avro: {error}")).and_then(|record| {
            write(&record, &mut raw)?;
            let value = serde_json::value::RawValue::from_string(raw.clone())
                .map_err(|error| format!("Invalid Avro: {error}"))?;
            json::fields(&value, &mapping, table).map_err(str::to_owned)
        });
        match row {
            Ok(fields) => found.push(Ok(Row { line, raw, fields })),
            Err(message) => {
                let value = String::new();
                found.push(Err(RowError {
                    line,
                    raw,
                    column: None,
                    value,
                    position: 0,
                    code: 1216,
                    message,
                }));
                errors += 1;
            }
        }
        if errors > tolerated {
            break;
        }
    }
    Ok(found)
}

/// Refuses schemas whose JSON is not documented: bytes, which the page calls complex without an
/// example, and types that contain themselves, whose values have no bounded depth.
fn supported<'a>(schema: &'a Schema, within: &mut Vec<&'a Name>) -> Result<(), SqlError> {
    let refused = |what: &str| Err(SqlError::not_imitated(format!("Avro files with {what}")));
    match schema {
        Schema::Bytes | Schema::Fixed(_) | Schema::Duration(_) => refused("bytes or fixed"),
        Schema::Decimal(_) | Schema::BigDecimal => {
            refused("decimals, which are bytes (write them as strings)")
        }
        Schema::Array(array) => supported(&array.items, within),
        Schema::Map(map) => supported(&map.types, within),
        Schema::Union(union) => union.variants().iter().try_for_each(|variant| supported(variant, within)),
        Schema::Record(record) => {
            within.push(&record.name);
            record.fields.iter().try_for_each(|field| supported(&field.schema, within))?;
            within.pop();
            Ok(())
        }
        Schema::Ref { name } if within.contains(&name) => refused("a record that contains itself"),
        _ => Ok(()),
    }
}

/// Writes a value as JSON; a union is the value that it holds.
fn write(value: &Value, json: &mut String) -> Result<(), String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        Value::Null => json.push_str("null"),
        Value::Boolean(value) => json.push_str(&value.to_string()),
        Value::Int(value) | Value::Date(value) | Value::TimeMillis(value) => {
            json.push_str(&value.to_string())
        }
        Value::Long(value)
        | Value::TimeMicros(value)
        | Value::TimestampMillis(value)
        | Value::TimestampMicros(value)
        | Value::TimestampNanos(value)
        | Value::LocalTimestampMillis(value)
        | Value::LocalTimestampMicros(value)
        | Value::LocalTimestampNanos(value) => json.push_str(&value.to_string()),
        Value::Float(value) if value.is_finite() => json.push_str(&value.to_string()),
        Value::Double(value) if value.is_finite() => json.push_str(&value.to_string()),
        Value::String(text) => json.push_str(&quoted(text)),
        // [D] "COPY loads Avro enum data types as strings, where the content is the name".
        Value::Enum(_, name) => json.push_str(&quoted(name)),
        Value::Uuid(uuid) => json.push_str(&quoted(&uuid.to_string())),
        Value::Union(_, value) => write(value, json)?,
        Value::Array(values) => {
            json.push('[');
            for (number, value) in values.iter().enumerate() {
                json.push_str(if number == 0 { "" } else { "," });
                write(value, json)?;
            }
            json.push(']');
        }
        Value::Map(values) => {
            let mut names: Vec<_> = values.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            members(names.into_iter(), json)?;
        }
        Value::Record(fields) => members(fields.iter().map(|(name, value)| (name, value)), json)?,
        other => return Err(SqlError::not_imitated(format!("the Avro value {other:?}")).message),
    }
    Ok(())
}

fn members<'a>(
    members: impl Iterator<Item = (&'a String, &'a Value)>,
    json: &mut String,
) -> Result<(), String> {
    json.push('{');
    for (number, (name, value)) in members.enumerate() {
        json.push_str(if number == 0 { "" } else { "," });
        json.push_str(&serde_json::Value::from(name.as_str()).to_string());
        json.push(':');
        write(value, json)?;
    }
    json.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use apache_avro::{Codec, DeflateSettings, Writer};
    use proptest::prelude::*;
    use tokio_postgres::types::Type;

    use super::super::columns::Column;
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
        {"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]},
        {"name": "ratio", "type": "double"}, {"name": "tags", "type": {"type": "map", "values": "boolean"}}]}"#;

    fn table() -> TableColumns {
        let column = |name: &str| Column {
            name: name.to_owned(),
            ty: Type::VARCHAR,
            length: None,
            precision: None,
            scale: None,
            not_null: false,
        };
        let columns = ["id", "name", "ratio", "tags"].map(column).to_vec();
        TableColumns { relation: "t".into(), oid: 1, columns }
    }

    fn load(bytes: &[u8]) -> Result<Vec<Result<Row, RowError>>, SqlError> {
        rows(bytes, &FieldMapping::Auto, None, &table(), 0)
    }

    proptest! {
        #[test]
        fn avro_of_every_codec_reads_back(
            records in prop::collection::vec((any::<i64>(), prop::option::of(any::<String>()), -1e300..1e300_f64), 0..20),
            codec in 0..3,
        ) {
            let schema = Schema::parse_str(SCHEMA).expect("valid");
            let codec = match codec {
                0 => Codec::Null,
                1 => Codec::Deflate(DeflateSettings::default()),
                _ => Codec::Snappy,
            };
            let mut writer = Writer::with_codec(&schema, Vec::new(), codec).expect("a record");
            for (id, name, ratio) in &records {
                let name = match name {
                    Some(name) => Value::Union(1, Box::new(Value::String(name.clone()))),
                    None => Value::Union(0, Box::new(Value::Null)),
                };
                let tags = Value::Map([("b".to_owned(), Value::Boolean(true)), ("a".to_owned(), Value::Boolean(false))].into());
                let fields = [("id", Value::Long(*id)), ("name", name), ("ratio", Value::Double(*ratio)), ("tags", tags)];
                let fields = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
                writer.append_value(Value::Record(fields)).expect("of the schema");
            }
            let loaded = load(&writer.into_inner().expect("memory")).expect("a valid file");
            prop_assert_eq!(loaded.len(), records.len());
            for (row, (id, name, ratio)) in loaded.into_iter().zip(records) {
                let fields = row.expect("a valid record").fields;
                prop_assert_eq!(&fields[0], &Some(id.to_string()));
                prop_assert_eq!(&fields[1], &name);
                prop_assert_eq!(fields[2].as_deref().and_then(|text| text.parse().ok()), Some(ratio));
                prop_assert_eq!(fields[3].as_deref(), Some(r#"{"a":false,"b":true}"#));
            }
        }
    }

    #[test]
    fn undocumented_avro_types_are_refused_by_name() {
        for (ty, words) in [
            (r#""bytes""#, "bytes or fixed"),
            (r#"{"type": "fixed", "name": "f", "size": 2}"#, "bytes or fixed"),
            (r#"{"type": "bytes", "logicalType": "decimal", "precision": 4}"#, "decimals"),
            (r#"["null", "r"]"#, "a record that contains itself"),
        ] {
            let schema =
                format!(r#"{{"type": "record", "name": "r", "fields": [{{"name": "id", "type": {ty}}}]}}"#);
            let schema = Schema::parse_str(&schema).expect("valid");
            let file = Writer::new(&schema, Vec::new()).expect("a record").into_inner().expect("memory");
            let error = load(&file).expect_err(ty);
            assert!(error.message.contains("does not imitate") && error.message.contains(words), "{error}");
        }
        let schema = Schema::parse_str(r#""long""#).expect("valid");
        let mut writer = Writer::new(&schema, Vec::new()).expect("a schema");
        writer.append_value(Value::Long(1)).expect("of the schema");
        let error = load(&writer.into_inner().expect("memory")).expect_err("no record");
        assert!(error.message.contains("the schema type must be record"), "{error}");
    }
}

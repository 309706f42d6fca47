//! The properties of `Custom::CopyJob`, and their statements.

use std::fmt;
use std::marker::PhantomData;

use custom_resource::Failure;
use serde::Deserialize;
use serde::de::{self, Deserializer, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use warehouse::data_api::Login;
use warehouse::sql::{
    Column, ColumnType, Copy, CopyJob, CreateTable, Format, Identifier, JobName, Options, RoleArn,
    S3Location, TableName,
};
use warehouse::target::Target;
use warehouse::value::InvalidValue;

/// The properties of `Custom::CopyJob`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    #[serde(default)]
    cluster_identifier: Option<String>,
    #[serde(default)]
    workgroup_name: Option<String>,
    pub(crate) database: String,
    /// The secret of the user who owns the job and its table.
    #[serde(default)]
    warehouse_secret_arn: Option<String>,
    /// The user who owns them, with temporary credentials instead of a secret.
    #[serde(default)]
    db_user: Option<String>,
    /// Name of the job; a suffix is added.
    pub(crate) job_name: String,
    #[serde(default = "public")]
    pub(crate) schema_name: String,
    pub(crate) table_name: String,
    /// Creates the table if it does not exist.
    #[serde(default)]
    create_table: bool,
    /// The columns of a created table.
    #[serde(default)]
    table_columns: Vec<Item<ColumnProperty>>,
    /// The columns in the files, if they are not all columns in the table's order.
    #[serde(default)]
    columns: Vec<Item<String>>,
    pub(crate) source_bucket: String,
    #[serde(default)]
    pub(crate) source_prefix: String,
    /// The role with which COPY reads the files.
    pub(crate) copy_role_arn: String,
    pub(crate) format: Format,
    #[serde(default)]
    pub(crate) options: Options,
    /// Loads new files automatically.
    #[serde(default = "yes")]
    pub(crate) auto: bool,
    /// Uses the existing job with exactly this name, unchanged, and never drops it.
    #[serde(default)]
    pub(crate) adopt_existing: bool,
    /// Accepts another job that loads files of this prefix into this table, so that rows of a file
    /// arrive twice.
    #[serde(default)]
    pub(crate) allow_overlap: bool,
    /// Requires an active integration for the bucket.
    #[serde(default = "yes")]
    pub(crate) require_integration: bool,
}

fn public() -> String {
    "public".to_owned()
}

fn yes() -> bool {
    true
}

/// An element of a list that a template splits at semicolons. A semicolon at the end, or two in a
/// row, make a blank one, which counts as absent.
#[derive(Debug)]
struct Item<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlankOr<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for BlankOr<T> {
            type Value = Item<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a map")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Item<T>, E> {
                if text.trim().is_empty() {
                    return Ok(Item(None));
                }
                T::deserialize(text.into_deserializer()).map(|value| Item(Some(value)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Item(Some(value)))
            }
        }
        deserializer.deserialize_any(BlankOr(PhantomData))
    }
}

/// A column: `{Name, Type, Nullable}`, or the text `name type`, as a template's parameter holds it.
#[derive(Debug)]
struct ColumnProperty {
    name: String,
    data_type: String,
    nullable: bool,
}

impl<'de> Deserialize<'de> for ColumnProperty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        struct Map {
            name: String,
            #[serde(rename = "Type")]
            data_type: String,
            #[serde(default = "yes")]
            nullable: bool,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ColumnProperty;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column as `name type` or as a map with Name and Type")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ColumnProperty, E> {
                let (name, rest) = leading_name(text);
                if name.is_empty() || rest.is_empty() {
                    return Err(E::custom(format!(
                        "expected a name, a space and a type, such as `id integer`, found \"{text}\""
                    )));
                }
                const NOT_NULL: &str = "NOT NULL";
                let at = rest.len().saturating_sub(NOT_NULL.len());
                let (data_type, nullable) = match rest.split_at_checked(at) {
                    Some((before, end)) if end.eq_ignore_ascii_case(NOT_NULL) => (before.trim(), false),
                    _ => (rest, true),
                };
                Ok(ColumnProperty { name, data_type: data_type.to_owned(), nullable })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ColumnProperty, A::Error> {
                let map = Map::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ColumnProperty { name: map.name, data_type: map.data_type, nullable: map.nullable })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Splits a text into the name at its start and the rest, both trimmed. A name in double quotes may
/// hold anything, with quotes doubled.
fn leading_name(text: &str) -> (String, &str) {
    let text = text.trim();
    let Some(quoted) = text.strip_prefix('"') else {
        return match text.split_once(char::is_whitespace) {
            Some((name, rest)) => (name.to_owned(), rest.trim()),
            None => (text.to_owned(), ""),
        };
    };
    let mut name = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (character, characters.peek()) {
            ('"', Some((_, '"'))) => {
                characters.next();
                name.push('"');
            }
            ('"', _) => return (name, quoted[at + 1..].trim()),
            _ => name.push(character),
        }
    }
    // The quote is not closed: no name, so that the caller rejects it.
    (String::new(), text)
}

/// Returns the elements that are not blank, with their positions.
fn given<T>(list: &[Item<T>]) -> impl Iterator<Item = (usize, &T)> {
    list.iter().enumerate().filter_map(|(index, item)| item.0.as_ref().map(|value| (index, value)))
}

/// The checked content of the properties.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) target: Target,
    pub(crate) login: Login,
    pub(crate) job: CopyJob,
    pub(crate) table: Option<CreateTable>,
}

impl Properties {
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        Target::from_properties(self.cluster_identifier.as_deref(), self.workgroup_name.as_deref())
            .map_err(Failure::from_error)
    }

    pub(crate) fn login(&self) -> Result<Login, Failure> {
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        match (given(&self.warehouse_secret_arn), given(&self.db_user)) {
            (Some(secret), None) => Ok(Login::Secret(secret)),
            (None, Some(user)) => Ok(Login::DbUser(user)),
            (None, None) => {
                Err(Failure::new("give exactly one of `WarehouseSecretArn` and `DbUser`, found neither"))
            }
            (Some(_), Some(_)) => {
                Err(Failure::new("give exactly one of `WarehouseSecretArn` and `DbUser`, found both"))
            }
        }
    }

    /// Checks everything that needs no call to AWS.
    pub(crate) fn wanted(&self, owner: &str) -> Result<Wanted, Failure> {
        let (job, table) =
            self.statements(owner).map_err(|error| Failure::new(format!("property {error}")))?;
        Ok(Wanted { target: self.target()?, login: self.login()?, job, table })
    }

    fn statements(&self, owner: &str) -> Result<(CopyJob, Option<CreateTable>), InvalidValue> {
        let table = TableName {
            schema: Identifier::new("SchemaName", &self.schema_name)?,
            table: Identifier::new("TableName", &self.table_name)?,
        };
        let create_table = if self.create_table {
            let columns = given(&self.table_columns).map(|(index, column)| {
                let property = format!("TableColumns[{index}]");
                Ok(Column {
                    name: Identifier::new(&property, &column.name)?,
                    data_type: ColumnType::new(&property, &column.data_type)?,
                    nullable: column.nullable,
                })
            });
            Some(CreateTable::new(table.clone(), columns.collect::<Result<_, InvalidValue>>()?)?)
        } else {
            None
        };
        let columns = given(&self.columns).map(|(index, name)| {
            let property = format!("Columns[{index}]");
            match leading_name(name) {
                (name, "") => Identifier::new(&property, &name),
                (_, rest) => Err(InvalidValue::new(
                    &property,
                    format!("expected one name, found \"{rest}\" after it; put a name with spaces in double quotes"),
                )),
            }
        });
        let copy = Copy::new(
            table,
            columns.collect::<Result<_, _>>()?,
            S3Location::new(&self.source_bucket, &self.source_prefix)?,
            RoleArn::new("CopyRoleArn", &self.copy_role_arn)?,
            self.format,
            &self.options,
        )?;
        let name = JobName::new("JobName", &self.job_name, owner, &copy)?;
        Ok((CopyJob { name, copy }, create_table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::Request;
    use custom_resource::properties::{UnknownNames, parse};
    use serde_json::{Value, json};

    fn base() -> Value {
        json!({
            "ClusterIdentifier": "main", "Database": "dev", "WarehouseSecretArn": "arn:secret", "JobName": "import",
            "TableName": "data", "SourceBucket": "bucket-a", "SourcePrefix": "in/",
            "CopyRoleArn": "arn:aws:iam::222222222222:role/copy", "Format": "CSV", "Options": {"IgnoreHeader": "1"},
        })
    }

    fn with(change: Value) -> Result<Wanted, String> {
        let (Value::Object(mut map), Value::Object(change)) = (base(), change) else { panic!("maps") };
        map.extend(change);
        let properties: Properties =
            parse(&map, UnknownNames::Reject, &[]).map_err(|error| error.to_string())?;
        properties.wanted("0a1b2c3d").map_err(|error| error.chain())
    }

    #[test]
    fn properties_make_the_copy_statement() {
        let wanted = with(json!({})).unwrap();
        let name = wanted.job.name.to_string();
        assert!(name.starts_with("import_") && name.len() == 15, "{name}");
        assert_eq!(
            wanted.job.create(true),
            format!(
                "COPY \"public\".\"data\" FROM 's3://bucket-a/in/' IAM_ROLE 'arn:aws:iam::222222222222:role/copy' \
                 FORMAT AS CSV IGNOREHEADER AS 1 JOB CREATE {name} AUTO ON"
            )
        );
    }

    #[test]
    fn sample_events_differ_in_auto_only() {
        let read = |text: &str| -> Properties {
            let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
            request.properties(&[]).unwrap()
        };
        let create = read(include_str!("../../../events/cloudformation/copy-job-create.json"));
        let update = read(include_str!("../../../events/cloudformation/copy-job-update-auto.json"));
        let [first, second] = [&create, &update].map(|one| one.wanted("0a1b2c3d").unwrap());
        assert_eq!(first.job, second.job);
        assert_eq!((create.auto, update.auto), (true, false));
        assert_eq!(
            first.table.unwrap().to_string(),
            "CREATE TABLE \"public\".\"measurements\" (\"id\" INTEGER NOT NULL, \"name\" VARCHAR(64), \"value\" DECIMAL(10,2), \"timestamp\" TIMESTAMP)"
        );
    }

    #[test]
    fn columns_are_texts_or_maps() {
        let text = with(
            json!({"CreateTable": "true", "TableColumns": ["id integer not null", "value decimal(10,2)"]}),
        );
        let maps = with(json!({"CreateTable": true, "TableColumns": [
            {"Name": "id", "Type": "INTEGER", "Nullable": "false"}, {"Name": "value", "Type": "decimal(10, 2)"},
        ]}));
        let printed = text.unwrap().table.unwrap().to_string();
        assert_eq!(printed, r#"CREATE TABLE "public"."data" ("id" INTEGER NOT NULL, "value" DECIMAL(10,2))"#);
        assert_eq!(printed, maps.unwrap().table.unwrap().to_string());
    }

    #[test]
    fn blank_elements_of_lists_are_ignored() {
        let wanted = with(json!({
            "CreateTable": "true", "TableColumns": ["id integer", " ", "Name VarChar(20)", ""], "Columns": ["id", ""],
        }));
        let wanted = wanted.unwrap();
        let table = r#"CREATE TABLE "public"."data" ("id" INTEGER, "Name" VARCHAR(20))"#;
        assert_eq!(wanted.table.unwrap().to_string(), table);
        assert!(wanted.job.create(true).contains(r#""data" ("id") FROM"#));
    }

    #[test]
    fn every_option_of_a_job_is_rendered() {
        for (change, end) in [
            (
                json!({"Options": {"DateFormat": "auto", "TimeFormat": "auto", "AcceptAnyDate": "true"}}),
                "FORMAT AS CSV DATEFORMAT AS 'auto' TIMEFORMAT AS 'auto' ACCEPTANYDATE",
            ),
            (
                json!({"Format": "PARQUET", "Options": {"SerializeToJson": "true"}}),
                "FORMAT AS PARQUET SERIALIZETOJSON",
            ),
            (
                json!({"Format": "ORC", "Options": {"FillRecord": "true", "ExplicitIds": "true", "StatUpdate": "true",
                    "AcceptInvChars": "?"}}),
                "FORMAT AS ORC ACCEPTINVCHARS AS '?' FILLRECORD EXPLICIT_IDS STATUPDATE ON",
            ),
            (
                json!({"Format": "AVRO", "Options": {"TimeFormat": "epochmillisecs", "RoundDec": "true"}}),
                "FORMAT AS AVRO 'auto' TIMEFORMAT AS 'epochmillisecs' ROUNDEC",
            ),
            (
                json!({"Format": "AVRO", "Options": {"JsonPaths": "auto ignorecase"}}),
                "FORMAT AS AVRO 'auto ignorecase'",
            ),
            (
                json!({"Options": {"CompRows": "5000", "CompUpdate": "PRESET", "StatUpdate": "false"}}),
                "FORMAT AS CSV COMPROWS 5000 COMPUPDATE PRESET STATUPDATE OFF",
            ),
            (json!({"Options": {"CompUpdate": "true"}}), "FORMAT AS CSV COMPUPDATE ON"),
            (
                json!({"Options": {"RoundDec": "true", "ExplicitIds": "true", "CompUpdate": "OFF"}}),
                "FORMAT AS CSV ROUNDEC EXPLICIT_IDS COMPUPDATE OFF",
            ),
            (
                json!({"Format": "FIXEDWIDTH", "Options": {"FixedWidth": "id:3,name:20"}}),
                "FIXEDWIDTH 'id:3,name:20'",
            ),
            (
                json!({"Format": "JSON", "Options": {"JsonPaths": "s3://bucket-a/maps/orders.json"}}),
                "FORMAT AS JSON 's3://bucket-a/maps/orders.json'",
            ),
        ] {
            let copy = with(change.clone()).unwrap().job.copy.to_string();
            assert!(copy.ends_with(&format!("role/copy' {end}")), "{change}: {copy}");
        }
    }

    #[test]
    fn column_in_double_quotes_may_hold_anything() {
        let wanted = with(
            json!({"CreateTable": true, "TableColumns": [" \"a \"\"b\"\" c\" date", "\"timestamp\" timestamp"],
            "Columns": ["\"a \"\"b\"\" c\"", " timestamp "]}),
        );
        let wanted = wanted.unwrap();
        assert!(wanted.table.unwrap().to_string().ends_with(r#"("a ""b"" c" DATE, "timestamp" TIMESTAMP)"#));
        assert!(wanted.job.create(true).contains(r#""data" ("a ""b"" c", "timestamp") FROM"#));
        assert!(with(json!({"CreateTable": true, "TableColumns": ["\"never closed int"]})).is_err());
        assert!(
            with(json!({"Columns": ["two words"]}))
                .unwrap_err()
                .starts_with("property `Columns[0]`: expected one name")
        );
    }

    #[test]
    fn name_depends_on_definition_and_owner_not_on_auto() {
        let name = |change: Value| with(change).unwrap().job.name.to_string();
        let first = name(json!({}));
        assert_eq!(first, name(json!({"Auto": "false"})));
        assert_ne!(first, name(json!({"SourcePrefix": "other/"})));
        assert_ne!(first, name(json!({"Options": {"IgnoreHeader": 2}})));
    }

    #[test]
    fn invalid_job_is_rejected_with_its_property() {
        for (change, start) in [
            (json!({"JobName": "my-job"}), "property `JobName`: \"my-job\" holds a hyphen"),
            (json!({"SourceBucket": "a.b"}), "property `SourceBucket`: \"a.b\" holds a period"),
            (json!({"Options": {"MaxError": "10"}}), "property `Options.MaxError`: a COPY JOB does not take"),
            (json!({"Options": {"Manifest": true}}), "property `Options.Manifest`: a COPY JOB does not take"),
            (
                json!({"CopyRoleArn": "default"}),
                "property `CopyRoleArn`: a COPY JOB cannot use the cluster's default",
            ),
            (json!({"TableName": ""}), "property `TableName`: a name must not be empty"),
            (json!({"TableName": "a\u{0}"}), "property `TableName`: \"a\\0\" holds the control character"),
            (json!({"SourcePrefix": "a\u{0}"}), "property `SourcePrefix`: \"a\\0\" holds a NUL"),
            (json!({"Format": "XML"}), "property `Format`: expected one of CSV"),
            (json!({"Options": {"Qoute": "x"}}), "property `Options`: `Qoute` is unknown"),
            (
                json!({"Format": "PARQUET"}),
                "property `Options.IgnoreHeader`: works with CSV, DELIMITED and FIXEDWIDTH files only, and Format is PARQUET",
            ),
            (json!({"DbUser": "x"}), "give exactly one of `WarehouseSecretArn` and `DbUser`, found both"),
            (json!({"WorkgroupName": "x"}), "give exactly one of `ClusterIdentifier`"),
            (json!({"CreateTable": true}), "property `TableColumns`: a table needs at least one column"),
            (
                json!({"Format": "JSON", "Options": {"JsonPaths": "s3://bucket-a/in/orders.jsonpaths.json"}}),
                "property `Options.JsonPaths`: \"in/orders.jsonpaths.json\" lies below the prefix of the job",
            ),
            (
                json!({"Options": {"Escape": "true"}}),
                "property `Options.Escape`: works with DELIMITED files only, and Format is CSV",
            ),
            (
                json!({"Format": "PARQUET", "Options": {"AcceptAnyDate": "true"}}),
                "property `Options.AcceptAnyDate`: works with files that are not PARQUET or ORC only",
            ),
            (
                json!({"Format": "JSON", "Options": {"NullAs": "NA"}}),
                "property `Options.NullAs`: works with files that are not JSON, PARQUET or ORC only, and Format is JSON",
            ),
            (
                json!({"Format": "JSON", "Options": {"FillRecord": "true"}}),
                "property `Options.FillRecord`: works with files that are not JSON only, and Format is JSON",
            ),
            (
                json!({"Format": "ORC", "Options": {"Compression": "GZIP"}}),
                "property `Options.Compression`: works with files that are not PARQUET or ORC only, and Format is ORC",
            ),
            (
                json!({"Format": "AVRO", "Options": {"JsonPaths": "noshred"}}),
                "property `Options.JsonPaths`: expected auto, auto ignorecase or an s3:// URL",
            ),
            (
                json!({"Options": {"CompUpdate": "perhaps"}}),
                "property `Options.CompUpdate`: expected PRESET, ON or OFF, found \"perhaps\"",
            ),
            (
                json!({"CreateTable": true, "TableColumns": ["id int, Name varchar(20)"]}),
                "property `TableColumns[0]`: \"int, Name varchar(20)\" is not a data type of Redshift; separate",
            ),
            (
                json!({"CreateTable": true, "TableColumns": ["id int identity(1,1)"]}),
                "property `TableColumns[0]`: \"int identity(1,1)\": after the type only NOT NULL may follow",
            ),
            (
                json!({"TableColumns": ["id"]}),
                "property `TableColumns[0]`: expected a name, a space and a type",
            ),
        ] {
            let error = with(change.clone()).unwrap_err();
            assert!(error.starts_with(start), "{change}: {error}");
        }
    }
}

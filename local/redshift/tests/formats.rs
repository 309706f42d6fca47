//! COPY of Parquet and Avro files from S3.
#![allow(clippy::expect_used, reason = "tests")]

use std::io::Write;

use crate::support::parquet_file::{Column, Values, file, texts};
use crate::support::{Local, ROLE};
use apache_avro::types::Value;
use parquet::basic::Compression;
use serde_json::json;

async fn ready(local: &Local, columns: &str) {
    local.cluster().await;
    local.role().await;
    local.sql(&format!("CREATE TABLE t ({columns})")).await;
}

fn copy(prefix: &str, options: &str) -> String {
    format!("COPY t FROM 's3://files-a/{prefix}' IAM_ROLE '{ROLE}' {options}")
}

/// A file of two columns whose names are not those of the table.
fn two_columns(compression: Compression) -> Vec<u8> {
    let ids = Column::from(Values::Int(vec![1, 2])).levels(&[1, 1], &[]);
    let names = texts(&["\\N"]).levels(&[1, 0], &[]);
    file("optional int32 b; optional binary a (UTF8);", compression, vec![ids, names])
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_fills_columns_by_position() {
    let local = Local::start().await;
    ready(&local, "a integer, b varchar(9), c varchar(9)").await;
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
    ];
    for (number, codec) in codecs.into_iter().enumerate() {
        local.gateway.object("files-a", &format!("p/{number}"), two_columns(codec));
    }
    // With FILLRECORD the columns at the end are NULL.
    assert_eq!(local.sql(&copy("p/", "FORMAT AS PARQUET FILLRECORD")).await["ResultRows"], 8);
    let rows = local.rows("SELECT a, b, c, count(*) FROM t GROUP BY 1, 2, 3 ORDER BY 1").await;
    assert_eq!(rows, [["1", "\\N", "NULL", "4"], ["2", "NULL", "NULL", "4"]]);
    // A column list chooses the columns, in the order of the file.
    local.sql("TRUNCATE t").await;
    local.sql(&copy("p/0", "PARQUET").replace("COPY t", "COPY t (a, c)")).await;
    assert_eq!(local.rows("SELECT * FROM t ORDER BY 1").await, [["1", "NULL", "\\N"], ["2", "NULL", "NULL"]]);
    let history = "SELECT file_format, loaded_rows FROM sys_load_history ORDER BY query_id DESC LIMIT 1";
    assert_eq!(local.rows(history).await, [["parquet", "2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_that_does_not_fit_is_refused_with_15007() {
    let local = Local::start().await;
    ready(&local, "a integer not null, b varchar(3)").await;
    let ids = || Column::from(Values::Int(vec![1]));
    let good = || {
        file("required int32 a; required binary b (UTF8);", Compression::SNAPPY, vec![ids(), texts(&["x"])])
    };
    let mut cut = good();
    cut.truncate(cut.len() - 9);
    let url = "https://s3.us-east-1.amazonaws.com/files-a";
    let cases: [(&str, Vec<u8>, String); 6] = [
        (
            "count",
            file("required int32 a;", Compression::SNAPPY, vec![ids()]),
            format!(
                "Unmatched number of columns between table and file. Table columns: 2, Data columns: 1, File name: {url}/count/1"
            ),
        ),
        (
            "width",
            file(
                "required int64 a; required binary b (UTF8);",
                Compression::SNAPPY,
                vec![Values::Long(vec![1]).into(), texts(&["x"])],
            ),
            format!(
                "File '{url}/width/1' has an incompatible Parquet schema for column 's3://files-a/width/1.a'. \
                 Column type: INT, Parquet schema:\\nrequired int64 a [i:0 d:0 r:0]\\n"
            ),
        ),
        (
            "list",
            file(
                "required int32 a; repeated binary b (UTF8);",
                Compression::SNAPPY,
                vec![ids(), texts(&["x"]).levels(&[1], &[0])],
            ),
            "Column type: VARCHAR, Parquet schema:\\nrepeated byte_array b [i:1 d:1 r:1]\\n".to_owned(),
        ),
        (
            "long",
            file(
                "required int32 a; required binary b (UTF8);",
                Compression::SNAPPY,
                vec![ids(), texts(&["éé"])],
            ),
            format!(
                "The length of the data column b is longer than the length defined in the table. Table: 3, Data: 4, \
                 File name: {url}/long/1"
            ),
        ),
        ("cut", cut, format!("File '{url}/cut/1' has an invalid version number")),
        ("text", b"a,b\n1,x\n".to_vec(), format!("File '{url}/text/1' has an invalid version number")),
    ];
    for (prefix, content, text) in cases {
        local.gateway.object("files-a", &format!("{prefix}/1"), content);
        let error = local.sql_error(&copy(&format!("{prefix}/"), "FORMAT AS PARQUET")).await;
        assert!(
            error.starts_with("ERROR: Spectrum Scan Error") && error.contains("code:      15007"),
            "{error}"
        );
        assert!(error.contains(&text), "{prefix}: {error}");
        let detail = "SELECT trim(file_name), line_number, trim(column_name), error_code, trim(error_message) \
                      FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1";
        let found = local.rows(detail).await;
        let row = found.first().expect("a row");
        assert_eq!(row[..4], [format!("s3://files-a/{prefix}/1").as_str(), "0", "", "15007"], "{prefix}");
        assert!(row[4].starts_with("Spectrum Scan Error. ") && row[4].contains(&text), "{row:?}");
    }
    // A NULL in a column that takes none, and a file that is right.
    let null = Column::from(Values::Int(vec![])).levels(&[0], &[]);
    let content =
        file("optional int32 a; required binary b (UTF8);", Compression::SNAPPY, vec![null, texts(&["x"])]);
    local.gateway.object("files-a", "null/1", content);
    local.sql_error(&copy("null/", "PARQUET")).await;
    let detail = "SELECT line_number, trim(column_name), error_code FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1";
    assert_eq!(local.rows(detail).await, [["1", "a", "1213"]]);
    assert_eq!(local.rows("SELECT count(*) FROM t").await, [["0"]]);
    local.gateway.object("files-a", "good/1", good());
    local.sql(&copy("good/", "PARQUET")).await;
    assert_eq!(local.rows("SELECT * FROM t").await, [["1", "x"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_parquet_goes_into_super_with_serializetojson() {
    let local = Local::start().await;
    ready(&local, "a super, b super, c super, d super, e super").await;
    let fields = "optional group a { required int32 x; optional binary y (UTF8); }
        optional group b (LIST) { repeated group list { optional double element; } }
        optional group c (MAP) { repeated group key_value { required binary key (UTF8); optional boolean value; } }
        required binary d (UTF8);
        required binary e (JSON);";
    let columns = vec![
        Column::from(Values::Int(vec![7])).levels(&[1, 0], &[]),
        texts(&["say \"hi\""]).levels(&[2, 0], &[]),
        Column::from(Values::Double(vec![1.5, 30.0])).levels(&[3, 2, 3, 1], &[0, 1, 1, 0]),
        texts(&["k"]).levels(&[2, 0], &[0, 0]),
        Column::from(Values::Bool(vec![true])).levels(&[3, 0], &[0, 0]),
        texts(&["text", ""]),
        texts(&["{\"n\": [1.50]}", "null"]),
    ];
    local.gateway.object("files-a", "n/1", file(fields, Compression::SNAPPY, columns));
    let error = local.sql_error(&copy("n/", "PARQUET")).await;
    assert!(error.contains("SUPER column in COPY query requires SERIALIZETOJSON option"), "{error}");
    local.sql(&copy("n/", "PARQUET SERIALIZETOJSON")).await;
    assert_eq!(
        local.rows("SELECT * FROM t ORDER BY a::varchar NULLS LAST").await,
        [
            [
                "{\"x\":7,\"y\":\"say \\\"hi\\\"\"}",
                "[1.5,null,30]",
                "{\"k\":true}",
                "\"text\"",
                "{\"n\": [1.50]}"
            ],
            ["NULL", "[]", "NULL", "\"\"", "null"],
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_is_unpacked_by_its_extension_and_needs_a_length() {
    let local = Local::start().await;
    ready(&local, "a integer, b varchar(9)").await;
    let plain = two_columns(Compression::UNCOMPRESSED);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("memory");
    local.gateway.object("files-a", "z/1.parquet.gz", gzip.finish().expect("memory"));
    let manifest = |meta: serde_json::Value| {
        let entry = json!({"url": "s3://files-a/z/1.parquet.gz", "mandatory": true, "meta": meta});
        json!({"entries": [entry]}).to_string().into_bytes()
    };
    local.gateway.object("files-a", "without", manifest(serde_json::Value::Null));
    let error = local.sql_error(&copy("without", "PARQUET MANIFEST")).await;
    assert!(error.contains("no meta.content_length for s3://files-a/z/1.parquet.gz"), "{error}");
    local.gateway.object("files-a", "manifest", manifest(json!({"content_length": 99})));
    local.sql(&copy("manifest", "PARQUET MANIFEST")).await;
    assert_eq!(local.rows("SELECT count(*) FROM t").await, [["2"]]);
    local.gateway.object("files-a", "bad/1.gz", plain);
    let error = local.sql_error(&copy("bad/", "PARQUET")).await;
    assert!(error.contains("the file cannot be decompressed"), "{error}");
}

/// An Avro file of people with their friends.
fn people(codec: apache_avro::Codec) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(
        &json!({"type": "record", "name": "person", "fields": [
            {"name": "id", "type": "int"},
            {"name": "Name", "type": ["null", "string"]},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["OLD", "NEW"]}},
            {"name": "friends", "type": {"type": "array", "items":
                {"type": "record", "name": "friend", "fields": [{"name": "id", "type": "int"}]}}},
        ]})
        .to_string(),
    )
    .expect("a schema");
    let mut writer = apache_avro::Writer::with_codec(&schema, Vec::new(), codec).expect("a record");
    for (id, name) in [
        (1, Value::Union(1, Box::new(Value::String("é".into())))),
        (2, Value::Union(0, Box::new(Value::Null))),
    ] {
        let friend = Value::Record(vec![("id".into(), Value::Int(id * 10))]);
        let record = vec![
            ("id".into(), Value::Int(id)),
            ("Name".into(), name),
            ("at".into(), Value::TimestampMillis(1_357_034_400_500)),
            ("kind".into(), Value::Enum(1, "NEW".into())),
            ("friends".into(), Value::Array(vec![friend])),
        ];
        writer.append_value(Value::Record(record)).expect("a record of the schema");
    }
    writer.into_inner().expect("memory")
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_fields_reach_columns_by_name_or_path() {
    let local = Local::start().await;
    ready(
        &local,
        "name varchar(9), id bigint, at timestamp, kind varchar(9), friends super, missing varchar(9)",
    )
    .await;
    local.gateway.object("files-a", "a/1", people(apache_avro::Codec::Null));
    let time = "TIMEFORMAT 'epochmillisecs'";
    local.sql(&copy("a/", &format!("AVRO 'auto' {time}"))).await;
    let select = "SELECT * FROM t ORDER BY id";
    let friends = |id: i32| format!("[{{\"id\":{id}0}}]");
    let at = "2013-01-01 10:00:00.5";
    // Names are case-sensitive, columns that no field fills are NULL.
    let rows = local.rows(select).await;
    assert_eq!(rows[0], ["NULL", "1", at, "NEW", &friends(1), "NULL"]);
    local.sql("TRUNCATE t").await;
    local.sql(&copy("a/", &format!("FORMAT AS AVRO 'auto ignorecase' {time}"))).await;
    let rows = local.rows(select).await;
    assert_eq!(rows[0], ["é", "1", at, "NEW", &friends(1), "NULL"]);
    assert_eq!(rows[1], ["NULL", "2", at, "NEW", &friends(2), "NULL"]);
    local.sql("TRUNCATE t").await;
    let paths = json!({"jsonpaths": ["$.friends[0].id", "$.id"]}).to_string();
    local.gateway.object("files-a", "paths.json", paths.into_bytes());
    local.sql(&copy("a/", "AVRO 's3://files-a/paths.json'").replace("COPY t", "COPY t (name, id)")).await;
    assert_eq!(local.rows("SELECT name, id FROM t ORDER BY id").await, [["10", "1"], ["20", "2"]]);
    let history = "SELECT file_format FROM sys_load_history ORDER BY query_id DESC LIMIT 1";
    assert_eq!(local.rows(history).await, [["avro"]]);
    // A value that does not fit is an error of its record, with the column.
    local.sql_error(&copy("a/", "AVRO 'auto'").replace("COPY t", "COPY t (id, at)")).await;
    let detail = "SELECT line_number, trim(column_name), error_code FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1";
    assert_eq!(local.rows(detail).await, [["1", "at", "1206"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_that_is_damaged_or_too_large_is_refused() {
    let local = Local::start().await;
    ready(&local, "id bigint").await;
    let good = people(apache_avro::Codec::Null);
    let mut cut = good.clone();
    cut.truncate(cut.len() - 30);
    let snappy = people(apache_avro::Codec::Snappy);
    let name = b"\x0csnappy";
    let at = snappy.windows(name.len()).position(|part| part == name).expect("in the header");
    let renamed = [&snappy[..at], b"\x0abzip2", &snappy[at + name.len()..]].concat();
    let long = apache_avro::Schema::parse_str(
        "{\"type\": \"record\", \"name\": \"l\", \"fields\": [{\"name\": \"id\", \"type\": \"string\"}]}",
    );
    let long = long.expect("a schema");
    let mut block = apache_avro::Writer::builder()
        .schema(&long)
        .writer(Vec::new())
        .block_size(8 << 20)
        .build()
        .expect("a record");
    let value = Value::Record(vec![("id".into(), Value::String("x".repeat(5 << 20)))]);
    block.append_value(value).expect("a record");
    for (prefix, content, text) in [
        (
            "text",
            b"id\n1\n".to_vec(),
            "Cannot init avro reader from s3 file Incorrect Avro container file magic number",
        ),
        ("codec", renamed, "the codec is \"bzip2\"; COPY takes null, deflate and snappy"),
        ("header", good[..40].to_vec(), "the file ends within its header"),
        ("block", block.into_inner().expect("memory"), "the maximum is 4194304"),
        ("cut", cut, "Load into table 't' failed."),
    ] {
        local.gateway.object("files-a", &format!("{prefix}/1"), content);
        let error = local.sql_error(&copy(&format!("{prefix}/"), "AVRO")).await;
        assert!(error.contains(text), "{prefix}: {error}");
    }
    let detail =
        "SELECT trim(file_name), line_number, error_code, left(error_message, 13) FROM sys_load_error_detail";
    assert_eq!(local.rows(detail).await, [["s3://files-a/cut/1", "1", "1216", "Invalid Avro:"]]);
    assert_eq!(local.rows("SELECT count(*) FROM t").await, [["0"]]);
}

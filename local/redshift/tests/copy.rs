//! COPY from S3.
#![allow(clippy::expect_used, reason = "tests")]

use std::io::Write;

use crate::support::{Local, ROLE};
use serde_json::json;

async fn ready(local: &Local) {
    local.cluster().await;
    local.role().await;
    local.sql("CREATE TABLE sales (id int NOT NULL, name varchar(10), value decimal(10,2))").await;
}

fn copy(prefix: &str, options: &str) -> String {
    format!("COPY sales FROM 's3://files-a/{prefix}' IAM_ROLE '{ROLE}' {options}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_loaded_in_each_format_and_compression() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "csv/1", b"1,\"a, b\",1.5\n".to_vec());
    local.gateway.object("files-a", "csv/2", b"2,b,\n".to_vec());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"3\tc\t3.5\n").expect("memory");
    local.gateway.object("files-a", "tab/1.gz", gzip.finish().expect("memory"));
    local.gateway.object("files-a", "json/1", b"{\"name\": \"d\", \"id\": 4}\n{\"id\": 5}".to_vec());
    local.gateway.object("files-a", "paths/1", b"{\"a\": [6, \"f\"]}".to_vec());
    let paths = b"{\"jsonpaths\": [\"$.a[0]\", \"$.a[1]\", \"$.none\"]}".to_vec();
    local.gateway.object("files-a", "jsonpaths.json", paths);
    let described = local.sql(&copy("csv/", "CSV")).await;
    assert_eq!(described["ResultRows"], 2);
    assert!(described["RedshiftQueryId"].as_i64() > Some(0));
    local.sql(&copy("tab/", "DELIMITER '\\\\t' GZIP")).await;
    local.sql(&copy("json/", "FORMAT AS JSON 'auto'")).await;
    local.sql(&copy("paths/", "JSON 's3://files-a/jsonpaths.json'")).await;
    local.gateway.object("files-a", "order/1", b"x,7\n".to_vec());
    local
        .sql(&format!("COPY public.sales (name, id) FROM 's3://files-a/order/' IAM_ROLE '{ROLE}' CSV"))
        .await;
    assert_eq!(
        local.rows("SELECT id, name, value FROM sales ORDER BY id").await,
        [
            ["1", "a, b", "1.50"],
            ["2", "b", "NULL"],
            ["3", "c", "3.50"],
            ["4", "d", "NULL"],
            ["5", "NULL", "NULL"],
            ["6", "f", "NULL"],
            ["7", "x", "NULL"],
        ]
    );
    let history =
        "SELECT file_format, source_file_count, copy_job_id FROM sys_load_history ORDER BY query_id LIMIT 1";
    assert_eq!(local.rows(history).await, [["text", "2", "0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inaccessible_sources_are_errors_of_the_statement() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "csv/1", b"1,a,1\n".to_vec());
    assert_eq!(
        local.sql_error(&copy("none/", "CSV")).await,
        "ERROR: The specified S3 prefix 'none/' does not exist"
    );
    local.gateway.deny("s3:GetObject");
    let error = local.sql_error(&copy("csv/", "CSV")).await;
    assert!(error.contains("S3ServiceException:Access Denied,Status 403,Error AccessDenied"), "{error}");
    local.gateway.deny("s3:ListBucket");
    let error = local.sql_error(&copy("csv/", "CSV")).await;
    assert!(error.contains("Error AccessDenied"), "{error}");
    let not_authorized = format!(
        "ERROR: User arn:aws:redshift:us-east-1:222222222222:dbuser:c1/admin is not authorized to assume IAM Role {ROLE}"
    );
    local.gateway.role("copy", "lambda.amazonaws.com");
    assert_eq!(
        local.sql_error(&copy("csv/", "CSV")).await,
        not_authorized,
        "the role does not trust Redshift"
    );
    let other = copy("csv/", "CSV").replace("role/copy", "role/other");
    assert_eq!(
        local.sql_error(&other).await,
        not_authorized.replace("role/copy", "role/other"),
        "not attached"
    );
    let error = local.sql_error("COPY sales FROM 's3://files-a/csv/' IAM_ROLE default CSV").await;
    assert!(error.contains("does not imitate IAM_ROLE default"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_refuses_the_load_unless_maxerror_allows_it() {
    let local = Local::start().await;
    ready(&local).await;
    // A wrong digit, a missing field, a text too long, a NULL that PostgreSQL rejects, and a number
    // beyond the column.
    let file = "1,a,1\nx,b,2\n3,c\n4,much too long,4\n,e,5\n6,f,123456789.5\n7,g,7\n";
    local.gateway.object("files-a", "bad/1", file.as_bytes().to_vec());
    let error = local.sql_error(&copy("bad/", "CSV")).await;
    assert_eq!(
        error,
        "ERROR: Load into table 'sales' failed.  Check 'sys_load_error_detail' system table for details."
    );
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["0"]]);
    local.sql("TRUNCATE sales").await;
    // The load fails at this number of errors.
    local.sql_error(&copy("bad/", "CSV MAXERROR 5")).await;
    local.sql(&copy("bad/", "CSV MAXERROR 6")).await;
    assert_eq!(local.rows("SELECT id FROM sales ORDER BY id").await, [["1"], ["7"]]);
    let detail = "SELECT line_number, column_name, error_code FROM sys_load_error_detail \
                  WHERE query_id = (SELECT max(query_id) FROM sys_load_history) ORDER BY line_number";
    assert_eq!(
        local.rows(detail).await,
        [
            ["2", "id", "1207"],
            ["3", "value", "1214"],
            ["4", "name", "1204"],
            ["5", "id", "1213"],
            ["6", "value", "1204"]
        ]
    );
    assert_eq!(
        local
            .rows(
                "SELECT status, error_count, loaded_rows FROM sys_load_history ORDER BY query_id DESC LIMIT 1"
            )
            .await,
        [["completed", "5", "2"]]
    );
}

/// The cases of people's files: a table, a file, the options, and the rows that Redshift loads.
#[tokio::test(flavor = "multi_thread")]
async fn files_load_as_redshift_converts_them() {
    let local = Local::start().await;
    local.cluster().await;
    local.role().await;
    let dates = "1,2024-02-29,2024-02-29 10:00:00\n2,0000-00-00,0000-00-00 00:00:00\n3,2022-11-00,2022-11-00 20:59:22\n\
                 4,17 Dec 1997,12/17/1997 07:37:16.25\n5,J2451187,19960108 040809\n";
    let any_date = "CSV DATEFORMAT AS 'auto' TIMEFORMAT AS 'auto' ACCEPTANYDATE";
    let prices = "1,20.259,12.75\n2,0.999,0.5\n";
    let escaped = "1,\\N,\\N\n2,7,a\\,b\n3,\\\\N,\\\\N\n";
    let short = "1,x,5\n2\n3,y\n";
    let cases: [(&str, &str, &str, &[&[&str]]); 11] = [
        (
            "id integer, born date, seen timestamp",
            dates,
            any_date,
            &[
                &["1", "2024-02-29", "2024-02-29 10:00:00"],
                &["2", "NULL", "NULL"],
                &["3", "NULL", "NULL"],
                &["4", "1997-12-17", "1997-12-17 07:37:16.25"],
                &["5", "1999-01-08", "1996-01-08 04:08:09"],
            ],
        ),
        (
            "id integer, n integer, name varchar(20)",
            escaped,
            "DELIMITER ',' ESCAPE",
            &[&["1", "NULL", "NULL"], &["2", "7", "a,b"], &["3", "NULL", "NULL"]],
        ),
        (
            "id integer, price decimal(8,2), ratio decimal",
            prices,
            "CSV",
            &[&["1", "20.25", "12"], &["2", "0.99", "0"]],
        ),
        (
            "id integer, price decimal(8,2), ratio decimal",
            prices,
            "CSV ROUNDEC",
            &[&["1", "20.26", "13"], &["2", "1.00", "1"]],
        ),
        (
            "id integer, note varchar(20), n integer",
            short,
            "CSV FILLRECORD",
            &[&["1", "x", "5"], &["2", "", "NULL"], &["3", "y", "NULL"]],
        ),
        (
            "id integer, note varchar(20), n integer",
            short,
            "CSV FILLRECORD EMPTYASNULL",
            &[&["1", "x", "5"], &["2", "NULL", "NULL"], &["3", "y", "NULL"]],
        ),
        (
            "id integer, at timestamptz",
            "1,2026-01-02 03:04:05+00\n2,2026-01-02 03:04:05+05:30\n3,2026-01-02 03:04:05-08\n",
            "CSV",
            &[
                &["1", "2026-01-02 03:04:05+00"],
                &["2", "2026-01-01 21:34:05+00"],
                &["3", "2026-01-02 11:04:05+00"],
            ],
        ),
        (
            "id integer, at timestamptz",
            "1,2019-02-11T05:09:12.195Z\n2,17 Dec 07:37:16 1997 PST\n",
            "CSV TIMEFORMAT 'auto'",
            &[&["1", "2019-02-11 05:09:12.195+00"], &["2", "1997-12-17 15:37:16+00"]],
        ),
        ("id integer, name varchar(5)", "1|a|\n2|b|\n", "", &[&["1", "a"], &["2", "b"]]),
        (
            "id integer, payload super",
            "{\"id\": 1, \"payload\": {\"a\": [1, \"b c\"]}}",
            "JSON 'auto' COMPUPDATE PRESET",
            &[&["1", "{\"a\":[1,\"b c\"]}"]],
        ),
        ("id integer, name varchar(9)", "1,a b\n2,\u{fffd}\n", "CSV", &[&["1", "a b"], &["2", "\u{fffd}"]]),
    ];
    for (number, (columns, file, options, rows)) in cases.into_iter().enumerate() {
        local.sql(&format!("CREATE TABLE t{number} ({columns})")).await;
        local.gateway.object("files-a", &format!("t{number}/1"), file.as_bytes().to_vec());
        local
            .sql(&format!("COPY t{number} FROM 's3://files-a/t{number}/' IAM_ROLE '{ROLE}' {options}"))
            .await;
        assert_eq!(
            local.rows(&format!("SELECT * FROM t{number} ORDER BY id")).await,
            rows,
            "{options}: {file}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_values_have_redshifts_number_and_text() {
    let local = Local::start().await;
    local.cluster().await;
    local.role().await;
    local.sql("CREATE TABLE t (id integer, at timestamptz, born date, name varchar(9))").await;
    let files: [(&[u8], &str, &str, &str); 6] = [
        (
            b"1,2026-01-02T03:04:05Z,,",
            "CSV",
            "1206",
            "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SSOF]",
        ),
        (b"1,,0000-00-00,", "CSV DATEFORMAT 'auto'", "1205", "Invalid Date Format"),
        (
            b"1,2022-11-00 20:59:22,,",
            "CSV TIMEFORMAT 'auto' ACCEPTANYDATE",
            "1206",
            "Invalid timestamp format",
        ),
        (b"1,,,\xff", "CSV", "1220", "String contains invalid or unsupported UTF8 codepoints"),
        (b"1,,,a,", "CSV", "1202", "Extra column(s) found"),
        (b"1,,1997-12-17 07:37:16-08,", "CSV DATEFORMAT 'auto'", "1200", "does not imitate a time zone"),
    ];
    for (number, (file, options, code, text)) in files.into_iter().enumerate() {
        local.gateway.object("files-a", &format!("f{number}/1"), file.to_vec());
        local.sql_error(&format!("COPY t FROM 's3://files-a/f{number}/' IAM_ROLE '{ROLE}' {options}")).await;
        let detail =
            "SELECT error_code, error_message FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1";
        let found = local.rows(detail).await;
        assert!(found[0][0] == code && found[0][1].contains(text), "{options}: {found:?}");
    }
    local.sql(&format!("COPY t FROM 's3://files-a/f3/' IAM_ROLE '{ROLE}' CSV ACCEPTINVCHARS '^'")).await;
    assert_eq!(local.rows("SELECT name FROM t").await, [["^"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn load_ends_at_the_error_that_it_does_not_tolerate() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "bad/1", "x,a,1\n".repeat(2000).into_bytes());
    local.sql_error(&copy("bad/", "CSV")).await;
    assert_eq!(local.rows("SELECT count(*) FROM sys_load_error_detail").await, [["1"]]);
    local.sql(&copy("bad/", "CSV MAXERROR 2001")).await;
    assert_eq!(local.rows("SELECT count(*) FROM sys_load_error_detail").await, [["2001"]]);
    // Rows that only PostgreSQL rejects, between good ones.
    local.sql("CREATE TABLE odd (n int CHECK (n % 2 = 1))").await;
    let numbers: String = (0..600).map(|number| format!("{number}\n")).collect();
    local.gateway.object("files-a", "odd/1", numbers.into_bytes());
    let load = |options: &str| format!("COPY odd FROM 's3://files-a/odd/' IAM_ROLE '{ROLE}' CSV {options}");
    local.sql_error(&load("MAXERROR 300")).await;
    assert_eq!(local.rows("SELECT count(*) FROM odd").await, [["0"]]);
    local.sql(&load("MAXERROR 301")).await;
    assert_eq!(local.rows("SELECT count(*), sum(n) FROM odd").await, [["300", "90000"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_another_region_needs_region() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "in/1", b"1,a,1\n".to_vec());
    local.gateway.state().buckets.get_mut("files-a").expect("the bucket").region = "eu-west-1".into();
    let error = local.sql_error(&copy("in/", "CSV")).await;
    assert!(error.contains("in a different region from this cluster"), "{error}");
    local.sql(&copy("in/", "CSV REGION 'eu-west-1'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_names_the_files_and_a_mandatory_one_must_be_there() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "in/1", b"1,a,1\n".to_vec());
    local.gateway.object("files-a", "in/10", b"10,a,1\n".to_vec());
    let manifest = |mandatory: bool| {
        let entries = json!([{"url": "s3://files-a/in/1", "mandatory": true}, {"url": "s3://files-a/in/2", "mandatory": mandatory}]);
        json!({"entries": entries}).to_string().into_bytes()
    };
    local.gateway.object("files-a", "manifest", manifest(true));
    let error = local.sql_error(&copy("manifest", "CSV MANIFEST")).await;
    assert!(error.contains("mandatory entry s3://files-a/in/2 not found"), "{error}");
    local.gateway.object("files-a", "manifest", manifest(false));
    local.sql(&copy("manifest", "CSV MANIFEST")).await;
    assert_eq!(local.rows("SELECT id FROM sales").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn noload_checks_the_files_and_loads_nothing() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "good/1", b"1,a,1\n".to_vec());
    local.gateway.object("files-a", "bad/1", b"x,a,1\n".to_vec());
    local.sql(&copy("good/", "CSV NOLOAD")).await;
    assert!(local.sql_error(&copy("bad/", "CSV NOLOAD")).await.contains("failed"));
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolled_back_load_keeps_its_errors() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "good/1", b"1,a,1\n".to_vec());
    local.gateway.object("files-a", "bad/1", b"x,a,1\n".to_vec());
    let request = json!({"Sqls": [copy("good/", "CSV"), copy("bad/", "CSV")], "ClusterIdentifier": "c1", "Database": "dev",
        "DbUser": "admin"});
    assert_eq!(local.describe_request(request).await["Status"], "FAILED");
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["0"]]);
    assert_eq!(local.rows("SELECT count(*) FROM sys_load_error_detail").await, [["1"]]);
    // A row of STL_LOAD_COMMITS does not prove that its transaction was committed.
    assert_eq!(local.rows("SELECT count(*) FROM stl_load_commits").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_insert_on_the_table_cannot_load_it() {
    let local = Local::start().await;
    ready(&local).await;
    local.user("reader").await;
    local.gateway.object("files-a", "good/1", b"1,a,1\n".to_vec());
    let described = local.describe_as("reader", &copy("good/", "CSV")).await;
    assert!(described["Error"].as_str().expect("an error").contains("permission denied"), "{described}");
    local.sql("GRANT INSERT ON sales TO reader").await;
    assert_eq!(local.describe_as("reader", &copy("good/", "CSV")).await["Status"], "FINISHED");
    assert_eq!(local.rows_as("reader", "SELECT count(*) FROM sys_load_history").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_formats_and_options_are_rejected_by_name() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.object("files-a", "in/1", b"1,a,1\n".to_vec());
    for (options, words) in [
        ("FORMAT AS ORC", "COPY of ORC files, for which it has no reader (test the job with PARQUET"),
        ("FORMAT AS ORC JOB CREATE j", "COPY of ORC files"),
        ("AVRO 'noshred'", "noshred"),
        ("FIXEDWIDTH 'id:3,name:5'", "FIXEDWIDTH"),
        ("JSON 'noshred'", "noshred"),
        ("CSV LZOP", "LZOP"),
    ] {
        let error = local.sql_error(&copy("in/", options)).await;
        assert!(error.contains("does not imitate") && error.contains(words), "{options}: {error}");
    }
    let keys = "COPY sales FROM 's3://files-a/in/' ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b' CSV";
    assert!(local.sql_error(keys).await.contains("COPY with access keys"));
}

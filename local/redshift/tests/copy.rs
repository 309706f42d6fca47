//! COPY from S3.
#![allow(clippy::expect_used, reason = "tests")]

mod support;

use std::io::Write;

use serde_json::json;
use support::{Local, ROLE};

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
    local.sql(&copy("bad/", "CSV MAXERROR 5")).await;
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
        ("FORMAT AS PARQUET", "PARQUET"),
        ("FORMAT AS AVRO 'auto'", "AVRO"),
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

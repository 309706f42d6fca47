//! Auto-copy, with the limits that Redshift documents.

#![allow(clippy::expect_used, reason = "tests")]

use crate::support::{Local, PASSWORD, ROLE, SOURCE, TARGET};
use serde_json::json;

const GOOD: &str = "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n2,b,2.5,2026-01-02 03:04:06\n";

/// Creates a cluster with the COPY role and the table `sales`; returns the namespace.
async fn ready(local: &Local) -> String {
    let namespace = local.cluster().await;
    local.role().await;
    let table = "CREATE TABLE sales (id int NOT NULL, name varchar(10), value decimal(10,2), \"timestamp\" timestamp)";
    local.sql(table).await;
    namespace
}

fn job(name: &str, tail: &str) -> String {
    format!(
        "COPY public.sales FROM 's3://files-a/in/' IAM_ROLE '{ROLE}' CSV IGNOREHEADER 1 JOB CREATE {name} {tail}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_waits_holds_up_its_own_job_only() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql("CREATE TABLE other (id int)").await;
    local.sql(&job("load_sales", "")).await;
    local
        .sql(&format!(
            "COPY other FROM 's3://files-a/other/' IAM_ROLE '{ROLE}' CSV JOB CREATE load_other AUTO ON"
        ))
        .await;
    // A transaction that is open for longer than the test waits.
    let lock = json!({"Sqls": ["LOCK TABLE sales IN ACCESS EXCLUSIVE MODE", "SELECT pg_sleep(600)"],
        "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"});
    let held = local.json("redshift-data", "BatchExecuteStatement", lock).await.json()["Id"].clone();
    let locked = "SELECT count(*) FROM pg_locks WHERE relation = 'sales'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    local.until("the lock", || async { (local.rows(locked).await == [["1"]]).then_some(()) }).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "P").await;
    for number in 0..3 {
        let key = format!("other/{number}.csv");
        local.put("files-a", &key, format!("{number}\n")).await;
        local.file_status(&key, "I").await;
    }
    assert_eq!(local.rows("SELECT count(*) FROM other").await, [["3"]]);
    local.json("redshift-data", "CancelStatement", json!({"Id": held})).await.ok();
    local.file_status("in/one.csv", "I").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_file_becomes_rows_and_appears_in_the_views() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql(&job("load_sales", "")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.put("files-a", "elsewhere/two.csv", GOOD).await;
    local.file_status("in/one.csv", "I").await;
    assert_eq!(
        local.rows("SELECT id, name, value FROM sales ORDER BY id").await,
        [["1", "a", "1.50"], ["2", "b", "2.50"]]
    );
    assert_eq!(local.rows("SELECT job_name, is_auto FROM sys_copy_job").await, [["load_sales", "1"]]);
    assert_eq!(
        local.rows("SELECT file_location, file_size, file_etag FROM sys_copy_job_detail").await,
        [["files-a", &GOOD.len().to_string(), "e"]]
    );
    assert_eq!(
        local
            .rows("SELECT status, loaded_rows, copy_job_id > 0, source_file_count FROM sys_load_history")
            .await,
        [["completed", "2", "true", "1"]]
    );
    assert_eq!(
        local.rows("SELECT filename, lines_scanned FROM stl_load_commits").await,
        [["s3://files-a/in/one.csv", "2"]]
    );
    assert_eq!(
        local.rows("SELECT bucket, channel_state FROM svv_copy_job_integrations").await,
        [["files-a", "Established"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn text_columns_of_the_system_views_are_padded() {
    let local = Local::start().await;
    ready(&local).await;
    local.sql(&job("j", "")).await;
    let described = local.sql("SELECT job_name, job_text, iam_role FROM sys_copy_job").await;
    let result =
        local.json("redshift-data", "GetStatementResult", json!({"Id": described["Id"]})).await.json();
    let length = |column: usize| result["Records"][0][column]["stringValue"].as_str().map(str::len);
    assert_eq!((length(0), length(1), length(2)), (Some(128), Some(256), Some(128)));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_with_a_bad_row_fails_and_is_not_retried() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql(&job("j", "")).await;
    local
        .put(
            "files-a",
            "in/bad.csv",
            "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n2,b,x5,2026-01-02 03:04:05\n",
        )
        .await;
    local.file_status("in/bad.csv", "E").await;
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["0"]], "one bad row fails the run");
    let detail = "SELECT file_name, line_number, column_name, column_type, error_code, error_message FROM sys_load_error_detail";
    let expected = [
        "s3://files-a/in/bad.csv",
        "3",
        "value",
        "numeric",
        "1207",
        "Invalid digit, Value 'x', Pos 0, Type: Decimal",
    ];
    assert_eq!(local.rows(detail).await, [expected]);
    let old =
        "SELECT filename, line_number, colname, raw_line, raw_field_value, err_code FROM stl_load_errors";
    let expected = ["s3://files-a/in/bad.csv", "3", "value", "2,b,x5,2026-01-02 03:04:05", "x5", "1207"];
    assert_eq!(local.rows(old).await, [expected]);
    let joined = "SELECT h.status, h.copy_job_id = j.job_id FROM sys_load_error_detail e JOIN sys_load_history h USING (query_id) \
                  CROSS JOIN sys_copy_job j";
    assert_eq!(local.rows(joined).await, [["aborted", "true"]]);
    let info = local.rows("SELECT message FROM sys_copy_job_info").await;
    assert!(info[0][0].contains("in/bad.csv") && info[0][0].contains("sys_load_error_detail"), "{info:?}");
    // A corrected file under the same name is not loaded, and the next file is.
    local.put("files-a", "in/bad.csv", GOOD).await;
    local.put("files-a", "in/good.csv", GOOD).await;
    local.file_status("in/good.csv", "I").await;
    local.file_status("in/bad.csv", "E").await;
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_files_and_loaded_names_are_ignored() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    let before = jiff::Timestamp::now();
    local.sql(&job("j", "")).await;
    local.put_at("files-a", "in/old.csv", GOOD, before).await;
    local.put("files-a", "in/new.csv", GOOD).await;
    local.file_status("in/new.csv", "I").await;
    local.put("files-a", "in/new.csv", GOOD).await;
    local.put("files-a", "in/last.csv", GOOD).await;
    local.file_status("in/last.csv", "I").await;
    let files = local.rows("SELECT TRIM(file_name) FROM sys_copy_job_detail ORDER BY 1").await;
    assert_eq!(files, [["in/last.csv"], ["in/new.csv"]]);
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["4"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_dropped_and_made_again_has_forgotten_its_files() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql(&job("j", "")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "I").await;
    local.sql("COPY JOB DROP j").await;
    assert_eq!(local.rows("SELECT count(*) FROM sys_copy_job").await, [["0"]]);
    local.sql(&job("j", "")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "I").await;
    assert_eq!(local.rows("SELECT count(*) FROM sales").await, [["4"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_cluster_runs_no_job_and_loads_after_it_was_resumed() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql(&job("j", "")).await;
    local.redshift(TARGET, "PauseCluster", &[("ClusterIdentifier", "c1")]).await.ok();
    local.cluster_status("paused").await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.redshift(TARGET, "ResumeCluster", &[("ClusterIdentifier", "c1")]).await.ok();
    local.cluster_status("available").await;
    local.file_status("in/one.csv", "I").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_an_integration_stays_pending_and_sees_no_file() {
    let local = Local::start().await;
    ready(&local).await;
    local.gateway.bucket("files-a", SOURCE);
    local.sql(&job("j", "")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    assert_eq!(
        local.rows("SELECT channel_state, job_state FROM svv_copy_job_integrations").await,
        [["Pending", "1"]]
    );
    assert_eq!(local.rows("SELECT count(*) FROM sys_copy_job_detail").await, [["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_remains_after_its_integration_is_deleted() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    let arn = local.integration(&namespace, "files-a").await;
    local.sql(&job("j", "")).await;
    local.redshift(SOURCE, "DeleteIntegration", &[("IntegrationArn", &arn)]).await.ok();
    local
        .until("the end of the integration", || async {
            let answer = local.redshift(SOURCE, "DescribeIntegrations", &[("IntegrationArn", &arn)]).await;
            (answer.code() == "IntegrationNotFoundFault").then_some(())
        })
        .await;
    local.put("files-a", "in/one.csv", GOOD).await;
    assert_eq!(local.rows("SELECT count(*) FROM sys_copy_job_detail").await, [["0"]]);
    assert!(local.sql_error(&job("j", "")).await.contains("already exists"));
    assert!(local.gateway.entries("files-a").is_empty(), "Redshift's notification has gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_auto_off_loads_when_it_is_run_or_set_to_auto() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql(&job("j", "AUTO OFF")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "P").await;
    local.sql("COPY JOB RUN j").await;
    local.file_status("in/one.csv", "I").await;
    local.put("files-a", "in/two.csv", GOOD).await;
    local.file_status("in/two.csv", "P").await;
    local.sql("COPY JOB ALTER j AUTO ON").await;
    local.file_status("in/two.csv", "I").await;
    assert_eq!(local.rows("COPY JOB LIST").await.len(), 1);
    assert!(local.rows("COPY JOB SHOW j").await[0][1].contains("JOB CREATE j"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_role_fails_the_run_and_not_the_creation() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql("COPY sales FROM 's3://files-a/in/' IAM_ROLE 'arn:aws:iam::222222222222:role/other' CSV JOB CREATE j").await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "E").await;
    let info = local.rows("SELECT message FROM sys_copy_job_info").await;
    assert!(
        info[0][0].contains("is not authorized to assume IAM Role arn:aws:iam::222222222222:role/other"),
        "{info:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn job_ddl_is_rejected_in_a_transaction_block() {
    let local = Local::start().await;
    ready(&local).await;
    let batch = |sql: String, mode: &str| json!({"Sqls": [sql, "SELECT 1"], "ExecutionMode": mode, "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"});
    let refused = local.describe_request(batch(job("j", ""), "TRANSACTION")).await;
    assert_eq!(refused["Status"], "FAILED");
    assert!(refused["Error"].as_str().expect("an error").contains("cannot run inside a transaction block"));
    let done = local.describe_request(batch(job("j", ""), "AUTO_COMMIT")).await;
    assert_eq!(done["Status"], "FINISHED");
    let refused = local.describe_request(batch("COPY JOB DROP j".into(), "TRANSACTION")).await;
    assert!(refused["Error"].as_str().expect("an error").contains("cannot run inside a transaction block"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_job_is_rejected_at_creation() {
    let local = Local::start().await;
    ready(&local).await;
    let base = "COPY sales FROM 's3://files-a/in/'";
    for (sql, words) in [
        (format!("{base} IAM_ROLE '{ROLE}' CSV MAXERROR 1 JOB CREATE j"), "MAXERROR"),
        (format!("{base} IAM_ROLE '{ROLE}' CSV MANIFEST JOB CREATE j"), "manifest"),
        (format!("{base} IAM_ROLE default CSV JOB CREATE j"), "default IAM role"),
        (format!("{base} IAM_ROLE '{ROLE}' CSV JOB CREATE a-b"), "hyphen"),
        (
            format!("COPY nowhere FROM 's3://files-a/in/' IAM_ROLE '{ROLE}' CSV JOB CREATE j"),
            "\"nowhere\" does not exist",
        ),
    ] {
        let error = local.sql_error(&sql).await;
        assert!(error.contains(words), "{sql}: {error}");
    }
    local.sql(&job("j", "")).await;
    assert!(local.sql_error(&job("j", "")).await.contains("already exists"));
    assert!(local.sql_error("COPY JOB DROP other").await.contains("does not exist"));
    local.sql(&job(&"n".repeat(127), "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_user_needs_grants_and_sees_own_rows() {
    let local = Local::start().await;
    ready(&local).await;
    local.user("loader").await;
    local.sql(&job("of_admin", "")).await;
    let refused = local.describe_as("loader", &job("of_loader", "")).await;
    assert!(
        refused["Error"].as_str().expect("an error").contains("permission denied to create copy jobs"),
        "{refused}"
    );
    local.sql("GRANT CREATE FOR COPY JOBS IN DATABASE dev TO loader").await;
    let refused = local.describe_as("loader", &job("of_loader", "")).await;
    assert!(refused["Error"].as_str().expect("an error").contains("permission denied"), "{refused}");
    local.sql("GRANT INSERT ON sales TO loader").await;
    assert_eq!(local.describe_as("loader", &job("of_loader", "")).await["Status"], "FINISHED");
    assert_eq!(local.rows_as("loader", "SELECT job_name FROM sys_copy_job").await, [["of_loader"]]);
    let refused = local.describe_as("loader", "COPY JOB DROP of_admin").await;
    assert!(
        refused["Error"].as_str().expect("an error").contains("permission denied to drop copy jobs"),
        "{refused}"
    );
    assert_eq!(local.rows("SELECT count(*) FROM sys_copy_job").await, [["2"]], "a superuser sees all");
    let access = "SELECT user_name, superuser, syslog_access FROM svv_user_info";
    assert_eq!(local.rows_as("loader", access).await, [["loader", "false", "RESTRICTED"]]);
    local.sql("ALTER USER loader SYSLOG ACCESS UNRESTRICTED").await;
    assert_eq!(local.rows_as("loader", access).await, [["loader", "false", "UNRESTRICTED"]]);
    assert!(
        local.rows(access).await.contains(&["admin", "true", "UNRESTRICTED"].map(str::to_owned).to_vec())
    );
    assert_eq!(local.rows_as("loader", "SELECT count(*) FROM sys_copy_job").await, [["2"]]);
    local.sql("ALTER USER loader SYSLOG ACCESS RESTRICTED").await;
    assert_eq!(local.rows_as("loader", "SELECT count(*) FROM sys_copy_job").await, [["1"]]);
    let refused = local.describe_as("loader", "ALTER USER loader SYSLOG ACCESS UNRESTRICTED").await;
    assert_eq!(refused["Status"], "FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_role_is_for_its_users_once_public_has_lost_it() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.user("loader").await;
    local.user("other").await;
    local.sql("GRANT INSERT ON sales TO loader, other").await;
    local.sql("GRANT CREATE, DROP FOR COPY JOBS IN DATABASE dev TO loader").await;
    let copy = format!("COPY sales FROM 's3://files-a/in/' IAM_ROLE '{ROLE}' CSV NOLOAD");
    let outcome = async |user: &str| {
        let described = local.describe_as(user, &copy).await;
        described["Error"].as_str().unwrap_or_default().to_owned()
    };
    let may = format!("SELECT has_assumerole_privilege('{ROLE}', 'copy')");
    let nothing_there = "prefix 'in/' does not exist";
    assert!(outcome("other").await.contains(nothing_there));
    assert_eq!(local.rows_as("other", &may).await, [["true"]]);
    let grant = format!("GRANT ASSUMEROLE ON '{ROLE}' TO loader FOR COPY");
    assert!(local.sql_error(&grant).await.contains("does not imitate GRANT ASSUMEROLE before REVOKE"));

    let refused = local.describe_as("other", "REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL").await;
    assert!(refused["Error"].as_str().expect("an error").contains("must be superuser"), "{refused}");
    local.sql("REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL").await;
    let error = outcome("other").await;
    let words = format!("User other does not have ASSUMEROLE permission on IAM role \"{ROLE}\" for COPY");
    assert!(error.contains(&words), "{error}");
    assert_eq!(local.rows_as("other", &may).await, [["false"]]);
    local.sql(&grant).await;
    assert!(outcome("loader").await.contains(nothing_there));
    let users = format!(
        "SELECT usename FROM pg_user WHERE NOT usesuper AND has_assumerole_privilege(usename, '{ROLE}', 'copy')"
    );
    assert_eq!(local.rows(&users).await, [["loader"]]);
    assert!(!local.sql_error(&copy).await.contains("ASSUMEROLE"), "a superuser keeps it");

    // A job runs as its owner: without the role, its files are rejected.
    assert_eq!(local.describe_as("loader", &job("j", "")).await["Status"], "FINISHED");
    let dropped = local.sql_error("DROP USER loader").await;
    assert!(
        dropped.contains("cannot be dropped because the user has a privilege on or owns copy jobs"),
        "{dropped}"
    );
    local.sql(&format!("REVOKE ASSUMEROLE ON '{ROLE}' FROM loader FOR COPY")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "E").await;
    assert_eq!(local.describe_as("loader", "COPY JOB DROP j").await["Status"], "FINISHED");
    local.sql("REVOKE CREATE, DROP FOR COPY JOBS IN DATABASE dev FROM loader").await;
    local.sql("REVOKE INSERT ON sales FROM loader").await;
    local.sql("DROP USER loader").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_hundred_and_first_job_is_refused() {
    let local = Local::start().await;
    ready(&local).await;
    for part in 0..5 {
        let jobs: Vec<String> = (0..40).map(|number| job(&format!("j_{part}_{number}"), "")).collect();
        let request = json!({"Sqls": jobs, "ExecutionMode": "AUTO_COMMIT", "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"});
        assert_eq!(local.describe_request(request).await["Status"], "FINISHED");
    }
    assert!(local.sql_error(&job("one_more", "")).await.contains("limit of 200 copy jobs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_stops_without_authorisation_or_notification() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    let arn = local.integration(&namespace, "files-a").await;
    local.sql(&job("j", "")).await;
    local.redshift(TARGET, "DeleteResourcePolicy", &[("ResourceArn", &namespace)]).await.ok();
    let answer = local.integration_status(&arn, "needs_attention").await;
    assert!(answer.text("ErrorMessage").expect("a reason").contains("AuthorizeInboundIntegration"));
    local.put("files-a", "in/one.csv", GOOD).await;
    local
        .until("Inactive", || async {
            let rows = local.rows("SELECT channel_state FROM svv_copy_job_integrations").await;
            (rows == [["Inactive"]]).then_some(())
        })
        .await;
    local.authorize_source(&namespace, "files-a").await;
    let described = local.redshift(SOURCE, "DescribeIntegrations", &[("IntegrationArn", &arn)]).await;
    assert_eq!(described.text("Status").as_deref(), Some("active"));
    let entries = std::mem::take(
        &mut local.gateway.state().buckets.get_mut("files-a").expect("the bucket").notifications,
    );
    local.put("files-a", "in/two.csv", GOOD).await;
    local.gateway.state().buckets.get_mut("files-a").expect("the bucket").notifications = entries;
    local.put("files-a", "in/three.csv", GOOD).await;
    local.file_status("in/three.csv", "I").await;
    assert_eq!(local.rows("SELECT TRIM(file_name) FROM sys_copy_job_detail").await, [["in/three.csv"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_prefixes_in_any_spelling_are_loaded() {
    let local = Local::start().await;
    let namespace = local.cluster().await;
    local.role().await;
    local.integration(&namespace, "files-a").await;
    for (number, odd) in
        ["it''s", "a\\\\b", "x; DROP TABLE y", "-- c", "/* c */", "🦀 é", "$$"].into_iter().enumerate()
    {
        // The text of the literal, and the text without the literal's escapes.
        let plain = odd.replace("''", "'").replace("\\\\", "\\");
        let table = format!("\"t {plain}\"\"{number}\"");
        let column = format!("\"c {plain}\"");
        local.sql(&format!("CREATE TABLE {table} ({column} int, \"other\" varchar(9))")).await;
        local
            .sql(&format!(
                "COPY \"public\".{table} ({column}) FROM 's3://files-a/{number} {odd}/' IAM_ROLE '{ROLE}' FORMAT AS CSV NULL AS '{odd}' \
                 JOB CREATE odd_{number} AUTO ON"
            ))
            .await;
        let key = format!("{number} {plain}/file.csv");
        local.put("files-a", &key, format!("7\n{plain}\n")).await;
        local
            .until(&key, || async {
                let rows = local.rows(&format!("SELECT {column} FROM {table} ORDER BY 1")).await;
                let info = local.rows("SELECT message FROM sys_copy_job_info").await;
                assert!(info.is_empty(), "{info:?}");
                (rows == [["7"], ["NULL"]]).then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_has_its_own_tables_views_and_jobs() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql("CREATE DATABASE other").await;
    let run = async |sql: &str| {
        let request = json!({"Sql": sql, "ClusterIdentifier": "c1", "Database": "other", "DbUser": "admin"});
        let described = local.describe_request(request).await;
        assert_eq!(described["Status"], "FINISHED", "{sql}: {}", described["Error"]);
        described
    };
    run("CREATE TABLE sales (id int PRIMARY KEY, name varchar(10), value decimal(10,2), t timestamp)").await;
    run(&job("j", "")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.put("files-a", "in/again.csv", GOOD).await;
    local
        .until("both files", || async {
            let loaded = "SELECT 1 FROM sys_copy_job_detail WHERE status = 'I'";
            (run(loaded).await["ResultRows"] == 2).then_some(())
        })
        .await;
    assert_eq!(run("SELECT * FROM sales").await["ResultRows"], 4, "a primary key refuses no row");
    assert_eq!(local.rows("SELECT count(*) FROM sys_copy_job").await, [["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serverless_warehouse_loads_too_and_has_no_stl_views() {
    let local = Local::start().await;
    local.gateway.role("copy", "redshift.amazonaws.com");
    let request = json!({"namespaceName": "ns-1", "adminUsername": "admin", "adminUserPassword": PASSWORD, "iamRoles": [ROLE]});
    let namespace = local.json("redshift-serverless", "CreateNamespace", request).await.json();
    let arn = namespace["namespace"]["namespaceArn"].as_str().expect("an ARN").to_owned();
    local
        .json(
            "redshift-serverless",
            "CreateWorkgroup",
            json!({"workgroupName": "wg-1", "namespaceName": "ns-1"}),
        )
        .await
        .ok();
    local
        .until("the workgroup", || async {
            let found = local
                .json("redshift-serverless", "GetWorkgroup", json!({"workgroupName": "wg-1"}))
                .await
                .json();
            (found["workgroup"]["status"] == "AVAILABLE").then_some(())
        })
        .await;
    let secret = "arn:aws:secretsmanager:us-east-1:222222222222:secret:wh";
    local.gateway.secret(secret, &json!({"username": "admin", "password": PASSWORD}));
    let run = async |sql: &str| {
        let request = json!({"Sql": sql, "WorkgroupName": "wg-1", "Database": "dev", "SecretArn": secret});
        local.describe_request(request).await
    };
    assert_eq!(
        run("CREATE TABLE sales (id int, name varchar, value decimal(10,2), t timestamp)").await["Status"],
        "FINISHED"
    );
    assert_eq!(run(&job("j", "")).await["Status"], "FINISHED");
    local.integration(&arn, "files-a").await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local
        .until("two rows", || async { (run("SELECT * FROM sales").await["ResultRows"] == 2).then_some(()) })
        .await;
    assert_eq!(run("SELECT * FROM sys_load_history").await["ResultRows"], 1);
    let refused = run("SELECT * FROM stl_load_commits").await;
    assert!(
        refused["Error"].as_str().expect("an error").contains("\"stl_load_commits\" does not exist"),
        "{refused}"
    );
}

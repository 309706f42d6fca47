//! Auto-copy, with exactly the holes that Redshift documents.

mod support;

use support::{Local, ROLE};

const GOOD: &str = "id,name,value,timestamp\n1,a,1.5,2026-01-02 03:04:05\n2,b,2.5,2026-01-02 03:04:06\n";

async fn ready(local: &Local) -> String {
    let namespace = local.cluster().await;
    local.role().await;
    local.sql("CREATE TABLE sales (id int NOT NULL, name varchar(10), value decimal(10,2), \"timestamp\" timestamp)").await;
    namespace
}

fn job(name: &str, tail: &str) -> String {
    format!(
        "COPY public.sales FROM 's3://files-a/in/' IAM_ROLE '{ROLE}' CSV IGNOREHEADER 1 JOB CREATE {name} {tail}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_arrives_after_the_job_becomes_rows_and_shows_in_the_views() {
    let local = Local::start().await;
    let namespace = ready(&local).await;
    local.integration(&namespace, "files-a").await;
    local.sql(&job("load_sales", "")).await;
    local.put("files-a", "in/one.csv", GOOD).await;
    local.file_status("in/one.csv", "I").await;
    assert_eq!(
        local.rows("SELECT id, name, value FROM sales ORDER BY id").await,
        [["1", "a", "1.50"], ["2", "b", "2.50"]]
    );
    assert_eq!(local.rows("SELECT job_name, is_auto FROM sys_copy_job").await, [["load_sales", "1"]]);
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

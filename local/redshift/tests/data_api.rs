//! The Data API.

#![allow(clippy::expect_used, reason = "tests")]

use crate::support::{Local, PASSWORD, TARGET};
use serde_json::json;

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:222222222222:secret:warehouse";

fn by_secret(sql: &str) -> serde_json::Value {
    json!({"Sql": sql, "ClusterIdentifier": "c1", "Database": "dev", "SecretArn": SECRET})
}

fn as_admin(sql: &str) -> serde_json::Value {
    json!({"Sql": sql, "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"})
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_logs_in_as_its_user() {
    let local = Local::start().await;
    local.cluster().await;
    local
        .gateway
        .secret(SECRET, &json!({"username": "admin", "password": PASSWORD, "dbClusterIdentifier": "c1"}));
    let described = local.describe_request(by_secret("SELECT current_user")).await;
    assert_eq!((&described["Status"], &described["DbUser"]), (&json!("FINISHED"), &json!("admin")));
    local
        .gateway
        .secret(SECRET, &json!({"username": "admin", "password": "Wrong-123", "dbClusterIdentifier": "c1"}));
    let described = local.describe_request(by_secret("SELECT 1")).await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(described["Error"], "FATAL: password authentication failed for user \"admin\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_secret_is_rejected_at_once() {
    let local = Local::start().await;
    local.cluster().await;
    local
        .gateway
        .secret(SECRET, &json!({"username": "admin", "password": PASSWORD, "dbClusterIdentifier": "other"}));
    let refused = local.json("redshift-data", "ExecuteStatement", by_secret("SELECT 1")).await;
    assert_eq!(refused.code(), "ValidationException");
    assert!(refused.body.contains("dbClusterIdentifier other"), "{}", refused.body);
    local.gateway.secret(SECRET, &json!({"username": "admin", "password": PASSWORD}));
    let refused = local.json("redshift-data", "ExecuteStatement", by_secret("SELECT 1")).await;
    assert_eq!(refused.code(), "ValidationException", "{}", refused.body);
    assert!(refused.body.contains("has no key dbClusterIdentifier"), "{}", refused.body);
    local.gateway.deny("secretsmanager:GetSecretValue");
    let refused = local.json("redshift-data", "ExecuteStatement", by_secret("SELECT 1")).await;
    assert_eq!(refused.code(), "AccessDeniedException");
    assert!(refused.body.contains("secretsmanager:GetSecretValue"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_user_needs_get_cluster_credentials() {
    let local = Local::start().await;
    local.cluster().await;
    let request = json!({"Sql": "SELECT current_user", "ClusterIdentifier": "c1", "Database": "dev"});
    let role = "arn:aws:sts::222222222222:assumed-role/loader/session";
    let id = local.json_as(role, "redshift-data", "ExecuteStatement", request).await.json()["Id"].clone();
    local
        .until("the result", || async {
            let answer = local.json_as(role, "redshift-data", "GetStatementResult", json!({"Id": id})).await;
            (answer.status == 200).then(|| assert!(answer.body.contains("IAMR:loader"), "{}", answer.body))
        })
        .await;
    local.gateway.deny("redshift:GetClusterCredentials");
    let refused = local.json("redshift-data", "ExecuteStatement", as_admin("SELECT 1")).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDeniedException"));
    let question = local.gateway.state().asked.last().expect("asked").clone();
    assert_eq!(question["resource"], "arn:aws:redshift:us-east-1:222222222222:dbuser:c1/admin");
    local.gateway.state().denied.clear();
    local.json("redshift-data", "ExecuteStatement", as_admin("SELECT 1")).await.ok();
    let question = local.gateway.state().asked.last().expect("asked").clone();
    assert_eq!(question["resource"], "arn:aws:redshift:us-east-1:222222222222:dbname:c1/dev");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_fields_by_type_and_comes_in_pages() {
    let local = Local::start().await;
    local.cluster().await;
    let sql = "SELECT g AS number, g > 1 AS flag, 1.5::float8 AS double, 2.50::decimal(5,2) AS exact, null::int AS nothing, \
               DATE '2026-01-02' AS day FROM generate_series(1, 1500) g";
    let described = local.sql(sql).await;
    assert_eq!((&described["ResultRows"], &described["HasResultSet"]), (&json!(1500), &json!(true)));
    let id = &described["Id"];
    let first = local.json("redshift-data", "GetStatementResult", json!({"Id": id})).await.json();
    assert_eq!(first["TotalNumRows"], 1500);
    assert_eq!(
        first["Records"][0],
        json!([{"longValue": 1}, {"booleanValue": false}, {"doubleValue": 1.5}, {"stringValue": "2.50"}, {"isNull": true},
               {"stringValue": "2026-01-02"}])
    );
    assert_eq!(first["ColumnMetadata"][0]["name"], "number");
    let next = local
        .json("redshift-data", "GetStatementResult", json!({"Id": id, "NextToken": first["NextToken"]}))
        .await
        .json();
    assert_eq!(next["Records"].as_array().map(Vec::len), Some(500));
    assert_eq!(next["NextToken"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_statement_has_its_error_in_describe() {
    let local = Local::start().await;
    local.cluster().await;
    let described = local.describe_sql("SELECT * FROM nowhere").await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(described["Error"], "ERROR: relation \"nowhere\" does not exist\n  Position: 15");
    let refused = local.json("redshift-data", "GetStatementResult", json!({"Id": described["Id"]})).await;
    assert_eq!(refused.code(), "ResourceNotFoundException");
    let several = local.sql_error("SELECT 1; SELECT 2").await;
    assert!(several.contains("cannot insert multiple commands into a prepared statement"), "{several}");
}

#[tokio::test(flavor = "multi_thread")]
async fn named_parameters_are_values_and_each_must_be_used() {
    let local = Local::start().await;
    local.cluster().await;
    local.sql("CREATE TABLE t (id int, name varchar(20))").await;
    let insert = json!({"Sql": "INSERT INTO t VALUES (:id, :name)", "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin",
        "Parameters": [{"name": "id", "value": "7"}, {"name": "name", "value": "it's \\ :id"}]});
    let described = local.describe_request(insert).await;
    assert_eq!(
        (&described["Status"], &described["ResultRows"]),
        (&json!("FINISHED"), &json!(1)),
        "{}",
        described["Error"]
    );
    assert_eq!(local.rows("SELECT id, name FROM t").await, [["7", "it's \\ :id"]]);
    for parameters in [json!([{"name": "x", "value": "1"}]), json!([{"name": "id", "value": ""}])] {
        let mut request = as_admin("SELECT :id");
        request["Parameters"] = parameters;
        let refused = local.json("redshift-data", "ExecuteStatement", request).await;
        assert_eq!(refused.code(), "ValidationException", "{}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_transaction_unless_it_says_auto_commit() {
    let local = Local::start().await;
    local.cluster().await;
    local.sql("CREATE TABLE t (id int)").await;
    let batch = |mode: Option<&str>| {
        let mut request = json!({"Sqls": ["INSERT INTO t VALUES (1)", "SELECT nonsense", "INSERT INTO t VALUES (2)"],
            "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"});
        if let Some(mode) = mode {
            request["ExecutionMode"] = json!(mode);
        }
        request
    };
    let described = local.describe_request(batch(None)).await;
    let statuses: Vec<&str> = described["SubStatements"]
        .as_array()
        .expect("parts")
        .iter()
        .filter_map(|part| part["Status"].as_str())
        .collect();
    assert_eq!(statuses, ["FINISHED", "FAILED", "ABORTED"]);
    assert!(described["Error"].as_str().expect("an error").contains("Query #2"), "{described}");
    assert_eq!(local.rows("SELECT count(*) FROM t").await, [["0"]]);
    let described = local.describe_request(batch(Some("AUTO_COMMIT"))).await;
    assert_eq!(described["Status"], "FAILED");
    assert_eq!(local.rows("SELECT count(*) FROM t").await, [["2"]]);
    let done = json!({"Sqls": ["SELECT 1 AS one", "SELECT 2 AS two"], "ClusterIdentifier": "c1", "Database": "dev", "DbUser": "admin"});
    let described = local.describe_request(done).await;
    let second = described["SubStatements"][1]["Id"].as_str().expect("an id");
    assert!(second.ends_with(":2"), "{second}");
    let result = local.json("redshift-data", "GetStatementResult", json!({"Id": second})).await.json();
    assert_eq!(result["Records"], json!([[{"longValue": 2}]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_and_request_give_the_same_statement() {
    let local = Local::start().await;
    local.cluster().await;
    let mut request = as_admin("CREATE TABLE once (id int)");
    request["ClientToken"] = json!("token");
    let first = local.json("redshift-data", "ExecuteStatement", request.clone()).await.json();
    let again = local.json("redshift-data", "ExecuteStatement", request.clone()).await.json();
    assert_eq!(first["Id"], again["Id"]);
    request["Sql"] = json!("SELECT 1");
    assert_eq!(local.json("redshift-data", "ExecuteStatement", request).await.code(), "ValidationException");
    assert_eq!(local.ended(&first["Id"]).await["Status"], "FINISHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_belongs_to_its_role_and_is_unknown_to_others() {
    let local = Local::start().await;
    local.cluster().await;
    let role = |name: &str| format!("arn:aws:sts::{TARGET}:assumed-role/{name}/session");
    let run =
        local.json_as(&role("one"), "redshift-data", "ExecuteStatement", as_admin("SELECT 1")).await.json();
    let ask = json!({"Id": run["Id"]});
    let other_session = format!("arn:aws:sts::{TARGET}:assumed-role/one/another");
    local.json_as(&other_session, "redshift-data", "DescribeStatement", ask.clone()).await.ok();
    for operation in ["DescribeStatement", "GetStatementResult", "CancelStatement"] {
        let refused = local.json_as(&role("two"), "redshift-data", operation, ask.clone()).await;
        assert_eq!(refused.code(), "ResourceNotFoundException", "{operation}");
    }
    let listed =
        local.json_as(&role("two"), "redshift-data", "ListStatements", json!({"Status": "ALL"})).await.json();
    assert_eq!(listed["Statements"], json!([]));
    let listed =
        local.json_as(&role("one"), "redshift-data", "ListStatements", json!({"Status": "ALL"})).await.json();
    assert_eq!(listed["Statements"][0]["Id"], run["Id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_statement_is_aborted() {
    let local = Local::start().await;
    local.cluster().await;
    let id =
        local.json("redshift-data", "ExecuteStatement", as_admin("SELECT pg_sleep(60)")).await.json()["Id"]
            .clone();
    local
        .until("STARTED", || async {
            let described = local.json("redshift-data", "DescribeStatement", json!({"Id": id})).await.json();
            (described["Status"] == "STARTED").then_some(())
        })
        .await;
    assert_eq!(
        local.json("redshift-data", "CancelStatement", json!({"Id": id})).await.json(),
        json!({"Status": true})
    );
    assert_eq!(local.ended(&id).await["Status"], "ABORTED");
    let refused = local.json("redshift-data", "CancelStatement", json!({"Id": id})).await;
    assert_eq!(refused.code(), "ValidationException");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_answers_at_the_end_of_the_statement() {
    let local = Local::start().await;
    local.cluster().await;
    let mut request = as_admin("SELECT 1");
    request["WaitTimeSeconds"] = json!(20);
    let answer = local.json("redshift-data", "ExecuteStatement", request).await.json();
    assert_eq!((&answer["Status"], &answer["HasResultSet"]), (&json!("FINISHED"), &json!(true)));
    let mut request = as_admin("SELECT pg_sleep(60)");
    request["WaitTimeSeconds"] = json!(1);
    let answer = local.json("redshift-data", "ExecuteStatement", request).await.json();
    assert_eq!(answer["Status"], "STARTED");
    local.json("redshift-data", "CancelStatement", json!({"Id": answer["Id"]})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn event_of_a_failed_statement_has_no_error_text() {
    let local = Local::start().await;
    local.cluster().await;
    let mut request = as_admin("SELECT * FROM nowhere");
    request["WithEvent"] = json!(true);
    request["StatementName"] = json!("probe");
    let described = local.describe_request(request).await;
    let event = local.until("the event", || async { local.gateway.state().events.first().cloned() }).await;
    assert_eq!(event["source"], "aws.redshift-data");
    assert_eq!(event["detail_type"], "Redshift Data Statement Status Change");
    assert_eq!(event["resources"], json!(["arn:aws:redshift:us-east-1:222222222222:cluster:c1"]));
    let detail = &event["detail"];
    assert_eq!(
        (&detail["state"], &detail["statementName"], &detail["statementId"]),
        (&json!("FAILED"), &json!("probe"), &described["Id"])
    );
    assert!(!event.to_string().contains("nowhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_or_paused_warehouse_takes_no_statement() {
    let local = Local::start().await;
    local.cluster().await;
    let mut request = as_admin("SELECT 1");
    request["ClusterIdentifier"] = json!("other");
    let refused = local.json("redshift-data", "ExecuteStatement", request).await;
    assert!(refused.body.contains("Redshift endpoint doesn't exist in this region."), "{}", refused.body);
    local.redshift(TARGET, "PauseCluster", &[("ClusterIdentifier", "c1")]).await.ok();
    let refused = local.json("redshift-data", "ExecuteStatement", as_admin("SELECT 1")).await;
    assert_eq!(refused.code(), "ValidationException");
    assert!(refused.body.contains("paused"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_actions_are_rejected_by_name() {
    let local = Local::start().await;
    local.cluster().await;
    for (name, value) in [("SessionKeepAliveSeconds", json!(60)), ("ResultFormat", json!("CSV"))] {
        let mut request = as_admin("SELECT 1");
        request[name] = value;
        let refused = local.json("redshift-data", "ExecuteStatement", request).await;
        assert!(
            refused.status == 400 && refused.body.contains("does not imitate"),
            "{name}: {}",
            refused.body
        );
    }
    let refused = local.json("redshift-data", "ListTables", json!({})).await;
    assert!(refused.body.contains("redshift-data:ListTables"), "{}", refused.body);
    let refused = local.redshift(TARGET, "ResizeCluster", &[]).await;
    assert!(refused.body.contains("redshift:ResizeCluster"), "{}", refused.body);
    let error = local.sql_error(&format!("CREATE TABLE {} (id int)", "t".repeat(64))).await;
    assert!(error.contains("does not imitate identifiers longer than 63 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_fold_to_lower_case_and_backslashes_escape() {
    let local = Local::start().await;
    local.cluster().await;
    local
        .sql("CREATE TABLE \"Sales; DROP\" (\"Id\" int, \"é\"\"x\" text) DISTSTYLE ALL SORTKEY (\"Id\")")
        .await;
    local.sql("INSERT INTO \"sales; drop\" VALUES (1, 'a\\\\b\\'c')").await;
    assert_eq!(local.rows("SELECT ID, \"é\"\"X\" FROM \"SALES; drop\"").await, [["1", "a\\b'c"]]);
    assert_eq!(
        local.rows("SELECT column_name FROM svv_columns WHERE table_name = 'sales; drop' ORDER BY 1").await,
        [["id"], ["é\"x"]]
    );
}

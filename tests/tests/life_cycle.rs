//! The life cycle of stacks: creation, update, failure, deletion in either order, new deployment.

#![allow(clippy::unwrap_used)]

use cloud::aws::Account;
use cloud::sql::Database;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Error, Options, SOURCE, TARGET, kit};
use end_to_end::{Hold, PATIENCE};
use serde_json::json;

/// Returns the names of the kit's resources that are left in both accounts.
fn leftovers(cloud: &Cloud, namespace: &str, bucket: &str) -> Vec<String> {
    let (target, source) = (cloud.account(TARGET), cloud.account(SOURCE));
    let mut left = Vec::new();
    let integrations = source.query("redshift", "DescribeIntegrations", &[]).unwrap();
    left.extend(integrations.all("IntegrationArn").iter().map(|one| format!("integration {}", one.value)));
    let clusters = target.query("redshift", "DescribeClusters", &[]).unwrap();
    left.extend(clusters.all("IamRoleArn").iter().map(|one| format!("role {}", one.value)));
    left.extend(
        clusters
            .all("Key")
            .iter()
            .filter(|key| key.value.starts_with("sluice:"))
            .map(|key| key.value.clone()),
    );
    if let Ok(policy) = target.query("redshift", "GetResourcePolicy", &[("ResourceArn", namespace)]) {
        left.extend(
            policy.text("Policy").filter(|text| text.contains("Sluice")).map(|text| format!("policy {text}")),
        );
    }
    left.extend(source.bucket_policy(bucket).unwrap().map(|policy| format!("bucket policy {policy}")));
    left
}

#[test]
fn stacks_are_created_updated_and_deleted_without_leftovers() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    let stacks = (&warehouse, &target, &source);
    kit::job(&cloud, "sluice-job", stacks, &kit::SAMPLE_JOB).unwrap();
    let database = kit::database(&cloud, &warehouse);
    let jobs = |sql: &str| database.query(sql).unwrap().rows;
    let auto = "SELECT is_auto FROM sys_copy_job";
    assert_eq!(jobs(auto), [[Some("1".to_owned())]]);

    // AUTO changes in place.
    let before = cloud.account(TARGET).physical_id("sluice-job", "CopyJob").unwrap();
    let mut parameters = kit::SAMPLE_JOB.to_vec();
    parameters.push(("Auto", "false"));
    kit::job(&cloud, "sluice-job", stacks, &parameters).unwrap();
    assert_eq!(jobs(auto), [[Some("0".to_owned())]]);
    assert_eq!(cloud.account(TARGET).physical_id("sluice-job", "CopyJob").unwrap(), before);

    // Every other change is rejected with a remedy, and the stack is rolled back.
    parameters.push(("SourcePrefix", "elsewhere/"));
    let refused = kit::job(&cloud, "sluice-job", stacks, &parameters).unwrap_err();
    let Error::Stack { status, reason, .. } = &refused else { panic!("{refused}") };
    assert_eq!(status, "UPDATE_ROLLBACK_COMPLETE");
    assert!(
        reason.contains("already has job \"load_measurements\", of which only `Auto` can change"),
        "{reason}"
    );
    assert_eq!(jobs(auto), [[Some("0".to_owned())]]);

    // The target account's stacks are deleted first. The source stack can still be deleted.
    cloud.account(TARGET).delete_stack("sluice-job").unwrap();
    assert_eq!(jobs("SELECT job_name FROM sys_copy_job"), Vec::<Vec<Option<String>>>::new());
    cloud.account(TARGET).delete_stack("sluice-target").unwrap();
    // The target stack is deployed again while the source stack stays. Its new loader is given the
    // table that the old one left to the admin.
    let table = [("LoaderTables", "public.measurements")];
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &table).unwrap();
    let again = kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB);
    assert!(again.is_ok(), "{again:?}");
    cloud.account(TARGET).delete_stack("sluice-job").unwrap();
    cloud.account(TARGET).delete_stack("sluice-target").unwrap();
    cloud.account(SOURCE).delete_stack("sluice-source").unwrap();
    let left = leftovers(&cloud, &warehouse["NamespaceArn"], &source["BucketName"]);
    assert_eq!(left, Vec::<String>::new());

    // The warehouse's secret was created by its stack and is deleted with it.
    cloud.account(TARGET).delete_stack("sluice-warehouse").unwrap();
    cloud.account(TARGET).delete_stack("sluice-network").unwrap();
}

/// Attaches a role without permissions to the cluster, lets the loader use it, and returns its ARN. A
/// job with this role fails after its table was created.
fn unreadable_role(account: &Account, cluster: &str, database: &Database, loader: &str) -> String {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"redshift.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let words = [("RoleName", "cannot-read"), ("AssumeRolePolicyDocument", trust)];
    let role = account.query("iam", "CreateRole", &words).unwrap().text("Arn").unwrap();
    let words = [("ClusterIdentifier", cluster), ("AddIamRoles.IamRoleArn.1", &role)];
    account.query("redshift", "ModifyClusterIamRoles", &words).unwrap();
    wait::until("the role in sync", PATIENCE, || {
        let found = account.query("redshift", "DescribeClusters", &[])?;
        let in_sync = found.all("ApplyStatus").iter().all(|status| status.value == "in-sync");
        Ok(if in_sync { Seen::Yes(()) } else { Seen::NotYet("adding".into()) })
    })
    .unwrap();
    database.query(&format!("GRANT ASSUMEROLE ON '{role}' TO {loader} FOR COPY")).unwrap();
    role
}

#[test]
fn failing_job_leaves_nothing_and_paused_cluster_names_resume() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    let stacks = (&warehouse, &target, &source);

    // The role is attached but may not read. The table that the failed request created is dropped.
    let account = cloud.account(TARGET);
    let cluster = warehouse["ClusterIdentifier"].as_str();
    let database = kit::database(&cloud, &warehouse);
    let role = unreadable_role(&account, cluster, &database, &target["LoaderUserName"]);
    let mut parameters = kit::SAMPLE_JOB.to_vec();
    parameters.push(("CopyRoleArn", &role));
    let refused = kit::job(&cloud, "sluice-job", stacks, &parameters).unwrap_err();
    let Error::Stack { reason, .. } = &refused else { panic!("{refused}") };
    assert!(reason.contains("property `CopyRoleArn`") && reason.contains("cannot read bucket"), "{reason}");
    let tables =
        database.query("SELECT table_name FROM information_schema.tables WHERE table_name = 'measurements'");
    assert_eq!(tables.unwrap().rows, Vec::<Vec<Option<String>>>::new());
    account.delete_stack("sluice-job").unwrap();

    // A job on a paused cluster cannot be dropped. The reason has the command that resumes the
    // cluster, and then the deletion succeeds.
    kit::job(&cloud, "sluice-job", stacks, &kit::SAMPLE_JOB).unwrap();
    let words = [("ClusterIdentifier", cluster)];
    account.query("redshift", "PauseCluster", &words).unwrap();
    let status = |wanted: &str| {
        wait::until(&format!("the cluster {wanted}"), PATIENCE, || {
            let found = account.query("redshift", "DescribeClusters", &words)?;
            let status = found.text("ClusterStatus").unwrap_or_default();
            Ok(if status == wanted { wait::Seen::Yes(()) } else { wait::Seen::NotYet(status) })
        })
        .unwrap();
    };
    status("paused");
    let refused = account.delete_stack("sluice-job").unwrap_err();
    let Error::Stack { status: end, reason, .. } = &refused else { panic!("{refused}") };
    assert_eq!(end, "DELETE_FAILED");
    assert!(
        reason.contains(&format!("aws redshift resume-cluster --cluster-identifier {cluster}")),
        "{reason}"
    );
    account.query("redshift", "ResumeCluster", &words).unwrap();
    status("available");
    let deleted = account.delete_stack("sluice-job");
    assert!(deleted.is_ok(), "{deleted:?}: {:#?}", account.stack_events("sluice-job"));
    assert_eq!(
        database.query("SELECT job_name FROM sys_copy_job").unwrap().rows,
        Vec::<Vec<Option<String>>>::new()
    );
}

#[test]
fn failing_job_never_drops_a_table_with_rows() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    let account = cloud.account(TARGET);
    let database = kit::database(&cloud, &warehouse);
    let loader = target["LoaderUserName"].as_str();
    let role = unreadable_role(&account, &warehouse["ClusterIdentifier"], &database, loader);
    let mut parameters = kit::SAMPLE_JOB.to_vec();
    parameters.push(("CopyRoleArn", &role));
    let assert_job_fails = || {
        let error = kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &parameters).unwrap_err();
        let Error::Stack { status, reason, .. } = &error else { panic!("{error}") };
        assert_eq!(status, "ROLLBACK_COMPLETE");
        assert!(reason.contains("cannot read bucket"), "{reason}");
        account.delete_stack("sluice-job").unwrap();
    };
    let insert = |name: &str| {
        database.query(&format!("INSERT INTO measurements (id, name) VALUES (1, '{name}')")).unwrap();
    };
    let names = || database.query("SELECT name FROM measurements").unwrap().rows;

    // The table existed before the stack.
    let columns = "id integer, name varchar(64), value decimal(10, 2), \"timestamp\" timestamp";
    database.query(&format!("CREATE TABLE measurements ({columns})")).unwrap();
    database.query(&format!("GRANT INSERT ON measurements TO {loader}")).unwrap();
    insert("before");
    assert_job_fails();
    assert_eq!(names(), [[Some("before".to_owned())]]);

    // The stack created the table, and a row was inserted before the stack failed.
    database.query("DROP TABLE measurements").unwrap();
    let rule = json!({"action": "redshift-data:ExecuteStatement", "principal": "*CopyJobRole*", "skip": 3});
    let hold = Hold::order(&account, &rule);
    std::thread::scope(|scope| {
        let failing = scope.spawn(assert_job_fails);
        hold.caught();
        insert("meanwhile");
        hold.release();
        failing.join().unwrap();
    });
    assert_eq!(names(), [[Some("meanwhile".to_owned())]]);
}

//! Calls of custom resources whose outcome is unknown for a while: each stack is created, and its
//! deletion leaves nothing. Faults at every call are in the functions' own tests.

#![allow(clippy::unwrap_used)]

use cloud::aws::Account;
use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use end_to_end::Hold;
use serde_json::{Value, json};

/// Runs `deploy`, and injects faults as soon as the local cloud has served the call of `hold`.
fn with_faults<T: Send>(
    account: &Account,
    hold: &Value,
    faults: &[Value],
    deploy: impl FnOnce() -> T + Send,
) -> T {
    let hold = Hold::order(account, hold);
    let deployed = std::thread::scope(|scope| {
        let deploying = scope.spawn(deploy);
        hold.caught();
        for fault in faults {
            account.rest("s3", "POST", "/_sluice/fault", &[], fault.to_string().as_bytes()).unwrap();
        }
        hold.release();
        deploying.join().unwrap()
    });
    account.rest("s3", "DELETE", "/_sluice/faults", &[], &[]).unwrap();
    deployed
}

fn after(action: &str, principal: &str, skip: usize) -> Value {
    json!({"action": action, "principal": principal, "phase": "after", "skip": skip})
}

fn fault(action: &str, code: &str, status: u16, times: u32) -> Value {
    json!({"action": action, "code": code, "status": status, "times": times})
}

#[test]
fn calls_without_an_outcome_leave_nothing_behind() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let account = cloud.account(TARGET);
    let no_wait = [("AccessGrantWaitSeconds", "0")];

    // The role is being attached, and the cluster cannot be described.
    let target = with_faults(
        &account,
        &after("redshift:ModifyClusterIamRoles", "*WarehouseRole*", 0),
        &[fault("redshift:DescribeClusters", "InternalFailure", 500, 4)],
        || kit::target(&cloud, &warehouse, &[SOURCE], &no_wait),
    )
    .unwrap();

    // The integration is being created, and is not visible yet.
    let source = with_faults(
        &account,
        &after("redshift:CreateIntegration", "*EventIntegrationRole*", 0),
        &[fault("redshift:DescribeIntegrations", "IntegrationNotFoundFault", 404, 2)],
        || kit::source(&cloud, SOURCE, &target, &no_wait),
    )
    .unwrap();

    // The job was created by the fifth statement, and its state cannot be read.
    let mut parameters = kit::SAMPLE_JOB.to_vec();
    parameters.extend(no_wait);
    with_faults(
        &account,
        &after("redshift-data:ExecuteStatement", "*CopyJobRole*", 4),
        &[fault("redshift-data:DescribeStatement", "ThrottlingException", 400, 12)],
        || kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &parameters),
    )
    .unwrap();
    let database = kit::database(&cloud, &warehouse);
    let jobs = || database.query("SELECT job_name FROM sys_copy_job").unwrap().rows.len();
    assert_eq!(jobs(), 1);

    account.delete_stack("sluice-job").unwrap();
    assert_eq!(jobs(), 0);
    cloud.account(SOURCE).delete_stack("sluice-source").unwrap();
    account.delete_stack("sluice-target").unwrap();
    let integrations = cloud.account(SOURCE).query("redshift", "DescribeIntegrations", &[]).unwrap();
    assert_eq!(integrations.all("IntegrationArn").len(), 0);
    let clusters = account.query("redshift", "DescribeClusters", &[]).unwrap();
    assert_eq!(clusters.all("IamRoleArn").len(), 0);
}

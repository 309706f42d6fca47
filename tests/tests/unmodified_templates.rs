//! Local deployments use the unmodified templates and functions of the checkout. `main_path.rs`
//! looks at the stacks that the demo deploys with SAM.

#![allow(clippy::unwrap_used)]

use cloud::{Cloud, Options, Profile, SOURCE, TARGET, deploy, kit};
use end_to_end::Secret;
use serde_json::json;

/// Compares a deployed stack with its files and returns the output; see `deployed.py`.
fn compare(cloud: &Cloud, mode: &str, profile: Profile, stack: &str, template: &str) -> String {
    let mut command = cloud.command("python");
    command.env("AWS_REGION", cloud.region());
    let words = format!("{}:{stack}:{template}", profile.name);
    let output = command.args(["tests/deployed.py", mode, &words]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stack} is not templates/{template}.yaml:\n{report}{errors}");
    report
}

/// Returns the number of functions in the stacks, from the output of `compare`.
fn functions(reports: &[String]) -> usize {
    reports.iter().filter_map(|text| text.split_whitespace().rev().nth(1)?.parse::<usize>().ok()).sum()
}

#[test]
fn tests_deploy_every_template_byte_for_byte() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    // The tests of the hub and the spoke deploy other stacks.
    let reports: Vec<_> = deploy::STACKS
        .iter()
        .filter(|stack| stack.name != "hub")
        .map(|stack| compare(&cloud, "text", stack.profile, &stack.stack_name(), stack.template))
        .collect();
    assert_eq!(functions(&reports), 7, "{reports:?}");
}

#[test]
fn every_rotation_template_deploys_with_sam_unmodified() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let account = cloud.account(TARGET);
    let log = std::env::temp_dir().join(format!("sluice-sam-rotation-{}.log", std::process::id()));
    let place = format!("{}:{}", account.region(), TARGET.account);
    let cluster = format!("arn:aws:kafka:{place}:cluster/main/0a1b2c");
    let key = format!("arn:aws:kms:{place}:key/0a1b2c");
    let bus = format!("arn:aws:events:{place}:event-bus/default");
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("rotation-sql", &[("Engine", "postgres")]),
        ("rotation-redshift", &[("RedshiftAccess", "data-api"), ("ClusterIdentifier", "main")]),
        ("rotation-kafka", &[]),
        ("rotation-msk", &[("MskClusterArn", &cluster), ("SecretKeyArn", &key)]),
        (
            "rotation-elasticache",
            &[
                ("Engine", "elasticache-token"),
                ("ReplicationGroupId", "cache"),
                ("EndpointHost", "localhost"),
            ],
        ),
        ("rotation-api-key", &[("ApiKeyPreset", "schema-registry")]),
        ("consumers", &[("ConsumerBusArn", &bus)]),
    ];
    for (stack, parameters) in cases {
        let secret = Secret::create(account.clone(), stack, &json!({}));
        let rotates = stack != "consumers";
        let mut parameters = [&[("SecretArn", secret.arn.as_str())], parameters].concat();
        parameters.extend(rotates.then_some(("RotateImmediately", "false")));
        deploy::with_sam(&cloud, stack, TARGET, &parameters, &log).unwrap();
        let (name, template) =
            if rotates { ("sluice-rotation", stack) } else { ("sluice-consumers", "rotation-consumers") };
        let report = compare(&cloud, "sam", TARGET, name, template);
        assert_eq!(functions(&[report]), usize::from(rotates), "{stack}");
        account.delete_stack(name).unwrap();
    }
    std::fs::remove_file(&log).unwrap();
}

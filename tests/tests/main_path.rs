//! The main file flow, deployed with SAM as users deploy it, and without SAM as the other tests do.

#![allow(clippy::unwrap_used)]

use std::{process::Command, time::Duration};

use cloud::{
    Cloud, Options, SOURCE, TARGET, deploy, kit,
    wait::{self, Seen},
    workspace,
};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn demo_deploys_files_unmodified_and_shows_rows_and_the_alert() {
    let demo = workspace::binary("sluice-cloud", "SLUICE_CLOUD_BIN").unwrap();
    let stacks = deploy::STACKS
        .iter()
        .map(|stack| format!("{}:{}:{}", stack.profile.name, stack.stack_name(), stack.template));
    let output = Command::new(demo)
        .args(["demo", "--", "python", "tests/deployed.py", "sam"])
        .args(stacks)
        .output()
        .unwrap();
    let status = output.status;
    let errors = String::from_utf8(output.stderr).unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(status.success(), "{errors}{output}");
    // The paragraphs of an alert are wrapped.
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let alert = "[ERROR] File rejected: load_measurements_";
    for expected in [
        "juliett",
        "active",
        "load_measurements_",
        "first.csv",
        "second.csv",
        "Invalid digit",
        alert,
        "line 4",
    ] {
        assert!(words.contains(expected), "the demo does not print `{expected}`:\n{output}");
    }
    assert!(!output.contains("kilo"), "a row of the malformed file was loaded:\n{output}");
    let functions: Vec<usize> = output
        .lines()
        .filter_map(|line| line.strip_suffix(" functions")?.split_whitespace().next_back()?.parse().ok())
        .collect();
    assert_eq!(functions.len(), deploy::STACKS.len(), "{output}");
    // Five of the hub, seven of custom resources, and the copy monitor, which is on with a hub.
    assert_eq!(functions.iter().sum::<usize>(), 13, "{output}");
}

#[test]
fn file_in_source_bucket_becomes_rows_in_target_warehouse() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();

    let file = b"id,name,value,timestamp\n1,\"one, two\",10.50,2026-01-05 08:00:00\n";
    cloud.account(SOURCE).put_object(&source["BucketName"], "first.csv", file).unwrap();

    let database = kit::database(&cloud, &warehouse);
    let found = wait::until("one row", PATIENCE, || {
        let found = database.query("SELECT id, name, value FROM public.measurements")?;
        Ok(if found.rows.is_empty() { Seen::NotYet("no row".into()) } else { Seen::Yes(found) })
    })
    .unwrap();
    let expected = ["1", "one, two", "10.50"].map(|value| Some(value.to_owned())).to_vec();
    assert_eq!(found.rows, [expected]);
    assert_eq!(cloud.account(TARGET).list_keys(&source["BucketName"], "").unwrap_err().status, 403);

    // The gateway has compared the calls of the functions with AWS's service models; a breach fails
    // this test when the cloud is dropped.
    let compared = cloud.account(TARGET).rest("s3", "GET", "/_sluice/breaches", &[], &[]).unwrap().json();
    for call in ["redshift CreateIntegration", "redshift-data ExecuteStatement", "s3 GetBucketPolicy"] {
        assert!(compared["compared"][call].as_u64() > Some(0), "no {call} in {compared}");
    }
}

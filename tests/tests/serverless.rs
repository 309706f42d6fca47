//! The main file flow with Redshift Serverless as the warehouse.

#![allow(clippy::unwrap_used)]

use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use end_to_end::PATIENCE;

#[test]
fn serverless_workgroup_loads_files_and_deletes_cleanly() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[("Kind", "serverless")]).unwrap();
    assert!(warehouse.contains_key("WorkgroupName"), "{warehouse:?}");
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    let file = b"id,name,value,timestamp\n1,one,1.00,2026-01-05 08:00:00\n";
    cloud.account(SOURCE).put_object(&source["BucketName"], "first.csv", file).unwrap();
    let database = kit::database(&cloud, &warehouse);
    wait::until("one row", PATIENCE, || {
        let rows = database.query("SELECT id FROM public.measurements")?.rows;
        Ok(if rows.len() == 1 { Seen::Yes(()) } else { Seen::NotYet(format!("{rows:?}")) })
    })
    .unwrap();
    // The source stack is deleted first; life_cycle.rs covers the other order.
    cloud.account(SOURCE).delete_stack("sluice-source").unwrap();
    cloud.account(TARGET).delete_stack("sluice-job").unwrap();
    cloud.account(TARGET).delete_stack("sluice-target").unwrap();
    let account = cloud.account(TARGET);
    let namespaces = account.json("redshift-serverless", "ListNamespaces", serde_json::json!({})).unwrap();
    assert_eq!(namespaces["namespaces"].as_array().unwrap().len(), 1);
    assert!(!namespaces.to_string().contains("role/sluice-target"), "{namespaces}");
}

//! The warehouse's own admin by the control plane, and a user of its database by SQL: through the Data API, where the function is in no VPC.

use std::collections::BTreeSet;

use cloud::stacks::Outputs;
use cloud::{Cloud, Options, TARGET, kit};
use end_to_end::{STACK, Secret};
use serde_json::{Value, json};

/// The Data API itself reads the log-in's secret, and only a statement that is too slow is cancelled (`rotation_redshift`).
const SPARED: [(&str, &str); 1] = [("ReadOwnStatements", "redshift-data:CancelStatement")];

/// Whether the Data API takes a value's credential, asked with a secret of the test's own.
fn logs_in(warehouse: &Outputs, probe: &Secret, value: &Value) -> bool {
    probe.put(&json!({"username": value["username"], "password": value["password"]}));
    let mut target = json!({"Database": warehouse["Database"], "SecretArn": probe.arn});
    for name in ["ClusterIdentifier", "WorkgroupName"] {
        if let Some(found) = warehouse.get(name) {
            target[name] = found.as_str().into();
        }
    }
    let database = cloud::sql::Database::new(probe.account.clone(), target);
    match database.query("SELECT 1") {
        Ok(rows) => rows.rows.len() == 1,
        Err(error) if error.chain().contains("password authentication failed") => false,
        Err(error) => panic!("{}", error.chain()),
    }
}

/// What the stack is told of the warehouse.
fn place(warehouse: &Outputs) -> Vec<(&str, &str)> {
    let names = ["ClusterIdentifier", "WorkgroupName", "WorkgroupArn"];
    let mut told: Vec<_> = names
        .into_iter()
        .filter_map(|name| warehouse.get(name).map(|value| (name, value.as_str())))
        .collect();
    if warehouse.contains_key("WorkgroupName") {
        told.push(("NamespaceArn", &warehouse["NamespaceArn"]));
    }
    told.push(("RedshiftAccess", "data-api"));
    told
}

/// The value of the stack's probe secret, which is blank between logins.
fn probe_secret(secret: &Secret) -> Value {
    let arn = secret.account.physical_id(STACK, "ProbeSecret").unwrap();
    Secret { account: secret.account.clone(), arn }.value()
}

/// Three rotations of the admin that the warehouse's stack made; then every grant by itself.
fn admin_rotates(kind: &str, spared: &[(&str, &str)], grants: usize) {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[("Kind", kind)]).unwrap();
    let secret = Secret { account: cloud.account(TARGET), arn: warehouse["SecretArn"].clone() };
    let probe = Secret::create(cloud.account(TARGET), "probe", &json!({}));
    let mut values = vec![secret.value()];
    assert!(logs_in(&warehouse, &probe, &values[0]));
    let mut parameters = place(&warehouse);
    parameters.push(("RedshiftChange", "control-plane"));
    secret.deploy_rotation("redshift", &parameters);
    for turn in 0..3 {
        if turn > 0 {
            secret.rotate();
        }
        values.push(secret.rotated(&values[turn]));
        assert!(logs_in(&warehouse, &probe, &values[turn + 1]));
        assert!(!logs_in(&warehouse, &probe, &values[turn]), "turn {turn}: the old password still logs in");
    }
    // Endpoint, database and the marks of the stack that wrote them stay; the address follows the password, if it holds one.
    let but = ["password", "jdbc"];
    assert_eq!(crate::others(&values[3], &but), crate::others(&values[0], &but));
    assert_eq!(probe_secret(&secret), json!({}), "the probe secret is blank");
    let works = |value: &Value| logs_in(&warehouse, &probe, value);
    assert_eq!(secret.every_grant_is_needed(&[&SPARED, spared].concat(), &works), grants);
    assert_eq!(probe_secret(&secret), json!({}), "the probe secret is blank");
    let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
    crate::nothing_shows(&secret, &values.iter().map(password).collect::<BTreeSet<_>>());
    cloud.check().unwrap();
}

#[test]
fn the_admin_of_a_cluster_rotates_by_modify_cluster_without_a_vpc() {
    admin_rotates("provisioned", &[], 13);
}

#[test]
fn the_admin_of_a_serverless_namespace_rotates_by_update_namespace_without_a_vpc() {
    admin_rotates("serverless", &crate::OF_EVERY_ENGINE, 9);
}

#[test]
fn a_user_of_the_database_rotates_by_itself_and_by_the_warehouses_admin() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    kit::database(&cloud, &warehouse).query("CREATE USER loader PASSWORD 'First-password-1'").unwrap();
    let admin = Secret { account: cloud.account(TARGET), arn: warehouse["SecretArn"].clone() };
    let mut value = admin.value();
    for key in ["jdbc", "sluice"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value["username"] = "loader".into();
    value["password"] = "First-password-1".into();
    value["note"] = "keep me".into();
    let secret = Secret::create(cloud.account(TARGET), "loader", &value);
    let probe = Secret::create(cloud.account(TARGET), "probe", &json!({}));
    let mut values = vec![value];
    let mut parameters = place(&warehouse);
    parameters.push(("PasswordHashFormat", "md5"));
    secret.deploy_rotation("redshift", &parameters);
    values.push(secret.rotated(&values[0]));
    parameters.extend([("AdminSecretArn", warehouse["SecretArn"].as_str()), ("RotateImmediately", "false")]);
    secret.deploy_rotation("redshift", &parameters);
    secret.wait_until_nothing_is_pending();
    secret.rotate();
    values.push(secret.rotated(&values[1]));
    let good: Vec<bool> = values.iter().map(|value| logs_in(&warehouse, &probe, value)).collect();
    assert_eq!(good, [false, false, true]);
    assert_eq!(crate::others(&values[2], &["password"]), crate::others(&values[0], &["password"]));
    assert_eq!(probe_secret(&secret), json!({}), "the probe secret is blank");
    let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
    crate::nothing_shows(&secret, &values.iter().skip(1).map(password).collect());
}

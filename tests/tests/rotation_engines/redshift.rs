//! The warehouse's admin through the control plane, and a database user through SQL; both through
//! the Data API, with the function outside of a VPC.

use std::collections::BTreeSet;

use cloud::stacks::Outputs;
use cloud::{Cloud, Options, TARGET, kit};
use end_to_end::{STACK, Secret};
use serde_json::{Value, json};

/// Only a statement that is too slow is cancelled, which `rotation_redshift` tests.
const SPARED: [(&str, &str); 1] = [("ReadOwnStatements", "redshift-data:CancelStatement")];

/// Returns true if the Data API accepts a value's credential, with a secret of the test.
fn logs_in(warehouse: &Outputs, probe: &Secret, value: &Value) -> bool {
    let mut login = json!({"username": value["username"], "password": value["password"]});
    if let Some(cluster) = warehouse.get("ClusterIdentifier") {
        login["dbClusterIdentifier"] = cluster.as_str().into();
    }
    probe.put(&login);
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

/// Parameters of the stack that name the warehouse.
fn place(warehouse: &Outputs) -> Vec<(&str, &str)> {
    let names = ["ClusterIdentifier", "WorkgroupName", "WorkgroupArn"];
    let mut parameters: Vec<_> = names
        .into_iter()
        .filter_map(|name| warehouse.get(name).map(|value| (name, value.as_str())))
        .collect();
    if warehouse.contains_key("WorkgroupName") {
        parameters.push(("NamespaceArn", &warehouse["NamespaceArn"]));
    }
    parameters.push(("RedshiftAccess", "data-api"));
    parameters
}

/// Returns true if the stack's probe secret holds no credential, as between logins. Its first value
/// is random text.
fn probe_secret_is_blank(secret: &Secret) -> bool {
    let arn = secret.account.physical_id(STACK, "ProbeSecret").unwrap();
    let probe = Secret { account: secret.account.clone(), arn };
    let answer = probe.call("GetSecretValue", json!({})).unwrap();
    let value = serde_json::from_str::<Value>(answer["SecretString"].as_str().unwrap());
    !value.is_ok_and(|value| value.get("password").is_some() || value.get("username").is_some())
}

/// Rotates the admin of the warehouse's stack three times, then removes each permission.
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
        assert!(!logs_in(&warehouse, &probe, &values[turn]), "turn {turn}: the old password is still valid");
    }
    // Endpoint, database and the marks of their stack stay; an address follows the password.
    let but = ["password", "jdbc"];
    assert_eq!(super::others(&values[3], &but), super::others(&values[0], &but));
    assert!(probe_secret_is_blank(&secret));
    let works = |value: &Value| logs_in(&warehouse, &probe, value);
    assert_eq!(secret.every_grant_is_needed(&[&SPARED, spared].concat(), &works), grants);
    assert!(probe_secret_is_blank(&secret));
    let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
    super::nothing_shows(&secret, &values.iter().map(password).collect::<BTreeSet<_>>());
    cloud.check().unwrap();
}

#[test]
fn cluster_admin_rotates_with_modify_cluster_without_vpc() {
    admin_rotates("provisioned", &[], 13);
}

#[test]
fn namespace_admin_rotates_with_update_namespace_without_vpc() {
    admin_rotates("serverless", &super::OF_EVERY_ENGINE, 9);
}

#[test]
fn redshift_user_rotates_itself_and_through_admin() {
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
    assert_eq!(super::others(&values[2], &["password"]), super::others(&values[0], &["password"]));
    assert!(probe_secret_is_blank(&secret));
    let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
    super::nothing_shows(&secret, &values.iter().skip(1).map(password).collect());
}

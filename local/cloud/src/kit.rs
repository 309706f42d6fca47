//! Deploys the kit's stacks without the SAM CLI, see [`crate::stacks`]. The outputs of one stack
//! become parameters of the next, as in `scripts/deploy`.
//!
//! The stacks have the names from `samconfig/`, such as `sluice-network`. Every function takes
//! `further` parameters, which override those from other stacks.

use serde_json::json;

use crate::{Cloud, Error, Profile, TARGET, aws::Account, deploy, sql::Database, stacks::Outputs};

/// The bucket that [`source`] creates in an account, as `scripts/deploy` names it.
pub fn bucket(cloud: &Cloud, profile: Profile) -> String {
    format!("sluice-{}-{}", profile.account, cloud.region())
}

/// Parameters of a job over files like those in `local/sample`.
pub const SAMPLE_JOB: [(&str, &str); 6] = [
    ("JobName", "load_measurements"),
    ("TableName", "measurements"),
    ("CreateTable", "true"),
    ("TableColumns", "id integer not null; name varchar(64); value decimal(10,2); timestamp timestamp"),
    ("Format", "CSV"),
    ("IgnoreHeader", "1"),
];

/// Deploys the network and the warehouse in the target account.
///
/// # Errors
/// A stack failed.
pub fn warehouse(cloud: &Cloud, further: &[(&str, &str)]) -> Result<Outputs, Error> {
    let account = cloud.account(TARGET);
    let network = account.deploy("sluice-network", "network", &[("NatGateways", "none")])?;
    let derived = [
        ("VpcId", output(&network, "VpcId")),
        ("SubnetIds", output(&network, "PrivateSubnetIds")),
        ("Architecture", deploy::architecture()),
    ];
    account.deploy("sluice-warehouse", "warehouse", &merged(&derived, further))
}

/// Deploys the target stack, which authorises the buckets of `sources`.
///
/// # Errors
/// The stack failed.
pub fn target(
    cloud: &Cloud,
    warehouse: &Outputs,
    sources: &[Profile],
    further: &[(&str, &str)],
) -> Result<Outputs, Error> {
    let accounts = sources.iter().map(|source| source.account).collect::<Vec<_>>().join(",");
    let buckets = sources.iter().map(|source| bucket(cloud, *source)).collect::<Vec<_>>().join(",");
    let derived = [
        ("ClusterIdentifier", output(warehouse, "ClusterIdentifier")),
        ("WorkgroupName", output(warehouse, "WorkgroupName")),
        ("WorkgroupArn", output(warehouse, "WorkgroupArn")),
        ("NamespaceArn", output(warehouse, "NamespaceArn")),
        ("MonitorDatabase", output(warehouse, "Database")),
        ("AdminSecretArn", output(warehouse, "SecretArn")),
        ("AdminSecretKeyArn", output(warehouse, "SecretKeyArn")),
        ("RestrictRoles", "true"),
        ("SourceAccounts", &accounts),
        ("SourceBuckets", &buckets),
        ("Architecture", deploy::architecture()),
    ];
    cloud.account(TARGET).deploy("sluice-target", "copy-target", &merged(&derived, further))
}

/// Deploys the source stack of one account.
///
/// # Errors
/// The stack failed.
pub fn source(
    cloud: &Cloud,
    profile: Profile,
    target: &Outputs,
    further: &[(&str, &str)],
) -> Result<Outputs, Error> {
    let bucket = bucket(cloud, profile);
    let derived = [
        ("BucketName", bucket.as_str()),
        ("TargetNamespaceArn", output(target, "NamespaceArn")),
        ("CopyRoleArn", output(target, "CopyRoleArn")),
        ("Architecture", deploy::architecture()),
    ];
    cloud.account(profile).deploy("sluice-source", "copy-source", &merged(&derived, further))
}

/// Deploys the stack `stack` with a job for the bucket of a source stack.
///
/// # Errors
/// The stack failed.
pub fn job(
    cloud: &Cloud,
    stack: &str,
    (warehouse, target, source): (&Outputs, &Outputs, &Outputs),
    further: &[(&str, &str)],
) -> Result<Outputs, Error> {
    let in_workgroup = warehouse.contains_key("WorkgroupName");
    let derived = [
        ("ClusterIdentifier", output(warehouse, "ClusterIdentifier")),
        ("WorkgroupName", output(warehouse, "WorkgroupName")),
        ("WorkgroupArn", output(warehouse, "WorkgroupArn")),
        ("NamespaceArn", if in_workgroup { output(warehouse, "NamespaceArn") } else { "" }),
        ("Database", output(warehouse, "Database")),
        ("WarehouseSecretArn", output(target, "LoaderSecretArn")),
        ("CopyRoleArn", output(target, "CopyRoleArn")),
        ("SourceBucket", output(source, "BucketName")),
        ("SourcePrefix", output(source, "Prefix")),
        ("Architecture", deploy::architecture()),
    ];
    cloud.account(TARGET).deploy(stack, "copy-job", &merged(&derived, further))
}

/// Deploys the stack `stack`, which rotates the secret in `further`, from the template that
/// `scripts/deploy` selects for its engine.
///
/// # Errors
/// The stack failed, or there is no template for the engine.
pub fn rotation(
    account: &Account,
    stack: &str,
    engine: &str,
    further: &[(&str, &str)],
) -> Result<Outputs, Error> {
    let own = format!("rotation-{engine}");
    let (template, has_engine) = match engine {
        "postgres" | "mysql" => ("rotation-sql", true),
        "elasticache-user" | "elasticache-token" => ("rotation-elasticache", true),
        _ => (own.as_str(), false),
    };
    let derived =
        [("Engine", if has_engine { engine } else { "" }), ("Architecture", deploy::architecture())];
    account.deploy(stack, template, &merged(&derived, further))
}

/// Returns the warehouse's database, with its admin as the user.
pub fn database(cloud: &Cloud, warehouse: &Outputs) -> Database {
    let mut target = json!({
        "Database": output(warehouse, "Database"),
        "SecretArn": output(warehouse, "SecretArn"),
    });
    for name in ["ClusterIdentifier", "WorkgroupName"] {
        if let Some(value) = warehouse.get(name) {
            target[name] = value.as_str().into();
        }
    }
    Database::new(cloud.account(TARGET), target)
}

/// Returns an output, or an empty text if this kind of stack does not have it.
fn output<'a>(outputs: &'a Outputs, name: &str) -> &'a str {
    outputs.get(name).map(String::as_str).unwrap_or_default()
}

/// Merges parameters, without those that are empty. An empty value is the template's default.
fn merged<'a>(derived: &[(&'a str, &'a str)], further: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let given = |name: &str| further.iter().any(|(other, _)| *other == name);
    let derived = derived.iter().filter(|(name, value)| !value.is_empty() && !given(name));
    derived.chain(further).copied().collect()
}

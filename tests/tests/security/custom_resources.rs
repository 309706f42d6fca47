//! A principal that may do nothing but invoke the functions of the custom resources sends events of
//! its own. The functions have large roles, and do nothing that their stack did not deploy them for.

use cloud::aws::Account;
use cloud::{Cloud, Options, Profile, SOURCE, TARGET, kit};
use end_to_end::alerts::principal;
use end_to_end::{Answers, Function};
use serde_json::{Value, json};

/// An account of the attacker.
const EVIL: &str = "999999999999";

/// The stage: all stacks of one warehouse and one source.
struct Stage {
    cloud: Cloud,
    answers: Answers,
    warehouse: cloud::stacks::Outputs,
    target: cloud::stacks::Outputs,
    source: cloud::stacks::Outputs,
    invokers: [(Profile, Account); 2],
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
        let warehouse = kit::warehouse(&cloud, &[]).unwrap();
        let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
        let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
        kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
        // They may invoke every function and do nothing else.
        let invoker =
            |profile| principal(&cloud.account(profile), profile, "invoker", &["lambda:InvokeFunction"]);
        let invokers = [SOURCE, TARGET].map(|profile| (profile, invoker(profile)));
        Self { cloud, answers: Answers::start(), warehouse, target, source, invokers }
    }

    /// Returns a function that the invoker calls in the name of the stack's own resource.
    fn own(&self, profile: Profile, stack: &str, function: &str, resource: &str) -> Function<'_> {
        let function = Function::of(&self.cloud, profile, stack, function, &self.answers);
        self.by_invoker(function.as_resource(stack, resource), profile)
    }

    fn by_invoker<'a>(&self, mut function: Function<'a>, profile: Profile) -> Function<'a> {
        let found = self.invokers.iter().find(|(of, _)| of.account == profile.account);
        function.account = found.unwrap().1.clone();
        function
    }

    /// Returns everything that the functions can change.
    fn state(&self) -> Value {
        let (source, target) = (self.cloud.account(SOURCE), self.cloud.account(TARGET));
        let words = [("ResourceArn", self.warehouse["NamespaceArn"].as_str())];
        let policy = target.query("redshift", "GetResourcePolicy", &words).unwrap().text("Policy");
        let clusters = target.query("redshift", "DescribeClusters", &[]).unwrap();
        let values =
            |found: Vec<&cloud::aws::Element>| found.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
        let integrations = source.query("redshift", "DescribeIntegrations", &[]).unwrap();
        let secret = json!({"SecretId": self.warehouse["SecretArn"]});
        let jobs = kit::database(&self.cloud, &self.warehouse)
            .query("SELECT job_name, job_text, is_auto FROM sys_copy_job ORDER BY job_name");
        json!({
            "bucket policy": source.bucket_policy(&self.source["BucketName"]).unwrap(),
            "namespace policy": policy,
            "roles": values(clusters.all("IamRoleArn")),
            "tags": values(clusters.all("Key")),
            "integrations": values(integrations.all("IntegrationArn")),
            "integration names": values(integrations.all("IntegrationName")),
            "secret": target.json("secretsmanager", "GetSecretValue", secret).unwrap()["SecretString"],
            "jobs": jobs.unwrap().rows,
        })
    }
}

/// Returns `base` with the members of `change`.
fn with(base: &Value, change: Value) -> Value {
    let mut properties = base.clone();
    properties.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    properties
}

/// Checks that every request fails with the sentence about its property and its parameter.
#[track_caller]
fn refused(function: &Function<'_>, base: &Value, changes: &[(Value, &str, &str)]) {
    for (change, place, parameter) in changes {
        let reason = function.refusal("Create", &with(base, change.clone()), None);
        assert!(
            reason.starts_with(&format!("NotAllowed: {place}: the function's stack does not allow ")),
            "{reason}"
        );
        assert!(reason.contains(parameter), "{parameter} is not in: {reason}");
    }
}

#[test]
fn event_alone_gets_nothing_that_the_stack_did_not_deploy() {
    let stage = Stage::new();
    let before = stage.state();
    let bucket = stage.source["BucketName"].as_str();
    let cluster = stage.warehouse["ClusterIdentifier"].as_str();
    let secret = stage.warehouse["SecretArn"].as_str();

    // The bucket's policy: another account may read, everybody is locked out, another bucket.
    let statement = |effect: &str, who: Value| {
        json!([{"Sid": "Evil", "Effect": effect, "Principal": who, "Action": "s3:*",
            "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")]}])
    };
    let of_bucket = stage.own(SOURCE, "sluice-source", "BucketPolicyFunction", "BucketStatements");
    let base = json!({"BucketName": bucket, "Statements": []});
    let statements = "property `Statements[0]`";
    refused(
        &of_bucket,
        &base,
        &[
            (
                json!({"Statements": statement("Allow", json!({"AWS": EVIL}))}),
                statements,
                "`AllowedStatements`",
            ),
            (json!({"Statements": statement("Deny", json!("*"))}), statements, "`AllowedStatements`"),
            // The COPY role's account without the condition on the role.
            (
                json!({"Statements": [{"Sid": "CopyRoleReads", "Effect": "Allow", "Principal": {"AWS": TARGET.account},
            "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*")}]}),
                statements,
                "`AllowedStatements`",
            ),
            (
                json!({"BucketName": "another-bucket"}),
                "property `BucketName`",
                "`BucketName` of templates/copy-source.yaml",
            ),
        ],
    );

    // The integration: another bucket, another warehouse, a key of somebody else.
    let of_integration = stage.own(SOURCE, "sluice-source", "EventIntegrationFunction", "Integration");
    let namespace = stage.target["NamespaceArn"].as_str();
    let base = json!({"IntegrationName": "evil", "BucketName": bucket, "TargetArn": namespace});
    let elsewhere = namespace.replace(TARGET.account, EVIL);
    let key = format!("arn:aws:kms:us-east-1:{EVIL}:key/1");
    refused(
        &of_integration,
        &base,
        &[
            (json!({"BucketName": "another-bucket"}), "property `BucketName`", "`BucketName`"),
            (json!({"TargetArn": elsewhere}), "property `TargetArn`", "`TargetNamespaceArn`"),
            (json!({"KmsKeyId": key}), "property `KmsKeyId`", "`IntegrationKeyArn`"),
        ],
    );

    // The namespace's policy: another account, another bucket, no conditions, another warehouse.
    let of_namespace = stage.own(TARGET, "sluice-target", "ResourcePolicyFunction", "NamespacePolicy");
    let base =
        json!({"ClusterIdentifier": cluster, "SourceAccounts": [SOURCE.account], "SourceBuckets": [bucket]});
    refused(
        &of_namespace,
        &base,
        &[
            (
                json!({"SourceAccounts": [SOURCE.account, EVIL]}),
                "property `SourceAccounts[1]`",
                "`AllowedSourceAccounts`",
            ),
            (json!({"SourceBuckets": ["evil"]}), "property `SourceBuckets[0]`", "`AllowedSourceBuckets`"),
            (json!({"Conditions": "false"}), "property `Conditions`", "`SourceConditions`"),
            (json!({"ClusterIdentifier": "other"}), "property `ClusterIdentifier`", "`ClusterIdentifier`"),
            (
                json!({"ClusterIdentifier": null, "WorkgroupName": "other"}),
                "property `WorkgroupName`",
                "`WorkgroupName`",
            ),
        ],
    );

    // The warehouse's roles.
    let of_roles = stage.own(TARGET, "sluice-target", "WarehouseRoleFunction", "CopyRoleAttachment");
    let admin = format!("arn:aws:iam::{}:role/admin", TARGET.account);
    refused(
        &of_roles,
        &json!({"ClusterIdentifier": cluster}),
        &[(json!({"RoleArn": admin}), "property `RoleArn`", "`CopyRoleArn` of templates/copy-target.yaml")],
    );

    // The jobs: another database, table, source, role and owner; a second job on the same files.
    let of_job = stage.own(TARGET, "sluice-job", "CopyJobFunction", "CopyJob");
    let base = json!({
        "ClusterIdentifier": cluster, "Database": stage.warehouse["Database"],
        "WarehouseSecretArn": stage.target["LoaderSecretArn"], "JobName": "load_measurements", "TableName": "measurements", "Format": "CSV", "SourceBucket": bucket,
        "CopyRoleArn": stage.target["CopyRoleArn"], "Options": {"IgnoreHeader": "1"},
    });
    let other_secret = secret.replace(":secret:", ":secret:other-");
    refused(
        &of_job,
        &base,
        &[
            (json!({"Database": "postgres"}), "property `Database`", "`AllowedDatabases`"),
            (json!({"TableName": "salaries"}), "property `TableName`", "`AllowedTables`"),
            (json!({"SchemaName": "finance"}), "property `SchemaName`", "`AllowedSchemas`"),
            (json!({"JobName": "evil"}), "property `JobName`", "`AllowedJobNames`"),
            (
                json!({"SourceBucket": "evil"}),
                "property `SourceBucket` with `SourcePrefix`",
                "`AllowedSources`",
            ),
            (
                json!({"SourcePrefix": "evil/"}),
                "property `SourceBucket` with `SourcePrefix`",
                "`AllowedSources`",
            ),
            (
                json!({"Format": "JSON", "Options": {"JsonPaths": "s3://evil/map.json"}}),
                "property `Options.JsonPaths`",
                "`AllowedSources`",
            ),
            (json!({"CopyRoleArn": admin}), "property `CopyRoleArn`", "`AllowedCopyRoles`"),
            (
                // As the admin.
                json!({"WarehouseSecretArn": secret}),
                "property `WarehouseSecretArn`",
                "`WarehouseSecretArn`",
            ),
            (json!({"WarehouseSecretArn": null, "DbUser": "sluice_admin"}), "property `DbUser`", "`DbUser`"),
            (json!({"AllowOverlap": "true"}), "property `AllowOverlap`", "`AllowOverlap`"),
        ],
    );
    // Its mark is a hash, so a Delete names what the stack allows, too.
    let id = stage.cloud.account(TARGET).physical_id("sluice-job", "CopyJob").unwrap();
    let reason = of_job.refusal("Delete", &with(&base, json!({"JobName": "other"})), Some(&id));
    assert!(reason.starts_with("NotAllowed: property `JobName`"), "{reason}");

    // The admin's secret: driver parameters in the database's name, another secret.
    let of_secret = stage.own(TARGET, "sluice-warehouse", "SecretEndpointFunction", "AdminSecretEndpoint");
    let base =
        json!({"SecretArn": secret, "ClusterIdentifier": cluster, "Database": stage.warehouse["Database"]});
    refused(
        &of_secret,
        &base,
        &[
            (
                json!({"Database": "dev?ssl=false&socketFactory=evil.Factory"}),
                "property `Database`",
                "`DatabaseName`",
            ),
            (
                json!({"SecretArn": other_secret}),
                "property `SecretArn`",
                "no parameter of templates/warehouse.yaml",
            ),
            (json!({"ClusterIdentifier": "other"}), "property `ClusterIdentifier`", "no parameter"),
        ],
    );

    // The users: another database, secret, name, role, schema and table.
    let of_user = stage.own(TARGET, "sluice-target", "WarehouseUserFunction", "LoaderUser");
    let base = json!({
        "ClusterIdentifier": cluster, "Database": stage.warehouse["Database"], "AdminSecretArn": secret,
        "SecretArn": stage.target["LoaderSecretArn"], "UserName": "sluice_loader", "Purpose": "loader",
        "CopyRoleArn": stage.target["CopyRoleArn"], "Schemas": ["public"],
    });
    refused(
        &of_user,
        &base,
        &[
            (json!({"Database": "postgres"}), "property `Database`", "`MonitorDatabase`"),
            (json!({"AdminSecretArn": other_secret}), "property `AdminSecretArn`", "`AdminSecretArn`"),
            (json!({"SecretArn": secret}), "property `SecretArn`", "no parameter"),
            (json!({"UserName": "evil"}), "property `UserName`", "no parameter"),
            (json!({"CopyRoleArn": admin}), "property `CopyRoleArn`", "no parameter"),
            (json!({"Schemas": ["public", "finance"]}), "property `Schemas`", "`LoaderSchemas`"),
            (json!({"Tables": ["finance.salaries"]}), "property `Tables`", "`LoaderTables`"),
        ],
    );

    // Every function in the name of another stack, with properties that are allowed; and a Delete.
    for (profile, stack, function, properties) in [
        (SOURCE, "sluice-source", "BucketPolicyFunction", json!({"BucketName": bucket, "Statements": []})),
        (
            SOURCE,
            "sluice-source",
            "EventIntegrationFunction",
            json!({"IntegrationName": "evil", "BucketName": bucket, "TargetArn": namespace}),
        ),
        (
            TARGET,
            "sluice-target",
            "ResourcePolicyFunction",
            json!({"ClusterIdentifier": cluster, "SourceAccounts": [SOURCE.account], "SourceBuckets": [bucket]}),
        ),
        (
            TARGET,
            "sluice-target",
            "WarehouseRoleFunction",
            json!({"ClusterIdentifier": cluster, "RoleArn": stage.target["CopyRoleArn"]}),
        ),
        (
            TARGET,
            "sluice-warehouse",
            "SecretEndpointFunction",
            json!({"SecretArn": secret, "ClusterIdentifier": cluster, "Database": stage.warehouse["Database"]}),
        ),
    ] {
        let other = Function::of(&stage.cloud, profile, stack, function, &stage.answers);
        refused(&stage.by_invoker(other, profile), &properties, &[(json!({}), "resource `Direct`", "")]);
    }
    assert_eq!(stage.state(), before);

    forged_tickets(&stage, &of_integration, &of_roles, &before);
    other_stack_with_a_job_of_its_own(&stage);
}

/// Calls of the state machine for a ticket that no function issued.
fn forged_tickets(stage: &Stage, of_integration: &Function<'_>, of_roles: &Function<'_>, before: &Value) {
    let ticket = |id: &str, progress: Value| {
        json!({"Wait": "check", "Ticket": {
            "SealedUrl": "AAAA", "RequestId": "r", "RequestType": "Create", "LogicalResourceId": "Integration",
            "StackId": format!("arn:aws:cloudformation:us-east-1:{}:stack/evil/1", SOURCE.account),
            "PhysicalResourceId": id, "IdOnFailure": id, "Deadline": 4_000_000_000_u64, "Progress": progress,
        }})
    };
    let integration = before["integrations"][0].as_str().unwrap();
    let role = before["roles"][0].as_str().unwrap();
    let cluster = stage.warehouse["ClusterIdentifier"].as_str();
    for (function, event) in [
        (
            of_integration,
            ticket("sluice-event-integration:00000000:x", json!({"Arn": integration, "Goal": "Deleted"})),
        ),
        (
            of_roles,
            ticket(
                "sluice-warehouse-role:00000000:x",
                json!({"ClusterIdentifier": cluster, "WorkgroupName": null, "RoleArn": role, "Attached": false}),
            ),
        ),
    ] {
        let answer = function.account.invoke(&function.name, &event).unwrap().json();
        assert_eq!(answer["errorType"], "ResponseNotDelivered", "{answer}");
    }
    assert_eq!(stage.state(), *before);
}

/// A user's own template uses the function of the job's stack, which allows it.
fn other_stack_with_a_job_of_its_own(stage: &Stage) {
    let account = stage.cloud.account(TARGET);
    let function = account.physical_id("sluice-job", "CopyJobFunction").unwrap();
    let arn = format!("arn:aws:lambda:{}:{}:function:{function}", stage.cloud.region(), TARGET.account);
    let template = json!({"Resources": {"Orders": {"Type": "Custom::CopyJob", "Properties": {
        "ServiceToken": arn, "ServiceTimeout": "900", "ClusterIdentifier": stage.warehouse["ClusterIdentifier"],
        "Database": stage.warehouse["Database"], "WarehouseSecretArn": stage.target["LoaderSecretArn"],
        "JobName": "load_orders", "TableName": "orders", "CreateTable": "true", "TableColumns": ["id integer"],
        "Format": "CSV", "SourceBucket": stage.source["BucketName"], "SourcePrefix": "orders/",
        "CopyRoleArn": stage.target["CopyRoleArn"],
    }}}});
    let deploy = || account.deploy_text("team", &template.to_string(), &[]);
    let refused = deploy().unwrap_err().to_string();
    assert!(
        refused.contains("NotAllowed: resource `Orders`") && refused.contains("`AllowedResources`"),
        "{refused}"
    );
    account.delete_stack("team").unwrap();

    let sources = format!("s3://{}/*", stage.source["BucketName"]);
    let mut parameters = kit::SAMPLE_JOB.to_vec();
    parameters.extend([
        ("AllowedResources", "team/Orders"),
        ("AllowedJobNames", "load_orders"),
        ("AllowedTables", "orders,order_*"),
        ("AllowedSources", &sources),
    ]);
    let stacks = (&stage.warehouse, &stage.target, &stage.source);
    kit::job(&stage.cloud, "sluice-job", stacks, &parameters).unwrap();
    let deployed = deploy();
    assert!(deployed.is_ok(), "{deployed:?}");
    account.delete_stack("team").unwrap();
}

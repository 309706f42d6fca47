//! What a principal of each foothold is refused: `docs/security/attempts.md`, which this test writes.

use std::fmt::Write as _;
use std::path::Path;

use cloud::aws::{Account, AwsError};
use cloud::{Profile, SOURCE, TARGET};
use end_to_end::alerts::{AlertWorld, Flow, SPOKE_STACK, TARGET_STACK, principal};
use serde_json::{Value, json};

/// An account that no template names.
const STRANGER: &str = "999999999999";

/// The functions of the target's stack.
const FUNCTIONS: [&str; 3] = ["ResourcePolicyFunction", "WarehouseRoleFunction", "MonitorFunction"];

/// A call that must be refused.
struct Attempt {
    /// The call and its object, for the page.
    what: String,
    call: Call,
}

enum Call {
    Json(&'static str, &'static str, Value),
    Query(&'static str, &'static str, Vec<(&'static str, String)>),
    Rest(&'static str, &'static str, String, Vec<u8>),
}

impl Call {
    fn of(&self, account: &Account) -> Result<(), AwsError> {
        match self {
            Self::Json(service, action, input) => {
                let answer = account.json(service, action, input.clone())?;
                // PutEvents answers with a result for each event.
                match answer["Entries"][0]["ErrorCode"].as_str() {
                    Some(code) => Err(AwsError {
                        service: (*service).into(),
                        action: (*action).into(),
                        status: 200,
                        code: code.into(),
                        message: String::new(),
                    }),
                    None => Ok(()),
                }
            }
            Self::Query(service, action, words) => {
                let words: Vec<(&str, &str)> =
                    words.iter().map(|(name, value)| (*name, value.as_str())).collect();
                account.query(service, action, &words).map(|_| ())
            }
            Self::Rest(service, method, path, body) => {
                account.rest(service, method, path, &[("content-type", "application/json")], body).map(|_| ())
            }
        }
    }
}

fn json_call(what: &str, service: &'static str, action: &'static str, input: Value) -> Attempt {
    Attempt { what: format!("{action} {what}"), call: Call::Json(service, action, input) }
}

fn query_call(
    what: &str,
    service: &'static str,
    action: &'static str,
    words: &[(&'static str, &str)],
) -> Attempt {
    let words = words.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Attempt { what: format!("{action} {what}"), call: Call::Query(service, action, words) }
}

fn rest_call(what: &str, service: &'static str, method: &'static str, path: &str, body: &[u8]) -> Attempt {
    Attempt { what: what.to_owned(), call: Call::Rest(service, method, path.to_owned(), body.to_vec()) }
}

fn invoke(what: &str, function: &str) -> Attempt {
    let path = format!("/2015-03-31/functions/{}/invocations", function.replace(':', "%3A"));
    rest_call(&format!("Invoke {what}"), "lambda", "POST", &path, b"{}")
}

/// The deployed things that are attacked.
struct Objects {
    world: AlertWorld,
    flow: Flow,
    warehouse: String,
    ciphertext: String,
}

impl Objects {
    fn deploy() -> Self {
        let world = AlertWorld::new(&[], &[]);
        let flow = Flow::with_monitor(&world, &[]);
        let warehouse = flow.warehouse["SecretArn"].clone();
        let words = json!({"KeyId": world.outputs["TopicKeyArn"], "Plaintext": "c2VjcmV0"});
        let ciphertext =
            world.hub.json("kms", "Encrypt", words).unwrap()["CiphertextBlob"].as_str().unwrap().to_owned();
        Self { world, flow, warehouse, ciphertext }
    }

    fn function_arn(&self, account: &str, name: &str) -> String {
        format!("arn:aws:lambda:{}:{account}:function:{name}", self.world.cloud.region())
    }

    fn role_arn(&self, account: &str, name: &str) -> String {
        format!("arn:aws:iam::{account}:role/{name}")
    }

    /// The hub, from outside of its account.
    fn hub(&self) -> Vec<Attempt> {
        let hub_account = end_to_end::alerts::HUB.account;
        let mut all = Vec::new();
        for role in ["RotationRole", "FailureRole", "AccessRole", "DeadLetterRole", "SecretsRole"] {
            let arn = self.role_arn(hub_account, &self.world.resource(role));
            let words = [("RoleArn", arn.as_str()), ("RoleSessionName", "attempt")];
            all.push(query_call(&format!("of the hub's {role}"), "sts", "AssumeRole", &words));
        }
        for function in
            ["RotationFunction", "FailureFunction", "AccessFunction", "DeadLetterFunction", "SecretsFunction"]
        {
            let arn = self.function_arn(hub_account, &self.world.resource(function));
            all.push(invoke(&format!("the hub's {function}"), &arn));
        }
        for queue in ["RotationEventsQueue", "FailureEventsQueue", "CustomEventsQueue", "AccessEventsQueue"] {
            let url = self.world.resource(queue);
            let words = json!({"QueueUrl": url, "MessageBody": "{}"});
            all.push(json_call(&format!("to the hub's {queue}"), "sqs", "SendMessage", words));
        }
        let url = self.world.resource("RotationEventsDeadLetterQueue");
        let of_queue = "from the hub's RotationEventsDeadLetterQueue";
        all.push(json_call(of_queue, "sqs", "ReceiveMessage", json!({"QueueUrl": url})));
        all.push(json_call("of the same queue", "sqs", "PurgeQueue", json!({"QueueUrl": url})));
        let (topic, fallback) = (&self.world.outputs["TopicArn"], &self.world.outputs["FallbackTopicArn"]);
        for (name, arn) in [("alert topic", topic), ("fallback topic", fallback)] {
            let words = [("TopicArn", arn.as_str()), ("Message", "run this command")];
            all.push(query_call(&format!("on the hub's {name}"), "sns", "Publish", &words));
            let words =
                [("TopicArn", arn.as_str()), ("Protocol", "https"), ("Endpoint", "https://evil.example/")];
            all.push(query_call(&format!("to the hub's {name}"), "sns", "Subscribe", &words));
            let words = [("TopicArn", arn.as_str()), ("AttributeName", "Policy"), ("AttributeValue", "{}")];
            all.push(query_call(&format!("of the hub's {name}"), "sns", "SetTopicAttributes", &words));
        }
        let decrypt = json!({"CiphertextBlob": self.ciphertext});
        all.push(json_call("with the key of the hub's topic", "kms", "Decrypt", decrypt));
        let table = format!(
            "arn:aws:dynamodb:{}:{hub_account}:table/{}",
            self.world.cloud.region(),
            self.world.outputs["StateTable"]
        );
        let key = json!({"pk": {"S": "incident|alarm"}, "sk": {"S": "incident"}});
        all.push(json_call(
            "of the hub's state table",
            "dynamodb",
            "GetItem",
            json!({"TableName": table, "Key": key}),
        ));
        all.push(json_call(
            "into the hub's state table",
            "dynamodb",
            "PutItem",
            json!({"TableName": table, "Item": key}),
        ));
        let bus = &self.world.outputs["BusArn"];
        let rule = json!({"Name": "copy", "EventBusName": bus, "EventPattern": "{\"source\":[\"aws.secretsmanager\"]}"});
        all.push(json_call("on the hub's bus", "events", "PutRule", rule));
        let event = json!({"Entries": [{"EventBusName": bus, "Source": "aws.secretsmanager",
            "DetailType": "AWS Service Event via CloudTrail", "Detail": "{}"}]});
        all.push(json_call(
            "with the source aws.secretsmanager on the hub's bus",
            "events",
            "PutEvents",
            event,
        ));
        all
    }

    /// The target account with the warehouse, from outside of it.
    fn target(&self) -> Vec<Attempt> {
        let target = self.world.cloud.account(TARGET);
        let resource = |name: &str| target.physical_id(TARGET_STACK, name).unwrap();
        let mut all = Vec::new();
        for (name, arn) in [
            ("the target's CopyRole", self.flow.target["CopyRoleArn"].clone()),
            ("the target's MonitorRole", self.flow.target["MonitorRoleArn"].clone()),
            ("the target's read role", self.role_arn(TARGET.account, "sluice-alerts-read")),
        ] {
            let words = [("RoleArn", arn.as_str()), ("RoleSessionName", "attempt")];
            all.push(query_call(&format!("of {name}"), "sts", "AssumeRole", &words));
        }
        for function in FUNCTIONS {
            let arn = self.function_arn(TARGET.account, &resource(function));
            all.push(invoke(&format!("the target's {function}"), &arn));
        }
        let secret = &self.warehouse;
        for (action, words) in [
            ("GetSecretValue", json!({"SecretId": secret})),
            (
                "PutSecretValue",
                json!({"SecretId": secret, "SecretString": "{}", "VersionStages": ["AWSPENDING"]}),
            ),
            ("PutResourcePolicy", json!({"SecretId": secret, "ResourcePolicy": "{}"})),
            ("RotateSecret", json!({"SecretId": secret})),
            ("DescribeSecret", json!({"SecretId": secret})),
        ] {
            all.push(json_call("of the warehouse's admin", "secretsmanager", action, words));
        }
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "redshift:*"}]});
        let words =
            [("ResourceArn", self.flow.target["NamespaceArn"].as_str()), ("Policy", &policy.to_string())];
        all.push(query_call("of the warehouse's namespace", "redshift", "PutResourcePolicy", &words));
        let ledger = format!(
            "arn:aws:dynamodb:{}:{}:table/{}",
            self.world.cloud.region(),
            TARGET.account,
            resource("Ledger")
        );
        let key = json!({"pk": {"S": "file"}, "sk": {"S": "file"}});
        all.push(json_call(
            "of the monitor's ledger",
            "dynamodb",
            "DeleteItem",
            json!({"TableName": ledger, "Key": key}),
        ));
        let trail = target.physical_id(SPOKE_STACK, "TrailBucket").unwrap();
        all.extend(bucket(&trail, "the target's trail bucket"));
        all
    }

    /// The source bucket, from outside of its account.
    fn source(&self) -> Vec<Attempt> {
        bucket(&self.flow.bucket, "the source bucket")
    }
}

fn bucket(name: &str, what: &str) -> Vec<Attempt> {
    vec![
        rest_call(&format!("ListObjectsV2 of {what}"), "s3", "GET", &format!("/{name}?list-type=2"), b""),
        rest_call(&format!("GetObject from {what}"), "s3", "GET", &format!("/{name}/orders/a.csv"), b""),
        rest_call(&format!("PutObject into {what}"), "s3", "PUT", &format!("/{name}/orders/evil.csv"), b"1"),
        rest_call(
            &format!("DeleteObject from {what}"),
            "s3",
            "DELETE",
            &format!("/{name}/orders/a.csv"),
            b"",
        ),
        rest_call(&format!("PutBucketPolicy of {what}"), "s3", "PUT", &format!("/{name}?policy"), b"{}"),
        rest_call(&format!("GetBucketPolicy of {what}"), "s3", "GET", &format!("/{name}?policy"), b""),
    ]
}

/// Returns the page's section about a principal, and the number of attempts that were not refused.
fn section(title: &str, account: &Account, attempts: &[Attempt], accepted: &mut Vec<String>) -> String {
    let mut text = format!("## {title}\n\n");
    for Attempt { what, call } in attempts {
        match call.of(account) {
            Ok(()) => accepted.push(format!("{title}: {what}")),
            Err(error) => writeln!(text, "- {what}: `{}`", error.code).unwrap(),
        }
    }
    text
}

#[test]
fn every_attempt_from_outside_is_refused() {
    let objects = Objects::deploy();
    let cloud = &objects.world.cloud;
    let (source, target) = (cloud.account(SOURCE), cloud.account(TARGET));
    let stranger = Account::root(cloud.endpoint(), cloud.region(), STRANGER);
    // Not root, whom the emulator lets assume the roles of services.
    let administrator = |account: &Account, profile| principal(account, profile, "administrator", &["*"]);
    let of_source = administrator(&source, SOURCE);
    let of_target = administrator(&target, TARGET);
    let other = Profile { account: STRANGER, ..SOURCE };
    let of_other = administrator(&stranger, other);
    let mut accepted = Vec::new();
    let mut page = String::from(
        "# Attempts that are refused\n\nEach call was made in the local cloud, which enforces IAM, by a principal whom its own account\n\
         permits everything unless the heading says otherwise. The code is the refusal; of a resource\n\
         in another account, the local cloud often says that it does not exist. This page is written by\n\
         `every_attempt_from_outside_is_refused` with `SLUICE_UPDATE_GOLDEN=1`; see the\n\
         [threat model](threat-model.md).\n\n",
    );
    let mut total = 0;
    let mut add = |title: &str, account: &Account, attempts: Vec<Attempt>| {
        total += attempts.len();
        page.push_str(&section(title, account, &attempts, &mut accepted));
        page.push('\n');
    };

    let outside: Vec<Attempt> = objects.hub().into_iter().chain(objects.target()).collect();
    add("Administrator of the watched source account (foothold 2)", &of_source, outside);
    let put = json!({"Entries": [{"EventBusName": objects.world.outputs["BusArn"], "Source": "lambda", "DetailType": "x", "Detail": "{}"}]});
    let mut all: Vec<Attempt> =
        objects.hub().into_iter().chain(objects.target()).chain(objects.source()).collect();
    all.push(json_call("with the source lambda on the hub's bus", "events", "PutEvents", put));
    add("Administrator of another account (foothold 9)", &of_other, all);
    add("Administrator of the target account, against the source (foothold 9)", &of_target, {
        let mut all = objects.source();
        // The source grants the target's functions, not the account.
        all.extend(objects.hub().into_iter().filter(|attempt| attempt.what.starts_with("Publish")));
        all
    });

    let uploader = principal(&source, SOURCE, "uploader", &["s3:PutObject"]);
    let own: Vec<Attempt> = bucket(&objects.flow.bucket, "the source bucket")
        .into_iter()
        .filter(|one| !one.what.starts_with("PutObject"))
        .collect();
    add("Writer of the source bucket, s3:PutObject (foothold 6)", &uploader, own);

    let actions = [
        "logs:*",
        "states:Describe*",
        "states:Get*",
        "states:List*",
        "cloudwatch:Get*",
        "cloudwatch:Describe*",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "cloudformation:Describe*",
        "cloudformation:List*",
    ];
    let reader = principal(&target, TARGET, "log-reader", &actions);
    let words = [("StackName", TARGET_STACK), ("TemplateBody", "{}")];
    let mut all: Vec<Attempt> = objects.target();
    all.push(query_call("of the target's stack", "cloudformation", "UpdateStack", &words));
    add("Reader of logs, histories and state in the target account (foothold 8)", &reader, all);

    let actions = [
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:DescribeSecret",
    ];
    let writer = principal(&target, TARGET, "secret-writer", &actions);
    let all = objects
        .target()
        .into_iter()
        .filter(|one| !["PutSecretValue", "DescribeSecret"].iter().any(|may| one.what.starts_with(may)));
    add("Writer of secrets who cannot read them (foothold 3)", &writer, all.collect());

    assert!(accepted.is_empty(), "accepted:\n{}", accepted.join("\n"));
    assert!(total >= 60, "{total}");
    // The hub's own administrator may do these: the calls themselves are right.
    for attempt in objects.hub() {
        let harmless = ["GetItem", "ReceiveMessage", "Decrypt", "SendMessage", "Publish"];
        if harmless.iter().any(|name| attempt.what.starts_with(name)) {
            attempt.call.of(&objects.world.hub).unwrap_or_else(|error| panic!("{}: {error}", attempt.what));
        }
    }
    let read = Call::Json("secretsmanager", "GetSecretValue", json!({"SecretId": objects.warehouse}));
    read.of(&target).unwrap();

    let page = format!("{}{total} attempts.\n", page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security/attempts.md");
    if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page, "{} differs; run the test with SLUICE_UPDATE_GOLDEN=1", path.display());
}

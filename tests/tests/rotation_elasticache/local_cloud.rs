//! The very calls of AWS: the SDK's clients against the local cloud, which drives the server.

use lambda_kit::moment::Moment;
use std::collections::HashMap;

use cloud::aws::Account;
use cloud::{Cloud, Options, TARGET};
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;
use rotation::action::{Action, ActionEvent};
use rotation::engine::{Engine, Login};
use rotation::engines::elasticache::{ElastiCacheApi, RbacUser, Token};
use rotation::msk::{Clusters, MskApi};
use rotation::outcome::StepOutcome;
use rotation::versions::Versions;
use secrecy::ExposeSecret;
use serde_json::json;
use test_support::rotation::{Drill, MemorySecret, SECRET};

use super::{FIRST, Stage};

/// Clients as a function makes them.
fn aws(cloud: &Cloud, account: &Account) -> Aws {
    let (endpoint, key, region) =
        (cloud.endpoint().to_owned(), account.access_key().to_owned(), account.region().to_owned());
    let source = move |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
        "AWS_ACCESS_KEY_ID" => Some(key.clone()),
        "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        "AWS_REGION" => Some(region.clone()),
        _ => None,
    };
    Aws::from_env(Env::from(&source)).unwrap()
}

/// Puts the server behind a user or group.
fn bind(stage: &Stage, account: &Account, arn: &str) {
    let (socket, user, password) = stage.redis.administrator();
    let words = json!({"arn": arn, "socket": socket, "user": user, "password": password});
    account.rest("s3", "POST", "/_sluice/redis-server", &[], words.to_string().as_bytes()).unwrap();
}

/// Three rotations, then the previous credential is taken back: what logs in of all that ever did.
fn rotate(stage: &Stage, engine: &impl Engine, user: &str, first: &serde_json::Value) {
    let mut value = first.to_string();
    let mut passwords = vec![FIRST.to_owned()];
    for number in 1..=3 {
        let secret = MemorySecret::new(&value);
        for _ in 1..number {
            // A new secret in memory begins with the first of its passwords again.
            let policy = engine.password_policy();
            stage.runtime.block_on(secret.random_password(&policy)).unwrap();
        }
        stage.runtime.block_on(Drill::new(&secret, engine, HashMap::new()).run()).unwrap();
        let current = secret.document("AWSCURRENT").unwrap();
        passwords.push(current.password().unwrap().expose_secret().to_owned());
        value = current.to_secret_string().expose_secret().to_owned();
        if number == 3 {
            let logs_in = |password: &String| stage.log_in(engine, user, password) == Login::Accepted;
            assert_eq!(passwords.iter().map(logs_in).collect::<Vec<_>>(), [false, false, true, true]);
            let event =
                ActionEvent { action: Action::RetirePrevious, secret_id: SECRET.into(), after_minutes: None };
            let drill = Drill::new(&secret, engine, HashMap::new());
            let acted = stage.runtime.block_on(drill.act(&event, Moment::BEGINNING)).unwrap().unwrap();
            assert_eq!(acted, StepOutcome::Done);
            assert_eq!(passwords.iter().map(logs_in).collect::<Vec<_>>(), [false, false, false, true]);
        }
    }
}

#[test]
fn adapters_work_with_the_api_of_the_local_cloud() {
    let stage = Stage::new();
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let account = cloud.account(TARGET);
    let aws = aws(&cloud, &account);

    let arn = format!("arn:aws:elasticache:{}:{}:user:app-id", account.region(), TARGET.account);
    let words = [
        ("UserId", "app-id"),
        ("UserName", "app"),
        ("Engine", "redis"),
        ("AccessString", "on ~* +@all"),
        ("Passwords.member.1", FIRST),
    ];
    account.query("elasticache", "CreateUser", &words).unwrap();
    bind(&stage, &account, &arn);
    let engine =
        RbacUser::new(ElastiCacheApi::new(aws.elasticache()), arn.parse().unwrap(), stage.endpoint());
    rotate(&stage, &engine, "app", &json!({"username": "app", "password": FIRST, "user_arn": arn}));

    let words = [
        ("ReplicationGroupId", "cache"),
        ("ReplicationGroupDescription", "d"),
        ("Engine", "redis"),
        ("TransitEncryptionEnabled", "true"),
        ("AuthToken", FIRST),
    ];
    account.query("elasticache", "CreateReplicationGroup", &words).unwrap();
    bind(
        &stage,
        &account,
        &format!("arn:aws:elasticache:{}:{}:replicationgroup:cache", account.region(), TARGET.account),
    );
    let engine = Token::new(ElastiCacheApi::new(aws.elasticache()), "cache".into(), stage.endpoint());
    rotate(&stage, &engine, "default", &json!({"password": FIRST}));

    let brokers = json!({"InstanceType": "kafka.m5.large", "ClientSubnets": ["subnet-1", "subnet-2"]});
    let words = json!({"clusterName": "main", "kafkaVersion": "3.6.0", "numberOfBrokerNodes": 2, "brokerNodeGroupInfo": brokers});
    let made =
        account.rest("kafka", "POST", "/v1/clusters", &[], words.to_string().as_bytes()).unwrap().json();
    let cluster = made["clusterArn"].as_str().unwrap();
    let key = account.json("kms", "CreateKey", json!({})).unwrap()["KeyMetadata"]["Arn"].clone();
    let words = json!({"Name": "AmazonMSK_app", "SecretString": "{}", "KmsKeyId": key});
    let secret =
        account.json("secretsmanager", "CreateSecret", words).unwrap()["ARN"].as_str().unwrap().to_owned();
    let api = MskApi::new(aws.kafka());
    assert!(stage.runtime.block_on(api.secrets(cluster)).unwrap().is_empty());
    let path = format!("/v1/clusters/{}/scram-secrets", cluster.replace(':', "%3A").replace('/', "%2F"));
    let words = json!({"secretArnList": [secret]}).to_string();
    account.rest("kafka", "POST", &path, &[], words.as_bytes()).unwrap();
    assert_eq!(stage.runtime.block_on(api.secrets(cluster)).unwrap(), [secret]);
}

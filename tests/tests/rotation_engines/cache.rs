//! A user and an AUTH token of ElastiCache, on a real Redis behind the local cloud's control plane.

use cloud::{Cloud, Options, TARGET};
use end_to_end::{STACK, Secret};
use local_servers::redis::Redis;
use rotation::engine::{Account, Login, Server};
use rotation::engines::trust::Tls;
use serde_json::{Value, json};

const FIRST: &str = "first-Password-0";

struct Stage {
    cloud: Cloud,
    redis: Redis,
    tls: Tls,
    ca: String,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::start(folder.path(), &[]).unwrap();
        let ca = std::fs::read_to_string(redis.ca_file()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
        Self { cloud, redis, tls: Tls::new(Some(&ca), None).unwrap(), ca, runtime, _folder: folder }
    }

    /// Creates a user or group in the control plane and connects the server to it.
    fn control(&self, action: &str, words: &[(&str, &str)], resource: &str) {
        let account = self.cloud.account(TARGET);
        account.query("elasticache", action, words).unwrap();
        let (socket, user, password) = self.redis.administrator();
        let arn = format!("arn:aws:elasticache:{}:{}:{resource}", account.region(), TARGET.account);
        let words = json!({"arn": arn, "socket": socket, "user": user, "password": password});
        account.rest("s3", "POST", "/_sluice/redis-server", &[], words.to_string().as_bytes()).unwrap();
    }

    fn logs_in(&self, user: &str, value: &Value) -> bool {
        let server = Server { host: "127.0.0.1".into(), port: self.redis.port(), database: String::new() };
        let password = value["password"].as_str().unwrap().into();
        let account = Account { server, user: user.into(), password, mechanism: None };
        self.runtime.block_on(rotation::engines::redis::log_in(&self.tls, &account)).unwrap()
            == Login::Accepted
    }

    /// Rotates three times, ends the overlap with the rule's event, and removes each permission.
    fn rotate(
        &self,
        engine: &str,
        user: &str,
        value: Value,
        further: &[(&str, &str)],
        spared: &[(&str, &str)],
    ) {
        let secret = Secret::create(self.cloud.account(TARGET), "cache", &value);
        let port = self.redis.port().to_string();
        let mut parameters = vec![
            ("EndpointHost", "127.0.0.1"),
            ("EndpointPort", port.as_str()),
            ("CaCertificates", self.ca.as_str()),
            ("RetireAfterMinutes", "0"),
        ];
        parameters.extend(further);
        let mut values = vec![value];
        secret.deploy_rotation(engine, &parameters);
        for turn in 0..3 {
            if turn > 0 {
                secret.rotate();
            }
            values.push(secret.rotated(&values[turn]));
        }
        let good = || values.iter().map(|value| self.logs_in(user, value)).collect::<Vec<_>>();
        assert_eq!(good(), [false, false, true, true], "two passwords are valid at a time");
        assert_eq!(super::others(&values[3], &["password"]), super::others(&values[0], &["password"]));

        // The target of the schedule and its event.
        let account = &secret.account;
        let rule = account.physical_id(STACK, "RotationFunctionRetirePrevious").unwrap();
        let found = account.json("events", "ListTargetsByRule", json!({"Rule": rule})).unwrap();
        let [target] = found["Targets"].as_array().unwrap().as_slice() else { panic!("{found}") };
        let function = target["Arn"].as_str().unwrap();
        assert_eq!(function, account.stack_outputs(STACK).unwrap()["FunctionArn"]);
        let event: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
        let answer = account.invoke(function, &event).unwrap();
        assert!(!answer.headers.contains_key("x-amz-function-error"), "{}", answer.text());
        assert_eq!(good(), [false, false, false, true], "{}", answer.text());
        let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
        let all = values.iter().map(password).collect();
        let works = |value: &Value| self.logs_in(user, value);
        assert_eq!(secret.every_grant_is_needed(spared, &works), 7 - spared.len());
        super::nothing_shows(&secret, &all);
    }
}

#[test]
fn elasticache_user_rotates_and_schedule_removes_old_password() {
    let stage = Stage::new();
    let words = [
        ("UserId", "app-id"),
        ("UserName", "app"),
        ("Engine", "redis"),
        ("AccessString", "on ~* +@all"),
        ("Passwords.member.1", FIRST),
    ];
    stage.control("CreateUser", &words, "user:app-id");
    let arn = format!(
        "arn:aws:elasticache:{}:{}:user:app-id",
        stage.cloud.account(TARGET).region(),
        TARGET.account
    );
    let value = json!({"username": "app", "password": FIRST, "user_arn": arn, "note": "keep me"});
    stage.rotate("elasticache-user", "app", value, &[("CacheUserId", "app-id")], &[]);
}

#[test]
fn elasticache_token_rotates_and_schedule_removes_old_token() {
    let stage = Stage::new();
    let words = [
        ("ReplicationGroupId", "cache"),
        ("ReplicationGroupDescription", "d"),
        ("Engine", "redis"),
        ("TransitEncryptionEnabled", "true"),
        ("AuthToken", FIRST),
    ];
    stage.control("CreateReplicationGroup", &words, "replicationgroup:cache");
    let value = json!({"password": FIRST, "note": "keep me"});
    stage.rotate(
        "elasticache-token",
        "default",
        value,
        &[("ReplicationGroupId", "cache")],
        &super::OF_EVERY_ENGINE,
    );
}

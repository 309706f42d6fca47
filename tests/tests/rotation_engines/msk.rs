//! A SASL/SCRAM secret of Amazon MSK. The control plane is the local cloud's; the brokers are
//! Tansu, which the test gives the new password after the rotation.

use cloud::setup::Environment;
use cloud::{Cloud, Options, TARGET};
use end_to_end::Secret;
use local_servers::kafka::{self, Mechanism};
use serde_json::{Value, json};

const FIRST: &str = "First-password-1";

#[test]
fn msk_secret_rotates_and_event_measures_propagation() {
    let program =
        kafka::program().unwrap_or_else(|_| Environment::Kafka.ensure(&|_| {}).unwrap().program("tansu"));
    let folder = tempfile::tempdir().unwrap();
    let broker = kafka::Broker::start(&program, folder.path(), "warn").unwrap();
    broker.set_user("app", FIRST, Mechanism::Sha512).unwrap();

    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let account = cloud.account(TARGET);
    let brokers = json!({"InstanceType": "kafka.m5.large", "ClientSubnets": ["subnet-1", "subnet-2"]});
    let words = json!({"clusterName": "main", "kafkaVersion": "3.6.0", "numberOfBrokerNodes": 2, "brokerNodeGroupInfo": brokers});
    let made =
        account.rest("kafka", "POST", "/v1/clusters", &[], words.to_string().as_bytes()).unwrap().json();
    let cluster = made["clusterArn"].as_str().unwrap();
    let key = account.json("kms", "CreateKey", json!({})).unwrap()["KeyMetadata"]["Arn"].clone();
    let value = json!({"username": "app", "password": FIRST});
    let words = json!({"Name": "AmazonMSK_app", "SecretString": value.to_string(), "KmsKeyId": key});
    let made = account.json("secretsmanager", "CreateSecret", words).unwrap();
    let secret = Secret { account: account.clone(), arn: made["ARN"].as_str().unwrap().to_owned() };
    let servers = format!("127.0.0.1:{}", broker.front().port());
    let parameters = [
        ("MskClusterArn", cluster),
        ("SecretKeyArn", key.as_str().unwrap()),
        ("BootstrapBrokers", &servers),
        ("CaCertificates", broker.ca()),
    ];

    // Not associated: no broker would read a new value, so the function creates none.
    secret.deploy_rotation("msk", &parameters);
    secret.wait_for_log(0, &["SecretNotAssociated"]);
    secret.wait_until_it_stopped(0);
    assert_eq!(secret.value(), value);
    let path = format!("/v1/clusters/{}/scram-secrets", cluster.replace(':', "%3A").replace('/', "%2F"));
    account
        .rest("kafka", "POST", &path, &[], json!({"secretArnList": [secret.arn]}).to_string().as_bytes())
        .unwrap();
    let _refused = secret.call("RotateSecret", json!({}));
    let second = secret.rotated(&value);

    // The function queries the brokers, which now read the new password.
    broker.set_user("app", second["password"].as_str().unwrap(), Mechanism::Sha512).unwrap();
    secret.wait_for_log(0, &["every broker accepts the new password", "PropagationSeconds"]);
    assert_eq!(super::others(&second, &["password"]), json!({"username": "app"}));

    // The local cloud does not check KMS permissions behind Secrets Manager.
    let spared = [("UseSecretKey", "kms:Decrypt"), ("UseSecretKey", "kms:GenerateDataKey")];
    let password = |value: &Value| value["password"].as_str().unwrap().to_owned();
    let works = |value: &Value| password(value) != password(&second);
    assert_eq!(secret.every_grant_is_needed(&spared, &works), 6);
    super::nothing_shows(&secret, &[&value, &second, &secret.value()].into_iter().map(password).collect());
}

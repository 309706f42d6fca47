//! API keys of a provider with TLS that responds as Confluent Cloud does.

use std::sync::Arc;

use cloud::{Cloud, Options, TARGET};
use end_to_end::Secret;
use serde_json::{Value, json};
use test_support::rotation::{KeyProvider, Rules};

use crate::rotation_api_key::server::{Server, Slot};

#[test]
fn api_key_rotates_and_previous_key_stays_valid() {
    let (server, slot) = Server::with_provider(Slot::default());
    let provider = Arc::new(KeyProvider::new(Rules::default()));
    provider.add("sa-1", "FIRST", "first+half==", "made by hand");
    *slot.lock().unwrap() = Some(Arc::clone(&provider));
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let value = json!({"key": "FIRST", "secret": "first+half==", "basic.auth.user.info": "FIRST:first+half==", "note": "keep me"});
    let secret = Secret::create(cloud.account(TARGET), "app", &value);
    let admin = Secret::create(
        cloud.account(TARGET),
        "admin",
        &json!({"key": "admin-key", "secret": "admin-secret"}),
    );
    let (api, endpoint) =
        (format!("https://127.0.0.1:{}", server.port()), format!("https://localhost:{}", server.port()));
    let parameters = [
        ("ApiKeyPreset", "confluent-cloud"),
        ("ApiKeyOwner", "sa-1"),
        ("ApiKeyResource", "lsrc-1"),
        ("ConfluentApiUrl", &api),
        ("ApiKeyEndpoint", &endpoint),
        ("AdminSecretArn", &admin.arn),
        ("CaCertificates", &server.ca),
    ];
    secret.deploy_rotation("api-key", &parameters);
    let mut values = vec![value];
    for turn in 0..3 {
        if turn > 0 {
            secret.rotate();
        }
        values.push(secret.rotated(&values[turn]));
        let text = |key: &str| values[turn + 1][key].as_str().unwrap().to_owned();
        assert_eq!(text("basic.auth.user.info"), format!("{}:{}", text("key"), text("secret")));
    }
    // The first key, created by hand, stays; of the function's keys the current and the previous.
    let id = |value: &Value| value["key"].as_str().unwrap().to_owned();
    let mut expected = vec!["FIRST".to_owned(), id(&values[2]), id(&values[3])];
    expected.sort();
    assert_eq!(provider.ids(), expected);
    let but = ["key", "secret", "basic.auth.user.info"];
    assert_eq!(super::others(&values[3], &but), json!({"note": "keep me"}));
    let works = |value: &Value| provider.ids().contains(&id(value));
    assert_eq!(secret.every_grant_is_needed(&[], &works), 5);
    let half = |value: &Value| value["secret"].as_str().unwrap().to_owned();
    let all = values.iter().map(half).chain(["admin-secret".to_owned()]).collect();
    super::nothing_shows(&secret, &all);
}

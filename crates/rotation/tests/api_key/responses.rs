//! The responses of a provider of keys: each error has a name and says what to do, without the
//! provider's text.

use std::collections::HashMap;

use lambda_kit::env::Env;
use rotation::event::Step;
use rotation::keys::preset::Confluent;
use rotation::versions::PENDING;
use test_support::rotation::{KeyDrill, KeyProvider, MemorySecret, Reply, Rules, TOKEN};

use super::{ADMIN_VALUE, VALUE, current_works, ended, key, provider, variable};

async fn error_of(
    provider: &KeyProvider,
    secret: &MemorySecret,
    more: &[(&str, &str)],
) -> (&'static str, String) {
    let variables = |name: &str| variable(name, more);
    let drill = KeyDrill::new(secret, provider, Env::from(&variables), HashMap::new());
    for step in Step::ALL {
        if let Err(error) = drill.step(TOKEN, step).await.unwrap() {
            return (error.name(), lambda_kit::error::chain(&error));
        }
    }
    panic!("the rotation ended");
}

#[tokio::test(start_paused = true)]
async fn error_names_the_action_without_the_providers_text() {
    let wrong_admin = r#"{"username":"admin-key","password":"admin-wrong"}"#;
    let order = |method, status| move |p: &KeyProvider| p.order(method, Reply::status(status), false);
    type Spoil = Box<dyn Fn(&KeyProvider)>;
    let cases: [(&str, &str, Spoil, &str); 8] = [
        (
            wrong_admin,
            "ProviderRejected",
            Box::new(|_| {}),
            "the request to list the keys with HTTP status 401: the admin's credential",
        ),
        (ADMIN_VALUE, "ProviderRejected", Box::new(order("POST", 403)), "lacks the permission"),
        (ADMIN_VALUE, "ProviderRejected", Box::new(order("POST", 307)), "redirects are never followed"),
        (ADMIN_VALUE, "UnexpectedResponse", Box::new(order("POST", 200)), "under `create`: it is not JSON"),
        (
            ADMIN_VALUE,
            "UnexpectedResponse",
            Box::new(|p| {
                let body = r#"{"id":"a","spec":{"key":"s3cret"}}"#.to_owned();
                p.order("POST", Reply { status: 202, body, ..Reply::default() }, false);
            }),
            "nothing at `/spec/secret`",
        ),
        (
            ADMIN_VALUE,
            "UnexpectedResponse",
            Box::new(|p| {
                let body = r#"{"id":"a\r\nX: y","spec":{"secret":"s3cret"}}"#.to_owned();
                p.order("POST", Reply { status: 202, body, ..Reply::default() }, false);
            }),
            "`/id` is not a text of 1 to 255 visible ASCII characters",
        ),
        (
            ADMIN_VALUE,
            "ProviderRejected",
            Box::new(|p| ["A", "B"].iter().for_each(|id| p.add("sa-1", id, "x", "by hand"))),
            "REVOKE_FIRST_KEY_ID",
        ),
        (r#"{"login":"x"}"#, "InvalidSecretValue", Box::new(|_| {}), "AWSCURRENT of the admin's secret"),
    ];
    for (admin, name, spoil, part) in cases {
        let (secret, provider) = (MemorySecret::new(VALUE).with_admin(admin), provider(Rules::default()));
        spoil(&provider);
        let before = secret.snapshot();
        let (found, text) = error_of(&provider, &secret, &[]).await;
        assert_eq!(found, name, "{text}");
        assert!(text.contains(part), "{text}");
        for word in ["TEXT-OF", "s3cret", "admin-secret", "admin-wrong", "first+half"] {
            assert!(!text.contains(word), "{text}");
        }
        assert_eq!(secret.snapshot(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn busy_provider_is_retried_and_no_key_is_created_twice() {
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(Rules::default()));
    let busy = Reply { status: 429, headers: vec![("retry-after", "7".into())], body: String::new() };
    provider.order("GET", busy.clone(), false);
    provider.order("POST", busy, false);
    // The key is created, and the response comes from a proxy.
    provider.order("POST", Reply::status(502), true);
    let variables = |name: &str| variable(name, &[]);
    let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    let begun = tokio::time::Instant::now();
    drill.rotate(TOKEN, || current_works(&secret, &provider)).await.unwrap();
    assert!(begun.elapsed().as_secs() >= 14, "{:?}", begun.elapsed());
    ended(&secret, &provider, 1).unwrap();
    let seen = provider.seen();
    let of = |method: &str| seen.iter().filter(|line| line.starts_with(method)).count();
    assert_eq!((of("POST"), of("DELETE")), (3, 1), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn rejected_new_key_is_reported_and_awscurrent_unchanged() {
    let rules = Rules { refused_first: u32::MAX, ..Rules::default() };
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
    let preset = Confluent {
        api: "https://api.example",
        owner: "sa-1",
        resource: "lsrc-1",
        environment: None,
        endpoint: "https://sr.example",
    };
    let mut adapter: serde_json::Value = serde_json::from_str(&preset.adapter().unwrap()).unwrap();
    adapter["verify"]["patience_seconds"] = 5.into();
    let text = adapter.to_string();
    let more =
        [("API_KEY_PRESET", ""), ("API_KEY_ADAPTER", text.as_str()), ("API_KEY_FIELDS", "key, secret")];
    let (name, text) = error_of(&provider, &secret, &more).await;
    assert_eq!(name, "NewKeyRejected", "{text}");
    assert!(text.contains("the new key `KEY00001` with HTTP status 401 for 5 s"), "{text}");
    current_works(&secret, &provider).unwrap();
    assert!(key(&secret, PENDING).is_some());
}

#[tokio::test(start_paused = true)]
async fn provider_that_accepts_any_key_is_reported_first() {
    let rules = Rules { open: true, ..Rules::default() };
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
    let (name, text) = error_of(&provider, &secret, &[]).await;
    assert_eq!(name, "VerificationInconclusive", "{text}");
    assert_eq!(provider.ids(), ["FIRST", "OTHER"]);
}

#[tokio::test(start_paused = true)]
async fn products_without_a_key_api_are_rejected() {
    for (preset, product) in
        [("schema-registry", "Schema Registry"), ("connect", "Connect"), ("ksqldb", "ksqlDB")]
    {
        let (secret, provider) = (MemorySecret::new(VALUE), provider(Rules::default()));
        let (name, text) = error_of(&provider, &secret, &[("API_KEY_PRESET", preset)]).await;
        assert_eq!(name, "KeyApiUnavailable");
        assert!(text.contains(product) && text.contains("API_KEY_ADAPTER"), "{text}");
        assert_eq!(provider.seen(), Vec::<String>::new());
    }
}

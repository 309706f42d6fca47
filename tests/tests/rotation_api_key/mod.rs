//! An API key rotated at a provider behind real TLS: the preset for Confluent Cloud, and an adapter
//! for an API of another form.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

pub(crate) mod server;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use lambda_kit::env::Env;
use rotation::engines::trust::Tls;
use rotation::error::RotationError;
use rotation::event::Step;
use rotation::keys::http::Https;
use server::{Break, Server, Slot};
use test_support::rotation::{ADMIN, Fault, KeyDrill, KeyProvider, MemorySecret, Reply, Rules, TOKEN};

const VALUE: &str =
    r#"{"key":"FIRST","secret":"first+half==","basic.auth.user.info":"FIRST:first+half==","note":"keep me"}"#;
const ADMIN_VALUE: &str = r#"{"key":"admin-key","secret":"admin-secret"}"#;

/// A provider behind TLS, and the configuration of a function that uses it.
struct Stage {
    server: Server,
    slot: Slot,
    variables: Vec<(&'static str, String)>,
}

impl Stage {
    fn confluent() -> Self {
        let (server, slot) = Server::with_provider(Slot::default());
        let port = server.port();
        let variables = vec![
            ("API_KEY_PRESET", "confluent-cloud".to_owned()),
            ("API_KEY_OWNER", "sa-1".to_owned()),
            ("API_KEY_RESOURCE", "lsrc-1".to_owned()),
            ("CONFLUENT_API_URL", format!("https://127.0.0.1:{port}")),
            ("API_KEY_ENDPOINT", format!("https://localhost:{port}")),
            ("ADMIN_SECRET_ARN", ADMIN.to_owned()),
        ];
        Self { server, slot, variables }
    }

    /// With an API as somebody could put it before the files of a self-managed Schema Registry.
    fn adapter() -> Self {
        let mut stage = Self::confluent();
        let port = stage.server.port();
        let text = format!(
            r#"{{
            "base": "https://localhost:{port}/v1", "owner": "team a/b",
            "create": {{"request": {{"path": "/credentials", "auth": "bearer",
                "body": {{"for": "{{{{owner}}}}", "note": "made for {{{{name}}}}: {{{{mark}}}}", "tags": ["{{{{token}}}}", 1]}}}},
                "id": "/credential/name", "secret": "/credential/pass~1word"}},
            "list": {{"request": {{"path": "/users/{{{{owner}}}}/credentials", "headers": {{"Authorization": "Bearer {{{{admin_secret}}}}"}}}},
                "items": "/credentials", "id": "/name", "mark": "/note", "next": {{"pointer": "/cursor", "parameter": "cursor"}}}},
            "revoke": {{"request": {{"method": "POST", "path": "/credentials/{{{{id}}}}/revoke", "auth": "bearer"}}}},
            "verify": {{"base": "https://127.0.0.1:{port}", "request": {{"path": "/subjects", "auth": "basic"}}, "patience_seconds": 5}}
        }}"#
        );
        stage.variables = vec![
            ("API_KEY_ADAPTER", text),
            ("API_KEY_FIELDS", "key,secret".to_owned()),
            ("ADMIN_SECRET_ARN", ADMIN.to_owned()),
        ];
        stage
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(have, _)| *have != name);
        self.variables.push((name, value.to_owned()));
    }

    /// A provider with the first key of the secret, and one of somebody else.
    fn provide(&self, rules: Rules) -> Arc<KeyProvider> {
        let provider = Arc::new(KeyProvider::new(rules));
        for owner in ["sa-1", "team a/b"] {
            let first = if owner == "sa-1" { "FIRST" } else { "SECOND" };
            provider.add(owner, first, "first+half==", "made by hand");
        }
        *self.slot.lock().unwrap() = Some(Arc::clone(&provider));
        provider
    }

    fn https(&self) -> Https {
        Https::new(Tls::new(Some(&self.server.ca), None).unwrap())
    }

    /// Some rotations in a row; gives the number of calls, and every value that was good for
    /// something.
    fn rotate(&self, rules: Rules, faults: HashMap<usize, Fault>, times: usize) -> Result<Done, String> {
        let provider = self.provide(rules);
        let secret = MemorySecret::new(VALUE).with_admin(ADMIN_VALUE);
        let https = self.https();
        let source = self.source();
        let drill = KeyDrill::new(&secret, &https, Env::from(&source), faults);
        secret.unlabel(TOKEN);
        let mut secrets = vec!["first+half==".to_owned(), "admin-secret".to_owned()];
        for number in 1..=times {
            let token = format!("{TOKEN}-{number}");
            secret.begin(&token);
            let holds = || works(&secret, &provider, "AWSCURRENT");
            self.server.runtime.block_on(drill.rotate(&token, holds))?;
            holds()?;
            works(&secret, &provider, "AWSPREVIOUS")?;
            let (id, half) = key(&secret, "AWSCURRENT").unwrap();
            let mut expected = ["FIRST".to_owned(), "SECOND".to_owned(), id.clone()].to_vec();
            expected.push(key(&secret, "AWSPREVIOUS").unwrap().0);
            expected.sort();
            expected.dedup();
            if provider.ids() != expected {
                return Err(format!("the provider has {:?}, expected {expected:?}", provider.ids()));
            }
            let value = secret.document("AWSCURRENT").unwrap();
            if value.text("note") != Ok("keep me")
                || value.text("basic.auth.user.info") != Ok(&format!("{id}:{half}"))
            {
                return Err("the other keys of the secret are not as they should be".to_owned());
            }
            secrets.push(half);
        }
        Ok(Done { calls: drill.faulty.calls(), requests: provider.seen(), secrets })
    }

    fn source(&self) -> impl Fn(&str) -> Option<String> + Sync + '_ {
        |name: &str| self.variables.iter().find(|(have, _)| *have == name).map(|(_, value)| value.clone())
    }

    /// The error of the first step that fails, with nothing changed in the secret.
    fn error(&self) -> RotationError {
        let secret = MemorySecret::new(VALUE).with_admin(ADMIN_VALUE);
        let https = self.https();
        let source = self.source();
        let drill = KeyDrill::new(&secret, &https, Env::from(&source), HashMap::new());
        let before = secret.snapshot();
        for step in Step::ALL {
            if let Err(error) = self.server.runtime.block_on(drill.step(TOKEN, step)).unwrap() {
                assert_eq!((step, secret.snapshot()), (Step::Create, before));
                return error;
            }
        }
        panic!("the rotation ended");
    }
}

struct Done {
    calls: usize,
    requests: Vec<String>,
    secrets: Vec<String>,
}

fn key(secret: &MemorySecret, label: &str) -> Option<(String, String)> {
    let value = secret.document(label)?;
    Some((value.text("key").ok()?.to_owned(), value.text("secret").ok()?.to_owned()))
}

fn works(secret: &MemorySecret, provider: &KeyProvider, label: &str) -> Result<(), String> {
    match key(secret, label) {
        Some((id, half)) if provider.works(&id, &half) => Ok(()),
        found => Err(format!("the key of {label} does not work: {:?}", found.map(|(id, _)| id))),
    }
}

/// A fault at every call of two rotations; gives calls and runs.
fn fault_at_every_call(stage: &Stage, rules: Rules) -> (usize, usize) {
    let calls = stage.rotate(rules, HashMap::new(), 2).unwrap().calls;
    let mut runs = 0;
    for call in 0..calls {
        for fault in Fault::ALL {
            stage
                .rotate(rules, HashMap::from([(call, fault)]), 2)
                .unwrap_or_else(|problem| panic!("{fault:?} at call {call}: {problem}"));
            runs += 1;
        }
    }
    (calls, runs)
}

#[test]
fn confluent_cloud_key_rotates_with_a_fault_at_any_call() {
    let stage = Stage::confluent();
    let rules = Rules { refused_first: 2, ..Rules::default() };
    let (calls, runs) = fault_at_every_call(&stage, rules);
    println!("confluent-cloud: {calls} calls in two rotations over TLS, {runs} runs with one fault each");
    assert_eq!(calls, 47);
}

#[test]
fn adapter_key_rotates_with_a_fault_at_any_call() {
    let stage = Stage::adapter();
    let (calls, runs) = fault_at_every_call(&stage, Rules::default());
    println!("adapter: {calls} calls in two rotations over TLS, {runs} runs with one fault each");
    assert_eq!(calls, 43);
    let requests = stage.rotate(Rules::default(), HashMap::new(), 3).unwrap().requests;
    assert!(requests.contains(&"GET /v1/users/team%20a%2Fb/credentials".to_owned()), "{requests:?}");
    assert!(requests.contains(&"POST /v1/credentials/KEY00001/revoke".to_owned()), "{requests:?}");
    assert!(
        requests.contains(&"GET /v1/users/team%20a%2Fb/credentials?cursor=2%3D".to_owned()),
        "{requests:?}"
    );
}

#[test]
fn rotation_survives_random_faults_and_broken_connections() {
    let stage = Stage::confluent();
    for seed in 1..=25 {
        let mut random = fastrand::Rng::with_seed(seed);
        let faults = (0..random.usize(1..7)).map(|_| (random.usize(0..60), Fault::ALL[random.usize(0..4)]));
        let faults = faults.collect();
        stage.server.break_connection(random.usize(0..20), Break::ALL[random.usize(0..4)]);
        let rules = Rules { refused_first: random.u32(0..4), part: random.usize(1..4), ..Rules::default() };
        stage.rotate(rules, faults, 3).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
    }
    println!("25 random schedules of three rotations over TLS");
}

#[test]
fn rotation_survives_a_connection_that_breaks_anywhere() {
    let stage = Stage::confluent();
    let requests = stage.rotate(Rules::default(), HashMap::new(), 3).unwrap().requests;
    let mut runs = 0;
    for number in 0..requests.len() {
        for how in Break::ALL {
            stage.server.break_connection(number, how);
            stage
                .rotate(Rules::default(), HashMap::new(), 3)
                .unwrap_or_else(|problem| panic!("{how:?} in request {number}: {problem}"));
            assert!(stage.server.has_broken());
            runs += 1;
        }
    }
    println!("{} requests in three rotations, {runs} runs with one broken connection each", requests.len());
    assert_eq!(requests.len(), 17);
}

#[test]
fn requests_are_as_confluent_documents_them() {
    let stage = Stage::confluent();
    let requests = stage.rotate(Rules::default(), HashMap::new(), 3).unwrap().requests;
    let list = "GET /iam/v2/api-keys?page_size=25&spec.owner=sa%2D1&spec.resource=lsrc%2D1";
    assert_eq!(
        requests,
        [
            "GET /subjects",
            list,
            "POST /iam/v2/api-keys",
            "GET /subjects",
            "GET /subjects",
            "GET /subjects",
            list,
            "POST /iam/v2/api-keys",
            "GET /subjects",
            "GET /subjects",
            "GET /subjects",
            list,
            &format!("{list}&page_token=2%3D"),
            "DELETE /iam/v2/api-keys/KEY00001",
            "POST /iam/v2/api-keys",
            "GET /subjects",
            "GET /subjects",
        ]
    );
}

#[test]
fn unreachable_or_untrusted_host_is_named_and_no_key_created() {
    let (plain, plain_count) = server::plain_http();
    let free = local_servers::process::free_port().unwrap();
    let other_ca = Server::start();
    let cases = [
        ("API_KEY_ENDPOINT", format!("https://127.0.0.1:{free}"), "ProviderUnreachable", "127.0.0.1"),
        (
            "API_KEY_ENDPOINT",
            "https://nowhere.invalid".to_owned(),
            "ProviderUnreachable",
            "nowhere.invalid:443",
        ),
        ("CONFLUENT_API_URL", format!("https://127.0.0.1:{free}"), "ProviderUnreachable", "to list the keys"),
        ("CONFLUENT_API_URL", format!("https://127.0.0.1:{plain}"), "CertificateNotTrusted", "127.0.0.1"),
        (
            "API_KEY_ENDPOINT",
            format!("https://localhost:{}", other_ca.port()),
            "CertificateNotTrusted",
            "localhost",
        ),
    ];
    for (name, value, expected, part) in cases {
        let mut stage = Stage::confluent();
        let provider = stage.provide(Rules::default());
        stage.set(name, &value);
        let error = stage.error();
        assert_eq!(error.name(), expected, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(provider.ids(), ["FIRST", "SECOND"], "{error}");
    }
    assert_eq!(*plain_count.lock().unwrap(), 1);
}

#[test]
fn redirect_is_not_followed_and_endless_response_not_read() {
    let (elsewhere, count) = server::plain_http();
    let target = format!("http://127.0.0.1:{elsewhere}/iam/v2/api-keys");
    let long = format!(r#"{{"data":[],"pad":"{}"}}"#, "x".repeat(65 * 1024));
    for (reply, name, part) in [
        (
            Reply { status: 307, headers: vec![("location", target)], body: String::new() },
            "ProviderRejected",
            "redirects are never followed",
        ),
        (Reply { status: 200, headers: Vec::new(), body: long }, "UnexpectedResponse", "longer than 64 KiB"),
    ] {
        let stage = Stage::confluent();
        let provider = stage.provide(Rules::default());
        // The first GET is the try with a key that was made up.
        provider.order("GET", Reply::status(401), false);
        provider.order("GET", reply, false);
        let error = stage.error();
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(*count.lock().unwrap(), 0);
}

/// Everything that is logged, by whatever thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_or_error_contains_a_key_or_provider_text() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    // Other tests of this process log too; they have no other secrets.
    let _first = subscriber.with_writer(move || writer.clone()).try_init();
    let stage = Stage::confluent();
    let mut secrets = Vec::new();
    let mut texts = String::new();
    for (method, status) in [("POST", 502), ("GET", 503), ("DELETE", 500), ("POST", 403), ("GET", 418)] {
        let provider = stage.provide(Rules::default());
        provider.order(
            method,
            Reply { status, body: "TEXT-OF-THE-PROVIDER".into(), ..Reply::default() },
            false,
        );
        let secret = MemorySecret::new(VALUE).with_admin(ADMIN_VALUE);
        let (https, source) = (stage.https(), stage.source());
        let drill = KeyDrill::new(&secret, &https, Env::from(&source), HashMap::new());
        for step in Step::ALL {
            if let Err(error) = stage.server.runtime.block_on(drill.step(TOKEN, step)).unwrap() {
                texts += &format!("{error:?} {}\n", lambda_kit::error::chain(&error));
                break;
            }
        }
        secrets.extend(stage.rotate(Rules::default(), HashMap::new(), 3).unwrap().secrets);
    }
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned() + &texts;
    assert!(logged.contains("revoked an old key") && logged.contains("attempt failed; retrying"), "{logged}");
    assert!(logged.contains("ProviderRejected") || texts.contains("Refused"), "{texts}");
    secrets.extend(["TEXT-OF-THE-PROVIDER".to_owned(), "Basic ".to_owned(), "Bearer ".to_owned()]);
    for secret in &secrets {
        assert!(!logged.contains(secret.as_str()), "{secret} is in the log: {logged}");
    }
    assert!(secrets.len() > 20);
}

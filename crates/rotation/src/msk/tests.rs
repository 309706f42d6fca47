//! Rotations on a cluster in memory whose brokers read AWSCURRENT some logins later: a fault at every call, and the window after it.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::*;
use crate::action::ActionEvent;
use crate::engine::{Account, EngineError, Server};
use crate::event::{RotationEvent, Step};
use crate::faults::{Fault, Faults, Faulty, MemorySecret, OLD, TOKEN};
use crate::machine::Machine;
use crate::retry::Retry;
use crate::versions::{Description, PREVIOUS};

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_app-AbCdEf";
const VALUE: &str = r#"{"username":"app","password":"old-password"}"#;
const ROTATED: SystemTime = SystemTime::UNIX_EPOCH;

fn secret(value: &str) -> MemorySecret {
    let details = Description {
        kms_key: Some("arn:aws:kms:eu-west-1:123456789012:key/1".into()),
        last_rotated: Some(ROTATED),
        ..Description::default()
    };
    MemorySecret::new(value).described(details)
}

/// Brokers that take what AWSCURRENT was when they last read it: each reads with every so many logins.
struct Brokers<'a> {
    secret: &'a MemorySecret,
    known: Mutex<HashMap<u16, (u32, String)>>,
}

impl<'a> Brokers<'a> {
    fn new(secret: &'a MemorySecret) -> Self {
        Self { secret, known: Mutex::default() }
    }

    fn servers() -> Vec<Server> {
        [3, 7, 40].map(|port| Server { host: "b".into(), port, database: String::new() }).into()
    }

    fn current(&self) -> String {
        let document = self.secret.document(CURRENT).unwrap();
        document.password().unwrap().expose_secret().to_owned()
    }

    /// What a broker takes. Its port is the number of logins between two looks at the secret.
    fn takes(&self, port: u16) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (logins, password) = known.entry(port).or_insert_with(|| (0, self.current()));
        *logins += 1;
        if *logins % u32::from(port) == 0 {
            *password = self.current();
        }
        password.clone()
    }
}

impl Propagation for &Brokers<'_> {
    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let takes = self.takes(account.server.port);
        Ok(if takes == account.password.expose_secret() { Login::Accepted } else { Login::Refused })
    }
}

/// The service, and what happens to its calls.
struct Service {
    faults: Faults,
    secrets: Vec<String>,
}

impl Clusters for &Service {
    async fn secrets(&self, _: &str) -> Result<Vec<String>, CallError> {
        let broken = || CallError::without_answer("kafka:ListScramSecrets", "the connection broke");
        self.faults.call(async { self.secrets.clone() }).await.ok_or_else(broken)
    }
}

fn service(faults: HashMap<usize, Fault>) -> Service {
    Service { faults: Faults::new(faults), secrets: vec!["arn:other".into(), SECRET.into()] }
}

fn target<'t>(service: &'t Service, brokers: &'t Brokers<'t>) -> Msk<&'t Service, &'t Brokers<'t>> {
    let source = |_: &str| Some("arn:aws:kafka:eu-west-1:123456789012:cluster/main/0a1b".to_owned());
    let cluster = ClusterArn::from_env(lambda_kit::env::Env::from(&source)).unwrap();
    Msk::new(service, cluster, default_policy(), Some(Verifier::new(brokers, Brokers::servers())))
}

fn retry(seconds: u64) -> Retry {
    Retry::until(Instant::now() + Duration::from_secs(seconds), fastrand::Rng::with_seed(1))
}

async fn step<V: Versions>(
    versions: &V,
    target: &impl Target,
    id: &str,
    step: Step,
) -> Result<Done, RotationError> {
    let event = RotationEvent {
        step,
        secret_id: id.into(),
        client_request_token: TOKEN.into(),
        rotation_token: None,
    };
    Machine { versions, target, retry: &retry(20) }.run(&event).await
}

/// One rotation with faults; gives the calls of the machine and of the service.
async fn drill(outer: HashMap<usize, Fault>, inner: HashMap<usize, Fault>) -> (usize, usize) {
    let told = format!("{outer:?} {inner:?}");
    let secret = secret(VALUE);
    let (brokers, service) = (Brokers::new(&secret), service(inner));
    for server in Brokers::servers() {
        brokers.takes(server.port);
    }
    let faulty = Faulty::new(&secret, (), outer);
    let target = target(&service, &brokers);
    'attempt: for _ in 0..20 {
        for each in Step::ALL {
            let result = tokio::select! {
                biased;
                () = faulty.died() => None,
                () = service.faults.died() => None,
                result = step(&faulty, &target, SECRET, each) => Some(result),
            };
            // Every broker takes a password that the secret still has under a label.
            let labelled: Vec<String> = [CURRENT, PREVIOUS]
                .iter()
                .filter_map(|label| Some(secret.document(label)?.password().ok()?.expose_secret().to_owned()))
                .collect();
            for server in Brokers::servers() {
                let takes = brokers.takes(server.port);
                assert!(labelled.contains(&takes), "{told}: {server} takes {takes}, not one of {labelled:?}");
            }
            if !matches!(result, Some(Ok(_))) {
                continue 'attempt;
            }
        }
        assert_eq!((secret.labels(TOKEN), secret.labels(OLD)), (vec![CURRENT], vec![PREVIOUS]), "{told}");
        assert_eq!(secret.document(CURRENT).unwrap().keys().count(), 2);
        return (faulty.calls(), service.faults.calls());
    }
    panic!("{told}: it never ended");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_with_a_fault_at_any_call_ends_and_every_broker_takes_a_labelled_password_all_the_time() {
    let calls = drill(HashMap::new(), HashMap::new()).await;
    let mut runs = 0;
    for fault in Fault::ALL {
        for call in 0..calls.0 {
            drill(HashMap::from([(call, fault)]), HashMap::new()).await;
            runs += 1;
        }
        for call in 0..calls.1 {
            drill(HashMap::new(), HashMap::from([(call, fault)])).await;
            runs += 1;
        }
    }
    println!(
        "msk: {} calls of the machine and {} of the service in a rotation, {runs} runs",
        calls.0, calls.1
    );
    assert_eq!((calls, runs), ((14, 1), 60));
}

async fn verify(
    secret: &MemorySecret,
    brokers: &Brokers<'_>,
    seconds: u64,
    since: Duration,
) -> Result<Acted, RotationError> {
    let service = service(HashMap::new());
    let event = ActionEvent { action: Action::VerifyPropagation, secret_id: SECRET.into(), after_minutes: 0 };
    let retry = retry(seconds);
    let occasion = Occasion { versions: secret, retry: &retry, event: &event, now: ROTATED + since };
    target(&service, brokers).act(&occasion).await
}

#[tokio::test(start_paused = true)]
async fn the_window_lasts_until_the_last_broker_takes_the_new_password() {
    let secret = secret(VALUE);
    let brokers = Brokers::new(&secret);
    for server in Brokers::servers() {
        brokers.takes(server.port);
    }
    let service = service(HashMap::new());
    assert_eq!(
        verify(&secret, &brokers, 900, Duration::ZERO).await.unwrap(),
        Acted::Later("a rotation is under way")
    );
    for each in Step::ALL {
        step(&secret, &target(&service, &brokers), SECRET, each).await.unwrap();
    }
    // The slowest of the three reads at its 40th login, which is the 39th from now, after 38 pauses.
    let begun = Instant::now();
    let late = verify(&secret, &brokers, 120, Duration::from_secs(30)).await.unwrap_err();
    let text = late.to_string();
    assert!(late.name() == "PropagationTimeout" && text.contains("b:40 still refuses"), "{text}");
    assert!(text.starts_with("140 s after the rotation"), "{text}");
    assert_eq!(verify(&secret, &brokers, 900, begun.elapsed()).await.unwrap(), Acted::Now);
    assert!(
        (Duration::from_secs(360)..Duration::from_secs(390)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_keeps_the_brokers_from_reading_is_told_before_anything_is_moved() {
    let named = secret(VALUE);
    let brokers = Brokers::new(&named);
    let unassociated = Service { faults: Faults::new(HashMap::new()), secrets: vec!["arn:other".into()] };
    let good = service(HashMap::new());
    let other_user = r#"{"username":"root","password":"pending"}"#;
    let aliased = Description { kms_key: Some("alias/aws/secretsmanager".into()), ..Description::default() };
    for (secret, id, service, pending, name, part) in [
        (secret(VALUE), "arn:x:secret:app-AbCdEf", &good, None, "InvalidSecretName", "`AmazonMSK_`"),
        (MemorySecret::new(VALUE), SECRET, &good, None, "SecretKeyNotCustomerManaged", "update-secret"),
        (
            MemorySecret::new(VALUE).described(aliased),
            SECRET,
            &good,
            None,
            "SecretKeyNotCustomerManaged",
            "aws/secretsmanager",
        ),
        (
            secret(VALUE),
            SECRET,
            &unassociated,
            None,
            "SecretNotAssociated",
            "batch-associate-scram-secret --cluster-arn arn:aws:kafka:",
        ),
        (secret(VALUE), SECRET, &good, Some(other_user), "PendingVersionMismatch", "`username`"),
        (
            secret(r#"{"username":"app","password":"p","host":"h"}"#),
            SECRET,
            &good,
            None,
            "InvalidSecretValue",
            "the key `host`, expected exactly `username` and `password`",
        ),
        (
            secret(r#"{"userName":"app","password":"p"}"#),
            SECRET,
            &good,
            None,
            "InvalidSecretValue",
            "but a key `userName`",
        ),
    ] {
        let target = target(service, &brokers);
        if let Some(pending) = pending {
            secret.set(TOKEN, pending);
        }
        let mut error = None;
        for each in [Step::Create, Step::Set] {
            error = error.or(step(&secret, &target, id, each).await.err());
        }
        let error = error.expect(name);
        let text = lambda_kit::call::chain(&error);
        assert!(error.name() == name && text.contains(part), "{text}");
        assert_eq!(secret.labels(OLD), [CURRENT]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_out_of_the_configuration_logs_in_at_every_broker_with_the_current_password() {
    let (good, wrong) = (secret(VALUE), secret(VALUE));
    let service = service(HashMap::new());
    let brokers = Brokers::new(&good);
    assert_eq!(step(&good, &target(&service, &brokers), SECRET, Step::Test).await.unwrap(), Done::Now);
    wrong.set(OLD, r#"{"username":"app","password":"by-hand"}"#);
    let error = step(&wrong, &target(&service, &brokers), SECRET, Step::Test).await.unwrap_err();
    assert_eq!(error.name(), "NewPasswordRejected");
    // Without brokers in the configuration the association is what is tried.
    let blind = Msk { verifier: None::<Verifier<NoLogin>>, ..no_login(&service) };
    assert_eq!(step(&wrong, &blind, SECRET, Step::Test).await.unwrap(), Done::Now);
    let event = ActionEvent { action: Action::VerifyPropagation, secret_id: SECRET.into(), after_minutes: 0 };
    let retry = retry(20);
    let occasion = Occasion { versions: &good, retry: &retry, event: &event, now: ROTATED };
    assert_eq!(blind.act(&occasion).await.unwrap_err().name(), "BrokersNotConfigured");
}

/// For a function that cannot log in: there is no value of it.
#[derive(Debug, Clone, Copy)]
enum NoLogin {}

impl Propagation for NoLogin {
    async fn log_in(&self, _: &Account) -> Result<Login, EngineError> {
        match *self {}
    }
}

fn no_login(service: &Service) -> Msk<&Service, NoLogin> {
    let source = |_: &str| Some("arn:aws:kafka:eu-west-1:123456789012:cluster/main/0a1b".to_owned());
    let cluster = ClusterArn::from_env(lambda_kit::env::Env::from(&source)).unwrap();
    Msk::new(service, cluster, default_policy(), None)
}

#[test]
fn no_text_of_a_value_shows_the_password() {
    let document = SecretDocument::parse(&SecretString::from(VALUE)).unwrap();
    let service = service(HashMap::new());
    let told = no_login(&service).whose(&document);
    assert_eq!(told, "user `app` of cluster `main`");
}

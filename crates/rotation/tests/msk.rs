//! Rotations on a cluster in memory whose brokers read AWSCURRENT some logins later: a fault in
//! every call, and the window after the rotation.

#![cfg(feature = "msk")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use rotation::action::{Action, ActionEvent};
use rotation::document::SecretDocument;
use rotation::engine::{Account, EngineError, Login, Server};
use rotation::error::RotationError;
use rotation::event::{RotationEvent, Step};
use rotation::invocation::Invocation;
use rotation::machine::Machine;
use rotation::msk::{ClusterArn, Clusters, Msk, Propagation, Verifier, default_policy};
use rotation::outcome::StepOutcome;
use rotation::pending::{PendingMac, SigningKeys};
use rotation::retry::Retry;
use rotation::rotator::CredentialRotator;
use rotation::versions::{CURRENT, Description, PREVIOUS, Versions};
use secrecy::{ExposeSecret, SecretString};
use test_support::rotation::{Fault, Faults, Faulty, MemorySecret, OLD, TOKEN};
use tokio::time::Instant;

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_app-AbCdEf";
const VALUE: &str = r#"{"username":"app","password":"old-password"}"#;
const ROTATED: Moment = Moment::BEGINNING;

fn secret(value: &str) -> MemorySecret {
    let details = Description {
        kms_key: Some("arn:aws:kms:eu-west-1:123456789012:key/1".into()),
        last_rotated: Some(ROTATED),
        ..Description::default()
    };
    MemorySecret::new(value).described(details)
}

/// Brokers that accept the AWSCURRENT of their last read. Each reads it again after some logins.
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

    /// Returns the password that a broker accepts. Its port is the number of logins between two
    /// reads.
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

/// The service, with faults.
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

fn rotator<'t>(service: &'t Service, brokers: &'t Brokers<'t>) -> Msk<&'t Service, &'t Brokers<'t>> {
    let source = |_: &str| Some("arn:aws:kafka:eu-west-1:123456789012:cluster/main/0a1b".to_owned());
    let cluster = ClusterArn::from_env(lambda_kit::env::Env::from(&source)).unwrap();
    Msk::new(service, cluster, default_policy(), Some(Verifier::new(brokers, Brokers::servers())))
}

fn retry(seconds: u64) -> Retry {
    Retry::until(Instant::now() + Duration::from_secs(seconds), fastrand::Rng::with_seed(1))
}

async fn step<V: Versions>(
    versions: &V,
    rotator: &impl CredentialRotator,
    id: &str,
    step: Step,
) -> Result<StepOutcome, RotationError> {
    let event = RotationEvent {
        step,
        secret_id: id.into(),
        client_request_token: TOKEN.into(),
        rotation_token: None,
    };
    Machine { versions, rotator, retry: &retry(20), now: ROTATED }.run(&event).await
}

/// Runs one rotation with faults. Returns the calls of the machine and of the service.
async fn drill(outer: HashMap<usize, Fault>, inner: HashMap<usize, Fault>) -> (usize, usize) {
    let plan = format!("{outer:?} {inner:?}");
    let secret = secret(VALUE);
    let (brokers, service) = (Brokers::new(&secret), service(inner));
    for server in Brokers::servers() {
        brokers.takes(server.port);
    }
    let faulty = Faulty::new(&secret, (), outer);
    let rotator = rotator(&service, &brokers);
    'attempt: for _ in 0..20 {
        for each in Step::ALL {
            let result = tokio::select! {
                biased;
                () = faulty.died() => None,
                () = service.faults.died() => None,
                result = step(&faulty, &rotator, SECRET, each) => Some(result),
            };
            // Every broker accepts a password that the secret still has under a label.
            let labelled: Vec<String> = [CURRENT, PREVIOUS]
                .iter()
                .filter_map(|label| Some(secret.document(label)?.password().ok()?.expose_secret().to_owned()))
                .collect();
            for server in Brokers::servers() {
                let takes = brokers.takes(server.port);
                assert!(labelled.contains(&takes), "{plan}: {server} takes {takes}, not one of {labelled:?}");
            }
            if !matches!(result, Some(Ok(_))) {
                continue 'attempt;
            }
        }
        assert_eq!((secret.labels(TOKEN), secret.labels(OLD)), (vec![CURRENT], vec![PREVIOUS]), "{plan}");
        assert_eq!(secret.document(CURRENT).unwrap().keys().count(), 2);
        return (faulty.calls(), service.faults.calls());
    }
    panic!("{plan}: it never ended");
}

#[tokio::test(start_paused = true)]
async fn rotation_with_a_fault_keeps_a_labelled_password_valid() {
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
    assert_eq!((calls, runs), ((17, 1), 72));
}

async fn verify(
    secret: &MemorySecret,
    brokers: &Brokers<'_>,
    seconds: u64,
    since: Duration,
) -> Result<StepOutcome, RotationError> {
    let service = service(HashMap::new());
    let event =
        ActionEvent { action: Action::VerifyPropagation, secret_id: SECRET.into(), after_minutes: None };
    let retry = retry(seconds);
    let at = Invocation { secret_id: SECRET, versions: secret, retry: &retry, now: ROTATED.plus(since) };
    rotator(&service, brokers).act(&at, &event).await
}

#[tokio::test(start_paused = true)]
async fn window_ends_when_the_last_broker_accepts_the_password() {
    let secret = secret(VALUE);
    let brokers = Brokers::new(&secret);
    for server in Brokers::servers() {
        brokers.takes(server.port);
    }
    let service = service(HashMap::new());
    assert_eq!(
        verify(&secret, &brokers, 900, Duration::ZERO).await.unwrap(),
        StepOutcome::Postponed("a rotation is in progress")
    );
    for each in Step::ALL {
        step(&secret, &rotator(&service, &brokers), SECRET, each).await.unwrap();
    }
    // The slowest of the three reads at its 40th login, the 39th from now, after 38 pauses.
    let begun = Instant::now();
    let late = verify(&secret, &brokers, 120, Duration::from_secs(30)).await.unwrap_err();
    let text = late.to_string();
    assert!(late.name() == "PropagationTimeout" && text.contains("b:40 still rejects"), "{text}");
    assert!(text.starts_with("140 s after the rotation"), "{text}");
    assert_eq!(verify(&secret, &brokers, 900, begun.elapsed()).await.unwrap(), StepOutcome::Done);
    assert!(
        (Duration::from_secs(360)..Duration::from_secs(390)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn unreadable_secret_is_reported_before_awscurrent_moves() {
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
        let rotator = rotator(service, &brokers);
        if let Some(pending) = pending {
            let keys = SigningKeys { current: VALUE.into(), previous: None };
            let mac = PendingMac { secret_id: id, token: TOKEN };
            let pending = rotator.sign(mac, &SecretDocument::parse(&pending.into()).unwrap(), &keys);
            secret.set(TOKEN, pending.to_secret_string().expose_secret());
        }
        let mut error = None;
        for each in [Step::Create, Step::Set] {
            error = error.or(step(&secret, &rotator, id, each).await.err());
        }
        let error = error.expect(name);
        let text = lambda_kit::error::chain(&error);
        assert!(error.name() == name && text.contains(part), "{text}");
        assert_eq!(secret.labels(OLD), [CURRENT]);
    }
}

#[tokio::test(start_paused = true)]
async fn planted_password_is_refused_and_brokers_keep_theirs() {
    let (secret, service) = (secret(VALUE), service(HashMap::new()));
    let brokers = Brokers::new(&secret);
    let rotator = rotator(&service, &brokers);
    secret.set(TOKEN, r#"{"username":"app","password":"planted-password-of-forty-characters-0001"}"#);
    for each in Step::ALL {
        let error = step(&secret, &rotator, SECRET, each).await.unwrap_err();
        assert_eq!((error.name(), secret.labels(OLD)), ("PendingNotCreatedHere", vec![CURRENT]), "{each}");
    }
    let retry = retry(20);
    let at = Invocation { secret_id: SECRET, versions: &secret, retry: &retry, now: ROTATED };
    // Brokers accept nothing but AWSCURRENT; the repair does not promote the value either.
    let found = rotation::repair::examine(&rotator, &at, Some(0)).await.unwrap();
    assert_eq!(found.verdict, rotation::repair::Verdict::Drop, "{}", found.reason);
}

#[tokio::test(start_paused = true)]
async fn configuration_test_logs_in_at_every_broker() {
    let (good, wrong) = (secret(VALUE), secret(VALUE));
    let service = service(HashMap::new());
    let brokers = Brokers::new(&good);
    assert_eq!(
        step(&good, &rotator(&service, &brokers), SECRET, Step::Test).await.unwrap(),
        StepOutcome::Done
    );
    wrong.set(OLD, r#"{"username":"app","password":"by-hand"}"#);
    let error = step(&wrong, &rotator(&service, &brokers), SECRET, Step::Test).await.unwrap_err();
    assert_eq!(error.name(), "NewPasswordRejected");
    // Without brokers in the configuration, only the association is checked.
    let blind = no_login(&service);
    assert_eq!(step(&wrong, &blind, SECRET, Step::Test).await.unwrap(), StepOutcome::Done);
    let event =
        ActionEvent { action: Action::VerifyPropagation, secret_id: SECRET.into(), after_minutes: None };
    let retry = retry(20);
    let at = Invocation { secret_id: SECRET, versions: &good, retry: &retry, now: ROTATED };
    assert_eq!(blind.act(&at, &event).await.unwrap_err().name(), "BrokersNotConfigured");
}

/// The client of a function that cannot log in. It has no value.
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
fn description_hides_the_password() {
    let document = SecretDocument::parse(&SecretString::from(VALUE)).unwrap();
    let service = service(HashMap::new());
    let rotator = no_login(&service);
    let description = rotator.describe(&rotator.parse(&document).unwrap());
    assert_eq!(description, "user `app` of cluster `main`");
}

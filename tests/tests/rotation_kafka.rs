//! Users of a real Kafka broker (Tansu) rotated: a fault at every call, a broken connection at
//! every request, both mechanisms, bad input.

#![allow(clippy::unwrap_used)]
// The counts of a run are for whoever reads the test's output.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::time::Duration;

use cloud::setup::Environment;
use local_servers::kafka::{self, Broker, Cut, Mechanism};
use rotation::document::SecretDocument;
use rotation::engine::{Engine, Login};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::engines::trust::Tls;
use rotation::event::Step;
use rotation::passwords::Strategy;
use serde_json::{Value, json};
use test_support::rotation::{Drill, Fault, MemorySecret, for_each_schedule, rotate_under_load, strategies};

const USER: &str = "app \"one\"; 'two'";
const CLONE: &str = "app \"one\"; 'two'_clone";
const FIRST: &str = "first-password";
const ADMIN: &str = "admin";
const ADMIN_PASSWORD: &str = "admin-password";
const NAMES: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

struct Target {
    engine: Kafka,
    broker: Broker,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Target {
    fn new() -> Self {
        Self::logging("warn")
    }

    fn logging(level: &str) -> Self {
        let program = kafka::program().unwrap_or_else(|_| {
            let installed = Environment::Kafka.ensure(&|line| println!("{line}")).unwrap();
            installed.program("tansu")
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start(&program, folder.path(), level).unwrap();
        let target = Self { engine: engine(broker.ca(), 4096), broker, runtime, _folder: folder };
        target.broker.set_user(ADMIN, ADMIN_PASSWORD, Mechanism::Sha512).unwrap();
        target.reset(&[Mechanism::Sha512]);
        target
    }

    /// The user as in the beginning, with credentials for these mechanisms, and no other user but
    /// the admin.
    fn reset(&self, mechanisms: &[Mechanism]) {
        for mechanism in [Mechanism::Sha256, Mechanism::Sha512] {
            self.broker.delete_user(CLONE, mechanism).unwrap();
            if mechanisms.contains(&mechanism) {
                self.broker.set_user(USER, FIRST, mechanism).unwrap();
            } else {
                self.broker.delete_user(USER, mechanism).unwrap();
            }
        }
    }

    fn value(&self) -> Value {
        json!({"engine": "kafka", "host": "127.0.0.1", "port": self.broker.front().port(), "username": USER, "password": FIRST, "note": "keep me"})
    }

    fn secret(&self, value: &Value) -> MemorySecret {
        let mut admin = self.value();
        admin["username"] = ADMIN.into();
        admin["password"] = ADMIN_PASSWORD.into();
        MemorySecret::new(&value.to_string()).with_admin(&admin.to_string())
    }

    fn log_in_with(&self, engine: &Kafka, value: &Value) -> Result<Login, String> {
        let document = SecretDocument::parse(&value.to_string().into()).unwrap();
        let account = engine.account(&document).map_err(|error| error.to_string())?;
        self.runtime.block_on(engine.log_in(&account)).map_err(|error| format!("{}: {error}", error.name()))
    }

    fn log_in(&self, value: &Value) -> Login {
        self.log_in_with(&self.engine, value).unwrap()
    }

    /// By each mechanism, in the order of [`NAMES`].
    fn log_in_by_each(&self, user: &str, password: &str) -> [Login; 2] {
        NAMES.map(|name| {
            let mut value = self.value();
            value["username"] = user.into();
            value["password"] = password.into();
            value["mechanism"] = name.into();
            self.log_in(&value)
        })
    }
}

fn engine(ca: &str, iterations: u32) -> Kafka {
    let tls = Tls::new(Some(ca), None).unwrap();
    Kafka::new(tls, Kafka::default_policy(), Iterations::new(iterations).unwrap())
}

fn text(secret: &MemorySecret, label: &str, key: &'static str) -> String {
    secret.document(label).unwrap().text(key).unwrap().to_owned()
}

/// One rotation of the user as in the beginning; gives the number of calls.
fn rotate_with(target: &Target, strategy: &Strategy, faults: &HashMap<usize, Fault>, twice: bool) -> usize {
    target.reset(&[Mechanism::Sha512]);
    let secret = target.secret(&target.value());
    let mut drill = Drill::new(&secret, &target.engine, faults.clone()).by(strategy.clone());
    drill.twice = twice;
    target
        .runtime
        .block_on(drill.run())
        .unwrap_or_else(|problem| panic!("{strategy:?}, {faults:?}, twice: {twice}: {problem}"))
}

#[test]
fn rotation_on_a_broker_with_a_fault_ends_with_a_valid_login() {
    let target = Target::new();
    for (name, strategy) in strategies() {
        let drill = |faults: HashMap<usize, Fault>| rotate_with(&target, &strategy, &faults, false);
        let calls = drill(HashMap::new());
        let mut runs = 0;
        for call in 0..calls {
            for fault in Fault::ALL {
                drill(HashMap::from([(call, fault)]));
                runs += 1;
            }
        }
        println!("kafka, {name}: {calls} calls a rotation, {runs} runs with one fault each");
        assert_eq!((calls, runs), (if strategy == Strategy::SingleUser { 20 } else { 21 }, 4 * calls));
    }
}

#[test]
fn random_faults_and_repeated_steps_end_with_a_valid_login() {
    let target = Target::new();
    for_each_schedule("kafka", "SLUICE_ENGINE_RUNS", 20, |schedule| {
        rotate_with(&target, &schedule.strategy().1, &schedule.faults, schedule.twice);
    });
}

#[test]
fn two_users_have_no_refused_login_and_one_user_a_short_window() {
    let target = Target::new();
    let mut admin = target.value();
    admin["username"] = ADMIN.into();
    admin["password"] = ADMIN_PASSWORD.into();
    let admin = admin.to_string();
    for (name, strategy) in strategies() {
        target.reset(&[Mechanism::Sha512]);
        let value = target.value().to_string();
        let rotating = rotate_under_load(&target.engine, &strategy, &value, &admin, 100);
        let seen = target.runtime.block_on(rotating).unwrap();
        println!("kafka, {name}: 100 rotations, {seen}");
        assert!(seen.logins > 300, "{} logins say nothing", seen.logins);
        if matches!(strategy, Strategy::AlternatingUsers(_)) {
            assert_eq!(seen.refused, 0, "{name}");
        } else {
            assert!(seen.longest < Duration::from_secs(5), "{name}: {:?}", seen.longest);
        }
    }
}

/// Requests that the broker gets of a rotation, by strategy, three in a row.
const REQUESTS: [usize; 9] = [27, 27, 27, 27, 27, 27, 30, 30, 30];

#[test]
fn rotation_makes_the_documented_number_of_calls() {
    let target = Target::new();
    let mut counted = Vec::new();
    for (name, strategy) in strategies() {
        target.reset(&[Mechanism::Sha512]);
        let mut value = target.value();
        for turn in ["first", "second", "third"] {
            let _of_the_reset = target.broker.front().take_requests();
            let secret = target.secret(&value);
            let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
            let cost = target.runtime.block_on(drill.only_rotate()).unwrap();
            let requests = target.broker.front().take_requests().len();
            counted.push(requests);
            println!("kafka, {name}, {turn}: {cost}; {requests} requests");
            value["username"] = text(&secret, "AWSCURRENT", "username").into();
            value["password"] = text(&secret, "AWSCURRENT", "password").into();
        }
    }
    assert_eq!(counted, REQUESTS);
}

#[test]
fn change_is_repeated_after_the_connection_broke_anywhere() {
    let target = Target::new();
    let front = target.broker.front();
    for (name, strategy) in strategies() {
        for mechanism in NAMES {
            // The user has a credential for either mechanism, and its secret is for one.
            let run = |cut: Option<(usize, Cut)>| {
                target.reset(&[Mechanism::Sha256, Mechanism::Sha512]);
                let mut value = target.value();
                value["mechanism"] = mechanism.into();
                let secret = target.secret(&value);
                let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
                target.runtime.block_on(drill.step(Step::Create)).unwrap().unwrap();
                let _earlier = front.take_requests();
                if let Some((request, cut)) = cut {
                    front.cut_at(request, cut);
                }
                // It fails, or tries again what may be tried again.
                let _result = target.runtime.block_on(drill.step(Step::Set)).unwrap();
                let requests = front.take_requests();
                assert!(!front.take_cut(), "{cut:?} did not happen");
                let problem = |problem| panic!("{name}, {mechanism}, {cut:?}: {problem}");
                target.runtime.block_on(drill.run()).unwrap_or_else(problem);

                let (user, new) =
                    (text(&secret, "AWSCURRENT", "username"), text(&secret, "AWSCURRENT", "password"));
                assert_eq!(
                    target.log_in_by_each(&user, &new),
                    [Login::Accepted; 2],
                    "{name}, {mechanism}, {cut:?}"
                );
                let old = if user == USER { [Login::Refused; 2] } else { [Login::Accepted; 2] };
                assert_eq!(target.log_in_by_each(USER, FIRST), old, "{name}, {mechanism}, {cut:?}");
                requests
            };
            let requests = run(None);
            assert_eq!(requests.iter().filter(|key| **key == 51).count(), 2, "{requests:?}");
            for request in 0..requests.len() {
                for cut in [Cut::Before, Cut::Answered] {
                    run(Some((request, cut)));
                }
            }
            println!(
                "kafka, {name}, {mechanism}: {} requests in setSecret, {} runs",
                requests.len(),
                2 * requests.len()
            );
        }
    }
}

#[test]
fn alternating_users_keep_the_credential_of_clients_valid() {
    let target = Target::new();
    let [.., (_, strategy)] = strategies();
    let mut value = target.value();
    for rotation in 0..6 {
        let secret = target.secret(&value);
        let drill = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
        target.runtime.block_on(drill.run()).unwrap();
        // What a client has read right before goes on working until the rotation after the next.
        assert_eq!(target.log_in(&value), Login::Accepted, "rotation {rotation}");
        value["username"] = text(&secret, "AWSCURRENT", "username").into();
        value["password"] = text(&secret, "AWSCURRENT", "password").into();
        assert_eq!(value["username"], if rotation % 2 == 0 { CLONE } else { USER });
    }
}

#[test]
fn only_wrong_password_and_unknown_user_are_refused() {
    let target = Target::new();
    let with = |changes: &[(&str, Value)]| {
        let mut value = target.value();
        for (key, changed) in changes {
            value[key] = changed.clone();
        }
        value
    };
    assert_eq!(target.log_in(&target.value()), Login::Accepted);
    assert_eq!(target.log_in(&with(&[("password", "second-password".into())])), Login::Refused);
    assert_eq!(target.log_in(&with(&[("username", "nobody".into())])), Login::Refused);
    assert_eq!(target.log_in(&with(&[("mechanism", "SCRAM-SHA-256".into())])), Login::Refused);

    let closed = local_servers::process::free_port().unwrap();
    for (changes, name, part) in [
        (vec![("port", closed.into())], "ServerUnreachable", "refused"),
        (vec![("host", "localhost.invalid".into())], "ServerUnreachable", "localhost.invalid"),
        (vec![("mechanism", "PLAIN".into())], "", "`mechanism` is not `SCRAM-SHA-256` or `SCRAM-SHA-512`"),
        (vec![("username", "appé".into())], "", "`username` is not printable ASCII"),
        (vec![("engine", "postgres".into())], "", "`kafka`"),
        (vec![("ssl", false.into())], "", "only sent over verified TLS"),
        (vec![("brokers", "b1 b2".into())], "", "`brokers` is not a list of brokers"),
    ] {
        let error = target.log_in_with(&target.engine, &with(&changes)).unwrap_err();
        assert!(error.starts_with(name) && error.contains(part), "{changes:?}: {error}");
        assert!(!error.contains(FIRST), "{error}");
    }
    let other = Target::new();
    let error = target.log_in_with(&other.engine, &target.value()).unwrap_err();
    assert!(error.starts_with("CertificateNotTrusted"), "{error}");
}

#[test]
fn first_reachable_broker_of_the_list_is_used() {
    let target = Target::new();
    let closed = local_servers::process::free_port().unwrap();
    let mut value = target.value();
    for key in ["host", "port"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value["bootstrap.servers"] =
        format!("127.0.0.1:{closed},localhost:{}", target.broker.front().port()).into();
    let secret = target.secret(&value);
    let drill = Drill::new(&secret, &target.engine, HashMap::new());
    target.runtime.block_on(drill.run()).unwrap();
    assert_eq!(target.log_in(&value), Login::Refused);

    value["bootstrap.servers"] = format!("127.0.0.1:{closed},localhost:{closed}").into();
    let error = target.log_in_with(&target.engine, &value).unwrap_err();
    assert!(
        error.contains(&format!("127.0.0.1:{closed}: ")) && error.contains(&format!("localhost:{closed}: ")),
        "{error}"
    );
}

#[test]
fn jaas_configuration_alone_follows_the_password() {
    let target = Target::new();
    let mut value = target.value();
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule required";
    let jaas = |password: &str| format!(r#"{module} username="app \"one\"; 'two'" password="{password}";"#);
    value["sasl.jaas.config"] = jaas(FIRST).into();
    let secret = target.secret(&value);
    let drill = Drill::new(&secret, &target.engine, HashMap::new());
    for step in Step::ALL {
        target.runtime.block_on(drill.step(step)).unwrap().unwrap();
    }
    let new = text(&secret, "AWSCURRENT", "password");
    assert_eq!(text(&secret, "AWSCURRENT", "sasl.jaas.config"), jaas(&new));
    assert_eq!(text(&secret, "AWSCURRENT", "note"), "keep me");
}

#[test]
fn every_allowed_number_of_iterations_gives_a_valid_login() {
    let target = Target::new();
    for (mechanism, name) in [Mechanism::Sha256, Mechanism::Sha512].into_iter().zip(NAMES) {
        for iterations in [4096, 8192, 16_384] {
            let engine = engine(target.broker.ca(), iterations);
            target.reset(&[mechanism]);
            let mut value = target.value();
            value["mechanism"] = name.into();
            let secret = target.secret(&value);
            let drill = Drill::new(&secret, &engine, HashMap::new());
            target
                .runtime
                .block_on(drill.run())
                .unwrap_or_else(|problem| panic!("{name}, {iterations}: {problem}"));
        }
    }
    assert_eq!((Iterations::new(4095), Iterations::new(16_385)), (None, None));
}

#[test]
fn commas_and_equals_signs_of_a_user_are_escaped() {
    let target = Target::new();
    // Tansu 0.6 looks a user up by the name as it stands in the message.
    target.broker.set_user("a=3Db=2Cc", FIRST, Mechanism::Sha512).unwrap();
    let mut value = target.value();
    value["username"] = "a=b,c".into();
    assert_eq!(target.log_in(&value), Login::Accepted);
}

#[test]
fn broker_log_contains_no_password() {
    let target = Target::logging("info");
    let secret = target.secret(&target.value());
    let drill = Drill::new(&secret, &target.engine, HashMap::new());
    target.runtime.block_on(drill.run()).unwrap();
    let (log, new) = (target.broker.log(), text(&secret, "AWSCURRENT", "password"));
    assert!(log.contains("tansu_service"), "the log says nothing");
    for password in [FIRST, ADMIN_PASSWORD, &new] {
        assert!(!log.contains(password), "the log shows a password");
    }
}

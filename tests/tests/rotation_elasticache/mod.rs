//! Users and AUTH tokens of a real Redis rotated through the control plane of ElastiCache, with a
//! fault at every call.

// The counts and seeds of a run are for whoever reads the test's output.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bad_input;
mod interleaved;
mod local_cloud;
mod retire;
mod service;

use std::collections::HashMap;
use std::time::Duration;

use local_servers::redis::Redis;
use rotation::engine::{Account, Engine, Login, Server};
use rotation::engines::elasticache::{Endpoint, Pace, RbacUser, Token};
use rotation::engines::trust::Tls;
use rotation::event::Step;
use rotation::passwords::Strategy;
use serde_json::{Value, json};
use service::{ARN, GROUP, Service};
use test_support::rotation::{Drill, Fault, Faults, MemorySecret, for_each_schedule, rotate_under_load};

/// A user whose name would need quoting elsewhere.
const USER: &str = r#"app"one'\{1}é"#;
const FIRST: &str = "first-Password-0";

/// A server, and where it is.
struct Stage {
    redis: Redis,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = Redis::start(folder.path(), further).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { redis, runtime, _folder: folder }
    }

    fn endpoint(&self) -> Endpoint {
        let ca = std::fs::read_to_string(self.redis.ca_file()).unwrap();
        let millisecond = Duration::from_millis(1);
        Endpoint {
            server: Server { host: "127.0.0.1".into(), port: self.redis.port(), database: String::new() },
            tls: Tls::new(Some(&ca), None).unwrap(),
            policy: Endpoint::default_policy(),
            pace: Pace {
                first: millisecond,
                longest: millisecond,
                grace: 10 * millisecond,
                within: Duration::from_secs(10),
            },
        }
    }

    fn user<'s>(&self, service: &'s Service<'s>) -> RbacUser<&'s Service<'s>> {
        RbacUser::new(service, ARN.parse().unwrap(), self.endpoint())
    }

    fn token<'s>(&self, service: &'s Service<'s>) -> Token<&'s Service<'s>> {
        Token::new(service, GROUP.into(), self.endpoint())
    }

    fn log_in(&self, engine: &impl Engine, user: &str, password: &str) -> Login {
        let server = self.endpoint().server;
        let account = Account { server, user: user.into(), password: password.into(), mechanism: None };
        self.runtime.block_on(engine.log_in(&account)).unwrap()
    }
}

fn user_value() -> Value {
    json!({"username": USER, "password": FIRST, "user_arn": ARN, "note": "keep me"})
}

fn token_value() -> Value {
    json!({"password": FIRST, "note": "keep me"})
}

/// The kind of credential.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    User,
    Token,
    /// A token on a service that rejects SET before the first ROTATE.
    TokenWithoutSet,
}

/// Calls of the machine, and of the service below them.
#[derive(Debug, PartialEq)]
struct Calls(usize, usize);

/// One rotation with faults in the calls of the machine and in those of the service.
fn drill(
    stage: &Stage,
    mode: Mode,
    outer: HashMap<usize, Fault>,
    inner: HashMap<usize, Fault>,
    twice: bool,
) -> Calls {
    let case = format!("{mode:?}, machine: {outer:?}, service: {inner:?}, twice: {twice}");
    let (name, value) = match mode {
        Mode::User => (USER, user_value()),
        Mode::Token | Mode::TokenWithoutSet => ("default", token_value()),
    };
    let secret = MemorySecret::new(&value.to_string());
    let mut service = Service::new(&stage.redis, name, FIRST, Faults::new(inner));
    service.strict = mode == Mode::TokenWithoutSet;
    let calls = match mode {
        Mode::User => run(stage, &secret, &stage.user(&service), &service, outer, twice),
        Mode::Token | Mode::TokenWithoutSet => {
            run(stage, &secret, &stage.token(&service), &service, outer, twice)
        }
    };
    let calls = calls.unwrap_or_else(|problem| panic!("{case}: {problem}; {:?}", service.history()));
    // The overlap is of two, the current one and the one before it.
    let left = service.passwords();
    assert!(left.len() == 2 && left.contains(&FIRST.to_owned()), "{case}: {left:?}");
    Calls(calls, service.faults.calls())
}

fn run<E: Engine>(
    stage: &Stage,
    secret: &MemorySecret,
    engine: &E,
    service: &Service<'_>,
    faults: HashMap<usize, Fault>,
    twice: bool,
) -> Result<usize, String> {
    let mut drill = Drill::new(secret, engine, faults).with_inner(&service.faults);
    drill.twice = twice;
    stage.runtime.block_on(drill.run())
}

fn every_fault_at_every_call(mode: Mode) -> Calls {
    let stage = Stage::new();
    let calls = drill(&stage, mode, HashMap::new(), HashMap::new(), false);
    let mut runs = 0;
    for fault in Fault::ALL {
        for call in 0..calls.0 {
            drill(&stage, mode, HashMap::from([(call, fault)]), HashMap::new(), false);
            runs += 1;
        }
        for call in 0..calls.1 {
            drill(&stage, mode, HashMap::new(), HashMap::from([(call, fault)]), false);
            runs += 1;
        }
    }
    println!(
        "{mode:?}: {} calls of the machine and {} of the service in a rotation, {runs} runs",
        calls.0, calls.1
    );
    assert_eq!(runs, 4 * (calls.0 + calls.1));
    calls
}

#[test]
fn user_rotates_with_a_fault_and_current_password_always_works() {
    // The machine's 17; looks at the user before and after the change and while it lasts, one
    // change.
    assert_eq!(every_fault_at_every_call(Mode::User), Calls(20, 5));
}

#[test]
fn token_rotates_with_a_fault_and_current_token_always_works() {
    // One login more, and SET to the current token; each change with its looks.
    assert_eq!(every_fault_at_every_call(Mode::Token), Calls(22, 10));
}

#[test]
fn first_token_rotates_where_set_is_allowed_after_rotate_only() {
    // SET is rejected: there is nothing to retire.
    assert_eq!(every_fault_at_every_call(Mode::TokenWithoutSet), Calls(22, 7));
}

#[test]
fn random_faults_end_with_a_valid_current_credential() {
    let stage = Stage::new();
    for mode in [Mode::User, Mode::Token, Mode::TokenWithoutSet] {
        for_each_schedule(&format!("elasticache, {mode:?}"), "SLUICE_ENGINE_RUNS", 30, |schedule| {
            drill(&stage, mode, schedule.faults.clone(), schedule.inner.clone(), schedule.twice);
        });
    }
}

#[test]
fn during_a_hundred_rotations_no_login_is_refused() {
    let stage = Stage::new();
    let service = Service::new(&stage.redis, USER, FIRST, Faults::new(HashMap::new()));
    under_load(&stage, "user", &stage.user(&service), &user_value());
    let service = Service::new(&stage.redis, "default", FIRST, Faults::new(HashMap::new()));
    under_load(&stage, "token", &stage.token(&service), &token_value());
}

fn under_load(stage: &Stage, name: &str, engine: &impl Engine, value: &Value) {
    let value = value.to_string();
    let rotating = rotate_under_load(engine, &Strategy::SingleUser, &value, "{}", 100);
    let seen = stage.runtime.block_on(rotating).unwrap();
    println!("elasticache, {name}: 100 rotations, {seen}");
    assert!(seen.logins > 300, "{} logins say nothing", seen.logins);
    assert_eq!(seen.refused, 0, "{name}");
}

#[test]
fn rotation_makes_the_documented_number_of_calls() {
    let stage = Stage::new();
    let mut counted = Vec::new();
    for mode in [Mode::User, Mode::Token] {
        let (name, value) = match mode {
            Mode::User => (USER, user_value()),
            _ => ("default", token_value()),
        };
        let service = Service::new(&stage.redis, name, FIRST, Faults::new(HashMap::new()));
        let secret = MemorySecret::new(&value.to_string());
        let cost = match mode {
            Mode::User => only_rotate(&stage, &secret, &stage.user(&service)),
            _ => only_rotate(&stage, &secret, &stage.token(&service)),
        };
        println!("elasticache, {mode:?}: {cost}; {} calls of ElastiCache", service.faults.calls());
        counted.push(service.faults.calls());
    }
    // Looks while a change is under way are among them.
    assert_eq!(counted, [5, 10]);
}

fn only_rotate(stage: &Stage, secret: &MemorySecret, engine: &impl Engine) -> String {
    stage.runtime.block_on(Drill::new(secret, engine, HashMap::new()).only_rotate()).unwrap()
}

#[test]
fn server_log_contains_no_password() {
    let stage = Stage::with(&["slowlog-log-slower-than 0", "slowlog-max-len 1000"]);
    let service = Service::new(&stage.redis, USER, FIRST, Faults::new(HashMap::new()));
    let secret = MemorySecret::new(&user_value().to_string());
    let engine = stage.user(&service);
    assert_eq!(stage.log_in(&engine, USER, "wrong-Password-00"), Login::Refused);
    stage.redis.command(&["SLOWLOG", "RESET"]).unwrap();
    let drill = Drill::new(&secret, &engine, HashMap::new());
    for step in Step::ALL {
        stage.runtime.block_on(drill.step(step)).unwrap().unwrap();
    }
    let passwords = service.passwords();
    let (slow, refused) = (
        stage.redis.command(&["SLOWLOG", "GET", "-1"]).unwrap(),
        stage.redis.command(&["ACL", "LOG"]).unwrap(),
    );
    assert!(slow.contains("AUTH") && slow.contains("PING"), "{slow}");
    assert!(refused.contains(USER), "{refused}");
    for password in passwords.iter().map(String::as_str).chain(["wrong-Password-00"]) {
        for text in [&slow, &refused, &stage.redis.log()] {
            assert!(!text.contains(password), "{text}");
        }
    }
}

//! The machine against everything that can happen to it: death right before and right after every call, and seeded random schedules of
//! death, steps sent twice, lost answers and calls that fail.

// The counts and seeds of a run are for whoever reads the test's output.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use lambda_kit::call::CallError;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::machine::{Done, Machine};
use crate::password::PasswordPolicy;
use crate::retry::Retry;
use crate::versions::{CURRENT, Description, Moved, PENDING, PREVIOUS, Versions, Written};

const SECRET: &str = "arn:secret";
const OLD: &str = "old-version-0123456789abcdef0123456";
const TOKEN: &str = "new-version-0123456789abcdef0123456";

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The function dies; the call was never made.
    DiesBefore,
    /// The function dies; the call has had its effect.
    DiesAfter,
    /// The call had its effect, and its answer is an error.
    AnswerLost,
    /// The call fails without effect.
    Fails,
}

#[derive(Debug, Clone, PartialEq)]
struct Version {
    value: Option<String>,
    labels: Vec<&'static str>,
}

#[derive(Debug)]
struct State {
    versions: HashMap<String, Version>,
    server_password: String,
    /// By number of the call.
    faults: HashMap<usize, Fault>,
    calls: usize,
    made: u32,
    /// Somebody else changed the server's password: nothing that the machine does can be held against it.
    locked_out: bool,
}

/// Secrets Manager and a server in one, both in memory.
struct World(Mutex<State>);

impl World {
    fn new(faults: HashMap<usize, Fault>) -> Self {
        let value =
            r#"{"engine":"test","host":"h","username":"u","password":"old","note":"keep me","n":[1,2]}"#;
        let old = Version { value: Some(value.into()), labels: vec![CURRENT] };
        let new = Version { value: None, labels: vec![PENDING] };
        let versions = HashMap::from([(OLD.to_owned(), old), (TOKEN.to_owned(), new)]);
        Self(Mutex::new(State {
            versions,
            server_password: "old".into(),
            faults,
            calls: 0,
            made: 0,
            locked_out: false,
        }))
    }

    /// Every call passes here; afterwards some label's credential must log in.
    async fn call<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, ()> {
        let (fault, result) = {
            let mut state = self.0.lock().unwrap();
            let number = state.calls;
            state.calls += 1;
            let fault = state.faults.remove(&number);
            let result = match fault {
                Some(Fault::DiesBefore | Fault::Fails) => None,
                _ => Some(act(&mut state)),
            };
            state.check();
            (fault, result)
        };
        match (fault, result) {
            // Never comes back: whoever waits is dropped.
            (Some(Fault::DiesBefore | Fault::DiesAfter), _) => std::future::pending().await,
            (None, Some(result)) => Ok(result),
            _ => Err(()),
        }
    }
}

impl State {
    fn password(&self, label: &str) -> Option<String> {
        let version = self.versions.values().find(|version| version.labels.contains(&label))?;
        let document = SecretDocument::parse(&version.value.clone()?.into()).ok()?;
        Some(document.password().ok()?.expose_secret().to_owned())
    }

    fn check(&self) {
        let logs_in = [CURRENT, PENDING, PREVIOUS]
            .iter()
            .any(|label| self.password(label).as_deref() == Some(self.server_password.as_str()));
        assert!(logs_in || self.locked_out, "no label's credential logs in: {self:?}");
    }

    /// What must hold when the rotation has ended.
    fn check_end(&self) {
        assert_eq!(self.password(CURRENT).as_deref(), Some(self.server_password.as_str()));
        assert_ne!(self.server_password, "old");
        assert_eq!(self.versions[TOKEN].labels, [CURRENT]);
        assert_eq!(self.versions[OLD].labels, [PREVIOUS]);
        assert_eq!(self.versions.len(), 2, "a version is orphaned");
        let value: serde_json::Value =
            serde_json::from_str(self.versions[TOKEN].value.as_deref().unwrap()).unwrap();
        let (note, numbers) = (&value["note"], &value["n"]);
        assert_eq!((note, numbers), (&"keep me".into(), &serde_json::json!([1, 2])));
    }
}

fn failed(action: &str) -> CallError {
    CallError::without_answer(action, "the connection broke")
}

impl Versions for World {
    async fn describe(&self, _: &str) -> Result<Description, CallError> {
        self.call(|state| Description {
            rotation_enabled: Some(true),
            stages: state
                .versions
                .iter()
                .map(|(id, version)| (id.clone(), version.labels.iter().map(|&l| l.to_owned()).collect()))
                .collect(),
        })
        .await
        .map_err(|()| failed("secretsmanager:DescribeSecret"))
    }

    async fn value(
        &self,
        _: &str,
        version: Option<&str>,
        label: &str,
    ) -> Result<Option<SecretString>, CallError> {
        self.call(|state| {
            let mut found = state.versions.iter().filter(|(_, v)| v.labels.contains(&label));
            let (id, found) = found.next()?;
            found
                .value
                .clone()
                .filter(|_| version.is_none_or(|version| version == id))
                .map(SecretString::from)
        })
        .await
        .map_err(|()| failed("secretsmanager:GetSecretValue"))
    }

    async fn put_pending(&self, event: &RotationEvent, value: &SecretString) -> Result<Written, CallError> {
        self.call(|state| {
            let version = state.versions.get_mut(&event.client_request_token).unwrap();
            if version.value.is_some() {
                return Written::Before;
            }
            version.value = Some(value.expose_secret().to_owned());
            Written::Now
        })
        .await
        .map_err(|()| failed("secretsmanager:PutSecretValue"))
    }

    async fn promote(&self, _: &str, from: &str, to: &str) -> Result<Moved, CallError> {
        self.call(|state| {
            if !state.versions[from].labels.contains(&CURRENT) {
                return Moved::CurrentIsAnother;
            }
            state.versions.get_mut(from).unwrap().labels = vec![PREVIOUS];
            state.versions.get_mut(to).unwrap().labels = vec![CURRENT];
            Moved::Yes
        })
        .await
        .map_err(|()| failed("secretsmanager:UpdateSecretVersionStage"))
    }

    async fn random_password(&self, _: &PasswordPolicy) -> Result<SecretString, CallError> {
        self.call(|state| {
            state.made += 1;
            SecretString::from(format!("New-Password-{}", state.made))
        })
        .await
        .map_err(|()| failed("secretsmanager:GetRandomPassword"))
    }
}

impl Engine for World {
    fn name(&self) -> &'static str {
        "test"
    }

    fn password_policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            engine: "the test",
            bounds: (3, 64),
            length: 20,
            exclude: String::new(),
            without: Default::default(),
            require_each_kind: false,
        }
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        let defaults = Defaults { engines: &["test"], port: 1, database: "d", expected_engine: "`test`" };
        Account::read(document, defaults)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let password = account.password.expose_secret();
        self.call(|state| if state.server_password == password { Login::Accepted } else { Login::Refused })
            .await
            .map_err(|()| EngineError::Unreachable {
                server: account.server.clone(),
                problem: "reset".into(),
            })
    }

    async fn set_password(&self, account: &Account, new: &SecretString) -> Result<(), EngineError> {
        let old = account.password.expose_secret();
        self.call(|state| {
            assert_eq!(state.server_password, old, "a password was set by a session that could not log in");
            state.server_password = new.expose_secret().to_owned();
        })
        .await
        .map_err(|()| EngineError::NotSet {
            server: account.server.clone(),
            user: account.user.clone(),
            problem: "reset".into(),
        })
    }
}

/// One step. `None`: the function died.
async fn step(world: &World, step: Step) -> Option<Result<Done, RotationError>> {
    let event = RotationEvent {
        step,
        secret_id: SECRET.into(),
        client_request_token: TOKEN.into(),
        rotation_token: None,
    };
    let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
    let machine = Machine { versions: world, engine: world, retry: &retry };
    tokio::time::timeout(Duration::from_secs(60), machine.run(&event)).await.ok()
}

/// What Secrets Manager does: the four steps, and all of them again when one fails.
async fn rotate(world: &World, twice: bool) {
    'attempt: for _ in 0..50 {
        for one in Step::ALL {
            for _ in 0..=usize::from(twice) {
                match step(world, one).await {
                    Some(Ok(_)) => {}
                    _ => continue 'attempt,
                }
            }
        }
        return;
    }
    panic!("the rotation never ended: {:?}", world.0.lock().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_dies_before_or_after_any_call_ends_with_a_credential_that_logs_in() {
    let world = World::new(HashMap::new());
    rotate(&world, false).await;
    let calls = {
        let state = world.0.lock().unwrap();
        state.check_end();
        state.calls
    };
    let mut runs = 0;
    for call in 0..calls {
        for fault in [Fault::DiesBefore, Fault::DiesAfter, Fault::AnswerLost, Fault::Fails] {
            let world = World::new(HashMap::from([(call, fault)]));
            rotate(&world, false).await;
            world.0.lock().unwrap().check_end();
            runs += 1;
        }
    }
    println!("{calls} calls a rotation, {runs} runs with one fault each");
    // Four looks at the labels, six at values, a password, its write, three logins, one change, one move.
    assert_eq!(calls, 17);
    assert_eq!(runs, 4 * calls);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_with_random_faults_and_steps_sent_twice_ends_with_a_credential_that_logs_in() {
    let runs = std::env::var("SLUICE_SOAK_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let first = std::env::var("SLUICE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    for seed in first..first + runs {
        println!("SLUICE_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let kinds = [Fault::DiesBefore, Fault::DiesAfter, Fault::AnswerLost, Fault::Fails];
        let faults =
            (0..random.usize(1..8)).map(|_| (random.usize(0..60), kinds[random.usize(0..4)])).collect();
        let world = World::new(faults);
        rotate(&world, random.bool()).await;
        world.0.lock().unwrap().check_end();
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_out_of_the_configuration_logs_in_with_the_current_credential_and_changes_nothing() {
    let world = World::new(HashMap::new());
    assert_eq!(step(&world, Step::Test).await.unwrap().unwrap(), Done::Now);
    assert_eq!(world.0.lock().unwrap().versions[TOKEN].value, None);
}

#[tokio::test(start_paused = true)]
async fn a_pending_version_that_points_elsewhere_is_refused_before_anything_is_changed() {
    for (key, value) in
        [("host", "\"attacker\""), ("port", "99"), ("dbname", "\"x\""), ("username", "\"root\"")]
    {
        let world = World::new(HashMap::new());
        let text = format!(r#"{{"host":"h","username":"u","password":"pending","{key}":{value}}}"#);
        world.0.lock().unwrap().versions.get_mut(TOKEN).unwrap().value = Some(text);
        let error = step(&world, Step::Set).await.unwrap().unwrap_err();
        assert_eq!(error.name(), "TargetChanged");
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        assert_eq!(world.0.lock().unwrap().server_password, "old");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_input_has_a_name_and_leaves_the_secret_as_it_was() {
    type Spoil = fn(&mut State);
    let cases: [(&str, Step, Spoil, &str); 7] = [
        ("BadSecretValue", Step::Create, |s| s.set(OLD, "not json"), "not a JSON object"),
        (
            "BadSecretValue",
            Step::Create,
            |s| s.set(OLD, r#"{"host":"h","user":"u","password":"old"}"#),
            "but a key `user`",
        ),
        (
            "BadSecretValue",
            Step::Create,
            |s| s.set(OLD, r#"{"engine":"oracle","host":"h","username":"u","password":"old"}"#),
            "`test`",
        ),
        (
            "BadSecretValue",
            Step::Create,
            |s| s.set(OLD, r#"{"host":"h","username":"u","password":"old","port":"x"}"#),
            "`port`",
        ),
        (
            "BadSecretValue",
            Step::Create,
            |s| s.set(OLD, r#"{"host":"h","username":"u","password":"old","ssl":false}"#),
            "verified TLS",
        ),
        ("StaleToken", Step::Set, |s| s.versions.get_mut(TOKEN).unwrap().labels.clear(), TOKEN),
        ("StaleToken", Step::Finish, |_| {}, TOKEN),
    ];
    for (name, at, spoil, part) in cases {
        let world = World::new(HashMap::new());
        world.0.lock().unwrap().locked_out = true;
        spoil(&mut world.0.lock().unwrap());
        let before = world.0.lock().unwrap().versions.clone();
        let error = step(&world, at).await.unwrap().unwrap_err();
        let text = lambda_kit::call::chain(&error);
        assert_eq!(error.name(), name, "{text}");
        assert!(text.contains(part), "{text}");
        assert_eq!(world.0.lock().unwrap().versions, before);
    }
}

#[tokio::test(start_paused = true)]
async fn the_previous_password_is_used_where_the_current_one_is_refused_and_none_at_all_is_reported() {
    let value = |password: &str| format!(r#"{{"host":"h","username":"u","password":"{password}"}}"#);
    for server in ["before", "foreign"] {
        let world = World::new(HashMap::new());
        {
            let mut state = world.0.lock().unwrap();
            state.set(OLD, &value("old"));
            state.set(TOKEN, &value("pending"));
            let previous = Version { value: Some(value("before")), labels: vec![PREVIOUS] };
            state.versions.insert("previous".into(), previous);
            state.server_password = server.into();
            state.locked_out = server == "foreign";
        }
        let result = step(&world, Step::Set).await.unwrap();
        let now = world.0.lock().unwrap().server_password.clone();
        if server == "before" {
            assert_eq!((result.unwrap(), now.as_str()), (Done::Now, "pending"));
        } else {
            let error = result.unwrap_err();
            assert_eq!((error.name(), now.as_str()), ("NoCredentialLogsIn", "foreign"));
        }
    }
}

impl State {
    fn set(&mut self, version: &str, value: &str) {
        self.versions.get_mut(version).unwrap().value = Some(value.into());
    }
}

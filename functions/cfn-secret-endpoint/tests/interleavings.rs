//! A model of a secret and its rotation, interleaved with the back-fill at every call.

// clippy.toml exempts `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use cfn_secret_endpoint::backfill::{Backfill, BackfillError};
use cfn_secret_endpoint::secret::{self, Labels, SecretError, SecretValue, Versions};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// A moment of a rotation. `createSecret` is two: Secrets Manager labels a version without a value,
/// and the function writes the value. `finishSecret` is two: it finds the current version, then it
/// moves the label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Create,
    Set,
    FindCurrent,
    Finish,
}

const STEPS: [Step; 5] = [Step::Begin, Step::Create, Step::Set, Step::FindCurrent, Step::Finish];

/// A secret, its database, and a rotation whose steps happen before given calls of the back-fill.
struct World {
    state: Mutex<State>,
}

#[derive(Debug, Clone, PartialEq)]
struct Version {
    id: String,
    value: Option<Map<String, Value>>,
    labels: Vec<String>,
}

impl Version {
    fn new(id: &str, value: Option<Map<String, Value>>, label: &str) -> Self {
        Self { id: id.to_owned(), value, labels: vec![label.to_owned()] }
    }

    fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|have| have == label)
    }
}

struct State {
    versions: Vec<Version>,
    database_password: String,
    /// The steps, each with the number of the call before which it happens.
    schedule: Vec<(usize, Step)>,
    /// The next step happens although the rotation is abandoned: its function is running.
    in_flight: bool,
    /// The rotation is abandoned and not started again.
    abandoned: bool,
    calls: usize,
    seen_current: String,
}

const PENDING_ID: &str = "rotation-version-0123456789abcdef0123";

impl World {
    fn new(schedule: Vec<(usize, Step)>, in_flight: bool) -> Self {
        let value = json!({"username": "admin", "password": "old", "note": "keep me"});
        let Value::Object(value) = value else { unreachable!() };
        let first = Version::new("first-version-0123456789abcdef012345", Some(value), "AWSCURRENT");
        let state = State {
            versions: vec![first],
            database_password: "old".to_owned(),
            schedule,
            in_flight,
            abandoned: false,
            calls: 0,
            seen_current: String::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Every call of the back-fill passes here. The due steps of the rotation come first.
    fn call<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let number = state.calls;
        state.calls += 1;
        state.rotate_until(number);
        let result = act(&mut state);
        state.check();
        result
    }

    fn finish_rotation(&self) {
        let mut state = self.state.lock().unwrap();
        state.rotate_until(usize::MAX);
        state.check();
    }
}

impl State {
    fn rotate_until(&mut self, call: usize) {
        self.start_again();
        while self.schedule.first().is_some_and(|(at, _)| *at <= call) {
            let (_, step) = self.schedule.remove(0);
            self.rotate(step);
            self.check();
            self.start_again();
        }
    }

    fn rotate(&mut self, step: Step) {
        match step {
            Step::Begin => self.versions.push(Version::new(PENDING_ID, None, "AWSPENDING")),
            Step::Create => {
                let mut value = self.current_value().clone();
                value.insert("password".into(), "new".into());
                let pending = self.version(PENDING_ID);
                // A repeated step keeps the password of the first one.
                pending.value.get_or_insert(value);
                if !pending.has("AWSPENDING") {
                    pending.labels.push("AWSPENDING".into());
                }
            }
            Step::Set => self.database_password = "new".into(),
            Step::FindCurrent => self.seen_current = self.current().id.clone(),
            Step::Finish => {
                let from = self.seen_current.clone();
                if self.relabel("AWSCURRENT", Some(&from), Some(PENDING_ID)).is_ok() {
                    self.version(PENDING_ID).labels.retain(|label| label != "AWSPENDING");
                } else {
                    // Secrets Manager repeats the step.
                    self.schedule.insert(0, (self.calls, Step::FindCurrent));
                    self.schedule.insert(1, (self.calls, Step::Finish));
                }
            }
        }
    }

    /// Abandons the rotation after the write of another version: Secrets Manager removes AWSPENDING
    /// and calls no further step.
    fn abandon(&mut self) {
        let Some(pending) = self.versions.iter_mut().find(|version| version.has("AWSPENDING")) else {
            return;
        };
        if !pending.has("AWSCURRENT") {
            pending.labels.retain(|label| label != "AWSPENDING");
            self.schedule.truncate(usize::from(self.in_flight));
            self.abandoned = true;
        }
    }

    /// Starts an unfinished rotation again, as the error's command does.
    fn start_again(&mut self) {
        let unfinished = |version: &Version| version.has("AWSPENDING") && !version.has("AWSCURRENT");
        if self.abandoned && self.schedule.is_empty() && self.versions.iter().any(unfinished) {
            self.abandoned = false;
            self.schedule = STEPS[1..].iter().enumerate().map(|(n, step)| (self.calls + n, *step)).collect();
        }
    }

    fn version(&mut self, id: &str) -> &mut Version {
        self.versions.iter_mut().find(|version| version.id == id).unwrap()
    }

    fn current(&self) -> &Version {
        self.versions.iter().find(|version| version.has("AWSCURRENT")).unwrap()
    }

    fn current_value(&self) -> &Map<String, Value> {
        self.current().value.as_ref().unwrap()
    }

    /// UpdateSecretVersionStage: `from` must have the label.
    fn relabel(&mut self, label: &str, from: Option<&str>, to: Option<&str>) -> Result<(), SecretError> {
        let holder =
            self.versions.iter().find(|version| version.has(label)).map(|version| version.id.clone());
        if holder.as_deref() != from {
            return Err(SecretError::LabelMoved);
        }
        if let Some(from) = from {
            self.version(from).labels.retain(|have| have != label);
        }
        if let Some(to) = to {
            self.version(to).labels.push(label.to_owned());
        }
        Ok(())
    }

    /// Checks the invariant: AWSCURRENT logs in, except between set and finish of a single-user
    /// rotation.
    fn check(&self) {
        let unfinished = self.abandoned || self.schedule.iter().any(|(_, step)| *step == Step::Finish);
        let password = self.current_value()["password"].as_str().unwrap();
        let between = self.database_password == "new" && password == "old" && unfinished;
        assert!(between || password == self.database_password, "AWSCURRENT holds {password}");
        assert_eq!(self.current_value()["note"], "keep me");
    }
}

impl Versions for World {
    async fn labels(&self, _: &str) -> Result<Labels, SecretError> {
        self.call(|state| {
            let labelled = state.versions.iter().filter(|version| !version.labels.is_empty());
            Ok(labelled.map(|version| (version.id.clone(), version.labels.clone())).collect())
        })
    }

    async fn current(&self, _: &str) -> Result<secret::Version, SecretError> {
        self.call(|state| {
            let (id, value) = (state.current().id.clone(), state.current_value().clone());
            Ok(secret::Version { id, value: SecretValue(value) })
        })
    }

    async fn all(&self, _: &str) -> Result<BTreeSet<String>, SecretError> {
        self.call(|state| {
            let valued = state.versions.iter().filter(|version| version.value.is_some());
            Ok(valued.map(|version| version.id.clone()).collect())
        })
    }

    async fn put(&self, _: &str, id: &str, label: &str, value: &SecretValue) -> Result<(), SecretError> {
        self.call(|state| {
            assert!(id.len() >= 32 && id.len() <= 64, "{id}");
            match state.versions.iter().find(|version| version.id == id) {
                // The call succeeds without a change, also of labels.
                Some(version) => {
                    assert_eq!(version.value.as_ref(), Some(&value.0), "a version never changes")
                }
                None => {
                    for version in &mut state.versions {
                        version.labels.retain(|have| have != label);
                    }
                    state.versions.push(Version::new(id, Some(value.0.clone()), label));
                    state.abandon();
                }
            }
            Ok(())
        })
    }

    async fn move_label(
        &self,
        _: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), SecretError> {
        self.call(|state| state.relabel(label, from, to))
    }
}

fn add_host(value: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut wanted = value.clone();
    wanted.insert("host".into(), "h".into());
    (wanted != *value).then_some(wanted)
}

async fn run(world: &World) -> Result<(), BackfillError> {
    let deadline = Instant::now() + Duration::from_secs(300);
    let owner = "0a1b2c3d";
    Backfill { versions: world, secret: "s", request_id: "r", owner, deadline, write_attempts: 3 }
        .run(add_host)
        .await
}

/// Returns all ways to place the steps, in order, before calls 0 to `last`.
fn schedules(last: usize) -> Vec<Vec<(usize, Step)>> {
    let mut all = vec![vec![]];
    for step in STEPS {
        all = all
            .into_iter()
            .flat_map(|start: Vec<(usize, Step)>| {
                let first = start.last().map_or(0, |(at, _)| *at);
                (first..=last).map(move |at| {
                    let mut longer = start.clone();
                    longer.push((at, step));
                    longer
                })
            })
            .collect();
    }
    all
}

#[tokio::test(start_paused = true)]
async fn backfill_interleaved_with_a_rotation_loses_neither() {
    // Without a rotation the back-fill makes 13 calls: only steps at the last number come after its
    // end.
    let schedules = schedules(13);
    let (mut runs, mut undone) = (0, 0);
    for schedule in schedules {
        for in_flight in [false, true] {
            let case = format!("{schedule:?}, step in flight: {in_flight}");
            let world = World::new(schedule.clone(), in_flight);
            run(&world).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            world.finish_rotation();
            let mut state = world.state.lock().unwrap();
            let value = state.current_value();
            assert_eq!(value["password"], state.database_password.as_str(), "{case}");
            assert_eq!(value["host"], "h", "{case}");
            let leftover = state.versions.iter().any(|v| v.labels.iter().any(|l| l.starts_with("sluice-")));
            assert!(!leftover, "{case}: our own label stays on a version");
            if state.database_password == "old" {
                assert_eq!(
                    state.version(PENDING_ID).value,
                    None,
                    "{case}: only a rotation without a value is undone"
                );
                undone += 1;
            }
            runs += 1;
        }
    }
    assert_eq!(runs, 2 * 8568);
    assert!(undone > 0, "no rotation was abandoned before it had a value");
}

#[tokio::test(start_paused = true)]
async fn second_backfill_without_a_rotation_changes_nothing() {
    let world = World::new(vec![], false);
    run(&world).await.unwrap();
    assert_eq!(world.state.lock().unwrap().calls, 13);
    let versions = world.state.lock().unwrap().versions.clone();
    run(&world).await.unwrap();
    assert_eq!(world.state.lock().unwrap().versions, versions);
}

#[tokio::test(start_paused = true)]
async fn rotation_of_over_a_minute_is_an_error_with_the_command() {
    let steps = vec![(0, Step::Begin), (0, Step::Create), (0, Step::Set), (usize::MAX, Step::Finish)];
    let world = World::new(steps, false);
    let before = Instant::now();
    let error = run(&world).await.unwrap_err();
    assert!(matches!(error, BackfillError::Rotating(60..=62, _)), "{error}");
    assert!(error.to_string().contains("aws secretsmanager rotate-secret"), "{error}");
    assert!(before.elapsed() <= Duration::from_secs(62));
    assert_eq!(world.state.lock().unwrap().versions.len(), 2);
}

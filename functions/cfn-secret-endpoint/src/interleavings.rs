//! The back-fill against a rotation, interleaved at every call.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::backfill::{Backfill, BackfillError};
use crate::secret::{Labels, SecretError, SecretValue, Version, Versions};

/// What one step of a rotation does, at one moment. `finishSecret` is two: it looks, then it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Set,
    LookForCurrent,
    Finish,
}

const STEPS: [Step; 4] = [Step::Create, Step::Set, Step::LookForCurrent, Step::Finish];

/// A secret, the database it logs in to, and a rotation whose steps happen before given calls of the back-fill.
struct World {
    state: Mutex<State>,
}

struct State {
    versions: Vec<(String, Map<String, Value>, Vec<String>)>,
    database_password: String,
    /// For each step the number of the call before which it happens.
    schedule: Vec<(usize, Step)>,
    calls: usize,
    seen_current: String,
}

const PENDING_ID: &str = "rotation-version-0123456789abcdef0123";

impl World {
    fn new(schedule: Vec<(usize, Step)>) -> Self {
        let value = json!({"username": "admin", "password": "old", "note": "keep me"});
        let Value::Object(value) = value else { unreachable!() };
        let versions =
            vec![("first-version-0123456789abcdef012345".to_owned(), value, vec!["AWSCURRENT".to_owned()])];
        let state = State {
            versions,
            database_password: "old".to_owned(),
            schedule,
            calls: 0,
            seen_current: String::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Every call of the back-fill passes here: first the rotation does what is due.
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
        while self.schedule.first().is_some_and(|(at, _)| *at <= call) {
            let (_, step) = self.schedule.remove(0);
            self.rotate(step);
            self.check();
        }
    }

    fn rotate(&mut self, step: Step) {
        match step {
            Step::Create => {
                let mut value = self.current().1.clone();
                value.insert("password".into(), "new".into());
                self.versions.push((PENDING_ID.into(), value, vec!["AWSPENDING".into()]));
            }
            Step::Set => self.database_password = "new".into(),
            Step::LookForCurrent => self.seen_current = self.current().0.clone(),
            Step::Finish => {
                let from = self.seen_current.clone();
                if self.relabel("AWSCURRENT", Some(&from), Some(PENDING_ID)).is_ok() {
                    self.unlabel(PENDING_ID, "AWSPENDING");
                } else {
                    // Secrets Manager calls the step again.
                    self.schedule.insert(0, (self.calls, Step::LookForCurrent));
                    self.schedule.insert(1, (self.calls, Step::Finish));
                }
            }
        }
    }

    fn current(&self) -> &(String, Map<String, Value>, Vec<String>) {
        self.versions.iter().find(|(_, _, labels)| labels.iter().any(|l| l == "AWSCURRENT")).unwrap()
    }

    fn unlabel(&mut self, id: &str, label: &str) {
        for (version, _, labels) in &mut self.versions {
            if version == id {
                labels.retain(|have| have != label);
            }
        }
    }

    /// UpdateSecretVersionStage: `from` must be the holder.
    fn relabel(&mut self, label: &str, from: Option<&str>, to: Option<&str>) -> Result<(), SecretError> {
        let holder = self
            .versions
            .iter()
            .find(|(_, _, labels)| labels.iter().any(|l| l == label))
            .map(|v| v.0.clone());
        if holder.as_deref() != from {
            return Err(SecretError::Moved);
        }
        if let Some(from) = from {
            self.unlabel(from, label);
        }
        for (version, _, labels) in &mut self.versions {
            if Some(version.as_str()) == to {
                labels.push(label.to_owned());
            }
        }
        Ok(())
    }

    /// Holds at every moment: AWSCURRENT logs in, but for the time between set and finish of a single-user rotation.
    fn check(&self) {
        let between =
            self.database_password == "new" && self.schedule.iter().any(|(_, step)| *step == Step::Finish);
        let password = self.current().1["password"].as_str().unwrap();
        assert!(between || password == self.database_password, "AWSCURRENT holds {password}");
        assert_eq!(self.current().1["note"], "keep me");
    }
}

impl Versions for World {
    async fn labels(&self, _: &str) -> Result<Labels, SecretError> {
        self.call(|state| {
            Ok(state.versions.iter().map(|(id, _, labels)| (id.clone(), labels.clone())).collect())
        })
    }

    async fn current(&self, _: &str) -> Result<Version, SecretError> {
        self.call(|state| {
            let (id, value, _) = state.current();
            Ok(Version { id: id.clone(), value: SecretValue(value.clone()) })
        })
    }

    async fn put(&self, _: &str, id: &str, label: &str, value: &SecretValue) -> Result<(), SecretError> {
        self.call(|state| {
            assert!(id.len() >= 32 && id.len() <= 64, "{id}");
            let holders: Vec<String> = state.versions.iter().map(|v| v.0.clone()).collect();
            for holder in holders {
                state.unlabel(&holder, label);
            }
            match state.versions.iter_mut().find(|(have, _, _)| have == id) {
                Some((_, have, labels)) => {
                    assert_eq!(*have, value.0, "a version's value never changes");
                    labels.push(label.to_owned());
                }
                None => state.versions.push((id.to_owned(), value.0.clone(), vec![label.to_owned()])),
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
    let backfill = Backfill { versions: world, secret: "s", request_id: "r", owner: "0a1b2c3d", deadline };
    backfill.run(add_host).await
}

/// All ways to place the steps, in order, before calls 0 to `last`.
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
async fn a_backfill_interleaved_with_a_rotation_at_every_call_loses_neither() {
    let schedules = schedules(13);
    let count = schedules.len();
    for schedule in schedules {
        let world = World::new(schedule.clone());
        run(&world).await.unwrap_or_else(|error| panic!("{schedule:?}: {error}"));
        world.finish_rotation();
        let state = world.state.lock().unwrap();
        let (_, value, _) = state.current();
        assert_eq!(value["password"], "new", "{schedule:?}");
        assert_eq!(value["host"], "h", "{schedule:?}");
        let leftover =
            state.versions.iter().any(|(_, _, labels)| labels.iter().any(|l| l.starts_with("sluice-")));
        assert!(!leftover, "{schedule:?}: our own label stays on a version");
    }
    assert_eq!(count, 2380);
}

#[tokio::test(start_paused = true)]
async fn without_a_rotation_a_second_backfill_changes_nothing() {
    let world = World::new(vec![]);
    run(&world).await.unwrap();
    let versions = world.state.lock().unwrap().versions.clone();
    run(&world).await.unwrap();
    assert_eq!(world.state.lock().unwrap().versions, versions);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_lasts_beyond_a_minute_is_reported_with_the_remedy_and_changes_nothing() {
    let world = World::new(vec![(0, Step::Create), (0, Step::Set), (usize::MAX, Step::Finish)]);
    let before = Instant::now();
    let error = run(&world).await.unwrap_err();
    assert!(matches!(error, BackfillError::Rotating(60..=62, _)), "{error}");
    assert!(error.to_string().contains("cancel-rotate-secret"), "{error}");
    assert!(before.elapsed() <= Duration::from_secs(62));
    assert_eq!(world.state.lock().unwrap().versions.len(), 2);
}

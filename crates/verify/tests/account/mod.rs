//! An AWS account in memory, with a clock, a state and an operator, which can die anywhere.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    path::PathBuf,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use verify::{
    engine::{Request, World},
    ports::{Clock, Operator, Ran, Runner, Store},
    state::{RunState, StateError},
};

/// The panic that stands for the death of the process.
pub(crate) const CRASH: &str = "the process died";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn environment() -> BTreeMap<String, String> {
    [("AWS_REGION".to_owned(), "us-east-1".to_owned())].into()
}

pub(crate) fn request(checks: &[&str]) -> Request {
    let checks = checks.iter().map(|id| (*id).to_owned()).collect();
    Request { checks, yes: true, ..Request::default() }
}

pub(crate) struct Account {
    /// Names of things with the name of the thing that each needs.
    things: RefCell<BTreeMap<String, Option<String>>>,
    deleted: RefCell<Vec<String>>,
    answers: RefCell<BTreeMap<String, String>>,
    state: RefCell<Option<RunState>>,
    said: RefCell<Vec<String>>,
    ran: RefCell<Vec<String>>,
    now: Cell<Timestamp>,
    /// The number of interactions until the process dies.
    crash: Cell<Option<usize>>,
    die_at: RefCell<String>,
    stop_at: RefCell<String>,
    stopped: Cell<bool>,
    refuses_deletion: Cell<bool>,
    saves_left: Cell<usize>,
    owner: RefCell<String>,
    seconds: Cell<i64>,
    late_lists: Cell<usize>,
}

impl Account {
    pub(crate) fn new() -> Self {
        let answers = [("answer", "fine"), ("slow", "done")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        Self {
            things: RefCell::default(),
            deleted: RefCell::default(),
            answers: RefCell::new(answers.into()),
            state: RefCell::default(),
            said: RefCell::default(),
            ran: RefCell::default(),
            now: Cell::new(time("2026-12-01T00:00:00Z")),
            crash: Cell::new(None),
            die_at: RefCell::default(),
            stop_at: RefCell::default(),
            stopped: Cell::new(false),
            refuses_deletion: Cell::new(false),
            saves_left: Cell::new(usize::MAX),
            owner: RefCell::new("222222222222".into()),
            seconds: Cell::new(0),
            late_lists: Cell::new(0),
        }
    }

    pub(crate) fn world(&self) -> World<'_> {
        World { runner: self, clock: self, store: self, operator: self }
    }

    pub(crate) fn things(&self) -> Vec<String> {
        self.things.borrow().keys().cloned().collect()
    }

    pub(crate) fn deleted(&self) -> Vec<String> {
        self.deleted.borrow().clone()
    }

    pub(crate) fn state(&self) -> Option<RunState> {
        self.state.borrow().clone()
    }

    pub(crate) fn said(&self) -> String {
        self.said.borrow().join("\n")
    }

    pub(crate) fn commands(&self, operation: &str) -> usize {
        self.ran.borrow().iter().filter(|ran| *ran == operation).count()
    }

    pub(crate) fn answer(&self, key: &str, value: &str) {
        self.answers.borrow_mut().insert(key.into(), value.into());
    }

    pub(crate) fn crash_at(&self, interaction: Option<usize>) {
        self.crash.set(interaction);
    }

    /// Lets the process die right after the first command of this operation took effect.
    pub(crate) fn die_at_command(&self, operation: &str) {
        *self.die_at.borrow_mut() = operation.into();
    }

    pub(crate) fn stop_at_command(&self, operation: &str) {
        *self.stop_at.borrow_mut() = operation.into();
        self.stopped.set(false);
    }

    pub(crate) fn refuse_deletion(&self, refuses: bool) {
        self.refuses_deletion.set(refuses);
    }

    pub(crate) fn refuse_saves_after(&self, saves: usize) {
        self.saves_left.set(saves);
    }

    pub(crate) fn belongs_to(&self, account: &str) {
        *self.owner.borrow_mut() = account.into();
    }

    pub(crate) fn command_takes(&self, seconds: i64) {
        self.seconds.set(seconds);
    }

    /// Lets so many lists be empty.
    pub(crate) fn list_late(&self, lists: usize) {
        self.late_lists.set(lists);
    }

    /// Counts an interaction with the outside world, and dies if it is the planned one.
    fn interact(&self) {
        match self.crash.get() {
            Some(0) => {
                self.crash.set(None);
                std::panic::panic_any(CRASH);
            }
            Some(left) => self.crash.set(Some(left - 1)),
            None => {}
        }
    }

    fn pass(&self, time: SignedDuration) {
        self.now.set(self.now.get().checked_add(time).unwrap());
    }

    fn serve(&self, words: &[&str]) -> Result<String, String> {
        let option = |name: &str| {
            let index = words.iter().position(|word| *word == name)?;
            words.get(index + 1).map(|word| (*word).to_owned())
        };
        let name = option("--name").unwrap_or_default();
        let refused =
            |code: &str| Err(format!("An error occurred ({code}) when calling the X operation: no"));
        match words[2] {
            "get-caller-identity" if self.owner.borrow().is_empty() => refused("InvalidClientTokenId"),
            "get-caller-identity" => {
                let owner = self.owner.borrow();
                Ok(format!("[\"{owner}\", \"arn:aws:iam::{owner}:user/verify\"]"))
            }
            "create-thing" => {
                assert!(!self.things.borrow().contains_key(&name), "{name} exists already");
                self.things.borrow_mut().insert(name, option("--needs"));
                Ok(String::new())
            }
            "delete-thing" => {
                if self.refuses_deletion.get() {
                    return refused("AccessDenied");
                }
                if self.things.borrow().values().any(|needs| needs.as_ref() == Some(&name)) {
                    return refused("InUse");
                }
                if self.things.borrow_mut().remove(&name).is_none() {
                    return refused("ThingNotFoundException");
                }
                self.deleted.borrow_mut().push(name);
                Ok(String::new())
            }
            "list-things" => {
                if let Some(left) = self.late_lists.get().checked_sub(1) {
                    self.late_lists.set(left);
                    return Ok("[]".into());
                }
                let like = option("--like").unwrap();
                let things = self.things();
                Ok(serde_json::to_string(&things.iter().filter(|one| **one == like).collect::<Vec<_>>())
                    .unwrap())
            }
            "read" => {
                let key = option("--key").unwrap();
                if self.answers.borrow().get(&key).is_some_and(|answer| answer == "refuse") {
                    return refused("AccessDenied");
                }
                Ok(format!("\"{}\"", self.answers.borrow().get(&key).cloned().unwrap_or_default()))
            }
            // aws configure get
            _ => Err(String::new()),
        }
    }
}

impl Runner for Account {
    fn run(&self, words: &[String], _limit: Duration, abandon: &dyn Fn() -> bool) -> Ran {
        self.interact();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let operation = words[2];
        self.ran.borrow_mut().push(operation.into());
        if *self.stop_at.borrow() == operation {
            self.stopped.set(true);
        }
        self.pass(SignedDuration::from_secs(self.seconds.get()));
        // A command that is abandoned may have had its effect; so it has it here.
        let served = self.serve(&words);
        if *self.die_at.borrow() == operation {
            self.die_at.borrow_mut().clear();
            std::panic::panic_any(CRASH);
        }
        self.interact();
        if abandon() {
            return Ran { stderr: "the command was ended".into(), ..Ran::default() };
        }
        match served {
            Ok(stdout) => Ran { succeeded: true, stdout, stderr: String::new() },
            Err(stderr) => Ran { stderr, ..Ran::default() },
        }
    }
}

impl Clock for Account {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn sleep(&self, time: Duration) {
        self.interact();
        self.pass(SignedDuration::try_from(time).unwrap());
    }
}

impl Store for Account {
    fn load(&self) -> Result<Option<RunState>, StateError> {
        self.interact();
        Ok(self.state())
    }

    fn save(&self, state: &RunState) -> Result<(), StateError> {
        self.interact();
        let Some(left) = self.saves_left.get().checked_sub(1) else {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StateError::Io { action: "write", path: PathBuf::from("state.json"), source });
        };
        self.saves_left.set(left);
        // What is written is what the file has: through JSON and back.
        let text = serde_json::to_string(state).unwrap();
        *self.state.borrow_mut() = Some(serde_json::from_str(&text).unwrap());
        self.interact();
        Ok(())
    }

    fn remove(&self) -> Result<(), StateError> {
        self.interact();
        *self.state.borrow_mut() = None;
        Ok(())
    }

    fn place(&self, name: &str, _contents: &str) -> Result<String, StateError> {
        Ok(name.into())
    }
}

impl Operator for Account {
    fn say(&self, line: &str) {
        self.said.borrow_mut().push(line.into());
    }

    fn ask(&self, _question: &str) -> Option<bool> {
        Some(false)
    }

    fn wants_to_stop(&self) -> bool {
        self.stopped.get()
    }
}

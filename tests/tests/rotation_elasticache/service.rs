//! The control plane of ElastiCache before a real Redis: a change is under way for some looks, is
//! then said to be done, and reaches the server a moment after that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use lambda_kit::call::CallError;
use local_servers::redis::Redis;
use rotation::engines::elasticache::{Group, Groups, Modification, Update, User, Users};
use secrecy::{ExposeSecret, SecretString};
use test_support::rotation::Faults;

/// ARN of the user.
pub(crate) const ARN: &str = "arn:aws:elasticache:eu-west-1:123456789012:user:app-id";
/// Its id.
pub(crate) const ID: &str = "app-id";
/// The replication group.
pub(crate) const GROUP: &str = "cache";
/// Looks during which a change is under way.
const LOOKS: usize = 2;

/// The service, with one user and one group.
pub struct Service<'a> {
    redis: &'a Redis,
    /// From the end of a change in the service's words until the server has it.
    pub lag: Duration,
    /// Rejects SET while there is one token: "SET - allowed only after ROTATE".
    pub strict: bool,
    /// The faults of its calls.
    pub faults: Faults,
    state: Mutex<State>,
}

struct State {
    user: User,
    group: Group,
    /// Of the user or of the group: a service has either one or the other here.
    passwords: Vec<String>,
    change: Option<usize>,
    applying: Option<JoinHandle<()>>,
    /// Every list of passwords that the server got.
    history: Vec<Vec<String>>,
}

impl<'a> Service<'a> {
    /// With a user, or with the token of the user `default`; the server has this password at once.
    pub fn new(redis: &'a Redis, user: &str, password: &str, faults: Faults) -> Self {
        let state = State {
            user: User {
                arn: ARN.into(),
                name: user.into(),
                status: "active".into(),
                authentication: "password".into(),
            },
            group: Group { status: "available".into(), has_token: true, ..Group::default() },
            passwords: vec![password.to_owned()],
            change: None,
            applying: None,
            history: Vec::new(),
        };
        apply(redis, user, &state.passwords);
        // The service says when a change of the token is done; changes of users are rolled out to
        // groups behind its back.
        let lag = if user == "default" { Duration::ZERO } else { Duration::from_millis(2) };
        Self { redis, lag, strict: false, faults, state: Mutex::new(state) }
    }

    /// Changes what it says of its user and its group.
    pub fn spoil(&self, how: impl Fn(&mut User, &mut Group)) {
        let mut state = self.state();
        let State { user, group, .. } = &mut *state;
        how(user, group);
    }

    /// Waits until the server has what the service has, and gives it.
    pub fn passwords(&self) -> Vec<String> {
        let mut state = self.state();
        if let Some(applying) = state.applying.take() {
            applying.join().unwrap();
        }
        state.passwords.clone()
    }

    /// Every list of passwords that the server got, in order.
    pub fn history(&self) -> Vec<Vec<String>> {
        self.state().history.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One look at it, which brings a change nearer to its end.
    fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        match state.change {
            Some(0) => {
                state.change = None;
                if self.lag.is_zero() {
                    apply(self.redis, &state.user.name, &state.passwords);
                    return state;
                }
                let (socket, user, passwords) =
                    (self.redis.socket(), state.user.name.clone(), state.passwords.clone());
                let lag = self.lag;
                state.applying = Some(std::thread::spawn(move || {
                    std::thread::sleep(lag);
                    socket
                        .command(&acl(&user, &passwords).iter().map(String::as_str).collect::<Vec<_>>())
                        .unwrap();
                }));
            }
            Some(left) => state.change = Some(left - 1),
            None => {}
        }
        state
    }

    fn change(&self, with: impl FnOnce(&[String]) -> Vec<String>) -> Modification {
        let mut state = self.state();
        if state.change.is_some() {
            return Modification::Busy;
        }
        if let Some(applying) = state.applying.take() {
            applying.join().unwrap();
        }
        state.passwords = with(&state.passwords);
        let passwords = state.passwords.clone();
        state.history.push(passwords);
        state.change = Some(LOOKS);
        Modification::Started
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if let Some(applying) = self.state().applying.take() {
            let _panicked = applying.join();
        }
    }
}

fn acl(user: &str, passwords: &[String]) -> Vec<String> {
    let mut words: Vec<String> =
        ["ACL", "SETUSER", user, "on", "resetpass", "~*", "&*", "+@all"].map(str::to_owned).into();
    words.extend(passwords.iter().map(|password| format!(">{password}")));
    words
}

fn apply(redis: &Redis, user: &str, passwords: &[String]) {
    redis.command(&acl(user, passwords).iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

fn broken(action: &str) -> CallError {
    CallError::without_answer(action, "the connection broke")
}

impl Users for &Service<'_> {
    async fn user(&self, id: &str) -> Result<Option<User>, CallError> {
        let call = async {
            let state = self.look();
            let status = if state.change.is_some() { "modifying" } else { &state.user.status };
            (id == ID).then(|| User { status: status.to_owned(), ..state.user.clone() })
        };
        self.faults.call(call).await.ok_or_else(|| broken("elasticache:DescribeUsers"))
    }

    async fn set_passwords(&self, id: &str, passwords: &[&SecretString]) -> Result<Modification, CallError> {
        assert!(id == ID && (1..=2).contains(&passwords.len()));
        let new = passwords.iter().map(|password| password.expose_secret().to_owned()).collect();
        let call = async { self.change(|_| new) };
        self.faults.call(call).await.ok_or_else(|| broken("elasticache:ModifyUser"))
    }
}

impl Groups for &Service<'_> {
    async fn group(&self, id: &str) -> Result<Option<Group>, CallError> {
        let call = async {
            let state = self.look();
            let mut group = state.group.clone();
            if state.change.is_some() {
                // The service ends `modifying` some time before the change of the token has ended,
                // or after.
                group.token_change = Some("ROTATING".into());
                if state.change == Some(LOOKS) {
                    group.status = "modifying".into();
                }
            }
            (id == GROUP).then_some(group)
        };
        self.faults.call(call).await.ok_or_else(|| broken("elasticache:DescribeReplicationGroups"))
    }

    async fn set_token(
        &self,
        id: &str,
        token: &SecretString,
        how: Update,
    ) -> Result<Modification, CallError> {
        assert_eq!(id, GROUP);
        let new = token.expose_secret().to_owned();
        let call = async {
            if self.strict && how == Update::Set && self.passwords().len() < 2 {
                return Modification::NotAllowed;
            }
            self.change(|before| match how {
                // The newest stays, the older of two is dropped.
                Update::Rotate => before.last().cloned().into_iter().chain([new]).collect(),
                Update::Set => vec![new],
            })
        };
        self.faults.call(call).await.ok_or_else(|| broken("elasticache:ModifyReplicationGroup"))
    }
}

//! A rotation that goes by while the previous token is taken back: what two functions that run at a
//! time can do to one another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use rotation::action::{Action, ActionEvent};
use rotation::engine::{Engine, Login};
use rotation::engines::elasticache::{Group, Groups, Modification, Token, Update};
use rotation::event::{RotationEvent, Step};
use rotation::invocation::Invocation;
use rotation::machine::Machine;
use rotation::outcome::StepOutcome;
use rotation::password::PasswordPolicy;
use rotation::passwords::{Passwords, Strategy};
use rotation::retry::Retry;
use rotation::rotator::CredentialRotator;
use rotation::versions::{Description, Versions};
use secrecy::{ExposeSecret, SecretString};
use test_support::rotation::{Drill, Faults, MemorySecret, SECRET};

use super::service::{GROUP, Service};
use super::{FIRST, Stage, token_value};

const SECOND: &str = "2nd-version-0123456789abcdef0123456";

/// Steps of another rotation, done right before one call of the action.
struct Interruption<'a> {
    stage: &'a Stage,
    secret: &'a MemorySecret,
    service: &'a Service<'a>,
    calls: AtomicUsize,
    /// Before which call, and how many steps.
    at: (usize, usize),
}

impl Interruption<'_> {
    async fn call(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.at.0 {
            self.secret.begin(SECOND);
            for step in Step::ALL.into_iter().take(self.at.1) {
                // It may fail, as it would.
                let _failed = self.step(step).await;
            }
        }
    }

    async fn step(&self, step: Step) -> bool {
        let event = RotationEvent {
            step,
            secret_id: SECRET.into(),
            client_request_token: SECOND.into(),
            rotation_token: None,
        };
        let rotator = Passwords::new(self.stage.token(self.service), Strategy::SingleUser);
        let (retry, now) = (retry(), Moment::BEGINNING);
        let machine = Machine { versions: self.secret, rotator: &rotator, retry: &retry, now };
        machine.run(&event).await.is_ok()
    }
}

fn retry() -> Retry {
    Retry::until(tokio::time::Instant::now() + Duration::from_secs(60), fastrand::Rng::with_seed(1))
}

impl Versions for &Interruption<'_> {
    async fn describe(&self, secret: &str) -> Result<Description, CallError> {
        self.call().await;
        self.secret.describe(secret).await
    }

    async fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> Result<Option<SecretString>, CallError> {
        self.call().await;
        self.secret.value(secret, version, label).await
    }

    async fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> Result<StepOutcome, CallError> {
        self.secret.put_pending(event, value).await
    }

    async fn promote(&self, secret: &str, from: &str, to: &str) -> Result<StepOutcome, CallError> {
        self.secret.promote(secret, from, to).await
    }

    async fn random_password(&self, policy: &PasswordPolicy) -> Result<SecretString, CallError> {
        self.secret.random_password(policy).await
    }
}

impl Groups for &Interruption<'_> {
    async fn group(&self, id: &str) -> Result<Option<Group>, CallError> {
        self.call().await;
        self.service.group(id).await
    }

    async fn set_token(
        &self,
        id: &str,
        token: &SecretString,
        how: Update,
    ) -> Result<Modification, CallError> {
        self.call().await;
        self.service.set_token(id, token, how).await
    }
}

/// Returns true if the action came far enough to be interrupted.
fn interrupted(stage: &Stage, at: (usize, usize)) -> bool {
    let service = Service::new(&stage.redis, "default", FIRST, Faults::new(HashMap::new()));
    let secret = MemorySecret::new(&token_value().to_string());
    let engine = stage.token(&service);
    stage.runtime.block_on(Drill::new(&secret, &engine, HashMap::new()).run()).unwrap();

    let other = Interruption { stage, secret: &secret, service: &service, calls: AtomicUsize::new(0), at };
    let acting = Passwords::new(Token::new(&other, GROUP.into(), stage.endpoint()), Strategy::SingleUser);
    let event = ActionEvent { action: Action::RetirePrevious, secret_id: SECRET.into(), after_minutes: None };
    let retry = retry();
    let invocation =
        Invocation { secret_id: SECRET, versions: &&other, retry: &retry, now: Moment::BEGINNING };
    let acted = stage.runtime.block_on(acting.act(&invocation, &event)).unwrap();
    let seen = other.calls.load(Ordering::Relaxed) > at.0;

    let current_logs_in = |when: &str| {
        service.passwords();
        let account = engine.account(&secret.document("AWSCURRENT").unwrap()).unwrap();
        let login = stage.log_in(&engine, &account.user, account.password.expose_secret());
        assert_eq!(login, Login::Accepted, "{at:?}, {acted:?}, {when}: {:?}", service.history());
    };
    current_logs_in("after the action");
    if seen {
        // Secrets Manager goes on where it was, and begins again where a step failed.
        let ended = (0..5).any(|attempt| {
            let from = if attempt == 0 { at.1.min(3) } else { 0 };
            stage.runtime.block_on(async {
                for step in Step::ALL.into_iter().skip(from) {
                    if !other.step(step).await {
                        return false;
                    }
                }
                true
            })
        });
        assert!(ended && secret.labels(SECOND) == ["AWSCURRENT"], "{at:?}: {secret:?}");
        current_logs_in("after the rotation");
    } else {
        assert!(matches!(acted, StepOutcome::Done), "{acted:?}");
    }
    seen
}

#[test]
fn rotation_during_the_action_ends_with_a_valid_token() {
    let stage = Stage::new();
    let mut runs = 0;
    for call in 0.. {
        let seen: Vec<bool> = (1..=4).map(|steps| interrupted(&stage, (call, steps))).collect();
        runs += seen.iter().filter(|seen| **seen).count();
        if !seen.contains(&true) {
            break;
        }
    }
    println!("{runs} interleavings");
    assert!(runs >= 40, "{runs}");
}

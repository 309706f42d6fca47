//! The events of a rotation function and the time of its invocation.

use std::time::Duration;

use lambda_kit::moment::Moment;
use lambda_kit::start::InvocationError;
use lambda_kit::window::InvocationWindow;
use rotation::action::ActionEvent;
use rotation::document::{DocumentError, SecretDocument};
use rotation::engine::Login;
use rotation::error::RotationError;
use rotation::invocation::Invocation;
use rotation::outcome::StepOutcome;
use rotation::passwords::{Passwords, Strategy};
use rotation::pending::CheckedValue;
use rotation::rotator::{CredentialRotator, ParsedValue};
use rotation::run::handle;
use rotation::versions::Versions;
use serde_json::{Value, json};
use test_support::rotation::{MemorySecret, MemoryServer, SECRET, TOKEN};
use tokio::time::Instant;

async fn answer<R: CredentialRotator>(rotator: &R, event: Value) -> Result<Value, InvocationError> {
    let secret = MemorySecret::new(r#"{"engine":"test","host":"h","username":"u","password":"old"}"#);
    let now = Moment::from_secs(1_000);
    // Two seconds are kept for the report of a timeout.
    let window = InvocationWindow { now, deadline: now.plus(Duration::from_secs(22)) };
    handle(&secret, rotator, event, window).await
}

#[tokio::test]
async fn steps_and_actions_reach_the_rotator_and_others_are_rejected() {
    let rotator = Passwords::new(MemoryServer::new("old"), Strategy::SingleUser);
    let step = json!({"Step": "createSecret", "SecretId": SECRET, "ClientRequestToken": TOKEN});
    assert_eq!(answer(&rotator, step).await, Ok(Value::Null));
    let step_expected = "the event is neither a rotation step of Secrets Manager with Step, SecretId and \
                         ClientRequestToken nor an action with Action and SecretId";
    for (event, name, sentence) in [
        (
            json!({"Action": "RetirePrevious", "SecretId": SECRET}),
            "UnsupportedAction",
            "action `RetirePrevious` is not supported by a function for test; remove the rule or schedule \
             that sends it",
        ),
        (
            json!({"Action": "Drop", "SecretId": SECRET}),
            "NotAnAction",
            "the action is invalid: unknown variant `Drop`, expected `RetirePrevious` or \
             `VerifyPropagation`",
        ),
        (
            json!({"Action": "Examine", "SecretId": SECRET, "Apply": true}),
            "NotAnAction",
            "the request to examine is invalid: unknown field `Apply`, expected one of `Action`, \
             `SecretId`, `QuietMinutes`",
        ),
        (
            json!({"Step": "dropSecret", "SecretId": SECRET, "ClientRequestToken": "hunter2"}),
            "NotARotationEvent",
            step_expected,
        ),
        (json!("hello"), "NotARotationEvent", step_expected),
    ] {
        let error = answer(&rotator, event).await.unwrap_err();
        assert_eq!((error.name, error.message.as_str()), (name, sentence));
    }
}

/// A rotator whose every method outlasts the invocation.
struct Slow;

impl CredentialRotator for Slow {
    type Credential = ();

    fn name(&self) -> &'static str {
        "slow"
    }

    fn parse(&self, _: &SecretDocument) -> Result<(), DocumentError> {
        Ok(())
    }

    fn describe(&self, _: &()) -> String {
        String::new()
    }

    async fn create<V: Versions>(
        &self,
        _: &Invocation<'_, V>,
        _: &str,
        _: &ParsedValue<()>,
    ) -> Result<SecretDocument, RotationError> {
        std::future::pending().await
    }

    async fn set<V: Versions>(
        &self,
        _: &Invocation<'_, V>,
        _: &str,
        _: &CheckedValue<()>,
    ) -> Result<StepOutcome, RotationError> {
        std::future::pending().await
    }

    async fn verify<V: Versions>(
        &self,
        _: &Invocation<'_, V>,
        _: &'static str,
        _: &(),
    ) -> Result<Login, RotationError> {
        std::future::pending().await
    }

    async fn act<V: Versions>(
        &self,
        _: &Invocation<'_, V>,
        _: &ActionEvent,
    ) -> Result<StepOutcome, RotationError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn timeout_is_reported_before_the_invocation_ends() {
    for (event, part) in [
        (json!({"Step": "createSecret", "SecretId": SECRET, "ClientRequestToken": TOKEN}), "createSecret"),
        (json!({"Action": "VerifyPropagation", "SecretId": SECRET}), "VerifyPropagation"),
    ] {
        let begun = Instant::now();
        let InvocationError { name, message } = answer(&Slow, event).await.unwrap_err();
        assert!(name == "TimedOut" && message.contains(part), "{name}: {message}");
        assert_eq!(begun.elapsed().as_secs(), 20);
    }
}

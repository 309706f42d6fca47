//! The main loop of a rotation function.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use tokio::time::Instant;

use crate::action::{ActionEvent, Occasion};
use crate::audit::{ActionRecord, Record};
use crate::error::RotationError;
use crate::event::RotationEvent;
use crate::machine::Machine;
use crate::repair::{RepairRequest, examine};
use crate::retry::Retry;
use crate::target::Target;
use crate::versions::Versions;

/// Kept back from the function's time, to say how the step ended.
const MARGIN: Duration = Duration::from_secs(2);

/// Serves a target until Lambda ends the process.
///
/// `start` reads configuration and makes clients. If it fails, the function polls all the same and answers every step with
/// the reason, so that it stands in the event that Secrets Manager sends.
///
/// # Errors
/// Only if the Runtime API itself cannot be reached.
pub async fn run<V, T, S, F>(start: S) -> Result<(), Error>
where
    V: Versions + 'static,
    T: Target + 'static,
    S: Future<Output = Result<(V, T), F>>,
    F: std::error::Error,
{
    let started = lambda_kit::start::started(start).await;
    let started = &started;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let (versions, target) =
            started.as_ref().map_err(|reason| failed("InvalidConfiguration", reason.clone()))?;
        let deadline = UNIX_EPOCH + Duration::from_millis(event.context.deadline);
        let left = deadline.duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(MARGIN);
        // On the heap: with an engine's client in it, the whole is nested more deeply than the compiler likes to lay out.
        let answered = Box::pin(serve(versions, target, event.payload, Instant::now() + left)).await;
        answered.map_err(|(name, message)| failed(name, message))
    }))
    .await
}

/// Answers one event; an error is its public name and a sentence.
async fn serve<V: Versions, T: Target>(
    versions: &V,
    target: &T,
    event: Value,
    deadline: Instant,
) -> Result<Value, (&'static str, String)> {
    let (begun, now) = (Instant::now(), SystemTime::now());
    let retry = Retry::until(deadline, fastrand::Rng::new());
    // What a target waits for may take longer than the function lives. Then the function says so itself, while it can.
    if event.get("Action").and_then(Value::as_str) == Some("Examine") {
        let request: RepairRequest = serde_json::from_value(event)
            .map_err(|error| ("NotAnAction", format!("an examination is asked for, and {error}")))?;
        let examining =
            tokio::time::timeout_at(deadline, examine(versions, target, &retry, &request, now)).await;
        let finding = examining.unwrap_or(Err(RotationError::OutOfTime("the examination"))).map_err(told)?;
        let (verdict, reason) = (format!("{:?}", finding.verdict), finding.reason.as_str());
        tracing::info!(secret = request.secret_id, verdict, reason, "rotation examined");
        return serde_json::to_value(&finding).map_err(|error| ("NotWritten", error.to_string()));
    }
    if event.get("Action").is_some() {
        let event: ActionEvent = serde_json::from_value(event)
            .map_err(|error| ("NotAnAction", format!("an action is asked for, and {error}")))?;
        let occasion = Occasion { versions, retry: &retry, event: &event, now };
        let acting = tokio::time::timeout_at(deadline, target.act(&occasion)).await;
        let result = acting.unwrap_or_else(|_| Err(RotationError::OutOfTime(event.action.name())));
        let record =
            ActionRecord { event: &event, target: target.name(), result: &result, took: begun.elapsed() };
        record.log();
        record.metrics(SystemTime::now()).emit();
        return result.map(|_| Value::Null).map_err(told);
    }
    // The error of the parser may quote the event, which holds a token.
    let event: RotationEvent = serde_json::from_value(event).map_err(|_| {
        let expected = "this function is invoked by Secrets Manager with Step, SecretId and ClientRequestToken, or with Action and SecretId; the event is of \
                        neither form";
        ("NotARotationEvent", expected.to_owned())
    })?;
    let machine = Machine { versions, target, retry: &retry };
    let running = tokio::time::timeout_at(deadline, machine.run(&event)).await;
    let result = running.unwrap_or_else(|_| Err(RotationError::OutOfTime(event.step.name())));
    let record = Record { event: &event, target: target.name(), result: &result, took: begun.elapsed() };
    record.log();
    record.metrics(SystemTime::now()).emit();
    result.map(|_| Value::Null).map_err(told)
}

fn told(error: RotationError) -> (&'static str, String) {
    (error.name(), lambda_kit::call::chain(&error))
}

fn failed(name: &str, message: String) -> Diagnostic {
    Diagnostic { error_type: name.to_owned(), error_message: message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::faults::{MemorySecret, MemoryServer, SECRET, TOKEN};
    use crate::passwords::{Passwords, Strategy};
    use crate::target::Invocation;

    async fn answer<T: Target>(target: &T, event: Value) -> Result<Value, (&'static str, String)> {
        let secret = MemorySecret::new(r#"{"engine":"test","host":"h","username":"u","password":"old"}"#);
        serve(&secret, target, event, Instant::now() + Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn both_kinds_of_event_reach_the_target_and_others_are_refused_by_name() {
        let target = Passwords::new(MemoryServer::new("old"), Strategy::SingleUser);
        let step = json!({"Step": "createSecret", "SecretId": SECRET, "ClientRequestToken": TOKEN});
        assert_eq!(answer(&target, step).await, Ok(Value::Null));
        for (event, name, part) in [
            (
                json!({"Action": "RetirePrevious", "SecretId": SECRET}),
                "UnsupportedAction",
                "a function for test does",
            ),
            (json!({"Action": "Drop", "SecretId": SECRET}), "NotAnAction", "`Drop`"),
            (
                json!({"Step": "dropSecret", "SecretId": SECRET, "ClientRequestToken": "hunter2"}),
                "NotARotationEvent",
                "Step, SecretId",
            ),
            (json!("hello"), "NotARotationEvent", "of neither form"),
        ] {
            let (found, message) = answer(&target, event).await.unwrap_err();
            assert!(
                found == name && message.contains(part) && !message.contains("hunter2"),
                "{found}: {message}"
            );
        }
    }

    /// A target whose every method takes longer than a function lives.
    struct Slow;

    impl Target for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn whose(&self, _: &crate::document::SecretDocument) -> String {
            String::new()
        }

        fn check(&self, _: &crate::document::SecretDocument) -> Result<(), crate::document::DocumentError> {
            Ok(())
        }

        async fn next<V: Versions>(
            &self,
            _: &Invocation<'_, V>,
            _: &crate::document::SecretDocument,
        ) -> Result<crate::document::SecretDocument, RotationError> {
            std::future::pending().await
        }

        async fn set<V: Versions>(
            &self,
            _: &Invocation<'_, V>,
            _: &crate::document::SecretDocument,
        ) -> Result<crate::machine::Done, RotationError> {
            std::future::pending().await
        }

        async fn accepts<V: Versions>(
            &self,
            _: &Invocation<'_, V>,
            _: &'static str,
            _: &crate::document::SecretDocument,
        ) -> Result<crate::engine::Login, RotationError> {
            std::future::pending().await
        }

        async fn act<V: Versions>(&self, _: &Occasion<'_, V>) -> Result<crate::action::Acted, RotationError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_the_function_lives_is_reported_in_time() {
        for (event, part) in [
            (
                json!({"Step": "createSecret", "SecretId": SECRET, "ClientRequestToken": TOKEN}),
                "createSecret",
            ),
            (json!({"Action": "VerifyPropagation", "SecretId": SECRET}), "VerifyPropagation"),
        ] {
            let begun = Instant::now();
            let (name, message) = answer(&Slow, event).await.unwrap_err();
            assert!(name == "TimedOut" && message.contains(part), "{name}: {message}");
            assert_eq!(begun.elapsed().as_secs(), 20);
        }
    }
}

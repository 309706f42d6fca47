//! The end of the overlap, by an event at any time.

use std::collections::HashMap;
use std::time::Duration;

use lambda_kit::moment::Moment;
use rotation::action::{Action, ActionEvent};
use rotation::engine::{Engine, Login};
use rotation::engines::elasticache::{Endpoint, Groups, Modification, Token, Update};
use rotation::event::Step;
use rotation::outcome::StepOutcome;
use rotation::versions::Description;
use test_support::rotation::{Drill, Fault, Faults, MemorySecret, TOKEN};

use super::service::{GROUP, Service};
use super::{FIRST, Mode, Stage, USER, token_value, user_value};

fn event() -> ActionEvent {
    ActionEvent {
        action: Action::RetirePrevious,
        secret_id: test_support::rotation::SECRET.into(),
        after_minutes: None,
    }
}

const ROTATED: Moment = Moment::BEGINNING;

fn after(minutes: u64) -> Moment {
    ROTATED.plus(Duration::from_secs(60 * minutes))
}

fn secret(mode: Mode) -> MemorySecret {
    let value = if mode == Mode::User { user_value() } else { token_value() };
    MemorySecret::new(&value.to_string())
        .described(Description { last_rotated: Some(ROTATED), ..Description::default() })
}

fn rotate(stage: &Stage, secret: &MemorySecret, engine: &impl Engine) {
    stage.runtime.block_on(Drill::new(secret, engine, HashMap::new()).run()).unwrap();
}

/// Rotates, then takes the previous credential back with faults, as often as it takes; gives the
/// calls of the last time.
fn retire<E: Engine>(
    stage: &Stage,
    secret: &MemorySecret,
    engine: &E,
    service: &Service<'_>,
    outer: HashMap<usize, Fault>,
) -> usize {
    let drill = Drill::new(secret, engine, outer).with_inner(&service.faults);
    for _ in 0..10 {
        let acted = stage.runtime.block_on(drill.act(&event(), after(60)));
        let current = secret.document("AWSCURRENT").unwrap();
        let account = engine.account(&current).unwrap();
        assert_eq!(
            stage.log_in(engine, &account.user, secrecy::ExposeSecret::expose_secret(&account.password)),
            Login::Accepted
        );
        if let Some(Ok(StepOutcome::Done | StepOutcome::NothingToDo)) = acted {
            // As with a schedule, which asks again and again.
            service.passwords();
            let again =
                stage.runtime.block_on(Drill::new(secret, engine, HashMap::new()).act(&event(), after(60)));
            assert!(matches!(again, Some(Ok(StepOutcome::NothingToDo))), "{again:?}");
            return drill.faulty.calls();
        }
    }
    panic!("it never ends");
}

fn every_fault(mode: Mode) {
    let stage = Stage::new();
    let name = if mode == Mode::User { USER } else { "default" };
    let run = |outer: HashMap<usize, Fault>, inner: Option<(usize, Fault)>| {
        // Calls of the service during the rotation come first.
        let service = Service::new(&stage.redis, name, FIRST, Faults::new(HashMap::new()));
        let secret = secret(mode);
        let before;
        let calls = match mode {
            Mode::User => {
                rotate(&stage, &secret, &stage.user(&service));
                before = service.faults.calls();
                inner.inspect(|(call, fault)| service.faults.add(before + call, *fault));
                retire(&stage, &secret, &stage.user(&service), &service, outer)
            }
            Mode::Token | Mode::TokenWithoutSet => {
                rotate(&stage, &secret, &stage.token(&service));
                before = service.faults.calls();
                inner.inspect(|(call, fault)| service.faults.add(before + call, *fault));
                retire(&stage, &secret, &stage.token(&service), &service, outer)
            }
        };
        let left = service.passwords();
        assert!(left.len() == 1 && left != [FIRST], "{left:?}");
        (calls, service.faults.calls() - before)
    };
    let calls = run(HashMap::new(), None);
    for fault in Fault::ALL {
        for call in 0..calls.0 {
            run(HashMap::from([(call, fault)]), None);
        }
        for call in 0..calls.1 {
            run(HashMap::new(), Some((call, fault)));
        }
    }
    println!(
        "{mode:?}: {} calls of the action and {} of the service, {} runs",
        calls.0,
        calls.1,
        4 * (calls.0 + calls.1)
    );
    assert_eq!(calls, (8, 5));
}

#[test]
fn previous_password_is_retired_with_a_fault_at_any_call() {
    every_fault(Mode::User);
}

#[test]
fn previous_token_is_retired_with_a_fault_at_any_call() {
    every_fault(Mode::Token);
}

#[test]
fn previous_password_is_not_retired_too_early() {
    let stage = Stage::new();
    let service = Service::new(&stage.redis, "default", FIRST, Faults::new(HashMap::new()));
    let engine = stage.token(&service);
    let secret = secret(Mode::Token);
    let act = |now| {
        let drill = Drill::new(&secret, &engine, HashMap::new());
        stage.runtime.block_on(drill.act(&event(), now)).unwrap()
    };
    assert_eq!(act(after(60)).unwrap(), StepOutcome::Postponed("a rotation is in progress"));
    rotate(&stage, &secret, &engine);
    let both = service.passwords();
    assert_eq!(act(after(59)).unwrap(), StepOutcome::Postponed("the last rotation is too recent"));
    secret.begin("third-version-0123456789abcdef012345");
    assert_eq!(act(after(60)).unwrap(), StepOutcome::Postponed("a rotation is in progress"));
    secret.unlabel("third-version-0123456789abcdef012345");
    assert_eq!(service.passwords(), both);
    // Somebody wrote another value by hand: it does not become the only one.
    let good = secret.document("AWSCURRENT").unwrap();
    secret.set(TOKEN, r#"{"password":"by-hand-0123456789"}"#);
    assert_eq!(act(after(60)).unwrap_err().name(), "NewPasswordRejected");
    assert_eq!(service.passwords(), both);
    secret.set(TOKEN, secrecy::ExposeSecret::expose_secret(&good.to_secret_string()));
    assert_eq!(act(after(60)).unwrap(), StepOutcome::Done);
    assert_eq!(service.passwords().len(), 1);
}

#[test]
fn overlap_is_not_ended_before_the_configured_minutes() {
    let stage = Stage::new();
    let service = Service::new(&stage.redis, "default", FIRST, Faults::new(HashMap::new()));
    let engine = stage.token(&service);
    let secret = secret(Mode::Token);
    rotate(&stage, &secret, &engine);
    let both = service.passwords();
    let act = |minutes, now| {
        let event = ActionEvent { after_minutes: Some(minutes), ..event() };
        stage.runtime.block_on(Drill::new(&secret, &engine, HashMap::new()).act(&event, now)).unwrap()
    };
    for minutes in [0, 59] {
        let error = act(minutes, after(minutes.into())).unwrap_err();
        assert_eq!((error.name(), service.passwords()), ("OverlapTooShort", both.clone()));
    }
    let recent = StepOutcome::Postponed("the last rotation is too recent");
    assert_eq!(act(61, after(60)).unwrap(), recent);
    assert_eq!(act(61, after(61)).unwrap(), StepOutcome::Done);
}

#[test]
fn token_is_added_once_after_a_crash_with_slow_nodes() {
    let stage = Stage::new();
    let mut service = Service::new(&stage.redis, "default", FIRST, Faults::new(HashMap::new()));
    service.lag = Duration::from_millis(50);
    let mut at = stage.endpoint();
    at.pace.grace = Duration::from_secs(30);
    let engine = Token::new(&service, GROUP.into(), at);
    let secret = secret(Mode::Token);
    let drill = Drill::new(&secret, &engine, HashMap::new()).with_inner(&service.faults);
    stage.runtime.block_on(drill.step(Step::Create)).unwrap().unwrap();
    // What a function that died right after ROTATE leaves behind.
    let current = engine.account(&secret.document("AWSCURRENT").unwrap()).unwrap();
    let pending = engine.account(&secret.document("AWSPENDING").unwrap()).unwrap();
    let begun = async { Groups::set_token(&&service, GROUP, &pending.password, Update::Rotate).await };
    assert_eq!(stage.runtime.block_on(begun).unwrap(), Modification::Started);
    stage.runtime.block_on(engine.set_password(&current, "default", &pending.password)).unwrap();
    // SET to the current one, ROTATE to the new one, and nothing else.
    assert_eq!(service.history().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn abandoned_rotation_does_not_end_the_current_token() {
    let stage = Stage::new();
    let service = Service::new(&stage.redis, "default", FIRST, Faults::new(HashMap::new()));
    let engine = stage.token(&service);
    let secret = secret(Mode::Token);
    let given_up = Drill::new(&secret, &engine, HashMap::new());
    for step in [Step::Create, Step::Set] {
        stage.runtime.block_on(given_up.step(step)).unwrap().unwrap();
    }
    // The abandoned token is the newer one now: ROTATE alone would drop the current one.
    let abandoned = service.passwords();
    assert_eq!(abandoned[0], FIRST);
    let second = MemorySecret::new(&token_value().to_string());
    // Another password than the abandoned one.
    let _skipped = stage
        .runtime
        .block_on(rotation::versions::Versions::random_password(&second, &Endpoint::default_policy()));
    rotate(&stage, &second, &engine);
    let left = service.passwords();
    assert!(left[0] == FIRST && !abandoned.contains(&left[1]), "{left:?} after {abandoned:?}");
}

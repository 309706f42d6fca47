//! The rotation of an API key at a provider in memory: a crash before and after every call, seeded
//! random schedules of faults.

#![cfg(feature = "api-key")]
// The counts and seeds of a run are for people who read the test's output.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod responses;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lambda_kit::call::CallError;
use lambda_kit::env::Env;
use lambda_kit::moment::Moment;
use rotation::document::MAC_KEY;
use rotation::event::{RotationEvent, Step};
use rotation::keys::mark::Mark;
use rotation::keys::{Pace, config};
use rotation::machine::Machine;
use rotation::outcome::StepOutcome;
use rotation::password::PasswordPolicy;
use rotation::retry::Retry;
use rotation::versions::{CURRENT, Description, PENDING, PREVIOUS, Versions};
use secrecy::SecretString;
use test_support::rotation::{
    ADMIN, Fault, KeyDrill, KeyProvider, MemorySecret, OLD, Rules, SECRET, TOKEN, for_each_seed,
};
use tokio::time::Instant;

const VALUE: &str = r#"{"key":"FIRST","secret":"first+half","basic.auth.user.info":"FIRST:first+half","url":"https://sr","n":[1,2]}"#;
const ADMIN_VALUE: &str = r#"{"key":"admin-key","secret":"admin-secret"}"#;

/// Returns a variable: one of `more`, or of the preset.
fn variable(name: &str, more: &[(&str, &str)]) -> Option<String> {
    let preset = [
        ("API_KEY_PRESET", "confluent-cloud"),
        ("API_KEY_OWNER", "sa-1"),
        ("API_KEY_RESOURCE", "lsrc-1"),
        ("API_KEY_ENDPOINT", "https://sr.example"),
        ("ADMIN_SECRET_ARN", ADMIN),
    ];
    let found = more.iter().chain(&preset).find(|(have, _)| *have == name);
    found.map(|(_, value)| (*value).to_owned())
}

/// Returns a provider with the key that is in the secret first, and with keys of others.
fn provider(rules: Rules) -> KeyProvider {
    let provider = KeyProvider::new(rules);
    provider.add("sa-1", "FIRST", "first+half", "made by hand");
    provider.add("sa-2", "OTHER", "other", "of another owner");
    provider
}

fn key(secret: &MemorySecret, label: &str) -> Option<(String, String)> {
    let value = secret.document(label)?;
    Some((value.text("key").ok()?.to_owned(), value.text("secret").ok()?.to_owned()))
}

fn current_works(secret: &MemorySecret, provider: &KeyProvider) -> Result<(), String> {
    let (id, half) = key(secret, CURRENT).ok_or("AWSCURRENT has no key")?;
    if provider.works(&id, &half) { Ok(()) } else { Err(format!("the key {id} of AWSCURRENT does not work")) }
}

/// Checks the invariants after the rotation with this number, counted from 1.
fn ended(secret: &MemorySecret, provider: &KeyProvider, number: usize) -> Result<(), String> {
    current_works(secret, provider)?;
    let (id, half) = key(secret, CURRENT).ok_or("AWSCURRENT has no key")?;
    let (before, previous) = key(secret, PREVIOUS).ok_or("AWSPREVIOUS has no key")?;
    if !provider.works(&before, &previous) {
        return Err(format!("the key {before} of AWSPREVIOUS was revoked before its time"));
    }
    let mut expected = vec!["FIRST".to_owned(), "OTHER".to_owned(), id.clone(), before];
    expected.sort();
    expected.dedup();
    if provider.ids() != expected {
        return Err(format!(
            "the provider has {:?}, expected {expected:?} after rotation {number}",
            provider.ids()
        ));
    }
    let mut map = secret.map(CURRENT).ok_or("no value")?;
    let info = map.remove("basic.auth.user.info");
    if info != Some(format!("{id}:{half}").into()) {
        return Err(format!("basic.auth.user.info is not that of {id}"));
    }
    map.retain(|name, _| !["key", "secret", MAC_KEY].contains(&name.as_str()));
    if serde_json::Value::from(map) != serde_json::json!({"url": "https://sr", "n": [1, 2]}) {
        return Err("another key than those of the credential changed".to_owned());
    }
    Ok(())
}

/// Runs three rotations with faults. Returns the number of calls.
async fn three(rules: Rules, faults: HashMap<usize, Fault>, twice: bool) -> Result<usize, String> {
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
    let variables = |name: &str| variable(name, &[]);
    let mut drill = KeyDrill::new(&secret, &provider, Env::from(&variables), faults);
    drill.twice = twice;
    for number in 1..=3 {
        let token = format!("{TOKEN}-{number}");
        secret.unlabel(TOKEN);
        secret.begin(&token);
        drill.rotate(&token, || current_works(&secret, &provider)).await?;
        ended(&secret, &provider, number)?;
    }
    Ok(drill.faulty.calls())
}

#[tokio::test(start_paused = true)]
async fn rotations_with_a_fault_at_any_call_leave_two_keys() {
    for refused_first in [0, 3] {
        let rules = Rules { refused_first, ..Rules::default() };
        let calls = three(rules, HashMap::new(), false).await.unwrap();
        let mut runs = 0;
        for call in 0..calls {
            for fault in Fault::ALL {
                let faults = HashMap::from([(call, fault)]);
                three(rules, faults, false)
                    .await
                    .unwrap_or_else(|problem| panic!("{call} {fault:?}: {problem}"));
                runs += 1;
            }
        }
        println!(
            "{refused_first} times refused: {calls} calls in three rotations, {runs} runs with one fault each"
        );
        // 12 reads of labels, 24 of values, 5 of AWSPREVIOUS, 3 of the admin's value, 3 writes, 3
        // moves; 9 tries, 4 pages of lists, 3 keys created and 1 revoked.
        let tries = 3 * usize::try_from(refused_first).unwrap();
        assert_eq!((calls, runs), (67 + tries, 4 * calls));
    }
}

#[test]
fn rotations_with_random_faults_never_break_the_current_key() {
    let mut abandoned = 0;
    let seeds = for_each_seed("SLUICE_SOAK_RUNS", 300, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        abandoned += runtime.unwrap().block_on(four(seed));
    });
    println!("{} schedules, {abandoned} rotations abandoned", seeds.end - seeds.start);
    assert!(abandoned > 0 || seeds.end - seeds.start < 100);
}

/// Runs four rotations with the faults of a seed, and two without. Returns the number of abandoned
/// ones.
async fn four(seed: u64) -> usize {
    let mut abandoned = 0;
    let mut random = fastrand::Rng::with_seed(seed);
    let rules = Rules {
        limit: random.usize(3..6),
        refused_first: random.u32(0..4),
        unlisted_first: random.u32(0..2),
        part: random.usize(1..4),
        open: false,
    };
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
    let faults = (0..random.usize(1..10)).map(|_| (random.usize(0..120), Fault::ALL[random.usize(0..4)]));
    let variables = |name: &str| variable(name, &[]);
    let mut drill = KeyDrill::new(&secret, &provider, Env::from(&variables), faults.collect());
    drill.twice = random.bool();
    secret.unlabel(TOKEN);
    for rotation in 1..=4 {
        let token = format!("{TOKEN}-{rotation}");
        secret.begin(&token);
        let holds = || current_works(&secret, &provider);
        // Secrets Manager gives up after a few attempts, and somebody removes the label.
        let attempts = if rotation < 4 && random.bool() { 1 } else { 50 };
        let done = drill.attempts(&token, attempts, holds).await;
        let done = done.unwrap_or_else(|problem| panic!("SLUICE_SEED={seed}: {problem}"));
        if !done {
            assert!(attempts == 1, "SLUICE_SEED={seed}: rotation {rotation} never ended");
            // It may have ended, if the last response was lost.
            if secret.labels(&token) == [PENDING] {
                abandoned += 1;
                secret.unlabel(&token);
            }
        }
    }
    // A key whose response was lost and that no list contained yet remains until the next
    // rotations.
    let calm = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    for token in ["calm-1", "calm-2"] {
        secret.begin(token);
        calm.rotate(token, || current_works(&secret, &provider)).await.unwrap();
    }
    ended(&secret, &provider, 6).unwrap_or_else(|problem| panic!("SLUICE_SEED={seed}: {problem}"));
    abandoned
}

#[tokio::test(start_paused = true)]
async fn drill_fails_if_the_current_key_is_revoked() {
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(Rules::default()));
    provider.forget("FIRST");
    let variables = |name: &str| variable(name, &[]);
    let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    let problem = drill.rotate(TOKEN, || current_works(&secret, &provider)).await.unwrap_err();
    assert!(problem.contains("FIRST of AWSCURRENT does not work"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn first_key_is_revoked_only_if_configured_and_unused() {
    for (more, kept) in [(&[][..], true), (&[("REVOKE_FIRST_KEY_ID", "FIRST")][..], false)] {
        let (secret, provider) =
            (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(Rules::default()));
        // A key with the mark of another secret.
        let other = Mark::of("arn:another").with("t");
        provider.add("sa-3", "MARKED", "x", &other);
        let variables = |name: &str| variable(name, more);
        let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
        drill.rotate(TOKEN, || current_works(&secret, &provider)).await.unwrap();
        assert!(provider.works("FIRST", "first+half"), "a whole period of overlap");
        secret.begin("second");
        drill.rotate("second", || current_works(&secret, &provider)).await.unwrap();
        assert_eq!(provider.works("FIRST", "first+half"), kept);
        assert!(provider.has("OTHER", "other") && provider.has("MARKED", "x"));
        assert_eq!(secret.labels(OLD), Vec::<&str>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_others_are_not_revoked() {
    let rules = Rules { limit: 9, ..Rules::default() };
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
    let other = Mark::of("arn:another").with("t");
    provider.add("sa-1", "MARKED", "x", &other);
    provider.add("sa-1", "HAND", "y", "sluice-rotation is not my mark");
    let variables = |name: &str| variable(name, &[("REVOKE_FIRST_KEY_ID", "FIRST")]);
    let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    for token in [TOKEN, "second", "third", "fourth"] {
        secret.begin(token);
        drill.rotate(token, || current_works(&secret, &provider)).await.unwrap();
    }
    assert_eq!(provider.ids(), ["HAND", "KEY00003", "KEY00004", "MARKED", "OTHER"]);
}

#[tokio::test(start_paused = true)]
async fn limit_of_two_keys_is_enough_with_revoke_first() {
    let rules = Rules { limit: 2, ..Rules::default() };
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
    let variables = |name: &str| variable(name, &[("REVOKE_FIRST_KEY_ID", "FIRST")]);
    let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    for token in [TOKEN, "second", "third", "fourth"] {
        secret.begin(token);
        drill.rotate(token, || current_works(&secret, &provider)).await.unwrap();
        assert_eq!(provider.ids().len(), 3, "two, and one of another owner");
    }
}

#[tokio::test(start_paused = true)]
async fn planted_key_is_refused_although_the_provider_accepts_it() {
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(Rules::default()));
    // A key of the attacker at the same provider, even for the same owner.
    provider.add("sa-1", "THEIRS", "theirs", "made by hand");
    secret.set(TOKEN, r#"{"key":"THEIRS","secret":"theirs","url":"https://sr"}"#);
    let before = secret.snapshot();
    let variables = |name: &str| variable(name, &[]);
    let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    for step in Step::ALL {
        let error = drill.step(TOKEN, step).await.unwrap().unwrap_err();
        assert_eq!((error.name(), secret.snapshot()), ("PendingNotCreatedHere", before.clone()), "{step}");
    }
    assert!(provider.seen().is_empty(), "{:?}", provider.seen());
}

#[tokio::test(start_paused = true)]
async fn written_value_does_not_have_a_foreign_key_revoked() {
    let rules = Rules { limit: 9, ..Rules::default() };
    for more in [&[][..], &[("REVOKE_FIRST_KEY_ID", "FIRST")][..]] {
        let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(rules));
        provider.add("sa-1", "VICTIM", "unknown", "made by hand");
        // The writer names a key whose secret half it does not know.
        secret.set(OLD, r#"{"key":"VICTIM","secret":"guessed"}"#);
        let variables = |name: &str| variable(name, more);
        let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
        for token in [TOKEN, "second", "third"] {
            secret.begin(token);
            drill.attempts(token, 1, || Ok(())).await.unwrap();
            assert!(provider.has("VICTIM", "unknown"), "{more:?}, {token}");
        }
    }
}

/// A secret whose pending value is hidden from the first read, which was a moment too early.
struct TooEarly<'a>(&'a MemorySecret, AtomicBool);

impl Versions for TooEarly<'_> {
    async fn describe(&self, secret: &str) -> Result<Description, CallError> {
        self.0.describe(secret).await
    }

    async fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> Result<Option<SecretString>, CallError> {
        if label == PENDING && !self.1.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        self.0.value(secret, version, label).await
    }

    async fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> Result<StepOutcome, CallError> {
        self.0.put_pending(event, value).await
    }

    async fn promote(&self, secret: &str, from: &str, to: &str) -> Result<StepOutcome, CallError> {
        self.0.promote(secret, from, to).await
    }

    async fn random_password(&self, policy: &PasswordPolicy) -> Result<SecretString, CallError> {
        self.0.random_password(policy).await
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_run_does_not_revoke_the_pending_key() {
    let (secret, provider) = (MemorySecret::new(VALUE).with_admin(ADMIN_VALUE), provider(Rules::default()));
    let variables = |name: &str| variable(name, &[]);
    let drill = KeyDrill::new(&secret, &provider, Env::from(&variables), HashMap::new());
    drill.step(TOKEN, Step::Create).await.unwrap().unwrap();
    let (before, (id, half)) = (secret.snapshot(), key(&secret, PENDING).unwrap());

    let second = TooEarly(&secret, AtomicBool::new(false));
    let rotator = config::with(Env::from(&variables), &drill.faulty, Pace::default()).unwrap();
    let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
    let event = RotationEvent {
        step: Step::Create,
        secret_id: SECRET.into(),
        client_request_token: TOKEN.into(),
        rotation_token: None,
    };
    Machine { versions: &second, rotator: &rotator, retry: &retry, now: Moment::BEGINNING }
        .run(&event)
        .await
        .unwrap();
    assert_eq!(secret.snapshot(), before);
    assert!(provider.works(&id, &half));
    drill.rotate(TOKEN, || current_works(&secret, &provider)).await.unwrap();
    ended(&secret, &provider, 1).unwrap();
}

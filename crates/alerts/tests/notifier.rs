//! The notifier against crashes, duplicates, concurrency and a topic that refuses messages.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use alerts::command::Command;
use alerts::incident::{AccountRegion, Incident};
use alerts::kind::{Kind, Severity};
use alerts::message::Message;
use alerts::moment::Moment;
use alerts::notifier::{InvocationWindow, Notifier, RecordError, RecordStats};
use alerts::publish::Publisher;
use alerts::state::{EventId, IncidentState, Observation, OutboxEntry, Policy};
use alerts::store::{ItemKey, Put, Store};
use lambda_kit::call::CallError;
use test_support::alerts::World;
use test_support::faults::Fault;

/// The sort key of an incident's state.
const INCIDENT: &str = "incident";

const MINUTE: i64 = 60_000;

fn incident(subject: &str, kind: Kind, at: i64) -> Incident {
    let location = AccountRegion::new("111111111111", "us-east-1");
    Incident::new(kind, Severity::Error, location, subject, subject, Moment::from_millis(at))
        .action("Rotate again.", Command::aws("secretsmanager", "rotate-secret").option("secret-id", subject))
}

fn firing(subject: &str, at: i64) -> Observation {
    let id = EventId::of(&["firing", subject, &at.to_string()]);
    Observation::firing(incident(subject, Kind::RotationFailed, at), id)
}

fn resolved(subject: &str, at: i64) -> Observation {
    let key = incident(subject, Kind::RotationFailed, at).key();
    let id = EventId::of(&["resolved", subject, &at.to_string()]);
    Observation::resolved(key, "works again", id, Moment::from_millis(at))
}

fn window(minute: i64) -> InvocationWindow {
    // An invocation has half a minute.
    InvocationWindow {
        now: Moment::from_millis(minute * MINUTE),
        deadline: Moment::from_millis(minute * MINUTE + MINUTE / 2),
    }
}

/// The number of times that each notification was published, by its status and id.
fn published(world: &World) -> BTreeMap<(String, String), u32> {
    let mut published = BTreeMap::new();
    for message in world.published() {
        let attribute =
            |name: &str| message.attributes.iter().find(|(found, _)| *found == name).unwrap().1.clone();
        *published.entry((attribute("status"), attribute("id"))).or_default() += 1;
    }
    published
}

fn statuses(world: &World) -> Vec<String> {
    published(world).into_keys().map(|(status, _)| status).collect()
}

/// Delivers observations one after the other, each as often as it takes, then sweeps. Returns the minute at the end.
async fn deliver(world: &World, deliveries: &[Vec<Observation>]) -> i64 {
    let notifier = Notifier::new(world, world, Policy::default());
    let mut minute = 0;
    for delivery in deliveries {
        for attempt in 0.. {
            assert!(attempt < 20, "a delivery never succeeds");
            world.revive();
            minute += 1;
            let results = notifier.record(delivery, window(minute)).await;
            if !world.is_dead() && results.iter().all(Result::is_ok) {
                break;
            }
        }
    }
    for _ in 0..3 {
        minute += 1;
        world.revive();
        let _ = notifier.sweep(window(minute), 100).await;
    }
    minute
}

#[tokio::test]
async fn incident_is_notified_once_counted_and_resolved() {
    let world = World::default();
    deliver(
        &world,
        &[vec![firing("s", 10)], vec![firing("s", 10)], vec![firing("s", 20)], vec![resolved("s", 30)]],
    )
    .await;
    assert_eq!(statuses(&world), ["opened", "resolved"]);
    let over = &world.published()[1];
    assert!(
        over.body.contains("2 times") && over.subject.starts_with("[RESOLVED] Rotation failed: s"),
        "{over:?}"
    );
}

#[tokio::test]
#[allow(clippy::print_stdout)]
async fn crash_at_any_call_loses_no_alert_and_repeats_one_at_most() {
    let deliveries = [
        vec![firing("s", 10)],
        vec![firing("s", 20), firing("s", 10), firing("t", 15)],
        vec![resolved("s", 30)],
        vec![firing("s", 40)],
    ];
    let world = World::default();
    deliver(&world, &deliveries).await;
    let (calls, _) = world.calls();
    let expected = statuses(&world);
    assert_eq!(expected, ["opened", "opened", "opened", "resolved"]);
    let (mut cases, mut duplicates) = (0, 0);
    // One fault anywhere; then two: anywhere if the run is a long one, else at every fourth distance.
    let step = if std::env::var_os("SLUICE_SOAK_RUNS").is_some() { 1 } else { 4 };
    for first in 0..calls {
        for second in (first..calls + 6).step_by(step) {
            for (one, other) in Fault::ALL.iter().flat_map(|one| Fault::ALL.map(|other| (*one, other))) {
                let world = World::new(HashMap::from([(first, one), (second, other)]));
                deliver(&world, &deliveries).await;
                let found = published(&world);
                let faults = if first == second { 1 } else { 2 };
                let extra: u32 = found.values().sum::<u32>() - u32::try_from(found.len()).unwrap();
                let case = format!("{one:?} at {first}, {other:?} at {second}: {found:?}");
                assert_eq!(statuses(&world), expected, "{case}");
                assert!(extra <= faults, "{case}");
                // Counts are right whatever happened.
                let counts: Vec<u64> = world
                    .memory()
                    .all()
                    .into_iter()
                    .filter(|(key, _)| key.sort == INCIDENT)
                    .map(|(_, body)| serde_json::from_str::<IncidentState>(&body).unwrap().count())
                    .collect();
                assert_eq!(counts.iter().sum::<u64>(), 2, "{case}: {counts:?}");
                assert!(
                    world.memory().all().iter().all(|(_, body)| !body.contains("\"notification\"")),
                    "{case}"
                );
                cases += 1;
                duplicates += extra;
            }
        }
    }
    println!("{calls} calls without faults, {cases} cases, {duplicates} duplicates");
}

#[tokio::test(start_paused = true)]
async fn concurrent_invocations_notify_once_and_lose_nothing() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::default();
        let notifier = Notifier::new(&world, &world, Policy::default());
        // Four invocations with deliveries of the same few events, each repeated until it succeeds.
        let deliveries: Vec<Vec<Observation>> = (0..4)
            .map(|_| {
                (0..random.usize(1..4))
                    .map(|_| firing(random.choice(["s", "t"]).unwrap(), random.i64(1..4)))
                    .collect()
            })
            .collect();
        let invocation = async |observations: &Vec<Observation>, start: usize| {
            for _ in 0..start {
                tokio::task::yield_now().await;
            }
            for attempt in 0_i64.. {
                assert!(attempt < 30, "seed {seed}");
                // All of them live at the same time: nobody's claim is over.
                let now = Moment::from_millis(MINUTE + attempt);
                let results = notifier
                    .record(observations, InvocationWindow { now, deadline: window(1).deadline })
                    .await;
                if results.iter().all(Result::is_ok) {
                    break;
                }
                // As a queue does, though sooner.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let starts: Vec<usize> = (0..4).map(|_| random.usize(0..5)).collect();
        tokio::join!(
            invocation(&deliveries[0], starts[0]),
            invocation(&deliveries[1], starts[1]),
            invocation(&deliveries[2], starts[2]),
            invocation(&deliveries[3], starts[3]),
        );
        let subjects: HashSet<&str> =
            deliveries.iter().flatten().map(|observation| observation.key.as_str()).collect();
        let found = published(&world);
        assert!(found.values().all(|times| *times == 1), "seed {seed}: {found:?}");
        assert_eq!(found.len(), subjects.len(), "seed {seed}: {found:?}");
    }
}

#[tokio::test]
async fn notifications_beyond_the_rate_limit_are_one_summary() {
    let world = World::default();
    let notifier = Notifier::new(&world, &world, Policy::default());
    // Twenty incidents of one secret, distinguished by who tried to read it.
    let observations: Vec<Observation> = (0..20)
        .map(|number| {
            let at = Moment::from_millis(number);
            let location = AccountRegion::new("111111111111", "us-east-1");
            let incident =
                Incident::new(Kind::SecretAccessDenied, Severity::Warning, location, "arn:s", "secret s", at);
            Observation::firing(incident.dedup_key(&number.to_string()), EventId::of(&[&number.to_string()]))
        })
        .collect();
    let results = notifier.record(&observations, window(0)).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(world.published().len(), 12);
    notifier.sweep(window(59), 100).await.unwrap();
    assert_eq!(world.published().len(), 12);
    assert_eq!(notifier.sweep(window(60), 100).await.unwrap().published, 1);
    let summary = world.published().pop().unwrap();
    assert_eq!(summary.subject, "[WARNING] Alerts suppressed: secret s (111111111111 us-east-1)");
    assert!(summary.body.contains("8 more alerts"), "{}", summary.body);
    // And only once.
    assert_eq!(notifier.sweep(window(61), 100).await.unwrap(), RecordStats::default());
}

/// An incident about a subject of an account.
fn of_account(account: &str, kind: Kind, severity: Severity, subject: &str) -> Observation {
    let location = AccountRegion::new(account, "us-east-1");
    let incident = Incident::new(kind, severity, location, subject, subject, Moment::from_millis(1));
    Observation::firing(incident, EventId::of(&[account, kind.name(), severity.name(), subject]))
}

async fn record_each(world: &World, observations: impl Iterator<Item = Observation>) {
    let notifier = Notifier::new(world, world, Policy::default());
    for observation in observations {
        assert!(notifier.record(&[observation], window(0)).await[0].is_ok());
    }
}

#[tokio::test]
async fn flood_of_an_account_ends_in_one_summary() {
    let world = World::default();
    let flood = (0..500).map(|number| {
        of_account("111111111111", Kind::FunctionFailed, Severity::Error, &format!("function-{number}"))
    });
    record_each(&world, flood).await;
    assert_eq!(world.published().len(), 60);
    let notifier = Notifier::new(&world, &world, Policy::default());
    assert_eq!(notifier.sweep(window(60), 1000).await.unwrap().published, 1);
    let summary = world.published().pop().unwrap();
    // As severe as what it stands for, so that a pager gets it.
    assert_eq!(
        summary.subject,
        "[ERROR] Alerts suppressed: Function failed in account 111111111111 (111111111111 us-east-1)"
    );
    assert!(summary.body.contains("440 more alerts"), "{}", summary.body);
    assert!(summary.body.contains("incident|function-failed|111111111111|"), "{}", summary.body);
}

#[tokio::test]
async fn flood_hides_no_other_kind_account_or_severity() {
    let world = World::default();
    let flood = (0..200).map(|number| {
        of_account("111111111111", Kind::FunctionFailed, Severity::Error, &format!("function-{number}"))
    });
    record_each(&world, flood).await;
    // Twelve forged alerts about a secret's ARN, too.
    let same = (0..20).map(|number| {
        let Observation { event, .. } =
            of_account("1", Kind::FunctionFailed, Severity::Error, &number.to_string());
        let location = AccountRegion::new("111111111111", "us-east-1");
        let at = Moment::from_millis(number);
        let incident = Incident::new(Kind::DatabaseEvent, Severity::Error, location, "arn:secret", "s", at);
        Observation::firing(incident.dedup_key(&number.to_string()), event)
    });
    record_each(&world, same).await;
    let before = world.published().len();
    let honest = [
        of_account("111111111111", Kind::RotationFailed, Severity::Critical, "arn:secret"),
        of_account("111111111111", Kind::RotationFailed, Severity::Error, "arn:other"),
        of_account("111111111111", Kind::FunctionFailed, Severity::Critical, "function-1000"),
        of_account("222222222222", Kind::FunctionFailed, Severity::Error, "function-1"),
        of_account("222222222222", Kind::DatabaseEvent, Severity::Warning, "arn:secret"),
    ];
    record_each(&world, honest.into_iter()).await;
    let subjects: Vec<String> =
        world.published()[before..].iter().map(|message| message.subject.clone()).collect();
    assert_eq!(
        subjects,
        [
            "[CRITICAL] Rotation failed: arn:secret (111111111111 us-east-1)",
            "[ERROR] Rotation failed: arn:other (111111111111 us-east-1)",
            "[CRITICAL] Function failed: function-1000 (111111111111 us-east-1)",
            "[ERROR] Function failed: function-1 (222222222222 us-east-1)",
            "[WARNING] Database event: arn:secret (222222222222 us-east-1)",
        ]
    );
}

#[tokio::test]
async fn unpublished_notifications_are_sent_when_the_topic_accepts_them() {
    // The first three publishes are refused.
    let world = World::new(HashMap::from([(2, Fault::Fails), (6, Fault::Fails), (10, Fault::Fails)]));
    let notifier = Notifier::new(&world, &world, Policy::default());
    // The delivery is refused each time, and tried again at once: nobody is about to publish it.
    for second in 0..3 {
        let now = window(0).now.plus(Duration::from_secs(second));
        let result = notifier.record(&[firing("s", 1)], InvocationWindow { now, ..window(0) }).await;
        assert!(matches!(result[0], Err(RecordError::Publish(_))), "{result:?}");
    }
    assert_eq!(statuses(&world), [""; 0]);
    // The next event of the incident takes it along, so that the schedule finds nothing.
    let now = window(0).now.plus(Duration::from_secs(3));
    assert!(notifier.record(&[firing("s", 2)], InvocationWindow { now, ..window(0) }).await[0].is_ok());
    assert_eq!(notifier.sweep(window(1), 10).await.unwrap().published, 0);
    assert_eq!(statuses(&world), ["opened"]);
}

#[tokio::test]
async fn full_outbox_refuses_events_until_the_sweep_has_published_it() {
    let world = World::default();
    let key = firing("s", 1).key;
    let mut state = IncidentState::default();
    let policy = Policy::default();
    for at in 1..=3 {
        for observation in [firing("s", at * 10), resolved("s", at * 10 + 5)] {
            let notification = state.apply(&observation, window(0).now, &policy).unwrap();
            state.outbox.push(OutboxEntry { notification, claimed_until: window(0).deadline });
        }
    }
    let item = ItemKey::new(key.as_str(), INCIDENT);
    let body = serde_json::to_string(&state).unwrap();
    let put = Put { key: item, expected: None, body, expires: window(900).now, due: state.due() };
    world.memory().write(&[put], window(0).now).await.unwrap();
    let notifier = Notifier::new(&world, &world, Policy::default());
    let refused = notifier.record(&[firing("s", 100)], window(1)).await;
    assert!(matches!(refused[0], Err(RecordError::OutboxFull)), "{refused:?}");
    assert_eq!(notifier.sweep(window(2), 10).await.unwrap().published, 6);
    assert!(notifier.record(&[firing("s", 100)], window(3)).await[0].is_ok());
    assert_eq!(world.published().len(), 7);
}

/// A topic that takes nothing.
struct Closed;

impl Publisher for Closed {
    async fn publish(&self, _: &Message) -> Result<(), CallError> {
        Err(CallError::without_answer("sns:Publish", "closed"))
    }
}

/// An incident whose texts are as long as they may be, and of characters that take six bytes each in JSON.
fn of_maximum_size(number: i64) -> Observation {
    let long = "\u{1}".repeat(10_000);
    let at = Moment::from_millis(number * MINUTE);
    let location = AccountRegion::new(&long, &long);
    let incident = Incident::new(Kind::Alarm, Severity::Error, location, &long, &long, at)
        .what(&long)
        .impact(&long)
        .cause(Some(&long))
        .action(&long, Command::from_words(["\\".repeat(2990)]))
        .dedup_key(&long)
        .group(&long);
    assert!(incident.command.is_some());
    Observation::firing(incident, EventId::of(&[&number.to_string()]))
}

#[tokio::test]
async fn state_with_a_full_outbox_fits_into_an_item() {
    let world = World::default();
    let notifier = Notifier::new(&world, Closed, Policy::default());
    let key = ItemKey::new(of_maximum_size(1).key.as_str(), INCIDENT);
    let (mut full, mut largest) = (0, 0);
    for number in 1..=12 {
        // Something that ends and comes back, so that each is notified.
        let firing = of_maximum_size(number * 100);
        let over = Observation::resolved(
            firing.key.clone(),
            &"\u{1}".repeat(1000),
            EventId::of(&["over", &number.to_string()]),
            window(number * 100 + 1).now,
        );
        for (observation, minute) in [(firing, number * 100), (over, number * 100 + 1)] {
            let result = notifier.record(&[observation], window(minute)).await.remove(0);
            full += i32::from(matches!(result, Err(RecordError::OutboxFull)));
        }
        if let Some(stored) =
            world.memory().read(std::slice::from_ref(&key), window(0).now).await.unwrap().remove(0)
        {
            largest = largest.max(stored.body.len());
        }
    }
    assert!((300_000..400_000).contains(&largest) && full > 0, "{largest} bytes, {full} times full");
}

#[tokio::test]
async fn unreadable_state_is_reset() {
    let world = World::default();
    let key = ItemKey::new(firing("s", 1).key.as_str(), INCIDENT);
    let spoilt = Put { key, expected: None, body: "{".into(), expires: window(900).now, due: None };
    world.memory().write(&[spoilt], window(0).now).await.unwrap();
    deliver(&world, &[vec![firing("s", 1)]]).await;
    assert_eq!(statuses(&world), ["opened"]);
}

#[tokio::test]
async fn condition_is_repeated_after_a_day_and_then_resolved() {
    let world = World::default();
    let notifier = Notifier::new(&world, &world, Policy::default());
    let found = |run: i64| {
        let at = Moment::from_millis(run * 60 * MINUTE);
        let location = AccountRegion::new("111111111111", "us-east-1");
        Incident::new(Kind::RotationOverdue, Severity::Warning, location, "arn:s", "secret s", at)
    };
    for run in 0..30 {
        // Each run comes twice.
        for _ in 0..2 {
            let observation =
                Observation::firing(found(run), EventId::of(&["check-secrets", &run.to_string(), "arn:s"]));
            let results = notifier.record(&[observation], window(run * 60)).await;
            assert!(results[0].is_ok());
        }
    }
    let over = Observation::resolved(
        found(0).key(),
        "it rotated",
        EventId::of(&["check-secrets", "30", "arn:s"]),
        window(1800).now,
    );
    assert!(notifier.record(&[over], window(1800)).await[0].is_ok());
    let subjects: Vec<String> = world.published().into_iter().map(|message| message.subject).collect();
    assert_eq!(
        subjects,
        [
            "[WARNING] Rotation overdue: secret s (111111111111 us-east-1)",
            "[WARNING] Still: Rotation overdue, for 24 h: secret s (111111111111 us-east-1)",
            "[RESOLVED] Rotation overdue: secret s (111111111111 us-east-1)",
        ]
    );
}

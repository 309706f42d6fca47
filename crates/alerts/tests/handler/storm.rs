//! A storm: thousands of events within a minute, some delivered twice, out of order, a third of them
//! not recognized, while invocations crash.
//!
//! Each test run has a small storm. `SLUICE_SOAK_RUNS` makes it one of 10,000 events, once for every
//! 2,000 of its value. `SLUICE_SEED` is the first seed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::pending;

use alerts::handler::Handler;
use alerts::incident::AccountRegion;
use alerts::lookup::Stacks;
use alerts::message::Message;
use alerts::moment::Moment;
use alerts::notifier::Notifier;
use alerts::processor::FailureProcessor;
use alerts::rules::StackEvent;
use alerts::state::{IncidentState, Policy};
use lambda_kit::call::CallError;
use serde_json::{Value, json};
use test_support::alerts::World;
use test_support::faults::Fault;

use super::{fixture, window};

/// The sort key of an incident's state.
const INCIDENT: &str = "incident";

/// Stacks that cannot be read.
struct Closed;

impl Stacks for Closed {
    async fn events(&self, _: &str, _: Moment) -> Result<Vec<StackEvent>, CallError> {
        Err(CallError::without_answer("sts:AssumeRole", "AccessDenied"))
    }
}

/// The real history of one subject.
#[derive(Debug, Default)]
struct Truth {
    occurrences: u64,
    /// Occurrences without a resolution in between.
    incidents: usize,
    open: bool,
}

struct Storm {
    /// The bodies of messages, in the order of their arrival.
    bodies: Vec<String>,
    truths: BTreeMap<String, Truth>,
    unknown: u64,
    doubled: usize,
}

fn storm(random: &mut fastrand::Rng, size: usize) -> Storm {
    let mut bodies = Vec::new();
    let mut truths: BTreeMap<String, Truth> = BTreeMap::new();
    let subjects = (size / 25).max(4);
    let (alarm, execution, function) = (
        fixture("cloudwatch/alarm"),
        fixture("states/execution-failed"),
        fixture("lambda/on-failure-by-bus"),
    );
    // Two thirds are real.
    for number in 0..size * 2 / 3 {
        let subject = random.usize(0..subjects);
        let stamp =
            format!("2026-03-01T02:{:02}:{:02}.{:03}", random.u8(0..58), random.u8(0..60), number % 1000);
        let (key, mut event) = match subject % 3 {
            0 => (format!("alarm-{subject}"), alarm.clone()),
            1 => (format!("machine-{subject}"), execution.clone()),
            _ => (format!("function-{subject}"), function.clone()),
        };
        // Resolutions are rare enough that no subject reaches its rate limit.
        let over = subject % 3 != 2 && random.u8(0..12) == 0;
        match subject % 3 {
            0 => {
                event["id"] = json!(format!("event-{number}"));
                event["resources"] =
                    json!([format!("arn:aws:cloudwatch:us-east-1:111111111111:alarm:{key}")]);
                event["detail"]["alarmName"] = json!(key);
                event["detail"]["state"]["value"] = json!(if over { "OK" } else { "ALARM" });
                event["detail"]["state"]["timestamp"] = json!(format!("{stamp}+0000"));
            }
            1 => {
                event["id"] = json!(format!("event-{number}"));
                event["time"] = json!(format!("{stamp}Z"));
                event["detail"]["stateMachineArn"] =
                    json!(format!("arn:aws:states:us-east-1:111111111111:stateMachine:{key}"));
                event["detail"]["status"] = json!(if over { "SUCCEEDED" } else { "FAILED" });
            }
            _ => {
                event["id"] = json!(format!("event-{number}"));
                event["time"] = json!(format!("{stamp}Z"));
                event["detail"]["requestContext"]["functionArn"] =
                    json!(format!("arn:aws:lambda:us-east-1:111111111111:function:{key}"));
            }
        }
        truths.entry(key.clone()).or_default();
        bodies.push((Some((key, stamp, over)), event.to_string()));
    }
    let mut unknown = HashSet::new();
    while bodies.len() < size {
        let number = bodies.len();
        let body = match random.u8(0..4) {
            0 => format!("{{\"broken\": {number}"),
            1 => json!({"source": "my.app", "detail-type": "New", "id": format!("u{number}"), "detail": {"password": "NEVERSHOWN"}}).to_string(),
            2 => {
                let mut event = fixture("backup/job-failed");
                event["id"] = json!(format!("u{number}"));
                event["detail"]["state"] = json!("A_STATE_OF_TOMORROW");
                event.to_string()
            }
            _ => format!("{{\"nothing\":{number},\"\u{202e}@here\":\"<!channel>\"}}"),
        };
        unknown.insert(body.clone());
        bodies.push((None, body));
    }
    // The real history, in the order of the events' times.
    let mut real: Vec<&(String, String, bool)> =
        bodies.iter().filter_map(|(real, _)| real.as_ref()).collect();
    real.sort_by(|one, other| one.1.cmp(&other.1));
    for (key, _, over) in real {
        let truth = truths.entry(key.clone()).or_default();
        if *over {
            truth.open = false;
        } else {
            truth.occurrences += 1;
            truth.incidents += usize::from(!truth.open);
            truth.open = true;
        }
    }
    let mut bodies: Vec<String> = bodies.into_iter().map(|(_, body)| body).collect();
    let doubled: Vec<String> = bodies.iter().filter(|_| random.u8(0..10) < 3).cloned().collect();
    let count = doubled.len();
    bodies.extend(doubled);
    random.shuffle(&mut bodies);
    Storm { bodies, truths, unknown: u64::try_from(unknown.len()).unwrap(), doubled: count }
}

fn batch(bodies: &[String], at: &[usize]) -> Value {
    let record =
        |at: &usize| json!({"eventSource": "aws:sqs", "messageId": at.to_string(), "body": bodies[*at]});
    json!({"Records": at.iter().map(record).collect::<Vec<_>>()})
}

/// Processes the storm as a queue would: four invocations at a time, ten messages each; failed messages
/// are delivered again after their visibility timeout.
async fn process(world: &World, storm: &Storm) -> usize {
    let notifier = || Notifier::new(world, world, Policy::default());
    let here = || AccountRegion::new("333333333333", "us-east-1");
    let handler =
        || Handler::new(notifier(), FailureProcessor::new(Closed), here(), "hub".into(), "alerts".into());
    let handlers = [handler(), handler(), handler(), handler()];
    let mut queue: Vec<usize> = (0..storm.bodies.len()).collect();
    let (mut rounds, mut invocations) = (0, 0);
    while !queue.is_empty() {
        assert!(rounds < 60, "{} messages are never processed", queue.len());
        let mut again = Vec::new();
        for four in queue.chunks(40) {
            world.revive();
            let batches: Vec<&[usize]> = four.chunks(10).collect();
            invocations += batches.len();
            let payloads: Vec<Value> =
                (0..4).map(|at| batch(&storm.bodies, batches.get(at).copied().unwrap_or_default())).collect();
            // Two deliveries of a message are a visibility timeout apart, longer than an invocation.
            let one = async |at: usize| handlers[at].handle(&payloads[at], window(rounds), pending()).await.1;
            let answers = tokio::join!(one(0), one(1), one(2), one(3));
            if world.is_dead() {
                again.extend_from_slice(four);
                continue;
            }
            for answer in [answers.0, answers.1, answers.2, answers.3] {
                for failure in
                    answer.unwrap_or_default()["batchItemFailures"].as_array().into_iter().flatten()
                {
                    again.push(failure["itemIdentifier"].as_str().unwrap().parse().unwrap());
                }
            }
        }
        queue = again;
        rounds += 1;
    }
    // The schedule publishes what a crashed invocation left.
    for extra in 1..4 {
        world.revive();
        let _ = handlers[0].handle(&fixture("events/scheduled"), window(rounds + extra), pending()).await;
    }
    invocations
}

fn attribute(message: &Message, name: &str) -> String {
    message.attributes.iter().find(|(found, _)| *found == name).unwrap().1.clone()
}

#[tokio::test(start_paused = true)]
#[allow(clippy::print_stdout)]
async fn storm_loses_nothing_and_notifies_every_incident_once() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let soak = number("SLUICE_SOAK_RUNS");
    let (size, runs) = soak.map_or((600, 3), |runs| (10_000, (runs / 2000).max(1)));
    let first = number("SLUICE_SEED").unwrap_or(1);
    for seed in first..first + runs {
        println!("SLUICE_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let storm = storm(&mut random, size);
        // In every second storm, invocations crash and calls fail, at about one call in a hundred.
        let faults: HashMap<usize, Fault> = match seed % 2 {
            0 => {
                (0..size / 100).map(|_| (random.usize(0..size * 2), Fault::ALL[random.usize(0..4)])).collect()
            }
            _ => HashMap::new(),
        };
        let (planned, world) = (faults.len(), World::new(faults));
        let invocations = process(&world, &storm).await;

        let messages = world.published();
        let mut ids: BTreeMap<String, u32> = BTreeMap::new();
        let mut statuses: BTreeMap<String, u32> = BTreeMap::new();
        for message in &messages {
            let times = ids.entry(attribute(message, "id")).or_default();
            *times += 1;
            if *times == 1 {
                *statuses.entry(attribute(message, "status")).or_default() += 1;
            }
        }
        let duplicates = messages.len() - ids.len();
        // A crash ends four invocations, each of which may just have published.
        assert!(duplicates <= planned * 4, "seed {seed}: {duplicates} duplicates of {planned} faults");

        let mut states: BTreeMap<String, IncidentState> = BTreeMap::new();
        for (key, body) in world.memory().all() {
            if key.sort == INCIDENT {
                states.insert(key.partition, serde_json::from_str(&body).unwrap());
            }
        }
        let (mut incidents, mut occurrences) = (0, 0);
        for (name, truth) in &storm.truths {
            let found: Vec<(&String, &IncidentState)> =
                states.iter().filter(|(key, _)| key.contains(&format!("{name}|"))).collect();
            let [(key, state)] = found[..] else { panic!("seed {seed}: {name}: {found:?}") };
            assert_eq!(state.is_open(), truth.open, "seed {seed}: {name}");
            assert!(state.outbox.is_empty(), "seed {seed}: {name}");
            let about = |status: &str| {
                let ids: BTreeSet<String> = messages
                    .iter()
                    .filter(|message| {
                        attribute(message, "status") == status
                            && message.body.contains(&format!("{name}\\\""))
                    })
                    .map(|message| attribute(message, "id"))
                    .collect();
                ids.len()
            };
            let (opened, resolved, transient) = (about("opened"), about("resolved"), about("transient"));
            assert_eq!(opened - resolved, usize::from(truth.open), "seed {seed}: {key}");
            assert!(
                (1..=truth.incidents).contains(&(opened + transient)) || truth.occurrences == 0,
                "seed {seed}: {key}"
            );
            if name.starts_with("function") {
                // No event ends these: every occurrence counts.
                assert_eq!((state.count(), opened), (truth.occurrences, 1), "seed {seed}: {key}");
            }
            incidents += truth.incidents;
            occurrences += truth.occurrences;
        }
        let unknown: Vec<&IncidentState> = states
            .iter()
            .filter(|(key, _)| key.contains("unrecognized-events"))
            .map(|(_, state)| state)
            .collect();
        // One for each account: those of the backups', and those that do not name theirs.
        assert_eq!(unknown.len(), 2, "seed {seed}");
        let counted: u64 = unknown.iter().map(|state| state.count()).sum();
        assert_eq!(counted, storm.unknown, "seed {seed}");
        let opened = messages
            .iter()
            .filter(|message| attribute(message, "kind") == "unrecognized-events")
            .filter(|message| attribute(message, "status") == "opened")
            .count();
        assert!((1..=2 + duplicates).contains(&opened), "seed {seed}: {opened}");
        let kept = world.memory().all().into_iter().filter(|(key, body)| {
            key.partition.contains("unrecognized-events")
                && key.sort.starts_with("event|")
                && !body.is_empty()
        });
        assert_eq!(u64::try_from(kept.count()).unwrap(), storm.unknown, "seed {seed}");
        let everything = format!("{messages:?}");
        assert!(!everything.contains("NEVERSHOWN") && !everything.contains('\u{202e}'), "seed {seed}");

        let (calls, writes) = world.calls();
        println!(
            "{} messages ({} delivered twice, {} not recognized), {occurrences} occurrences, {incidents} incidents of {} subjects: {invocations} invocations, \
             {calls} calls ({writes} transactions), {} messages published {statuses:?}, {duplicates} of them twice after {planned} faults",
            storm.bodies.len(),
            storm.doubled,
            storm.unknown,
            storm.truths.len(),
            messages.len(),
        );
        if let Some(peak) = std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| status.lines().find(|line| line.starts_with("VmHWM")).map(str::to_owned))
        {
            println!("memory of the whole test with its world in memory: {peak}");
        }
    }
}

//! Successive checks: the alerts about secrets that get problems and recover, with faults in between.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use alerts::command::Command;
use alerts::handler::Handler;
use alerts::incident::AccountRegion;
use alerts::kind::Kind;
use alerts::moment::Moment;
use alerts::notifier::{InvocationWindow, Notifier, ReconcileError, Run};
use alerts::processor::RotationProcessor;
use alerts::rules::{RotationRules, SecretRotation};
use alerts::state::Policy;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError;
use aws_smithy_types::error::ErrorMetadata;
use lambda_kit::call::CallError;
use lambda_kit::error::chain;
use secret_check::Summary;
use secret_check::accounts::{Access, Overview, check_account, check_all};
use secret_check::rules::Rules;
use secret_check::secret::{Details, Replica, Secret, Secrets};
use test_support::alerts::World;
use test_support::faults::Fault;
use tokio::time::Instant;

const DAY: u64 = 86_400;

fn time(hour: u64) -> Moment {
    Moment::BEGINNING.plus(Duration::from_secs(20_000 * DAY + hour * 3600))
}

/// The problem of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    None,
    Overdue,
    Replica,
    Disabled,
    Deleted,
}

/// The secrets of one hour.
#[derive(Clone, Default)]
struct Vault {
    secrets: Vec<(String, Problem)>,
    /// True if the listing fails after its first page.
    broken: bool,
    /// True if the details of secrets cannot be read.
    closed: bool,
}

impl Vault {
    fn of(secrets: &[(&str, Problem)]) -> Self {
        let secrets = secrets.iter().map(|(name, problem)| ((*name).to_owned(), *problem)).collect();
        Self { secrets, ..Self::default() }
    }

    fn secret(name: &str, problem: Problem) -> Secret {
        Secret {
            arn: format!("arn:aws:secretsmanager:us-east-1:222222222222:secret:{name}-AbCdEf"),
            name: name.to_owned(),
            rotates: problem != Problem::Disabled,
            has_rotation_function: true,
            deleted: (problem == Problem::Deleted).then(|| time(0)),
            next_rotation: Some(if problem == Problem::Overdue { time(0) } else { time(1000) }),
            last_changed: Some(time(0)),
            last_accessed: Some(time(0)),
            created: Some(time(0)),
            primary_region: (problem == Problem::Replica).then(|| "us-east-1".to_owned()),
            ..Secret::default()
        }
    }
}

impl Secrets for Vault {
    async fn page(&self, next: Option<String>) -> Result<(Vec<Secret>, Option<String>), CallError> {
        if next.is_some() {
            return Err(CallError::without_answer("secretsmanager:ListSecrets", "throttled"));
        }
        let page = self.secrets.iter().map(|(name, problem)| Self::secret(name, *problem)).collect();
        Ok((page, self.broken.then(|| "next".to_owned())))
    }

    async fn details(&self, _: &str) -> Result<Option<Details>, CallError> {
        if self.closed {
            let code = ErrorMetadata::builder().code("AccessDeniedException").message("no").build();
            let error = SdkError::service_error(DescribeSecretError::generic(code), ());
            return Err(CallError::new("secretsmanager:DescribeSecret", &error));
        }
        let replica = Replica { region: "eu-west-1".into(), status: "Failed".into(), message: None };
        Ok(Some(Details { replicas: vec![replica], deletion: Some(time(1000)) }))
    }

    async fn version_created(&self, _: &str, _: &str) -> Result<Option<Moment>, CallError> {
        Ok(None)
    }
}

fn notifier(world: &World) -> Notifier<&World, &World> {
    Notifier::new(world, world, Policy::default())
}

/// Makes the attempt of this number at the run of this hour.
async fn attempt(world: &World, vault: &Vault, hour: u64, attempt: u32) -> Result<Summary, String> {
    let rules = Rules::new(AccountRegion::new("222222222222", "us-east-1"));
    let now = time(hour).plus(Duration::from_secs(120) * attempt);
    let window = InvocationWindow { now, deadline: now.plus(Duration::from_secs(60)) };
    let run = Run { id: &format!("run-{hour}"), window, until: Instant::now() + Duration::from_secs(3600) };
    match check_account(&rules, vault, &notifier(world), run).await {
        Ok(result) => result.map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    }
}

/// A run, repeated as Lambda does until it succeeds.
async fn run(world: &World, vault: &Vault, hour: u64) -> Summary {
    for number in 0.. {
        assert!(number < 5, "the run of hour {hour} never succeeds");
        world.revive();
        if let Ok(summary) = attempt(world, vault, hour, number).await
            && !world.is_dead()
        {
            return summary;
        }
    }
    unreachable!()
}

/// The status and the first words of the subject of each message.
fn notified(world: &World) -> Vec<String> {
    let line = |message: &alerts::message::Message| {
        let status = message.attributes.iter().find(|(name, _)| *name == "status").unwrap().1.clone();
        format!("{status}: {}", message.subject.split(" (").next().unwrap())
    };
    world.published().iter().map(line).collect()
}

#[tokio::test]
async fn problem_that_a_whole_check_does_not_find_is_resolved_once() {
    let world = World::default();
    let unhealthy = Vault::of(&[("a", Problem::Overdue), ("b", Problem::Overdue), ("c", Problem::None)]);
    run(&world, &unhealthy, 10).await;
    run(&world, &unhealthy, 11).await;
    run(&world, &Vault::of(&[("a", Problem::Overdue), ("b", Problem::None), ("c", Problem::None)]), 12).await;
    // One that was deleted for good is not listed at all.
    run(&world, &Vault::of(&[("b", Problem::None)]), 13).await;
    run(&world, &Vault::of(&[("b", Problem::None)]), 14).await;
    let overdue = |name: &str| format!("Rotation overdue: secret {name}");
    assert_eq!(
        notified(&world),
        [
            format!("opened: [WARNING] {}", overdue("a")),
            format!("opened: [WARNING] {}", overdue("b")),
            format!("resolved: [RESOLVED] {}", overdue("b")),
            format!("resolved: [RESOLVED] {}", overdue("a")),
        ]
    );
    // The same secret, unhealthy again with the same old date: a new incident, not one that is over already.
    run(&world, &Vault::of(&[("b", Problem::Overdue)]), 15).await;
    assert_eq!(notified(&world)[4..], [format!("opened: [WARNING] {}", overdue("b"))]);
}

#[tokio::test]
async fn incomplete_check_records_problems_and_resolves_nothing() {
    let world = World::default();
    run(&world, &Vault::of(&[("a", Problem::Overdue)]), 10).await;
    let broken = Vault { broken: true, ..Vault::of(&[("b", Problem::Overdue)]) };
    let result = attempt(&world, &broken, 11, 0).await;
    assert_eq!(result, Err("secretsmanager:ListSecrets: throttled".to_owned()));
    assert_eq!(notified(&world).len(), 2, "{:?}", notified(&world));
    assert!(notified(&world)[1].starts_with("opened: [WARNING] Rotation overdue: secret b"));
    // Both ends come with the next whole check, though the last one did not see one of them begin in a whole check.
    run(&world, &Vault::of(&[("a", Problem::None)]), 12).await;
    assert_eq!(notified(&world).iter().filter(|line| line.starts_with("resolved")).count(), 2);
}

#[tokio::test]
async fn problem_of_a_denied_secret_is_not_resolved() {
    let world = World::default();
    let vault = Vault::of(&[("a", Problem::Replica)]);
    run(&world, &vault, 10).await;
    let closed = Vault { closed: true, ..vault.clone() };
    assert_eq!(run(&world, &closed, 11).await.access_denied.len(), 1);
    assert_eq!(notified(&world).len(), 1, "{:?}", notified(&world));
    run(&world, &Vault::of(&[("a", Problem::None)]), 12).await;
    assert!(notified(&world)[1].starts_with("resolved: [RESOLVED] Secret replica out of sync: secret a"));
}

/// A call about the secret `a`, at so many minutes after an hour, as `on-rotation` gets it.
async fn called(world: &World, case: &str, hour: u64, minutes: u64) {
    struct Nothing;
    impl alerts::lookup::Secrets for Nothing {
        async fn rotation(&self, _: &str) -> Result<SecretRotation, CallError> {
            Err(CallError::without_answer("secretsmanager:DescribeSecret", "unused"))
        }
    }
    let path = format!("{}/../../events/secretsmanager/{case}.json", env!("CARGO_MANIFEST_DIR"));
    let mut event: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let now = time(hour).plus(Duration::from_secs(minutes * 60));
    event["id"] = format!("{case} {now}").into();
    event["account"] = "222222222222".into();
    event["detail"]["eventTime"] = now.rfc3339().into();
    let arn = Vault::secret("a", Problem::None).arn;
    let answer = event["detail"]["responseElements"].as_object_mut().unwrap();
    // As each call spells it.
    let spelled = answer.keys().find(|name| name.eq_ignore_ascii_case("arn")).unwrap().clone();
    answer.insert(spelled, arn.into());
    let processor = RotationProcessor::new(world, Nothing, RotationRules::default());
    let location = AccountRegion::new("333333333333", "us-east-1");
    let handler = Handler::new(notifier(world), processor, location, "on-rotation".into(), "alerts".into());
    let window = InvocationWindow { now, deadline: now.plus(Duration::from_secs(60)) };
    handler.handle(&event, window, std::future::pending()).await.1.unwrap();
    notifier(world).sweep(window, 100).await.unwrap();
}

/// The number of threads that the messages have.
fn threads(world: &World) -> usize {
    let thread = |message: &alerts::message::Message| {
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        let data: serde_json::Value = serde_json::from_str(body["sqs"].as_str().unwrap()).unwrap();
        data["thread"].as_str().unwrap().to_owned()
    };
    world.published().iter().map(thread).collect::<std::collections::BTreeSet<_>>().len()
}

/// A call, the call that ends its incident, the problem that a check finds, and the first words.
const BY_CALL_AND_CHECK: [(&str, &str, Problem, &str); 2] = [
    ("cancel-rotate-secret", "rotate-secret", Problem::Disabled, "[WARNING] Rotation disabled: secret a"),
    ("delete-secret", "restore-secret", Problem::Deleted, "[ERROR] Secret marked for deletion: secret a"),
];

#[tokio::test]
async fn call_and_check_of_one_problem_are_one_incident() {
    for (call, undone, unhealthy, words) in BY_CALL_AND_CHECK {
        let world = World::default();
        let (unhealthy, healthy) = (Vault::of(&[("a", unhealthy)]), Vault::of(&[("a", Problem::None)]));
        called(&world, call, 10, 30).await;
        for hour in 11..34 {
            run(&world, &unhealthy, hour).await;
        }
        assert_eq!(notified(&world), [format!("opened: {words}")]);
        run(&world, &unhealthy, 35).await;
        assert_eq!(notified(&world).len(), 2);
        let again = &notified(&world)[1];
        let kind = words.split(['[', ']', ':']).nth(2).unwrap().trim();
        assert!(
            again.starts_with("repeated: ") && again.contains(&format!("Still: {kind}, for 24 h")),
            "{again}"
        );
        // The call that undoes it ends it; that the next check does not find it says nothing more.
        called(&world, undone, 35, 30).await;
        run(&world, &healthy, 36).await;
        assert_eq!(notified(&world).len(), 3);
        assert!(notified(&world)[2].starts_with(&format!("resolved: [RESOLVED] {kind}: secret a")));
        assert_eq!(threads(&world), 1, "{words}");
    }
}

#[tokio::test]
async fn late_event_of_a_problem_that_a_check_found_is_not_notified() {
    for (call, _, unhealthy, words) in BY_CALL_AND_CHECK {
        let world = World::default();
        run(&world, &Vault::of(&[("a", unhealthy)]), 11).await;
        called(&world, call, 10, 59).await;
        assert_eq!(notified(&world), [format!("opened: {words}")]);
        // A whole check that does not find it ends it, though no call was heard of.
        run(&world, &Vault::of(&[("a", Problem::None)]), 12).await;
        assert_eq!((notified(&world).len(), threads(&world)), (2, 1));
        assert!(notified(&world)[1].starts_with("resolved: "), "{:?}", notified(&world));
    }
}

#[tokio::test]
async fn check_that_started_before_the_call_does_not_resolve_it() {
    for (call, _, unhealthy, words) in BY_CALL_AND_CHECK {
        let world = World::default();
        // It was so before, so that the check looks for its end.
        run(&world, &Vault::of(&[("a", unhealthy)]), 10).await;
        called(&world, call, 11, 1).await;
        run(&world, &Vault::of(&[("a", Problem::None)]), 11).await;
        assert_eq!(notified(&world), [format!("opened: {words}")]);
    }
}

#[tokio::test]
async fn condition_is_repeated_after_one_day_four_days_and_weekly() {
    let world = World::default();
    for hour in 0..24 * 30 {
        run(&world, &Vault::of(&[("a", Problem::Overdue)]), 10 + hour).await;
        // The hub's schedule looks after all incidents every five minutes, so this one's next time is nearly always found by it.
        let now = time(10 + hour).plus(Duration::from_secs(1800));
        notifier(&world)
            .sweep(InvocationWindow { now, deadline: now.plus(Duration::from_secs(60)) }, 100)
            .await
            .unwrap();
    }
    let notified = notified(&world);
    assert_eq!(notified.len(), 6, "{notified:?}");
    assert!(
        notified[1].starts_with("repeated: [WARNING] Still: Rotation overdue, for 24 h: secret a"),
        "{notified:?}"
    );
}

#[tokio::test]
async fn thousand_overdue_secrets_are_twelve_alerts_and_a_summary() {
    let world = World::default();
    let names: Vec<String> = (0..1000).map(|number| format!("s{number:04}")).collect();
    let unhealthy: Vec<(&str, Problem)> =
        names.iter().map(|name| (name.as_str(), Problem::Overdue)).collect();
    run(&world, &Vault::of(&unhealthy), 10).await;
    assert_eq!(notified(&world).len(), 12);
    let now = time(11).plus(Duration::from_secs(1));
    notifier(&world).sweep(InvocationWindow { now, deadline: now }, 100).await.unwrap();
    let notified = notified(&world);
    assert_eq!(notified.len(), 13);
    assert_eq!(
        notified[12],
        "summary: [WARNING] Alerts suppressed: rotation-overdue of secrets in us-east-1"
    );
    assert!(world.published()[12].body.contains("988 more alerts"));
    println!("calls of the store and the topic: {:?}", world.calls());
}

/// A week of secrets that get unhealthy and healthy: the vaults by hour.
fn week() -> Vec<Vault> {
    vec![
        Vault::of(&[("a", Problem::Overdue), ("b", Problem::Replica)]),
        Vault::of(&[("a", Problem::Overdue), ("b", Problem::None)]),
        Vault::of(&[("b", Problem::Overdue)]),
        Vault::of(&[("b", Problem::None)]),
        Vault::of(&[("c", Problem::Overdue)]),
        Vault::of(&[("c", Problem::None)]),
    ]
}

async fn through(week: &[Vault], faults: HashMap<usize, Fault>) -> World {
    let world = World::new(faults);
    for (hour, vault) in week.iter().enumerate() {
        run(&world, vault, 10 + hour as u64).await;
    }
    let now = time(20);
    for attempt in 0.. {
        assert!(attempt < 3, "the sweep never succeeds");
        world.revive();
        let swept = notifier(&world).sweep(InvocationWindow { now, deadline: now }, 100).await;
        if swept.is_ok() && !world.is_dead() {
            break;
        }
    }
    world
}

/// The number of times that each message was published, by its id and status.
fn by_id(world: &World) -> BTreeMap<(String, String), u32> {
    let mut times = BTreeMap::new();
    for message in world.published() {
        let of = |name: &str| message.attributes.iter().find(|(found, _)| *found == name).unwrap().1.clone();
        *times.entry((of("id"), of("status"))).or_default() += 1;
    }
    times
}

#[tokio::test(start_paused = true)]
async fn fault_at_any_call_misses_and_repeats_no_alert() {
    let week = week();
    let quiet = through(&week, HashMap::new()).await;
    let expected = by_id(&quiet);
    assert_eq!(expected.len(), 8, "four begin, four end: {expected:?}");
    let calls = quiet.calls().0;
    let mut cases = 0;
    for call in 0..calls {
        for fault in Fault::ALL {
            let found = by_id(&through(&week, HashMap::from([(call, fault)])).await);
            let ids = |all: &BTreeMap<(String, String), u32>| all.keys().cloned().collect::<Vec<_>>();
            assert_eq!(ids(&found), ids(&expected), "{fault:?} at call {call}");
            // Published, and not taken out of the state: the one duplicate that can remain, with the same id.
            let twice: u32 = found.values().map(|times| times - 1).sum();
            assert!(twice <= 1, "{fault:?} at call {call}: {found:?}");
            cases += 1;
        }
    }
    assert!(cases > 150, "{cases}");
}

#[tokio::test(start_paused = true)]
async fn incident_of_a_crashed_check_is_resolved_by_the_next_one() {
    let (unhealthy, healthy) = (
        Vault::of(&[("a", Problem::Overdue), ("b", Problem::Overdue)]),
        Vault::of(&[("a", Problem::None), ("b", Problem::None)]),
    );
    let quiet = World::default();
    run(&quiet, &unhealthy, 10).await;
    let calls = quiet.calls().0;
    let (mut none, mut both) = (0, 0);
    for call in 0..calls {
        for fault in Fault::ALL {
            let world = World::new(HashMap::from([(call, fault)]));
            // Nobody repeats it, and the next check finds nothing.
            let _ = attempt(&world, &unhealthy, 10, 0).await;
            run(&world, &healthy, 11).await;
            // What was written and not published goes out now, too.
            let now = time(12);
            notifier(&world).sweep(InvocationWindow { now, deadline: now }, 100).await.unwrap();
            let of = |wanted: &str| by_id(&world).into_keys().filter(|(_, status)| status == wanted).count();
            assert_eq!(of("opened"), of("resolved"), "{fault:?} at call {call}: {:?}", notified(&world));
            // One transaction records both.
            match of("opened") {
                0 => none += 1,
                2 => both += 1,
                other => panic!("{fault:?} at call {call}: {other} of 2 incidents"),
            }
        }
    }
    assert!(none > 0 && both > 0, "{none} crashes before the incidents were recorded, {both} after");
}

/// The id of a message.
fn id(message: &alerts::message::Message) -> String {
    message.attributes.iter().find(|(name, _)| *name == "id").unwrap().1.clone()
}

/// The secrets of each account that lets itself be read.
struct Vaults(BTreeMap<&'static str, Vault>);

impl Access for Vaults {
    type Secrets = Vault;

    async fn secrets(&self, location: &AccountRegion) -> Result<Vault, CallError> {
        let refused = || CallError::without_answer("sts:AssumeRole", "AccessDenied: not authorized");
        self.0.get(location.account.as_str()).cloned().ok_or_else(refused)
    }

    fn command(&self, _: &AccountRegion) -> Command {
        Command::aws("iam", "get-role").option("role-name", "read")
    }
}

/// A run over three accounts; `left` is the time that it has.
async fn everywhere(
    world: &World,
    vaults: &Vaults,
    hour: u64,
    left: Duration,
) -> Result<Overview, ReconcileError> {
    world.revive();
    let places = ["111111111111", "222222222222", "333333333333"]
        .map(|account| AccountRegion::new(account, "us-east-1"));
    let now = time(hour);
    let window = InvocationWindow { now, deadline: now.plus(Duration::from_secs(60)) };
    let run = Run { id: &format!("run-{hour}"), window, until: Instant::now() + left };
    let rules = Rules::new(AccountRegion::new("", ""));
    check_all(&rules, &places, vaults, &notifier(world), run).await
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn unreadable_account_is_notified_once_and_hides_no_other() {
    let world = World::default();
    let good = || Vault::of(&[("a", Problem::None)]);
    let unhealthy = Vault::of(&[("b", Problem::Overdue)]);
    let broken = Vault { broken: true, ..good() };
    let vaults = Vaults(BTreeMap::from([("111111111111", broken), ("333333333333", unhealthy.clone())]));
    for hour in [10, 11] {
        let overview = everywhere(&world, &vaults, hour, HOUR).await.unwrap();
        assert_eq!((overview.checked, overview.summary.incidents.get(&Kind::RotationOverdue)), (1, Some(&1)));
        let mut accounts: Vec<_> =
            overview.not_checked.iter().map(|(location, _)| location.account.as_str()).collect();
        accounts.sort_unstable();
        assert_eq!(accounts, ["111111111111", "222222222222"]);
    }
    let not_checked = |account: &str| format!("Secret check failed: secrets of {account} in us-east-1");
    let mut found = notified(&world);
    found.sort_unstable();
    let expected = [
        format!("opened: [ERROR] {}", not_checked("111111111111")),
        format!("opened: [ERROR] {}", not_checked("222222222222")),
        "opened: [WARNING] Rotation overdue: secret b".to_owned(),
    ];
    assert_eq!(found, expected);
    let text = world.published().iter().map(|message| message.body.clone()).collect::<String>();
    assert!(
        text.contains("sts:AssumeRole: AccessDenied") && text.contains("get-role --role-name read"),
        "{text}"
    );

    // Both can be read again, and one of them was not healthy meanwhile.
    let vaults = Vaults(BTreeMap::from([
        ("111111111111", good()),
        ("222222222222", good()),
        ("333333333333", unhealthy),
    ]));
    let overview = everywhere(&world, &vaults, 12, HOUR).await.unwrap();
    assert_eq!((overview.checked, overview.not_checked.len()), (3, 0));
    let mut found = notified(&world)[3..].to_vec();
    found.sort_unstable();
    let over = ["111111111111", "222222222222"]
        .map(|account| format!("resolved: [RESOLVED] {}", not_checked(account)));
    assert_eq!(found, over);
}

#[tokio::test]
async fn accounts_without_time_left_are_notified_in_rotation() {
    let world = World::default();
    let good = || Vault::of(&[("a", Problem::None)]);
    let vaults = Vaults(BTreeMap::from([
        ("111111111111", good()),
        ("222222222222", good()),
        ("333333333333", good()),
    ]));
    let overview = everywhere(&world, &vaults, 9, Duration::ZERO).await.unwrap();
    assert_eq!((overview.checked, overview.not_checked.len()), (0, 3));
    assert!(overview.not_checked[0].1.contains("timed out"), "{overview:?}");
    let first = overview.not_checked[0].0.account.clone();
    let next = everywhere(&world, &vaults, 10, Duration::ZERO).await.unwrap();
    assert_ne!(next.not_checked[0].0.account, first);
}

#[tokio::test]
async fn failing_call_does_not_prevent_checks_of_other_accounts() {
    let unhealthy = || Vault::of(&[("a", Problem::Overdue)]);
    let vaults = Vaults(BTreeMap::from([
        ("111111111111", unhealthy()),
        ("222222222222", unhealthy()),
        ("333333333333", unhealthy()),
    ]));
    let whole = World::default();
    everywhere(&whole, &vaults, 9, HOUR).await.unwrap();
    assert_eq!(notified(&whole).len(), 3);
    let mut errors = 0;
    for call in 0..whole.calls().0 {
        let world = World::new(HashMap::from([(call, Fault::Fails)]));
        errors += usize::from(everywhere(&world, &vaults, 9, HOUR).await.is_err());
        assert!(notified(&world).len() >= 2, "call {call}: {:?}", notified(&world));
        everywhere(&world, &vaults, 10, HOUR).await.unwrap();
        // Where the call was the note that a message is out, the message comes again with its id.
        let ids: BTreeSet<String> = world.published().iter().map(id).collect();
        assert_eq!(ids.len(), 3, "call {call}: {:?}", notified(&world));
    }
    assert!(errors > 0);
}

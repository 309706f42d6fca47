//! Checks one after the other: what is told of secrets that get ill and well, whatever dies in between.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alerts::notifier::{Notifier, InvocationWindow};
use alerts::command::Command;
use alerts::processor::RotationProcessor;
use alerts::faults::{Fault, World};
use alerts::handler::Handler;
use alerts::incident::AccountRegion;
use alerts::rules::{RotationStatus, RotationRules};
use alerts::moment::Moment;
use alerts::state::Policy;
use aws_sdk_secretsmanager::error::SdkError;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretError;
use aws_smithy_types::error::ErrorMetadata;
use lambda_kit::call::CallError;
use secret_check::places::{Access, Overview, check_all};
use secret_check::rules::Rules;
use secret_check::secret::{Details, Replica, Secret, Secrets};
use secret_check::{Run, Summary, TellError, check_and_tell};
use tokio::time::Instant;

const DAY: u64 = 86_400;

fn time(hour: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(20_000 * DAY + hour * 3600)
}

/// What is wrong with a secret, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Not,
    Overdue,
    Replica,
    Off,
    Deleted,
}

/// The secrets of one hour.
#[derive(Clone, Default)]
struct Vault {
    secrets: Vec<(String, Ill)>,
    /// The listing ends with an error after its first page.
    broken: bool,
    /// No secret may be asked for more.
    closed: bool,
}

impl Vault {
    fn of(secrets: &[(&str, Ill)]) -> Self {
        let secrets = secrets.iter().map(|(name, ill)| ((*name).to_owned(), *ill)).collect();
        Self { secrets, ..Self::default() }
    }

    fn secret(name: &str, ill: Ill) -> Secret {
        Secret {
            arn: format!("arn:aws:secretsmanager:us-east-1:222222222222:secret:{name}-AbCdEf"),
            name: name.to_owned(),
            rotates: ill != Ill::Off,
            has_rotation_function: true,
            deleted: (ill == Ill::Deleted).then(|| time(0)),
            next_rotation: Some(if ill == Ill::Overdue { time(0) } else { time(1000) }),
            last_changed: Some(time(0)),
            last_accessed: Some(time(0)),
            created: Some(time(0)),
            primary_region: (ill == Ill::Replica).then(|| "us-east-1".to_owned()),
            ..Secret::default()
        }
    }
}

impl Secrets for Vault {
    async fn page(&self, next: Option<String>) -> Result<(Vec<Secret>, Option<String>), CallError> {
        if next.is_some() {
            return Err(CallError::without_answer("secretsmanager:ListSecrets", "throttled"));
        }
        let page = self.secrets.iter().map(|(name, ill)| Self::secret(name, *ill)).collect();
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

    async fn version_created(&self, _: &str, _: &str) -> Result<Option<SystemTime>, CallError> {
        Ok(None)
    }
}

fn notifier(world: &World) -> Notifier<&World, &World> {
    Notifier::new(world, world, Policy::default())
}

/// The attempt of this number at the run of this hour.
async fn attempt(world: &World, vault: &Vault, hour: u64, attempt: u32) -> Result<Summary, TellError> {
    let rules = Rules::new("222222222222".into(), "us-east-1".into());
    let now = Moment::from_system(time(hour)).plus(Duration::from_secs(120) * attempt);
    let window = InvocationWindow { now, until: now.plus(Duration::from_secs(60)) };
    let run = Run { id: &format!("run-{hour}"), window, until: Instant::now() + Duration::from_secs(3600) };
    check_and_tell(&rules, vault, &notifier(world), run).await
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

/// What was told: status and first words of the subject, each as often as it was.
fn told(world: &World) -> Vec<String> {
    let line = |message: &alerts::message::Message| {
        let status = message.attributes.iter().find(|(name, _)| *name == "status").unwrap().1.clone();
        format!("{status}: {}", message.subject.split(" (").next().unwrap())
    };
    world.published().iter().map(line).collect()
}

#[tokio::test]
async fn what_a_whole_check_does_not_find_any_more_is_told_to_be_over_once() {
    let world = World::default();
    let ill = Vault::of(&[("a", Ill::Overdue), ("b", Ill::Overdue), ("c", Ill::Not)]);
    run(&world, &ill, 10).await;
    run(&world, &ill, 11).await;
    run(&world, &Vault::of(&[("a", Ill::Overdue), ("b", Ill::Not), ("c", Ill::Not)]), 12).await;
    // One that was deleted for good is not listed at all.
    run(&world, &Vault::of(&[("b", Ill::Not)]), 13).await;
    run(&world, &Vault::of(&[("b", Ill::Not)]), 14).await;
    let overdue = |name: &str| format!("Rotation overdue: secret {name}");
    assert_eq!(
        told(&world),
        [
            format!("opened: [WARNING] {}", overdue("a")),
            format!("opened: [WARNING] {}", overdue("b")),
            format!("recovered: [RECOVERED] {}", overdue("b")),
            format!("recovered: [RECOVERED] {}", overdue("a")),
        ]
    );
    // The same secret, ill again with the same old date: a new incident, not one that is over already.
    run(&world, &Vault::of(&[("b", Ill::Overdue)]), 15).await;
    assert_eq!(told(&world)[4..], [format!("opened: [WARNING] {}", overdue("b"))]);
}

#[tokio::test]
async fn a_check_that_does_not_come_to_its_end_tells_what_it_found_and_ends_nothing() {
    let world = World::default();
    run(&world, &Vault::of(&[("a", Ill::Overdue)]), 10).await;
    let broken = Vault { broken: true, ..Vault::of(&[("b", Ill::Overdue)]) };
    let result = attempt(&world, &broken, 11, 0).await;
    assert!(matches!(result, Err(TellError::Check(_))), "{result:?}");
    assert_eq!(told(&world).len(), 2, "{:?}", told(&world));
    assert!(told(&world)[1].starts_with("opened: [WARNING] Rotation overdue: secret b"));
    // Both ends come with the next whole check, though the last one did not see one of them begin in a whole check.
    run(&world, &Vault::of(&[("a", Ill::Not)]), 12).await;
    assert_eq!(told(&world).iter().filter(|line| line.starts_with("recovered")).count(), 2);
}

#[tokio::test]
async fn of_a_secret_that_may_not_be_asked_nothing_is_taken_for_over() {
    let world = World::default();
    let vault = Vault::of(&[("a", Ill::Replica)]);
    run(&world, &vault, 10).await;
    let closed = Vault { closed: true, ..vault.clone() };
    assert_eq!(run(&world, &closed, 11).await.not_asked.len(), 1);
    assert_eq!(told(&world).len(), 1, "{:?}", told(&world));
    run(&world, &Vault::of(&[("a", Ill::Not)]), 12).await;
    assert!(told(&world)[1].starts_with("recovered: [RECOVERED] Secret replica out of sync: secret a"));
}

/// A call about the secret `a`, at so many minutes after an hour, as `on-rotation` gets it.
async fn called(world: &World, case: &str, hour: u64, minutes: u64) {
    struct Nothing;
    impl alerts::lookup::Secrets for Nothing {
        async fn rotates(&self, _: &str) -> Result<RotationStatus, CallError> {
            Err(CallError::without_answer("secretsmanager:DescribeSecret", "nobody asks"))
        }
    }
    let path = format!("{}/../../events/secretsmanager/{case}.json", env!("CARGO_MANIFEST_DIR"));
    let mut event: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let now = Moment::from_system(time(hour)).plus(Duration::from_secs(minutes * 60));
    event["id"] = format!("{case} {now}").into();
    event["account"] = "222222222222".into();
    event["detail"]["eventTime"] = now.rfc3339().into();
    let arn = Vault::secret("a", Ill::Not).arn;
    let answer = event["detail"]["responseElements"].as_object_mut().unwrap();
    // As each call spells it.
    let spelled = answer.keys().find(|name| name.eq_ignore_ascii_case("arn")).unwrap().clone();
    answer.insert(spelled, arn.into());
    let processor = RotationProcessor::new(world, Nothing, RotationRules::default());
    let location = AccountRegion::new("333333333333", "us-east-1");
    let handler = Handler::new(notifier(world), processor, location, "on-rotation".into(), "alerts".into());
    let window = InvocationWindow { now, until: now.plus(Duration::from_secs(60)) };
    handler.handle(&event, window, std::future::pending()).await.1.unwrap();
    notifier(world).sweep(window, 100).await.unwrap();
}

/// How many threads the messages have.
fn threads(world: &World) -> usize {
    let thread = |message: &alerts::message::Message| {
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        let data: serde_json::Value = serde_json::from_str(body["sqs"].as_str().unwrap()).unwrap();
        data["thread"].as_str().unwrap().to_owned()
    };
    world.published().iter().map(thread).collect::<std::collections::BTreeSet<_>>().len()
}

/// What a call begins, what ends it, what a check finds of it, and its first words.
const BY_CALL_AND_CHECK: [(&str, &str, Ill, &str); 2] = [
    ("cancel-rotate-secret", "rotate-secret", Ill::Off, "[WARNING] Rotation is off: secret a"),
    ("delete-secret", "restore-secret", Ill::Deleted, "[ERROR] Secret marked for deletion: secret a"),
];

#[tokio::test]
async fn what_a_call_did_and_every_check_finds_is_one_incident_that_is_told_once_and_again_after_a_day() {
    for (call, undone, ill, words) in BY_CALL_AND_CHECK {
        let world = World::default();
        let (ill, well) = (Vault::of(&[("a", ill)]), Vault::of(&[("a", Ill::Not)]));
        called(&world, call, 10, 30).await;
        for hour in 11..34 {
            run(&world, &ill, hour).await;
        }
        assert_eq!(told(&world), [format!("opened: {words}")]);
        run(&world, &ill, 35).await;
        assert_eq!(told(&world).len(), 2);
        let again = &told(&world)[1];
        let kind = words.split(['[', ']', ':']).nth(2).unwrap().trim();
        assert!(
            again.starts_with("repeated: ") && again.contains(&format!("Still: {kind}, for 24 h")),
            "{again}"
        );
        // The call that undoes it ends it; that the next check does not find it says nothing more.
        called(&world, undone, 35, 30).await;
        run(&world, &well, 36).await;
        assert_eq!(told(&world).len(), 3);
        assert!(told(&world)[2].starts_with(&format!("recovered: [RECOVERED] {kind}: secret a")));
        assert_eq!(threads(&world), 1, "{words}");
    }
}

#[tokio::test]
async fn a_call_whose_event_comes_after_the_check_that_found_it_is_told_no_second_time() {
    for (call, _, ill, words) in BY_CALL_AND_CHECK {
        let world = World::default();
        run(&world, &Vault::of(&[("a", ill)]), 11).await;
        called(&world, call, 10, 59).await;
        assert_eq!(told(&world), [format!("opened: {words}")]);
        // A whole check that does not find it ends it, though no call was heard of.
        run(&world, &Vault::of(&[("a", Ill::Not)]), 12).await;
        assert_eq!((told(&world).len(), threads(&world)), (2, 1));
        assert!(told(&world)[1].starts_with("recovered: "), "{:?}", told(&world));
    }
}

#[tokio::test]
async fn a_check_that_began_before_the_call_does_not_end_what_the_call_began() {
    for (call, _, ill, words) in BY_CALL_AND_CHECK {
        let world = World::default();
        // It was so before, so that the check looks for its end.
        run(&world, &Vault::of(&[("a", ill)]), 10).await;
        called(&world, call, 11, 1).await;
        run(&world, &Vault::of(&[("a", Ill::Not)]), 11).await;
        assert_eq!(told(&world), [format!("opened: {words}")]);
    }
}

#[tokio::test]
async fn what_lasts_is_told_again_after_a_day_and_four_and_then_weekly() {
    let world = World::default();
    for hour in 0..24 * 30 {
        run(&world, &Vault::of(&[("a", Ill::Overdue)]), 10 + hour).await;
        // The hub's schedule looks after all incidents every five minutes, so this one's next time is nearly always found by it.
        let now = Moment::from_system(time(10 + hour)).plus(Duration::from_secs(1800));
        notifier(&world).sweep(InvocationWindow { now, until: now.plus(Duration::from_secs(60)) }, 100).await.unwrap();
    }
    let told = told(&world);
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(
        told[1].starts_with("repeated: [WARNING] Still: Rotation overdue, for 24 h: secret a"),
        "{told:?}"
    );
}

#[tokio::test]
async fn of_a_thousand_overdue_secrets_twelve_are_told_by_name_and_the_rest_as_one() {
    let world = World::default();
    let names: Vec<String> = (0..1000).map(|number| format!("s{number:04}")).collect();
    let ill: Vec<(&str, Ill)> = names.iter().map(|name| (name.as_str(), Ill::Overdue)).collect();
    run(&world, &Vault::of(&ill), 10).await;
    assert_eq!(told(&world).len(), 12);
    let now = Moment::from_system(time(11)).plus(Duration::from_secs(1));
    notifier(&world).sweep(InvocationWindow { now, until: now }, 100).await.unwrap();
    let told = told(&world);
    assert_eq!(told.len(), 13);
    assert_eq!(
        told[12],
        "summary: [WARNING] Further alerts held back: all secrets in us-east-1: rotation-overdue"
    );
    assert!(world.published()[12].body.contains("988 more alerts"));
    println!("calls of the store and the topic: {:?}", world.calls());
}

/// A week of secrets that get ill and well: the vaults by hour.
fn week() -> Vec<Vault> {
    vec![
        Vault::of(&[("a", Ill::Overdue), ("b", Ill::Replica)]),
        Vault::of(&[("a", Ill::Overdue), ("b", Ill::Not)]),
        Vault::of(&[("b", Ill::Overdue)]),
        Vault::of(&[("b", Ill::Not)]),
    ]
}

async fn through(week: &[Vault], faults: HashMap<usize, Fault>) -> World {
    let world = World::new(faults);
    for (hour, vault) in week.iter().enumerate() {
        run(&world, vault, 10 + hour as u64).await;
    }
    let now = Moment::from_system(time(20));
    for attempt in 0.. {
        assert!(attempt < 3, "the sweep never succeeds");
        world.revive();
        let swept = notifier(&world).sweep(InvocationWindow { now, until: now }, 100).await;
        if swept.is_ok() && !world.is_dead() {
            break;
        }
    }
    world
}

/// How often each message went out, by its id and status.
fn by_id(world: &World) -> BTreeMap<(String, String), u32> {
    let mut times = BTreeMap::new();
    for message in world.published() {
        let of = |name: &str| message.attributes.iter().find(|(found, _)| *found == name).unwrap().1.clone();
        *times.entry((of("id"), of("status"))).or_default() += 1;
    }
    times
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_misses_no_beginning_and_no_end_and_tells_none_twice() {
    let week = week();
    let quiet = through(&week, HashMap::new()).await;
    let expected = by_id(&quiet);
    assert_eq!(expected.len(), 6, "three begin, three end: {expected:?}");
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
async fn what_a_check_told_before_it_died_is_ended_by_the_next_one() {
    let (ill, well) = (
        Vault::of(&[("a", Ill::Overdue), ("b", Ill::Overdue)]),
        Vault::of(&[("a", Ill::Not), ("b", Ill::Not)]),
    );
    let quiet = World::default();
    run(&quiet, &ill, 10).await;
    let calls = quiet.calls().0;
    let mut half = 0;
    for call in 0..calls {
        for fault in Fault::ALL {
            let world = World::new(HashMap::from([(call, fault)]));
            // Nobody repeats it, and the next check finds nothing.
            let _ = attempt(&world, &ill, 10, 0).await;
            run(&world, &well, 11).await;
            // What was written and not published goes out now, too.
            let now = Moment::from_system(time(12));
            notifier(&world).sweep(InvocationWindow { now, until: now }, 100).await.unwrap();
            let of = |wanted: &str| by_id(&world).into_keys().filter(|(_, status)| status == wanted).count();
            assert_eq!(of("opened"), of("recovered"), "{fault:?} at call {call}: {:?}", told(&world));
            half += usize::from(of("opened") == 1);
        }
    }
    assert!(half > 0, "no death came between two findings");
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
) -> Result<Overview, TellError> {
    world.revive();
    let places =
        ["111111111111", "222222222222", "333333333333"].map(|account| AccountRegion::new(account, "us-east-1"));
    let now = Moment::from_system(time(hour));
    let window = InvocationWindow { now, until: now.plus(Duration::from_secs(60)) };
    let run = Run { id: &format!("run-{hour}"), window, until: Instant::now() + left };
    let rules = Rules::new(String::new(), String::new());
    check_all(&rules, &places, vaults, &notifier(world), run).await
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_account_that_cannot_be_read_is_told_once_and_hides_no_other() {
    let world = World::default();
    let good = || Vault::of(&[("a", Ill::Not)]);
    let ill = Vault::of(&[("b", Ill::Overdue)]);
    let broken = Vault { broken: true, ..good() };
    let vaults = Vaults(BTreeMap::from([("111111111111", broken), ("333333333333", ill.clone())]));
    for hour in [10, 11] {
        let overview = everywhere(&world, &vaults, hour, HOUR).await.unwrap();
        assert_eq!((overview.checked, overview.summary.findings.get("Overdue")), (1, Some(&1)));
        let mut accounts: Vec<_> =
            overview.not_checked.iter().map(|(location, _)| location.account.as_str()).collect();
        accounts.sort_unstable();
        assert_eq!(accounts, ["111111111111", "222222222222"]);
    }
    let not_checked = |account: &str| format!("Secrets not checked: secrets of {account} in us-east-1");
    let mut found = told(&world);
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

    // Both can be read again, and one of them was not well meanwhile.
    let vaults =
        Vaults(BTreeMap::from([("111111111111", good()), ("222222222222", good()), ("333333333333", ill)]));
    let overview = everywhere(&world, &vaults, 12, HOUR).await.unwrap();
    assert_eq!((overview.checked, overview.not_checked.len()), (3, 0));
    let mut found = told(&world)[3..].to_vec();
    found.sort_unstable();
    let over = ["111111111111", "222222222222"]
        .map(|account| format!("recovered: [RECOVERED] {}", not_checked(account)));
    assert_eq!(found, over);
}

#[tokio::test]
async fn places_for_which_no_time_is_left_are_told_and_every_hour_begins_with_another_one() {
    let world = World::default();
    let good = || Vault::of(&[("a", Ill::Not)]);
    let vaults = Vaults(BTreeMap::from([
        ("111111111111", good()),
        ("222222222222", good()),
        ("333333333333", good()),
    ]));
    let overview = everywhere(&world, &vaults, 9, Duration::ZERO).await.unwrap();
    assert_eq!((overview.checked, overview.not_checked.len()), (0, 3));
    assert!(overview.not_checked[0].1.contains("time ran out"), "{overview:?}");
    let first = overview.not_checked[0].0.account.clone();
    let next = everywhere(&world, &vaults, 10, Duration::ZERO).await.unwrap();
    assert_ne!(next.not_checked[0].0.account, first);
}

#[tokio::test]
async fn whatever_call_fails_the_other_accounts_are_checked_and_the_next_run_tells_the_rest() {
    let ill = || Vault::of(&[("a", Ill::Overdue)]);
    let vaults =
        Vaults(BTreeMap::from([("111111111111", ill()), ("222222222222", ill()), ("333333333333", ill())]));
    let whole = World::default();
    everywhere(&whole, &vaults, 9, HOUR).await.unwrap();
    assert_eq!(told(&whole).len(), 3);
    let mut errors = 0;
    for call in 0..whole.calls().0 {
        let world = World::new(HashMap::from([(call, Fault::Fails)]));
        errors += usize::from(everywhere(&world, &vaults, 9, HOUR).await.is_err());
        assert!(told(&world).len() >= 2, "call {call}: {:?}", told(&world));
        everywhere(&world, &vaults, 10, HOUR).await.unwrap();
        // Where the call was the note that a message is out, the message comes again with its id.
        let ids: BTreeSet<String> = world.published().iter().map(id).collect();
        assert_eq!(ids.len(), 3, "call {call}: {:?}", told(&world));
    }
    assert!(errors > 0);
}

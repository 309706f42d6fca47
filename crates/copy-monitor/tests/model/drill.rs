//! Runs of the monitor as AWS would start them, and what must be true afterwards.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use alerts::command::quote;
use alerts::notifier::Notifier;
use alerts::state::Policy;
use copy_monitor::report::Report;
use copy_monitor::settings::{Loader, Settings, Watched};
use copy_monitor::{Completion, Monitor, MonitorError};
use lambda_kit::moment::Moment;
use lambda_kit::window::InvocationWindow;
use test_support::faults::Fault;
use tokio::time::Instant;
use warehouse::batch::Progress;
use warehouse::data_api::Login;
use warehouse::target::Target;

use crate::alerts::Alert;
use crate::ports::{Ports, Shared};
use crate::world::{BUCKET, OWNER, World};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The problems that are no conditions: they happen once.
const EVENTS: [&str; 6] =
    ["rejected", "never loaded", "overwritten", "gone", "history unknown", "object unknown"];

/// The event that starts an invocation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    Tick,
    /// The end of the batch of this number.
    End(usize),
}

/// Faults by number of the call.
pub(crate) type Plan = HashMap<usize, Fault>;

/// A world, a monitor, and what was found out about its runs.
pub(crate) struct Drill {
    pub(crate) shared: Shared,
    pub(crate) settings: Settings,
    /// The intervals and limits of the alerts.
    pub(crate) policy: Policy,
    /// The time by which the monitor's clock is behind that of Redshift.
    pub(crate) behind: Duration,
    invocations: Mutex<u64>,
    /// Alerts that a fault left between being published and being removed from the outbox.
    at_risk: Mutex<HashSet<String>>,
    pub(crate) calls: Mutex<HashMap<&'static str, u32>>,
}

fn watched() -> Watched {
    Watched {
        name: "main".to_owned(),
        account: "222222222222".to_owned(),
        region: "us-east-1".to_owned(),
        target: Target::Cluster("main".to_owned()),
        database: "dev".to_owned(),
        login: Login::Secret("arn:aws:secretsmanager:us-east-1:222222222222:secret:w".to_owned()),
        loader: Some(Loader {
            user_id: OWNER,
            login: Login::Secret("arn:aws:secretsmanager:us-east-1:222222222222:secret:w".to_owned()),
        }),
    }
}

impl Drill {
    pub(crate) fn new(seed: u64, jobs: i64) -> Self {
        let mut settings = Settings::new(watched());
        // Small, so that every run has to be continued by the next one.
        (settings.rows_per_run, settings.pages_per_run) = (7, 2);
        Self {
            shared: Shared::new(World::new(seed, jobs)),
            settings,
            // No alert is suppressed, so that all of them can be counted.
            policy: Policy { max_per_subject: u32::MAX, max_per_account: u32::MAX, ..Policy::default() },
            behind: Duration::ZERO,
            invocations: Mutex::new(seed.wrapping_mul(1000)),
            at_risk: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Runs one invocation. Returns `None` if it crashed, and the number of its calls.
    pub(crate) async fn invoke(
        &self,
        start: Start,
        plan: Plan,
    ) -> (Option<Result<Report, MonitorError>>, usize) {
        let number = {
            let mut invocations = self.invocations.lock().unwrap_or_else(PoisonError::into_inner);
            *invocations += 1;
            *invocations
        };
        let faulty = !plan.is_empty();
        let ports = Ports::new(&self.shared, plan, number);
        let completion = match start {
            Start::Tick => None,
            Start::End(at) => Some(self.completion(at)),
        };
        let result = tokio::select! {
            biased;
            () = ports.faults.died() => None,
            result = self.run_on(&ports, completion.as_ref()) => Some(result),
        };
        if faulty {
            let mut at_risk = self.at_risk.lock().unwrap_or_else(PoisonError::into_inner);
            at_risk.extend(self.outbox());
        } else if let Some(Err(error)) = &result {
            panic!("an invocation without faults failed: {}", lambda_kit::error::chain(error));
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for (action, count) in ports.calls.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *calls.entry(action).or_default() += count;
        }
        (result, ports.faults.calls())
    }

    async fn run_on(
        &self,
        ports: &Ports<'_>,
        completion: Option<&Completion>,
    ) -> Result<Report, MonitorError> {
        let now = self.shared.world().now.minus(self.behind);
        let window = InvocationWindow { now, deadline: now.plus(MINUTE * 15) };
        let notifier = Notifier::new(ports, ports, self.policy.clone());
        let work_until = Instant::now() + MINUTE * 60;
        let monitor = Monitor::new(&self.settings, (ports, ports, ports), &notifier, window, work_until);
        match completion {
            None => monitor.tick().await,
            Some(completion) => monitor.completed(completion).await,
        }
    }

    fn completion(&self, at: usize) -> Completion {
        let batch = &self.shared.world().batches[at];
        Completion {
            name: batch.name.clone(),
            id: format!("statement-{at}"),
            finished: batch.progress == Progress::Finished,
        }
    }

    /// Returns the ids of the alerts that are not removed from the outboxes.
    fn outbox(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for (_, body) in self.shared.alerts.all() {
            let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            for entry in body["outbox"].as_array().into_iter().flatten() {
                ids.push(entry["notification"]["id"].as_str().unwrap().to_owned());
            }
        }
        ids
    }

    /// Ends a statement of this name and id.
    pub(crate) async fn complete(&self, name: &str, id: &str) -> Report {
        let ports = Ports::new(&self.shared, Plan::new(), 1);
        let completion = Completion { name: name.to_owned(), id: id.to_owned(), finished: true };
        self.run_on(&ports, Some(&completion)).await.unwrap()
    }

    /// Runs an invocation that must succeed.
    pub(crate) async fn run(&self, start: Start) -> Report {
        self.invoke(start, Plan::new()).await.0.unwrap().unwrap()
    }

    /// Runs a tick, and the end of its statement.
    pub(crate) async fn round(&self) -> Option<Report> {
        self.run(Start::Tick).await;
        self.shared.world().run_batches();
        let mut last = None;
        while let Some(at) = { self.shared.world().events.pop_front() } {
            last = Some(self.run(Start::End(at)).await);
        }
        last
    }

    /// Continues without faults until nothing new can come: claims of crashed invocations have
    /// expired, errors are visible, every page was listed.
    pub(crate) async fn settle(&self, rounds: usize) {
        for _ in 0..rounds {
            self.shared.world().pass(MINUTE * 5);
            self.round().await;
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.shared.world().pass(time);
    }

    /// Returns the published alerts.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.shared.published().clone()
    }

    /// Returns the problems of the published alerts, sorted.
    pub(crate) fn problems(&self) -> Vec<&'static str> {
        let mut problems: Vec<_> = self.alerts().iter().map(Alert::problem).collect();
        problems.sort_unstable();
        problems
    }

    /// Returns problem, status and subject of each alert once, sorted.
    pub(crate) fn unique(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let alerts = self.alerts().into_iter().filter(|alert| seen.insert(alert.id().to_owned()));
        let mut unique: Vec<String> = alerts
            .map(|alert| format!("{} {} {}", alert.problem(), alert.status(), alert.text("subject")))
            .collect();
        unique.sort_unstable();
        unique
    }

    /// Returns each alert about this problem once.
    pub(crate) fn about(&self, problem: &str) -> Vec<Alert> {
        let mut seen = HashSet::new();
        let alerts = self.alerts().into_iter();
        alerts.filter(|alert| alert.problem() == problem && seen.insert(alert.id().to_owned())).collect()
    }

    /// Returns the statuses of the alerts about this problem.
    pub(crate) fn statuses(&self, problem: &str) -> Vec<String> {
        self.about(problem).iter().map(|alert| alert.status().to_owned()).collect()
    }

    /// Returns the keys of the objects of the alerts about this problem.
    pub(crate) fn keys(&self, problem: &str) -> Vec<String> {
        self.about(problem).iter().map(|alert| alert.object_key().to_owned()).collect()
    }

    /// Returns the start of the first run that saw all jobs.
    pub(crate) fn first_seen(&self) -> Moment {
        let table = self.shared.table();
        let state: serde_json::Value = serde_json::from_str(&table.documents["views"].body).unwrap();
        let jobs = state["jobs"].as_object().unwrap().values();
        jobs.map(|job| Moment::from_micros(job["first_seen"].as_i64().unwrap())).max().unwrap()
    }

    /// Checks that nothing was published twice, except for alerts that a fault left in an outbox.
    pub(crate) fn nothing_was_published_twice(&self) {
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for alert in self.alerts() {
            *times.entry(alert.id().to_owned()).or_default() += 1;
        }
        let at_risk = self.at_risk.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, times) in times {
            assert!(times == 1 || at_risk.contains(&id), "{id} came {times} times, and no fault explains it");
        }
        assert_eq!(self.outbox(), Vec::<String>::new(), "something was never published");
    }

    /// Checks that every rejected file has one alert, with its job, line, column, cause and
    /// command.
    pub(crate) fn every_rejected_file_has_one_alert(&self) {
        let alerts = self.about("rejected");
        let starts: Vec<&Alert> = alerts.iter().filter(|alert| alert.is_start()).collect();
        let world = self.shared.world();
        assert_eq!(starts.len(), world.rejected.len(), "{:?}", world.rejected);
        for rejected in &world.rejected {
            let url = format!("s3://{BUCKET}/{}", rejected.key);
            let cause = |alert: &&&Alert| match &rejected.cause {
                Some((line, column, message)) => {
                    alert.text("what").contains(&format!(", line {line}, column {column}."))
                        && alert.text("cause").starts_with(message)
                }
                None => {
                    alert.text("what").contains("without naming a line") && !alert.text("cause").is_empty()
                }
            };
            let found: Vec<_> =
                starts.iter().filter(|alert| alert.text("subject") == url).filter(cause).collect();
            let [alert] = found.as_slice() else {
                panic!("{rejected:?} has the alerts {found:?}: {alerts:?}")
            };
            assert!(alert.text("name").starts_with(&rejected.job), "{alert:?}");
            assert!(alert.text("what").contains(&format!("copy job {} on cluster main", rejected.job)));
            assert_eq!((alert.text("account"), alert.text("region")), ("222222222222", "us-east-1"));
            let command = alert.text("command");
            let job = world.jobs.iter().find(|job| job.name == rejected.job).unwrap();
            let copy = quote(&World::job_text(job, &rejected.key));
            let by_copy = command.starts_with("id=$(aws redshift-data execute-statement ")
                && command
                    .contains(&format!(" --sql {copy} --statement-name sluice-reload.{}.", rejected.job))
                && command.contains(" --with-event --query Id --output text) && while s=$(aws ")
                && command.contains("describe-statement --region us-east-1 --id \"$id\"")
                && command.ends_with("; done");
            let by_name = command == format!("aws s3 cp {} {}", quote(&url), quote(&format!("{url}.reload")));
            assert!(by_copy || by_name, "{command}");
        }
    }

    /// Checks that alerts about objects are true, and that the objects that exist now have theirs.
    pub(crate) fn objects_have_true_alerts(&self, since: Moment) {
        let (never, overwritten) = (self.about("never loaded"), self.about("overwritten"));
        let world = self.shared.world();
        for alert in &never {
            assert!(!world.noticed.contains(alert.object_key()), "{alert:?} was noticed by Redshift");
        }
        for alert in &overwritten {
            let loaded = |etag: &str| {
                world.loaded.iter().any(|(_, key, loaded)| key == alert.object_key() && loaded == etag)
            };
            let what = alert.text("what");
            let (_, etags) = what.split_once("Its ETag is ").unwrap();
            let (now, before) = etags.split_once(" now; the loaded one is ").unwrap();
            assert!(loaded(before.trim_end_matches('.')) && !loaded(now), "{alert:?}");
        }
        let has = |alerts: &[Alert], key: &str, part: &str| {
            alerts.iter().any(|alert| alert.object_key() == key && alert.text("what").contains(part))
        };
        for object in world.objects.values().filter(|object| object.modified >= since) {
            let loaded = world.loaded.iter().find(|(_, key, _)| *key == object.key);
            match loaded {
                Some((_, _, etag)) if *etag != object.etag => {
                    let part = format!("Its ETag is {} now", object.etag);
                    assert!(
                        has(&overwritten, &object.key, &part),
                        "overwritten without an alert: {object:?}"
                    );
                }
                None if !world.noticed.contains(&object.key) => {
                    let part = format!("written at {}", object.modified);
                    assert!(has(&never, &object.key, &part), "never loaded without an alert: {object:?}");
                }
                _ => {}
            }
        }
    }

    /// Checks that a condition begins and ends in turn, in the order in which its alerts were
    /// recorded. An alert that a crash left in an outbox may be published after a later one.
    pub(crate) fn conditions_begin_and_end_in_turn(&self) {
        in_turn(&self.shared.recorded());
        self.published_conditions_have_one_begin_and_one_end();
    }

    /// Checks that a condition begins and ends in turn also in the order of its messages.
    pub(crate) fn conditions_are_published_in_turn(&self) {
        in_turn(&self.alerts());
    }

    /// Checks the published alerts: each incident of a condition begins once, ends at most once,
    /// and ends before the next one begins.
    fn published_conditions_have_one_begin_and_one_end(&self) {
        let mut seen = HashSet::new();
        let mut conditions: BTreeMap<(&str, String), BTreeMap<String, Vec<Alert>>> = BTreeMap::new();
        for alert in self.alerts().into_iter().filter(|alert| seen.insert(alert.id().to_owned())) {
            if !EVENTS.contains(&alert.problem()) {
                let about = (alert.problem(), alert.text("subject").to_owned());
                let incidents = conditions.entry(about).or_default();
                incidents.entry(alert.thread().to_owned()).or_default().push(alert);
            }
        }
        for (about, incidents) in conditions {
            let mut periods = Vec::new();
            for alerts in incidents.values() {
                let starts = alerts.iter().filter(|alert| alert.is_start()).count();
                assert_eq!(starts, 1, "{about:?}: {alerts:?}");
                let ends: Vec<Moment> = alerts.iter().filter_map(Alert::resolved_at).collect();
                assert!(ends.len() <= 1, "{about:?}: {alerts:?}");
                periods.push((alerts[0].since(), ends.first().copied()));
            }
            periods.sort();
            for two in periods.windows(2) {
                assert!(two[0].1.is_some_and(|end| end <= two[1].0), "{about:?}: {periods:?}");
            }
        }
    }
}

/// Checks that the alerts about a condition alternate: it begins, is repeated only while it is
/// open, ends, and only then begins again.
fn in_turn(alerts: &[Alert]) {
    let (mut seen, mut open) = (HashSet::new(), HashSet::new());
    for alert in alerts.iter().filter(|alert| !EVENTS.contains(&alert.problem())) {
        if !seen.insert(alert.id()) {
            continue;
        }
        let about = (alert.problem(), alert.text("subject"));
        match alert.status() {
            "opened" => assert!(open.insert(about), "{about:?} began twice: {alerts:#?}"),
            "repeated" => assert!(open.contains(&about), "{about:?} was repeated before it began"),
            "resolved" => assert!(open.remove(&about), "{about:?} ended before it began: {alerts:#?}"),
            "transient" => assert!(!open.contains(&about), "{about:?} was over before it ended"),
            status => panic!("{about:?} is {status}"),
        }
    }
}

//! Runs of the monitor as AWS would start them, and what has to hold afterwards.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lambda_kit::faults::Fault;
use tokio::time::Instant;
use warehouse::batch::Progress;

use super::ports::{Ports, Shared};
use super::world::{BUCKET, World};
use crate::finding::{Finding, Problem, Turn};
use crate::monitor::{Monitor, MonitorError};
use crate::report::Report;
use crate::settings::Settings;
use crate::settings::tests::watched;
use crate::start::Completion;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// What starts an invocation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    Tick,
    /// The end of the batch of this number.
    End(usize),
}

/// Faults by number of the call.
pub(super) type Plan = HashMap<usize, Fault>;

/// A world, a monitor, and what was found out about its runs.
pub(super) struct Drill {
    pub(super) shared: Shared,
    pub(super) settings: Settings,
    invocations: Mutex<u64>,
    /// Findings that a death may have left between the telling and the note.
    at_risk: Mutex<HashSet<String>>,
    pub(super) calls: Mutex<HashMap<&'static str, u32>>,
}

impl Drill {
    pub(super) fn new(seed: u64, jobs: i64) -> Self {
        let mut settings = Settings::new(watched());
        // Small, so that every run has to be continued by the next one.
        (settings.rows_per_run, settings.pages_per_run) = (7, 2);
        Self {
            shared: Shared::new(World::new(seed, jobs)),
            settings,
            invocations: Mutex::new(seed.wrapping_mul(1000)),
            at_risk: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// One invocation. `None`: it died.
    pub(super) async fn invoke(
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
        let holder = number.to_string();
        let monitor = self.monitor(&ports, &holder);
        let now = self.shared.world().now;
        let run = async {
            match start {
                Start::Tick => monitor.tick(now).await,
                Start::End(at) => {
                    let completion = self.completion(at);
                    monitor.completed(&completion, now).await
                }
            }
        };
        let result = tokio::select! {
            biased;
            () = ports.faults.died() => None,
            result = run => Some(result),
        };
        if faulty {
            let mut at_risk = self.at_risk.lock().unwrap_or_else(PoisonError::into_inner);
            at_risk.extend(self.shared.table().unfinished().cloned());
            at_risk.extend(ports.unanswered.lock().unwrap_or_else(PoisonError::into_inner).drain());
        } else if let Some(Err(error)) = &result {
            panic!("an invocation without faults failed: {error}");
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for (action, count) in ports.calls.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *calls.entry(action).or_default() += count;
        }
        (result, ports.faults.calls())
    }

    fn completion(&self, at: usize) -> Completion {
        let batch = &self.shared.world().batches[at];
        Completion {
            name: batch.name.clone(),
            id: format!("statement-{at}"),
            finished: batch.progress == Progress::Finished,
        }
    }

    /// The end of a statement of this name and id.
    pub(super) async fn complete(&self, name: &str, id: &str) -> Report {
        let ports = Ports::new(&self.shared, Plan::new(), 1);
        let completion = Completion { name: name.to_owned(), id: id.to_owned(), finished: true };
        let now = self.shared.world().now;
        self.monitor(&ports, "another").completed(&completion, now).await.unwrap()
    }

    fn monitor<'a>(
        &'a self,
        ports: &'a Ports<'a>,
        holder: &'a str,
    ) -> Monitor<'a, Ports<'a>, Ports<'a>, Ports<'a>, Ports<'a>> {
        Monitor {
            settings: &self.settings,
            statements: ports,
            objects: ports,
            ledger: ports,
            announcer: ports,
            holder,
            until: Instant::now() + Duration::from_secs(3600),
        }
    }

    /// One that must end well.
    pub(super) async fn run(&self, start: Start) -> Report {
        self.invoke(start, Plan::new()).await.0.unwrap().unwrap()
    }

    /// A tick, and the end of its statement.
    pub(super) async fn round(&self) -> Option<Report> {
        self.run(Start::Tick).await;
        self.shared.world().run_batches();
        let mut last = None;
        while let Some(at) = { self.shared.world().events.pop_front() } {
            last = Some(self.run(Start::End(at)).await);
        }
        last
    }

    /// Goes on without faults until nothing new can come: claims of the dead have run out, causes are visible, every page was listed.
    pub(super) async fn settle(&self, rounds: usize) {
        for _ in 0..rounds {
            self.shared.world().pass(MINUTE * 5);
            self.round().await;
        }
    }

    pub(super) fn pass(&self, time: Duration) {
        self.shared.world().pass(time);
    }

    pub(super) fn told(&self) -> Vec<Finding> {
        self.shared.table().received.clone()
    }

    /// The first telling of each finding of this kind.
    pub(super) fn of_kind(&self, kind: &str) -> Vec<Finding> {
        let mut seen = HashSet::new();
        let told = self.told().into_iter();
        told.filter(|finding| finding.problem.kind() == kind && seen.insert(finding.id.clone())).collect()
    }

    /// The monitor's first sight of all jobs.
    pub(super) fn first_seen(&self) -> crate::moment::Moment {
        let table = self.shared.table();
        let state: crate::state::TargetState = serde_json::from_str(&table.documents["target"].body).unwrap();
        state.jobs.values().map(|job| job.first_seen).max().unwrap()
    }

    /// Nothing was told twice, but for what a death left between the telling and the note.
    pub(super) fn nothing_came_twice(&self) {
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for finding in self.told() {
            *times.entry(finding.id).or_default() += 1;
        }
        let at_risk = self.at_risk.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, times) in times {
            assert!(times == 1 || at_risk.contains(&id), "{id} came {times} times, and no death explains it");
        }
    }

    /// Every file that was ever refused was told once: with its job, line, column, cause and command.
    pub(super) fn every_failure_was_told_once(&self) {
        let told = self.of_kind("FileInError");
        let world = self.shared.world();
        let mut of_file: HashMap<(String, String), Vec<&Finding>> = HashMap::new();
        for finding in told.iter().filter(|finding| finding.turn == Turn::Began) {
            let file = finding.problem.file().unwrap();
            of_file.entry((file.key.clone(), file.etag.clone())).or_default().push(finding);
        }
        assert_eq!(of_file.values().map(Vec::len).sum::<usize>(), world.refused.len(), "{:?}", world.refused);
        for refused in &world.refused {
            let found = of_file.get(&(refused.key.clone(), refused.etag.clone()));
            let [finding] = found.map(Vec::as_slice).unwrap_or_default() else {
                panic!("{refused:?} was told as {found:?}");
            };
            assert_eq!(finding.job.as_deref(), Some(refused.job.as_str()));
            assert_eq!((finding.account.as_str(), finding.region.as_str()), ("222222222222", "us-east-1"));
            let Problem::FileInError { file, cause, job_message } = &finding.problem else { unreachable!() };
            assert_eq!(file.bucket, BUCKET);
            let cause = cause.as_ref().map(|cause| (cause.line, cause.column.clone(), cause.message.clone()));
            assert_eq!(cause, refused.cause, "{refused:?}");
            assert_eq!(job_message.is_some(), refused.cause.is_none());
            let (command, url) = (&finding.command, format!("s3://{BUCKET}/{}", refused.key));
            let job = world.jobs.iter().find(|job| job.name == refused.job).unwrap();
            let copy = World::job_text(job, &refused.key);
            let by_copy = command.last() == Some(&copy)
                && command[..3] == ["aws", "redshift-data", "execute-statement"];
            let by_name = command[..] == ["aws", "s3", "cp", &url, &format!("{url}.reload")];
            assert!(by_copy || by_name, "{command:?}");
        }
    }

    /// What was told of objects is true, and what is true of the objects that are there now was told.
    pub(super) fn objects_were_told_as_they_are(&self, since: crate::moment::Moment) {
        let (never, overwritten) = (self.of_kind("NeverLoaded"), self.of_kind("Overwritten"));
        let world = self.shared.world();
        let told = |findings: &[Finding], key: &str, etag: &str| {
            let same = |finding: &Finding| {
                finding.problem.file().is_some_and(|file| file.key == key && file.etag == etag)
            };
            findings.iter().any(same)
        };
        for finding in &never {
            let file = finding.problem.file().unwrap();
            assert!(!world.noticed.contains(&file.key), "{file:?} was noticed by Redshift");
        }
        for finding in &overwritten {
            let Problem::Overwritten { file, loaded_etag, .. } = &finding.problem else { unreachable!() };
            let loaded =
                |etag: &String| world.loaded.iter().any(|(_, key, tag)| *key == file.key && tag == etag);
            assert!(loaded(loaded_etag) && !loaded(&file.etag), "{file:?}");
        }
        for object in world.objects.values().filter(|object| object.modified >= since) {
            let loaded = world.loaded.iter().find(|(_, key, _)| *key == object.key);
            match loaded {
                Some((_, _, etag)) if *etag != object.etag => {
                    assert!(
                        told(&overwritten, &object.key, &object.etag),
                        "overwritten and not told: {object:?}"
                    );
                }
                None if !world.noticed.contains(&object.key) => {
                    assert!(told(&never, &object.key, &object.etag), "never loaded and not told: {object:?}");
                }
                _ => {}
            }
        }
    }

    /// A lasting problem begins and ends in turn.
    pub(super) fn lasting_problems_begin_and_end_in_turn(&self) {
        let mut seen = HashSet::new();
        let mut open: HashSet<(&'static str, Option<String>)> = HashSet::new();
        for finding in self.told().into_iter().filter(|finding| seen.insert(finding.id.clone())) {
            if finding.problem.file().is_some() || matches!(finding.problem, Problem::Unknown { .. }) {
                continue;
            }
            let about = (finding.problem.kind(), finding.job.clone());
            match finding.turn {
                Turn::Began => assert!(open.insert(about.clone()), "{about:?} began twice"),
                Turn::Lasts { .. } => assert!(open.contains(&about), "{about:?} lasts without a beginning"),
                Turn::Over => assert!(open.remove(&about), "{about:?} ended without a beginning"),
            }
        }
    }
}

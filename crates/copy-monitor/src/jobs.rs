//! The jobs: what the views show of them, and what is wrong with them.

use std::collections::{BTreeMap, HashMap};

use crate::finding::{Finding, Problem, id};
use crate::job_text;
use crate::moment::Moment;
use crate::monitor::Monitor;
use crate::ports::{Announcer, Ledger, Objects, Statements};
use crate::remedy;
use crate::report::Report;
use crate::rows::Row;
use crate::standing::Judged;
use crate::state::{Gap, JobState, TargetState};

/// What the views say of the jobs in one run.
#[derive(Default)]
pub(crate) struct Seen {
    user: Option<i64>,
    user_name: Option<String>,
    access: String,
    sees_all: bool,
    jobs: BTreeMap<i64, SeenJob>,
    /// By the job's name: the view has no id.
    channels: HashMap<String, Channel>,
    /// The last message of each job.
    pub(crate) messages: HashMap<i64, String>,
    pub(crate) counts: BTreeMap<i64, Counts>,
}

struct SeenJob {
    name: String,
    text: String,
    auto: bool,
}

/// The integration of a job.
struct Channel {
    owner: Option<i64>,
    bucket: Option<String>,
    state: String,
}

const ESTABLISHED: &str = "Established";
const INACTIVE: &str = "Inactive";

/// How many files of a job wait, and how new they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    waiting: u64,
    pub(crate) waiting_behind: u64,
    pub(crate) oldest_waiting: Option<Moment>,
    newest_seen: Option<Moment>,
    newest_loaded: Option<Moment>,
}

impl Counts {
    pub(crate) fn of(row: Row<'_>) -> Self {
        Self {
            waiting: row.count("waiting"),
            waiting_behind: row.count("waiting_behind"),
            oldest_waiting: row.time("oldest_waiting"),
            newest_seen: row.time("newest_seen"),
            newest_loaded: row.time("newest_loaded"),
        }
    }
}

impl Seen {
    pub(crate) fn sight(&mut self, row: Row<'_>) {
        self.user = row.integer("user_id");
        self.user_name = row.text("user_name").map(str::to_owned);
        self.access = row.text("syslog_access").unwrap_or_default().to_owned();
        self.sees_all = row.flag("superuser") || self.access.eq_ignore_ascii_case("UNRESTRICTED");
    }

    pub(crate) fn job(&mut self, row: Row<'_>) {
        let Some(id) = row.integer("job_id") else { return };
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let job = SeenJob { name: text("job_name"), text: text("job_text"), auto: row.flag("is_auto") };
        self.jobs.insert(id, job);
    }

    pub(crate) fn integration(&mut self, row: Row<'_>) {
        let Some(name) = row.text("job_name") else { return };
        // The page's table has a space in the name of this column.
        let state = row.text("channel state").or_else(|| row.text("channel_state")).unwrap_or_default();
        let channel = Channel {
            owner: row.integer("job_owner"),
            bucket: row.text("bucket").map(str::to_owned),
            state: state.to_owned(),
        };
        let known = self.channels.get(name).is_some_and(|known| known.state == ESTABLISHED);
        if !known {
            self.channels.insert(name.to_owned(), channel);
        }
    }

    pub(crate) fn message(&mut self, row: Row<'_>) {
        if let (Some(job), Some(message)) = (row.integer("job_id"), row.text("message")) {
            self.messages.insert(job, message.to_owned());
        }
    }

    fn owns(&self, owner: Option<i64>) -> bool {
        owner.is_some() && owner == self.user
    }

    /// Whether what is not seen is not there: the reader may see all users' rows, or all jobs known are its own.
    pub(crate) fn is_believed(&self, state: &TargetState) -> bool {
        self.sees_all || (!state.jobs.is_empty() && state.jobs.values().all(|job| self.owns(job.owner)))
    }
}

impl<S: Statements, O: Objects, L: Ledger, A: Announcer> Monitor<'_, S, O, L, A> {
    /// Takes the jobs over as they are seen.
    pub(crate) fn meet(&self, state: &mut TargetState, seen: &Seen, started: Moment) {
        for (id, found) in &seen.jobs {
            let channel = seen.channels.get(&found.name);
            let settings = self.settings.job(&found.name);
            let text = job_text::read(&found.text);
            let job = state
                .jobs
                .entry(*id)
                .or_insert_with(|| JobState { first_seen: started, ..JobState::default() });
            job.name.clone_from(&found.name);
            let (bucket, prefix, copy) =
                text.map_or((None, None, None), |text| (Some(text.bucket), Some(text.prefix), text.copy));
            job.bucket = settings.bucket.clone().or(bucket).or_else(|| channel?.bucket.clone());
            job.prefix = settings.prefix.clone().or(prefix);
            job.copy = copy;
            job.owner = channel.and_then(|channel| channel.owner).or(job.owner);
        }
    }

    /// Judges the jobs, and whether they can be judged; gives what has to be told.
    pub(crate) fn judge(
        &self,
        state: &mut TargetState,
        seen: &Seen,
        newest: &BTreeMap<i64, Moment>,
        started: Moment,
        now: Moment,
        report: &mut Report,
    ) -> Vec<Finding> {
        let watched = &self.settings.watched;
        let believed = seen.is_believed(state);
        let access = if seen.access.is_empty() { "the user is not shown" } else { seen.access.as_str() };
        let blind = Judged::at_once("blind", !believed);
        let mut findings: Vec<Finding> = state
            .standings
            .judge(&blind, started, |since| {
                let id = id(&[&watched.name, "Blind", &since.micros().to_string()]);
                let command = remedy::let_see(watched, seen.user_name.as_deref());
                self.finding(id, Problem::Blind { access: access.to_owned() }, None, since, now, command)
            })
            .into_iter()
            .collect();
        if !believed {
            return findings;
        }
        for gone in state.jobs.keys().filter(|id| !seen.jobs.contains_key(id)).copied().collect::<Vec<_>>() {
            let Some(job) = state.jobs.remove(&gone) else { continue };
            let ending = format!(":{gone}");
            state.standings.forget(|key| key.ends_with(&ending));
            let id = id(&[&watched.name, "JobGone", &gone.to_string()]);
            let command = remedy::statement(watched, "SELECT job_id, job_name, is_auto FROM sys_copy_job");
            findings.push(self.finding(id, Problem::JobGone, Some(&job.name), started, now, command));
        }
        for (id, found) in &seen.jobs {
            let Some(mut job) = state.jobs.remove(id) else { continue };
            let counts = seen.counts.get(id).cloned().unwrap_or_default();
            job.take_over(&counts, newest.get(id).copied());
            let numbers = report.jobs.entry(*id).or_default();
            numbers.name.clone_from(&job.name);
            numbers.waiting = counts.waiting;
            numbers.lag = job.waits_since.map(|since| started.since(since)).unwrap_or_default();
            for (judged, problem, command) in self.judged(*id, &job, found, seen, &counts, started) {
                findings.extend(state.standings.judge(&judged, started, |since| {
                    let kind = problem.kind();
                    let id = crate::finding::id(&[
                        &watched.name,
                        kind,
                        &id.to_string(),
                        &since.micros().to_string(),
                    ]);
                    self.finding(id, problem, Some(&job.name), since, now, command)
                }));
            }
            state.jobs.insert(*id, job);
        }
        findings
    }

    fn judged(
        &self,
        id: i64,
        job: &JobState,
        found: &SeenJob,
        seen: &Seen,
        counts: &Counts,
        started: Moment,
    ) -> Vec<(Judged, Problem, Vec<String>)> {
        let watched = &self.settings.watched;
        let settings = self.settings.job(&job.name);
        let key = |what: &str| format!("{what}:{id}");
        let channel = seen.channels.get(&job.name).map_or("", |channel| channel.state.as_str());
        let mut all = vec![
            (
                Judged::at_once(key("inactive"), channel == INACTIVE),
                Problem::JobInactive { state: channel.to_owned() },
                remedy::integrations(watched),
            ),
            (
                // A new integration is pending for a while.
                Judged {
                    key: key("integration"),
                    holds: channel != INACTIVE && channel != ESTABLISHED,
                    patience: settings.grace,
                },
                Problem::JobWithoutIntegration,
                remedy::integrations(watched),
            ),
            (
                Judged::at_once(key("auto"), !found.auto && !settings.manual),
                Problem::JobNotAutomatic,
                remedy::automatic(watched, job),
            ),
            (
                Judged::at_once(key("prefix"), job.bucket.is_none() || job.prefix.is_none()),
                Problem::PrefixUnknown,
                remedy::statement(watched, "SELECT job_name, job_text FROM sys_copy_job"),
            ),
        ];
        let oldest = counts.oldest_waiting.filter(|_| !settings.manual);
        all.push((
            Judged::at_once(
                key("waiting"),
                oldest.is_some_and(|oldest| started.since(oldest) >= settings.grace),
            ),
            Problem::FilesWaiting { files: counts.waiting, oldest: oldest.unwrap_or(started) },
            remedy::run(watched, job),
        ));
        let waits = job.waits_since.filter(|_| !settings.manual);
        all.push((
            Judged::at_once(
                key("stale"),
                waits.is_some_and(|since| started.since(since) >= settings.freshness),
            ),
            Problem::Stale {
                newest_object: job.newest_seen.unwrap_or(started),
                newest_loaded: job.newest_loaded,
                limit_seconds: settings.freshness.as_secs(),
            },
            remedy::look_at(watched, id),
        ));
        all
    }

    /// Notes a time that the views have forgotten before it was read.
    pub(crate) fn note_gap(&self, state: &mut TargetState, started: Moment, now: Moment) -> Option<Finding> {
        let forgotten = started.minus(self.settings.retention);
        let from = state.seen_until.filter(|seen| *seen < forgotten)?.minus(self.settings.overlap);
        state.gaps.retain(|gap| gap.to >= self.settings.remembered_since(started));
        state.gaps.push(Gap { from, to: forgotten });
        let watched = &self.settings.watched;
        let id = id(&[&watched.name, "Unknown", &from.micros().to_string()]);
        let command = remedy::loads_between(watched, from, forgotten);
        Some(self.finding(id, Problem::Unknown { from, to: forgotten }, None, from, now, command))
    }
}

impl JobState {
    fn take_over(&mut self, counts: &Counts, listed: Option<Moment>) {
        let newest = |one: Option<Moment>, other: Option<Moment>| one.max(other);
        self.newest_loaded = newest(self.newest_loaded, counts.newest_loaded);
        self.newest_seen = newest(newest(self.newest_seen, counts.newest_seen), listed);
        self.waits_since = match (self.newest_seen, self.newest_loaded) {
            (Some(seen), Some(loaded)) if seen <= loaded => None,
            // A load that is newer than what waited: what waits now is the newest object, as far as is known.
            (Some(seen), loaded) => Some(match self.waits_since {
                Some(since) if loaded.is_none_or(|loaded| loaded < since) => since,
                _ => seen,
            }),
            (None, _) => None,
        };
    }
}

//! Runs checks: plans, asks, runs the steps, removes what they made, and records the answers.

mod identity;
mod output;
mod steps;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::accounts::{Accounts, KitStack, Role};
use crate::catalog::{Catalog, CatalogError, Check};
use crate::money::Usd;
use crate::plan::{Limits, Plan};
use crate::ports::{Clock, Operator, Runner, Store};
use crate::redact::Redactor;
use crate::report::{Outcome, Record, Report};
use crate::state::{RunState, StateError};
use crate::text::{TextError, Variables};
use crate::{answers, undo};

pub(crate) use self::output::{output_of, refusal_of};

/// The outside world.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Runs commands.
    pub runner: &'a dyn Runner,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Keeps the state.
    pub store: &'a dyn Store,
    /// Reads and answers.
    pub operator: &'a dyn Operator,
}

/// The least time that a command gets.
const LEAST: SignedDuration = SignedDuration::from_secs(60);

/// The checks and limits of a run.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The ids of the checks; none means all.
    pub checks: Vec<String>,
    /// Values of settings.
    pub settings: BTreeMap<String, String>,
    /// The largest sum of estimated costs.
    pub max_cost: Option<Usd>,
    /// The time at which everything is removed.
    pub ends: Option<Timestamp>,
    /// Starts without asking.
    pub yes: bool,
}

/// The defaults of a request.
pub mod defaults {
    /// The cost cap, in US dollars.
    pub const MAX_COST: f64 = 1.0;
    /// The time after which everything is removed, in hours.
    pub const HOURS: i64 = 2;
}

/// The end of a run.
#[derive(Debug)]
pub struct Finished {
    /// The report.
    pub report: Report,
    /// The run was stopped and can be resumed.
    pub is_unfinished: bool,
}

/// A run that could not begin, or not continue.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state could not be read or written.
    #[error("the state of the run is not usable")]
    State(#[from] StateError),
    /// A check that does not exist.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// There is a run that has not ended.
    #[error(
        "run `{0}` has not ended; continue it with --resume, or remove what is left of it with --clean-up"
    )]
    Unfinished(String),
    /// There is no run to resume.
    #[error("there is no run to resume; start one without --resume")]
    NothingToResume,
    /// A profile belongs to another account than when the run began.
    #[error(
        "profile `{profile}` is account {found} in {region} now, and was {expected} when the run began; use the same profiles"
    )]
    OtherAccount {
        /// The profile.
        profile: String,
        /// The account and Region then.
        expected: String,
        /// The account now.
        found: String,
        /// The Region now.
        region: String,
    },
    /// An endpoint that is neither AWS nor on this machine, or both kinds at once.
    #[error(
        "the endpoint `{0}` is neither AWS nor a local cloud on 127.0.0.1; unset AWS_ENDPOINT_URL, or use one for all profiles"
    )]
    Endpoint(String),
    /// The end time of the run has passed.
    #[error("the end time {0} has passed; give a new one with --hours or --until")]
    Over(Timestamp),
    /// A setting that no check uses.
    #[error("no check that was asked for has a setting `{0}`; `--list` prints the settings")]
    Setting(String),
}

/// Runs the checks of a catalog.
pub struct Engine<'a> {
    world: World<'a>,
    catalog: &'a Catalog,
    accounts: Accounts,
    /// `AWS_REGION` and `AWS_ENDPOINT_URL`.
    region: Option<String>,
    endpoint: Option<String>,
    /// Outputs of the kit's stacks, or why there are none.
    outputs: BTreeMap<KitStack, Result<Variables, String>>,
}

/// The reason for the end of a check before its last step.
enum Halt {
    /// The operator or the end time; it can be resumed.
    Stopped(String),
    /// It has no answer.
    Failed(String),
    /// The state could not be written; nothing more may be created.
    State(StateError),
}

impl From<TextError> for Halt {
    fn from(error: TextError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// The end of one attempt of a step.
#[derive(Default)]
struct Attempt {
    output: String,
    refusal: String,
}

impl<'a> Engine<'a> {
    /// An engine; `environment` has the variables of `scripts/deploy` and the AWS CLI.
    pub fn new(world: World<'a>, catalog: &'a Catalog, environment: &BTreeMap<String, String>) -> Self {
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        Self {
            world,
            catalog,
            accounts: Accounts::from_environment(environment),
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            endpoint: set("AWS_ENDPOINT_URL"),
            outputs: BTreeMap::new(),
        }
    }

    /// Starts a run with this id.
    ///
    /// # Errors
    /// Another run has not ended, a check or setting is unknown, or the state cannot be written.
    pub fn start(&mut self, run: &str, request: &Request) -> Result<Finished, EngineError> {
        if let Some(state) = self.world.store.load()? {
            return Err(EngineError::Unfinished(state.run));
        }
        let checks = self.catalog.select(&request.checks)?;
        let used = |name: &String| checks.iter().any(|check| check.names().contains(name.as_str()));
        if let Some(name) = request.settings.keys().find(|name| !used(name)) {
            return Err(EngineError::Setting(name.clone()));
        }
        let ends = request.ends.unwrap_or_else(|| {
            let end = self.world.clock.now().saturating_add(SignedDuration::from_hours(defaults::HOURS));
            end.unwrap_or(Timestamp::MAX)
        });
        let max_cost = request.max_cost.or(Usd::from_dollars(defaults::MAX_COST)).unwrap_or_default();
        let mut state = RunState::new(run.into(), max_cost, ends);
        state.selected = checks.iter().map(|check| check.id.clone()).collect();
        state.named.clone_from(&request.checks);
        state.settings.clone_from(&request.settings);
        self.go(state, &checks, request.yes, true)
    }

    /// Continues a run: removes what is left of the check at which it ended, and starts that
    /// check anew.
    ///
    /// # Errors
    /// There is no such run, or as for [`Self::start`].
    pub fn resume(&mut self, request: &Request) -> Result<Finished, EngineError> {
        let mut state = self.world.store.load()?.ok_or(EngineError::NothingToResume)?;
        state.ends = request.ends.unwrap_or(state.ends);
        state.max_cost = request.max_cost.unwrap_or(state.max_cost);
        self.expect_same_accounts(&state)?;
        undo::remove(&self.world, &mut state, None)?;
        if state.ends <= self.world.clock.now() {
            return Err(EngineError::Over(state.ends));
        }
        let selected = state.selected.clone();
        let checks = self.catalog.select(&selected)?;
        self.go(state, &checks, request.yes, false)
    }

    /// Removes everything of a run that has not ended, without starting anything.
    ///
    /// # Errors
    /// The accounts are others, or the state cannot be read or written.
    pub fn clean_up(&mut self) -> Result<Option<Finished>, EngineError> {
        let Some(mut state) = self.world.store.load()? else { return Ok(None) };
        self.expect_same_accounts(&state)?;
        undo::remove(&self.world, &mut state, None)?;
        let checks =
            self.catalog.checks().filter(|check| state.results.contains_key(&check.id)).collect::<Vec<_>>();
        let report = self.report(&state, &checks, &state.results);
        if state.pending.is_empty() {
            self.world.store.remove()?;
        }
        Ok(Some(Finished { report, is_unfinished: false }))
    }

    fn go(
        &mut self,
        mut state: RunState,
        checks: &[&'a Check],
        yes: bool,
        is_new: bool,
    ) -> Result<Finished, EngineError> {
        let obstacles = self.identify(&mut state, checks)?;
        let is_local = state.is_local();
        let limits = Limits { max_cost: state.max_cost, ends: state.ends, is_free: is_local };
        let plan = {
            let now = self.world.clock.now();
            let state = &state;
            Plan::make(checks, limits, (state.spent, now), |check| match state.results.get(&check.id) {
                Some(record) => Some(record.outcome.clone()),
                None => self.obstacle(check, state, &obstacles),
            })
        };
        let operator = self.world.operator;
        for (role, identity) in &state.accounts {
            let where_ = identity.endpoint.as_deref().unwrap_or("AWS");
            operator.say(&format!(
                "{}: profile `{}`, account {}, {}, {where_}",
                role.name(),
                identity.profile,
                identity.account,
                identity.region
            ));
        }
        operator.say(plan.text().trim_end());
        for (check, outcome) in &plan.entries {
            if let Some(outcome) = outcome {
                state.results.entry(check.id.clone()).or_insert_with(|| Record::of(outcome.clone()));
            }
        }
        let runs: Vec<_> = plan.runs().collect();
        if !runs.is_empty()
            && !yes
            && !is_local
            && operator.ask("Run these checks and spend this much?") != Some(true)
        {
            let reason = "the operator did not agree; --yes runs without a question".to_owned();
            let results = with_missing(&state, checks, &reason);
            if is_new {
                self.world.store.remove()?;
            }
            return Ok(Finished { report: self.report(&state, checks, &results), is_unfinished: !is_new });
        }
        self.world.store.save(&state)?;
        let stopped = self.run_all(&mut state, &runs, &limits)?;
        let results = with_missing(&state, checks, stopped.as_deref().unwrap_or_default());
        let report = self.report(&state, checks, &results);
        if state.pending.is_empty() && stopped.is_none() {
            self.world.store.remove()?;
        }
        Ok(Finished { report, is_unfinished: stopped.is_some() })
    }

    /// Runs the checks and returns why it stopped before the last one.
    fn run_all(
        &mut self,
        state: &mut RunState,
        runs: &[&'a Check],
        limits: &Limits,
    ) -> Result<Option<String>, EngineError> {
        for (number, check) in runs.iter().enumerate() {
            let say = |text: &str| {
                self.world.operator.say(&format!("[{}/{}] {}: {text}", number + 1, runs.len(), check.id));
            };
            if self.world.operator.wants_to_stop() {
                return Ok(Some("stopped by the operator".into()));
            }
            if let Some(reason) = limits.objection(check, state.spent, self.world.clock.now()) {
                say(&format!("not run: {reason}"));
                state.results.insert(check.id.clone(), Record::of(Outcome::NotRun { reason }));
                continue;
            }
            say("running");
            *state.attempts.entry(check.id.clone()).or_default() += 1;
            state.spent = state.spent.plus(limits.cost(check));
            // The cost counts before it arises, also if this process dies now.
            self.world.store.save(state)?;
            let began = self.world.clock.now();
            let (halt, variables) = self.run_check(state, check);
            let mut stopped = None;
            let outcome = match halt {
                Ok(outcome) => Some(outcome),
                Err(Halt::Failed(reason)) => Some(Outcome::Failed { reason }),
                Err(Halt::Stopped(reason)) => {
                    stopped = Some(reason);
                    None
                }
                Err(Halt::State(error)) => {
                    // What exists is removed although its removal cannot be written down.
                    let _ = undo::remove(&self.world, state, None);
                    return Err(error.into());
                }
            };
            if let Some(outcome) = outcome {
                say(outcome.name());
                let seen = answers::evidence(&check.answers, &variables);
                let seconds = seconds_since(began, self.world.clock.now());
                state.results.insert(check.id.clone(), Record { outcome, seen, seconds });
                // The answer is written before the removal, which may take long.
                self.world.store.save(state)?;
            }
            undo::remove(&self.world, state, Some(&check.id))?;
            if let Some(reason) = stopped {
                say(&reason);
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    fn variables(&self, state: &RunState, check: &Check) -> Variables {
        let mut variables = state.settings.clone();
        let attempt = state.attempts.get(&check.id).copied().unwrap_or(1);
        // No name is used twice, because AWS keeps the names of some deleted things for a while.
        let number = state.selected.iter().position(|id| *id == check.id).unwrap_or_default();
        let prefix = format!("sv-{}-{number}-{attempt}", state.run);
        variables.insert("name".into(), prefix.replace('-', "_"));
        variables.insert("prefix".into(), prefix);
        variables.insert("ends".into(), state.ends.strftime("%FT%TZ").to_string());
        if let Some(identity) = state.accounts.get(&Role::Target).or(state.accounts.values().next()) {
            variables.insert("region".into(), identity.region.clone());
            variables.insert("partition".into(), identity.partition.clone());
        }
        for (role, identity) in &state.accounts {
            variables.insert(format!("account.{}", role.name()), identity.account.clone());
        }
        for stack in check.all_stacks() {
            for (name, value) in
                self.outputs.get(&stack).and_then(|outputs| outputs.as_ref().ok()).into_iter().flatten()
            {
                variables.entry(format!("{}.{name}", stack.name())).or_insert_with(|| value.clone());
            }
        }
        variables
    }

    /// Returns the result of a check that cannot be run.
    fn obstacle(
        &mut self,
        check: &Check,
        state: &RunState,
        unidentified: &BTreeMap<Role, String>,
    ) -> Option<Outcome> {
        let is_local = state.is_local();
        if let Some(reason) = check.needs_aws.as_ref().filter(|_| is_local) {
            return Some(Outcome::NeedsAws { reason: reason.clone() });
        }
        let not_run = |reason: String| Some(Outcome::NotRun { reason });
        if let Some(reason) = check.roles().iter().find_map(|role| unidentified.get(role)) {
            return not_run(reason.clone());
        }
        if let Some(effect) = check.caution.as_ref().filter(|_| !is_local && !state.named.contains(&check.id))
        {
            return not_run(format!("{effect}; name it to run it"));
        }
        if let Some((name, what)) =
            check.settings.iter().find(|(name, _)| !state.settings.contains_key(*name))
        {
            return not_run(format!("it needs --set {name}=VALUE: {what}"));
        }
        for stack in check.all_stacks() {
            if !self.outputs.contains_key(&stack) {
                let outputs = self.read_outputs(state, stack);
                self.outputs.insert(stack, outputs);
            }
            let prefix = format!("{}.", stack.name());
            match self.outputs.get(&stack) {
                Some(Err(reason)) => return not_run(reason.clone()),
                Some(Ok(outputs)) => {
                    let missing = check.names().into_iter().find(|name| {
                        let output = name.strip_prefix(&prefix);
                        output.is_some_and(|output| {
                            !outputs.contains_key(output) && !state.settings.contains_key(*name)
                        })
                    });
                    if let Some(name) = missing {
                        return not_run(format!(
                            "stack `{}` has no output `{}`",
                            self.accounts.stack(stack),
                            &name[prefix.len()..]
                        ));
                    }
                }
                None => {}
            }
        }
        None
    }

    fn read_outputs(&self, state: &RunState, stack: KitStack) -> Result<Variables, String> {
        let name = self.accounts.stack(stack);
        let query = "Stacks[0].[StackStatus,Outputs[].[OutputKey,OutputValue]]";
        let words = ["aws", "cloudformation", "describe-stacks", "--stack-name", &name, "--query", query];
        let ran = self.run(state, stack.role(), words.map(str::to_owned).to_vec(), Timestamp::MAX);
        if !ran.succeeded {
            return Err(format!(
                "it needs stack `{name}`: make deploy-{} ({})",
                stack.name(),
                refusal_of(&ran)
            ));
        }
        let (status, outputs): (String, Option<Vec<(String, String)>>) =
            serde_json::from_str(&output_of(&ran)).map_err(|_| format!("stack `{name}` cannot be read"))?;
        let usable =
            status.ends_with("_COMPLETE") && !status.starts_with("ROLLBACK") && status != "DELETE_COMPLETE";
        if usable {
            Ok(outputs.unwrap_or_default().into_iter().collect())
        } else {
            Err(format!("stack `{name}` is {status}"))
        }
    }

    fn report(&self, state: &RunState, checks: &[&Check], results: &BTreeMap<String, Record>) -> Report {
        let mut names: Vec<(String, String)> = Vec::new();
        for (role, identity) in &state.accounts {
            names.push((identity.account.clone(), format!("account of {}", role.name())));
            names.push((identity.profile.clone(), format!("profile of {}", role.name())));
        }
        names.extend(state.settings.iter().map(|(name, value)| (value.clone(), name.clone())));
        for (stack, outputs) in &self.outputs {
            let outputs = outputs.as_ref().ok().into_iter().flatten();
            names.extend(outputs.map(|(name, value)| (value.clone(), format!("{}.{name}", stack.name()))));
            let name = self.accounts.stack(*stack);
            names.push((name, format!("stack {}", stack.name())));
        }
        Report::build(checks, results, state.is_local(), state.pending.len(), &Redactor::new(names))
    }
}

fn with_missing(state: &RunState, checks: &[&Check], reason: &str) -> BTreeMap<String, Record> {
    let mut results = state.results.clone();
    for check in checks {
        let missing = || Record::of(Outcome::NotRun { reason: reason.into() });
        results.entry(check.id.clone()).or_insert_with(missing);
    }
    results
}

fn seconds_since(began: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(began).as_secs()).unwrap_or_default()
}

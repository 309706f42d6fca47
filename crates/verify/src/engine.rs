//! Runs checks: plans, asks, runs the steps, removes what they made, and records the answers.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    accounts::{Accounts, KitStack, Role},
    answers,
    catalog::{Catalog, CatalogError, Check},
    money::Usd,
    plan::{Limits, Plan},
    ports::{Clock, Operator, Ran, Runner, Store},
    redact::Redactor,
    report::{Outcome, Record, Report},
    state::{Identity, Removal, RemovalCommand, RunState, StateError},
    step::{Action, Step},
    text::{TextError, Variables, warehouse_options},
    undo,
};

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

    /// Runs the steps of a check. The variables come back with every result.
    fn run_check(&self, state: &mut RunState, check: &Check) -> (Result<Outcome, Halt>, Variables) {
        let mut variables = self.variables(state, check);
        let result = self.run_steps(state, check, &mut variables);
        (result, variables)
    }

    fn run_steps(
        &self,
        state: &mut RunState,
        check: &Check,
        variables: &mut Variables,
    ) -> Result<Outcome, Halt> {
        for (name, contents) in &check.files {
            // Names of files are unique per check, so that no check reads the file of another one.
            let path = self.world.store.place(&format!("{}.{name}", check.id), contents)?;
            variables.insert(format!("file.{name}"), path);
        }
        for (number, step) in check.steps.iter().enumerate() {
            self.write_down(state, check, step, variables)?;
            self.run_step(state, step, variables).map_err(|halt| match halt {
                Halt::Failed(reason) => Halt::Failed(format!("step {}: {reason}", number + 1)),
                other => other,
            })?;
        }
        Ok(match answers::choose(&check.answers, variables)? {
            None => Outcome::Failed { reason: "none of the expected answers fits what was seen".into() },
            Some(answer) => match &answer.change {
                None => Outcome::AsAssumed { answer: answer.text.clone() },
                Some(change) => Outcome::Other { answer: answer.text.clone(), change: change.clone() },
            },
        })
    }

    /// Writes down how to remove what a step makes, before it makes it.
    fn write_down(
        &self,
        state: &mut RunState,
        check: &Check,
        step: &Step,
        variables: &Variables,
    ) -> Result<(), Halt> {
        if step.undo.is_empty() {
            return Ok(());
        }
        let mut known = variables.clone();
        known.insert("found".into(), "${found}".into());
        let mut commands = Vec::new();
        for undo in &step.undo {
            let fill = |line: &crate::text::CommandLine| -> Result<Vec<String>, Halt> {
                Ok(self.complete(state, step.role, line.fill(&known)?))
            };
            let find = undo.find.as_ref().map(fill).transpose()?;
            commands.push(RemovalCommand { find, run: fill(&undo.run)?, within: undo.within });
        }
        state.pending.push(Removal { check: check.id.clone(), commands, failure: None });
        self.world.store.save(state)?;
        Ok(())
    }

    fn run_step(&self, state: &RunState, step: &Step, variables: &mut Variables) -> Result<(), Halt> {
        let clock = self.world.clock;
        let began = clock.now();
        let seconds = i64::try_from(step.within).unwrap_or(i64::MAX);
        let deadline = began.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        loop {
            self.expect_time(state)?;
            let attempt = self.attempt(state, step, variables, deadline)?;
            self.expect_time(state)?;
            let refused = !attempt.refusal.is_empty();
            if refused && step.error.is_none() && step.until.is_empty() {
                return Err(Halt::Failed(attempt.refusal));
            }
            for (name, value) in [(&step.capture, &attempt.output), (&step.error, &attempt.refusal)] {
                if let Some(name) = name {
                    variables.insert(name.clone(), value.clone());
                }
            }
            if let Some(name) = &step.seconds {
                variables.insert(name.clone(), seconds_since(began, clock.now()).to_string());
            }
            let mut holds = !refused || step.error.is_some();
            for condition in &step.until {
                holds = holds && condition.holds(&attempt.output, variables)?;
            }
            if holds {
                return Ok(());
            }
            if clock.now() >= deadline {
                // A refusal says nothing about whether the condition holds.
                if step.may_miss && !(refused && step.error.is_none()) {
                    return Ok(());
                }
                let last = if refused { attempt.refusal } else { attempt.output };
                let within = step.within;
                return Err(Halt::Failed(format!(
                    "its condition did not hold within {within} s; last: {last}"
                )));
            }
            clock.sleep(Duration::from_secs(step.every));
        }
    }

    fn expect_time(&self, state: &RunState) -> Result<(), Halt> {
        if self.world.operator.wants_to_stop() {
            return Err(Halt::Stopped("stopped by the operator".into()));
        }
        if self.world.clock.now() >= state.ends {
            return Err(Halt::Stopped("the end time of the run came".into()));
        }
        Ok(())
    }

    fn attempt(
        &self,
        state: &RunState,
        step: &Step,
        variables: &Variables,
        deadline: Timestamp,
    ) -> Result<Attempt, Halt> {
        match &step.action {
            Action::Run(line) => {
                let ran = self.run(state, step.role, line.fill(variables)?, deadline);
                Ok(Attempt {
                    output: output_of(&ran),
                    refusal: if ran.succeeded { String::new() } else { refusal_of(&ran) },
                })
            }
            Action::Ask(question) => match self.world.operator.ask(&question.fill(variables)?) {
                Some(yes) => {
                    Ok(Attempt { output: if yes { "yes" } else { "no" }.into(), refusal: String::new() })
                }
                None => Err(Halt::Failed("it needs the answer of an operator; run it in a terminal".into())),
            },
            Action::Sql(statement) => {
                self.query(state, step.role, &statement.fill(variables)?, variables, deadline)
            }
        }
    }

    /// Runs a statement with the Data API. Its output is the list of rows.
    fn query(
        &self,
        state: &RunState,
        role: Role,
        sql: &str,
        variables: &Variables,
        deadline: Timestamp,
    ) -> Result<Attempt, Halt> {
        let call = |words: &[&str]| {
            let words = ["aws", "redshift-data"].iter().chain(words).map(|word| (*word).to_owned()).collect();
            let ran = self.run(state, role, words, deadline);
            if ran.succeeded { Ok(output_of(&ran)) } else { Err(refusal_of(&ran)) }
        };
        let refused = |refusal: String| Ok(Attempt { output: String::new(), refusal });
        let options = warehouse_options(variables);
        let mut words = vec!["execute-statement", "--sql", sql, "--query", "Id"];
        words.extend(options.iter().map(String::as_str));
        let id = match call(&words) {
            Ok(id) => id,
            Err(refusal) => return refused(refusal),
        };
        loop {
            let state_of =
                match call(&["describe-statement", "--id", &id, "--query", "[Status,Error,HasResultSet]"]) {
                    Ok(text) => text,
                    Err(refusal) => return refused(refusal),
                };
            let (status, error, has_rows): (String, Option<String>, Option<bool>) =
                serde_json::from_str(&state_of)
                    .map_err(|_| Halt::Failed(format!("DescribeStatement returned {state_of}")))?;
            match status.as_str() {
                "FINISHED" if has_rows == Some(true) => break,
                "FINISHED" => return Ok(Attempt::default()),
                "FAILED" | "ABORTED" => return refused(error.unwrap_or(status)),
                _ => {}
            }
            self.expect_time(state)?;
            if self.world.clock.now() >= deadline {
                let _ = call(&["cancel-statement", "--id", &id]);
                return refused(format!("the statement was {status} until the time was over"));
            }
            self.world.clock.sleep(Duration::from_secs(1));
        }
        match call(&["get-statement-result", "--id", &id, "--query", "Records"]) {
            Ok(records) => Ok(Attempt { output: rows(&records), refusal: String::new() }),
            Err(refusal) => refused(refusal),
        }
    }

    fn run(&self, state: &RunState, role: Role, words: Vec<String>, deadline: Timestamp) -> Ran {
        let words = self.complete(state, role, words);
        // The last attempt gets time to end, too; the end of the run abandons it.
        let left = deadline.duration_since(self.world.clock.now()).max(LEAST);
        let abandon = || self.world.operator.wants_to_stop() || self.world.clock.now() >= state.ends;
        self.world.runner.run(&words, left.unsigned_abs(), &abandon)
    }

    /// Adds profile, Region and endpoint to a command of the AWS CLI.
    fn complete(&self, state: &RunState, role: Role, words: Vec<String>) -> Vec<String> {
        match state.accounts.get(&role) {
            Some(identity) => with_identity(words, identity),
            None => words,
        }
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

    /// Finds the accounts of the checks' roles, and returns why some have none.
    fn identify(
        &self,
        state: &mut RunState,
        checks: &[&Check],
    ) -> Result<BTreeMap<Role, String>, EngineError> {
        let mut missing = BTreeMap::new();
        let mut found: BTreeMap<String, Result<Identity, String>> = BTreeMap::new();
        for role in
            Role::ALL.into_iter().filter(|role| checks.iter().any(|check| check.roles().contains(role)))
        {
            let profile = self.accounts.profile(role).to_owned();
            let identity = found.entry(profile.clone()).or_insert_with(|| self.identity(&profile));
            match identity {
                Ok(identity) => drop(state.accounts.insert(role, identity.clone())),
                Err(reason) => drop(missing.insert(role, reason.clone())),
            }
        }
        let endpoints: Vec<_> =
            state.accounts.values().map(|identity| identity.endpoint.as_deref()).collect();
        let local = |endpoint: &str| {
            let host = endpoint.strip_prefix("http://").unwrap_or_default();
            ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
                host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
            })
        };
        if let Some(strange) =
            endpoints.iter().flatten().find(|endpoint| !local(endpoint) || endpoints.contains(&None))
        {
            return Err(EngineError::Endpoint((*strange).to_owned()));
        }
        Ok(missing)
    }

    fn identity(&self, profile: &str) -> Result<Identity, String> {
        let run = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            self.world.runner.run(&words, Duration::from_secs(60), &|| self.world.operator.wants_to_stop())
        };
        let configured = |name: &str| {
            let ran = run(&["aws", "configure", "get", name, "--profile", profile]);
            Some(ran.stdout.trim().to_owned()).filter(|value| ran.succeeded && !value.is_empty())
        };
        let region = self.region.clone().or_else(|| configured("region"));
        let region = region.ok_or_else(|| format!("profile `{profile}` has no Region; set AWS_REGION"))?;
        let endpoint = self.endpoint.clone().or_else(|| configured("endpoint_url"));
        let mut identity = Identity {
            profile: profile.into(),
            account: String::new(),
            partition: String::new(),
            region,
            endpoint,
        };
        let words =
            ["aws", "sts", "get-caller-identity", "--query", "[Account,Arn]"].map(str::to_owned).to_vec();
        let ran = self.world.runner.run(&with_identity(words, &identity), Duration::from_secs(60), &|| false);
        let refused =
            || format!("profile `{profile}` cannot say which account it belongs to: {}", refusal_of(&ran));
        let (account, arn): (String, String) =
            serde_json::from_str(&output_of(&ran)).ok().filter(|_| ran.succeeded).ok_or_else(refused)?;
        identity.account = account;
        identity.partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(identity)
    }

    /// Refuses to go on when a profile means another account than before: removals would look for
    /// the resources in the wrong place and find nothing.
    fn expect_same_accounts(&self, state: &RunState) -> Result<(), EngineError> {
        for before in state.accounts.values() {
            let now = self.identity(&before.profile);
            let same = now.as_ref().is_ok_and(|now| {
                (&now.account, &now.region, &now.endpoint)
                    == (&before.account, &before.region, &before.endpoint)
            });
            if !same {
                let (found, region) =
                    now.map_or_else(|reason| (reason, String::new()), |now| (now.account, now.region));
                let expected = format!("{} in {}", before.account, before.region);
                return Err(EngineError::OtherAccount {
                    profile: before.profile.clone(),
                    expected,
                    found,
                    region,
                });
            }
        }
        Ok(())
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

fn with_identity(mut words: Vec<String>, identity: &Identity) -> Vec<String> {
    if words.first().is_some_and(|program| program == "aws") {
        let options = ["--profile", &identity.profile, "--region", &identity.region, "--output", "json"];
        words.extend(options.map(str::to_owned));
        if let Some(endpoint) = &identity.endpoint {
            words.extend(["--endpoint-url".to_owned(), endpoint.clone()]);
        }
    }
    words
}

fn seconds_since(began: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(began).as_secs()).unwrap_or_default()
}

/// Returns the rows of a statement's result as lists of plain values.
fn rows(records: &str) -> String {
    let Ok(records) = serde_json::from_str::<Vec<Vec<serde_json::Map<String, serde_json::Value>>>>(records)
    else {
        return records.into();
    };
    let value = |field: serde_json::Map<String, serde_json::Value>| match field.into_iter().next() {
        Some((kind, _)) if kind == "isNull" => serde_json::Value::Null,
        Some((_, value)) => value,
        None => serde_json::Value::Null,
    };
    let rows: Vec<Vec<_>> = records.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
    serde_json::Value::from(rows.into_iter().map(serde_json::Value::from).collect::<Vec<_>>()).to_string()
}

/// Returns the output of a command: the text of a JSON string, nothing for null, other JSON in one
/// line, other text without the blanks around it.
pub(crate) fn output_of(ran: &Ran) -> String {
    match serde_json::from_str::<serde_json::Value>(&ran.stdout) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null) => String::new(),
        Ok(value) => value.to_string(),
        Err(_) => ran.stdout.trim().to_owned(),
    }
}

/// Returns `CODE: message` of a refusal by AWS, or else the last line that the command wrote.
pub(crate) fn refusal_of(ran: &Ran) -> String {
    let text = ran.stderr.trim();
    if let Some((_, rest)) = text.split_once("An error occurred (")
        && let Some((code, rest)) = rest.split_once(')')
    {
        let message = rest.split_once(": ").map_or("", |(_, message)| message);
        return format!("{code}: {}", message.lines().collect::<Vec<_>>().join(" "));
    }
    let last = |text: &str| {
        text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    };
    last(text).or_else(|| last(&ran.stdout)).unwrap_or_else(|| "the command failed without a message".into())
}

//! The steps of a check: commands, statements and waits.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::identity::with_identity;
use super::output::{output_of, refusal_of, rows};
use super::{Attempt, Engine, Halt, LEAST, seconds_since};
use crate::accounts::Role;
use crate::answers;
use crate::catalog::Check;
use crate::ports::Ran;
use crate::report::Outcome;
use crate::state::{Removal, RemovalCommand, RunState};
use crate::step::{Action, Step};
use crate::text::{Variables, warehouse_options};

impl Engine<'_> {
    /// Runs the steps of a check. The variables come back with every result.
    pub(super) fn run_check(
        &self,
        state: &mut RunState,
        check: &Check,
    ) -> (Result<Outcome, Halt>, Variables) {
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

    pub(super) fn run(&self, state: &RunState, role: Role, words: Vec<String>, deadline: Timestamp) -> Ran {
        let words = self.complete(state, role, words);
        // The last attempt gets time to end, too; the end of the run abandons it.
        let left = deadline.duration_since(self.world.clock.now()).max(LEAST);
        let abandon = || self.world.operator.wants_to_stop() || self.world.clock.now() >= state.ends;
        self.world.runner.run(&words, left.unsigned_abs(), &abandon)
    }

    /// Adds profile, Region and endpoint to a command of the AWS CLI.
    pub(super) fn complete(&self, state: &RunState, role: Role, words: Vec<String>) -> Vec<String> {
        match state.accounts.get(&role) {
            Some(identity) => with_identity(words, identity),
            None => words,
        }
    }
}

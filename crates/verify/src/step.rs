//! The steps of a check.

use serde::Deserialize;

use crate::{
    accounts::Role,
    answers::Condition,
    text::{CommandLine, Text},
};

/// One step: an action, how often it is repeated, what is kept of it, and how it is undone.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawStep")]
pub struct Step {
    /// The action.
    pub action: Action,
    /// The account that it runs in.
    pub role: Role,
    /// The seconds after which it is given up.
    pub within: u64,
    /// The seconds between two attempts.
    pub every: u64,
    /// The conditions until which it is repeated; none runs it once.
    pub until: Vec<Condition>,
    /// Continues when the conditions do not hold in time, because that is an answer too.
    pub may_miss: bool,
    /// The variable that gets the output, or an empty text where the action was refused.
    pub capture: Option<String>,
    /// The variable that gets `CODE: message` of a refusal, or an empty text. Without one, a
    /// refusal fails the check.
    pub error: Option<String>,
    /// The variable that gets the seconds which the step took.
    pub seconds: Option<String>,
    /// The commands that remove what the step made, in their order.
    pub undo: Vec<Undo>,
}

/// The action of a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// A command.
    Run(CommandLine),
    /// A statement, which the Data API runs on the warehouse of the kit's stack.
    Sql(Text),
    /// A question to the operator, whose answer is `yes` or `no`.
    Ask(Text),
}

/// A command that removes something.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// A command whose output lists what is to be removed; `run` runs for each item, `${found}`.
    pub find: Option<CommandLine>,
    /// The command. It has succeeded as well when AWS answers that the thing does not exist.
    pub run: CommandLine,
    /// The seconds for which it is repeated while it fails.
    #[serde(default = "default_within")]
    pub within: u64,
}

fn default_within() -> u64 {
    120
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStep {
    run: Option<CommandLine>,
    sql: Option<Text>,
    ask: Option<Text>,
    #[serde(rename = "as")]
    role: Option<Role>,
    #[serde(default = "default_within")]
    within: u64,
    #[serde(default = "default_every")]
    every: u64,
    #[serde(default)]
    until: Vec<Condition>,
    #[serde(default)]
    may_miss: bool,
    capture: Option<String>,
    error: Option<String>,
    seconds: Option<String>,
    #[serde(default)]
    undo: Vec<Undo>,
}

fn default_every() -> u64 {
    5
}

impl TryFrom<RawStep> for Step {
    type Error = String;

    fn try_from(raw: RawStep) -> Result<Self, String> {
        let action = match (raw.run, raw.sql, raw.ask) {
            (Some(line), None, None) => Action::Run(line),
            (None, Some(statement), None) => Action::Sql(statement),
            (None, None, Some(question)) => Action::Ask(question),
            _ => return Err("a step has exactly one of run, sql and ask".into()),
        };
        if raw.may_miss && raw.until.is_empty() {
            return Err("may-miss without until has no effect".into());
        }
        if raw.every == 0 || raw.within == 0 {
            return Err("every and within are at least one second".into());
        }
        if matches!(action, Action::Ask(_)) && raw.capture.is_none() {
            return Err("a question without capture has no effect".into());
        }
        Ok(Self {
            action,
            role: raw.role.unwrap_or(Role::Target),
            within: raw.within,
            every: raw.every,
            until: raw.until,
            may_miss: raw.may_miss,
            capture: raw.capture,
            error: raw.error,
            seconds: raw.seconds,
            undo: raw.undo,
        })
    }
}

impl Step {
    /// Returns the names of the variables that the action needs.
    pub fn names(&self) -> Vec<&str> {
        match &self.action {
            Action::Run(line) => line.names().into_iter().collect(),
            Action::Sql(text) | Action::Ask(text) => text.names().into_iter().collect(),
        }
    }

    /// Returns the names of the variables that it sets.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        [&self.capture, &self.error, &self.seconds].into_iter().flatten().map(String::as_str)
    }
}

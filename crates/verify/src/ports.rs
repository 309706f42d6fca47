//! The outside world, as traits: commands, time, files, and the operator.

use std::time::Duration;

use jiff::Timestamp;

use crate::state::{RunState, StateError};

/// Runs commands.
pub trait Runner {
    /// Runs a command until it ends, `limit` is over or `abandon` returns true, and then ends it
    /// with everything that it started.
    fn run(&self, words: &[String], limit: Duration, abandon: &dyn Fn() -> bool) -> Ran;
}

/// The end of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Exit status 0.
    pub succeeded: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error, or why it could not run to its end.
    pub stderr: String,
}

/// The time.
pub trait Clock {
    /// Returns the time.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The place of the run's state and files.
pub trait Store {
    /// Returns the state of a run that has not ended.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&self) -> Result<Option<RunState>, StateError>;

    /// Replaces the state. When it returns, the state survives the end of this process.
    ///
    /// # Errors
    /// It cannot be written.
    fn save(&self, state: &RunState) -> Result<(), StateError>;

    /// Removes the state of a run of which nothing is left, and its files.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove(&self) -> Result<(), StateError>;

    /// Writes a file for the commands of a check and returns its path.
    ///
    /// # Errors
    /// It cannot be written.
    fn place(&self, name: &str, contents: &str) -> Result<String, StateError>;
}

/// The person at the terminal.
pub trait Operator {
    /// Prints a line.
    fn say(&self, line: &str);
    /// Returns the answer to a question with yes or no; `None` if nobody can answer.
    fn ask(&self, question: &str) -> Option<bool>;
    /// Returns true once the operator wants to stop (Ctrl-C).
    fn wants_to_stop(&self) -> bool;
}

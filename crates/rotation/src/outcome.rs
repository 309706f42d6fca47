//! The result of a step, of an action, and of a call that changes the secret.

/// The result of something that may run more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// This run made the change.
    Done,
    /// There was nothing to change, for example because an earlier run had made the change.
    NothingToDo,
    /// The change is not possible now, for this reason. A later run makes it.
    Postponed(&'static str),
}

impl StepOutcome {
    /// Returns the name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NothingToDo => "nothing to do",
            Self::Postponed(_) => "postponed",
        }
    }
}

//! What can go wrong while the local cloud is set up, started or used.

use std::{io, path::PathBuf, time::Duration};

/// A failure, in one sentence that says what to do about it where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that must come from the distribution is not there.
    #[error("{what} was not found; {remedy}")]
    Missing {
        /// What was looked for.
        what: String,
        /// What to install or set.
        remedy: String,
    },
    /// The file system or the operating system refused.
    #[error("could not {action}")]
    Io {
        /// What was tried, with the path.
        action: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// No port was free for the gateway.
    #[error("the gateway has no port")]
    Port(#[from] local_ports::NoFreePort),
    /// A command ended with something else than success.
    #[error("`{command}` ended with {status}: {last_line}")]
    Command {
        /// The command as one would type it, shortened.
        command: String,
        /// Exit status or signal.
        status: String,
        /// The last line that it wrote, which is where most programs say what was wrong.
        last_line: String,
    },
    /// A part of the local cloud did not come up, or ended.
    #[error("{part} {what}; its log is {log}{last_line}")]
    Start {
        /// The gateway or the stand-in for Redshift.
        part: &'static str,
        /// What was seen.
        what: String,
        /// Where its output is.
        log: PathBuf,
        /// The end of the log, with a separator in front, or nothing.
        last_line: String,
    },
    /// A condition did not come true in time.
    #[error("waited {} s for {what}; last seen: {seen}", waited.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// What was there instead.
        seen: String,
        /// For how long.
        waited: Duration,
    },
    /// An operation on a stack did not end well.
    #[error("stack {stack} is {status}: {reason}")]
    Stack {
        /// Name or id of the stack.
        stack: String,
        /// Its status.
        status: String,
        /// The first failed resource, its status and its reason.
        reason: String,
    },
    /// The gateway answered a call with an error.
    #[error(transparent)]
    Aws(#[from] crate::aws::AwsError),
}

impl Error {
    /// For `map_err`: names what was tried.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// The whole chain of causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

//! Errors of the local cloud.

use std::{io, path::PathBuf, time::Duration};

/// An error, with the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that must come from the distribution is not there.
    #[error("{what} was not found; {remedy}")]
    Missing {
        /// The program.
        what: String,
        /// The package to install, or the variable to set.
        remedy: String,
    },
    /// An operation of the file system or the operating system failed.
    #[error("could not {action}")]
    Io {
        /// The operation, with its path.
        action: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// No port was free for the gateway.
    #[error("the gateway has no port")]
    Port(#[from] local_ports::NoFreePort),
    /// A command failed.
    #[error("`{command}` ended with {status}: {last_line}")]
    Command {
        /// The command line, shortened.
        command: String,
        /// Exit status or signal.
        status: String,
        /// The last line that it wrote, which is the error in most programs.
        last_line: String,
    },
    /// A part of the local cloud did not start, or ended.
    #[error("{part} {what}; its log is {log}{last_line}")]
    Start {
        /// The gateway or the stand-in for Redshift.
        part: &'static str,
        /// The observed failure.
        what: String,
        /// The file with its output.
        log: PathBuf,
        /// The end of the log with a separator in front, or empty.
        last_line: String,
    },
    /// A condition did not come true in time.
    #[error("waited {} s for {what}; last seen: {seen}", waited.as_secs())]
    Timeout {
        /// The condition.
        what: String,
        /// The state that was last observed.
        seen: String,
        /// The time waited.
        waited: Duration,
    },
    /// An operation on a stack failed.
    #[error("stack {stack} is {status}: {reason}")]
    Stack {
        /// Name or id of the stack.
        stack: String,
        /// Its status.
        status: String,
        /// The first failed resource, its status and its reason.
        reason: String,
    },
    /// Requests of deployed functions, or the answers to them, differ from AWS's service models.
    #[error(
        "requests of deployed functions, or the local cloud's answers, differ from AWS's service models \
         (local/ministack/README.md, \"Contracts\"):\n  {}",
        breaches.join("\n  ")
    )]
    Contracts {
        /// One sentence for each difference.
        breaches: Vec<String>,
    },
    /// A call of the gateway failed.
    #[error(transparent)]
    Aws(#[from] crate::aws::AwsError),
}

impl Error {
    /// Returns a closure for `map_err` that names the operation.
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

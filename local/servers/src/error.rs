//! Errors of servers.

use std::path::Path;

/// An error of the setup, start or use of a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The programs are not installed.
    #[error(
        "{name} was not found {places} (looked for {programs}): install it, for example with `{install}`"
    )]
    NotInstalled {
        /// The server's name.
        name: &'static str,
        /// The searched places, such as "on PATH".
        places: &'static str,
        /// The programs.
        programs: &'static str,
        /// A command that installs it.
        install: &'static str,
    },
    /// Running as root, and none of the users that the server could run as exists.
    #[error("running as root, but none of the users {0} exists; the server refuses to run as root")]
    NoUser(String),
    /// No port was free.
    #[error("the server has no port")]
    Port(#[from] local_ports::NoFreePort),
    /// A file operation failed.
    #[error("{what}: {path}: {source}")]
    File {
        /// The operation.
        what: &'static str,
        /// Its path.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A program could not be started, or failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// The end of its output, or the reason why it did not start.
        output: String,
    },
    /// The server did not become ready.
    #[error("{name} did not accept connections within {seconds} s; the end of its log: {log}")]
    NotReady {
        /// The server's name.
        name: &'static str,
        /// The time waited.
        seconds: u64,
        /// Its last lines.
        log: String,
    },
    /// SQL failed.
    #[error("{}", crate::postgres::describe_error(.0))]
    Sql(#[from] tokio_postgres::Error),
    /// The certificate could not be made.
    #[error("the server certificate could not be made")]
    Certificate(#[from] rcgen::Error),
}

impl ServerError {
    pub(crate) fn file(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { what, path: path.display().to_string(), source }
    }
}

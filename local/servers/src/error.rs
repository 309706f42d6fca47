//! What can go wrong with a server.

use std::path::Path;

/// Why a server could not be set up, started or reached.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No programs.
    #[error(
        "{name} was not found {places} (looked for {programs}): install it, for example with `{install}`"
    )]
    NotInstalled {
        /// The server's name.
        name: &'static str,
        /// Where was looked: "on PATH".
        places: &'static str,
        /// What was looked for.
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
        /// What was being done.
        what: &'static str,
        /// With which path.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program could not be run or answered with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// The tail of its output, or why it did not start.
        output: String,
    },
    /// The server did not become ready.
    #[error("{name} did not accept connections within {seconds} s; the end of its log: {log}")]
    NotReady {
        /// The server's name.
        name: &'static str,
        /// How long was waited.
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

//! Real PostgreSQL servers for the local cloud and for tests: found, started without root, with TLS, stopped with their owner.

mod binaries;
mod connect;
mod server;
mod spawn;
mod template;
mod tls;

pub use binaries::Binaries;
pub use connect::{Login, connect, describe_error, kill_sessions};
pub use server::{Flavour, PostgresKit, Server};

/// Why PostgreSQL could not be set up, started or reached.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No binaries.
    #[error(
        "PostgreSQL was not found on PATH nor under /usr/lib/postgresql/*/bin (looked for {0}): install it, for example \
         with `apt-get install postgresql`"
    )]
    NotInstalled(&'static str),
    /// Neither `postgres` nor `nobody` exists.
    #[error(
        "running as root, but neither the user postgres nor nobody exists; PostgreSQL refuses to run as root"
    )]
    NoUser,
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
    #[error("PostgreSQL did not accept connections within {seconds} s; the end of its log: {log}")]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// Its last lines.
        log: String,
    },
    /// SQL failed.
    #[error("{}", connect::describe_error(.0))]
    Sql(#[from] tokio_postgres::Error),
    /// The certificate could not be made.
    #[error("the server certificate could not be made")]
    Certificate(#[from] rcgen::Error),
}

impl PostgresError {
    fn file(what: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { what, path: path.display().to_string(), source }
    }
}

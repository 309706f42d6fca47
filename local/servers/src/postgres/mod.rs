//! PostgreSQL.

mod binaries;
mod connect;
mod server;
mod template;

pub use binaries::{Binaries, NOT_INSTALLED};
pub use connect::{Login, connect, describe_error, kill_sessions};
pub use server::{Flavour, PostgresKit, Server};

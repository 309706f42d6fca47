//! MariaDB, and MySQL where it has been fetched.

mod binaries;
mod server;

pub use binaries::{Brand, Programs};
pub use server::Server;

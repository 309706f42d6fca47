//! Users of real servers of MariaDB and MySQL rotated by the engine: with faults, with odd names,
//! with every plugin, and what the servers log.
//!
//! MySQL is not in every distribution; `scripts/fetch-mysql` puts it where these tests look.

// The counts are printed: they are part of the proof.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod barred;
mod cutting;
mod drills;
mod input;
mod logs;
mod names;
mod old_passwords;
mod other_user;
mod plugins;
mod target;

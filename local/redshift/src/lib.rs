//! The stand-in for Amazon Redshift on real PostgreSQL.
//!
//! The README of this folder lists what it imitates, with source and test. Behaviour of Redshift
//! that is not documented is rejected by name, not guessed.
//!
//! [`http::router`] serves the APIs `redshift`, `redshift-data` and `redshift-serverless` as the
//! gateway forwards them; [`app::App`] holds the state.

pub mod answer;
pub mod app;
pub mod arn;
pub(crate) mod assume_role;
pub mod auto_copy;
pub mod caller;
pub mod control;
pub(crate) mod credentials;
pub mod data_api;
pub mod gateway;
pub mod http;
pub(crate) mod jobs;
pub(crate) mod load;
pub mod loading;
pub mod query;
pub mod serverless;
pub mod sql;
pub mod world;

/// Writes an error that no client receives to standard error.
#[expect(clippy::print_stderr, reason = "the process's log is its standard error")]
pub(crate) fn report(message: &str) {
    eprintln!("sluice-redshift: {message}");
}

//! The stand-in for Amazon Redshift on real PostgreSQL.
//!
//! What it imitates, from which source and proved by which test stands in the README of this folder. What Redshift does and
//! its documentation does not say is refused by name, never guessed.
//!
//! [`http::router`] serves the APIs `redshift`, `redshift-data` and `redshift-serverless` as the gateway forwards them;
//! [`app::App`] holds the state.

pub mod answer;
pub mod app;
pub mod arn;
pub mod auto_copy;
pub mod caller;
pub mod control;
pub(crate) mod credentials;
pub mod data_api;
pub mod gateway;
pub mod http;
pub(crate) mod jobs;
pub(crate) mod load;
pub mod query;
pub mod serverless;
pub mod sql;
pub mod world;

/// Says on standard error what no client will see.
#[expect(clippy::print_stderr, reason = "the process's log is its standard error")]
pub(crate) fn report(message: &str) {
    eprintln!("sluice-redshift: {message}");
}

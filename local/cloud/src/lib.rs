//! The local cloud: everything that Sluice deploys, on one machine and without AWS.
//!
//! [`Cloud::start`] starts the gateway (MiniStack with our extension) and the stand-in for Amazon
//! Redshift on free ports and waits until both serve. A [`Cloud`] has the endpoint, AWS profiles
//! for three accounts, commands to run `aws` and `sam` against it, and a small HTTP client for
//! tests, [`aws::Account`]. Everything that was started ends when the value is dropped, and also
//! when the process is killed.

pub mod aws;
mod cloud;
pub mod deploy;
mod error;
pub mod functions;
pub mod inbox;
mod janitor;
pub mod kit;
pub mod process;
mod profiles;
pub mod setup;
pub mod sql;
pub mod stacks;
pub mod wait;
pub mod workspace;

pub use cloud::{Clock, Cloud, OnBreach, Options, Stopper};
pub use error::Error;
pub use profiles::{CLEARED, Profile, REGION, SECOND, SOURCE, TARGET};

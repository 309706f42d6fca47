//! Rotation of credentials in AWS Secrets Manager.
//!
//! Secrets Manager calls a function four times: `createSecret`, `setSecret`, `testSecret`, `finishSecret`. [`machine`] is what these four
//! steps do, whatever the credential is for; [`target::Target`] is what differs. [`passwords::Passwords`] is the target for users with a password, on
//! whatever [`engine::Engine`]: to log in and to change a password is all that an engine knows. Every step may
//! be called twice, or again after it died at any call, and comes to the same end. At every moment the credential of some
//! version logs in; after `finishSecret` it is that of AWSCURRENT.
//!
//! Sources: "Lambda rotation functions" and "Rotation by Lambda function" of the Secrets Manager user guide.

pub mod action;
mod address;
pub mod audit;
pub mod config;
pub mod document;
pub mod engine;
pub mod engines;
pub mod error;
pub mod event;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
mod jaas;
#[cfg(feature = "api-key")]
pub mod keys;
pub mod machine;
#[cfg(feature = "msk")]
pub mod msk;
pub mod password;
pub mod passwords;
pub mod repair;
mod retire;
pub mod retry;
pub mod run;
pub mod target;
pub mod versions;

pub use run::run;

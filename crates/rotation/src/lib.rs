//! Rotation of credentials in AWS Secrets Manager.
//!
//! Secrets Manager calls a function four times: `createSecret`, `setSecret`, `testSecret`, `finishSecret`. [`machine`] is what these four
//! steps do, whatever the engine; [`engine::Engine`] is what differs: to log in with a credential and to change one. Every step may
//! be called twice, or again after it died at any call, and comes to the same end. At every moment the credential of some
//! version logs in; after `finishSecret` it is that of AWSCURRENT.
//!
//! Sources: "Lambda rotation functions" and "Rotation by Lambda function" of the Secrets Manager user guide.

pub mod audit;
pub mod config;
pub mod document;
pub mod engine;
pub mod engines;
pub mod error;
pub mod event;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
pub mod machine;
pub mod password;
pub mod retry;
pub mod run;
pub mod versions;

pub use run::run;

//! Rotation of credentials in AWS Secrets Manager.
//!
//! Secrets Manager invokes a rotation function once for each of four steps: `createSecret`,
//! `setSecret`, `testSecret`, `finishSecret`. Every step may be sent twice, or again after the
//! function crashed in any call, and has the same result. At every moment the server accepts the
//! credential of some version; after `finishSecret` it accepts that of AWSCURRENT.
//!
//! # A walk through one step
//!
//! 1. A function's `main` calls [`run()`] with the calls to Secrets Manager
//!    ([`versions::SecretsManager`]) and a rotator, both created from the environment ([`config`]).
//! 2. [`run::handle`] reads the event: a step ([`event::RotationEvent`]), an action outside of a
//!    rotation ([`action::ActionEvent`]), or an examination by the repair tool ([`repair`]).
//! 3. [`machine::Machine`] runs the step. It is the same for every credential: it checks the
//!    version's labels, reads the values and moves AWSCURRENT.
//! 4. The rotator ([`rotator::CredentialRotator`]) does what differs. [`passwords::Passwords`]
//!    changes a user's password on an [`engine::Engine`]: one of [`engines`]. `keys` creates and
//!    revokes API keys over HTTPS; `msk` is for Amazon MSK, whose brokers read the secret
//!    themselves.
//! 5. [`audit::Record`] writes the log line and the metrics. An error ([`error::RotationError`])
//!    has a public name that alarms and runbooks refer to.
//!
//! To add an engine, implement [`engine::Engine`] in a module of [`engines`], with a Cargo feature
//! of its name, and add a function beside `functions/rotate-postgres`.
//!
//! Sources: "Lambda rotation functions" and "Rotation by Lambda function" of the Secrets Manager
//! user guide.

pub mod action;
pub mod audit;
pub mod config;
pub mod document;
mod embedded;
pub mod engine;
pub mod engines;
pub mod error;
pub mod event;
pub mod invocation;
#[cfg(feature = "api-key")]
pub mod keys;
pub mod machine;
#[cfg(feature = "msk")]
pub mod msk;
mod new_password;
pub mod outcome;
pub mod password;
pub mod passwords;
pub mod pending;
pub mod repair;
mod retire;
pub mod retry;
pub mod rotator;
pub mod run;
pub mod versions;

pub use run::run;

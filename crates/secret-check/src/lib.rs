//! The check of the secrets in an account and Region, or in many of them ([`accounts`]).
//!
//! One listing of all secrets has most of the data ([`rules::evaluate`]). A secret is read again only if
//! that could change the result: for the age of a pending version, the state of replicas, or the time of
//! deletion. 10,000 secrets need 100 calls and those few. The check never reads the value of a secret.
//!
//! The rules build incidents; [`alerts::Notifier::reconcile`] decides what is notified.
//!
//! Sources: ListSecrets, DescribeSecret and ListSecretVersionIds in the API model of Secrets Manager;
//! "Rotation schedules" and "Troubleshoot rotation" of its user guide.

pub mod accounts;
pub mod adapter;
pub mod check;
pub mod rules;
pub mod secret;

pub use check::{CheckError, Findings, Summary, check};

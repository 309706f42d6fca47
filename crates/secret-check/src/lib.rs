//! What is wrong with the secrets of an account and Region, and of many of them ([`places`]).
//!
//! One listing of all secrets says most of it ([`rules::judge`]); a secret is asked for more only where that could change the judgement: when a version was made
//! that is pending for longer than it should, what became of its replicas, when it will be deleted. 10^4 secrets are 100 calls and those few.
//! A check keeps its findings until it is over, and no value of a secret is ever read. [`check_and_tell`] makes incidents of them.
//!
//! Sources: ListSecrets, DescribeSecret and ListSecretVersionIds in the API model of Secrets Manager; "Rotation schedules" and "Troubleshoot rotation" of its user guide.

pub mod adapter;
pub mod check;
pub mod finding;
mod incident;
pub mod places;
pub mod rules;
pub mod secret;
mod tell;

pub use check::{CheckError, Sink, Summary, check};
pub use tell::{Run, TellError, check_and_tell};

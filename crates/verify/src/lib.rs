//! The questions about AWS that public evidence does not settle, as checks that an operator runs in
//! real accounts (`make verify-aws`, docs/verify-aws.md).
//!
//! A check is data (`checks/*.yaml`): commands of the AWS CLI, the answers that are possible, and
//! the part of Sluice to change for each. [`catalog`] reads and validates the checks. [`engine`]
//! runs them: it writes down how to remove a resource ([`state`]) before it creates it, and removes
//! it after the check, after an interruption and at the end time. Commands, clock, state file and
//! operator are traits ([`ports`]), so that tests are deterministic and cost nothing.

pub mod accounts;
pub mod answers;
pub mod catalog;
pub mod engine;
pub mod money;
pub mod page;
pub mod plan;
pub mod ports;
pub mod process;
pub mod redact;
pub mod report;
pub mod state;
pub mod step;
pub mod text;
mod undo;

//! What became of every file that a copy job should have loaded.
//!
//! A schedule starts a batch of nine statements on Redshift's system views ([`Monitor::tick`]) and lists some pages of the buckets; the batch's completion event brings
//! the result ([`Monitor::completed`]). Nobody waits. What is known of each file is kept in a ledger that outlives the views, and every finding is told exactly once.
//!
//! * [`ports`]: what it needs from outside; [`adapters`]: those on AWS;
//! * [`finding`]: what it finds; [`incident`]: what people are told of it.
//!
//! **What is found**: files in error with line, column and cause; objects that are in the bucket and were never loaded; keys that were overwritten after their load; jobs
//! that are gone, inactive, without an integration or without AUTO; files that wait; jobs whose newest object waits longer than their limit; times of which
//! nothing is known; a reader that may not see other users' rows; statements that fail.
//!
//! **What is promised**: a run that is lost, late, repeated or beside another one misses nothing and tells nothing twice. Each finding has an id that
//! follows from what it is about. It is claimed in the ledger, told, and noted as told; marks move forward only when everything before them is told. A finding reaches
//! the announcer a second time only if a run died between the telling and the note, with the same id.
//!
//! **What is not judged**: objects that are older than the monitor's first sight of their job (the job may be younger than they are), and objects older than the ledger's memory.

pub mod adapters;
mod failures;
pub mod finding;
pub mod incident;
mod job_text;
mod jobs;
#[cfg(test)]
mod model;
mod monitor;
pub mod ports;
mod read;
mod remedy;
pub mod report;
mod rows;
pub mod settings;
mod sql;
mod standing;
mod start;
mod state;
mod sweep;

pub use lambda_kit::moment;
pub use monitor::{Monitor, MonitorError};
pub use sql::STATEMENTS_PER_RUN;
pub use start::{Completion, NAME_PREFIX};

//! The copy monitor: finds rejected files, files that are never loaded, overwritten objects, and
//! copy jobs that do not load.
//!
//! A schedule starts a batch of nine statements on Redshift's system views ([`Monitor::tick`]) and
//! lists some pages of the buckets. The batch's completion event brings the result
//! ([`Monitor::completed`]), so no invocation waits. A ledger keeps the load status of every file
//! for longer than the views do. The alert pipeline ([`alerts`]) gets everything that is found, and
//! knows what was notified.
//!
//! The parts, each of which uses only those above it:
//!
//! - `ports` and `adapters`: statements, buckets and ledger, and their implementations on AWS;
//! - `views`: the statements on the views, and their results as typed rows;
//! - `incidents` and `commands`: the alert of each problem;
//! - `rules`: from rows and state to incidents, without any call;
//! - `sweep` and `reading`: the run that lists the buckets, and the run that reads the views;
//! - `monitor`: starts runs and puts the parts together.
//!
//! A run that is lost, late, repeated or concurrent with another one misses nothing and notifies
//! nothing twice: the marks from where the next run reads move only after everything before them
//! was handed over to the alert pipeline, which records each event once.
//!
//! Not checked: objects that are older than the monitor's first run for their job, because the job
//! may be younger than they are, and objects that are older than the ledger's memory.

pub mod adapters;
mod alerting;
mod batch;
mod commands;
mod documents;
mod error;
mod incidents;
mod monitor;
pub mod ports;
mod reading;
pub mod report;
mod rules;
pub mod settings;
mod state;
mod sweep;
mod views;

pub use batch::{Completion, NAME_PREFIX};
pub use error::MonitorError;
pub use monitor::Monitor;
pub use views::sql::STATEMENTS_PER_RUN;

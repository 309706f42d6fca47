//! Amazon Redshift, provisioned and Serverless, as the functions of Sluice use it.
//!
//! * [`sql`]: statements built from types, the only place that quotes identifiers and literals
//! * [`data_api`]: statements through the Data API, bounded and idempotent
//! * [`batch`]: statements whose completion is an event
//! * [`jobs`]: copy jobs and tables in the database
//! * [`job_text`]: what the text of a job says that Redshift shows
//! * [`policy`]: documents that several owners share, merged by statement id
//! * [`cluster`]: the cluster or workgroup: endpoint, state, roles, namespace
//! * [`roles`]: roles attached to it, each with its owner
//! * [`connection`]: the keys of a secret with its endpoint
//! * [`backfill`]: keys written into a secret that may rotate at the same time
//! * [`password_hash`]: passwords as literals of SQL

pub mod backfill;
pub mod batch;
pub mod bucket;
pub mod cluster;
pub mod connection;
pub mod data_api;
pub mod job_text;
pub mod jobs;
#[cfg(feature = "password-hash")]
pub mod password_hash;
pub mod policy;
pub mod roles;
pub mod secret;
pub mod sql;
pub mod target;
pub mod value;

// In the crate's root, so that the fuzz targets can compile single modules of this crate.
use lambda_kit::arn;

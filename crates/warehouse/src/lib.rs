//! Amazon Redshift, provisioned and Serverless: what the kit's functions need of it.
//!
//! * [`sql`]: statements built from types; the one place where identifiers and literals are quoted;
//! * [`data_api`]: runs a statement through the Data API, bounded and idempotent;
//! * [`batch`]: statements that nobody waits for, told by an event;
//! * [`policy`]: documents that several owners share, merged by statement id;
//! * [`cluster`]: the cluster or workgroup itself: endpoint, state, roles, namespace.
//! * [`roles`]: roles attached to it, each with its owner.
//! * [`connection`]: the keys of a secret that say where it is reached.

pub mod batch;
pub mod bucket;
pub mod cluster;
pub mod connection;
pub mod data_api;
pub mod jobs;
pub mod policy;
pub mod roles;
pub mod sql;
pub mod target;
pub mod value;

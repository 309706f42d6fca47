//! Test support for all crates. Only dev-dependencies name this crate.
//!
//! - [`faults`]: schedules of faults in the calls of the tested code;
//! - [`golden`]: golden files, which hold what people read of each case;
//! - `alerts` (feature `alerts`): the store and the publisher of the alert pipeline in memory, with
//!   faults, and its messages as text;
//! - `aws` (feature `aws`): an HTTP client for the SDKs whose service is in memory, with faults;
//! - `resource` (feature `resource`): requests of CloudFormation, delivered to a provider with faults;
//! - `rotation` (feature `rotation`): drills of rotations on a secret and a server in memory.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "alerts")]
pub mod alerts;
#[cfg(feature = "aws")]
pub mod aws;
pub mod faults;
pub mod golden;
#[cfg(feature = "resource")]
pub mod resource;
#[cfg(feature = "rotation")]
pub mod rotation;

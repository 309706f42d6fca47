//! The model: a warehouse, buckets, a ledger and the alert pipeline in memory, with runs that
//! crash, come twice, late, never, or concurrently.

#![allow(clippy::unwrap_used)]

mod alerts;
mod crash_tests;
mod drill;
mod ledger;
mod outage_tests;
mod ports;
mod random_tests;
mod repair_tests;
mod statement_tests;
mod storm_tests;
mod views;
mod walk_tests;
mod world;

//! What proves the monitor: a warehouse, buckets, a ledger and a receiver in memory, runs that die, come twice, late, never or beside each other.

mod alert_tests;
mod crash_tests;
mod drill;
mod ledger;
mod outage_tests;
mod ports;
mod random_tests;
mod statement_tests;
mod views;
mod walk_tests;
mod world;

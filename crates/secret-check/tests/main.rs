//! Tests of the check of secrets, in memory.

mod check;
mod golden;
mod reconcile;
mod rules;

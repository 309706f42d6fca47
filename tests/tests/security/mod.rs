//! Attacks from the footholds of the threat model. A test's name says what does not work.

#![allow(clippy::unwrap_used)]

mod planted_objects;
mod planted_on_redshift;
mod warehouse_users;

//! Attacks from the footholds of the threat model. A test's name says what does not work.

#![allow(clippy::unwrap_used)]

mod attempts;
mod custom_resources;
mod forged_events;
mod hostile_servers;
mod planted_objects;
mod planted_on_redshift;
mod planted_values;
mod warehouse_users;

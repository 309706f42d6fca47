//! Attacks from the footholds of the threat model. A test's name says what does not work.

#![allow(clippy::unwrap_used)]

mod custom_resources;
mod planted_objects;

//! The seeds of the fuzz targets for what rotations read, replayed, and the same checks on generated values.

// As in unit tests.
#![allow(clippy::unwrap_used)]

mod api_key;
mod resp;

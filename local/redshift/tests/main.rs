//! Tests of the stand-in, over its own protocols.

mod auto_copy;
mod control_plane;
mod copy;
mod copy_monitor;
mod data_api;
mod formats;
mod integrations;
mod process;
mod readme;
mod support;

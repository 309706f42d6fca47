//! Arbitrary texts from outside as the names, causes and values of an incident.
#![no_main]

#[path = "../checks/alert_message.rs"]
mod check;
#[path = "../checks/shell.rs"]
mod shell;

use sluice_fuzz::{notification, command, incident, kind, message, moment, state};

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));

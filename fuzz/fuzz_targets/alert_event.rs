//! Arbitrary bytes as what a function of the alerts is invoked with.
#![no_main]
#![allow(dead_code)]

#[path = "../checks/alert_event.rs"]
mod check;
#[path = "../checks/alert_message.rs"]
mod message_check;
#[path = "../checks/shell.rs"]
mod shell;

use sluice_fuzz::{arn, notification, command, event, incident, rules, kind, message, moment, state};

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_bytes(data));

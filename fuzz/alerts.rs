//! The modules of crates/alerts that turn events into messages, compiled from their files without the AWS SDK that the rest of the crate needs.
//!
//! A library, so that both targets about alerts compile one list of them.
#![allow(dead_code)]

#[path = "../crates/alerts/src/announcement.rs"]
pub mod announcement;
#[path = "../crates/alerts/src/command.rs"]
pub mod command;
#[path = "../crates/alerts/src/event/mod.rs"]
pub mod event;
#[path = "../crates/alerts/src/incident.rs"]
pub mod incident;
#[path = "../crates/alerts/src/judge/mod.rs"]
pub mod judge;
#[path = "../crates/alerts/src/kind.rs"]
pub mod kind;
#[path = "../crates/alerts/src/message/mod.rs"]
pub mod message;
#[path = "../crates/lambda-kit/src/moment.rs"]
pub mod moment;
#[path = "../crates/alerts/src/state/mod.rs"]
pub mod state;
#[path = "../crates/alerts/src/text/mod.rs"]
pub mod text;

//! The modules of crates/alerts from events to messages, compiled from their files without the AWS SDK that
//! the rest of the crate needs.
//!
//! A library, so that both targets about alerts compile one list of modules.
#![allow(dead_code)]

#[path = "../crates/alerts/src/notification.rs"]
pub mod notification;
#[path = "../crates/lambda-kit/src/arn.rs"]
pub mod arn;
#[path = "../crates/alerts/src/command.rs"]
pub mod command;
#[path = "../crates/alerts/src/event/mod.rs"]
pub mod event;
#[path = "../crates/alerts/src/incident.rs"]
pub mod incident;
#[path = "../crates/alerts/src/rules/mod.rs"]
pub mod rules;
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

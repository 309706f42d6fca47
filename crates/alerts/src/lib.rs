//! The alert pipeline: from events and checks to one SNS message per incident.
//!
//! The pipeline has two entry points:
//!
//! - [`Notifier::record`] takes [`Observation`]s of events;
//! - [`Notifier::reconcile`] takes the [`Incident`]s that a check found, and how much it covered. An
//!   incident that is open, covered and not found any more is resolved.
//!
//! Only the pipeline knows what was notified, when to repeat and when an incident ends. A source of
//! alerts builds incidents and nothing else.
//!
//! The way of an event: [`event`] parses it, [`rules`] evaluates it to observations, [`Notifier`]
//! records them in a [`store`] and publishes through a [`publish::Publisher`] what [`message`]
//! renders. [`processor`] has one event processor for each function and [`handler`] runs it.
//! docs/alerts.md describes all of it.

pub mod command;
pub mod config;
pub mod event;
pub mod handler;
pub mod incident;
pub mod kind;
pub mod lookup;
pub mod message;
pub mod notification;
pub mod notifier;
pub mod processor;
pub mod publish;
pub mod rules;
pub mod state;
pub mod store;
pub mod text;

pub use incident::Incident;
pub use lambda_kit::{arn, moment};
pub use notifier::{Coverage, Notifier, Scope};
pub use state::Observation;

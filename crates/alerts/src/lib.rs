//! From an event to an incident to one message: what on-call people are told, once, and what they can do.
//!
//! [`event`] parses what reaches a function; [`judge`] says what an event means for which [`incident`]; [`announcer`] tells it, once, by way
//! of a [`store`] that remembers and a [`publish`]er. [`message`] renders one SNS message for every reader. Checks that look by
//! themselves make [`state::Signal`]s of their own and hand them to the announcer in the same way. See docs/alerts.md.

pub mod announcement;
pub mod announcer;
pub mod command;
pub mod duty;
pub mod event;
#[cfg(any(test, feature = "memory"))]
pub mod faults;
#[cfg(any(test, feature = "memory"))]
pub mod golden;
pub mod handler;
pub mod incident;
pub mod judge;
pub mod kind;
pub mod message;
pub mod open;
pub mod publish;
pub mod read;
pub mod run;
pub mod state;
pub mod store;
pub mod text;

pub use lambda_kit::moment;

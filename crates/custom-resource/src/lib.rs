#![doc = include_str!("../README.md")]

mod allowed;
mod failure;
mod guard;
mod handler;
mod physical_id;
pub mod properties;
mod provider;
mod put;
mod request;
mod response;
mod response_hosts;
mod run;
mod secret;
#[cfg(feature = "step-functions")]
mod step_functions;
mod wait;
mod waiting;

pub use allowed::{Allowed, AllowedList, NotAllowed, Use};
pub use failure::Failure;
pub use handler::{Handler, HandlerError};
pub use physical_id::{CREATE_FAILED, PhysicalId};
pub use provider::{Attributes, Context, Outcome, Provider};
pub use put::PutPolicy;
pub use request::{Owner, Request, RequestType};
pub use response::MAX_BODY_BYTES;
pub use response_hosts::ResponseHosts;
pub use run::{Started, run};
pub use secret::ResponseUrl;
#[cfg(feature = "step-functions")]
pub use step_functions::StepFunctions;
pub use wait::{Binding, BoxError, BoxFuture, Ticket, Waiter};

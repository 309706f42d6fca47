//! CloudFormation custom resources in Rust: the protocol, so that a provider is only about its resource.
//!
//! A provider implements create, update and delete on typed properties. This crate does the rest:
//!
//! * exactly one answer for each invocation, also after a panic, when start-up failed, when the properties make no sense
//!   and when the function's time runs out;
//! * an answer of at most 4096 bytes; a long reason is cut on a character boundary;
//! * the answer is sent again on 5xx and network errors, and after it the invocation succeeds, so that Lambda does not run it again;
//! * physical ids that are the same for every delivery, a marker for a failed Create, and Deletes of unknown ids that do nothing;
//! * properties that arrive as strings become booleans and numbers, unknown names are refused by name;
//! * waits longer than a function should live are carried by a state machine (feature `step-functions`), with the response URL sealed;
//! * the response URL is in no log, no error and no `Debug` output.
//!
//! # A complete provider
//!
//! ```no_run
//! use custom_resource::{Attributes, Context, Failure, Outcome, PhysicalId, Provider, Started};
//! use serde::Deserialize;
//!
//! /// A directory; it stands for anything that CloudFormation has no type for.
//! struct Directories;
//!
//! #[derive(Deserialize)]
//! #[serde(rename_all = "PascalCase")]
//! struct Properties {
//!     path: String,
//!     #[serde(default)]
//!     read_only: bool,
//! }
//!
//! impl Provider for Directories {
//!     type Properties = Properties;
//!     type Progress = ();
//!     const KIND: &'static str = "example-directory";
//!
//!     fn identity(&self, properties: &Properties) -> Result<String, Failure> {
//!         Ok(properties.path.clone())
//!     }
//!
//!     async fn create(&self, _: &Context, _: &PhysicalId, new: Properties) -> Result<Outcome<()>, Failure> {
//!         std::fs::create_dir_all(&new.path)
//!             .map_err(|error| Failure::caused_by(format!("`Path`: cannot make {}", new.path), error))?;
//!         set_read_only(&new)?;
//!         Ok(Outcome::Ready(Attributes::none().with("Path", new.path)))
//!     }
//!
//!     async fn update(
//!         &self, _: &Context, _: &PhysicalId, _: Option<Properties>, new: Properties,
//!     ) -> Result<Outcome<()>, Failure> {
//!         set_read_only(&new)?;
//!         Ok(Outcome::Ready(Attributes::none().with("Path", new.path)))
//!     }
//!
//!     async fn delete(&self, _: &Context, id: &PhysicalId, _: Properties) -> Result<Outcome<()>, Failure> {
//!         match std::fs::remove_dir(id.identity()) {
//!             Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
//!                 Err(Failure::caused_by(format!("cannot remove {}", id.identity()), error))
//!             }
//!             _ => Ok(Outcome::done()),
//!         }
//!     }
//! }
//!
//! fn set_read_only(properties: &Properties) -> Result<(), Failure> {
//!     let cannot = |error| Failure::caused_by("`ReadOnly`: cannot set it", error);
//!     let mut permissions = std::fs::metadata(&properties.path).map_err(cannot)?.permissions();
//!     permissions.set_readonly(properties.read_only);
//!     std::fs::set_permissions(&properties.path, permissions).map_err(cannot)
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), lambda_runtime::Error> {
//!     custom_resource::run(async { Ok(Started::new(Directories)) }).await
//! }
//! ```

mod failure;
mod handler;
mod physical_id;
pub mod properties;
mod provider;
mod put;
mod request;
mod response;
mod run;
mod secret;
#[cfg(feature = "step-functions")]
mod step_functions;
mod wait;

pub use failure::Failure;
pub use handler::{Handler, HandlerError};
pub use physical_id::{CREATE_FAILED, PhysicalId};
pub use provider::{Attributes, Context, Outcome, Provider};
pub use put::PutPolicy;
pub use request::{Owner, Place, Request, RequestType};
pub use response::LONGEST_BODY;
pub use run::{Started, run};
pub use secret::ResponseUrl;
#[cfg(feature = "step-functions")]
pub use step_functions::StepFunctions;
pub use wait::{BoxError, BoxFuture, Ticket, Waits};

//! `Custom::S3EventIntegration`: connects a bucket with a warehouse, and waits until the
//! integration is active.

mod bucket_policy;
mod integrations;
mod preflight;
mod provider;

pub use integrations::Integrations;
pub use preflight::Preflight;
pub use provider::{ALLOWED, EventIntegrations, Goal, Progress, Properties};

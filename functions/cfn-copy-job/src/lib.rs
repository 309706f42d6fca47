//! `Custom::CopyJob`: a COPY JOB, and optionally the table that it loads.

mod preflight;
mod properties;
mod provider;
mod refusal;
mod uses;

pub use properties::Properties;
pub use provider::CopyJobs;
pub use uses::ALLOWED;

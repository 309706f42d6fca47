//! `Custom::CopyJob`: a COPY JOB, and optionally the table that it loads.

mod preflight;
mod properties;
mod provider;
mod refusal;

pub use properties::Properties;
pub use provider::CopyJobs;

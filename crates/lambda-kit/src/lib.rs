//! What every Lambda function of the kit needs: environment, time, logs, metrics, SDK clients, errors of calls, and patience with fresh grants.

pub mod call;
pub mod env;
#[cfg(feature = "faults")]
pub mod faults;
pub mod grants;
pub mod metrics;
pub mod moment;
pub mod sdk;
pub mod start;
pub mod trace;

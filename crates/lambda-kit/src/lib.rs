//! What every Lambda function of the kit needs: environment, logs, metrics, SDK clients, errors of calls, and patience with fresh grants.

pub mod call;
pub mod env;
pub mod grants;
pub mod metrics;
pub mod sdk;
pub mod trace;

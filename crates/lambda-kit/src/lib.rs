//! Start-up of a Lambda function: environment, tracing, SDK configuration, and patience with fresh grants.

pub mod call;
pub mod env;
pub mod grants;
pub mod metrics;
pub mod sdk;
pub mod trace;

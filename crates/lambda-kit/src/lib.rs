//! Start-up of a Lambda function: environment, tracing, SDK configuration, and patience with fresh grants.

pub mod env;
pub mod grants;
pub mod sdk;
pub mod trace;

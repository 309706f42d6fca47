//! Building blocks of every Lambda function of Sluice: start-up, environment, time, ARNs, logs,
//! metrics, SDK clients and errors of AWS calls.

pub mod arn;
pub mod call;
pub mod env;
pub mod error;
pub mod grants;
pub mod metrics;
pub mod moment;
pub mod sdk;
pub mod start;
pub mod trace;
pub mod window;

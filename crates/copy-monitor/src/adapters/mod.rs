//! The ports on AWS.

mod alerts;
mod data_api;
mod dynamodb;
mod s3;

pub use alerts::Incidents;
pub use dynamodb::Table;
pub use s3::Buckets;

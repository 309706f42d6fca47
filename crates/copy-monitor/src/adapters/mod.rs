//! The ports on AWS.

mod data_api;
mod dynamodb;
mod s3;

pub use dynamodb::LedgerTable;
pub use s3::Buckets;

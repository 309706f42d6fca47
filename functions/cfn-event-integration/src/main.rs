//! Custom::S3EventIntegration.

fn main() {}

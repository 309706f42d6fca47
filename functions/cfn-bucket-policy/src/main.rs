//! Custom::BucketPolicyStatements.

fn main() {}

//! Custom::SecretEndpoint.

fn main() {}

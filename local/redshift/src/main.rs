//! The stand-in for Amazon Redshift on real PostgreSQL.

fn main() {}

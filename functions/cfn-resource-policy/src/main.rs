//! Custom::RedshiftResourcePolicy.

fn main() {}

//! Custom::CopyJob.

fn main() {}

//! Custom::WarehouseRole.

fn main() {}

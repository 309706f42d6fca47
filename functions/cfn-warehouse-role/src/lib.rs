//! `Custom::WarehouseRole`: attaches a role to a warehouse.

mod provider;

pub use provider::{ALLOWED, Progress, Properties, WarehouseRoles};

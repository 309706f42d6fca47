//! `Custom::WarehouseRole`: attaches a role to a warehouse.

mod provider;

pub use provider::{Progress, Properties, WarehouseRoles};

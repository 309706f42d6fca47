//! `Custom::WarehouseUser`: a database user with a secret of its own and its grants.

mod allowed;
mod grants;
mod properties;
mod provider;
mod users;

pub use allowed::Allowed;
pub use properties::Properties;
pub use provider::WarehouseUsers;

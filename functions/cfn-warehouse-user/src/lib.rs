//! `Custom::WarehouseUser`: a database user with a secret of its own and its grants.

mod grants;
mod properties;
mod provider;
mod users;
mod uses;

pub use properties::Properties;
pub use provider::WarehouseUsers;
pub use uses::ALLOWED;

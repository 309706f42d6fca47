//! Amazon ElastiCache for Valkey and Redis OSS: RBAC users, and the AUTH token of a replication
//! group.
//!
//! The service's API sets a password, which takes effect later; a login over TLS proves it. Both
//! kinds of credential have two slots, so the current one stays valid while the new one takes
//! effect.
//!
//! Only the function's configuration says which server to log in to and what to change: otherwise,
//! whoever may write the secret could have the new password sent to another server. The secret must
//! agree with the configuration.

mod aws;
mod endpoint;
mod modification;
mod token;
mod user;
mod wait;

pub use aws::ElastiCacheApi;
pub use endpoint::Endpoint;
pub use modification::Modification;
pub use token::{Group, Groups, Token, Update};
pub use user::{RbacUser, User, UserArn, UserArnError, Users};
pub use wait::Pace;

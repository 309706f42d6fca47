//! The engines, each with a Cargo feature of its name.

#[cfg(feature = "tls")]
pub mod bounded;
#[cfg(feature = "elasticache")]
pub mod elasticache;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "pg-wire")]
mod pg_wire;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "elasticache")]
pub mod redis;
#[cfg(feature = "redshift")]
pub mod redshift;
#[cfg(feature = "elasticache")]
pub(crate) mod resp;
#[cfg(feature = "tls")]
pub mod trust;

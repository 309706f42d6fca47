//! The engines, each behind a feature of its name.

#[cfg(feature = "pg-wire")]
mod pg_wire;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redshift")]
pub mod redshift;
#[cfg(feature = "tls")]
pub mod trust;

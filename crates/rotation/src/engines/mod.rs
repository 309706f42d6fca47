//! The engines, each behind a feature of its name.

#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "tls")]
pub mod trust;

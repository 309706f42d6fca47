//! Real servers for the local cloud and for tests: found on this machine, started without root, with TLS, stopped with their owner.

mod error;
pub mod kafka;
pub mod mysql;
pub mod postgres;
pub mod process;
pub mod redis;
mod spawn;
pub mod tls;
pub mod user;

pub use error::ServerError;

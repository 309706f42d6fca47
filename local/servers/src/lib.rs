//! Real servers for the local cloud and for tests. They are installed on this machine, run without
//! root and with TLS, and stop with their owner.

mod error;
pub mod kafka;
pub mod mysql;
pub mod postgres;
pub mod process;
pub mod redis;
mod spawn;
mod temporary;
pub mod tls;
pub mod user;

pub use error::ServerError;

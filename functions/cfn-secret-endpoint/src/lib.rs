//! `Custom::SecretEndpoint`: writes the warehouse's endpoint into a secret that others own and
//! rotate.

pub mod backfill;
mod provider;
pub mod secret;

pub use provider::{ALLOWED, SecretEndpoints};
pub use secret::SecretsManager;

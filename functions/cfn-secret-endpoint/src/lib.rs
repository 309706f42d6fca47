//! `Custom::SecretEndpoint`: writes the warehouse's endpoint into a secret that others own and
//! rotate.

mod provider;

pub use provider::{ALLOWED, SecretEndpoints};
pub use warehouse::secret::SecretsManager;
pub use warehouse::{backfill, secret};

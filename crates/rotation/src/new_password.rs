//! New passwords from Secrets Manager.

use secrecy::SecretString;

use crate::error::RotationError;
use crate::password::{PasswordError, PasswordPolicy};
use crate::versions::Versions;

/// Attempts to get a random password that satisfies the policy.
const ATTEMPTS: u32 = 5;

/// Returns a random password that satisfies the policy.
pub(crate) async fn new_password(
    policy: &PasswordPolicy,
    versions: &impl Versions,
) -> Result<SecretString, RotationError> {
    let mut broken = "no password was generated";
    for _ in 0..ATTEMPTS {
        let password = versions.random_password(policy).await?;
        match policy.broken_rule(&password) {
            None => return Ok(password),
            Some(rule) => broken = rule,
        }
    }
    Err(PasswordError::Unacceptable { engine: policy.engine, attempts: ATTEMPTS, rule: broken }.into())
}

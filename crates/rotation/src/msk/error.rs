//! The errors of Amazon MSK.

use crate::error::{RotationError, RotatorError};

/// The reason why the brokers do not read a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MskError {
    /// The secret's name does not have the prefix that MSK requires.
    #[error(
        "Amazon MSK accepts only secrets whose name begins with `AmazonMSK_`, and {secret} does not; \
         create a secret with such a name and associate it with the cluster"
    )]
    InvalidSecretName {
        /// The ARN of the secret.
        secret: String,
    },
    /// The secret is encrypted with the AWS managed key.
    #[error(
        "{secret} is encrypted with the AWS managed key aws/secretsmanager, which the brokers cannot \
         use; set a customer managed key with `aws secretsmanager update-secret --secret-id {secret} \
         --kms-key-id KEY_ARN`, then associate the secret with the cluster again"
    )]
    SecretKeyNotCustomerManaged {
        /// The ARN of the secret.
        secret: String,
    },
    /// The secret is not associated with the cluster.
    #[error(
        "{secret} is not associated with {cluster}, so no broker would accept its password; associate it \
         with `aws kafka batch-associate-scram-secret --cluster-arn {cluster} --secret-arn-list \
         {secret}` or AWS::MSK::BatchScramSecret"
    )]
    SecretNotAssociated {
        /// The ARN of the secret.
        secret: String,
        /// The ARN of the cluster.
        cluster: String,
    },
    /// The action needs a login at the brokers, and none are configured.
    #[error(
        "BOOTSTRAP_BROKERS of the function is not set, so it cannot log in; set it and give the function \
         a route to the brokers, or remove the schedule of this action"
    )]
    BrokersNotConfigured,
    /// Some brokers do not accept the password yet.
    #[error(
        "{seconds} s after the rotation, {rejecting} still rejects the password of AWSCURRENT; up to ten \
         minutes are usual; after that, check that the secret is associated with the cluster and that \
         the key's policy permits kafka.amazonaws.com to decrypt, then disassociate and associate it \
         again"
    )]
    PropagationTimeout {
        /// The seconds since the rotation ended.
        seconds: u64,
        /// The host and port of a broker, with the error if the login was not rejected.
        rejecting: String,
    },
}

impl MskError {
    /// Returns the public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidSecretName { .. } => "InvalidSecretName",
            Self::SecretKeyNotCustomerManaged { .. } => "SecretKeyNotCustomerManaged",
            Self::SecretNotAssociated { .. } => "SecretNotAssociated",
            Self::BrokersNotConfigured => "BrokersNotConfigured",
            Self::PropagationTimeout { .. } => "PropagationTimeout",
        }
    }
}

impl From<MskError> for RotationError {
    fn from(error: MskError) -> Self {
        RotatorError::new(error.name(), error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_public_name_and_sentence() {
        let secret = || "arn:s".to_owned();
        for (error, name, sentence) in [
            (
                MskError::InvalidSecretName { secret: secret() },
                "InvalidSecretName",
                "Amazon MSK accepts only secrets whose name begins with `AmazonMSK_`, and arn:s does not; \
                 create a secret with such a name and associate it with the cluster",
            ),
            (
                MskError::SecretKeyNotCustomerManaged { secret: secret() },
                "SecretKeyNotCustomerManaged",
                "arn:s is encrypted with the AWS managed key aws/secretsmanager, which the brokers cannot \
                 use; set a customer managed key with `aws secretsmanager update-secret --secret-id arn:s \
                 --kms-key-id KEY_ARN`, then associate the secret with the cluster again",
            ),
            (
                MskError::SecretNotAssociated { secret: secret(), cluster: "arn:c".into() },
                "SecretNotAssociated",
                "arn:s is not associated with arn:c, so no broker would accept its password; associate it \
                 with `aws kafka batch-associate-scram-secret --cluster-arn arn:c --secret-arn-list arn:s` \
                 or AWS::MSK::BatchScramSecret",
            ),
            (
                MskError::BrokersNotConfigured,
                "BrokersNotConfigured",
                "BOOTSTRAP_BROKERS of the function is not set, so it cannot log in; set it and give the \
                 function a route to the brokers, or remove the schedule of this action",
            ),
            (
                MskError::PropagationTimeout { seconds: 140, rejecting: "b:1".into() },
                "PropagationTimeout",
                "140 s after the rotation, b:1 still rejects the password of AWSCURRENT; up to ten minutes \
                 are usual; after that, check that the secret is associated with the cluster and that the \
                 key's policy permits kafka.amazonaws.com to decrypt, then disassociate and associate it \
                 again",
            ),
        ] {
            let error = RotationError::from(error);
            assert_eq!((error.name(), error.to_string().as_str()), (name, sentence));
        }
    }
}

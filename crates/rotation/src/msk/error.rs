//! What keeps the brokers of Amazon MSK from taking a secret's password.

/// Why the brokers do not or will not read a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MskError {
    /// The name does not begin as MSK wants it.
    #[error(
        "Amazon MSK takes only secrets whose name begins with `AmazonMSK_`, and this is {secret}; make a secret of such a name and associate it with the cluster"
    )]
    SecretName {
        /// ARN of the secret.
        secret: String,
    },
    /// The key is the AWS managed one.
    #[error(
        "{secret} is encrypted with the AWS managed key aws/secretsmanager, and the brokers cannot read it; give it a customer managed key with `aws \
         secretsmanager update-secret --secret-id {secret} --kms-key-id KEY_ARN`, then associate it with the cluster again"
    )]
    ManagedKey {
        /// ARN of the secret.
        secret: String,
    },
    /// The cluster does not read the secret.
    #[error(
        "{secret} is not associated with {cluster}, so no broker would ever take its password; associate it with `aws kafka \
         batch-associate-scram-secret --cluster-arn {cluster} --secret-arn-list {secret}` or AWS::MSK::BatchScramSecret"
    )]
    NotAssociated {
        /// ARN of the secret.
        secret: String,
        /// ARN of the cluster.
        cluster: String,
    },
    /// A login at the brokers was asked for, and the function knows none.
    #[error(
        "the function has no BOOTSTRAP_BROKERS, so it cannot log in; set them, and give the function a way to the brokers, or do not ask for it"
    )]
    NoBrokers,
    /// Some brokers do not take the password yet.
    #[error(
        "{seconds} s after the rotation {refusing} still refuses the password of AWSCURRENT; up to ten minutes are usual. After that, see whether the \
         secret is still associated with the cluster and whether the key's policy lets kafka.amazonaws.com decrypt: disassociate and associate it \
         again"
    )]
    NotPropagated {
        /// Seconds since the rotation ended.
        seconds: u64,
        /// A broker: host and port, and its trouble if it is another one than a refusal.
        refusing: String,
    },
}

impl MskError {
    /// The public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SecretName { .. } => "InvalidSecretName",
            Self::ManagedKey { .. } => "SecretKeyNotCustomerManaged",
            Self::NotAssociated { .. } => "SecretNotAssociated",
            Self::NoBrokers => "BrokersNotConfigured",
            Self::NotPropagated { .. } => "PropagationTimeout",
        }
    }
}

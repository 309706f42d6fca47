//! The errors of API keys.

use std::time::Duration;

use super::template::ExpandError;
use crate::error::{RotationError, RotatorError};
use crate::retry::Transient;

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Creates a key.
    Create,
    /// Lists keys.
    List,
    /// Revokes a key.
    Revoke,
    /// Tries a key.
    Verify,
}

impl Operation {
    /// Returns the purpose for texts: "the request to … ".
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create a key",
            Self::List => "list the keys",
            Self::Revoke => "revoke a key",
            Self::Verify => "try a key",
        }
    }

    /// Returns the key of the adapter that configures the request.
    pub fn part(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Revoke => "revoke",
            Self::Verify => "verify",
        }
    }
}

/// An error of API keys. It never holds a response's body, which may hold a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no response.
    #[error(
        "{host} cannot be reached to {}: {problem}; check the host in the function's configuration, and \
         the function's route, security groups and name servers",
        operation.name()
    )]
    Unreachable {
        /// The purpose of the request.
        operation: Operation,
        /// The host and port.
        host: String,
        /// The reason.
        problem: String,
    },
    /// The provider is overloaded or broken.
    #[error(
        "{host} keeps answering the request to {} with HTTP status {status}; Secrets Manager tries \
         again later",
        operation.name()
    )]
    Busy {
        /// The purpose of the request.
        operation: Operation,
        /// The host and port.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The pause that the provider requires.
        retry_after: Option<Duration>,
    },
    /// The host's certificate is not trusted.
    #[error(
        "the certificate of {host} is not trusted: {problem}; for a certificate of your own CA, add the \
         CA to CA_CERTIFICATES of the function"
    )]
    CertificateNotTrusted {
        /// The host and port.
        host: String,
        /// The reason.
        problem: String,
    },
    /// The provider rejects the request.
    #[error(
        "{host} rejects the request to {} with HTTP status {status}: {}",
        operation.name(),
        advice(*operation, *status)
    )]
    ProviderRejected {
        /// The purpose of the request.
        operation: Operation,
        /// The host and port.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The response does not have the configured form.
    #[error(
        "the response of {host} to the request to {} does not match the configuration under `{}`: \
         {problem}",
        operation.name(),
        operation.part()
    )]
    UnexpectedResponse {
        /// The purpose of the request.
        operation: Operation,
        /// The host and port.
        host: String,
        /// The reason, with the JSON Pointer if one is concerned.
        problem: String,
    },
    /// A value does not fit into the request.
    #[error("the request to {} cannot be built", operation.name())]
    InvalidSecretValue {
        /// The purpose of the request.
        operation: Operation,
        /// The reason.
        #[source]
        source: ExpandError,
    },
    /// The provider rejects the new key for too long.
    #[error(
        "{host} has answered the new key `{id}` with HTTP status {status} for {seconds} s; AWSCURRENT is \
         unchanged; check that the key may use what `verify` of the configuration requests"
    )]
    NewKeyRejected {
        /// The host and port.
        host: String,
        /// The key's public half.
        id: String,
        /// The HTTP status.
        status: u16,
        /// The seconds that passed.
        seconds: u64,
    },
    /// The provider accepts an invented key.
    #[error(
        "{host} accepts an invented key, so the request that tries keys proves nothing; configure a \
         request under `verify` that requires a key; no key was created"
    )]
    VerificationInconclusive {
        /// The host and port.
        host: String,
    },
    /// The product has no API for keys.
    #[error(
        "{0} has no API that creates or revokes credentials: its users are in a file of the server (a \
         JAAS or properties file); give the function an API_KEY_ADAPTER for an HTTPS service of yours \
         that changes that file, or use Confluent Cloud (API_KEY_PRESET=confluent-cloud)"
    )]
    KeyApiUnavailable(&'static str),
}

fn advice(operation: Operation, status: u16) -> &'static str {
    match (operation, status) {
        (Operation::Verify, 403) => {
            "the key is valid and lacks the permission; grant it to the key's owner, or configure another \
             harmless read under `verify`"
        }
        (Operation::Verify, 400 | 404..=499) => {
            "check the request under `verify` of the function's configuration"
        }
        (_, 401) => "the admin's credential is wrong or has expired; store a valid one in the admin's secret",
        (_, 403) => {
            "the admin's credential lacks the permission; grant it the right to manage keys of this owner"
        }
        (_, 402 | 409) => {
            "a limit is reached, or the request conflicts with another; revoke unused keys of this owner \
             (REVOKE_FIRST_KEY_ID names the one that was in the secret first)"
        }
        (_, 300..=399) => {
            "it redirects, and redirects are never followed; configure the address that it redirects to"
        }
        _ => "check owner, resource and the form of the request in the function's configuration",
    }
}

impl KeyError {
    /// Returns the public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => "ProviderUnreachable",
            Self::CertificateNotTrusted { .. } => "CertificateNotTrusted",
            Self::ProviderRejected { .. } => "ProviderRejected",
            Self::UnexpectedResponse { .. } => "UnexpectedResponse",
            Self::InvalidSecretValue { .. } => "InvalidSecretValue",
            Self::NewKeyRejected { .. } => "NewKeyRejected",
            Self::VerificationInconclusive { .. } => "VerificationInconclusive",
            Self::KeyApiUnavailable(_) => "KeyApiUnavailable",
        }
    }
}

impl From<KeyError> for RotationError {
    fn from(error: KeyError) -> Self {
        RotatorError::new(error.name(), error).into()
    }
}

impl Transient for KeyError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    fn retry_after(&self) -> Duration {
        match self {
            Self::Busy { retry_after: Some(pause), .. } => *pause,
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use lambda_kit::error::chain;

    use super::*;
    use crate::keys::template::{Place, Placeholder, Template, Values};

    #[test]
    fn every_error_has_its_public_name_and_sentence() {
        let host = || "keys.example:443".to_owned();
        let (operation, problem) = (Operation::Create, "connection refused".to_owned());
        let template = Template::parse("{{id}}").unwrap();
        let values = Values::default().with(Placeholder::Id, "a\nb");
        let source = template.expand(&values, Place::Header).unwrap_err();
        for (error, name, sentence) in [
            (
                KeyError::Unreachable { operation, host: host(), problem: problem.clone() },
                "ProviderUnreachable",
                "keys.example:443 cannot be reached to create a key: connection refused; check the host \
                 in the function's configuration, and the function's route, security groups and name \
                 servers",
            ),
            (
                KeyError::Busy { operation: Operation::List, host: host(), status: 503, retry_after: None },
                "ProviderUnreachable",
                "keys.example:443 keeps answering the request to list the keys with HTTP status 503; \
                 Secrets Manager tries again later",
            ),
            (
                KeyError::CertificateNotTrusted { host: host(), problem: "expired".into() },
                "CertificateNotTrusted",
                "the certificate of keys.example:443 is not trusted: expired; for a certificate of your \
                 own CA, add the CA to CA_CERTIFICATES of the function",
            ),
            (
                KeyError::ProviderRejected { operation: Operation::Revoke, host: host(), status: 401 },
                "ProviderRejected",
                "keys.example:443 rejects the request to revoke a key with HTTP status 401: the admin's \
                 credential is wrong or has expired; store a valid one in the admin's secret",
            ),
            (
                KeyError::UnexpectedResponse { operation, host: host(), problem: "nothing at `/id`".into() },
                "UnexpectedResponse",
                "the response of keys.example:443 to the request to create a key does not match the \
                 configuration under `create`: nothing at `/id`",
            ),
            (
                KeyError::InvalidSecretValue { operation: Operation::Verify, source },
                "InvalidSecretValue",
                "the request to try a key cannot be built: the value of {{id}} is not allowed in a \
                 header: it has a character that is not visible ASCII",
            ),
            (
                KeyError::NewKeyRejected { host: host(), id: "K".into(), status: 401, seconds: 60 },
                "NewKeyRejected",
                "keys.example:443 has answered the new key `K` with HTTP status 401 for 60 s; AWSCURRENT \
                 is unchanged; check that the key may use what `verify` of the configuration requests",
            ),
            (
                KeyError::VerificationInconclusive { host: host() },
                "VerificationInconclusive",
                "keys.example:443 accepts an invented key, so the request that tries keys proves nothing; \
                 configure a request under `verify` that requires a key; no key was created",
            ),
            (
                KeyError::KeyApiUnavailable("ksqlDB"),
                "KeyApiUnavailable",
                "ksqlDB has no API that creates or revokes credentials: its users are in a file of the \
                 server (a JAAS or properties file); give the function an API_KEY_ADAPTER for an HTTPS \
                 service of yours that changes that file, or use Confluent Cloud \
                 (API_KEY_PRESET=confluent-cloud)",
            ),
        ] {
            let error = RotationError::from(error);
            assert_eq!((error.name(), chain(&error).as_str()), (name, sentence));
        }
    }
}

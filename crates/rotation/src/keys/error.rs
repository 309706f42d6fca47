//! Why a provider of keys did not do what was asked.

use std::time::Duration;

use super::template::ExpandError;
use crate::retry::Transient;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Makes a key.
    Create,
    /// Lists keys.
    List,
    /// Revokes a key.
    Revoke,
    /// Tries a key.
    Verify,
}

impl Operation {
    /// For texts: "the request to … ".
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "make a key",
            Self::List => "list the keys",
            Self::Revoke => "revoke a key",
            Self::Verify => "try a key",
        }
    }

    /// Its part of the configuration.
    pub fn part(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Revoke => "revoke",
            Self::Verify => "verify",
        }
    }
}

/// Why a provider did not do what was asked. Nothing of an answer's body is ever in it, as that may hold a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No answer.
    #[error(
        "{host} cannot be reached to {}: {problem}. Check the host in the function's configuration, and the route, security groups and name servers of the function",
        operation.name()
    )]
    Unreachable {
        /// What for.
        operation: Operation,
        /// Host and port.
        host: String,
        /// What happened.
        problem: String,
    },
    /// The provider is overloaded or broken.
    #[error("{host} answers HTTP status {status} to the request to {}, again and again; Secrets Manager tries again later", operation.name())]
    Busy {
        /// What for.
        operation: Operation,
        /// Host and port.
        host: String,
        /// Status.
        status: u16,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
    },
    /// TLS failed.
    #[error(
        "{host} has no certificate that the function trusts for this name: {problem}. A host with a certificate of your own CA needs that CA in the function's \
         configuration"
    )]
    Untrusted {
        /// Host and port.
        host: String,
        /// What happened.
        problem: String,
    },
    /// The provider understood and refuses.
    #[error("{host} refuses with HTTP status {status} to {}: {}", operation.name(), remedy(*operation, *status))]
    Refused {
        /// What for.
        operation: Operation,
        /// Host and port.
        host: String,
        /// Status.
        status: u16,
    },
    /// The answer is not of the configured form.
    #[error("the answer of {host} to the request to {} is not as configured under `{}`: {problem}", operation.name(), operation.part())]
    Unexpected {
        /// What for.
        operation: Operation,
        /// Host and port.
        host: String,
        /// With the JSON Pointer, where one is concerned.
        problem: String,
    },
    /// Something cannot be put into a request.
    #[error("the request to {} cannot be made", operation.name())]
    Unfit {
        /// What for.
        operation: Operation,
        /// What.
        #[source]
        source: ExpandError,
    },
    /// The new key does not work, and long enough was waited.
    #[error(
        "{host} answers HTTP status {status} to the new key `{id}` for {seconds} s; AWSCURRENT stays as it is. Check that the owner of the key may make the request that tries \
         it, and `verify` of the function's configuration; a key that needs longer gets it by `patience_seconds`"
    )]
    NotAccepted {
        /// Host and port.
        host: String,
        /// Public half of the key.
        id: String,
        /// Status.
        status: u16,
        /// Seconds.
        seconds: u64,
    },
    /// Whoever asks is let in.
    #[error(
        "{host} accepts a key that was made up, so the request that tries keys proves nothing; configure one under `verify` that needs a key. No key was made"
    )]
    ProvesNothing {
        /// Host and port.
        host: String,
    },
    /// There is no API for keys.
    #[error(
        "{0} has no API that makes or revokes credentials: its users stand in a file of the server (a JAAS or properties file). Give the function an API_KEY_ADAPTER for an HTTPS service \
         of yours that changes that file, or use Confluent Cloud (API_KEY_PRESET=confluent-cloud)"
    )]
    NoKeyApi(&'static str),
}

fn remedy(operation: Operation, status: u16) -> &'static str {
    match (operation, status) {
        (Operation::Verify, 403) => {
            "the key is known, but may not do this; give its owner the right to, or configure another harmless read under `verify`"
        }
        (Operation::Verify, 400 | 404..=499) => {
            "check the request under `verify` of the function's configuration"
        }
        (_, 401) => {
            "the admin's credential is wrong or has expired; put a working one into the admin's secret"
        }
        (_, 403) => "the admin's credential has no right to; give it the right to manage keys of this owner",
        (_, 402 | 409) => {
            "a limit is reached, or something is in the way; revoke keys of this owner that nobody uses (REVOKE_FIRST=true does so with the one that was in \
             the secret first)"
        }
        (_, 300..=399) => {
            "it points elsewhere, and a redirect is never followed; configure the address that answers itself"
        }
        _ => "check owner, resource and the form of the request in the function's configuration",
    }
}

impl KeyError {
    /// The public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => "ProviderUnreachable",
            Self::Untrusted { .. } => "CertificateNotTrusted",
            Self::Refused { .. } => "ProviderRejected",
            Self::Unexpected { .. } => "UnexpectedResponse",
            Self::Unfit { .. } => "InvalidSecretValue",
            Self::NotAccepted { .. } => "NewKeyRejected",
            Self::ProvesNothing { .. } => "VerificationInconclusive",
            Self::NoKeyApi(_) => "KeyApiUnavailable",
        }
    }
}

impl Transient for KeyError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    fn wait(&self) -> Duration {
        match self {
            Self::Busy { wait: Some(wait), .. } => *wait,
            _ => Duration::ZERO,
        }
    }
}

//! The error codes of brokers as text. Source: "Error Codes" of the Apache Kafka protocol guide.

use super::messages::{Api, Status};

pub(super) const NONE: i16 = 0;
pub(super) const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
pub(super) const NOT_CONTROLLER: i16 = 41;
pub(super) const SECURITY_DISABLED: i16 = 54;
pub(super) const SASL_AUTHENTICATION_FAILED: i16 = 58;
pub(super) const RESOURCE_NOT_FOUND: i16 = 91;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
/// The longest part of a broker's text that is repeated.
const LONGEST_TEXT: usize = 300;

/// Describes a failed request and, where known, how to fix it.
pub(super) fn failed(api: Api, code: i16, text: Option<&str>) -> String {
    let name = match code {
        -1 => "UNKNOWN_SERVER_ERROR",
        7 => "REQUEST_TIMED_OUT",
        13 => "NETWORK_EXCEPTION",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        CLUSTER_AUTHORIZATION_FAILED => "CLUSTER_AUTHORIZATION_FAILED",
        UNSUPPORTED_SASL_MECHANISM => "UNSUPPORTED_SASL_MECHANISM",
        34 => "ILLEGAL_SASL_STATE",
        35 => "UNSUPPORTED_VERSION",
        NOT_CONTROLLER => "NOT_CONTROLLER",
        42 => "INVALID_REQUEST",
        SECURITY_DISABLED => "SECURITY_DISABLED",
        SASL_AUTHENTICATION_FAILED => "SASL_AUTHENTICATION_FAILED",
        87 => "INVALID_RECORD",
        89 => "THROTTLING_QUOTA_EXCEEDED",
        RESOURCE_NOT_FOUND => "RESOURCE_NOT_FOUND",
        92 => "DUPLICATE_RESOURCE",
        93 => "UNACCEPTABLE_CREDENTIAL",
        _ => "an error",
    };
    let advice = match code {
        CLUSTER_AUTHORIZATION_FAILED => {
            "; the user that changes passwords needs ALTER on the cluster, which implies DESCRIBE"
        }
        93 => "; SCRAM_ITERATIONS must be 4096 to 16384",
        35 => "; KRaft clusters support SCRAM from metadata.version 3.5",
        NOT_CONTROLLER => "; list all brokers in the secret, so that the controller is among them",
        _ => "",
    };
    let text = text.map(printable).filter(|text| !text.is_empty()).map(|text| format!(", \"{text}\""));
    format!("{} failed with {name} ({code}){}{advice}", api.name, text.unwrap_or_default())
}

/// Returns the description of [`failed`] if the status is an error.
pub(super) fn problem(api: Api, status: &Status) -> Option<String> {
    (status.code != NONE).then(|| failed(api, status.code, status.text.as_deref()))
}

/// Returns the beginning of a broker's text without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

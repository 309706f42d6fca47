//! The responses of API calls: a body, or an error with the wire code of the service's model.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An error of an AWS API: wire code, HTTP status and message.
///
/// Codes are those of the botocore 1.44.5 models (`redshift`, `redshift-data`,
/// `redshift-serverless`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// Wire code, for example `ClusterNotFound`.
    pub code: &'static str,
    /// Text for the user.
    pub message: String,
    /// HTTP status.
    pub status: u16,
}

impl ApiError {
    /// An error with HTTP status 400, which most faults of the three services carry.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: 400 }
    }

    /// The same error with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The error for something that this stand-in does not imitate.
    pub fn not_imitated(what: impl std::fmt::Display) -> Self {
        Self::new(
            "UnsupportedOperation",
            format!("The local stand-in for Redshift does not imitate {what}; see local/redshift/README.md."),
        )
    }

    /// `ValidationException` of the JSON services.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// `AccessDenied`, as the query protocol spells it; the JSON services add `Exception`.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new("AccessDenied", message).with_status(403)
    }

    /// The error as the query protocol's XML document.
    #[must_use]
    pub fn into_xml(self) -> Response {
        let mut xml = crate::query::Xml::new();
        let fault = if self.status >= 500 { "Receiver" } else { "Sender" };
        xml.raw("<ErrorResponse xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\">");
        xml.element("Error", |xml| {
            xml.text("Type", fault);
            xml.text("Code", self.code);
            xml.text("Message", &self.message);
        });
        xml.text("RequestId", &uuid::Uuid::new_v4().to_string());
        xml.raw("</ErrorResponse>");
        respond(self.status, "text/xml", xml.finish())
    }

    /// The error as a JSON 1.1 document.
    #[must_use]
    pub fn into_json(self) -> Response {
        let code = if self.code == "AccessDenied" { "AccessDeniedException" } else { self.code };
        let body = json!({"__type": code, "message": self.message, "Message": self.message});
        respond(self.status, "application/x-amz-json-1.1", body.to_string())
    }
}

/// A JSON 1.1 response.
#[must_use]
pub fn json_answer(body: &Value) -> Response {
    respond(200, "application/x-amz-json-1.1", body.to_string())
}

/// A response with this status, content type and body.
#[must_use]
pub fn respond(status: u16, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

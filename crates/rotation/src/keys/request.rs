//! Complete requests, ready to be sent.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde_json::Value;

use super::base::Base;
use super::shape::{Auth, Body, Method, Shape};
use super::template::{ExpandError, Place, Values};

/// All but the unreserved characters of RFC 3986, of which names such as `spec.owner` have some.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request. `Debug` prints no header and no body.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The name or address of the host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path and query.
    pub target: String,
    /// The form of the credential in the header `authorization`.
    pub auth: Auth,
    /// The names and values of the headers.
    pub headers: Vec<(String, SecretString)>,
    /// The body, as JSON.
    pub body: Option<SecretString>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.method.name(), self.host, self.port)
    }
}

impl Request {
    /// Builds a request from its shape. `usual` is the default method, `more` a further query
    /// parameter.
    ///
    /// # Errors
    /// A value is missing, or does not fit its place.
    pub fn build(
        shape: &Shape,
        base: &Base,
        usual: Method,
        values: &Values<'_>,
        more: Option<(&str, &str)>,
    ) -> Result<Self, ExpandError> {
        let mut target = format!("{}{}", base.path, shape.path.0.expand(values, Place::Path)?);
        let mut separator = '?';
        let mut add = |name: &str, value: &str| {
            target.push(separator);
            separator = '&';
            target.extend(utf8_percent_encode(name, NAME));
            target.push('=');
            target.push_str(value);
        };
        for (name, text) in &shape.query {
            let plain = text.0.expand(values, Place::Whole)?;
            add(name, &utf8_percent_encode(&plain, NON_ALPHANUMERIC).to_string());
        }
        if let Some((name, value)) = more {
            add(name, &utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
        }
        let mut headers = Vec::new();
        for (name, text) in &shape.headers {
            headers.push((name.to_ascii_lowercase(), text.0.expand(values, Place::Header)?.into()));
        }
        let body = shape.body.as_ref().map(|body| filled(body, values)).transpose()?;
        Ok(Self {
            method: shape.method.unwrap_or(usual),
            host: base.host.clone(),
            port: base.port,
            target,
            auth: shape.auth,
            headers,
            body: body.map(|body| body.to_string().into()),
        })
    }
}

fn filled(body: &Body, values: &Values<'_>) -> Result<Value, ExpandError> {
    Ok(match body {
        Body::Text(template) => Value::String(template.expand(values, Place::Whole)?),
        Body::List(items) => items.iter().map(|item| filled(item, values)).collect::<Result<_, _>>()?,
        Body::Object(map) => {
            let fill = |(name, body): (&String, &Body)| Ok((name.clone(), filled(body, values)?));
            Value::Object(map.iter().map(fill).collect::<Result<_, _>>()?)
        }
        Body::Other(value) => value.clone(),
    })
}

//! The template of one request in an adapter.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::adapter_error::{AdapterError, invalid};
use super::base::check_path;
use super::template::{Placeholder, Template, TemplateError};

/// The headers that the function sets itself, or that would change the end of a message.
const RESERVED_HEADERS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "user-agent",
];

/// The form in which a request carries the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Not at all, or in a header of the adapter.
    #[default]
    None,
    /// `Authorization: Basic` with both halves (RFC 7617).
    Basic,
    /// `Authorization: Bearer` with the secret half (RFC 6750).
    Bearer,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Returns the name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The path of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Path(pub Template);

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let template = Template::parse(&text).map_err(|error| error.to_string())?;
        check_path(&template.outline())?;
        Ok(Self(template))
    }
}

/// The value of a header or of a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Text(pub Template);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err("expected visible ASCII characters".into());
        }
        Template::parse(&text).map(Self).map_err(|error| error.to_string())
    }
}

/// A JSON body whose texts are templates. Keys and other values are sent unchanged.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<Body>),
    /// An object.
    Object(BTreeMap<String, Body>),
    /// A number, true, false or null.
    Other(Value),
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Body {
    fn read(value: Value) -> Result<Self, TemplateError> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(&text)?),
            Value::Array(items) => Self::List(items.into_iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(map) => {
                let read = |(name, value)| Ok((name, Self::read(value)?));
                Self::Object(map.into_iter().map(read).collect::<Result<_, _>>()?)
            }
            other => Self::Other(other),
        })
    }

    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Text(template) => vec![template],
            Self::List(items) => items.iter().flat_map(Self::templates).collect(),
            Self::Object(map) => map.values().flat_map(Self::templates).collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}

/// The template of one request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The method; each operation has a default.
    #[serde(default)]
    pub method: Option<Method>,
    /// The path, after that of the base.
    pub path: Path,
    /// The query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Text>,
    /// The form of the credential.
    #[serde(default)]
    pub auth: Auth,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// The body, as JSON.
    #[serde(default)]
    pub body: Option<Body>,
}

impl Shape {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let texts = self.query.values().chain(self.headers.values()).map(|text| &text.0);
        texts.chain([&self.path.0]).chain(self.body.iter().flat_map(Body::templates))
    }

    pub(super) fn uses(&self, placeholder: Placeholder) -> bool {
        self.templates().any(|template| template.placeholders().any(|one| one == placeholder))
    }

    pub(super) fn check(&self, place: &str, rules: &Rules) -> Result<(), AdapterError> {
        if let Some(method) = self.method
            && !rules.methods.contains(&method)
        {
            let allowed = rules.methods.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or ");
            let problem = format!("it is {}, expected {allowed}", method.name());
            return Err(invalid(&format!("{place}.method"), problem));
        }
        if self.body.is_some() && self.method.unwrap_or(rules.methods[0]) == Method::Get {
            return Err(invalid(&format!("{place}.body"), "a GET has no body; set the method"));
        }
        for template in self.templates() {
            let foreign = template.placeholders().find(|one| !rules.placeholders.contains(one));
            if let Some(foreign) = foreign {
                let problem = format!("{{{{{}}}}} has no value in this request", foreign.name());
                return Err(invalid(place, problem));
            }
        }
        for template in self.query.values().map(|text| &text.0).chain([&self.path.0]) {
            if let Some(secret) = template.placeholders().find(|one| one.is_secret()) {
                let problem = format!(
                    "{{{{{}}}}} is in an address, which servers log; put it into a header or the body",
                    secret.name()
                );
                return Err(invalid(place, problem));
            }
        }
        for name in self.headers.keys() {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let lower = name.to_ascii_lowercase();
            let twice = lower == "authorization" && self.auth != Auth::None;
            if name.is_empty()
                || !name.bytes().all(token)
                || RESERVED_HEADERS.contains(&lower.as_str())
                || twice
            {
                return Err(invalid(&format!("{place}.headers"), format!("`{name}` cannot be set here")));
            }
        }
        Ok(())
    }

    /// Returns true if the request needs the admin's credential.
    pub(super) fn needs_admin(&self) -> bool {
        self.auth != Auth::None || self.uses(Placeholder::AdminId) || self.uses(Placeholder::AdminSecret)
    }
}

/// The rules for an operation's request. The first method is the default.
pub(super) struct Rules {
    pub(super) methods: &'static [Method],
    pub(super) placeholders: &'static [Placeholder],
}

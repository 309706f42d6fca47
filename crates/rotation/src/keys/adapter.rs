//! The form of a provider's API: which requests make, list, revoke and try a key, and where in the answers its halves stand.
//!
//! It is configuration of the function and nothing else is: no host and no path ever comes from a secret, so whoever may write
//! the secret cannot have a credential sent elsewhere. Source of the pointers: RFC 6901.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::template::{Placeholder, Template};

/// Bytes of the configuration: Lambda takes 4 KB for all variables together.
pub const LARGEST: usize = 3072;
/// Seconds that a new key may take until it works, at most.
const LONGEST_PATIENCE: u32 = 600;
/// Headers that the function sets itself, or that would change where a message ends.
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

/// Why a text is no adapter. It names the place in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// Longer than fits.
    #[error("it has {0} bytes, and there is room for {LARGEST}")]
    TooLong(usize),
    /// Not JSON, an unknown or missing key, or a value of the wrong form.
    #[error("`{place}`: {problem}")]
    Invalid {
        /// Path of the key, `.` for the whole.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

fn invalid(place: &str, problem: impl Into<String>) -> AdapterError {
    // serde_json quotes what it found, and that may be anything.
    let problem: String = problem.into();
    let printable = problem.chars().map(|c| if c.is_control() { '?' } else { c });
    AdapterError::Invalid { place: place.chars().take(80).collect(), problem: printable.take(300).collect() }
}

/// How a request says who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// It does not, or by a header of the adapter.
    #[default]
    None,
    /// `Authorization: Basic` with both halves (RFC 7617).
    Basic,
    /// `Authorization: Bearer` with the secret half (RFC 6750).
    Bearer,
}

/// A method of HTTP.
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
    /// As it stands in a request.
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

/// A server, and what all paths on it begin with: `https://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Base {
    /// Name or address, the latter without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Empty, or beginning and not ending with `/`.
    pub path: String,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for Base {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expected = "expected https://host, with a port and a path where needed, without user, query or fragment; nothing is sent without TLS";
        let wrong = || expected.to_owned();
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            None => 443,
            Some(text) => text.parse().ok().filter(|port| *port > 0 && digits(&text)).ok_or_else(wrong)?,
        };
        let name = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let is_host = if authority.starts_with('[') {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            name(host) && host.split('.').all(|label| !label.is_empty())
        };
        if !is_host || host.len() > 253 {
            return Err(wrong());
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() {
            check_path(path)?;
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }
}

/// A path that begins with `/`, keeps to the characters of RFC 3986 and goes nowhere but down.
fn check_path(path: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(allowed) {
        return Err("expected a path that begins with `/`, percent-encoded where needed; a query has a key of its own".into());
    }
    for part in path.split('%').skip(1) {
        if !part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()) || part.len() < 2 {
            return Err("a `%` of the path is not followed by two hexadecimal digits".into());
        }
    }
    let dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(dots) {
        return Err("the path has a part that is only dots".into());
    }
    Ok(())
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

/// The value of a header or of a parameter of a query.
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

/// A JSON body whose texts are templates. Keys and everything else are sent as they are.
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
    fn read(value: Value) -> Result<Self, super::template::TemplateError> {
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

/// Where in an answer something stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pointer(pub String);

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if escapes && (text.is_empty() || text.starts_with('/')) {
            return Ok(Self(text));
        }
        Err("expected a JSON Pointer such as /spec/secret".into())
    }
}

/// One request, before anything is put into it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Method; each operation has its usual one.
    #[serde(default)]
    pub method: Option<Method>,
    /// Path, after that of the base.
    pub path: Path,
    /// Parameters of the query.
    #[serde(default)]
    pub query: BTreeMap<String, Text>,
    /// Who asks.
    #[serde(default)]
    pub auth: Auth,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// JSON.
    #[serde(default)]
    pub body: Option<Body>,
}

impl Shape {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let texts = self.query.values().chain(self.headers.values()).map(|text| &text.0);
        texts.chain([&self.path.0]).chain(self.body.iter().flat_map(Body::templates))
    }

    fn uses(&self, placeholder: Placeholder) -> bool {
        self.templates().any(|template| template.placeholders().any(|one| one == placeholder))
    }

    fn check(&self, place: &str, rules: &Rules) -> Result<(), AdapterError> {
        if let Some(method) = self.method
            && !rules.methods.contains(&method)
        {
            let allowed = rules.methods.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or ");
            let problem = format!("it is {}, expected {allowed}", method.name());
            return Err(invalid(&format!("{place}.method"), problem));
        }
        if self.body.is_some() && self.method.unwrap_or(rules.methods[0]) == Method::Get {
            return Err(invalid(&format!("{place}.body"), "a GET has no body; give the method too"));
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
                    "{{{{{}}}}} stands in an address, and addresses are logged by servers on the way; put it into a header or the body",
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

    /// Whether the admin's credential is sent.
    fn needs_admin(&self) -> bool {
        self.auth != Auth::None || self.uses(Placeholder::AdminId) || self.uses(Placeholder::AdminSecret)
    }
}

/// The first of the methods is the usual one.
struct Rules {
    methods: &'static [Method],
    placeholders: &'static [Placeholder],
}

/// Makes a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The request; `{{mark}}` has to be in it.
    pub request: Shape,
    /// Where in the answer the public half stands.
    pub id: Pointer,
    /// Where the secret half stands.
    pub secret: Pointer,
}

/// Lists the keys of the owner.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The request.
    pub request: Shape,
    /// Where in the answer the list stands.
    pub items: Pointer,
    /// Where in one item the public half stands.
    pub id: Pointer,
    /// Where in one item the text stands that `{{mark}}` went into.
    pub mark: Pointer,
    /// How to ask for more.
    #[serde(default)]
    pub next: Option<Next>,
}

/// The next part of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Where in the answer it says that there is more: absent, null or empty where there is none.
    pub pointer: Pointer,
    /// The parameter of the query that asks for it.
    pub parameter: String,
    /// What stands there.
    #[serde(default)]
    pub form: NextForm,
}

/// What an answer says of the next part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextForm {
    /// The parameter's value.
    #[default]
    Token,
    /// An address that has the parameter. Nothing else of it is used: the host stays the configured one.
    Url,
}

/// Revokes a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The request.
    pub request: Shape,
}

/// Tries a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Where, if not at the provider itself.
    #[serde(default)]
    pub base: Option<Base>,
    /// The request: a harmless read that a key is needed for.
    pub request: Shape,
    /// Seconds that a new key may take until it works.
    #[serde(default = "default_patience")]
    pub patience_seconds: u32,
}

fn default_patience() -> u32 {
    60
}

/// A provider's API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// Where keys are made, listed and revoked.
    pub base: Base,
    /// Value of `{{owner}}`.
    #[serde(default)]
    pub owner: Option<String>,
    /// Value of `{{resource}}`.
    #[serde(default)]
    pub resource: Option<String>,
    /// Makes a key.
    pub create: Create,
    /// Lists keys.
    pub list: List,
    /// Revokes a key.
    pub revoke: Revoke,
    /// Tries a key.
    pub verify: Verify,
}

impl Adapter {
    /// From its text.
    ///
    /// # Errors
    /// The place in the text, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, AdapterError> {
        if text.len() > LARGEST {
            return Err(AdapterError::TooLong(text.len()));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let adapter: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| invalid(&error.path().to_string(), error.inner().to_string()))?;
        json.end().map_err(|error| invalid(".", error.to_string()))?;
        adapter.check()?;
        Ok(adapter)
    }

    fn check(&self) -> Result<(), AdapterError> {
        use Placeholder::{AdminId, AdminSecret, Id, Mark, Name, Owner, Resource, Secret, Token};
        let create = Rules {
            methods: &[Method::Post, Method::Put],
            placeholders: &[Owner, Resource, Token, Mark, Name, AdminId, AdminSecret],
        };
        let list = Rules {
            methods: &[Method::Get, Method::Post],
            placeholders: &[Owner, Resource, AdminId, AdminSecret],
        };
        let revoke = Rules {
            methods: &[Method::Delete, Method::Post, Method::Put, Method::Patch],
            placeholders: &[Id, Owner, Resource, AdminId, AdminSecret],
        };
        let verify =
            Rules { methods: &[Method::Get, Method::Post], placeholders: &[Id, Secret, Owner, Resource] };
        for (place, shape, rules) in [
            ("create.request", &self.create.request, create),
            ("list.request", &self.list.request, list),
            ("revoke.request", &self.revoke.request, revoke),
            ("verify.request", &self.verify.request, verify),
        ] {
            shape.check(place, &rules)?;
            for (placeholder, value) in [(Owner, &self.owner), (Resource, &self.resource)] {
                if shape.uses(placeholder) && value.is_none() {
                    let name = placeholder.name();
                    return Err(invalid(
                        place,
                        format!("it has {{{{{name}}}}}, and the adapter has no `{name}`"),
                    ));
                }
            }
        }
        if !self.create.request.uses(Mark) {
            let problem = "no {{mark}} in it: without one, a key whose answer was lost could never be told from the keys of others";
            return Err(invalid("create.request", problem));
        }
        if !self.revoke.request.uses(Id) {
            return Err(invalid("revoke.request", "no {{id}} in it, so it would not say which key"));
        }
        let tries = &self.verify.request;
        if tries.auth == Auth::None && !tries.uses(Secret) {
            return Err(invalid(
                "verify.request",
                "neither `auth` nor {{secret}} in it, so it would prove nothing",
            ));
        }
        if self.verify.patience_seconds > LONGEST_PATIENCE {
            return Err(invalid("verify.patience_seconds", format!("expected at most {LONGEST_PATIENCE}")));
        }
        if let Some(next) = &self.list.next
            && (next.parameter.is_empty() || self.list.request.query.contains_key(&next.parameter))
        {
            return Err(invalid(
                "list.next.parameter",
                "expected a name that is not in list.request.query too",
            ));
        }
        Ok(())
    }

    /// Whether any request is made with an admin's credential.
    pub fn needs_admin(&self) -> bool {
        [&self.create.request, &self.list.request, &self.revoke.request].into_iter().any(Shape::needs_admin)
    }

    /// Where a key is tried.
    pub fn verify_base(&self) -> &Base {
        self.verify.base.as_ref().unwrap_or(&self.base)
    }
}

//! The adapter: the requests that create, list, revoke and try a key, and where their responses
//! have its halves.
//!
//! An adapter is only ever configuration of the function. No host and no path comes from a secret,
//! so whoever may write the secret cannot have a credential sent elsewhere. Source of the pointers:
//! RFC 6901.

use serde::Deserialize;

use super::adapter_error::invalid;
pub use super::adapter_error::{AdapterError, LARGEST};
use super::base::Base;
use super::shape::{Auth, Method, Rules, Shape};
use super::template::Placeholder;

/// The longest time that a new key may need until it works, in seconds.
const LONGEST_PATIENCE: u32 = 600;

/// The place of a value in a response.
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

/// The creation of a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The request. It must contain `{{mark}}`.
    pub request: Shape,
    /// The place of the public half in the response.
    pub id: Pointer,
    /// The place of the secret half.
    pub secret: Pointer,
}

/// The list of the owner's keys.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The request.
    pub request: Shape,
    /// The place of the list in the response.
    pub items: Pointer,
    /// The place of the public half in an item.
    pub id: Pointer,
    /// The place of the text with `{{mark}}` in an item.
    pub mark: Pointer,
    /// The next pages.
    #[serde(default)]
    pub next: Option<Next>,
}

/// The next page of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// The place of its token in the response: absent, null or empty on the last page.
    pub pointer: Pointer,
    /// The query parameter that requests it.
    pub parameter: String,
    /// The form of the token.
    #[serde(default)]
    pub form: NextForm,
}

/// The form of a token for the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextForm {
    /// The parameter's value.
    #[default]
    Token,
    /// An address with the parameter. Nothing else of it is used: the host remains the configured
    /// one.
    Url,
}

/// The revocation of a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The request.
    pub request: Shape,
}

/// The try of a key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The server, if it is not the provider itself.
    #[serde(default)]
    pub base: Option<Base>,
    /// The request: a harmless read that requires a key.
    pub request: Shape,
    /// The time that a new key may need until it works, in seconds.
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
    /// The server that creates, lists and revokes keys.
    pub base: Base,
    /// The value of `{{owner}}`.
    #[serde(default)]
    pub owner: Option<String>,
    /// The value of `{{resource}}`.
    #[serde(default)]
    pub resource: Option<String>,
    /// The creation of a key.
    pub create: Create,
    /// The list of keys.
    pub list: List,
    /// The revocation of a key.
    pub revoke: Revoke,
    /// The try of a key.
    pub verify: Verify,
}

impl Adapter {
    /// Parses an adapter.
    ///
    /// # Errors
    /// The place in the text, and the reason.
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
            let problem = "it has no {{mark}}: without one, a key whose response was lost cannot be distinguished from \
                           the keys of others";
            return Err(invalid("create.request", problem));
        }
        if !self.revoke.request.uses(Id) {
            return Err(invalid("revoke.request", "it has no {{id}}, so it does not name the key"));
        }
        let tries = &self.verify.request;
        if tries.auth == Auth::None && !tries.uses(Secret) {
            return Err(invalid(
                "verify.request",
                "it has neither `auth` nor {{secret}}, so it proves nothing",
            ));
        }
        if self.verify.patience_seconds > LONGEST_PATIENCE {
            return Err(invalid("verify.patience_seconds", format!("expected at most {LONGEST_PATIENCE}")));
        }
        if let Some(next) = &self.list.next
            && (next.parameter.is_empty() || self.list.request.query.contains_key(&next.parameter))
        {
            return Err(invalid("list.next.parameter", "expected a name that is not in list.request.query"));
        }
        Ok(())
    }

    /// Returns true if a request needs the admin's credential.
    pub fn needs_admin(&self) -> bool {
        [&self.create.request, &self.list.request, &self.revoke.request].into_iter().any(Shape::needs_admin)
    }

    /// Returns the server that tries keys.
    pub fn verify_base(&self) -> &Base {
        self.verify.base.as_ref().unwrap_or(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapter_in_the_docs_is_valid() {
        let page = include_str!("../../../../docs/rotating.md");
        let (_, rest) = page.split_once("```json\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let adapter = Adapter::parse(text).unwrap();
        assert!(adapter.needs_admin());
        // Without its mark, the key could not be found again.
        let unmarked = Adapter::parse(&text.replace("{{mark}}", "a key")).unwrap_err().to_string();
        assert!(unmarked.contains("mark"), "{unmarked}");
    }
}

//! The form of a provider's API: which requests make, list, revoke and try a key, and where in the answers its halves stand.
//!
//! It is configuration of the function and nothing else is: no host and no path ever comes from a secret, so whoever may write
//! the secret cannot have a credential sent elsewhere. Source of the pointers: RFC 6901.

use serde::Deserialize;

use super::adapter_error::invalid;
pub use super::adapter_error::{AdapterError, LARGEST};
use super::base::Base;
use super::shape::{Auth, Method, Rules, Shape};
use super::template::Placeholder;

/// Seconds that a new key may take until it works, at most.
const LONGEST_PATIENCE: u32 = 600;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_in_the_docs_is_one() {
        let page = include_str!("../../../../docs/rotating.md");
        let (_, rest) = page.split_once("```json\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let adapter = Adapter::parse(text).unwrap();
        assert!(adapter.needs_admin());
        // Without its mark nobody would find the key again.
        let unmarked = Adapter::parse(&text.replace("{{mark}}", "a key")).unwrap_err().to_string();
        assert!(unmarked.contains("mark"), "{unmarked}");
    }
}

//! The four requests to a provider of keys, one attempt each, and the meaning of the responses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::adapter::{Adapter, NextForm, Pointer};
use super::base::Base;
use super::error::{KeyError, Operation};
use super::http::{Http, HttpError, Response};
use super::request::Request;
use super::shape::{Auth, Method, Shape};
use super::template::{Placeholder, Values};

/// The most pages of a list that are read.
const MAX_PAGES: u32 = 200;
/// The longest public half, in characters.
const MAX_ID: usize = 255;
/// The longest secret half, in characters: a secret's value has 64 KiB in all.
const MAX_SECRET: usize = 8 * 1024;

/// A key: its public and its secret half.
#[derive(Debug, Clone)]
pub struct Key {
    /// The public half, which names the key.
    pub id: String,
    /// The secret half.
    pub secret: SecretString,
}

/// A key in the provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// The public half.
    pub id: String,
    /// The text that may contain a mark.
    pub text: String,
}

/// The texts for a new key.
#[derive(Debug, Clone, Copy)]
pub struct KeyLabel<'a> {
    /// The value of `{{mark}}`.
    pub mark: &'a str,
    /// The value of `{{token}}`.
    pub token: &'a str,
    /// The value of `{{name}}`.
    pub name: &'a str,
}

/// The provider's verdict on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The key works.
    Accepted,
    /// The key does not work, or not yet: status 401.
    Refused,
    /// The key is valid and lacks the permission, perhaps for now: status 403.
    Forbidden,
}

/// A provider of keys.
pub struct Provider<H> {
    adapter: Adapter,
    http: H,
}

impl<H: Http> Provider<H> {
    /// Creates the client of a provider's API.
    pub fn new(adapter: Adapter, http: H) -> Self {
        Self { adapter, http }
    }

    /// Returns the API.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Creates a key.
    ///
    /// # Errors
    /// If there was no valid response, the key may exist.
    pub async fn create(&self, admin: Option<&Key>, label: KeyLabel<'_>) -> Result<Key, KeyError> {
        let create = &self.adapter.create;
        let values = self.values(admin);
        let values = values.with(Placeholder::Mark, label.mark).with(Placeholder::Token, label.token);
        let values = values.with(Placeholder::Name, label.name);
        let call = self.call(Operation::Create, &create.request, &self.adapter.base);
        let response = self.send(&call, Method::Post, &values, admin, None).await?;
        let body = call.json(&response)?;
        let id = call.id(&body, &create.id)?;
        let secret = call.text(&body, &create.secret, MAX_SECRET)?;
        Ok(Key { id, secret: secret.into() })
    }

    /// Returns all keys of the owner.
    ///
    /// # Errors
    /// A page is missing or invalid: a list is complete, or an error.
    pub async fn list(&self, admin: Option<&Key>) -> Result<Vec<ListedKey>, KeyError> {
        let list = &self.adapter.list;
        let call = self.call(Operation::List, &list.request, &self.adapter.base);
        let values = self.values(admin);
        let mut keys = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let more = list.next.as_ref().zip(from.as_deref());
            let more = more.map(|(next, token)| (next.parameter.as_str(), token));
            let response = self.send(&call, Method::Get, &values, admin, more).await?;
            let body = call.json(&response)?;
            let items = body.pointer(&list.items.0).and_then(Value::as_array);
            for item in
                items.ok_or_else(|| call.unexpected(format!("there is no list at `{}`", list.items.0)))?
            {
                let text = item.pointer(&list.mark.0).and_then(Value::as_str).unwrap_or_default();
                keys.push(ListedKey { id: call.id(item, &list.id)?, text: text.to_owned() });
            }
            let Some(next) = &list.next else { return Ok(keys) };
            let token = match body.pointer(&next.pointer.0) {
                None | Some(Value::Null) => return Ok(keys),
                Some(Value::String(text)) if text.is_empty() => return Ok(keys),
                Some(Value::String(text)) => match next.form {
                    NextForm::Token => Some(text.clone()),
                    NextForm::Url => parameter(text, &next.parameter),
                },
                Some(_) => None,
            };
            let token = token.filter(|token| from.as_ref() != Some(token)).ok_or_else(|| {
                call.unexpected(format!("`{}` is not a valid token for the next page", next.pointer.0))
            })?;
            from = Some(token);
        }
        Err(call.unexpected(format!("the list has more than {MAX_PAGES} pages")))
    }

    /// Revokes a key. A key that does not exist counts as revoked.
    ///
    /// # Errors
    /// If there was no response, the key may be revoked.
    pub async fn revoke(&self, admin: Option<&Key>, id: &str) -> Result<(), KeyError> {
        let values = self.values(admin).with(Placeholder::Id, id);
        let call = self.call(Operation::Revoke, &self.adapter.revoke.request, &self.adapter.base);
        match self.send(&call, Method::Delete, &values, admin, None).await {
            Ok(_) | Err(KeyError::ProviderRejected { status: 404 | 410, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tries a key.
    ///
    /// # Errors
    /// There is no verdict.
    pub async fn verify(&self, key: &Key) -> Result<Verdict, KeyError> {
        let secret = key.secret.expose_secret();
        let values = self.values(None).with(Placeholder::Id, &key.id).with(Placeholder::Secret, secret);
        let call = self.call(Operation::Verify, &self.adapter.verify.request, self.adapter.verify_base());
        match self.send(&call, Method::Get, &values, Some(key), None).await {
            Ok(_) => Ok(Verdict::Accepted),
            Err(KeyError::ProviderRejected { status: 401, .. }) => Ok(Verdict::Refused),
            Err(KeyError::ProviderRejected { status: 403, .. }) => Ok(Verdict::Forbidden),
            Err(error) => Err(error),
        }
    }

    fn values<'a>(&'a self, admin: Option<&'a Key>) -> Values<'a> {
        let mut values = Values::default();
        for (placeholder, value) in
            [(Placeholder::Owner, &self.adapter.owner), (Placeholder::Resource, &self.adapter.resource)]
        {
            if let Some(value) = value {
                values = values.with(placeholder, value);
            }
        }
        match admin {
            Some(admin) => values
                .with(Placeholder::AdminId, &admin.id)
                .with(Placeholder::AdminSecret, admin.secret.expose_secret()),
            None => values,
        }
    }

    fn call<'a>(&self, operation: Operation, shape: &'a Shape, base: &'a Base) -> Call<'a> {
        Call { operation, shape, base }
    }

    /// Sends a request. Returns the response if its status is a success.
    async fn send(
        &self,
        call: &Call<'_>,
        usual: Method,
        values: &Values<'_>,
        by: Option<&Key>,
        more: Option<(&str, &str)>,
    ) -> Result<Response, KeyError> {
        let operation = call.operation;
        let request = Request::build(call.shape, call.base, usual, values, more)
            .map_err(|source| KeyError::InvalidSecretValue { operation, source })?;
        let own = match (request.auth, by) {
            (Auth::None, _) | (_, None) => Vec::new(),
            (Auth::Basic, Some(key)) => {
                let pair = SecretString::from(format!("{}:{}", key.id, key.secret.expose_secret()));
                let encoded = STANDARD.encode(pair.expose_secret());
                vec![("authorization", SecretString::from(format!("Basic {encoded}")))]
            }
            (Auth::Bearer, Some(key)) => {
                vec![("authorization", SecretString::from(format!("Bearer {}", key.secret.expose_secret())))]
            }
        };
        let body_wanted = matches!(operation, Operation::Create | Operation::List);
        let response =
            self.http.send(&request, &own, body_wanted).await.map_err(|error| call.failed(error))?;
        match response.status {
            200..=299 => Ok(response),
            // 408: the server timed out waiting for the request. 429 and its Retry-After: RFC 6585,
            // section 4.
            408 | 429 | 500..=599 => Err(KeyError::Busy {
                operation,
                host: call.host(),
                status: response.status,
                retry_after: response.retry_after,
            }),
            status => Err(KeyError::ProviderRejected { operation, host: call.host(), status }),
        }
    }
}

/// A request and its place in the configuration.
struct Call<'a> {
    operation: Operation,
    shape: &'a Shape,
    base: &'a Base,
}

impl Call<'_> {
    fn host(&self) -> String {
        self.base.to_string()
    }

    fn unexpected(&self, problem: String) -> KeyError {
        KeyError::UnexpectedResponse { operation: self.operation, host: self.host(), problem }
    }

    fn failed(&self, error: HttpError) -> KeyError {
        let (operation, host) = (self.operation, self.host());
        match error {
            HttpError::Broken(problem) => KeyError::Unreachable { operation, host, problem },
            HttpError::Untrusted(problem) => KeyError::CertificateNotTrusted { host, problem },
            HttpError::Unreadable(problem) => self.unexpected(problem),
        }
    }

    fn json(&self, response: &Response) -> Result<Value, KeyError> {
        // The parser's error would quote the body.
        serde_json::from_str(response.body.expose_secret())
            .map_err(|_| self.unexpected("it is not JSON".to_owned()))
    }

    fn id(&self, value: &Value, at: &Pointer) -> Result<String, KeyError> {
        self.text(value, at, MAX_ID)
    }

    /// Returns a text of visible ASCII characters, which may go into headers.
    fn text(&self, value: &Value, at: &Pointer, longest: usize) -> Result<String, KeyError> {
        let found = value.pointer(&at.0);
        let fits = |text: &&str| {
            !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match found.and_then(Value::as_str).filter(fits) {
            Some(text) => Ok(text.to_owned()),
            None if found.is_none() => Err(self.unexpected(format!("nothing at `{}`", at.0))),
            None => {
                let problem = format!("`{}` is not a text of 1 to {longest} visible ASCII characters", at.0);
                Err(self.unexpected(problem))
            }
        }
    }
}

/// Returns the value of a parameter in the query of an address.
fn parameter(address: &str, name: &str) -> Option<String> {
    let (_, query) = address.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
    };
    let pair = |pair: &str| {
        let (have, value) = pair.split_once('=')?;
        (decoded(have)? == name).then(|| decoded(value)).flatten()
    };
    query.split('&').find_map(pair).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_is_read_from_an_address() {
        let address = "https://elsewhere.example/x?a=1&page_token=a%2Fb%3D+c#page_token=no";
        assert_eq!(parameter(address, "page_token").as_deref(), Some("a/b= c"));
        for without in ["https://h/x", "https://h/?page_token=", "https://h/?other=1", "page_token=1"] {
            assert_eq!(parameter(without, "page_token"), None, "{without}");
        }
    }
}

//! API keys over HTTPS: make one, try it, and revoke the one before only at the beginning of the rotation after.
//!
//! Two keys are good at any time, so a client that has read the secret before a rotation has a whole period to read it again. Every key made here
//! carries a mark that names the secret and the rotation. By it a key is found whose secret half was lost on the way, and everything that others made is left
//! alone. Where requests go and what they look like stands in the function's configuration and never in a secret ([`adapter`]).

pub mod adapter;
pub mod base;
pub mod config;
mod embed;
mod error;
pub mod http;
pub mod mark;
pub mod preset;
pub mod provider;
pub mod request;
pub mod shape;
pub mod template;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::machine::Done;
use crate::retry::Transient;
use crate::target::{Invocation, Target};
use crate::versions::{CURRENT, PENDING, Versions};
use embed::Halves;
pub use error::{KeyError, Operation};
use http::Http;
use mark::{Mark, secret_name};
use provider::{Key, Label, Listed, Provider, Verdict};

/// The label of the admin's value in texts.
const ADMIN: &str = "AWSCURRENT of the admin's secret";
/// Names that the halves may have in an admin's secret.
const ADMIN_FIELDS: [(&str, &str); 3] =
    [("key", "secret"), ("api_key", "api_secret"), ("username", "password")];
/// Times that a key is made while no answer says whether it was; each time what the last left is taken away before.
const CREATE_ATTEMPTS: u32 = 4;

/// The names of the halves in a secret's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// Of the public half.
    pub id: &'static str,
    /// Of the secret half.
    pub secret: &'static str,
}

/// Pauses between two attempts: a new key is tried after `first`, then after half as much more each time, up to `longest`.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first pause.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(8) }
    }
}

/// What a function's configuration says beside the provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names in the secret.
    pub fields: Fields,
    /// ARN of the secret of the admin.
    pub admin: Option<String>,
    /// Whether the key that was in the secret first, made by somebody else, is revoked once it is no longer used.
    pub revoke_first: bool,
    /// Pauses.
    pub pace: Pace,
}

/// The keys of an owner at a provider.
pub struct ApiKeys<H> {
    /// Or the name of a product that has no API for keys.
    provider: Result<Provider<H>, &'static str>,
    settings: Settings,
}

impl<H: Http> ApiKeys<H> {
    /// Of a provider.
    pub fn new(provider: Provider<H>, settings: Settings) -> Self {
        Self { provider: Ok(provider), settings }
    }

    /// Of a product that has no API for keys: every step fails and says what to do.
    pub fn without_api(product: &'static str, settings: Settings) -> Self {
        Self { provider: Err(product), settings }
    }

    fn provider(&self) -> Result<&Provider<H>, KeyError> {
        self.provider.as_ref().map_err(|product| KeyError::NoKeyApi(product))
    }

    fn read(&self, value: &SecretDocument) -> Result<Key, DocumentError> {
        let Fields { id, secret } = self.settings.fields;
        Ok(Key { id: value.text(id)?.to_owned(), secret: value.text(secret)?.into() })
    }

    fn key(&self, label: &'static str, value: &SecretDocument) -> Result<Key, RotationError> {
        self.read(value).map_err(|source| RotationError::Document { label, source })
    }

    async fn admin<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
    ) -> Result<Option<Key>, RotationError> {
        let Some(secret) = self.settings.admin.as_deref().filter(|_| provider.adapter().needs_admin()) else {
            return Ok(None);
        };
        let value = at.other(secret, ADMIN).await?;
        let there = |(id, secret): (&'static str, &'static str)| {
            Some(Key { id: value.text(id).ok()?.to_owned(), secret: value.text(secret).ok()?.into() })
        };
        let missing = DocumentError::Missing { key: "key` and `secret", near: None };
        let key = ADMIN_FIELDS.into_iter().find_map(there);
        key.map(Some).ok_or(RotationError::Document { label: ADMIN, source: missing })
    }

    /// The value with another key, also where others of its texts hold the old one.
    fn with_key(&self, value: &SecretDocument, old: &Key, new: &Key) -> SecretDocument {
        let old = Halves { id: &old.id, secret: old.secret.expose_secret() };
        let new = Halves { id: &new.id, secret: new.secret.expose_secret() };
        value.map_texts(|name, text| {
            if name == self.settings.fields.id {
                Some(new.id.to_owned())
            } else if name == self.settings.fields.secret {
                Some(new.secret.to_owned())
            } else {
                embed::refreshed(text, old, new)
            }
        })
    }

    /// Whoever is not let in with a key that was made up has to bring a real one. It is asked before a key is made: where the way is blocked, no key is left behind.
    async fn check_that_a_key_is_needed<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
    ) -> Result<(), RotationError> {
        let nobody = Key { id: "sluice-made-up-key".to_owned(), secret: SecretString::from("made-up") };
        match at.retry.run("a try of a key", || provider.verify(&nobody)).await? {
            Verdict::Accepted => {
                Err(KeyError::ProvesNothing { host: provider.adapter().verify_base().to_string() }.into())
            }
            Verdict::Refused | Verdict::Forbidden => Ok(()),
        }
    }

    /// Revokes the keys of this secret's rotations but the current one: the previous one, and those whose secret half was lost.
    /// If another run of this step has put its key into AWSPENDING meanwhile, nothing is revoked, and that value returned.
    async fn sweep<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
        admin: Option<&Key>,
        current: &Key,
    ) -> Result<Option<SecretDocument>, RotationError> {
        let mark = Mark::of(&at.event.secret_id);
        let listed = at.retry.run("the list of keys", || provider.list(admin)).await?;
        let ours = |key: &&Listed| mark.is_in(&key.text);
        let mut old: Vec<&Listed> = listed.iter().filter(ours).filter(|key| key.id != current.id).collect();
        let of_this_rotation = mark.with(&at.event.client_request_token);
        if old.iter().any(|key| key.text.contains(&of_this_rotation))
            && let Some(pending) = at.pending().await?
        {
            return Ok(Some(pending));
        }
        old.extend(self.first_of(at, &listed, current).await?);
        for key in old {
            at.retry.run("the revocation of a key", || provider.revoke(admin, &key.id)).await?;
            tracing::info!(secret = at.event.secret_id, key = key.id, "an older key was revoked");
        }
        Ok(None)
    }

    /// The key of AWSPREVIOUS, if nobody marked it, it is to be revoked, and the current one is ours.
    async fn first_of<'a, V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        listed: &'a [Listed],
        current: &Key,
    ) -> Result<Option<&'a Listed>, RotationError> {
        let mark = Mark::of(&at.event.secret_id);
        let current_is_ours = listed.iter().any(|key| key.id == current.id && mark.is_in(&key.text));
        let mut foreign = listed.iter().filter(|key| !Mark::any_in(&key.text) && key.id != current.id);
        if !current_is_ours || foreign.clone().next().is_none() {
            return Ok(None);
        }
        let previous = at.previous().await?.and_then(|value| self.read(&value).ok());
        let first = foreign.find(|key| previous.as_ref().is_some_and(|previous| previous.id == key.id));
        if let Some(first) = first.filter(|_| !self.settings.revoke_first) {
            tracing::warn!(
                secret = at.event.secret_id,
                key = first.id,
                "the key that was in the secret before the first rotation is not revoked: somebody else made it; do so by hand, or set REVOKE_FIRST=true"
            );
            return Ok(None);
        }
        Ok(first)
    }

    /// The value with a new key. While no answer says whether there is one, what may be there is taken away first.
    async fn create<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
        admin: Option<&Key>,
        current: &SecretDocument,
    ) -> Result<SecretDocument, RotationError> {
        let old = self.key(CURRENT, current)?;
        let token = at.event.client_request_token.as_str();
        let mark = Mark::of(&at.event.secret_id).with(token);
        let label = Label { mark: &mark, token, name: secret_name(&at.event.secret_id) };
        let mut longest = self.settings.pace.first;
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(pending) = self.sweep(at, provider, admin, &old).await? {
                return Ok(pending);
            }
            // One attempt and no more: Retry would send it again.
            let once = at.retry.run("the making of a key", || async {
                match provider.create(admin, label).await {
                    Err(error) if error.may_pass() => Ok(Err(error)),
                    other => other.map(Ok),
                }
            });
            match once.await? {
                Ok(new) => return Ok(self.with_key(current, &old, &new)),
                Err(error) if attempts == CREATE_ATTEMPTS => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(secret = at.event.secret_id, error = %error, "a key is made again");
                    if !at.retry.pause(error.wait(), longest).await {
                        return Err(error.into());
                    }
                    longest *= 2;
                }
            }
        }
    }

    /// What the provider says to a new key, asked until it says yes or `patience_seconds` are over.
    async fn patiently<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
        key: &Key,
    ) -> Result<Verdict, RotationError> {
        let patience = Duration::from_secs(provider.adapter().verify.patience_seconds.into());
        let until = Instant::now() + patience;
        let Pace { first: mut pause, longest } = self.settings.pace;
        loop {
            let verdict = at.retry.run("a try of a key", || provider.verify(key)).await?;
            if verdict == Verdict::Accepted || Instant::now() + pause > until {
                return Ok(verdict);
            }
            if !at.retry.pause(pause, pause / 2).await {
                return Err(RotationError::OutOfTime("the wait for a new key to work"));
            }
            pause = (pause + pause / 2).min(longest);
        }
    }
}

impl<H: Http> Target for ApiKeys<H> {
    fn name(&self) -> &'static str {
        "api-key"
    }

    fn whose(&self, value: &SecretDocument) -> String {
        let host = match &self.provider {
            Ok(provider) => provider.adapter().verify_base().to_string(),
            Err(product) => (*product).to_owned(),
        };
        match self.read(value) {
            Ok(key) => format!("key `{}` at {host}", key.id),
            Err(error) => error.to_string(),
        }
    }

    fn check(&self, value: &SecretDocument) -> Result<(), DocumentError> {
        self.read(value).map(|_| ())
    }

    async fn next<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        current: &SecretDocument,
    ) -> Result<SecretDocument, RotationError> {
        let provider = self.provider()?;
        let admin = self.admin(at, provider).await?;
        self.check_that_a_key_is_needed(at, provider).await?;
        self.create(at, provider, admin.as_ref(), current).await
    }

    /// There is nothing to set: the key is there since it was made, and here it is waited for.
    async fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        pending: &SecretDocument,
    ) -> Result<Done, RotationError> {
        let provider = self.provider()?;
        let key = self.key(PENDING, pending)?;
        let status = match self.patiently(at, provider, &key).await? {
            Verdict::Accepted => return Ok(Done::Now),
            Verdict::Refused => 401,
            Verdict::Forbidden => 403,
        };
        let seconds = provider.adapter().verify.patience_seconds.into();
        let host = provider.adapter().verify_base().to_string();
        Err(KeyError::NotAccepted { host, id: key.id, status, seconds }.into())
    }

    async fn accepts<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        value: &SecretDocument,
    ) -> Result<Login, RotationError> {
        let provider = self.provider()?;
        let key = self.key(label, value)?;
        // A new key may be known to one of the provider's servers and not yet to the next.
        let verdict = if label == PENDING {
            self.patiently(at, provider, &key).await?
        } else {
            at.retry.run("a try of a key", || provider.verify(&key)).await?
        };
        match verdict {
            Verdict::Accepted => Ok(Login::Accepted),
            Verdict::Refused => Ok(Login::Refused),
            Verdict::Forbidden => {
                let host = provider.adapter().verify_base().to_string();
                Err(KeyError::Refused { operation: Operation::Verify, host, status: 403 }.into())
            }
        }
    }
}

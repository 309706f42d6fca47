//! API keys over HTTPS: a rotation creates a key, tries it, and revokes the previous one only at
//! the start of the next rotation.
//!
//! Two keys are valid at any time, so a client that read the secret before a rotation has a whole
//! period to read it again. Every key created here carries a mark that names the secret and the
//! rotation. The mark identifies a key whose secret half was lost with a response; keys of others
//! are never touched. The hosts and the form of the requests come from the function's configuration
//! and never from a secret ([`adapter`]).

pub mod adapter;
mod adapter_error;
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

use lambda_kit::arn::Arn;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::Login;
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::outcome::StepOutcome;
use crate::pending::CheckedValue;
use crate::retry::Transient;
use crate::rotator::{CredentialRotator, ParsedValue};
use crate::versions::{CURRENT, PENDING, Versions};
use embed::{Halves, Refusal};
pub use error::{KeyError, Operation};
use http::Http;
use mark::Mark;
use provider::{Key, KeyLabel, ListedKey, Provider, Verdict};

/// Names the admin's value in errors.
const ADMIN: &str = "AWSCURRENT of the admin's secret";
/// The names that the halves may have in an admin's secret.
const ADMIN_FIELDS: [(&str, &str); 3] =
    [("key", "secret"), ("api_key", "api_secret"), ("username", "password")];
/// Attempts to create a key while no response says whether it exists. Before each, the key of the
/// last attempt is revoked.
const CREATE_ATTEMPTS: u32 = 4;

/// The names of a key's halves in a secret's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The name of the public half.
    pub id: &'static str,
    /// The name of the secret half.
    pub secret: &'static str,
}

/// The pauses between two tries of a new key: `first`, then half as much more each time, up to
/// `longest`.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(8) }
    }
}

/// The function's configuration, apart from the provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The names of the key's halves in the secret.
    pub fields: Fields,
    /// The ARN of the admin's secret.
    pub admin: Option<String>,
    /// The public half of the key that was in the secret first, which somebody else created: it is
    /// revoked once it is no longer used. It comes from the configuration and never from the secret:
    /// otherwise, whoever may write the secret could have any key of the owner revoked.
    pub revoke_first: Option<String>,
    /// The pauses between tries.
    pub pace: Pace,
}

/// Rotates the keys of an owner at a provider.
pub struct ApiKeys<H> {
    /// The provider, or the name of a product that has no API for keys.
    provider: Result<Provider<H>, &'static str>,
    settings: Settings,
}

impl<H: Http> ApiKeys<H> {
    /// Creates the rotator for a provider.
    pub fn new(provider: Provider<H>, settings: Settings) -> Self {
        Self { provider: Ok(provider), settings }
    }

    /// Creates a rotator for a product that has no API for keys: every step fails and says what to
    /// do.
    pub fn without_api(product: &'static str, settings: Settings) -> Self {
        Self { provider: Err(product), settings }
    }

    fn provider(&self) -> Result<&Provider<H>, KeyError> {
        self.provider.as_ref().map_err(|product| KeyError::KeyApiUnavailable(product))
    }

    async fn admin<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
    ) -> Result<Option<Key>, RotationError> {
        let Some(secret) = self.settings.admin.as_deref().filter(|_| provider.adapter().needs_admin()) else {
            return Ok(None);
        };
        let value = at.other_secret(secret, ADMIN).await?;
        let read = |(id, secret): (&'static str, &'static str)| {
            Some(Key { id: value.text(id).ok()?.to_owned(), secret: value.text(secret).ok()?.into() })
        };
        let missing = DocumentError::Missing { key: "key` and `secret", near: None };
        let key = ADMIN_FIELDS.into_iter().find_map(read);
        key.map(Some).ok_or(RotationError::InvalidSecretValue { label: ADMIN, source: missing })
    }

    /// Returns the value with another key, also in other texts that hold the old one.
    fn with_key(
        &self,
        value: &SecretDocument,
        old: &Key,
        new: &Key,
    ) -> Result<SecretDocument, RotationError> {
        let Fields { id, secret } = self.settings.fields;
        let old = Halves { id: &old.id, secret: old.secret.expose_secret() };
        let new = Halves { id: &new.id, secret: new.secret.expose_secret() };
        let next = value.map_texts(|path, name, text| {
            if path == id || path == secret {
                return Ok(());
            }
            let key = path.to_owned();
            match embed::refreshed(name, text, old, new) {
                Ok(changed) => {
                    *text = changed.unwrap_or_else(|| std::mem::take(text));
                    Ok(())
                }
                Err(Refusal::UnknownForm) => Err(DocumentError::HoldsPassword { key }),
                Err(Refusal::Inexpressible) => Err(DocumentError::Inexpressible { key }),
            }
        });
        let next = next.map_err(|source| RotationError::InvalidSecretValue { label: CURRENT, source })?;
        Ok(next.with_text(id, new.id).with_text(secret, new.secret))
    }

    /// Checks that no text of the value would hold the old key's secret after the change.
    fn check_that_no_text_keeps_the_key(&self, current: &ParsedValue<Key>) -> Result<(), RotationError> {
        // With the characters of Base64, which keys usually have.
        let invented = Key { id: "new".to_owned(), secret: SecretString::from("new+/=") };
        let next = self.with_key(&current.document, &current.credential, &invented)?;
        match next.key_that_holds(current.credential.secret.expose_secret()) {
            Some(key) => {
                let source = DocumentError::HoldsPassword { key };
                Err(RotationError::InvalidSecretValue { label: CURRENT, source })
            }
            None => Ok(()),
        }
    }

    /// Checks that the provider rejects an invented key, so that an accepted key proves something.
    /// It runs before a key is created: if the host cannot be reached, no key is left behind.
    async fn check_that_a_key_is_needed<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        provider: &Provider<H>,
    ) -> Result<(), RotationError> {
        let invented = Key { id: "sluice-made-up-key".to_owned(), secret: SecretString::from("made-up") };
        match at.retry.run("a try of a key", || provider.verify(&invented)).await? {
            Verdict::Accepted => {
                let host = provider.adapter().verify_base().to_string();
                Err(KeyError::VerificationInconclusive { host }.into())
            }
            Verdict::Refused | Verdict::Forbidden => Ok(()),
        }
    }

    /// Revokes the keys that rotations of this secret created, except the current one: the previous
    /// key, and keys whose secret half was lost. If another run of this step has stored its key
    /// under AWSPENDING in the meantime, it revokes nothing and returns that value.
    async fn revoke_old_keys<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        run: &Creation<'_, H>,
    ) -> Result<Option<SecretDocument>, RotationError> {
        let Creation { provider, admin, current, token } = *run;
        let mark = Mark::of(at.secret_id);
        let listed = at.retry.run("the list of keys", || provider.list(admin)).await?;
        let ours = |key: &&ListedKey| mark.is_in(&key.text);
        let mut old: Vec<&ListedKey> =
            listed.iter().filter(ours).filter(|key| key.id != current.credential.id).collect();
        let of_this_rotation = mark.with(token);
        if old.iter().any(|key| key.text.contains(&of_this_rotation))
            && let Some(pending) = at.pending(token).await?
        {
            return Ok(Some(pending));
        }
        old.extend(self.first_key(at, &listed, &current.credential).await?);
        for key in old {
            at.retry.run("the revocation of a key", || provider.revoke(admin, &key.id)).await?;
            tracing::info!(secret = at.secret_id, key = key.id, "revoked an old key");
        }
        Ok(None)
    }

    /// Returns the key that the configuration names, if it has no mark and the current key has ours.
    /// Without a name, it reports the key of AWSPREVIOUS.
    async fn first_key<'a, V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        listed: &'a [ListedKey],
        current: &Key,
    ) -> Result<Option<&'a ListedKey>, RotationError> {
        let mark = Mark::of(at.secret_id);
        let current_is_ours = listed.iter().any(|key| key.id == current.id && mark.is_in(&key.text));
        let mut foreign = listed.iter().filter(|key| !Mark::any_in(&key.text) && key.id != current.id);
        if !current_is_ours || foreign.clone().next().is_none() {
            return Ok(None);
        }
        if let Some(id) = &self.settings.revoke_first {
            return Ok(foreign.find(|key| key.id == *id));
        }
        let previous = at.previous().await?.and_then(|value| self.parse(&value).ok());
        let first = foreign.find(|key| previous.as_ref().is_some_and(|previous| previous.id == key.id));
        if let Some(first) = first {
            tracing::warn!(
                secret = at.secret_id,
                key = first.id,
                "the key that was in the secret before the first rotation is not revoked, because \
                 somebody else created it; revoke it by hand, or name it in REVOKE_FIRST_KEY_ID"
            );
        }
        Ok(None)
    }

    /// Returns the value with a new key. As long as no response says whether a key was created, the
    /// next attempt first revokes it.
    async fn create_key<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        run: &Creation<'_, H>,
    ) -> Result<SecretDocument, RotationError> {
        let Creation { provider, admin, current, token } = *run;
        self.check_that_no_text_keeps_the_key(current)?;
        let mark = Mark::of(at.secret_id).with(token);
        let arn = at.secret_id.parse::<Arn>().ok();
        let name = arn.as_ref().and_then(Arn::secret_name).unwrap_or(at.secret_id);
        let label = KeyLabel { mark: &mark, token, name };
        let mut longest = self.settings.pace.first;
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(pending) = self.revoke_old_keys(at, run).await? {
                return Ok(pending);
            }
            // One attempt: a transient error must not be retried before the keys are listed again.
            let once = at.retry.run("the creation of a key", || async {
                match provider.create(admin, label).await {
                    Err(error) if error.is_transient() => Ok(Err(error)),
                    other => other.map(Ok),
                }
            });
            match once.await? {
                Ok(new) => return self.with_key(&current.document, &current.credential, &new),
                Err(error) if attempts == CREATE_ATTEMPTS => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(secret = at.secret_id, error = %error, "creating the key again");
                    if !at.retry.pause(error.retry_after(), longest).await {
                        return Err(error.into());
                    }
                    longest *= 2;
                }
            }
        }
    }

    /// Tries a new key until the provider accepts it or `patience_seconds` have passed.
    async fn try_until_accepted<V: Versions>(
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
                return Err(RotationError::TimedOut("the wait for a new key to work"));
            }
            pause = (pause + pause / 2).min(longest);
        }
    }
}

/// The creation of a key: the arguments of its parts.
struct Creation<'a, H> {
    provider: &'a Provider<H>,
    admin: Option<&'a Key>,
    current: &'a ParsedValue<Key>,
    token: &'a str,
}

impl<H: Http> CredentialRotator for ApiKeys<H> {
    type Credential = Key;

    fn name(&self) -> &'static str {
        "api-key"
    }

    fn parse(&self, value: &SecretDocument) -> Result<Key, DocumentError> {
        let Fields { id, secret } = self.settings.fields;
        Ok(Key { id: value.text(id)?.to_owned(), secret: value.text(secret)?.into() })
    }

    fn describe(&self, key: &Key) -> String {
        let host = match &self.provider {
            Ok(provider) => provider.adapter().verify_base().to_string(),
            Err(product) => (*product).to_owned(),
        };
        format!("key `{}` at {host}", key.id)
    }

    async fn create<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        token: &str,
        current: &ParsedValue<Key>,
    ) -> Result<SecretDocument, RotationError> {
        let provider = self.provider()?;
        let admin = self.admin(at, provider).await?;
        self.check_that_a_key_is_needed(at, provider).await?;
        self.create_key(at, &Creation { provider, admin: admin.as_ref(), current, token }).await
    }

    /// Waits until the provider accepts the key. The key exists since its creation.
    async fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        _: &str,
        value: &CheckedValue<Key>,
    ) -> Result<StepOutcome, RotationError> {
        let key = &value.pending.credential;
        let provider = self.provider()?;
        let status = match self.try_until_accepted(at, provider, key).await? {
            Verdict::Accepted => return Ok(StepOutcome::Done),
            Verdict::Refused => 401,
            Verdict::Forbidden => 403,
        };
        let seconds = provider.adapter().verify.patience_seconds.into();
        let host = provider.adapter().verify_base().to_string();
        Err(KeyError::NewKeyRejected { host, id: key.id.clone(), status, seconds }.into())
    }

    async fn verify<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        key: &Key,
    ) -> Result<Login, RotationError> {
        let provider = self.provider()?;
        // One of the provider's servers may accept a new key while another does not yet.
        let verdict = if label == PENDING {
            self.try_until_accepted(at, provider, key).await?
        } else {
            at.retry.run("a try of a key", || provider.verify(key)).await?
        };
        match verdict {
            Verdict::Accepted => Ok(Login::Accepted),
            Verdict::Refused => Ok(Login::Refused),
            Verdict::Forbidden => {
                let host = provider.adapter().verify_base().to_string();
                Err(KeyError::ProviderRejected { operation: Operation::Verify, host, status: 403 }.into())
            }
        }
    }
}

//! Rotating a user's password on an engine: one user, or two that take turns.
//!
//! With one user the old password ends the moment the new one is set: a client that has read the secret before and logs in after is refused
//! until it reads again. With two users the old credential goes on working until the rotation after the next. Source: "Lambda function rotation
//! strategies" of the Secrets Manager user guide.

use secrecy::SecretString;

use crate::action::{Acted, Action, Occasion};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, Login};
use crate::error::RotationError;
use crate::machine::Done;
use crate::password::{PasswordError, PasswordPolicy};
use crate::retire;
use crate::target::{Invocation, Target};
use crate::versions::{CURRENT, PENDING, PREVIOUS, Versions};

/// Times that a random password is asked for until the engine's rules hold.
const PASSWORD_ATTEMPTS: u32 = 5;
/// What the other user's name has at its end, as in AWS's own functions.
const CLONE: &str = "_clone";
/// The label of the admin's value in texts.
const ADMIN: &str = "AWSCURRENT of the admin's secret";

/// Who changes whose password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// One user, who changes its own password.
    SingleUser,
    /// One user, whose password an admin changes.
    SingleUserByAdmin(Admin),
    /// Two users take turns; an admin makes the second like the first and changes the passwords of both.
    AlternatingUsers(Admin),
}

/// The secret of an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// ARN of the secret.
    pub secret: String,
    /// Host for a value that has no key `host`, as those have that RDS or Redshift manage. It comes from the function's configuration
    /// and never from the rotated secret: whoever may write that must not learn the admin's password.
    pub host: Option<String>,
}

impl Strategy {
    fn admin(&self) -> Option<&Admin> {
        match self {
            Self::SingleUser => None,
            Self::SingleUserByAdmin(admin) | Self::AlternatingUsers(admin) => Some(admin),
        }
    }
}

/// The passwords of users of an engine.
pub struct Passwords<E> {
    engine: E,
    strategy: Strategy,
    ignores_ssl: bool,
}

impl<E: Engine> Passwords<E> {
    /// Of an engine, by a strategy.
    pub fn new(engine: E, strategy: Strategy) -> Self {
        Self { engine, strategy, ignores_ssl: false }
    }

    /// The same for values that say `ssl: false` to other clients. Logins here stay with verified TLS, whatever a value says.
    pub fn ignoring_ssl(self, ignores_ssl: bool) -> Self {
        Self { ignores_ssl, ..self }
    }

    fn read(&self, value: &SecretDocument) -> Result<Account, DocumentError> {
        if self.ignores_ssl { self.engine.account(&value.without("ssl")) } else { self.engine.account(value) }
    }

    /// The user of the next credential.
    fn next_user(&self, user: &str) -> Result<String, RotationError> {
        if !matches!(self.strategy, Strategy::AlternatingUsers(_)) {
            return Ok(user.to_owned());
        }
        let other = other_user(user);
        let longest = self.engine.longest_user().unwrap_or(usize::MAX);
        if other.len() > longest {
            let (engine, user) = (self.engine.name(), user.to_owned());
            return Err(RotationError::UserNameTooLong { user, other, engine, longest });
        }
        Ok(other)
    }

    fn account(&self, label: &'static str, value: &SecretDocument) -> Result<Account, RotationError> {
        self.read(value).map_err(|source| RotationError::Document { label, source })
    }

    async fn log_in<V>(&self, at: &Invocation<'_, V>, account: &Account) -> Result<Login, RotationError> {
        at.retry.run("a login", || self.engine.log_in(account)).await
    }

    /// The admin's account.
    async fn admin<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        admin: &Admin,
        current: &SecretDocument,
    ) -> Result<Account, RotationError> {
        let named = current.optional_text("masterarn");
        let named = named.map_err(|source| RotationError::Document { label: CURRENT, source })?;
        if named.is_some_and(|named| named != admin.secret) {
            return Err(RotationError::OtherAdmin);
        }
        let mut value = at.other(&admin.secret, ADMIN).await?;
        if let Some(host) = &admin.host {
            let port = self.account(CURRENT, current)?.server.port;
            value = value.with_default("host", host.as_str()).with_default("port", port);
        }
        self.account(ADMIN, &value)
    }

    /// The first of the current and the previous credential that logs in.
    async fn proven<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        current: &Account,
        admin: Option<&Account>,
    ) -> Result<Account, RotationError> {
        // Where an admin is about to act, the credential has to be good on the very server of the admin: a user's name that somebody wrote
        // into the secret must not be enough to have that user's password changed.
        let there = |account: Account| match admin {
            Some(admin) => Account { server: admin.server.clone(), ..account },
            None => account,
        };
        let first = there(current.clone());
        if self.log_in(at, &first).await? == Login::Accepted {
            return Ok(first);
        }
        let previous = at.previous().await?.and_then(|value| self.account(PREVIOUS, &value).ok());
        if let Some(previous) = previous
            && previous.server_differs_by(current).is_none()
            && (previous.user == current.user || previous.user == self.next_user(&current.user)?)
        {
            let second = there(previous);
            if self.log_in(at, &second).await? == Login::Accepted {
                tracing::warn!(
                    secret = at.event.secret_id,
                    "the server accepts the password of AWSPREVIOUS, not that of AWSCURRENT"
                );
                return Ok(second);
            }
        }
        Err(RotationError::NoneLogsIn { server: first.server.to_string(), user: first.user })
    }
}

/// A random password that keeps to the rules.
pub(crate) async fn new_password(
    policy: &PasswordPolicy,
    versions: &impl Versions,
) -> Result<SecretString, RotationError> {
    let mut broken = "none was asked for";
    for _ in 0..PASSWORD_ATTEMPTS {
        let password = versions.random_password(policy).await?;
        match policy.broken_rule(&password) {
            None => return Ok(password),
            Some(rule) => broken = rule,
        }
    }
    Err(PasswordError::Unacceptable { engine: policy.engine, attempts: PASSWORD_ATTEMPTS, rule: broken }
        .into())
}

/// The name of the user that takes turns with `user`.
fn other_user(user: &str) -> String {
    match user.strip_suffix(CLONE) {
        Some(first) if !first.is_empty() => first.to_owned(),
        _ => format!("{user}{CLONE}"),
    }
}

impl<E: Engine> Target for Passwords<E> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn whose(&self, value: &SecretDocument) -> String {
        match self.read(value) {
            Ok(account) => format!("user `{}` of {}", account.user, account.server),
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
        let account = self.account(CURRENT, current)?;
        let user = self.next_user(&account.user)?;
        if self.engine.retires_first() && self.log_in(at, &account).await? == Login::Accepted {
            self.engine.retire_others(&account).await?;
        }
        let password = new_password(&self.engine.password_policy(), at.versions).await?;
        let bad = |source| RotationError::Document { label: CURRENT, source };
        let next = current.with_password(&password).map_err(bad)?;
        if matches!(self.strategy, Strategy::AlternatingUsers(_)) {
            return next.with_user(&user).map_err(bad);
        }
        Ok(next)
    }

    async fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        pending: &SecretDocument,
    ) -> Result<Done, RotationError> {
        let pending = self.account(PENDING, pending)?;
        if self.log_in(at, &pending).await? == Login::Accepted {
            return Ok(Done::Before);
        }
        let value = at.current().await?;
        let current = self.account(CURRENT, &value)?;
        // The confused deputy: a password goes only where the current one came from, and only after that has logged in.
        let differs = pending.server_differs_by(&current);
        let other_user = (pending.user != self.next_user(&current.user)?).then_some("username");
        if let Some(key) = differs.or(other_user) {
            return Err(RotationError::TargetChanged { key, token: at.event.client_request_token.clone() });
        }
        let admin = match self.strategy.admin() {
            Some(admin) => Some(self.admin(at, admin, &value).await?),
            None => None,
        };
        let proven = self.proven(at, &current, admin.as_ref()).await?;
        // Not tried again by itself: the connection may have broken after the change, and then the old password
        // would be refused. The next run of the step begins by asking the server which one it accepts.
        let by = admin.as_ref().unwrap_or(&proven);
        let alternates = matches!(self.strategy, Strategy::AlternatingUsers(_));
        let like = alternates.then_some(current.user.as_str());
        self.engine.set(by, like, &pending).await.map(|()| Done::Now).map_err(RotationError::from)
    }

    async fn accepts<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        label: &'static str,
        value: &SecretDocument,
    ) -> Result<Login, RotationError> {
        self.log_in(at, &self.account(label, value)?).await
    }

    async fn act<V: Versions>(&self, at: &Occasion<'_, V>) -> Result<Acted, RotationError> {
        match at.event.action {
            Action::RetirePrevious if self.engine.overlaps() => {
                retire::previous(&self.engine, &|value| self.read(value), at).await
            }
            other => Err(RotationError::NoSuchAction { action: other.name(), target: self.name() }),
        }
    }
}

//! Rotation of a user's password on an engine, for one user or for two alternating users.
//!
//! With one user, the old password ends when the new one is set: a client that read the secret
//! before and logs in after is rejected until it reads the secret again. With two users, the
//! previous credential works until the rotation after the next. Source: "Lambda function rotation
//! strategies" of the Secrets Manager user guide.

use lambda_kit::arn::Arn;
use secrecy::ExposeSecret;

use crate::action::{Action, ActionEvent};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Engine, Login, Server};
use crate::error::RotationError;
use crate::invocation::Invocation;
use crate::new_password::new_password;
use crate::outcome::StepOutcome;
use crate::pending::{CheckedValue, PendingMac, Unproven};
use crate::retire::Retirement;
use crate::rotator::{CredentialRotator, ParsedValue};
use crate::versions::{CURRENT, PREVIOUS, Versions};

/// The suffix of the second user's name, the same as in AWS's own functions.
const CLONE: &str = "_clone";
/// The minutes for which two passwords are valid at least, unless the configuration says otherwise.
pub const DEFAULT_OVERLAP_MINUTES: u32 = 60;
/// Names the admin's value in errors.
const ADMIN: &str = "AWSCURRENT of the admin's secret";

/// The users of a secret, and who changes their passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// One user, who changes its own password.
    SingleUser,
    /// One user, whose password an admin changes.
    SingleUserByAdmin(Admin),
    /// Two alternating users. An admin creates the second one with the privileges of the first and
    /// changes the passwords of both.
    AlternatingUsers(Admin),
}

/// The secret of an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The ARN of the secret.
    pub secret: String,
    /// The host for a value that has no key `host`, such as the secrets that RDS and Redshift
    /// manage. It comes from the function's configuration and never from the rotated secret:
    /// otherwise, whoever may write that secret could learn the admin's password.
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

/// Rotates the passwords of users of an engine.
pub struct Passwords<E> {
    engine: E,
    strategy: Strategy,
    ignores_ssl: bool,
    overlap_minutes: u32,
}

impl<E: Engine> Passwords<E> {
    /// Creates the rotator for an engine and a strategy.
    pub fn new(engine: E, strategy: Strategy) -> Self {
        Self { engine, strategy, ignores_ssl: false, overlap_minutes: DEFAULT_OVERLAP_MINUTES }
    }

    /// Also accepts values that say `ssl: false` to other clients. The function's own logins use
    /// verified TLS in any case.
    pub fn ignoring_ssl(self, ignores_ssl: bool) -> Self {
        Self { ignores_ssl, ..self }
    }

    /// Sets the minutes for which two passwords are valid at least, where an engine has two.
    pub fn overlapping(self, overlap_minutes: u32) -> Self {
        Self { overlap_minutes, ..self }
    }

    /// Returns the minutes after which an event may end the overlap. It may ask for more than the
    /// configuration and not for less: whoever may invoke the function could otherwise reject
    /// clients that have not read the new password yet.
    fn minutes_of_overlap(&self, asked: Option<u32>) -> Result<u32, RotationError> {
        match asked {
            Some(asked) if asked < self.overlap_minutes => {
                Err(RotationError::OverlapTooShort { asked, least: self.overlap_minutes })
            }
            asked => Ok(asked.unwrap_or(self.overlap_minutes)),
        }
    }

    fn alternates(&self) -> bool {
        matches!(self.strategy, Strategy::AlternatingUsers(_))
    }

    /// Returns the user of the next credential.
    fn next_user(&self, user: &str) -> Result<String, RotationError> {
        if !self.alternates() {
            return Ok(user.to_owned());
        }
        let other = other_user(user);
        let max_bytes = self.engine.max_user_bytes().unwrap_or(usize::MAX);
        if other.len() > max_bytes {
            let (engine, user) = (self.engine.name(), user.to_owned());
            return Err(RotationError::UserNameTooLong { user, other, engine, max_bytes });
        }
        Ok(other)
    }

    fn account(&self, label: &'static str, value: &SecretDocument) -> Result<Account, RotationError> {
        self.parse(value).map_err(|source| RotationError::InvalidSecretValue { label, source })
    }

    async fn log_in<V>(&self, at: &Invocation<'_, V>, account: &Account) -> Result<Login, RotationError> {
        at.retry.run("a login", || self.engine.log_in(account)).await
    }

    /// Returns the admin's account.
    async fn admin<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        admin: &Admin,
        current: &SecretDocument,
    ) -> Result<Account, RotationError> {
        let named = current.optional_text("masterarn");
        let named = named.map_err(|source| RotationError::InvalidSecretValue { label: CURRENT, source })?;
        if named.is_some_and(|named| !is_same_secret(named, &admin.secret)) {
            return Err(RotationError::AdminSecretMismatch);
        }
        let mut value = at.other_secret(&admin.secret, ADMIN).await?;
        let user = self.account(CURRENT, current)?;
        if let Some(host) = &admin.host {
            value = value.with_default("host", host.as_str()).with_default("port", user.server.port);
        }
        let mut account = self.account(ADMIN, &value)?;
        if self.engine.reads_grants_in_database() {
            account.server.database = user.server.database;
        }
        Ok(account)
    }

    /// Returns the first of the current and the previous credential that the server accepts, and
    /// that the pending value has a proof of.
    async fn working_account<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        (token, pending): (&str, &SecretDocument),
        current: &Account,
        admin: Option<&Account>,
    ) -> Result<Account, RotationError> {
        // Before an admin changes a password, the credential must work on the admin's own server:
        // otherwise, whoever may write the secret could enter any user's name and have that user's
        // password changed. The database is the user's own: it may not open the admin's.
        let on_server = |account: Account| match admin {
            Some(admin) => {
                let server = Server { database: account.server.database, ..admin.server.clone() };
                Account { server, ..account }
            }
            None => account,
        };
        let first = on_server(current.clone());
        if self.log_in(at, &first).await? == Login::Accepted {
            return Ok(first);
        }
        let text = at.previous_text().await?;
        let previous = text.as_ref().and_then(|text| SecretDocument::parse(text).ok());
        let previous = previous.and_then(|value| self.account(PREVIOUS, &value).ok());
        if let (Some(text), Some(previous)) = (text, previous)
            && previous.server_differs_by(current).is_none()
            && (previous.user == current.user || previous.user == self.next_user(&current.user)?)
        {
            let second = on_server(previous);
            if self.log_in(at, &second).await? == Login::Accepted {
                // Somebody may have written AWSCURRENT, and a pending value with its proof.
                let mac = PendingMac { secret_id: at.secret_id, token };
                if !mac.is_signed_with_previous(pending, &text) {
                    let (secret, token) = (at.secret_id.to_owned(), token.to_owned());
                    return Err(RotationError::PendingNotCreatedHere { secret, token });
                }
                tracing::warn!(
                    secret = at.secret_id,
                    "the server accepts the password of AWSPREVIOUS and rejects that of AWSCURRENT"
                );
                return Ok(second);
            }
        }
        Err(RotationError::AllCredentialsRejected { server: first.server.to_string(), user: first.user })
    }
}

/// Returns true if two ARNs name the same secret. Each may be partial, without the hyphen and the
/// six characters at its end, as GetSecretValue accepts it.
fn is_same_secret(one: &str, other: &str) -> bool {
    let is_part_of = |part: &str, whole: &str| {
        whole.parse::<Arn>().is_ok_and(|arn| {
            let secret = arn.secret_name().map(|name| format!("secret:{name}"));
            secret.is_some_and(|resource| Arn { resource, ..arn }.to_string() == part)
        })
    };
    one == other || is_part_of(one, other) || is_part_of(other, one)
}

/// Returns the name of the user that alternates with `user`.
fn other_user(user: &str) -> String {
    match user.strip_suffix(CLONE) {
        Some(first) if !first.is_empty() => first.to_owned(),
        _ => format!("{user}{CLONE}"),
    }
}

impl<E: Engine> CredentialRotator for Passwords<E> {
    type Credential = Account;

    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn parse(&self, value: &SecretDocument) -> Result<Account, DocumentError> {
        if self.ignores_ssl { self.engine.account(&value.without("ssl")) } else { self.engine.account(value) }
    }

    fn describe(&self, account: &Account) -> String {
        format!("user `{}` of {}", account.user, account.server)
    }

    async fn create<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        _: &str,
        current: &ParsedValue<Account>,
    ) -> Result<SecretDocument, RotationError> {
        let account = &current.credential;
        let user = self.next_user(&account.user)?;
        if self.engine.retires_before_create() && self.log_in(at, account).await? == Login::Accepted {
            self.engine.retire_others(account).await?;
        }
        let password = new_password(&self.engine.password_policy(), at.versions).await?;
        let invalid = |source| RotationError::InvalidSecretValue { label: CURRENT, source };
        let next = current.document.with_password(&password).map_err(invalid)?;
        if self.alternates() { next.with_user(&user).map_err(invalid) } else { Ok(next) }
    }

    /// A rotation that the function was updated during, or whose AWSCURRENT was edited after it, has
    /// set its password already; rejecting it would leave clients with a password that does not
    /// work. A password that somebody plants is accepted only if it is one of the user's own: that of
    /// AWSCURRENT or AWSPREVIOUS would outlive its rotation.
    async fn is_in_use<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        value: &Unproven<'_, Account>,
    ) -> Result<bool, RotationError> {
        let pending = &value.pending.credential;
        let current = self.account(CURRENT, value.current)?;
        if pending.server_differs_by(&current).is_some() || pending.user != self.next_user(&current.user)? {
            return Ok(false);
        }
        let is_old = |account: &Account| account.password.expose_secret() == pending.password.expose_secret();
        let previous = at.previous().await?.and_then(|value| self.parse(&value).ok());
        if is_old(&current) || previous.as_ref().is_some_and(is_old) {
            return Ok(false);
        }
        Ok(self.log_in(at, pending).await? == Login::Accepted)
    }

    async fn set<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        token: &str,
        value: &CheckedValue<Account>,
    ) -> Result<StepOutcome, RotationError> {
        let pending = &value.pending.credential;
        if self.log_in(at, pending).await? == Login::Accepted {
            return Ok(StepOutcome::NothingToDo);
        }
        let current = self.account(CURRENT, &value.current)?;
        // Against the confused deputy: a password is only set where the current one came from, and
        // only after the current one was accepted there.
        let server_key = pending.server_differs_by(&current);
        let user_key = (pending.user != self.next_user(&current.user)?).then_some("username");
        if let Some(key) = server_key.or(user_key) {
            return Err(RotationError::PendingVersionMismatch { key, token: token.to_owned() });
        }
        let admin = match self.strategy.admin() {
            Some(admin) => Some(self.admin(at, admin, &value.current).await?),
            None => None,
        };
        let working = self.working_account(at, (token, &value.pending.document), &current, admin.as_ref());
        let working = working.await?;
        // The change is not retried here: if the connection broke after it, the server would reject
        // the old password. The next run of the step first tries which password the server accepts.
        let by = admin.as_ref().unwrap_or(&working);
        let model = self.alternates().then_some(current.user.as_str());
        self.engine.set(by, model, pending).await?;
        Ok(StepOutcome::Done)
    }

    async fn verify<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        _: &'static str,
        account: &Account,
    ) -> Result<Login, RotationError> {
        self.log_in(at, account).await
    }

    async fn act<V: Versions>(
        &self,
        at: &Invocation<'_, V>,
        event: &ActionEvent,
    ) -> Result<StepOutcome, RotationError> {
        match event.action {
            Action::RetirePrevious if self.engine.keeps_previous() => {
                let minutes = self.minutes_of_overlap(event.after_minutes)?;
                let parse = |value: &SecretDocument| self.parse(value);
                Retirement { engine: &self.engine, parse: &parse, at }.run(minutes).await
            }
            other => Err(RotationError::UnsupportedAction { action: other.name(), rotator: self.name() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_arn_names_the_same_secret() {
        const WHOLE: &str = "arn:aws:secretsmanager:us-east-1:222222222222:secret:boss-AbC123";
        let partial = WHOLE.trim_end_matches("-AbC123");
        assert!(is_same_secret(WHOLE, WHOLE) && is_same_secret(partial, WHOLE));
        assert!(is_same_secret(WHOLE, partial));
        for other in [
            "arn:aws:secretsmanager:us-east-1:222222222222:secret:boss-AbC124",
            "arn:aws:secretsmanager:us-east-1:222222222222:secret:bos",
            "arn:aws:secretsmanager:us-east-1:111111111111:secret:boss",
            "boss",
            "",
        ] {
            assert!(!is_same_secret(other, WHOLE), "{other}");
        }
    }
}

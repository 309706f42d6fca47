//! Amazon Redshift, provisioned and Serverless.
//!
//! SQL reaches the warehouse over the wire ([`Access::Wire`]) or, without a VPC, through the Data
//! API ([`Access::DataApi`]). ALTER USER changes the password of an ordinary user, in a session of
//! the user or of an admin. The control plane changes the password of the warehouse's own admin
//! ([`Change::ControlPlane`]). In every case, a login with the new password proves the change.
//!
//! ALTER USER gets a literal that was hashed here ([`PasswordHashFormat`]). Anyone who reads the
//! literal can log in with it. Over the wire, it is part of a running statement. Through the Data
//! API, the text of the statement can be read for a day with the permissions of the function's role
//! (DescribeStatement, ListStatements), so nothing else may have this role.
//!
//! Failed logins count: if `max_failed_login_attempts` is configured, Redshift locks a user after
//! that many in a row, and a successful login resets the count. A rotation makes one failed login
//! at a time, with the pending password before it is set, and a successful one after it.

mod admin;
mod clone_privileges;
mod config;
mod digest;
mod probe_secret;
mod session;

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use warehouse::sql::{Identifier, Literal};
use warehouse::target::Target;

pub use admin::ControlPlane;
pub use probe_secret::ProbeSecret;
pub use session::{Access, DataApi};
use session::{Session, SessionError};
pub use warehouse::password_hash::PasswordHashFormat;

use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::password::PasswordPolicy;

const DEFAULTS: Defaults =
    Defaults { engines: &["redshift"], port: 5439, database: "dev", expected_engine: "`redshift`" };

/// The longest pause between two checks of a change by the control plane.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The way in which a password is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// ALTER USER with a literal of this format.
    Sql(PasswordHashFormat),
    /// ModifyCluster or UpdateNamespace, for the warehouse's admin only.
    ControlPlane(ChangeWait),
}

/// The wait for a change that takes effect later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeWait {
    /// The longest wait.
    pub timeout: Duration,
    /// The first pause between two checks. Each later one is twice as long, up to [`LONGEST_PAUSE`].
    pub first_pause: Duration,
}

/// The engine for Amazon Redshift.
pub struct Redshift {
    access: Access,
    change: Change,
    /// The warehouse that the function is configured for; `None` if it connects to the secret's
    /// host.
    warehouse: Option<ControlPlane>,
    policy: PasswordPolicy,
    random: &'static dyn rustls::crypto::SecureRandom,
}

impl Redshift {
    /// Creates the engine.
    pub fn new(
        access: Access,
        change: Change,
        warehouse: Option<ControlPlane>,
        policy: PasswordPolicy,
    ) -> Self {
        let random = rustls::crypto::ring::default_provider().secure_random;
        Self { access, change, warehouse, policy, random }
    }

    /// Returns the password policy without any configuration: 8 to 64 printable ASCII characters
    /// with an upper case letter, a lower case letter and a digit, without `/ @ " ' \`. `:` is
    /// excluded for clients that put passwords into addresses. Source: "CREATE USER".
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "Redshift",
            bounds: (8, 64),
            length: 32,
            exclude: "/@\"'\\:".to_owned(),
            excluded_kinds: crate::password::ExcludedKinds::default(),
            require_each_kind: true,
        }
    }

    /// Clears the probe secret, which may hold a credential of an interrupted run. A function does
    /// this first. If it fails, the first login with the probe secret repeats it.
    pub async fn clear_probe_secret(&self) {
        if let Access::DataApi(api) = &self.access
            && let Err(error) = Box::pin(api.probe_secret.clear()).await
        {
            tracing::warn!(%error, "the probe secret could not be cleared");
        }
    }

    /// Rejects an account that is not on the configured warehouse, unless the secret's host is what
    /// is connected to.
    async fn check_place(&self, account: &Account) -> Result<(), EngineError> {
        match (&self.warehouse, &self.access) {
            (Some(warehouse), Access::DataApi(_)) => {
                Box::pin(warehouse.endpoint()).await?.check(&warehouse.target, account)
            }
            _ => Ok(()),
        }
    }

    async fn open<'a>(&self, by: &'a Account, user: &str) -> Result<Session<'a>, EngineError> {
        self.check_place(by).await?;
        Session::open(&self.access, by).await?.ok_or_else(|| refused(by, user))
    }

    /// Ends the session, with any result of its statements, and returns the result.
    async fn finish<T>(
        &self,
        session: Session<'_>,
        by: &Account,
        user: &str,
        result: Result<T, SessionError>,
    ) -> Result<T, EngineError> {
        session.close().await?;
        result.map_err(|problem| match problem {
            SessionError::Refused => refused(by, user),
            SessionError::Statement(problem) => not_set(by, user, problem),
            SessionError::Engine(error) => error,
        })
    }

    async fn alter(
        &self,
        session: &Session<'_>,
        format: PasswordHashFormat,
        by: &Account,
        user: &str,
        new: &SecretString,
    ) -> Result<(), SessionError> {
        let own = by.user == user;
        let statement = self.statement("ALTER", format, user, new, own && session.digest())?;
        session.run(&statement).await.map(|_| ())
    }

    /// Returns `ALTER USER u PASSWORD '…'` or `CREATE USER …`.
    fn statement(
        &self,
        verb: &str,
        format: PasswordHashFormat,
        user: &str,
        new: &SecretString,
        digest: bool,
    ) -> Result<SecretString, SessionError> {
        use secrecy::ExposeSecret;
        let invalid = |error: warehouse::value::InvalidValue| SessionError::Statement(error.to_string());
        let no_randomness = || SessionError::Statement("the system has no random bytes".to_owned());
        let literal = format.literal(user, new, digest, || self.random_bytes()).ok_or_else(no_randomness)?;
        let literal = Literal::new("password", literal.expose_secret()).map_err(invalid)?;
        let user = Identifier::new("username", user).map_err(invalid)?;
        Ok(format!("{verb} USER {user} PASSWORD {literal}").into())
    }

    fn random_bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes).ok().map(|()| bytes)
    }

    fn unknown_password(&self) -> Result<SecretString, SessionError> {
        let bytes = self.random_bytes();
        let bytes =
            bytes.ok_or_else(|| SessionError::Statement("the system has no random bytes".to_owned()))?;
        Ok(hex::encode(bytes).into())
    }

    /// Changes the admin's password by the control plane, which takes effect later: tries the old
    /// password until it is rejected, then the new one, which must be accepted. All tries but the
    /// last of the old password are successful logins.
    async fn set_admin_password(
        &self,
        by: &Account,
        user: &str,
        new: &SecretString,
        wait: ChangeWait,
    ) -> Result<(), EngineError> {
        let mut polling = None;
        let changed = self.change_admin_password(by, user, new, wait, &mut polling).await;
        if let Some(session) = polling {
            session.close().await?;
        }
        changed?;
        match self.log_in(&Account { password: new.clone(), ..by.clone() }).await? {
            Login::Accepted => Ok(()),
            Login::Refused => {
                Err(not_set(by, user, "neither the old nor the new password is accepted".to_owned()))
            }
        }
    }

    /// Changes the admin's password and waits until the old one is rejected.
    async fn change_admin_password<'a>(
        &self,
        by: &'a Account,
        user: &str,
        new: &SecretString,
        wait: ChangeWait,
        polling: &mut Option<Session<'a>>,
    ) -> Result<(), EngineError> {
        let Some(warehouse) = &self.warehouse else {
            return Err(not_set(by, user, "no warehouse is configured".to_owned()));
        };
        let until = Instant::now() + wait.timeout;
        let mut pause = wait.first_pause;
        let mut requested = false;
        loop {
            let found = warehouse.describe().await?;
            found.check(&warehouse.target, by)?;
            may_be_changed(&warehouse.target, &found, by, user)?;
            let waiting_for = match found.busy.clone() {
                Some(busy) => busy,
                None if !requested => {
                    requested = warehouse.set_password(&found, new).await?.is_some();
                    "it has not accepted the change yet".to_owned()
                }
                None => {
                    if self.poll(by, polling).await? == Login::Refused {
                        return Ok(());
                    }
                    "the old password still logs in".to_owned()
                }
            };
            if Instant::now() + pause > until {
                let (target, seconds) = (&warehouse.target, wait.timeout.as_secs());
                let problem = format!(
                    "{target} did not change it within {seconds} s: {waiting_for}; the next attempt checks again"
                );
                return Err(not_set(by, user, problem));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Tries a credential again and again. The Data API logs in with every statement, so one lease
    /// of the probe secret is enough for all of them.
    async fn poll<'a>(
        &self,
        account: &'a Account,
        polling: &mut Option<Session<'a>>,
    ) -> Result<Login, EngineError> {
        if matches!(self.access, Access::Wire(_)) {
            return self.log_in(account).await;
        }
        if polling.is_none() {
            self.check_place(account).await?;
            *polling = Session::open(&self.access, account).await?;
        }
        let Some(session) = polling else { return Ok(Login::Refused) };
        login(account, session.run(&"SELECT 1".into()).await)
    }
}

/// Interprets the result of a session's first statement.
fn login<T>(account: &Account, result: Result<T, SessionError>) -> Result<Login, EngineError> {
    match result {
        Ok(_) => Ok(Login::Accepted),
        Err(SessionError::Refused) => Ok(Login::Refused),
        Err(SessionError::Engine(error)) => Err(error),
        Err(SessionError::Statement(problem)) => {
            let (server, user) = (account.server.clone(), account.user.clone());
            Err(EngineError::InsufficientPrivileges { server, user, problem })
        }
    }
}

/// Checks that the control plane may change this user's password.
fn may_be_changed(
    target: &Target,
    found: &admin::Described,
    by: &Account,
    user: &str,
) -> Result<(), EngineError> {
    let problem = if by.user != user {
        format!(
            "`{}` would change it through the control plane, which changes the admin's own password only; leave \
             ADMIN_SECRET_ARN empty",
            by.user
        )
    } else if found.admin != user {
        format!(
            "the admin of {target} is `{}`, and the passwords of other users are changed by SQL; leave \
             REDSHIFT_CHANGE empty",
            found.admin
        )
    } else if found.managed {
        format!(
            "AWS manages and rotates the password of the admin of {target} in a secret of its own; turn that off, \
             or remove this rotation"
        )
    } else {
        return Ok(());
    };
    Err(not_set(by, user, problem))
}

fn not_set(by: &Account, user: &str, problem: String) -> EngineError {
    EngineError::SetPasswordFailed { server: by.server.clone(), user: user.to_owned(), problem }
}

fn refused(by: &Account, user: &str) -> EngineError {
    not_set(by, user, format!("the password of `{}` is rejected", by.user))
}

impl Engine for Redshift {
    fn name(&self) -> &'static str {
        "redshift"
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.policy.clone()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        let account = Account::read(document, DEFAULTS)?;
        let (key, other, configured) = match self.warehouse.as_ref().map(|warehouse| &warehouse.target) {
            Some(Target::Cluster(name)) => ("dbClusterIdentifier", "namespaceName", name),
            Some(Target::Workgroup(name)) => ("workgroupName", "dbClusterIdentifier", name),
            None => return Ok(account),
        };
        // Cluster identifiers are stored in lower case.
        if document.optional_text(key)?.is_some_and(|named| !named.eq_ignore_ascii_case(configured)) {
            let expected = "the warehouse that the function is configured for";
            return Err(DocumentError::Invalid { key, expected });
        }
        if document.optional_text(other)?.is_some() {
            let expected = "absent, as the function is configured for a warehouse of the other kind";
            return Err(DocumentError::Invalid { key: other, expected });
        }
        Ok(account)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        self.check_place(account).await?;
        let Some(session) = Session::open(&self.access, account).await? else { return Ok(Login::Refused) };
        let result = session.run(&"SELECT 1".into()).await;
        session.close().await?;
        login(account, result)
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        match self.change {
            Change::ControlPlane(wait) => Box::pin(self.set_admin_password(by, user, new, wait)).await,
            Change::Sql(format) => {
                let session = self.open(by, user).await?;
                let result = self.alter(&session, format, by, user, new).await;
                self.finish(session, by, user, result).await
            }
        }
    }

    fn max_user_bytes(&self) -> Option<usize> {
        match self.change {
            // "Names and identifiers".
            Change::Sql(_) => Some(127),
            // There is one admin.
            Change::ControlPlane(_) => None,
        }
    }

    fn reads_grants_in_database(&self) -> bool {
        true
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let Change::Sql(format) = self.change else {
            return Err(not_set(admin, user, "a warehouse has one admin, who cannot alternate".to_owned()));
        };
        let session = self.open(admin, user).await?;
        let result = async {
            // With an unknown password: a user with the new one counts as complete, also for the
            // run after a crash.
            let create = self.statement("CREATE", format, user, &self.unknown_password()?, false)?;
            clone_privileges::clone_privileges(&self.access, &session, model, user, &create).await?;
            self.alter(&session, format, admin, user, new).await
        };
        let result = result.await;
        self.finish(session, admin, user, result).await
    }
}

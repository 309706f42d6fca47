//! Amazon Redshift, provisioned and Serverless.
//!
//! How SQL gets there and who changes the password are two questions. SQL goes over the wire ([`Access::Wire`]) or, without a VPC,
//! through the Data API ([`Access::DataApi`]). The password of an ordinary user is changed by ALTER USER, by itself or by an admin; that of the
//! warehouse's own admin by the control plane ([`Change::ControlPlane`]). Whatever changes it, the proof is a login with the new password.
//!
//! ALTER USER gets a literal that was hashed here ([`Form`]). Whoever reads it can log in with it. Over the wire it is in the statement for the
//! time that this runs; through the Data API the text of the statement can be read for a day by whoever has the function's role
//! (DescribeStatement, ListStatements), so that nothing else may have this role.
//!
//! Wrong passwords count: after five in a row, if so configured, Redshift locks the user, and any right one resets the count
//! (`max_failed_login_attempts`). A rotation makes one wrong login at a time, that of the pending password before it is set, and follows it with a
//! right one.

mod admin;
mod companion;
mod config;
mod digest;
mod form;
mod like;
mod session;

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use warehouse::sql::{Identifier, Literal};
use warehouse::target::Target;

pub use admin::ControlPlane;
pub use companion::Companion;
pub use form::Form;
pub use session::{Access, DataApi};
use session::{Problem, Session};

use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login};
use crate::password::PasswordPolicy;

const DEFAULTS: Defaults = Defaults {
    engines: &["redshift"],
    port: 5439,
    database: "dev",
    expected_engine: "`redshift`, which this function rotates",
};

/// Who changes a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// ALTER USER with a literal of this form.
    Sql(Form),
    /// ModifyCluster or UpdateNamespace: for the warehouse's admin only.
    ControlPlane(Patience),
}

/// How long to wait for a change that takes effect later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// In all.
    pub within: Duration,
    /// The first pause between two looks; each later one is twice as long, up to ten seconds.
    pub pause: Duration,
}

/// The engine.
pub struct Redshift {
    access: Access,
    change: Change,
    /// The warehouse that the function is for; none where it only ever follows the secret's host.
    warehouse: Option<ControlPlane>,
    policy: PasswordPolicy,
    random: &'static dyn rustls::crypto::SecureRandom,
}

impl Redshift {
    /// With the passwords to make.
    pub fn new(
        access: Access,
        change: Change,
        warehouse: Option<ControlPlane>,
        policy: PasswordPolicy,
    ) -> Self {
        let random = rustls::crypto::ring::default_provider().secure_random;
        Self { access, change, warehouse, policy, random }
    }

    /// What a password is without any configuration: 8 to 64 printable characters of ASCII with upper and lower case and a digit, none of
    /// `/ @ " ' \`; `:` is left out for clients that put passwords into addresses. Source: "CREATE USER".
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "Redshift",
            bounds: (8, 64),
            length: 32,
            exclude: "/@\"'\\:".to_owned(),
            without: crate::password::Without::default(),
            require_each_kind: true,
        }
    }

    /// Takes back what a run that died may have left in the companion: the first thing that a function does.
    ///
    /// If this fails, the first login that uses the companion tries it again.
    pub async fn blank_companion(&self) {
        if let Access::DataApi(api) = &self.access
            && let Err(error) = Box::pin(api.companion.blank()).await
        {
            tracing::warn!(%error, "the companion secret could not be looked at");
        }
    }

    /// Refuses an account that is not on the configured warehouse, wherever it is not the secret's host that is connected to.
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

    /// Runs statements to their end, and ends the session whatever came of them.
    async fn finish<T>(
        &self,
        session: Session<'_>,
        by: &Account,
        user: &str,
        result: Result<T, Problem>,
    ) -> Result<T, EngineError> {
        session.close().await?;
        result.map_err(|problem| match problem {
            Problem::Refused => refused(by, user),
            Problem::Statement(problem) => not_set(by, user, problem),
            Problem::Engine(error) => error,
        })
    }

    async fn alter(
        &self,
        session: &Session<'_>,
        form: Form,
        by: &Account,
        user: &str,
        new: &SecretString,
    ) -> Result<(), Problem> {
        let own = by.user == user;
        let statement = self.statement("ALTER", form, user, new, own && session.digest())?;
        session.run(&statement).await.map(|_| ())
    }

    /// `ALTER USER u PASSWORD '…'`, or CREATE.
    fn statement(
        &self,
        verb: &str,
        form: Form,
        user: &str,
        new: &SecretString,
        digest: bool,
    ) -> Result<SecretString, Problem> {
        use secrecy::ExposeSecret;
        let invalid = |error: warehouse::value::InvalidValue| Problem::Statement(error.to_string());
        let no_randomness = || Problem::Statement("the system gave no random bytes".to_owned());
        let literal = form.literal(user, new, digest, self.random).ok_or_else(no_randomness)?;
        let literal = Literal::new("password", literal.expose_secret()).map_err(invalid)?;
        let user = Identifier::new("username", user).map_err(invalid)?;
        Ok(format!("{verb} USER {user} PASSWORD {literal}").into())
    }

    fn unknown_password(&self) -> Result<SecretString, Problem> {
        let mut bytes = [0; 32];
        let filled = self.random.fill(&mut bytes);
        filled.map_err(|_| Problem::Statement("the system gave no random bytes".to_owned()))?;
        Ok(hex::encode(bytes).into())
    }

    /// By the control plane. It takes effect later: the old password is tried until it is refused, each time but the last a right one,
    /// and then the new one has to be accepted.
    async fn set_admin_password(
        &self,
        by: &Account,
        user: &str,
        new: &SecretString,
        patience: Patience,
    ) -> Result<(), EngineError> {
        let Some(warehouse) = &self.warehouse else {
            return Err(not_set(by, user, "no warehouse is configured".to_owned()));
        };
        let until = Instant::now() + patience.within;
        let mut pause = patience.pause;
        let mut asked = false;
        loop {
            let found = warehouse.describe().await?;
            found.check(&warehouse.target, by)?;
            may_be_changed(&warehouse.target, &found, by, user)?;
            let waiting_for = match found.busy.clone() {
                Some(busy) => busy,
                None if !asked => {
                    asked = warehouse.set_password(&found, new).await?.is_some();
                    "it took no change yet".to_owned()
                }
                None => {
                    if self.log_in(by).await? == Login::Refused {
                        break;
                    }
                    "the old password still logs in".to_owned()
                }
            };
            if Instant::now() + pause > until {
                let (target, seconds) = (&warehouse.target, patience.within.as_secs());
                let problem = format!(
                    "{target} did not change it within {seconds} s: {waiting_for}. The next attempt looks again"
                );
                return Err(not_set(by, user, problem));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
        match self.log_in(&Account { password: new.clone(), ..by.clone() }).await? {
            Login::Accepted => Ok(()),
            Login::Refused => {
                Err(not_set(by, user, "neither the old nor the new password is accepted".to_owned()))
            }
        }
    }
}

/// Whether this user's password is one that the control plane may change.
fn may_be_changed(
    target: &Target,
    found: &admin::Described,
    by: &Account,
    user: &str,
) -> Result<(), EngineError> {
    let problem = if by.user != user {
        format!(
            "`{}` was to change it by the control plane, which changes the password of the admin itself: leave ADMIN_SECRET_ARN empty",
            by.user
        )
    } else if found.admin != user {
        format!(
            "the admin of {target} is `{}`; other users' passwords are changed by SQL: leave REDSHIFT_CHANGE empty",
            found.admin
        )
    } else if found.managed {
        format!(
            "AWS manages the password of the admin of {target} in a secret of its own and rotates it; turn that off or leave it to AWS"
        )
    } else {
        return Ok(());
    };
    Err(not_set(by, user, problem))
}

fn not_set(by: &Account, user: &str, problem: String) -> EngineError {
    EngineError::NotSet { server: by.server.clone(), user: user.to_owned(), problem }
}

fn refused(by: &Account, user: &str) -> EngineError {
    not_set(by, user, format!("the password of `{}` is refused", by.user))
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
        // Cluster identifiers are kept in lower case.
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
        match result {
            Ok(_) => Ok(Login::Accepted),
            Err(Problem::Refused) => Ok(Login::Refused),
            Err(Problem::Engine(error)) => Err(error),
            Err(Problem::Statement(problem)) => {
                let (server, user) = (account.server.clone(), account.user.clone());
                Err(EngineError::NotPermitted { server, user, problem })
            }
        }
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        match self.change {
            Change::ControlPlane(patience) => {
                Box::pin(self.set_admin_password(by, user, new, patience)).await
            }
            Change::Sql(form) => {
                let session = self.open(by, user).await?;
                let result = self.alter(&session, form, by, user, new).await;
                self.finish(session, by, user, result).await
            }
        }
    }

    fn longest_user(&self) -> Option<usize> {
        match self.change {
            // "Names and identifiers".
            Change::Sql(_) => Some(127),
            // There is one admin.
            Change::ControlPlane(_) => None,
        }
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        like: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let Change::Sql(form) = self.change else {
            return Err(not_set(admin, user, "there is only one admin, who cannot alternate".to_owned()));
        };
        let session = self.open(admin, user).await?;
        let result = async {
            // With a password that nobody knows: a user with the new one is taken for finished, also by a run that died in between.
            let create = self.statement("CREATE", form, user, &self.unknown_password()?, false)?;
            like::make_like(&session, like, user, &create).await?;
            self.alter(&session, form, admin, user, new).await
        };
        let result = result.await;
        self.finish(session, admin, user, result).await
    }
}

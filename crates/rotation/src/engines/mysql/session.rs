//! A session that changes one user's password.

use secrecy::{ExposeSecret, SecretString};

use super::OldPassword;
use super::account::{Created, Version, Way};
use super::auth::stored_hash;
use super::sql::{self, Who, literal};
use super::wire::{Connection, Failure, Row};
use crate::engine::{Account, EngineError, Server};

/// The privilege for the statement is missing.
const PRIVILEGE_MISSING: u16 = 1227;
/// A part of the statement is not understood; the text quotes that part.
const SYNTAX: u16 = 1064;
/// What stands after REPLACE is not the account's first password.
const NOT_THE_CURRENT: u16 = 3891;
/// MariaDB takes no hash because it could not check the password.
const NO_HASH: u16 = 1290;
const HASH_NOT_CHECKED: u16 = 1819;

/// A session of `by` that is about one user.
pub(super) struct Session<'a> {
    connection: Connection,
    pub(super) version: Version,
    server: &'a Server,
    pub(super) user: &'a str,
    old: OldPassword,
}

impl<'a> Session<'a> {
    pub(super) async fn begin(
        connection: Connection,
        by: &'a Account,
        user: &'a str,
        old: OldPassword,
    ) -> Result<Self, EngineError> {
        let mut session = Self { connection, version: Version::MariaDb, server: &by.server, user, old };
        session.run(sql::SESSION).await?;
        let found = session.one("SELECT VERSION()").await?;
        session.version = Version::parse(&found).ok_or_else(|| {
            session.not_set(format!("its version is `{found}`; expected one of MySQL or MariaDB"))
        })?;
        Ok(session)
    }

    pub(super) async fn end(self) {
        self.connection.close().await;
    }

    pub(super) fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.server.clone(), user: self.user.to_owned(), problem }
    }

    /// A failure in the server's words, as far as they cannot hold a password.
    fn refused(&self, failure: Failure) -> EngineError {
        match failure {
            Failure::Engine(error) => error,
            Failure::Server { code: SYNTAX, .. } => {
                self.not_set(format!("it does not understand the statement ({SYNTAX})"))
            }
            Failure::Server { code, message } => self.not_set(format!("{message} ({code})")),
            Failure::Method(problem) | Failure::Broken(problem) => self.not_set(problem),
        }
    }

    pub(super) async fn rows(&mut self, statement: &str) -> Result<Vec<Row>, EngineError> {
        let rows = self.connection.query(statement).await;
        rows.map_err(|failure| self.refused(failure))
    }

    pub(super) async fn run(&mut self, statement: &str) -> Result<(), EngineError> {
        self.rows(statement).await.map(|_| ())
    }

    /// The first column of every row.
    pub(super) async fn texts(&mut self, statement: &str) -> Result<Vec<String>, EngineError> {
        let rows = self.rows(statement).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    async fn one(&mut self, statement: &str) -> Result<String, EngineError> {
        Ok(self.texts(statement).await?.into_iter().next().unwrap_or_default())
    }

    /// The user changes its own password.
    pub(super) async fn set_own(
        &mut self,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        // The server may take a login for another account: an anonymous one, or that of a proxy.
        let account = self.one("SELECT CURRENT_USER()").await?;
        if account.rsplit_once('@').map(|(user, _)| user) != Some(self.user) {
            return Err(self.not_set(format!("it takes the session for one of account `{account}`")));
        }
        if self.version != Version::MariaDb {
            return self.set_own_on_mysql(current, new).await;
        }
        self.check_old(self.old)?;
        let created = self.created("CURRENT_USER()").await?;
        let mut hashes = created.ways.iter().filter_map(|way| stored_hash(&way.plugin, new));
        let (Some(hash), None) = (hashes.next(), hashes.next()) else {
            return Err(self.not_set(unusable(&created.ways)));
        };
        // ALTER USER is for administrators, even for the own account.
        let statement = SecretString::from(format!("SET PASSWORD = {}", literal(hash.expose_secret())));
        self.give_hash(&statement).await
    }

    async fn set_own_on_mysql(
        &mut self,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        self.check_old(self.old)?;
        let two = self.version.has_two_passwords();
        let mut retain = two && self.old != OldPassword::Ended;
        let mut replace = two;
        loop {
            let mut statement = format!("ALTER USER USER() IDENTIFIED BY {}", literal(new.expose_secret()));
            if replace {
                statement += &format!(" REPLACE {}", literal(current.expose_secret()));
            }
            if retain {
                statement += " RETAIN CURRENT PASSWORD";
            }
            let statement = SecretString::from(statement);
            match self.connection.query(statement.expose_secret()).await {
                Ok(_) => break,
                Err(Failure::Server { code: PRIVILEGE_MISSING, .. }) if retain => {
                    if self.old == OldPassword::Kept {
                        let problem = "the user lacks the privilege APPLICATION_PASSWORD_ADMIN, without which its old password cannot be kept; \
                             grant that, or set KEEP_OLD_PASSWORD to if-possible";
                        return Err(self.not_set(problem.to_owned()));
                    }
                    retain = false;
                }
                // The session began with the second password: that of AWSCURRENT after a rotation that was given up. The first one, which no
                // client knows, is replaced, and the second stays what it is.
                Err(Failure::Server { code: NOT_THE_CURRENT, .. }) if replace => {
                    (replace, retain) = (false, false);
                }
                Err(failure) => return Err(self.refused(failure)),
            }
        }
        if two {
            tracing::info!(
                user = self.user,
                kept = retain,
                "the password is changed; whether the old one is kept"
            );
        }
        if two && self.old == OldPassword::Ended {
            return self.discard("USER()").await;
        }
        Ok(())
    }

    fn check_old(&self, old: OldPassword) -> Result<(), EngineError> {
        if old != OldPassword::Kept || self.version.has_two_passwords() {
            return Ok(());
        }
        let problem = "it cannot keep an old password beside the new one, which MySQL does from 8.0.14 and MariaDB does not; set KEEP_OLD_PASSWORD \
             to if-possible or never";
        Err(self.not_set(problem.to_owned()))
    }

    /// Ends an account's second password, where that is allowed: an account without the privilege cannot have given itself one.
    async fn discard(&mut self, account: &str) -> Result<(), EngineError> {
        match self.connection.query(&format!("ALTER USER {account} DISCARD OLD PASSWORD")).await {
            Ok(_) | Err(Failure::Server { code: PRIVILEGE_MISSING, .. }) => Ok(()),
            Err(failure) => Err(self.refused(failure)),
        }
    }

    /// An administrator changes the password of the user's one account.
    pub(super) async fn set_by_admin(&mut self, new: &SecretString) -> Result<(), EngineError> {
        let Some(who) = self.account_of(self.user).await? else {
            return Err(self.not_set("there is no such account".to_owned()));
        };
        self.set(&who, new, self.old).await
    }

    /// The account of a user. The host belongs to its name; with several, nothing says which of them the secret is about.
    pub(super) async fn account_of(&mut self, user: &str) -> Result<Option<Who>, EngineError> {
        let roles = if self.version == Version::MariaDb { " AND is_role = 'N'" } else { "" };
        let sql = format!("SELECT host FROM mysql.user WHERE user = {}{roles} ORDER BY host", literal(user));
        let mut hosts = self.texts(&sql).await?;
        let host = hosts.pop();
        if hosts.is_empty() {
            return Ok(host.map(|host| Who { user: user.to_owned(), host }));
        }
        hosts.extend(host);
        let problem = format!(
            "user `{user}` has {} accounts, from the hosts {}; a secret holds one password of one account. Rename the others, or let the user change \
             its own password (ROTATION_STRATEGY single-user without ADMIN_SECRET_ARN)",
            hosts.len(),
            hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ")
        );
        Err(self.not_set(problem))
    }

    /// Changes the password of an account.
    pub(super) async fn set(
        &mut self,
        who: &Who,
        new: &SecretString,
        old: OldPassword,
    ) -> Result<(), EngineError> {
        self.check_old(old)?;
        let account = who.quoted();
        if self.version == Version::MariaDb {
            let created = self.created(&account).await?;
            let identified = identified(&created.ways, new).map_err(|problem| self.not_set(problem))?;
            let statement = format!("ALTER USER {account} {}", identified.expose_secret());
            return self.give_hash(&statement.into()).await;
        }
        let two = self.version.has_two_passwords();
        let retain = if two && old != OldPassword::Ended { " RETAIN CURRENT PASSWORD" } else { "" };
        let statement = SecretString::from(format!(
            "ALTER USER {account} IDENTIFIED BY {}{retain}",
            literal(new.expose_secret())
        ));
        self.run(statement.expose_secret()).await?;
        if two && old == OldPassword::Ended {
            self.discard(&account).await?;
        }
        Ok(())
    }

    /// Runs a statement with a hash on MariaDB.
    pub(super) async fn give_hash(&mut self, statement: &SecretString) -> Result<(), EngineError> {
        match self.connection.query(statement.expose_secret()).await {
            Ok(_) => Ok(()),
            Err(Failure::Server { code: code @ (NO_HASH | HASH_NOT_CHECKED), message }) => {
                let problem = format!(
                    "{message} ({code}). This function only ever sends a hash, because MariaDB writes passwords into its logs as they come. Turn \
                     strict_password_validation off, and let PASSWORD_LENGTH and the EXCLUDE_ variables follow the rules of the server's plugin"
                );
                Err(self.not_set(problem))
            }
            Err(failure) => Err(self.refused(failure)),
        }
    }

    /// What MariaDB says of an account.
    pub(super) async fn created(&mut self, account: &str) -> Result<Created, EngineError> {
        let statement = self.one(&format!("SHOW CREATE USER {account}")).await?;
        Created::parse(&statement).ok_or_else(|| {
            let beginning = statement.split(" IDENTIFIED").next().unwrap_or_default();
            self.not_set(format!("what SHOW CREATE USER says is not understood: {beginning} …"))
        })
    }
}

/// The ways of an account on MariaDB with a new password in each that has one.
pub(super) fn identified(ways: &[Way], new: &SecretString) -> Result<SecretString, String> {
    let mut text = Vec::new();
    let mut changed = false;
    for way in ways {
        let hash = match stored_hash(&way.plugin, new) {
            Some(hash) => {
                changed = true;
                Some(hash.expose_secret().to_owned())
            }
            None => way.hash.clone(),
        };
        let using = hash.map(|hash| format!(" USING {}", literal(&hash))).unwrap_or_default();
        text.push(format!("{}{using}", sql::name(&way.plugin)));
    }
    if !changed {
        return Err(unusable(ways));
    }
    Ok(format!("IDENTIFIED VIA {}", text.join(" OR ")).into())
}

/// Why the ways of an account are none that a rotation can change.
fn unusable(ways: &[Way]) -> String {
    let found = match ways {
        [] => "none".to_owned(),
        ways => ways.iter().map(|way| format!("`{}`", way.plugin)).collect::<Vec<_>>().join(" or "),
    };
    format!(
        "its account authenticates by {found}; expected one of mysql_native_password and ed25519, whose password a user can change itself. An \
         administrator (ADMIN_SECRET_ARN) can change both"
    )
}

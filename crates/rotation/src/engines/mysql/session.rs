//! A session that changes one user's password.

use secrecy::{ExposeSecret, SecretString};

use super::account::{AuthMethod, CreateUserStatement, Version};
use super::auth::stored_hash;
use super::old_password::OldPassword;
use super::sql::{self, AccountName, literal};
use super::wire::{Connection, Row, WireError};
use crate::engine::{Account, EngineError, Server};

/// The session's user lacks the privilege for the statement.
const PRIVILEGE_MISSING: u16 = 1227;
/// A syntax error, whose text quotes a part of the statement.
const SYNTAX: u16 = 1064;
/// The password after REPLACE is not the account's first password.
const NOT_THE_CURRENT: u16 = 3891;
/// The server runs with --read-only, is a replica of Aurora, or the transaction is read-only.
const READ_ONLY_OPTION: u16 = 1290;
const READ_ONLY_MODE: u16 = 1836;
const READ_ONLY_TRANSACTION: u16 = 1792;
/// MariaDB accepts no hash because it could not check the password.
const NO_HASH: u16 = 1290;
const HASH_NOT_CHECKED: u16 = 1819;

/// A session of `by` that changes one user.
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
        session.version = Version::parse(&found)
            .ok_or_else(|| session.not_set(format!("its version is `{found}`; expected MySQL or MariaDB")))?;
        Ok(session)
    }

    pub(super) async fn end(self) {
        self.connection.close().await;
    }

    pub(super) fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.server.clone(), user: self.user.to_owned(), problem }
    }

    /// Returns an error in the server's words, as far as they cannot contain a password.
    fn refused(&self, error: WireError) -> EngineError {
        match error {
            WireError::Engine(error) => error,
            WireError::Server { code: SYNTAX, .. } => {
                self.not_set(format!("it rejects the statement as a syntax error ({SYNTAX})"))
            }
            WireError::Server { code, message } => {
                let remedy = if is_read_only(code, &message) {
                    "; this host is a read-only endpoint; write the host of the writer into the secret"
                } else {
                    ""
                };
                self.not_set(format!("{message} ({code}){remedy}"))
            }
            WireError::Method(problem) | WireError::Broken(problem) => self.not_set(problem),
        }
    }

    pub(super) async fn rows(&mut self, statement: &str) -> Result<Vec<Row>, EngineError> {
        let rows = self.connection.query(statement).await;
        rows.map_err(|error| self.refused(error))
    }

    pub(super) async fn run(&mut self, statement: &str) -> Result<(), EngineError> {
        self.rows(statement).await.map(|_| ())
    }

    /// Returns the first column of every row.
    pub(super) async fn texts(&mut self, statement: &str) -> Result<Vec<String>, EngineError> {
        let rows = self.rows(statement).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    async fn one(&mut self, statement: &str) -> Result<String, EngineError> {
        Ok(self.texts(statement).await?.into_iter().next().unwrap_or_default())
    }

    /// Changes the password of the session's own user.
    pub(super) async fn set_own(
        &mut self,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        // The server may use another account for a login: an anonymous one, or that of a proxy.
        let account = self.one("SELECT CURRENT_USER()").await?;
        if account.rsplit_once('@').map(|(user, _)| user) != Some(self.user) {
            return Err(self.not_set(format!("it uses account `{account}` for the session")));
        }
        if self.version != Version::MariaDb {
            return self.set_own_on_mysql(current, new).await;
        }
        self.check_old(self.old)?;
        let created = self.created("CURRENT_USER()").await?;
        let mut hashes = created.methods.iter().filter_map(|method| stored_hash(&method.plugin, new));
        let (Some(hash), None) = (hashes.next(), hashes.next()) else {
            return Err(self.not_set(unusable(&created.methods)));
        };
        // ALTER USER needs an administrator, even for one's own account.
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
                Err(WireError::Server { code: PRIVILEGE_MISSING, .. }) if retain => {
                    if self.old == OldPassword::Kept {
                        let problem = "the user lacks the privilege APPLICATION_PASSWORD_ADMIN, which keeping its old \
                                       password requires; grant it, or set KEEP_OLD_PASSWORD to if-possible";
                        return Err(self.not_set(problem.to_owned()));
                    }
                    retain = false;
                }
                // The session used the second password: that of AWSCURRENT after an abandoned
                // rotation. The first one, which no client knows, is replaced, and the second one
                // stays.
                Err(WireError::Server { code: NOT_THE_CURRENT, .. }) if replace => {
                    (replace, retain) = (false, false);
                }
                Err(error) => return Err(self.refused(error)),
            }
        }
        if two {
            tracing::info!(user = self.user, kept = retain, "password changed");
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
        let problem = "it cannot keep an old password beside the new one (MySQL can from 8.0.14, MariaDB cannot); \
                       set KEEP_OLD_PASSWORD to if-possible or never";
        Err(self.not_set(problem.to_owned()))
    }

    /// Removes an account's second password, where that is allowed: an account without the
    /// privilege cannot have created one.
    async fn discard(&mut self, account: &str) -> Result<(), EngineError> {
        match self.connection.query(&format!("ALTER USER {account} DISCARD OLD PASSWORD")).await {
            Ok(_) | Err(WireError::Server { code: PRIVILEGE_MISSING, .. }) => Ok(()),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Changes the password of the user's only account, as an administrator.
    pub(super) async fn set_by_admin(&mut self, new: &SecretString) -> Result<(), EngineError> {
        let Some(account) = self.account_of(self.user).await? else {
            return Err(self.not_set("there is no such account".to_owned()));
        };
        self.set(&account, new, self.old).await
    }

    /// Returns the account of a user. Its name includes the host; if there are several, it is
    /// unknown which one the secret is for.
    pub(super) async fn account_of(&mut self, user: &str) -> Result<Option<AccountName>, EngineError> {
        let roles = if self.version == Version::MariaDb { " AND is_role = 'N'" } else { "" };
        let sql = format!("SELECT host FROM mysql.user WHERE user = {}{roles} ORDER BY host", literal(user));
        let mut hosts = self.texts(&sql).await?;
        let host = hosts.pop();
        if hosts.is_empty() {
            return Ok(host.map(|host| AccountName { user: user.to_owned(), host }));
        }
        hosts.extend(host);
        let problem = format!(
            "user `{user}` has {} accounts, for the hosts {}; a secret has the password of one account; rename \
             the others, or let the user change its own password (ROTATION_STRATEGY single-user without \
             ADMIN_SECRET_ARN)",
            hosts.len(),
            hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ")
        );
        Err(self.not_set(problem))
    }

    /// Changes the password of an account.
    pub(super) async fn set(
        &mut self,
        account: &AccountName,
        new: &SecretString,
        old: OldPassword,
    ) -> Result<(), EngineError> {
        self.check_old(old)?;
        let account = account.quoted();
        if self.version == Version::MariaDb {
            let created = self.created(&account).await?;
            let identified = identified(&created.methods, new).map_err(|problem| self.not_set(problem))?;
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
            Err(WireError::Server { code: code @ (NO_HASH | HASH_NOT_CHECKED), message })
                if !is_read_only(code, &message) =>
            {
                let problem = format!(
                    "{message} ({code}); this function sends only hashes, because MariaDB logs passwords in clear; turn \
                     strict_password_validation off, and set PASSWORD_LENGTH and the EXCLUDE_ variables to \
                     the rules of the server's plugin"
                );
                Err(self.not_set(problem))
            }
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Returns MariaDB's description of an account.
    pub(super) async fn created(&mut self, account: &str) -> Result<CreateUserStatement, EngineError> {
        let statement = self.one(&format!("SHOW CREATE USER {account}")).await?;
        CreateUserStatement::parse(&statement).ok_or_else(|| {
            let beginning = statement.split(" IDENTIFIED").next().unwrap_or_default();
            self.not_set(format!("the output of SHOW CREATE USER is not understood: {beginning} …"))
        })
    }
}

/// Returns true if a server rejects every change because it is a replica or the like.
fn is_read_only(code: u16, message: &str) -> bool {
    match code {
        READ_ONLY_TRANSACTION => true,
        READ_ONLY_OPTION | READ_ONLY_MODE => message.contains("read-only"),
        _ => false,
    }
}

/// Returns the methods of a MariaDB account with the new password in each that has one.
pub(super) fn identified(methods: &[AuthMethod], new: &SecretString) -> Result<SecretString, String> {
    let mut text = Vec::new();
    let mut changed = false;
    for method in methods {
        let hash = match stored_hash(&method.plugin, new) {
            Some(hash) => {
                changed = true;
                Some(hash.expose_secret().to_owned())
            }
            None => method.hash.clone(),
        };
        let using = hash.map(|hash| format!(" USING {}", literal(&hash))).unwrap_or_default();
        text.push(format!("{}{using}", sql::name(&method.plugin)));
    }
    if !changed {
        return Err(unusable(methods));
    }
    Ok(format!("IDENTIFIED VIA {}", text.join(" OR ")).into())
}

/// Describes methods whose password a rotation cannot change.
fn unusable(methods: &[AuthMethod]) -> String {
    let found = match methods {
        [] => "none".to_owned(),
        methods => {
            methods.iter().map(|method| format!("`{}`", method.plugin)).collect::<Vec<_>>().join(" or ")
        }
    };
    format!(
        "its account authenticates with {found}; expected either mysql_native_password or ed25519, whose \
         password a user can change; with both, an administrator (ADMIN_SECRET_ARN) has to change them"
    )
}

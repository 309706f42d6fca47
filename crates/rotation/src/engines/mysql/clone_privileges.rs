//! Gives one account the privileges of another, for alternating users.
//!
//! The first of the two, whose name does not end in `_clone`, is the model: grant and revoke there.
//! The clone gets what the first has, and loses what the first does not have. When it is the turn
//! of the first, it gets what the clone has, and loses nothing: its later grants stay.

use rustls::crypto::SecureRandom;
use secrecy::{ExposeSecret, SecretString};

use super::OldPassword;
use super::account::{Options, Version};
use super::grants::Grants;
use super::session::{Session, identified};
use super::sql::{AccountName, literal, name};
use crate::engine::EngineError;

/// The rounds in which grants are compared and copied.
const ROUNDS: usize = 3;

impl Session<'_> {
    /// Gives the session's user the privileges of another and sets its password. That is the last
    /// statement: until then, nobody knows the password of a new account.
    pub(super) async fn clone_privileges(
        &mut self,
        model: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        let Some(model_account) = self.account_of(model).await? else {
            return Err(self.not_set(format!("there is no account `{model}` to copy the privileges of")));
        };
        let account = AccountName { user: self.user.to_owned(), host: model_account.host.clone() };
        let exists = match self.account_of(self.user).await? {
            Some(found) if found != account => {
                let problem = format!(
                    "its account is for the host `{}`, that of `{model}` for `{}`; alternating users must have \
                     the same host; rename one of the accounts",
                    found.host, model_account.host
                );
                return Err(self.not_set(problem));
            }
            found => found.is_some(),
        };
        let is_first = model.strip_suffix("_clone") == Some(self.user);
        if !exists {
            self.create(&account, &model_account).await?;
        }
        if !exists || !is_first {
            self.copy_options(&account, &model_account).await?;
        }
        self.copy_grants(&account, &model_account, !is_first).await?;
        self.set(&account, new, OldPassword::Ended).await
    }

    /// Creates the account with an unknown password and the model's plugin.
    async fn create(&mut self, account: &AccountName, model: &AccountName) -> Result<(), EngineError> {
        let password = self.unknown_password()?;
        let identified = if self.version == Version::MariaDb {
            let created = self.created(&model.quoted()).await?;
            identified(&created.methods, &password).map_err(|problem| self.not_set(problem))?
        } else {
            let plugin = self.options_row(model).await?.into_iter().next().flatten().unwrap_or_default();
            format!("IDENTIFIED WITH {} BY {}", name(&plugin), literal(password.expose_secret())).into()
        };
        let account = account.quoted();
        let statement =
            SecretString::from(format!("CREATE USER IF NOT EXISTS {account} {}", identified.expose_secret()));
        if self.version == Version::MariaDb {
            return self.give_hash(&statement).await;
        }
        self.run(statement.expose_secret()).await
    }

    fn unknown_password(&self) -> Result<SecretString, EngineError> {
        let mut bytes = [0; 16];
        let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bytes).map_err(|_| self.not_set("the system has no random bytes".to_owned()))?;
        // It has every kind of character that a server's rules may require.
        Ok(format!("Aa1!{}", hex::encode(bytes)).into())
    }

    async fn options_row(&mut self, account: &AccountName) -> Result<super::wire::Row, EngineError> {
        let sql = format!(
            "SELECT {} FROM mysql.user WHERE user = {} AND host = {}",
            Options::columns(self.version),
            literal(&account.user),
            literal(&account.host)
        );
        Ok(self.rows(&sql).await?.into_iter().next().unwrap_or_default())
    }

    async fn copy_options(&mut self, account: &AccountName, model: &AccountName) -> Result<(), EngineError> {
        let options = if self.version == Version::MariaDb {
            self.created(&model.quoted()).await?.options
        } else {
            let row = self.options_row(model).await?;
            Options::of_mysql(self.version, &row)
        };
        let Some(options) = options else {
            let problem = format!(
                "`{}` requires a client certificate, which this function does not have; expected REQUIRE NONE, \
                 SSL or CIPHER",
                model.user
            );
            return Err(self.not_set(problem));
        };
        self.run(&format!("ALTER USER {} {}", account.quoted(), options.clauses())).await
    }

    async fn grants(&mut self, account: &AccountName) -> Result<Grants, EngineError> {
        let lines = self.texts(&format!("SHOW GRANTS FOR {}", account.quoted())).await?;
        let grants = Grants::parse(lines.iter().map(String::as_str), account);
        let mut grants = grants.map_err(|line| {
            self.not_set(format!(
                "the output of SHOW GRANTS for `{}` is not understood: {line}",
                account.user
            ))
        })?;
        if self.version.has_role_tables() {
            let sql = format!(
                "SELECT default_role_user, default_role_host FROM mysql.default_roles WHERE user = {} AND host = {} ORDER BY 1, 2",
                literal(&account.user),
                literal(&account.host)
            );
            let rows = self.rows(&sql).await?;
            let role = |row: &super::wire::Row| {
                let part = |number: usize| row.get(number).cloned().flatten().unwrap_or_default();
                AccountName { user: part(0), host: part(1) }.quoted()
            };
            let roles = rows.iter().map(role).collect::<Vec<_>>().join(", ");
            grants.default_role = Some(roles).filter(|roles| !roles.is_empty());
        }
        Ok(grants)
    }

    /// Grants and revokes until the server prints the same grants for both accounts: a missing
    /// privilege would be found by the clients. One round is usually enough, but some statements
    /// have further effects, such as `GRANT PROXY … WITH GRANT OPTION`, which lets an account grant
    /// everything that it has.
    async fn copy_grants(
        &mut self,
        account: &AccountName,
        model: &AccountName,
        take: bool,
    ) -> Result<(), EngineError> {
        let wanted = self.grants(model).await?;
        let mut have = self.grants(account).await?;
        for _ in 0..ROUNDS {
            let taking = if take { have.taking(&wanted, account) } else { Vec::new() };
            for statement in &taking {
                self.run(statement).await?;
            }
            if !taking.is_empty() {
                // `ALL PRIVILEGES` revokes more than its name.
                have = self.grants(account).await?;
            }
            let giving = have.giving(&wanted, account);
            for statement in &giving {
                self.run(statement).await?;
            }
            if taking.is_empty() && giving.is_empty() {
                return self.copy_default_role(account, &wanted, &have, take).await;
            }
            have = self.grants(account).await?;
        }
        let (lacks, exceeds) = (have.lacks(&wanted), have.exceeds(&wanted).filter(|_| take));
        let problem = match (lacks, exceeds) {
            (Some(right), _) => format!("it still lacks a right of `{}`: {right:?}", model.user),
            (None, Some(right)) => {
                format!("it still has a right that `{}` does not have: {right:?}", model.user)
            }
            (None, None) => return self.copy_default_role(account, &wanted, &have, take).await,
        };
        Err(self.not_set(problem))
    }

    async fn copy_default_role(
        &mut self,
        account: &AccountName,
        wanted: &Grants,
        have: &Grants,
        take: bool,
    ) -> Result<(), EngineError> {
        if have.default_role == wanted.default_role || !(take || have.default_role.is_none()) {
            return Ok(());
        }
        let role = wanted.default_role.as_deref().unwrap_or("NONE");
        self.run(&match self.version {
            Version::MariaDb => format!("SET DEFAULT ROLE {role} FOR {}", account.quoted()),
            Version::MySql(..) => format!("ALTER USER {} DEFAULT ROLE {role}", account.quoted()),
        })
        .await
    }
}

//! Making one account like another: for users that take turns.
//!
//! The first of the two, whose name has no `_clone` at its end, is the model: grant and revoke there. The clone gets what the first has, and loses
//! what the first has not. The first, when its turn comes, gets what the clone has, and loses nothing: what is granted to it meanwhile stays.

use rustls::crypto::SecureRandom;
use secrecy::{ExposeSecret, SecretString};

use super::OldPassword;
use super::account::{Options, Version};
use super::grants::Grants;
use super::session::{Session, identified};
use super::sql::{Who, literal, name};
use crate::engine::EngineError;

/// Times that grants are compared and made the same.
const ROUNDS: usize = 3;

impl Session<'_> {
    /// Makes the session's user like another and gives it this password, which is the last statement: until then nobody knows the
    /// password of a new account.
    pub(super) async fn make_like(&mut self, like: &str, new: &SecretString) -> Result<(), EngineError> {
        let Some(model) = self.account_of(like).await? else {
            return Err(self.not_set(format!("there is no account `{like}` to be like")));
        };
        let who = Who { user: self.user.to_owned(), host: model.host.clone() };
        let there = match self.account_of(self.user).await? {
            Some(found) if found != who => {
                let problem = format!(
                    "its account is for the host `{}`, that of `{like}` for `{}`; two users that take turns come from the same hosts. Rename one of them",
                    found.host, model.host
                );
                return Err(self.not_set(problem));
            }
            found => found.is_some(),
        };
        let is_first = like.strip_suffix("_clone") == Some(self.user);
        if !there {
            self.create(&who, &model).await?;
        }
        if !there || !is_first {
            self.copy_options(&who, &model).await?;
        }
        self.copy_grants(&who, &model, !is_first).await?;
        self.set(&who, new, OldPassword::Ended).await
    }

    /// Makes the account with a password that nobody knows, under the model's plugin.
    async fn create(&mut self, who: &Who, model: &Who) -> Result<(), EngineError> {
        let password = self.unknown_password()?;
        let identified = if self.version == Version::MariaDb {
            let created = self.created(&model.quoted()).await?;
            identified(&created.ways, &password).map_err(|problem| self.not_set(problem))?
        } else {
            let plugin = self.options_row(model).await?.into_iter().next().flatten().unwrap_or_default();
            format!("IDENTIFIED WITH {} BY {}", name(&plugin), literal(password.expose_secret())).into()
        };
        let account = who.quoted();
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
        random.fill(&mut bytes).map_err(|_| self.not_set("there is no random to be had".to_owned()))?;
        // With every kind of character that a server's rules may ask for.
        Ok(format!("Aa1!{}", hex::encode(bytes)).into())
    }

    async fn options_row(&mut self, who: &Who) -> Result<super::wire::Row, EngineError> {
        let sql = format!(
            "SELECT {} FROM mysql.user WHERE user = {} AND host = {}",
            Options::columns(self.version),
            literal(&who.user),
            literal(&who.host)
        );
        Ok(self.rows(&sql).await?.into_iter().next().unwrap_or_default())
    }

    async fn copy_options(&mut self, who: &Who, model: &Who) -> Result<(), EngineError> {
        let options = if self.version == Version::MariaDb {
            self.created(&model.quoted()).await?.options
        } else {
            let row = self.options_row(model).await?;
            Options::of_mysql(self.version, &row)
        };
        let Some(options) = options else {
            let problem = format!(
                "`{}` requires a client's certificate, which this function has not; expected REQUIRE NONE, SSL or CIPHER",
                model.user
            );
            return Err(self.not_set(problem));
        };
        self.run(&format!("ALTER USER {} {}", who.quoted(), options.clauses())).await
    }

    async fn grants(&mut self, who: &Who) -> Result<Grants, EngineError> {
        let lines = self.texts(&format!("SHOW GRANTS FOR {}", who.quoted())).await?;
        let grants = Grants::parse(lines.iter().map(String::as_str), who);
        let mut grants = grants.map_err(|line| {
            self.not_set(format!("what SHOW GRANTS says of `{}` is not understood: {line}", who.user))
        })?;
        if self.version.has_role_tables() {
            let sql = format!(
                "SELECT default_role_user, default_role_host FROM mysql.default_roles WHERE user = {} AND host = {} ORDER BY 1, 2",
                literal(&who.user),
                literal(&who.host)
            );
            let rows = self.rows(&sql).await?;
            let role = |row: &super::wire::Row| {
                let part = |number: usize| row.get(number).cloned().flatten().unwrap_or_default();
                Who { user: part(0), host: part(1) }.quoted()
            };
            let roles = rows.iter().map(role).collect::<Vec<_>>().join(", ");
            grants.default_role = Some(roles).filter(|roles| !roles.is_empty());
        }
        Ok(grants)
    }

    /// Gives and takes until the server says of both the same, which is what counts: a user that may do less would be found out by its
    /// clients. Once is mostly enough; but some statements do more than their words say, such as `GRANT PROXY … WITH GRANT OPTION`, which lets an
    /// account pass on all that it has.
    async fn copy_grants(&mut self, who: &Who, model: &Who, take: bool) -> Result<(), EngineError> {
        let wanted = self.grants(model).await?;
        let mut have = self.grants(who).await?;
        for _ in 0..ROUNDS {
            let taking = if take { have.taking(&wanted, who) } else { Vec::new() };
            for statement in &taking {
                self.run(statement).await?;
            }
            if !taking.is_empty() {
                // `ALL PRIVILEGES` takes more with it.
                have = self.grants(who).await?;
            }
            let giving = have.giving(&wanted, who);
            for statement in &giving {
                self.run(statement).await?;
            }
            if taking.is_empty() && giving.is_empty() {
                return self.copy_default_role(who, &wanted, &have, take).await;
            }
            have = self.grants(who).await?;
        }
        let (lacks, exceeds) = (have.lacks(&wanted), have.exceeds(&wanted).filter(|_| take));
        let problem = match (lacks, exceeds) {
            (Some(right), _) => format!("it still lacks what `{}` has: {right:?}", model.user),
            (None, Some(right)) => format!("it still has what `{}` has not: {right:?}", model.user),
            (None, None) => return self.copy_default_role(who, &wanted, &have, take).await,
        };
        Err(self.not_set(problem))
    }

    async fn copy_default_role(
        &mut self,
        who: &Who,
        wanted: &Grants,
        have: &Grants,
        take: bool,
    ) -> Result<(), EngineError> {
        if have.default_role == wanted.default_role || !(take || have.default_role.is_none()) {
            return Ok(());
        }
        let role = wanted.default_role.as_deref().unwrap_or("NONE");
        self.run(&match self.version {
            Version::MariaDb => format!("SET DEFAULT ROLE {role} FOR {}", who.quoted()),
            Version::MySql(..) => format!("ALTER USER {} DEFAULT ROLE {role}", who.quoted()),
        })
        .await
    }
}

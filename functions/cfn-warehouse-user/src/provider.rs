//! One database user of a warehouse.
//!
//! The user's name ends with the tag of the stack's resource, which proves that it is ours: a user
//! with this name was created by this resource, and no other user is ever changed or dropped.

use custom_resource::{Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use secrecy::SecretString;
use warehouse::backfill::Backfill;
use warehouse::cluster::{ControlPlane, DescribeError, Warehouse};
use warehouse::connection::{Connection, with_keys};
use warehouse::data_api::{Database, Login, Token};
use warehouse::secret::{SecretError, SecretsManager, Versions};
use warehouse::sql::Identifier;
use warehouse::target::Target;

use crate::grants::{self, Grant, allow_role, forbid_role};
use crate::properties::{Properties, Purpose, Wanted};
use crate::users::{ExistingUser, UserError, Users};
use crate::uses;

/// The most names of other users in an attribute.
const MAX_NAMES: usize = 20;

/// The provider.
pub struct WarehouseUsers {
    control: ControlPlane,
    data: aws_sdk_redshiftdata::Client,
    secrets: SecretsManager,
}

impl WarehouseUsers {
    /// Creates a provider with its clients.
    pub fn new(control: ControlPlane, data: aws_sdk_redshiftdata::Client, secrets: SecretsManager) -> Self {
        Self { control, data, secrets }
    }

    fn database(&self, target: &Target, database: &str, secret: &str) -> Database {
        let login = Login::Secret(secret.to_owned());
        Database::new(self.data.clone(), target.clone(), database.to_owned(), login)
    }

    /// Makes the user, its secret and its grants what the properties say. `old` are the properties
    /// before an Update.
    async fn converge(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Option<&Properties>,
        new: &Properties,
    ) -> Result<Outcome<()>, Failure> {
        let wanted = new.wanted(id.tag())?;
        let warehouse = self.control.describe(&wanted.target).await.map_err(describe_failed)?;
        let connection = connection(&wanted.target, &warehouse, &new.database)?;
        let admin = self.database(&wanted.target, &new.database, &new.admin_secret_arn);
        let users = Users { database: &admin, until: context.end_of_statements() };

        let existing = users.find(&wanted.user).await.map_err(|error| admin_failed(new, error))?;
        if existing.is_some_and(|existing| existing.superuser) {
            return Err(Failure::new(format!(
                "property `UserName`: {} is a superuser, which no user of this resource may be; choose another name",
                wanted.user
            )));
        }
        let absent = users.absent(&wanted.grants).await.map_err(|error| admin_failed(new, error))?;
        if let Some((property, what)) = absent.first() {
            return Err(Failure::new(format!(
                "property `{property}`: there is no {what} in database \"{}\"; create it first, or omit it",
                new.database
            )));
        }

        // From here on a Delete has something to clean up.
        let made = async {
            let existing = self.make_user(context, id, &users, &wanted, new, &connection, existing).await?;
            let others = self.make_grants(&users, &wanted, new).await?;
            if let Some(old) = old {
                self.take_old_grants(context, id, (old, &new.admin_secret_arn), &wanted).await?;
            }
            Ok((existing, others))
        };
        let (existing, others) = made.await.map_err(|failure: Failure| failure.with_leftovers())?;
        tracing::info!(user = wanted.user.as_str(), secret = new.secret_arn, "the user has its grants");
        Ok(Outcome::Ready(
            Attributes::none()
                .with("UserName", wanted.user.as_str())
                .with("UserId", existing.id.to_string())
                .with("SecretArn", &new.secret_arn)
                .with("OtherUsersOfCopyRole", others),
        ))
    }

    /// Creates the user with the password of its secret, and proves that the secret logs in.
    #[expect(clippy::too_many_arguments, reason = "the steps of one request share what it found")]
    async fn make_user(
        &self,
        context: &Context,
        id: &PhysicalId,
        users: &Users<'_>,
        wanted: &Wanted,
        new: &Properties,
        connection: &Connection,
        existing: Option<ExistingUser>,
    ) -> Result<ExistingUser, Failure> {
        let password = self.complete_secret(context, id, wanted, new, connection).await?;
        if existing.is_none() {
            let created = users.create(&wanted.user, &password).await;
            if created.map_err(|error| user_failed("created", &wanted.user, error))? {
                tracing::info!(user = wanted.user.as_str(), "the user was created");
            }
        }
        let own = self.database(&wanted.target, &new.database, &new.secret_arn);
        let login = own.run("SELECT 1", Token::Fresh, users.until).await;
        let refused = |message: &str| message.contains("password authentication failed");
        match login {
            Ok(_) => {}
            // The user has another password, for example because the warehouse was restored.
            Err(error) if error.database_message().is_some_and(refused) => {
                let changed = users.alter_password(&wanted.user, &password).await;
                changed.map_err(|error| user_failed("changed", &wanted.user, error))?;
                let login = own.run("SELECT 1", Token::Fresh, users.until).await;
                login.map_err(|error| login_failed(new, &wanted.user, UserError::from(error)))?;
            }
            Err(error) => return Err(login_failed(new, &wanted.user, error.into())),
        }
        let access = if new.purpose == Purpose::Reader { "UNRESTRICTED" } else { "RESTRICTED" };
        let sql = format!("ALTER USER {} SYSLOG ACCESS {access}", wanted.user);
        users.run(&sql).await.map_err(|error| user_failed("changed", &wanted.user, error))?;
        match users.find(&wanted.user).await.map_err(|error| admin_failed(new, error))? {
            Some(existing) => Ok(existing),
            None => Err(Failure::new(format!(
                "the user {} was dropped while it was being set up; repeat the operation",
                wanted.user
            ))),
        }
    }

    /// Writes the user's name and the endpoint into its secret, and returns its password.
    async fn complete_secret(
        &self,
        context: &Context,
        id: &PhysicalId,
        wanted: &Wanted,
        new: &Properties,
        connection: &Connection,
    ) -> Result<SecretString, Failure> {
        let secret = new.secret_arn.as_str();
        let mut keys = connection.keys(id.tag());
        keys.insert("username".to_owned(), wanted.user.as_str().into());
        let request = (context.request_id.as_str(), context.deadline);
        let backfill = Backfill::new(&self.secrets, secret, request, id.tag());
        backfill.run(|value| with_keys(value, &keys)).await.map_err(|error| {
            Failure::caused_by(
                format!(
                    "property `SecretArn`: the user's name and endpoint could not be written into {secret}"
                ),
                error,
            )
        })?;
        let current = self.secrets.current(secret).await.map_err(|error| secret_failed(secret, error))?;
        match current.value.0.get("password").and_then(|password| password.as_str()) {
            Some(password) if !password.is_empty() => Ok(password.into()),
            _ => Err(Failure::new(format!(
                "property `SecretArn`: {secret} has no key `password`; let Secrets Manager generate it \
                 (GenerateSecretString with GenerateStringKey: password)"
            ))),
        }
    }

    /// Gives the user its grants. Returns the names of the other users of the COPY role.
    async fn make_grants(
        &self,
        users: &Users<'_>,
        wanted: &Wanted,
        new: &Properties,
    ) -> Result<String, Failure> {
        let failed = |error: UserError| grants_failed(&wanted.user, error);
        for grant in &wanted.grants {
            users.run(&grant.give(&wanted.user)).await.map_err(failed)?;
        }
        let Some(role) = &wanted.copy_role else { return Ok("none".to_owned()) };
        if new.restrict_roles {
            // Who uses a role with a grant of its own keeps it.
            let before = users.others_with_role(role, &wanted.user).await.map_err(failed)?;
            users.run(grants::RESTRICT_ROLES).await.map_err(failed)?;
            tracing::info!(users_before = names(&before), "only users with a grant may use IAM roles");
        }
        // As long as everybody may use every role, there is nothing to grant ("GRANT", usage notes
        // for ASSUMEROLE: the REVOKE comes first).
        if !users.may_use_role(role, &wanted.user).await.map_err(failed)? {
            users.run(&allow_role(role, &wanted.user)).await.map_err(failed)?;
        }
        let others = users.others_with_role(role, &wanted.user).await.map_err(failed)?;
        if !others.is_empty() {
            tracing::warn!(
                users = names(&others),
                role = role.as_str(),
                statement = grants::RESTRICT_ROLES,
                "other users may read the source buckets with the COPY role"
            );
        }
        Ok(names(&others))
    }

    /// Takes away what an Update no longer wants. Grants that somebody else made stay.
    async fn take_old_grants(
        &self,
        context: &Context,
        id: &PhysicalId,
        (old, admin_secret): (&Properties, &str),
        wanted: &Wanted,
    ) -> Result<(), Failure> {
        // What an older version accepted may be invalid now.
        let Ok(before) = old.wanted(id.tag()) else { return Ok(()) };
        if before.target != wanted.target {
            return Ok(());
        }
        let failed = |error: UserError| grants_failed(&wanted.user, error);
        let database = self.database(&before.target, &old.database, admin_secret);
        let users = Users { database: &database, until: context.end_of_statements() };
        let gone: Vec<Grant> =
            before.grants.into_iter().filter(|grant| !wanted.grants.contains(grant)).collect();
        for grant in &gone {
            if users.absent(std::slice::from_ref(grant)).await.map_err(failed)?.is_empty() {
                users.run(&grant.take(&wanted.user)).await.map_err(failed)?;
            }
        }
        let role = before.copy_role.filter(|role| wanted.copy_role.as_ref() != Some(role));
        if let Some(role) = role {
            users.run(&forbid_role(&role, &wanted.user)).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Drops the user. Its tables go to the admin; whoever owns copy jobs stays.
    async fn drop_user(&self, context: &Context, old: &Properties, wanted: &Wanted) -> Result<(), Failure> {
        let user = &wanted.user;
        let database = self.database(&wanted.target, &old.database, &old.admin_secret_arn);
        let users = Users { database: &database, until: context.end_of_statements() };
        let failed = |error: UserError| drop_failed(user, old, error);
        let Some(existing) = users.find(user).await.map_err(failed)? else { return Ok(()) };
        let jobs = users.jobs(existing.id).await.map_err(failed)?;
        if !jobs.is_empty() {
            return Err(Failure::new(format!(
                "the user {user} owns the copy jobs {}; delete their stacks (or run COPY JOB DROP), then delete this stack \
                 again",
                names(&jobs)
            )));
        }
        users.give_tables_away(existing.id).await.map_err(failed)?;
        let mut schemas: Vec<&Identifier> = Vec::new();
        for grant in &wanted.grants {
            if !users.absent(std::slice::from_ref(grant)).await.map_err(failed)?.is_empty() {
                continue;
            }
            match grant.schema() {
                None => {
                    users.run(&grant.take(user)).await.map_err(failed)?;
                }
                Some(schema) if !schemas.contains(&schema) => {
                    // Also what was granted by hand for a job of an existing table.
                    for what in [format!("ALL TABLES IN SCHEMA {schema}"), format!("SCHEMA {schema}")] {
                        users.run(&format!("REVOKE ALL ON {what} FROM {user}")).await.map_err(failed)?;
                    }
                    schemas.push(schema);
                }
                Some(_) => {}
            }
        }
        if let Some(role) = &wanted.copy_role {
            users.run(&forbid_role(role, user)).await.map_err(failed)?;
        }
        users.run(&format!("DROP USER {user}")).await.map_err(failed)?;
        tracing::info!(user = user.as_str(), "the user was dropped");
        Ok(())
    }
}

fn connection(target: &Target, warehouse: &Warehouse, database: &str) -> Result<Connection, Failure> {
    match warehouse.endpoint.clone().filter(|_| warehouse.is_available()) {
        Some((host, port)) => {
            Ok(Connection { target: target.clone(), host, port, database: database.to_owned() })
        }
        None => Err(Failure::new(format!(
            "{target} is {} and runs no statements; {}",
            warehouse.status,
            warehouse.remedy(target)
        ))),
    }
}

/// Returns a list of names for a sentence or an attribute.
fn names(list: &[String]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let shown = list.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match list.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn describe_failed(error: DescribeError) -> Failure {
    let is_transient = error.is_transient();
    Failure::from_error(error).with_leftovers_if(is_transient)
}

/// An earlier delivery of the request may have created the user, which this one could not look for.
fn admin_failed(new: &Properties, error: UserError) -> Failure {
    let is_transient = matches!(&error, UserError::Run(error) if error.is_transient());
    Failure::caused_by(
        format!(
            "property `AdminSecretArn`: the users of the warehouse could not be read with {}",
            new.admin_secret_arn
        ),
        error,
    )
    .with_leftovers_if(is_transient)
}

fn user_failed(what: &str, user: &Identifier, error: UserError) -> Failure {
    Failure::caused_by(format!("the user {user} could not be {what}"), error)
}

fn grants_failed(user: &Identifier, error: UserError) -> Failure {
    Failure::caused_by(format!("the grants of the user {user} could not be set"), error)
}

fn login_failed(new: &Properties, user: &Identifier, error: UserError) -> Failure {
    Failure::caused_by(
        format!("property `SecretArn`: the user {user} could not log in with {}", new.secret_arn),
        error,
    )
}

fn drop_failed(user: &Identifier, old: &Properties, error: UserError) -> Failure {
    Failure::caused_by(
        format!(
            "the user {user} could not be dropped as the user of {}; give what it owns to another user and revoke \
             its other grants, then delete the stack again",
            old.admin_secret_arn
        ),
        error,
    )
}

fn secret_failed(secret: &str, error: SecretError) -> Failure {
    Failure::caused_by(
        format!("property `SecretArn`: {secret} could not be read"),
        warehouse::backfill::BackfillError::from(error),
    )
}

impl Provider for WarehouseUsers {
    type Properties = Properties;
    type Progress = ();
    const KIND: &'static str = "sluice-warehouse-user";

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        uses::of(properties)
    }

    /// The user's name follows from the base and from the owner, which is part of the physical id.
    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        Ok(format!("{}/{}", properties.target()?, properties.base()?))
    }

    async fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.converge(context, id, None, &new).await
    }

    async fn update(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Option<Properties>,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.converge(context, id, old.as_ref(), &new).await
    }

    async fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<()>, Failure> {
        let wanted = old.wanted(id.tag())?;
        let warehouse = match self.control.describe(&wanted.target).await {
            // The users were deleted with the warehouse.
            Err(DescribeError::Absent(_)) => return Ok(Outcome::done()),
            other => other.map_err(Failure::from_error)?,
        };
        if !warehouse.is_available() {
            return Err(Failure::new(format!(
                "the user {} cannot be dropped while {} is {}; {}",
                wanted.user,
                wanted.target,
                warehouse.status,
                warehouse.remedy(&wanted.target)
            )));
        }
        self.drop_user(context, &old, &wanted).await.map(|()| Outcome::done())
    }
}

//! The process: its settings, its connections, its state.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::answer::ApiError;
use crate::caller::Caller;
use crate::gateway::{Gateway, GatewayError, Question};
use crate::world::World;
use local_servers::ServerError;
use local_servers::postgres::{Flavour, PostgresKit, Server};

/// The settings of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway's address, for example `http://127.0.0.1:4566`.
    pub gateway: String,
    /// The folder for data, which a later run does not read.
    pub data_dir: PathBuf,
    /// The folder that keeps PostgreSQL's template between runs, so that the next start is faster.
    pub template_cache: Option<PathBuf>,
    /// The time that an integration stays `creating` and `deleting`.
    pub integration_delay: Duration,
    /// The time that a role stays `adding` or `removing`.
    pub role_delay: Duration,
    /// The time that a new administrator's password stays pending.
    pub password_delay: Duration,
}

/// The process.
#[derive(Debug)]
pub struct App {
    /// Settings.
    pub settings: Settings,
    /// Calls to the gateway.
    pub gateway: Gateway,
    /// Makes servers.
    pub postgres: PostgresKit,
    world: Mutex<World>,
}

/// PostgreSQL as far as it can be set to behave like Redshift, with the system views that the kit
/// reads.
const FLAVOUR: Flavour = Flavour {
    name: "redshift",
    catalog: include_str!("catalog.sql"),
    wire: "hostssl all all 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 md5\n",
    settings: &[
        // Redshift stores md5 unless the sha256 form is given [D: CREATE USER].
        "password_encryption=md5",
        // Backslashes are escapes in literals, as in sql::lexer.
        "standard_conforming_strings=off",
        "escape_string_warning=off",
        "backslash_quote=on",
    ],
};

impl App {
    /// Prepares PostgreSQL's template; blocks for about two seconds.
    ///
    /// # Errors
    /// PostgreSQL is not installed or fails.
    pub fn prepare(settings: Settings) -> Result<Arc<Self>, ServerError> {
        let postgres = PostgresKit::prepare(&settings.data_dir, FLAVOUR, settings.template_cache.as_deref())?;
        let gateway = Gateway::new(&settings.gateway);
        Ok(Arc::new(Self { settings, gateway, postgres, world: Mutex::default() }))
    }

    /// The state. Never held across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops every server.
    pub fn stop(&self) {
        let servers: Vec<Arc<Server>> =
            self.world().warehouses.values().filter_map(|warehouse| warehouse.server.clone()).collect();
        std::thread::scope(|scope| {
            for server in &servers {
                scope.spawn(|| server.stop());
            }
        });
    }

    /// Checks a permission of the caller at the gateway; the error has AWS's message.
    ///
    /// # Errors
    /// `AccessDenied`, or the call to the gateway failed.
    pub async fn demand(&self, question: &Question<'_>) -> Result<(), ApiError> {
        let decision = self.gateway.authorize(question).await.map_err(gateway_failed)?;
        if decision.allowed { Ok(()) } else { Err(ApiError::access_denied(decision.message)) }
    }

    /// `iam:PassRole` on a role that the caller hands to a provisioned cluster.
    ///
    /// # Errors
    /// `AccessDenied`, or the call to the gateway failed.
    pub async fn demand_pass_role(&self, caller: &Caller, role: &str) -> Result<(), ApiError> {
        let context = serde_json::json!({"iam:PassedToService": "redshift.amazonaws.com"});
        self.demand_pass_role_with(caller, role, &context).await
    }

    /// `iam:PassRole` on a role that the caller hands to a Serverless namespace, without
    /// `iam:PassedToService`: a grant that is conditioned on it is denied there
    /// (aws-solutions/guidance-for-clickstream-analytics-on-aws, pull request 749).
    ///
    /// # Errors
    /// `AccessDenied`, or the call to the gateway failed.
    pub async fn demand_pass_role_to_serverless(&self, caller: &Caller, role: &str) -> Result<(), ApiError> {
        self.demand_pass_role_with(caller, role, &serde_json::json!({})).await
    }

    async fn demand_pass_role_with(
        &self,
        caller: &Caller,
        role: &str,
        context: &serde_json::Value,
    ) -> Result<(), ApiError> {
        let account = crate::arn::parse(role).map_or(caller.account.as_str(), |arn| arn.account);
        self.demand(&Question {
            access_key: &caller.access_key,
            action: "iam:PassRole",
            resource: role,
            region: &caller.region,
            context,
            resource_policy: None,
            resource_account: account,
        })
        .await
    }
}

/// The response for a failed call to the gateway: an internal error, because the caller did nothing
/// wrong.
#[must_use]
pub fn gateway_failed(error: GatewayError) -> ApiError {
    ApiError::new("InternalFailure", format!("sluice-redshift: {error}")).with_status(500)
}

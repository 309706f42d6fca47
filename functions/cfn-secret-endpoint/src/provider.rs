//! The connection keys of one warehouse in one secret.

use custom_resource::{AllowedList, Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use serde::Deserialize;
use warehouse::backfill::{Backfill, BackfillError};
use warehouse::cluster::ControlPlane;
use warehouse::connection::{Connection, with_keys, without_keys};
use warehouse::secret::SecretsManager;
use warehouse::target::Target;

const SECRETS: &str = "ALLOWED_SECRETS";
const DATABASES: &str = "ALLOWED_DATABASES";

/// The lists of values that the function's stack allows: its own resources, and the database that it makes.
pub const ALLOWED: [AllowedList; 4] = [
    AllowedList::own(Target::CLUSTERS),
    AllowedList::own(Target::WORKGROUPS),
    AllowedList::own(SECRETS),
    AllowedList::of(DATABASES, "DatabaseName"),
];

/// The properties of `Custom::SecretEndpoint`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Properties {
    secret_arn: String,
    #[serde(default)]
    cluster_identifier: Option<String>,
    #[serde(default)]
    workgroup_name: Option<String>,
    database: String,
}

impl Properties {
    fn target(&self) -> Result<Target, Failure> {
        Target::from_properties(self.cluster_identifier.as_deref(), self.workgroup_name.as_deref())
            .map_err(Failure::from_error)
    }
}

/// The provider.
pub struct SecretEndpoints {
    control: ControlPlane,
    secrets: SecretsManager,
}

impl SecretEndpoints {
    /// Creates a provider with its clients.
    pub fn new(control: ControlPlane, secrets: SecretsManager) -> Self {
        Self { control, secrets }
    }

    fn backfill<'a>(
        &'a self,
        context: &'a Context,
        id: &'a PhysicalId,
        secret: &'a str,
    ) -> Backfill<'a, SecretsManager> {
        Backfill::new(&self.secrets, secret, (&context.request_id, context.deadline), id.tag())
    }

    async fn write(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        let target = new.target()?;
        let warehouse = self.control.describe(&target).await.map_err(Failure::from_error)?;
        let Some((host, port)) = warehouse.endpoint.clone() else {
            let remedy = warehouse.remedy(&target);
            return Err(Failure::new(format!(
                "{target} is {} and has no endpoint; {remedy}",
                warehouse.status
            )));
        };
        let connection = Connection { target, host, port, database: new.database };
        let keys = connection.keys(id.tag());
        self.backfill(context, id, &new.secret_arn)
            .run(|value| with_keys(value, &keys))
            .await
            .map_err(|error| failure(&new.secret_arn, error).with_leftovers())?;
        tracing::info!(
            secret = new.secret_arn,
            host = connection.host,
            port = connection.port,
            "the secret holds the endpoint"
        );
        let attributes = Attributes::none()
            .with("Host", &connection.host)
            .with("Port", connection.port.to_string())
            .with("JdbcUrl", connection.jdbc_url());
        Ok(Outcome::Ready(attributes))
    }
}

fn failure(secret: &str, error: BackfillError) -> Failure {
    Failure::caused_by(
        format!("property `SecretArn`: the endpoint could not be written into {secret}"),
        error,
    )
}

impl Provider for SecretEndpoints {
    type Properties = Properties;
    type Progress = ();
    const KIND: &'static str = "sluice-secret-endpoint";

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        let target = properties.target()?;
        Ok(vec![
            Use::new(target.property(), target.name(), target.allowed_by()),
            Use::new("SecretArn", &properties.secret_arn, SECRETS),
            Use::new("Database", &properties.database, DATABASES),
        ])
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        Ok(properties.secret_arn.clone())
    }

    async fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.write(context, id, new).await
    }

    async fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        _: Properties,
    ) -> Result<Outcome<()>, Failure> {
        let secret = id.identity();
        match self.backfill(context, id, secret).run(|value| without_keys(value, id.tag())).await {
            Ok(()) | Err(BackfillError::Absent | BackfillError::NotAnObject) => Ok(Outcome::done()),
            Err(error) => Err(failure(secret, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::Request;
    use serde_json::{Map, Value};

    fn sample(text: &str) -> Properties {
        let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
        request.properties(&[]).unwrap()
    }

    fn keys(target: Target) -> Map<String, Value> {
        let connection = Connection { target, host: "h".into(), port: 5439, database: "d".into() };
        connection.keys("0a1b2c3d")
    }

    #[test]
    fn keys_of_a_cluster_come_and_go_and_others_stay() {
        let properties = sample(include_str!("../../../events/cloudformation/secret-endpoint-create.json"));
        let keys = keys(properties.target().unwrap());
        let Value::Object(before) = serde_json::json!({"username": "u", "password": "p", "note": 1}) else {
            panic!("a map")
        };
        let with = with_keys(&before, &keys).unwrap();
        assert_eq!(with["jdbcUrl"], "jdbc:redshift://h:5439/d");
        assert_eq!((&with["dbClusterIdentifier"], &with["password"]), (&"main".into(), &"p".into()));
        assert_eq!(with_keys(&with, &keys), None);
        assert_eq!(without_keys(&with, "ffffffff"), None, "another owner's keys stay");
        assert_eq!(without_keys(&with, "0a1b2c3d"), Some(before));
    }

    #[test]
    fn key_of_a_workgroup_replaces_that_of_a_cluster() {
        let cluster = with_keys(&Map::new(), &keys(Target::Cluster("c".into()))).unwrap();
        let workgroup = with_keys(&cluster, &keys(Target::Workgroup("w".into()))).unwrap();
        assert!(!workgroup.contains_key("dbClusterIdentifier"));
        assert_eq!(workgroup["workgroupName"], "w");
    }
}

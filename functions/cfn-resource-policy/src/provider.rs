//! A stack's statements in a namespace's resource policy with several owners.

use aws_sdk_redshift::error::ProvideErrorMetadata;
use custom_resource::{AllowedList, Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;
use serde::Deserialize;
use serde_json::json;
use warehouse::bucket::BucketName;
use warehouse::cluster::{ControlPlane, DescribeError};
use warehouse::policy::{Attempts, PolicyStore, Statement, StoreError, converge};
use warehouse::target::Target;

const ACCOUNTS: &str = "ALLOWED_SOURCE_ACCOUNTS";
const BUCKETS: &str = "ALLOWED_SOURCE_BUCKETS";
const CONDITIONS: &str = "ALLOWED_CONDITIONS";

/// The lists of values that the function's stack allows.
pub(crate) const ALLOWED: [AllowedList; 6] = [
    AllowedList::OTHER_RESOURCES,
    AllowedList::of(Target::CLUSTERS, "ClusterIdentifier"),
    AllowedList::of(Target::WORKGROUPS, "WorkgroupName"),
    AllowedList::of(ACCOUNTS, "AllowedSourceAccounts"),
    AllowedList::of(BUCKETS, "AllowedSourceBuckets"),
    AllowedList::of(CONDITIONS, "SourceConditions"),
];

/// The properties of `Custom::RedshiftResourcePolicy`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Properties {
    #[serde(default)]
    cluster_identifier: Option<String>,
    #[serde(default)]
    workgroup_name: Option<String>,
    /// Accounts that own the buckets, 12 digits each.
    source_accounts: Vec<String>,
    /// Buckets that may be integrated.
    source_buckets: Vec<String>,
    /// Restricts the statements to these buckets and accounts.
    #[serde(default = "yes")]
    conditions: bool,
}

fn yes() -> bool {
    true
}

impl Properties {
    fn target(&self) -> Result<Target, Failure> {
        Target::from_properties(self.cluster_identifier.as_deref(), self.workgroup_name.as_deref())
            .map_err(Failure::from_error)
    }

    /// Returns the two statements of "Configure authorization for your data warehouse" of the
    /// Redshift management guide.
    fn statements(&self, namespace_arn: &str) -> Result<Vec<Statement>, Failure> {
        if self.source_accounts.is_empty() {
            return Err(Failure::new("property `SourceAccounts`: expected at least one account, found none"));
        }
        let namespace: Arn = namespace_arn
            .parse()
            .map_err(|error| Failure::caused_by("the warehouse's namespace could not be read", error))?;
        let partition = &namespace.partition;
        let mut buckets = Vec::new();
        for (index, name) in self.source_buckets.iter().enumerate() {
            let bucket = BucketName::new(&format!("SourceBuckets[{index}]"), name)
                .map_err(|error| Failure::new(format!("property {error}")))?;
            buckets.push(bucket.arn(partition));
        }
        if buckets.is_empty() && self.conditions {
            return Err(Failure::new("property `SourceBuckets`: expected at least one bucket, found none"));
        }
        let mut roots = Vec::new();
        for (index, account) in self.source_accounts.iter().enumerate() {
            if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Failure::new(format!(
                    "property `SourceAccounts[{index}]`: expected an account id of 12 digits, found \"{account}\""
                )));
            }
            roots.push(namespace.sibling("iam", "", account, "root").to_string());
        }
        let mut authorize = json!({
            "Sid": "SluiceAuthorize", "Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"},
            "Action": "redshift:AuthorizeInboundIntegration", "Resource": namespace_arn,
        });
        let mut create = json!({
            "Sid": "SluiceCreate", "Effect": "Allow", "Principal": {"AWS": roots},
            "Action": "redshift:CreateInboundIntegration", "Resource": namespace_arn,
        });
        if self.conditions {
            authorize["Condition"] = json!({"StringEquals": {
                "aws:SourceArn": buckets, "aws:SourceAccount": self.source_accounts,
            }});
            create["Condition"] = json!({"StringEquals": {"aws:SourceArn": buckets}});
        }
        Statement::list([authorize, create])
            .map_err(|error| Failure::caused_by("the policy's statements are invalid", error))
    }
}

/// A namespace's resource policy.
struct NamespacePolicy<'a> {
    client: &'a aws_sdk_redshift::Client,
    arn: &'a str,
}

impl PolicyStore for NamespacePolicy<'_> {
    async fn get(&self) -> Result<Option<String>, StoreError> {
        match self.client.get_resource_policy().resource_arn(self.arn).send().await {
            Ok(answer) => Ok(answer.resource_policy.and_then(|policy| policy.policy)),
            // The API reference does not say which of the two a namespace without a policy returns.
            Err(error) if error.code() == Some("ResourceNotFoundFault") => Ok(None),
            Err(error) => Err(CallError::new("redshift:GetResourcePolicy", &error).into()),
        }
    }

    async fn put(&self, text: &str) -> Result<(), StoreError> {
        match self.client.put_resource_policy().resource_arn(self.arn).policy(text).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConflictPolicyUpdateFault") => Err(StoreError::Conflict),
            Err(error) => Err(CallError::new("redshift:PutResourcePolicy", &error).into()),
        }
    }

    async fn delete(&self) -> Result<(), StoreError> {
        match self.client.delete_resource_policy().resource_arn(self.arn).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ResourceNotFoundFault") => Ok(()),
            Err(error) => Err(CallError::new("redshift:DeleteResourcePolicy", &error).into()),
        }
    }
}

/// The provider.
pub(crate) struct ResourcePolicies {
    control: ControlPlane,
}

impl ResourcePolicies {
    /// Creates a provider with its clients.
    pub(crate) fn new(control: ControlPlane) -> Self {
        Self { control }
    }

    async fn put(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: &Properties,
    ) -> Result<Outcome<()>, Failure> {
        let target = new.target()?;
        let warehouse = self.control.describe(&target).await.map_err(Failure::from_error)?;
        let ours = new.statements(&warehouse.namespace_arn)?;
        self.converge(context, id, &warehouse.namespace_arn, &ours).await?;
        Ok(Outcome::Ready(Attributes::none().with("NamespaceArn", warehouse.namespace_arn)))
    }

    async fn converge(
        &self,
        context: &Context,
        id: &PhysicalId,
        namespace_arn: &str,
        ours: &[Statement],
    ) -> Result<(), Failure> {
        let store = NamespacePolicy { client: &self.control.redshift, arn: namespace_arn };
        let writes =
            converge(&store, id.tag(), ours, Attempts::until(context.deadline), &mut fastrand::Rng::new())
                .await
                .map_err(|error| {
                    let written = error.may_have_written();
                    Failure::caused_by(
                        format!("the resource policy of {namespace_arn} could not be changed"),
                        error,
                    )
                    .with_leftovers_if(written)
                })?;
        tracing::info!(
            namespace_arn,
            writes,
            statements = ours.len(),
            "the policy holds this stack's statements"
        );
        Ok(())
    }
}

impl Provider for ResourcePolicies {
    type Properties = Properties;
    type Progress = ();
    const KIND: &'static str = "sluice-resource-policy";

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        let target = properties.target()?;
        let mut uses = vec![Use::new(target.property(), target.name(), target.allowed_by())];
        for (property, values, variable) in [
            ("SourceAccounts", &properties.source_accounts, ACCOUNTS),
            ("SourceBuckets", &properties.source_buckets, BUCKETS),
        ] {
            let of = |(index, value)| Use::new(format!("{property}[{index}]"), value, variable);
            uses.extend(values.iter().enumerate().map(of));
        }
        if !properties.conditions {
            uses.push(Use::new("Conditions", "false", CONDITIONS));
        }
        Ok(uses)
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        Ok(properties.target()?.to_string())
    }

    async fn create(
        &self,
        context: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        self.put(context, id, &new).await
    }

    async fn delete(
        &self,
        context: &Context,
        id: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<()>, Failure> {
        let warehouse = match self.control.describe(&old.target()?).await {
            // The policy was deleted with the namespace.
            Err(DescribeError::Absent(_)) => return Ok(Outcome::done()),
            other => other.map_err(Failure::from_error)?,
        };
        self.converge(context, id, &warehouse.namespace_arn, &[]).await?;
        Ok(Outcome::done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use custom_resource::Request;

    fn sample(text: &str) -> Properties {
        let request = Request::parse(&serde_json::from_str(text).unwrap()).unwrap();
        request.properties(&[]).unwrap()
    }

    const NAMESPACE: &str = "arn:aws:redshift:us-east-1:222222222222:namespace:1";

    #[test]
    fn sample_event_makes_two_statements() {
        let properties = sample(include_str!("../../../events/cloudformation/resource-policy-create.json"));
        assert_eq!(properties.target().unwrap(), Target::Cluster("main".into()));
        let arn = "arn:aws-cn:redshift:cn-north-1:222222222222:namespace:1";
        let document = warehouse::policy::Document::parse(None).unwrap();
        let ours = properties.statements(arn).unwrap();
        let text = document.with_statements_of("0a1b2c3d", &ours).to_string();
        // policies/tests checks this file against AWS's Service Authorization Reference.
        let expected = include_str!("../tests/golden/namespace-policy.json");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(expected));
    }

    #[test]
    fn statements_without_conditions_have_none() {
        let mut properties =
            sample(include_str!("../../../events/cloudformation/resource-policy-create.json"));
        properties.conditions = false;
        let document = warehouse::policy::Document::parse(None).unwrap();
        let text =
            document.with_statements_of("0a1b2c3d", &properties.statements(NAMESPACE).unwrap()).to_string();
        assert!(!text.contains("Condition"), "{text}");
    }

    #[test]
    fn invalid_sources_are_rejected_with_their_property() {
        let with = |accounts: &[&str], buckets: &[&str]| {
            let mut properties =
                sample(include_str!("../../../events/cloudformation/resource-policy-create.json"));
            properties.source_accounts = accounts.iter().map(|&text| text.to_owned()).collect();
            properties.source_buckets = buckets.iter().map(|&text| text.to_owned()).collect();
            properties.statements(NAMESPACE).unwrap_err().chain()
        };
        assert!(with(&[], &["bucket"]).starts_with("property `SourceAccounts`: expected at least one"));
        assert!(
            with(&["12"], &["bucket"])
                .starts_with("property `SourceAccounts[0]`: expected an account id of 12 digits")
        );
        assert!(with(&["111111111111"], &[]).starts_with("property `SourceBuckets`: expected at least one"));
        assert!(
            with(&["111111111111"], &["ok-bucket", "a.b"])
                .starts_with("property `SourceBuckets[1]`: \"a.b\" holds a period")
        );
    }
}

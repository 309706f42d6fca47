//! One SDK configuration for every client of a function.
//!
//! It is built from the variables that Lambda sets, without the default loader: a function needs
//! neither profiles nor IMDS nor SSO, and their code would be half of its size. See
//! docs/decisions/0002-sdk-configuration.md.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::env::{Env, EnvError};
use crate::grants::GrantPropagationRetry;

/// The configuration of a function's AWS clients.
#[derive(Debug, Clone)]
pub struct Aws {
    // Neither field is read in a build without a client, such as this crate's own tests.
    #[allow(dead_code)]
    config: SdkConfig,
    #[allow(dead_code)]
    retry: GrantPropagationRetry,
}

/// One constructor for each service, so that every client has the shared settings.
macro_rules! clients {
    ($($feature:literal $name:ident $sdk:ident $service:literal),* $(,)?) => {
        impl Aws {$(
            #[doc = concat!("Returns a client of ", $service, ".")]
            #[cfg(feature = $feature)]
            pub fn $name(&self) -> $sdk::Client {
                let config = $sdk::config::Builder::from(&self.config).retry_classifier(self.retry.classifier());
                $sdk::Client::from_conf(config.build())
            }
        )*}
    };
}

clients! {
    "cloudformation" cloudformation aws_sdk_cloudformation "AWS CloudFormation",
    "dynamodb" dynamodb aws_sdk_dynamodb "Amazon DynamoDB",
    "elasticache" elasticache aws_sdk_elasticache "Amazon ElastiCache",
    "kafka" kafka aws_sdk_kafka "Amazon MSK",
    "kms" kms aws_sdk_kms "AWS KMS",
    "redshift" redshift aws_sdk_redshift "Amazon Redshift",
    "redshift-data" redshift_data aws_sdk_redshiftdata "the Redshift Data API",
    "redshift-serverless" redshift_serverless aws_sdk_redshiftserverless "Redshift Serverless",
    "s3" s3 aws_sdk_s3 "Amazon S3",
    "secretsmanager" secretsmanager aws_sdk_secretsmanager "AWS Secrets Manager",
    "sfn" sfn aws_sdk_sfn "AWS Step Functions",
    "sns" sns aws_sdk_sns "Amazon SNS",
    "sqs" sqs aws_sdk_sqs "Amazon SQS",
    "sts" sts aws_sdk_sts "AWS STS",
}

impl Aws {
    /// Reads Lambda's own variables (credentials, `AWS_REGION`, `AWS_ENDPOINT_URL` if it is set)
    /// and `ACCESS_GRANT_WAIT_SECONDS`.
    ///
    /// # Errors
    /// A variable that Lambda always sets is missing, or `ACCESS_GRANT_WAIT_SECONDS` is invalid.
    pub fn from_env(env: Env<'_>) -> Result<Self, EnvError> {
        let retry = GrantPropagationRetry::from_env(env)?;
        Ok(Self { config: config(env, retry)?, retry })
    }

    /// Returns the configuration with the credentials of another role, in another Region.
    #[must_use]
    pub fn acting_as(&self, credentials: Credentials, region: &str) -> Self {
        let config = self
            .config
            .clone()
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self { config, retry: self.retry }.in_region(region)
    }

    /// Returns the configuration in another Region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        let config = self.config.clone().into_builder().region(Region::new(region.to_owned())).build();
        Self { config, retry: self.retry }
    }
}

/// An HTTP client that reads the system's certificates with the first request, once for all
/// clients.
///
/// Without it, every new client reads and parses them before the function's first poll, which takes
/// three quarters of the start-up time. Some invocations never need them.
#[derive(Debug)]
struct LazyHttpClient(SharedHttpClient);

impl HttpClient for LazyHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    // `validate_base_client_config` is not forwarded: it makes a connector to read the
    // certificates.

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// Reads the configuration from Lambda's own variables.
///
/// # Errors
/// A variable that Lambda always sets is missing.
fn config(env: Env<'_>, retry: GrantPropagationRetry) -> Result<SdkConfig, EnvError> {
    let credentials = Credentials::new(
        env.required("AWS_ACCESS_KEY_ID")?,
        env.required("AWS_SECRET_ACCESS_KEY")?,
        env.optional("AWS_SESSION_TOKEN"),
        None,
        "LambdaEnvironment",
    );
    let http = HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env.required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(LazyHttpClient(http))
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
        .retry_config(retry.config())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(30))
                .build(),
        );
    config.set_endpoint_url(env.optional("AWS_ENDPOINT_URL"));
    Ok(config.build())
}

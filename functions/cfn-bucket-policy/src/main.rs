//! `Custom::BucketPolicyStatements`: our statements in a bucket's policy, among those of other owners.

mod provider;

use custom_resource::{Failure, Started};
use lambda_kit::env::Env;
use lambda_kit::sdk::Aws;

use crate::provider::BucketPolicies;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move {
        let aws = Aws::from_env(env).map_err(|error| Failure::new(error.to_string()))?;
        Ok(Started::new(BucketPolicies::new(aws.s3())))
    })
    .await
}

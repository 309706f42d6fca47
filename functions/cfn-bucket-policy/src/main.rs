//! `Custom::BucketPolicyStatements`: a stack's statements in a bucket policy with several owners.

mod provider;

use custom_resource::Started;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

use crate::provider::BucketPolicies;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move {
        let aws = Aws::from_env(env)?;
        Ok::<_, EnvError>(Started::new(BucketPolicies::new(aws.s3())))
    })
    .await
}

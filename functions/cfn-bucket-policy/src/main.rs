//! `Custom::BucketPolicyStatements`: a stack's statements in a bucket policy with several owners.

mod provider;

use custom_resource::{Allowed, Started};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;

use crate::provider::{ALLOWED, BucketPolicies, Placeholders, STATEMENTS, allowed_statements};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let variable = |name: &str| env.optional(name);
    custom_resource::run(&variable, async {
        let aws = Aws::from_env(env)?;
        let named = Placeholders::from_env(env);
        let allowed = Allowed::read("copy-source.yaml", &ALLOWED, &variable)
            .each(STATEMENTS, |line| allowed_statements(&named.fill(line)))?;
        Ok::<_, EnvError>(Started::new(BucketPolicies::new(aws.s3()), allowed))
    })
    .await
}

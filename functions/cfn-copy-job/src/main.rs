//! `Custom::CopyJob`: a COPY JOB, and optionally the table that it loads.

use cfn_copy_job::CopyJobs;
use custom_resource::Started;
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    custom_resource::run(async move {
        let aws = Aws::from_env(env)?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        Ok::<_, EnvError>(Started::new(CopyJobs::new(control, aws.redshift_data())))
    })
    .await
}

//! `Custom::CopyJob`: a COPY JOB, and optionally the table that it loads.

use cfn_copy_job::{ALLOWED, CopyJobs};
use custom_resource::{Allowed, Started};
use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::cluster::ControlPlane;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let env = Env::process();
    lambda_kit::trace::init(env);
    let variable = |name: &str| env.optional(name);
    custom_resource::run(&variable, async {
        let aws = Aws::from_env(env)?;
        let control = ControlPlane { redshift: aws.redshift(), serverless: aws.redshift_serverless() };
        let allowed = Allowed::read("copy-job.yaml", &ALLOWED, &variable);
        Ok::<_, EnvError>(Started::new(CopyJobs::new(control, aws.redshift_data()), allowed))
    })
    .await
}

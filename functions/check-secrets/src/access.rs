//! The way to the secrets of each place: by the function's own role at home, by the read role of the spoke elsewhere.

use alerts::command::Command;
use alerts::incident::AccountRegion;
use alerts::lookup::ReadRole;
use lambda_kit::call::CallError;
use lambda_kit::sdk::Aws;
use secret_check::adapter::SecretsManager;
use secret_check::places::Access;

/// From the function's account to all others.
pub(crate) struct FromHere<'a> {
    pub(crate) aws: &'a Aws,
    pub(crate) role: &'a ReadRole,
    /// The account that the function runs in.
    pub(crate) account: &'a str,
    /// `aws`, or another partition.
    pub(crate) partition: &'a str,
    /// What the read role is called.
    pub(crate) role_name: &'a str,
}

impl Access for FromHere<'_> {
    type Secrets = SecretsManager;

    async fn secrets(&self, location: &AccountRegion) -> Result<SecretsManager, CallError> {
        let aws = if location.account == self.account {
            self.aws.in_region(&location.region)
        } else {
            self.role.at(self.partition, location).await?
        };
        Ok(SecretsManager::new(aws.secretsmanager()))
    }

    fn command(&self, location: &AccountRegion) -> Command {
        if location.account == self.account {
            return Command::aws("secretsmanager", "list-secrets")
                .option("region", &location.region)
                .flag("--max-results 1");
        }
        Command::aws("iam", "get-role")
            .option("role-name", self.role_name)
            .flag("--query Role.AssumeRolePolicyDocument")
    }
}

//! Access to the secrets of each account: with the function's own role in its account, with the read role
//! of the spoke in other accounts.

use alerts::command::Command;
use alerts::incident::AccountRegion;
use alerts::lookup::ReadRole;
use lambda_kit::arn::Arn;
use lambda_kit::call::CallError;
use lambda_kit::sdk::Aws;
use secret_check::accounts::Access;
use secret_check::adapter::SecretsManager;

/// Access from the function's account to all others.
pub(crate) struct CrossAccountAccess<'a> {
    pub(crate) aws: &'a Aws,
    pub(crate) role: &'a ReadRole,
    /// The function's own ARN.
    pub(crate) function: &'a Arn,
    /// The name of the read role.
    pub(crate) role_name: &'a str,
}

impl Access for CrossAccountAccess<'_> {
    type Secrets = SecretsManager;

    async fn secrets(&self, location: &AccountRegion) -> Result<SecretsManager, CallError> {
        let aws = if location.account == self.function.account {
            self.aws.in_region(&location.region)
        } else {
            self.role.at(&self.function.partition, location).await?
        };
        Ok(SecretsManager::new(aws.secretsmanager()))
    }

    fn command(&self, location: &AccountRegion) -> Command {
        if location.account == self.function.account {
            return Command::aws("secretsmanager", "list-secrets")
                .option("region", &location.region)
                .flag("--max-results 1");
        }
        Command::aws("iam", "get-role")
            .option("role-name", self.role_name)
            .flag("--query Role.AssumeRolePolicyDocument")
    }
}

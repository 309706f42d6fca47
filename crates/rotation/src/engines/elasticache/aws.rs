//! The calls to Amazon ElastiCache.

use aws_sdk_elasticache::Client;
use aws_sdk_elasticache::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_elasticache::types::{AuthTokenUpdateStrategyType, AuthenticationMode, InputAuthenticationType};
use lambda_kit::call::CallError;
use secrecy::{ExposeSecret, SecretString};

use super::modification::Modification;
use super::token::{Group, Groups, Update};
use super::user::{User, Users};

/// The codes with which ModifyReplicationGroup may reject SET for a group with one token.
const NOT_ALLOWED: [&str; 2] = ["InvalidParameterCombination", "InvalidParameterValue"];

/// Amazon ElastiCache.
#[derive(Debug, Clone)]
pub struct ElastiCacheApi {
    client: Client,
}

impl ElastiCacheApi {
    /// Creates the adapter for a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

/// Interprets the result of a change. `busy` is the error code of an object that is already
/// changing.
fn started<O, E, R>(
    result: Result<O, SdkError<E, R>>,
    action: &str,
    busy: &str,
) -> Result<Modification, CallError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match result {
        Ok(_) => Ok(Modification::Started),
        Err(error) if error.code() == Some(busy) => Ok(Modification::Busy),
        Err(error) => Err(CallError::new(action, &error)),
    }
}

impl Users for ElastiCacheApi {
    async fn user(&self, id: &str) -> Result<Option<User>, CallError> {
        let answer = match self.client.describe_users().user_id(id).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("UserNotFound") => return Ok(None),
            Err(error) => return Err(CallError::new("elasticache:DescribeUsers", &error)),
        };
        let found = answer.users.unwrap_or_default().into_iter().find(|user| user.user_id() == Some(id));
        Ok(found.map(|user| User {
            authentication: user
                .authentication()
                .and_then(|authentication| authentication.r#type())
                .map(|kind| kind.as_str().to_owned())
                .unwrap_or_default(),
            arn: user.arn.unwrap_or_default(),
            name: user.user_name.unwrap_or_default(),
            status: user.status.unwrap_or_default(),
        }))
    }

    async fn set_passwords(&self, id: &str, passwords: &[&SecretString]) -> Result<Modification, CallError> {
        let passwords = passwords.iter().map(|password| password.expose_secret().to_owned()).collect();
        let mode = AuthenticationMode::builder()
            .r#type(InputAuthenticationType::Password)
            .set_passwords(Some(passwords))
            .build();
        let result = self.client.modify_user().user_id(id).authentication_mode(mode).send().await;
        started(result, "elasticache:ModifyUser", "InvalidUserState")
    }
}

impl Groups for ElastiCacheApi {
    async fn group(&self, id: &str) -> Result<Option<Group>, CallError> {
        let answer = match self.client.describe_replication_groups().replication_group_id(id).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("ReplicationGroupNotFoundFault") => return Ok(None),
            Err(error) => return Err(CallError::new("elasticache:DescribeReplicationGroups", &error)),
        };
        let mut groups = answer.replication_groups.unwrap_or_default().into_iter();
        let found = groups.find(|group| group.replication_group_id() == Some(id));
        Ok(found.map(|group| Group {
            token_change: group
                .pending_modified_values()
                .and_then(|pending| pending.auth_token_status())
                .map(|status| status.as_str().to_owned()),
            has_token: group.auth_token_enabled() == Some(true),
            has_users: !group.user_group_ids().is_empty(),
            status: group.status.unwrap_or_default(),
        }))
    }

    async fn set_token(
        &self,
        id: &str,
        token: &SecretString,
        how: Update,
    ) -> Result<Modification, CallError> {
        let strategy = match how {
            Update::Rotate => AuthTokenUpdateStrategyType::Rotate,
            Update::Set => AuthTokenUpdateStrategyType::Set,
        };
        let result = self
            .client
            .modify_replication_group()
            .replication_group_id(id)
            .auth_token(token.expose_secret())
            .auth_token_update_strategy(strategy)
            .apply_immediately(true)
            .send()
            .await;
        // "SET - allowed only after ROTATE" (ModifyReplicationGroup): a group with one token may
        // reject it, and has no other token to remove. See decision 17.
        match &result {
            Err(error)
                if how == Update::Set && error.code().is_some_and(|code| NOT_ALLOWED.contains(&code)) =>
            {
                let error = CallError::new("elasticache:ModifyReplicationGroup", error);
                tracing::info!(%error, "SET is not allowed: the group has one token");
                Ok(Modification::NotAllowed)
            }
            _ => started(result, "elasticache:ModifyReplicationGroup", "InvalidReplicationGroupState"),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticache::operation::describe_replication_groups::{
        DescribeReplicationGroupsError, DescribeReplicationGroupsOutput,
    };
    use aws_sdk_elasticache::operation::describe_users::{DescribeUsersError, DescribeUsersOutput};
    use aws_sdk_elasticache::operation::modify_replication_group::{
        ModifyReplicationGroupError, ModifyReplicationGroupOutput,
    };
    use aws_sdk_elasticache::operation::modify_user::{ModifyUserError, ModifyUserOutput};
    use aws_sdk_elasticache::types::error::{
        InvalidReplicationGroupStateFault, InvalidUserStateFault, ReplicationGroupNotFoundFault,
        UserNotFoundFault,
    };
    use aws_sdk_elasticache::types::{
        AuthTokenUpdateStatus, Authentication, AuthenticationType, ReplicationGroup,
        ReplicationGroupPendingModifiedValues, User as SdkUser,
    };
    use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn api(rules: &[&Rule]) -> ElastiCacheApi {
        ElastiCacheApi::new(mock_client!(aws_sdk_elasticache, RuleMode::Sequential, rules))
    }

    fn code(code: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).message("as the service says it").build()
    }

    #[tokio::test]
    async fn user_is_read_by_its_id() {
        let found = mock!(Client::describe_users)
            .match_requests(|request| request.user_id() == Some("id-1"))
            .then_output(|| {
                let authentication = Authentication::builder().r#type(AuthenticationType::Password).build();
                let user = SdkUser::builder()
                    .user_id("id-1")
                    .user_name("app")
                    .arn("arn:u")
                    .status("modifying")
                    .authentication(authentication);
                DescribeUsersOutput::builder().users(user.build()).build()
            });
        let none = mock!(Client::describe_users).then_error(|| {
            DescribeUsersError::UserNotFoundFault(
                UserNotFoundFault::builder().meta(code("UserNotFound")).build(),
            )
        });
        let refused =
            mock!(Client::describe_users).then_error(|| DescribeUsersError::generic(code("AccessDenied")));
        let api = api(&[&found, &none, &refused]);
        let expected = User {
            arn: "arn:u".into(),
            name: "app".into(),
            status: "modifying".into(),
            authentication: "password".into(),
        };
        assert_eq!(api.user("id-1").await.unwrap(), Some(expected));
        assert_eq!(api.user("id-2").await.unwrap(), None);
        let error = api.user("id-3").await.unwrap_err().to_string();
        assert!(error.contains("elasticache:DescribeUsers: AccessDenied"), "{error}");
    }

    #[tokio::test]
    async fn user_gets_the_whole_list_of_passwords() {
        let done = mock!(Client::modify_user)
            .match_requests(|request| {
                let mode = request.authentication_mode().unwrap();
                request.user_id() == Some("id-1")
                    && mode.r#type() == Some(&InputAuthenticationType::Password)
                    && mode.passwords() == ["new", "old"]
                    && request.access_string().is_none()
            })
            .then_output(|| ModifyUserOutput::builder().build());
        let busy = mock!(Client::modify_user).then_error(|| {
            ModifyUserError::InvalidUserStateFault(
                InvalidUserStateFault::builder().meta(code("InvalidUserState")).build(),
            )
        });
        let wrong =
            mock!(Client::modify_user).then_error(|| ModifyUserError::generic(code("InvalidParameterValue")));
        let api = api(&[&done, &busy, &wrong]);
        let (new, old) = (SecretString::from("new"), SecretString::from("old"));
        assert_eq!(api.set_passwords("id-1", &[&new, &old]).await.unwrap(), Modification::Started);
        assert_eq!(api.set_passwords("id-1", &[&new]).await.unwrap(), Modification::Busy);
        let error = api.set_passwords("id-1", &[&new]).await.unwrap_err().to_string();
        assert!(
            error.contains("elasticache:ModifyUser: InvalidParameterValue") && !error.contains("new"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn group_is_read_with_its_pending_token_change() {
        let found = mock!(Client::describe_replication_groups)
            .match_requests(|request| request.replication_group_id() == Some("cache"))
            .then_output(|| {
                let pending = ReplicationGroupPendingModifiedValues::builder()
                    .auth_token_status(AuthTokenUpdateStatus::Rotating);
                let group = ReplicationGroup::builder()
                    .replication_group_id("cache")
                    .status("modifying")
                    .auth_token_enabled(true)
                    .pending_modified_values(pending.build());
                DescribeReplicationGroupsOutput::builder().replication_groups(group.build()).build()
            });
        let none = mock!(Client::describe_replication_groups).then_error(|| {
            DescribeReplicationGroupsError::ReplicationGroupNotFoundFault(
                ReplicationGroupNotFoundFault::builder().meta(code("ReplicationGroupNotFoundFault")).build(),
            )
        });
        let api = api(&[&found, &none]);
        let expected = Group {
            status: "modifying".into(),
            token_change: Some("ROTATING".into()),
            has_token: true,
            has_users: false,
        };
        assert_eq!(api.group("cache").await.unwrap(), Some(expected));
        assert_eq!(api.group("cache").await.unwrap(), None);
    }

    #[tokio::test]
    async fn token_is_changed_at_once_with_the_strategy() {
        let change = |strategy: AuthTokenUpdateStrategyType| {
            mock!(Client::modify_replication_group)
                .match_requests(move |request| {
                    request.replication_group_id() == Some("cache")
                        && request.auth_token() == Some("token")
                        && request.auth_token_update_strategy() == Some(&strategy)
                        && request.apply_immediately() == Some(true)
                })
                .then_output(|| ModifyReplicationGroupOutput::builder().build())
        };
        let (rotate, set) =
            (change(AuthTokenUpdateStrategyType::Rotate), change(AuthTokenUpdateStrategyType::Set));
        let busy = mock!(Client::modify_replication_group).then_error(|| {
            let meta = code("InvalidReplicationGroupState");
            ModifyReplicationGroupError::InvalidReplicationGroupStateFault(
                InvalidReplicationGroupStateFault::builder().meta(meta).build(),
            )
        });
        let rejected = |code_of_error: &'static str| {
            mock!(Client::modify_replication_group)
                .then_error(move || ModifyReplicationGroupError::generic(code(code_of_error)))
        };
        let [combination, value, rotate_again] =
            ["InvalidParameterCombination", "InvalidParameterValue", "InvalidParameterValue"].map(rejected);
        let api = api(&[&rotate, &set, &busy, &combination, &value, &rotate_again]);
        let token = SecretString::from("token");
        assert_eq!(api.set_token("cache", &token, Update::Rotate).await.unwrap(), Modification::Started);
        assert_eq!(api.set_token("cache", &token, Update::Set).await.unwrap(), Modification::Started);
        assert_eq!(api.set_token("cache", &token, Update::Set).await.unwrap(), Modification::Busy);
        // The only token of a group needs no SET, and a rejected ROTATE is an error.
        for _ in 0..2 {
            assert_eq!(api.set_token("cache", &token, Update::Set).await.unwrap(), Modification::NotAllowed);
        }
        let error = api.set_token("cache", &token, Update::Rotate).await.unwrap_err().to_string();
        assert!(error.contains("InvalidParameterValue"), "{error}");
    }
}

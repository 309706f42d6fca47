//! Amazon ElastiCache for Valkey and Redis OSS: RBAC users, and the AUTH token of a replication group.
//!
//! A password is set through the service's API, which takes over in its own time, and is proved by a login over TLS. Both
//! kinds of credential have two slots, so the current one stays in force while the new one is rolled out.
//!
//! Where the login goes and what is changed is said by the function's configuration alone: whoever may write the secret could otherwise
//! have the new password sent to a server of theirs. What the secret says of it has to agree.

mod aws;
mod token;
mod user;
mod wait;

use std::num::NonZeroU16;

use lambda_kit::env::{Env, EnvError};

use super::trust::Tls;
use crate::config::{self, ConfigError};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Engine, EngineError, Login, Server};
use crate::password::{ExcludedKinds, PasswordPolicy};
pub use aws::ElastiCacheApi;
pub use token::{Group, Groups, Token, Update};
pub use user::{RbacUser, User, UserArn, UserArnError, Users};
pub use wait::Pace;

/// Whether the service took a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It has begun.
    Yes,
    /// An earlier change is not done.
    Busy,
}

/// What the two kinds of credential have in common.
#[derive(Clone)]
pub struct Endpoint {
    /// Where logins go.
    pub server: Server,
    /// Whom to trust.
    pub tls: Tls,
    /// What new passwords look like.
    pub policy: PasswordPolicy,
    /// Pauses between looks at the service.
    pub pace: Pace,
}

/// Punctuation that neither a token nor a user's password has: all but `! & # $ ^ < > -`, to which the guide restricts tokens.
const EXCLUDED: &str = "\"%'()*+,./:;=?@[\\]_`{|}~";

impl Endpoint {
    /// From the environment: `ENDPOINT_HOST` and `ENDPOINT_PORT` (6379), certificates as [`Tls::from_env`], passwords as
    /// [`config::password_policy`]; characters that ElastiCache does not take are excluded whatever `EXCLUDE_CHARACTERS` says.
    ///
    /// # Errors
    /// A variable is missing or makes no sense, or there is one that means something for other engines only.
    pub fn from_env(env: Env<'_>) -> Result<Self, ConfigError> {
        for (name, expected) in [
            ("ADMIN_SECRET_ARN", "nothing: passwords are changed by the function's role, not by an admin"),
            ("ROTATION_STRATEGY", "single-user or nothing: the old password stays valid beside the new one"),
        ] {
            if let Some(found) = env.optional(name).filter(|found| found != "single-user") {
                let (name, expected) = (name.to_owned(), expected.to_owned());
                return Err(EnvError::Invalid { name, found, expected }.into());
            }
        }
        let port = env.parsed("ENDPOINT_PORT", "a port: a number from 1 to 65535", PORT)?.get();
        let server = Server { host: env.required("ENDPOINT_HOST")?, port, database: String::new() };
        let mut policy = config::password_policy(env, Self::default_policy())?;
        let missing: String = EXCLUDED.chars().filter(|c| !policy.exclude.contains(*c)).collect();
        policy.exclude.push_str(&missing);
        Ok(Self { server, tls: Tls::from_env(env)?, policy, pace: Pace::default() })
    }

    /// What a password is without any configuration: 16 to 128 characters ("Authenticating with AUTH"; CreateUser has the same bounds).
    pub fn default_policy() -> PasswordPolicy {
        PasswordPolicy {
            engine: "ElastiCache",
            bounds: (16, 128),
            length: 32,
            exclude: EXCLUDED.to_owned(),
            excluded_kinds: ExcludedKinds::default(),
            require_each_kind: true,
        }
    }

    /// The account of a value that agrees with the configuration.
    fn account(&self, document: &SecretDocument, user: Option<&str>) -> Result<Account, DocumentError> {
        let mut whole =
            document.with_default("host", self.server.host.as_str()).with_default("port", self.server.port);
        if let Some(user) = user {
            whole = whole.with_default("username", user);
        }
        let account = Account::read(&whole, DEFAULTS)?;
        for (key, differs, expected) in [
            (
                "host",
                account.server.host != self.server.host,
                "that of ENDPOINT_HOST of the function's configuration, or absent",
            ),
            (
                "port",
                account.server.port != self.server.port,
                "that of ENDPOINT_PORT of the function's configuration, or absent",
            ),
        ] {
            if differs {
                return Err(DocumentError::Invalid { key, expected });
            }
        }
        Ok(Account { server: self.server.clone(), ..account })
    }
}

/// Waits until the server takes a password: a change reaches the nodes some time after the service says that it is done.
async fn accepted(
    engine: &impl Engine,
    account: &Account,
    waiting: &mut wait::Waiting,
) -> Result<(), EngineError> {
    loop {
        match engine.log_in(account).await {
            Ok(Login::Accepted) => return Ok(()),
            Ok(Login::Refused) if waiting.pause().await => {}
            // A node may be replaced meanwhile.
            Err(error) if error.is_transient() && waiting.pause().await => {}
            Ok(Login::Refused) => {
                let (server, user) = (account.server.clone(), account.user.clone());
                let problem = format!("it is set, and still not accepted after {} s", waiting.seconds());
                return Err(EngineError::SetPasswordFailed { server, user, problem });
            }
            Err(error) => return Err(error),
        }
    }
}

/// The port of Redis and Valkey.
const PORT: NonZeroU16 = NonZeroU16::MIN.saturating_add(6378);

const DEFAULTS: Defaults = Defaults {
    engines: &["redis", "valkey"],
    port: PORT.get(),
    database: "",
    expected_engine: "`redis` or `valkey`, which this function rotates",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(variables: &[(&'static str, &'static str)]) -> Result<Endpoint, ConfigError> {
        let variables = variables.to_vec();
        let source = move |name: &str| {
            variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
        };
        Endpoint::from_env(Env::from(&source))
    }

    #[test]
    fn the_endpoint_comes_from_the_environment_and_what_is_not_for_elasticache_is_refused() {
        let found = endpoint(&[("ENDPOINT_HOST", "h")]).unwrap();
        assert_eq!((found.server.host.as_str(), found.server.port), ("h", 6379));
        assert_eq!(endpoint(&[("ENDPOINT_HOST", "h"), ("ENDPOINT_PORT", "6380")]).unwrap().server.port, 6380);
        for (variables, part) in [
            (vec![], "ENDPOINT_HOST is not set"),
            (vec![("ENDPOINT_HOST", "h"), ("ENDPOINT_PORT", "0")], "ENDPOINT_PORT"),
            (vec![("ENDPOINT_HOST", "h"), ("ENDPOINT_PORT", "redis")], "expected a port"),
            (vec![("ENDPOINT_HOST", "h"), ("PASSWORD_LENGTH", "15")], "16 to 128"),
            (vec![("ENDPOINT_HOST", "h"), ("ADMIN_SECRET_ARN", "arn:s")], "not by an admin"),
            (vec![("ENDPOINT_HOST", "h"), ("ROTATION_STRATEGY", "alternating-users")], "stays valid"),
        ] {
            let error = endpoint(&variables).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn no_configuration_lets_a_character_in_that_elasticache_does_not_take() {
        let policy = endpoint(&[("ENDPOINT_HOST", "h"), ("EXCLUDE_CHARACTERS", "x#")]).unwrap().policy;
        let taken: String =
            (' '..='~').filter(|c| !policy.exclude.contains(*c) && c.is_ascii_punctuation()).collect();
        assert_eq!(taken, "!$&-<>^");
        assert!(policy.exclude.contains('x'));
        let default = Endpoint::default_policy();
        let taken: String = ('!'..='~').filter(|c| !default.exclude.contains(*c)).collect();
        assert_eq!(taken.len(), 62 + 8);
        assert!(taken.chars().filter(char::is_ascii_punctuation).all(|c| "!&#$^<>-".contains(c)));
    }

    #[test]
    fn a_value_that_disagrees_with_the_configuration_about_the_server_is_refused() {
        let endpoint = endpoint(&[("ENDPOINT_HOST", "h")]).unwrap();
        let read = |text: &str| endpoint.account(&SecretDocument::parse(&text.into()).unwrap(), None);
        let account = read(r#"{"username":"u","password":"p"}"#).unwrap();
        assert_eq!(account.server, endpoint.server);
        assert!(
            read(r#"{"username":"u","password":"p","host":"h","port":"6379","engine":"valkey"}"#).is_ok()
        );
        for (text, part) in [
            (r#"{"username":"u","password":"p","host":"attacker"}"#, "ENDPOINT_HOST"),
            (r#"{"username":"u","password":"p","port":1}"#, "ENDPOINT_PORT"),
            (r#"{"username":"u","password":"p","engine":"postgres"}"#, "`valkey`"),
            (r#"{"username":"u","password":"p","ssl":false}"#, "verified TLS"),
            (r#"{"userName":"u","password":"p"}"#, "`userName`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

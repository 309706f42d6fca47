//! The configured server, and the configuration that both kinds of credential need.

use std::num::NonZeroU16;

use lambda_kit::env::{Env, EnvError};

use super::wait::Pace;
use crate::config::{self, ConfigError};
use crate::document::{DocumentError, SecretDocument};
use crate::engine::{Account, Defaults, Server};
use crate::engines::trust::Tls;
use crate::password::{ExcludedKinds, PasswordPolicy};

/// The punctuation that neither a token nor a user's password has: all but `! & # $ ^ < > -`, the
/// characters that the guide allows in tokens.
const EXCLUDED: &str = "\"%'()*+,./:;=?@[\\]_`{|}~";

/// The port of Redis and Valkey.
const PORT: NonZeroU16 = NonZeroU16::MIN.saturating_add(6378);

const DEFAULTS: Defaults = Defaults {
    engines: &["redis", "valkey"],
    port: PORT.get(),
    database: "",
    expected_engine: "`redis` or `valkey`",
};

/// The configuration that both kinds of credential need.
#[derive(Clone)]
pub struct Endpoint {
    /// The server to log in to.
    pub server: Server,
    /// The trusted certificates.
    pub tls: Tls,
    /// The policy for new passwords.
    pub policy: PasswordPolicy,
    /// The pauses between checks of the service.
    pub pace: Pace,
}

impl Endpoint {
    /// Reads `ENDPOINT_HOST` and `ENDPOINT_PORT` (6379), certificates like [`Tls::from_env`], and
    /// the password policy like [`config::password_policy`]. Characters that ElastiCache does not
    /// accept are always excluded.
    ///
    /// # Errors
    /// A variable is missing or invalid, or applies to other engines only.
    pub fn from_env(env: Env<'_>) -> Result<Self, ConfigError> {
        for (name, expected) in [
            ("ADMIN_SECRET_ARN", "no value: the function's role changes passwords, not an admin"),
            ("ROTATION_STRATEGY", "single-user or no value: the old password stays valid beside the new one"),
        ] {
            if let Some(found) = env.optional(name).filter(|found| found != "single-user") {
                return Err(EnvError::invalid(name, &found, expected).into());
            }
        }
        let port = env.parsed("ENDPOINT_PORT", "a port: a number from 1 to 65535", PORT)?.get();
        let server = Server { host: env.required("ENDPOINT_HOST")?, port, database: String::new() };
        let mut policy = config::password_policy(env, Self::default_policy())?;
        let missing: String = EXCLUDED.chars().filter(|c| !policy.exclude.contains(*c)).collect();
        policy.exclude.push_str(&missing);
        Ok(Self { server, tls: Tls::from_env(env)?, policy, pace: Pace::default() })
    }

    /// Returns the password policy without any configuration: 16 to 128 characters. Source:
    /// "Authenticating with AUTH"; CreateUser has the same bounds.
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

    /// Reads the account of a value that agrees with the configuration.
    pub(super) fn account(
        &self,
        document: &SecretDocument,
        user: Option<&str>,
    ) -> Result<Account, DocumentError> {
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
                "absent, or ENDPOINT_HOST of the function's configuration",
            ),
            (
                "port",
                account.server.port != self.server.port,
                "absent, or ENDPOINT_PORT of the function's configuration",
            ),
        ] {
            if differs {
                return Err(DocumentError::Invalid { key, expected });
            }
        }
        Ok(Account { server: self.server.clone(), ..account })
    }
}

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
    fn endpoint_is_read_and_foreign_variables_are_rejected() {
        let found = endpoint(&[("ENDPOINT_HOST", "h")]).unwrap();
        assert_eq!((found.server.host.as_str(), found.server.port), ("h", 6379));
        assert_eq!(endpoint(&[("ENDPOINT_HOST", "h"), ("ENDPOINT_PORT", "6380")]).unwrap().server.port, 6380);
        for (variables, part) in [
            (vec![], "ENDPOINT_HOST is not set"),
            (vec![("ENDPOINT_HOST", "h"), ("ENDPOINT_PORT", "0")], "ENDPOINT_PORT"),
            (vec![("ENDPOINT_HOST", "h"), ("ENDPOINT_PORT", "redis")], "expected a port"),
            (vec![("ENDPOINT_HOST", "h"), ("PASSWORD_LENGTH", "15")], "16 to 128"),
            (vec![("ENDPOINT_HOST", "h"), ("ADMIN_SECRET_ARN", "arn:s")], "not an admin"),
            (vec![("ENDPOINT_HOST", "h"), ("ROTATION_STRATEGY", "alternating-users")], "stays valid"),
        ] {
            let error = endpoint(&variables).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn unsupported_characters_are_always_excluded() {
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
    fn value_for_another_server_is_rejected() {
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

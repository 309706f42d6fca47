//! The configuration of a function for Amazon Redshift.

use std::time::Duration;

use lambda_kit::env::{Env, EnvError};
use lambda_kit::sdk::Aws;
use warehouse::target::Target;

use super::{Access, Change, ChangeWait, ControlPlane, DataApi, PasswordHashFormat, ProbeSecret, Redshift};
use crate::config::{self, ConfigError};
use crate::engines::trust::Tls;

/// The default timeout of a Data API statement, in seconds.
const STATEMENT_SECONDS: u64 = 60;
/// The default time for a change by the control plane, in seconds.
const CHANGE_SECONDS: u64 = 180;

impl Redshift {
    /// Creates the engine from the environment:
    ///
    /// * `REDSHIFT_ACCESS`: `wire` (the default) or `data-api`;
    /// * `REDSHIFT_CHANGE`: `sql` (the default) or `control-plane`, for the warehouse's admin;
    /// * `CLUSTER_IDENTIFIER` or `WORKGROUP_NAME`: the warehouse; required except for `wire` with
    ///   `sql`;
    /// * `PROBE_SECRET_ARN`: the secret that the Data API logs in with; required for `data-api`;
    /// * `PASSWORD_FORM`: `as-before` (the default), `md5` or `sha256`, for `sql`;
    /// * `STATEMENT_SECONDS` (60): the timeout of a Data API statement;
    /// * `CHANGE_SECONDS` (180): the timeout of a change by the control plane.
    ///
    /// # Errors
    /// A variable is missing or invalid.
    pub fn from_env(env: Env<'_>, aws: &Aws) -> Result<Self, ConfigError> {
        let policy = config::password_policy(env, Self::default_policy())?;
        let target = target(env)?;
        let by_sql = choice(env, "REDSHIFT_CHANGE", &[("sql", true), ("control-plane", false)])?;
        let over_wire = choice(env, "REDSHIFT_ACCESS", &[("wire", true), ("data-api", false)])?;
        let formats = [
            ("as-before", PasswordHashFormat::AsBefore),
            ("md5", PasswordHashFormat::Md5),
            ("sha256", PasswordHashFormat::Sha256),
        ];
        let format = choice(env, "PASSWORD_FORM", &formats)?;
        let seconds =
            |name, default| env.parsed(name, "a number of seconds", default).map(Duration::from_secs);
        let timeout = seconds("CHANGE_SECONDS", CHANGE_SECONDS)?;
        let change = if by_sql {
            Change::Sql(format)
        } else {
            Change::ControlPlane(ChangeWait { timeout, first_pause: Duration::from_secs(1) })
        };
        if target.is_none() && !(by_sql && over_wire) {
            return Err(EnvError::Missing("CLUSTER_IDENTIFIER or WORKGROUP_NAME".to_owned()).into());
        }
        let warehouse = target.clone().map(|target| ControlPlane {
            redshift: aws.redshift(),
            serverless: aws.redshift_serverless(),
            target,
        });
        let access = match (over_wire, target) {
            (false, Some(target)) => Access::DataApi(DataApi {
                client: aws.redshift_data(),
                target,
                probe_secret: ProbeSecret::new(aws.secretsmanager(), env.required("PROBE_SECRET_ARN")?),
                within: seconds("STATEMENT_SECONDS", STATEMENT_SECONDS)?,
            }),
            _ => Access::Wire(Tls::from_env(env)?),
        };
        Ok(Self::new(access, change, warehouse, policy))
    }
}

fn target(env: Env<'_>) -> Result<Option<Target>, EnvError> {
    match (env.optional("CLUSTER_IDENTIFIER"), env.optional("WORKGROUP_NAME")) {
        (Some(_), Some(found)) => {
            let expected = "nothing, because CLUSTER_IDENTIFIER is set: a function is for one warehouse";
            Err(EnvError::invalid("WORKGROUP_NAME", &found, expected))
        }
        (Some(name), None) => Ok(Some(Target::Cluster(name))),
        (None, Some(name)) => Ok(Some(Target::Workgroup(name))),
        (None, None) => Ok(None),
    }
}

/// Returns the value of a word; the first word is the default.
fn choice<T: Copy>(env: Env<'_>, name: &str, known: &[(&str, T)]) -> Result<T, EnvError> {
    let found = env.optional(name);
    let wanted = found.as_deref().or(known.first().map(|(word, _)| *word)).unwrap_or_default();
    match known.iter().find(|(word, _)| *word == wanted) {
        Some((_, value)) => Ok(*value),
        None => {
            let expected = known.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
            Err(EnvError::invalid(name, &found.unwrap_or_default(), &expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(variables: &[(&str, &str)]) -> Result<Redshift, String> {
        let lambda =
            [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "us-east-1")];
        let source = |name: &str| {
            let mut all = lambda.iter().chain(variables);
            all.find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
        };
        let env = Env::from(&source);
        let aws = Aws::from_env(env).unwrap();
        Redshift::from_env(env, &aws).map_err(|error| error.to_string())
    }

    #[test]
    fn environment_selects_the_access_and_the_change() {
        let plain = configured(&[]).unwrap();
        assert!(matches!(plain.access, Access::Wire(_)) && plain.warehouse.is_none());
        assert_eq!(plain.change, Change::Sql(PasswordHashFormat::AsBefore));
        let data_api = [
            ("REDSHIFT_ACCESS", "data-api"),
            ("WORKGROUP_NAME", "w"),
            ("PROBE_SECRET_ARN", "arn:c"),
            ("PASSWORD_FORM", "sha256"),
        ];
        let data_api = configured(&data_api).unwrap();
        assert!(matches!(&data_api.access, Access::DataApi(api) if api.probe_secret.arn == "arn:c"));
        assert_eq!(data_api.change, Change::Sql(PasswordHashFormat::Sha256));
        let admin = configured(&[("REDSHIFT_CHANGE", "control-plane"), ("CLUSTER_IDENTIFIER", "c")]).unwrap();
        assert!(matches!(admin.access, Access::Wire(_)) && matches!(admin.change, Change::ControlPlane(_)));
    }

    #[test]
    fn invalid_configuration_names_the_variable() {
        for (variables, part) in [
            (&[("REDSHIFT_ACCESS", "http")][..], "REDSHIFT_ACCESS is \"http\", expected wire or data-api"),
            (&[("REDSHIFT_CHANGE", "x")], "expected sql or control-plane"),
            (&[("PASSWORD_FORM", "clear")], "expected as-before or md5 or sha256"),
            (&[("REDSHIFT_ACCESS", "data-api")], "CLUSTER_IDENTIFIER or WORKGROUP_NAME"),
            (&[("REDSHIFT_CHANGE", "control-plane")], "CLUSTER_IDENTIFIER or WORKGROUP_NAME"),
            (&[("REDSHIFT_ACCESS", "data-api"), ("CLUSTER_IDENTIFIER", "c")], "PROBE_SECRET_ARN"),
            (&[("WORKGROUP_NAME", "w"), ("CLUSTER_IDENTIFIER", "c")], "one warehouse"),
            (&[("CHANGE_SECONDS", "long")], "CHANGE_SECONDS"),
            (&[("PASSWORD_LENGTH", "65")], "8 to 64"),
        ] {
            let error = configured(variables).err().unwrap();
            assert!(error.contains(part), "{error}");
        }
    }
}

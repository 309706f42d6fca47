//! The configuration of a function for API keys.

use lambda_kit::env::{Env, EnvError};

use super::adapter::{Adapter, AdapterError};
use super::http::{Http, Https};
use super::preset::{CONFLUENT_API, Confluent};
use super::provider::Provider;
use super::{ApiKeys, Fields, Pace, Settings};
use crate::engines::trust::{Tls, TrustError};

/// An invalid configuration of a function for API keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyConfigError {
    /// A variable is missing or invalid.
    #[error(transparent)]
    Variable(#[from] EnvError),
    /// The configured certificates are invalid.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The adapter is invalid.
    #[error("{0} is not a valid adapter")]
    Adapter(&'static str, #[source] AdapterError),
    /// Neither or both are set.
    #[error(
        "set exactly one of API_KEY_ADAPTER (a description of the provider's API) and \
         API_KEY_PRESET (confluent-cloud)"
    )]
    OneOfTwo,
}

/// Products without an API for keys, by their names in API_KEY_PRESET.
const WITHOUT_API: [(&str, &str); 3] = [
    ("schema-registry", "a self-managed Schema Registry"),
    ("connect", "a self-managed Kafka Connect"),
    ("ksqldb", "a self-managed ksqlDB"),
];

/// Creates the rotator from the environment:
///
/// * `API_KEY_ADAPTER`: an [`Adapter`] as JSON; or
/// * `API_KEY_PRESET`: `confluent-cloud`, with `API_KEY_OWNER`, `API_KEY_RESOURCE`,
///   `API_KEY_ENDPOINT` (https, the server that tries a new key), and optionally
///   `API_KEY_ENVIRONMENT` and `CONFLUENT_API_URL`;
/// * `API_KEY_FIELDS`: the names of the halves in the secret; `api_key,api_secret` by default,
///   `key,secret` with the preset;
/// * `ADMIN_SECRET_ARN`: the secret with the credential that manages keys;
/// * `REVOKE_FIRST_KEY_ID`: the public half of the key that was in the secret first, which is then
///   revoked too;
/// * `CA_CERTIFICATES`: further roots in PEM form.
///
/// # Errors
/// A variable is missing or invalid.
pub fn from_env(env: Env<'_>) -> Result<ApiKeys<Https>, KeyConfigError> {
    if let Some(found) = env.optional("TLS_SERVER_NAME") {
        let expected = "no value: requests go to several hosts, each with a certificate for its own name";
        return Err(EnvError::invalid("TLS_SERVER_NAME", &found, expected).into());
    }
    let tls = Tls::new(env.optional("CA_CERTIFICATES").as_deref(), None)?;
    with(env, Https::new(tls), Pace::default())
}

/// Creates the rotator with another client and other pauses.
///
/// # Errors
/// A variable is missing or invalid.
pub fn with<H: Http>(env: Env<'_>, http: H, pace: Pace) -> Result<ApiKeys<H>, KeyConfigError> {
    let (adapter, preset) = (env.optional("API_KEY_ADAPTER"), env.optional("API_KEY_PRESET"));
    let names = if preset.is_some() { ("key", "secret") } else { ("api_key", "api_secret") };
    let settings = Settings {
        fields: fields(env, names)?,
        admin: env.optional("ADMIN_SECRET_ARN"),
        revoke_first: env.optional("REVOKE_FIRST_KEY_ID"),
        pace,
    };
    let adapter = match (adapter, preset.as_deref()) {
        (Some(text), None) => {
            Adapter::parse(&text).map_err(|error| KeyConfigError::Adapter("API_KEY_ADAPTER", error))?
        }
        (None, Some("confluent-cloud")) => confluent(env)?,
        (None, Some(name)) => {
            let product = WITHOUT_API.iter().find(|(known, _)| *known == name);
            let Some((_, product)) = product else {
                let expected = "confluent-cloud; for another provider, set API_KEY_ADAPTER";
                return Err(EnvError::invalid("API_KEY_PRESET", name, expected).into());
            };
            return Ok(ApiKeys::without_api(product, settings));
        }
        _ => return Err(KeyConfigError::OneOfTwo),
    };
    if adapter.needs_admin() && settings.admin.is_none() {
        return Err(EnvError::Missing("ADMIN_SECRET_ARN".to_owned()).into());
    }
    Ok(ApiKeys::new(Provider::new(adapter, http), settings))
}

fn confluent(env: Env<'_>) -> Result<Adapter, KeyConfigError> {
    let api = env.optional("CONFLUENT_API_URL").unwrap_or_else(|| CONFLUENT_API.to_owned());
    let (owner, resource) = (env.required("API_KEY_OWNER")?, env.required("API_KEY_RESOURCE")?);
    let environment = env.optional("API_KEY_ENVIRONMENT");
    let endpoint = env.required("API_KEY_ENDPOINT")?;
    let preset = Confluent {
        api: &api,
        owner: &owner,
        resource: &resource,
        environment: environment.as_deref(),
        endpoint: &endpoint,
    };
    let Some(text) = preset.adapter() else {
        let expected = "the id of a cluster of Schema Registry (lsrc-…), ksqlDB (lksqlc-…) or Kafka (lkc-…)";
        return Err(EnvError::invalid("API_KEY_RESOURCE", &resource, expected).into());
    };
    Adapter::parse(&text).map_err(|error| KeyConfigError::Adapter("the adapter of API_KEY_PRESET", error))
}

fn fields(env: Env<'_>, default: (&'static str, &'static str)) -> Result<Fields, EnvError> {
    let Some(found) = env.optional("API_KEY_FIELDS") else {
        return Ok(Fields { id: default.0, secret: default.1 });
    };
    let names = found.split_once(',').map(|(id, secret)| (id.trim().to_owned(), secret.trim().to_owned()));
    let names = names.filter(|(id, secret)| !id.is_empty() && !secret.is_empty() && id != secret);
    let Some((id, secret)) = names else {
        let expected = "two names of keys of the secret, as in key,secret";
        return Err(EnvError::invalid("API_KEY_FIELDS", &found, expected));
    };
    // This runs once in the life of a process.
    Ok(Fields { id: id.leak(), secret: secret.leak() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTER: &str = r#"{"base":"https://h","create":{"request":{"path":"/k","auth":"bearer","body":"{{mark}}"},"id":"/i","secret":"/s"},
        "list":{"request":{"path":"/k"},"items":"","id":"/i","mark":"/m"},"revoke":{"request":{"path":"/k/{{id}}"}},
        "verify":{"request":{"path":"/t","auth":"bearer"}}}"#;
    const PRESET: [(&str, &str); 5] = [
        ("API_KEY_PRESET", "confluent-cloud"),
        ("API_KEY_OWNER", "sa-1"),
        ("API_KEY_RESOURCE", "lksqlc-1"),
        ("API_KEY_ENDPOINT", "https://pksqlc-1.example:443"),
        ("ADMIN_SECRET_ARN", "arn:admin"),
    ];

    fn configured(variables: &[(&str, &str)]) -> Result<ApiKeys<Https>, String> {
        let source = |name: &str| {
            variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
        };
        from_env(Env::from(&source)).map_err(|error| lambda_kit::error::chain(&error))
    }

    #[test]
    fn preset_and_adapter_have_their_usual_field_names() {
        let preset = configured(&PRESET).unwrap();
        assert_eq!(
            (preset.settings.fields, preset.settings.revoke_first),
            (Fields { id: "key", secret: "secret" }, None)
        );
        let more =
            [("API_KEY_ADAPTER", ADAPTER), ("ADMIN_SECRET_ARN", "arn:admin"), ("REVOKE_FIRST_KEY_ID", "K1")];
        let adapter = configured(&more).unwrap();
        assert_eq!(adapter.settings.fields, Fields { id: "api_key", secret: "api_secret" });
        assert_eq!(adapter.settings.revoke_first.as_deref(), Some("K1"));
        let named = [("API_KEY_FIELDS", "sr.key, sr.secret"), more[0], more[1]];
        assert_eq!(configured(&named).unwrap().settings.fields, Fields { id: "sr.key", secret: "sr.secret" });
    }

    #[test]
    fn every_kind_of_cluster_has_a_request_that_needs_a_key() {
        for (resource, part) in [
            ("lsrc-1", "/subjects"),
            ("lksqlc-1", "LIST STREAMS;"),
            ("lkc-1", "/kafka/v3/clusters/{{resource}}/topics"),
        ] {
            let preset = Confluent {
                api: CONFLUENT_API,
                owner: "sa-1",
                resource,
                environment: Some("env-1"),
                endpoint: "https://e",
            };
            let text = preset.adapter().unwrap();
            assert!(text.contains(part) && text.contains(r#""environment":"env-1""#), "{text}");
            assert!(Adapter::parse(&text).unwrap().needs_admin());
        }
    }

    #[test]
    fn missing_or_invalid_variable_is_named() {
        let with = |name: &'static str, value: &'static str| {
            let others = PRESET.into_iter().filter(move |(have, _)| *have != name);
            others.chain([(name, value)]).collect::<Vec<_>>()
        };
        for (variables, part) in [
            (vec![], "set exactly one of API_KEY_ADAPTER"),
            (with("API_KEY_ADAPTER", ADAPTER), "set exactly one of API_KEY_ADAPTER"),
            (
                with("API_KEY_PRESET", "confluent"),
                "API_KEY_PRESET is \"confluent\", expected confluent-cloud",
            ),
            (with("API_KEY_OWNER", ""), "API_KEY_OWNER is not set"),
            (with("API_KEY_ENDPOINT", ""), "API_KEY_ENDPOINT is not set"),
            (with("API_KEY_ENDPOINT", "http://e"), "`verify.base`: expected https://host"),
            (with("API_KEY_RESOURCE", "env-1"), "(lsrc-…), ksqlDB (lksqlc-…)"),
            (with("ADMIN_SECRET_ARN", ""), "ADMIN_SECRET_ARN is not set"),
            (with("API_KEY_FIELDS", "key"), "API_KEY_FIELDS is \"key\", expected two names"),
            (with("API_KEY_FIELDS", "a,a"), "expected two names"),
            (with("TLS_SERVER_NAME", "h"), "TLS_SERVER_NAME"),
            (with("CA_CERTIFICATES", "x"), "CA_CERTIFICATES"),
            (vec![("API_KEY_ADAPTER", "{}")], "API_KEY_ADAPTER is not a valid adapter: `.`: missing field"),
        ] {
            let error = configured(&variables).err().unwrap();
            assert!(error.contains(part), "{error}");
        }
    }
}

//! The value of a secret: a JSON object with keys of the rotation and of others.
//!
//! A rotation changes the password, the user if users alternate, and keys that embed one of them.
//! Every other key keeps its value; the order of keys is not kept. Source of the keys: "JSON
//! structure of AWS Secrets Manager secrets".

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{address, jaas};

/// An invalid value of a secret. The text has the names of keys, never their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The value is not JSON, or not a JSON object.
    #[error("it is not a JSON object; expected one with the keys `username` and `password`")]
    NotAnObject,
    /// A key is missing.
    #[error("it has no key `{key}`{}; keys are case-sensitive", near.as_ref().map(|near| format!(", but a key `{near}`")).unwrap_or_default())]
    Missing {
        /// The key.
        key: &'static str,
        /// A similar key that exists and is probably meant.
        near: Option<String>,
    },
    /// A key is not allowed.
    #[error("it has the key `{key}`, expected {expected}")]
    Unexpected {
        /// The key.
        key: String,
        /// The expected keys.
        expected: &'static str,
    },
    /// A key's value has the wrong type or form.
    #[error("its key `{key}` is not {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// The expected value.
        expected: &'static str,
    },
}

/// A secret's value. `Debug` prints the names of its keys only.
#[derive(Clone)]
pub struct SecretDocument(Map<String, Value>);

impl fmt::Debug for SecretDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretDocument").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

/// The keys that may contain an address with a user and a password.
const ADDRESSES: [&str; 4] = ["jdbcUrl", "jdbc", "url", "uri"];

/// The keys that may contain a JAAS configuration of Kafka with a user and a password.
const JAAS: [&str; 2] = ["sasl.jaas.config", "saslJaasConfig"];

impl SecretDocument {
    /// Parses a secret's string.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub fn parse(text: &SecretString) -> Result<Self, DocumentError> {
        match serde_json::from_str(text.expose_secret()) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            _ => Err(DocumentError::NotAnObject),
        }
    }

    /// Returns the names of the keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the value as a secret's string.
    pub fn to_secret_string(&self) -> SecretString {
        Value::Object(self.0.clone()).to_string().into()
    }

    /// Returns the text of a key, which must not be empty.
    ///
    /// # Errors
    /// The key is missing, or its value is not such a text.
    pub fn text(&self, key: &'static str) -> Result<&str, DocumentError> {
        match self.0.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(DocumentError::Invalid { key, expected: "a text that is not empty" }),
            None => Err(DocumentError::Missing { key, near: self.near(key) }),
        }
    }

    /// Returns the text of a key; `None` if the key does not exist.
    ///
    /// # Errors
    /// The value is not a text.
    pub fn optional_text(&self, key: &'static str) -> Result<Option<&str>, DocumentError> {
        match self.text(key) {
            Ok(text) => Ok(Some(text)),
            Err(DocumentError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the port: a number or a text of digits.
    ///
    /// # Errors
    /// The value is not a port.
    pub fn port(&self, default: u16) -> Result<u16, DocumentError> {
        let found = match self.0.get("port") {
            None => return Ok(default),
            Some(Value::Number(number)) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        found
            .filter(|port| *port > 0)
            .ok_or(DocumentError::Invalid { key: "port", expected: "a port: a number from 1 to 65535" })
    }

    /// Returns the boolean value of a key, which may also be a text.
    ///
    /// # Errors
    /// The value is not a boolean.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, DocumentError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(DocumentError::Invalid { key, expected: "true or false" }),
        }
    }

    /// Returns the password.
    ///
    /// # Errors
    /// There is no password.
    pub fn password(&self) -> Result<SecretString, DocumentError> {
        self.text("password").map(SecretString::from)
    }

    /// Returns the document with another password, also in addresses and JAAS configurations that
    /// contain the old one.
    ///
    /// # Errors
    /// There is no password.
    pub fn with_password(&self, new: &SecretString) -> Result<Self, DocumentError> {
        let old = self.text("password")?.to_owned();
        let mut map = self.0.clone();
        map.insert("password".into(), new.expose_secret().into());
        for key in ADDRESSES {
            if let Some(Value::String(address)) = map.get_mut(key) {
                *address = address::with_password(address, &old, new.expose_secret());
            }
        }
        for key in JAAS {
            if let Some(Value::String(configuration)) = map.get_mut(key) {
                *configuration = jaas::with_option(configuration, "password", &old, new.expose_secret());
            }
        }
        Ok(Self(map))
    }

    /// Returns the document with another user, also in addresses and JAAS configurations that
    /// contain the old one.
    ///
    /// # Errors
    /// There is no user.
    pub fn with_user(&self, new: &str) -> Result<Self, DocumentError> {
        let old = self.text("username")?.to_owned();
        let mut map = self.0.clone();
        map.insert("username".into(), new.into());
        for key in ADDRESSES {
            if let Some(Value::String(address)) = map.get_mut(key) {
                *address = address::with_user(address, &old, new);
            }
        }
        for key in JAAS {
            if let Some(Value::String(configuration)) = map.get_mut(key) {
                *configuration = jaas::with_option(configuration, "username", &old, new);
            }
        }
        Ok(Self(map))
    }

    /// Returns the document with a default value for a key.
    pub fn with_default(&self, key: &str, value: impl Into<Value>) -> Self {
        let mut map = self.0.clone();
        map.entry(key).or_insert_with(|| value.into());
        Self(map)
    }

    /// Returns the document without a key.
    pub fn without(&self, key: &str) -> Self {
        let mut map = self.0.clone();
        map.remove(key);
        Self(map)
    }

    /// Returns the document with the texts that `change` returns.
    #[cfg(feature = "api-key")]
    pub(crate) fn map_texts(&self, change: impl Fn(&str, &str) -> Option<String>) -> Self {
        let mut map = self.0.clone();
        for (key, value) in &mut map {
            if let Value::String(text) = value
                && let Some(changed) = change(key, text)
            {
                *text = changed;
            }
        }
        Self(map)
    }

    /// Returns a key that differs from `wanted` only in case, `_` or `-`, or is a common synonym.
    fn near(&self, wanted: &str) -> Option<String> {
        let plain = |text: &str| {
            text.chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_lowercase())
                .collect::<String>()
        };
        let also: &[&str] = match wanted {
            "username" => &["user", "login"],
            "password" => &["pass", "pwd", "passwd"],
            "host" => &["hostname", "endpoint", "server"],
            _ => &[],
        };
        self.0.keys().find(|key| plain(key) == plain(wanted) || also.contains(&plain(key).as_str())).cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(text: &str) -> SecretDocument {
        SecretDocument::parse(&text.into()).unwrap()
    }

    #[test]
    fn misspelled_key_is_named_with_the_expected_one() {
        let found = document(r#"{"userName":"u","PASSWORD":"p"}"#);
        let text = found.text("username").unwrap_err().to_string();
        assert_eq!(text, "it has no key `username`, but a key `userName`; keys are case-sensitive");
        assert!(found.password().unwrap_err().to_string().contains("`PASSWORD`"));
    }

    #[test]
    fn errors_and_debug_output_hide_values() {
        for text in ["hunter2", r#"["hunter2"]"#] {
            let error = SecretDocument::parse(&text.into()).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let shown = format!("{:?}", document(r#"{"username":"u","password":"hunter2"}"#));
        assert!(
            shown.contains("username") && shown.contains("password") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn port_is_a_number_or_digits() {
        let port = |text: &str| document(&format!(r#"{{"port":{text}}}"#)).port(5432);
        assert_eq!((port("6432"), port("\"6432\"")), (Ok(6432), Ok(6432)));
        assert_eq!(document("{}").port(5432), Ok(5432));
        for wrong in ["0", "70000", "\"tcp\"", "null", "-1"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_get_the_new_password() {
        let before = document(
            r#"{"password":"a b","url":"postgresql://u:a%20b@h/d","jdbc":"jdbc:postgresql://h/d?user=u&password=a%20b","note":"a b"}"#,
        );
        let after = before.with_password(&"n/w".into()).unwrap();
        assert_eq!(after.text("url"), Ok("postgresql://u:n%2Fw@h/d"));
        assert_eq!(after.text("jdbc"), Ok("jdbc:postgresql://h/d?user=u&password=n%2Fw"));
        assert_eq!((after.text("password"), after.text("note")), (Ok("n/w"), Ok("a b")));
    }

    #[test]
    fn addresses_get_the_new_user_and_nothing_else_changes() {
        let before = document(
            r#"{"username":"app","password":"p","url":"postgresql://app:p@app.example/app","uri":"mysql://app@h/app","jdbc":"jdbc:postgresql://h/app?user=app&password=app","jdbcUrl":"jdbc:redshift://h/d;user=app;password=p","note":"app"}"#,
        );
        let after = before.with_user("app_clone").unwrap();
        assert_eq!(after.text("url"), Ok("postgresql://app_clone:p@app.example/app"));
        assert_eq!(after.text("uri"), Ok("mysql://app_clone@h/app"));
        assert_eq!(after.text("jdbc"), Ok("jdbc:postgresql://h/app?user=app_clone&password=app"));
        assert_eq!(after.text("jdbcUrl"), Ok("jdbc:redshift://h/d;user=app_clone;password=p"));
        assert_eq!((after.text("username"), after.text("note")), (Ok("app_clone"), Ok("app")));
    }

    #[test]
    fn jaas_configurations_get_the_new_user_and_password() {
        let before = document(
            r#"{"username":"u","password":"p","sasl.jaas.config":"m required username=\"u\" password=\"p\";"}"#,
        );
        let after = before.with_password(&"n".into()).unwrap().with_user("u_clone").unwrap();
        let expected = r#"m required username="u_clone" password="n";"#;
        assert_eq!(after.text("sasl.jaas.config"), Ok(expected));
    }

    proptest! {
        #[test]
        fn other_keys_are_unchanged(keys in proptest::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 0..8), old in "[ -~]{1,20}", new in "[ -~]{1,20}") {
            let mut map: Map<String, Value> = keys.into_iter().map(|(key, value)| (key, value.into())).collect();
            for key in ADDRESSES {
                map.remove(key);
            }
            map.insert("password".into(), old.into());
            let before = SecretDocument(map.clone());
            let after = before.with_password(&new.clone().into()).unwrap();
            map.insert("password".into(), new.into());
            prop_assert_eq!(after.0, map);
        }
    }
}

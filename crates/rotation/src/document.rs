//! The value of a secret: a JSON object whose keys others own too.
//!
//! A rotation changes the password, the user where users alternate, and keys that embed one of them. Every other key
//! stays as it is; their order is JSON's to lose. Source of the keys: "JSON structure of AWS Secrets Manager secrets".

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{address, jaas};

/// What is wrong with a secret's value. The text names keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or JSON that is not an object.
    #[error("it is not a JSON object; expected one with the keys `username` and `password`")]
    NotAnObject,
    /// A key is not there.
    #[error("it has no key `{key}`{}; keys are case-sensitive", near.as_ref().map(|near| format!(", but a key `{near}`")).unwrap_or_default())]
    Missing {
        /// The key.
        key: &'static str,
        /// A key that is there and is probably meant.
        near: Option<String>,
    },
    /// A key that must not be there.
    #[error("it has the key `{key}`, expected {expected}")]
    Unexpected {
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A key has a value of the wrong type or form.
    #[error("its key `{key}` is not {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
    },
}

/// A secret's value. `Debug` shows the names of its keys.
#[derive(Clone)]
pub struct SecretDocument(Map<String, Value>);

impl fmt::Debug for SecretDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretDocument").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

/// Keys that hold an address with a user and a password in it.
const ADDRESSES: [&str; 4] = ["jdbcUrl", "jdbc", "url", "uri"];

/// Keys that hold a JAAS configuration of Kafka with a user and a password in it.
const JAAS: [&str; 2] = ["sasl.jaas.config", "saslJaasConfig"];

impl SecretDocument {
    /// From a secret's string.
    ///
    /// # Errors
    /// It is not a JSON object.
    pub fn parse(text: &SecretString) -> Result<Self, DocumentError> {
        match serde_json::from_str(text.expose_secret()) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            _ => Err(DocumentError::NotAnObject),
        }
    }

    /// The names of its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// As a secret's string.
    pub fn to_secret_string(&self) -> SecretString {
        Value::Object(self.0.clone()).to_string().into()
    }

    /// A key with text that is not empty.
    ///
    /// # Errors
    /// It is missing, or no such text.
    pub fn text(&self, key: &'static str) -> Result<&str, DocumentError> {
        match self.0.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(DocumentError::Invalid { key, expected: "a text that is not empty" }),
            None => Err(DocumentError::Missing { key, near: self.near(key) }),
        }
    }

    /// A key with text, or nothing if there is no such key.
    ///
    /// # Errors
    /// It is no text.
    pub fn optional_text(&self, key: &'static str) -> Result<Option<&str>, DocumentError> {
        match self.text(key) {
            Ok(text) => Ok(Some(text)),
            Err(DocumentError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A port: a number or a text of digits.
    ///
    /// # Errors
    /// It is there and no port.
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

    /// A key that is true or false, also as text.
    ///
    /// # Errors
    /// It is there and neither.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, DocumentError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(DocumentError::Invalid { key, expected: "true or false" }),
        }
    }

    /// The password.
    ///
    /// # Errors
    /// There is none.
    pub fn password(&self) -> Result<SecretString, DocumentError> {
        self.text("password").map(SecretString::from)
    }

    /// The same document with another password. Addresses and JAAS configurations that hold the old password hold the new one.
    ///
    /// # Errors
    /// It has no password.
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

    /// The same document with another user. Addresses and JAAS configurations that hold the old user hold the new one.
    ///
    /// # Errors
    /// It has no user.
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

    /// The same document with a key that it may lack.
    pub fn with_default(&self, key: &str, value: impl Into<Value>) -> Self {
        let mut map = self.0.clone();
        map.entry(key).or_insert_with(|| value.into());
        Self(map)
    }

    /// The same document without a key.
    pub fn without(&self, key: &str) -> Self {
        let mut map = self.0.clone();
        map.remove(key);
        Self(map)
    }

    /// The same document with another text for every key whose text `change` has another one for.
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

    /// A key that is there and differs from `wanted` only in case, `_` or `-`.
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
    fn a_misspelt_key_is_named_beside_the_one_that_was_expected() {
        let found = document(r#"{"userName":"u","PASSWORD":"p"}"#);
        let text = found.text("username").unwrap_err().to_string();
        assert_eq!(text, "it has no key `username`, but a key `userName`; keys are case-sensitive");
        assert!(found.password().unwrap_err().to_string().contains("`PASSWORD`"));
    }

    #[test]
    fn errors_and_debug_never_show_a_value() {
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
    fn a_port_is_a_number_or_digits_and_nothing_else() {
        let port = |text: &str| document(&format!(r#"{{"port":{text}}}"#)).port(5432);
        assert_eq!((port("6432"), port("\"6432\"")), (Ok(6432), Ok(6432)));
        assert_eq!(document("{}").port(5432), Ok(5432));
        for wrong in ["0", "70000", "\"tcp\"", "null", "-1"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_follow_the_password() {
        let before = document(
            r#"{"password":"a b","url":"postgresql://u:a%20b@h/d","jdbc":"jdbc:postgresql://h/d?user=u&password=a%20b","note":"a b"}"#,
        );
        let after = before.with_password(&"n/w".into()).unwrap();
        assert_eq!(after.text("url"), Ok("postgresql://u:n%2Fw@h/d"));
        assert_eq!(after.text("jdbc"), Ok("jdbc:postgresql://h/d?user=u&password=n%2Fw"));
        assert_eq!((after.text("password"), after.text("note")), (Ok("n/w"), Ok("a b")));
    }

    #[test]
    fn addresses_follow_the_user_and_nothing_else_that_is_called_the_same() {
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
    fn jaas_configurations_follow_the_user_and_the_password() {
        let before = document(
            r#"{"username":"u","password":"p","sasl.jaas.config":"m required username=\"u\" password=\"p\";"}"#,
        );
        let after = before.with_password(&"n".into()).unwrap().with_user("u_clone").unwrap();
        let expected = r#"m required username="u_clone" password="n";"#;
        assert_eq!(after.text("sasl.jaas.config"), Ok(expected));
    }

    proptest! {
        #[test]
        fn every_other_key_stays_as_it_is(keys in proptest::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 0..8), old in "[ -~]{1,20}", new in "[ -~]{1,20}") {
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

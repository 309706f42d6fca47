//! The value of a secret: a JSON object with keys of the rotation and of others.
//!
//! A rotation changes the password, the user if users alternate, and keys that embed one of them.
//! Every other key keeps its value; the order of keys is not kept. Source of the keys: "JSON
//! structure of AWS Secrets Manager secrets".

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::embedded::{self, Part, Rewrite};

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
    /// A key would keep the old password.
    #[error(
        "its key `{key}` contains the password in a form that a rotation cannot change, and would keep \
         the old one; remove the key, or write a connection string of a form in docs/rotating.md"
    )]
    HoldsPassword {
        /// The key.
        key: String,
    },
    /// A key has the user with another password.
    #[error(
        "its key `{key}` has the user of the key `username` with another password than the key \
         `password`; correct the key or remove it"
    )]
    OtherPassword {
        /// The key.
        key: String,
    },
    /// A key cannot hold the new value.
    #[error(
        "its key `{key}` cannot hold the new credential: its form has no escape for one of the \
         characters; remove the key, or for a password exclude `& # ? \" ' \\` with EXCLUDE_CHARACTERS"
    )]
    Inexpressible {
        /// The key.
        key: String,
    },
}

/// The key of a pending value with the proof that this rotation created it (`pending.rs`).
pub const MAC_KEY: &str = "rotation_mac";

/// A secret's value. `Debug` prints the names of its keys only.
#[derive(Clone)]
pub struct SecretDocument(Map<String, Value>);

impl fmt::Debug for SecretDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretDocument").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

/// The keys that a rotation reads or writes itself. None of them contains a password, and the user's name may
/// be a part of a host's or a database's.
const OWN: [&str; 19] = [
    "username",
    "password",
    "engine",
    "host",
    "port",
    "dbname",
    "ssl",
    "masterarn",
    "mechanism",
    "sasl.mechanism",
    "bootstrap.servers",
    "bootstrapServers",
    "bootstrap_servers",
    "brokers",
    "dbClusterIdentifier",
    "dbInstanceIdentifier",
    "namespaceName",
    "workgroupName",
    MAC_KEY,
];

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

    /// Returns the document with another password, also in connection strings and configurations
    /// that contain the old one.
    ///
    /// # Errors
    /// There is no password, or a key would keep the old one.
    pub fn with_password(&self, new: &SecretString) -> Result<Self, DocumentError> {
        let old = self.text("password")?.to_owned();
        let user = self.0.get("username").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut map = self.0.clone();
        for_each_text(&mut map, &mut |path, key, text| {
            if has_other_password(key, text, &user, &old) {
                return Err(DocumentError::OtherPassword { key: path.to_owned() });
            }
            replace(path, key, text, (Part::Password, &old, new.expose_secret()))?;
            if embedded::holds(text, &old) {
                return Err(DocumentError::HoldsPassword { key: path.to_owned() });
            }
            Ok(())
        })?;
        map.insert("password".into(), new.expose_secret().into());
        Ok(Self(map))
    }

    /// Returns the document with another user, also in connection strings and configurations that
    /// contain the old one.
    ///
    /// # Errors
    /// There is no user, or a key cannot hold the new one.
    pub fn with_user(&self, new: &str) -> Result<Self, DocumentError> {
        let old = self.text("username")?.to_owned();
        let mut map = self.0.clone();
        for_each_text(&mut map, &mut |path, key, text| replace(path, key, text, (Part::User, &old, new)))?;
        map.insert("username".into(), new.into());
        Ok(Self(map))
    }

    /// Returns the document with a default value for a key.
    pub fn with_default(&self, key: &str, value: impl Into<Value>) -> Self {
        let mut map = self.0.clone();
        map.entry(key).or_insert_with(|| value.into());
        Self(map)
    }

    /// Returns the document with a text under a key.
    pub fn with_text(&self, key: &str, value: &str) -> Self {
        let mut map = self.0.clone();
        map.insert(key.to_owned(), value.into());
        Self(map)
    }

    /// Returns the document without a key.
    pub fn without(&self, key: &str) -> Self {
        let mut map = self.0.clone();
        map.remove(key);
        Self(map)
    }

    /// Returns the key of a text that holds a password in any encoding.
    #[cfg(feature = "api-key")]
    pub(crate) fn key_that_holds(&self, password: &str) -> Option<String> {
        let mut map = self.0.clone();
        let mut holder = None;
        let read_all = for_each_text(&mut map, &mut |path, _, text| {
            if holder.is_none() && embedded::holds(text, password) {
                holder = Some(path.to_owned());
            }
            Ok(())
        });
        read_all.ok().and(holder)
    }

    /// Returns the document after `change` of each of its texts, also inside of objects and lists,
    /// which gets the path, the key and the text.
    ///
    /// # Errors
    /// Those of `change`.
    #[cfg(feature = "api-key")]
    pub(crate) fn map_texts(
        &self,
        mut change: impl FnMut(&str, &str, &mut String) -> Result<(), DocumentError>,
    ) -> Result<Self, DocumentError> {
        let mut map = self.0.clone();
        for_each_text(&mut map, &mut change)?;
        Ok(Self(map))
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

/// Calls `change` with the path, the key and the text of every text of a value, also inside of
/// objects and lists, apart from the keys that a rotation reads itself.
fn for_each_text(
    map: &mut Map<String, Value>,
    change: &mut dyn FnMut(&str, &str, &mut String) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    map.iter_mut()
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .try_for_each(|(key, value)| for_each_text_of(key, key, value, change))
}

fn for_each_text_of(
    path: &str,
    key: &str,
    value: &mut Value,
    change: &mut dyn FnMut(&str, &str, &mut String) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    match value {
        Value::String(text) => change(path, key, text),
        Value::Array(items) => {
            items.iter_mut().try_for_each(|item| for_each_text_of(path, key, item, change))
        }
        Value::Object(map) => map
            .iter_mut()
            .try_for_each(|(key, value)| for_each_text_of(&format!("{path}.{key}"), key, value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Replaces a part of the credential in a text.
fn replace(
    path: &str,
    key: &str,
    text: &mut String,
    (wanted, old, new): (Part, &str, &str),
) -> Result<(), DocumentError> {
    let mut replace = |part, found: &str| (part == wanted && found == old).then(|| new.to_owned());
    let replaced = embedded::rewrite_text(key, text, &mut Rewrite::new(&[old], &mut replace));
    replaced.map(|_| ()).map_err(|_| DocumentError::Inexpressible { key: path.to_owned() })
}

/// Returns true if a text has the user with another password, such as one of an earlier rotation.
fn has_other_password(key: &str, text: &str, user: &str, password: &str) -> bool {
    let (mut ours, mut theirs, mut other) = (0, 0, 0);
    let mut read = |part, found: &str| {
        match part {
            Part::User if found == user => ours += 1,
            Part::User => theirs += 1,
            // A template has `${PASSWORD}` or the like.
            Part::Password if found == password || found.is_empty() => {}
            Part::Password if found.starts_with(['$', '{', '<', '%', '*', '[']) => {}
            Part::Password => other += 1,
        }
        None
    };
    // Nothing is written, so that every value can be expressed.
    let read_all = embedded::rewrite(key, text, &mut Rewrite::new(&[user, password], &mut read));
    read_all.is_ok() && ours > 0 && theirs == 0 && other > 0
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

    fn changed(key: &str, text: &str) -> Result<String, DocumentError> {
        let value = serde_json::json!({"host": "h", "dbname": "app", "username": "app", "password": "OldPw1xx", key: text});
        let next = SecretDocument::parse(&value.to_string().into()).unwrap();
        let next = next.with_password(&"n/w".into())?.with_user("app_clone")?;
        assert_eq!((next.text("username"), next.text("password")), (Ok("app_clone"), Ok("n/w")));
        assert_eq!((next.text("host"), next.text("dbname")), (Ok("h"), Ok("app")));
        Ok(next.0[key].as_str().unwrap().to_owned())
    }

    #[test]
    fn connection_strings_get_the_new_user_and_password() {
        for (key, before, after) in [
            (
                "url",
                "postgresql://app:OldPw1xx@app.example/app",
                "postgresql://app_clone:n%2Fw@app.example/app",
            ),
            ("DATABASE_URL", "postgresql://app:Old%50w1xx@h/app", "postgresql://app_clone:n%2Fw@h/app"),
            (
                "jdbcUrl",
                "jdbc:redshift://h/d;UID=app;PWD=OldPw1xx",
                "jdbc:redshift://h/d;UID=app_clone;PWD=n%2Fw",
            ),
            ("uri", "mysql://app@h/app", "mysql://app_clone@h/app"),
            ("dsn", "host=h user=app password=OldPw1xx", "host=h user=app_clone password=n/w"),
            ("ado", "Server=h;Uid=app;Pwd=OldPw1xx", "Server=h;Uid=app_clone;Pwd=n/w"),
            (
                "sasl.jaas.config",
                "ScramLoginModule required username='app' password='OldPw1xx';",
                "ScramLoginModule required username=\"app_clone\" password=\"n/w\";",
            ),
            (
                "client.properties",
                "sasl.username=app\nsasl.password=OldPw1xx\n",
                "sasl.username=app_clone\nsasl.password=n/w\n",
            ),
            (
                "kafka.properties",
                "a=b\nsasl.jaas.config=m.LoginModule required \\\n username=\"app\" \\\n password='OldPw1xx';\n",
                "a=b\nsasl.jaas.config=m.LoginModule required \\\n username=\"app_clone\" \\\n password=\"n/w\";\n",
            ),
            (
                "config",
                r#"{"sasl.password":"OldPw1xx","sasl.username":"app"}"#,
                r#"{"sasl.password":"n/w","sasl.username":"app_clone"}"#,
            ),
            ("PGPASSWORD", "OldPw1xx", "n/w"),
            ("PGUSER", "app", "app_clone"),
            ("note", "app", "app"),
        ] {
            assert_eq!(changed(key, before).as_deref(), Ok(after), "{before}");
        }
    }

    #[test]
    fn key_that_would_keep_the_old_password_is_named() {
        for (text, wrong) in [
            ("h:5432:app:app:OldPw1xx", "HoldsPassword"),
            ("app:OldPw1xx@tcp(h:3306)/app", "HoldsPassword"),
            ("OldPw1xx", "HoldsPassword"),
            ("Basic YXBwOk9sZFB3MXh4", "HoldsPassword"),
            ("jdbc:postgresql://h/d?user=app&password=OldPw1xx&sslpassword=OldPw1xx", "HoldsPassword"),
            ("<a password=\"OldPw&#49;xx\"/>", "HoldsPassword"),
            ("postgresql://app:OlderPw1@h/app", "OtherPassword"),
            ("ScramLoginModule required username='app' password='OlderPw1';", "OtherPassword"),
            ("Server=h;Uid=app;Pwd=OlderPw1", "OtherPassword"),
        ] {
            let error = changed("key-1", text).unwrap_err();
            assert!(format!("{error:?}").starts_with(wrong), "{text}: {error:?}");
            let error = error.to_string();
            assert!(
                error.contains("`key-1`") && !error.contains("OldPw") && !error.contains("OlderPw"),
                "{error}"
            );
        }
        let nested = document(r#"{"username":"u","password":"OldPw1xx","a":{"b":["x","OldPw1xx"]}}"#);
        let error = nested.with_password(&"n".into()).unwrap_err().to_string();
        assert!(error.contains("`a.b`"), "{error}");
        let mariadb = document(
            r#"{"username":"u","password":"OldPw1xx","jdbc":"jdbc:mariadb://h/d?user=u&password=OldPw1xx"}"#,
        );
        let error = mariadb.with_password(&"a&b".into()).unwrap_err().to_string();
        assert!(error.contains("`jdbc`") && error.contains("EXCLUDE_CHARACTERS"), "{error}");
    }

    #[test]
    fn other_credentials_and_templates_stay() {
        for text in [
            "postgresql://other:OlderPw1@h/app",
            "postgresql://app:${PASSWORD}@h/app",
            "jdbc:postgresql://h/app",
            "https://app.example.com/x",
        ] {
            assert_eq!(
                document(
                    &serde_json::json!({"username": "app", "password": "OldPw1xx", "x": text}).to_string()
                )
                .with_password(&"n".into())
                .unwrap()
                .text("x"),
                Ok(text)
            );
        }
    }

    proptest! {
        #[test]
        fn other_keys_are_unchanged(keys in proptest::collection::btree_map("[a-z]{1,8}", "[ -~]{0,20}", 0..8), old in "[ -~]{8,20}", new in "[ -~]{1,20}") {
            let mut map: Map<String, Value> = keys.into_iter().map(|(key, value)| (key, value.into())).collect();
            map.insert("password".into(), old.clone().into());
            let others = map.iter().filter(|(key, _)| *key != "password");
            prop_assume!(others.filter_map(|(_, value)| value.as_str()).all(|value| !embedded::holds(value, &old)));
            let before = SecretDocument(map.clone());
            let after = before.with_password(&new.clone().into()).unwrap();
            map.insert("password".into(), new.into());
            prop_assert_eq!(after.0, map);
        }
    }
}

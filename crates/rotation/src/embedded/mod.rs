//! Users and passwords inside the other texts of a secret: connection strings and the
//! configurations of clients.
//!
//! [`rewrite`] finds the places of a text where a client reads a user or a password, and writes
//! another value in the encoding of the place. A text that still holds the old password afterwards,
//! in whatever encoding, has a form that is not known here: [`holds`].

mod address;
mod encoding;
mod jaas;
mod keys;
mod lines;
mod pairs;

use serde_json::Value;

pub(crate) use self::encoding::holds;
pub(crate) use self::keys::part_of;

/// A part of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The user.
    User,
    /// The password.
    Password,
}

/// A value that the form of its place cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inexpressible;

/// The credential that is looked for, and the values that replace it.
pub(crate) struct Rewrite<'a> {
    /// The user and the password whose ends are found even where they hold a delimiter.
    known: &'a [&'a str],
    /// The halves of an API key, which also stand where no name says what a value is.
    pair: Option<(&'a str, &'a str)>,
    /// Returns the new value of a place; `None` leaves it.
    replace: &'a mut dyn FnMut(Part, &str) -> Option<String>,
}

impl<'a> Rewrite<'a> {
    /// Creates it.
    pub(crate) fn new(
        known: &'a [&'a str],
        replace: &'a mut dyn FnMut(Part, &str) -> Option<String>,
    ) -> Self {
        Self { known, pair: None, replace }
    }

    /// Creates it for an API key: its public half is the user, its secret half the password. They
    /// are also found as whole values, as `user:password`, in Base64, and in the path and the query
    /// of an address.
    #[cfg_attr(not(feature = "api-key"), allow(dead_code))]
    pub(crate) fn of_key(
        pair: (&'a str, &'a str),
        known: &'a [&'a str],
        replace: &'a mut dyn FnMut(Part, &str) -> Option<String>,
    ) -> Self {
        Self { known, pair: Some(pair), replace }
    }

    /// Returns the new value of a place; `None` if it stays, then as it is written.
    fn new_value(&mut self, part: Part, value: &str) -> Option<String> {
        (self.replace)(part, value).filter(|new| new != value)
    }

    /// Returns the new value of a text that is a half of the key, or both as `user:password`.
    fn whole(&mut self, text: &str) -> Result<Option<String>, Inexpressible> {
        let Some((user, password)) = self.pair else { return Ok(None) };
        if text == user {
            return Ok((self.replace)(Part::User, text));
        }
        if text == password {
            return Ok((self.replace)(Part::Password, text));
        }
        let (scheme, word) = match text.split_once(' ') {
            Some((scheme, word)) if scheme.eq_ignore_ascii_case("basic") => (Some(scheme), word),
            _ => (None, text),
        };
        let both = format!("{user}:{password}");
        let is_base64 = encoding::base64(&both) == word;
        if !is_base64 && (scheme.is_some() || text != both) {
            return Ok(None);
        }
        let new = ((self.replace)(Part::User, user), (self.replace)(Part::Password, password));
        let (Some(user), Some(password)) = new else { return Ok(None) };
        // The user ends at the first colon (RFC 7617).
        if user.contains(':') {
            return Err(Inexpressible);
        }
        let both = format!("{user}:{password}");
        let both = if is_base64 { encoding::base64(&both) } else { both };
        Ok(Some(scheme.map(|scheme| format!("{scheme} {both}")).unwrap_or(both)))
    }
}

/// Returns the text with the new values of all its places; `None` if it stays as it is.
///
/// # Errors
/// A place cannot hold its new value.
pub(crate) fn rewrite(
    key: &str,
    text: &str,
    with: &mut Rewrite<'_>,
) -> Result<Option<String>, Inexpressible> {
    if text.starts_with(['{', '['])
        && let Ok(mut value) = serde_json::from_str::<Value>(text)
    {
        return Ok(rewrite_json(&mut value, with)?.then(|| value.to_string()));
    }
    let mut result = None;
    let is_address = !text.contains('\n') && address::is_address(text);
    // A user or a password may have the word: an address stays one.
    let is_jaas =
        !is_address && (matches!(key, "sasl.jaas.config" | "saslJaasConfig") || text.contains("LoginModule"));
    if is_jaas {
        result = jaas::rewrite(text, with);
        // In a properties file, a backslash would need another one.
        let backslashes = |text: &str| text.matches('\\').count();
        if text.contains("sasl.jaas.config")
            && result.as_deref().is_some_and(|new| backslashes(new) > backslashes(text))
        {
            return Err(Inexpressible);
        }
    }
    let found = result.as_deref().unwrap_or(text);
    let more = if found.contains('\n') || lines::is_assignment_of_address(found) {
        lines::rewrite(found, with)?
    } else if is_jaas {
        None
    } else if is_address {
        address::rewrite(found, with)?
    } else {
        pairs::rewrite(found, with)?
    };
    Ok(more.or(result))
}

/// Rewrites the texts of a JSON value. Returns true if one changed.
fn rewrite_json(value: &mut Value, with: &mut Rewrite<'_>) -> Result<bool, Inexpressible> {
    let mut changed = false;
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) => changed |= rewrite_text(key, text, with)?,
                    other => changed |= rewrite_json(other, with)?,
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(text) => changed |= rewrite_text("", text, with)?,
                    other => changed |= rewrite_json(other, with)?,
                }
            }
        }
        _ => {}
    }
    Ok(changed)
}

/// Rewrites a text with a key: a user or password itself, or a text that holds one. Returns true if
/// it changed.
///
/// # Errors
/// A place cannot hold its new value.
pub(crate) fn rewrite_text(
    key: &str,
    text: &mut String,
    with: &mut Rewrite<'_>,
) -> Result<bool, Inexpressible> {
    let new = match (with.whole(text)?, part_of(key)) {
        (Some(new), _) => Some(new),
        (None, Some(part)) if with.known.contains(&text.as_str()) => with.new_value(part, text),
        _ => rewrite(key, text, with)?,
    };
    Ok(match new {
        Some(new) => {
            *text = new;
            true
        }
        None => false,
    })
}

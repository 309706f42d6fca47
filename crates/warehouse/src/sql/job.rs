//! `COPY … JOB CREATE` and the statements about a job.

use std::fmt;

use sha2::{Digest, Sha256};

use super::copy::Copy;
use crate::value::{InvalidValue, escape};

/// The longest base of a name: 127 bytes less the suffix.
pub const MAX_BASE_BYTES: usize = 127 - 9;

/// The name of a copy job: a base given by the user, and a suffix.
///
/// The suffix is a hash of the owner and of the job's whole definition. So an existing job with
/// this name belongs to the owner and has the definition, and another definition has another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName(String);

impl JobName {
    /// Creates the name for a job of `owner` with this base and definition.
    ///
    /// # Errors
    /// The base is invalid in a job's name, for example because of a hyphen.
    pub fn new(property: &str, base: &str, owner: &str, copy: &Copy) -> Result<Self, InvalidValue> {
        Self::check_base(property, base)?;
        let mut hash = Sha256::new();
        for part in [owner, base, &copy.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        Ok(Self(format!("{base}_{}", hex::encode(&hash.finalize()[..4]))))
    }

    /// Checks the name of an existing job.
    ///
    /// # Errors
    /// The name is not of the form of Sluice's job names.
    pub fn existing(name: &str) -> Result<Self, InvalidValue> {
        Self::check_characters("JobName", name, 127)?;
        Ok(Self(name.to_owned()))
    }

    fn check_base(property: &str, base: &str) -> Result<(), InvalidValue> {
        Self::check_characters(property, base, MAX_BASE_BYTES)
    }

    fn check_characters(property: &str, name: &str, longest: usize) -> Result<(), InvalidValue> {
        if name.contains('-') {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} holds a hyphen, which the name of a COPY JOB cannot; use an underscore: {}",
                    escape(name),
                    escape(&name.replace('-', "_"))
                ),
            ));
        }
        let mut bytes = name.bytes();
        let valid_start = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        if !valid_start || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(InvalidValue::new(
                property,
                format!(
                    "expected a lower-case letter or underscore followed by lower-case letters, digits and underscores, found {}",
                    escape(name)
                ),
            ));
        }
        if name.len() > longest {
            return Err(InvalidValue::new(
                property,
                format!("{} has {} characters, and at most {longest} are possible", escape(name), name.len()),
            ));
        }
        Ok(())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lower-case letters, digits and underscores need no quotes, and the syntax of COPY JOB has
        // none.
        f.write_str(&self.0)
    }
}

/// A copy job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyJob {
    /// Its name.
    pub name: JobName,
    /// Its COPY statement.
    pub copy: Copy,
}

impl CopyJob {
    /// Returns `COPY … JOB CREATE name AUTO ON|OFF`. Not allowed inside a transaction block.
    pub fn create(&self, auto: bool) -> String {
        format!("{} JOB CREATE {} AUTO {}", self.copy, self.name, on_off(auto))
    }
}

impl JobName {
    /// Returns `COPY JOB ALTER name AUTO ON|OFF`.
    pub fn alter_auto(&self, auto: bool) -> String {
        format!("COPY JOB ALTER {self} AUTO {}", on_off(auto))
    }

    /// Returns `COPY JOB DROP name`. Not allowed inside a transaction block.
    pub fn drop_job(&self) -> String {
        format!("COPY JOB DROP {self}")
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

//! `COPY … JOB CREATE` and the statements about a job.

use std::fmt;

use sha2::{Digest, Sha256};

use super::copy::Copy;
use crate::value::{InvalidValue, shown};

/// Longest name that a user may give: 127 bytes less the suffix.
pub const LONGEST_BASE: usize = 127 - 9;

/// The name of a copy job: what the user called it, and a suffix that marks whose it is and what it does.
///
/// The suffix depends on the owner and on the job's whole definition. So a job that exists under this name is ours and
/// does what it should, and another definition gets another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName(String);

impl JobName {
    /// The name for a job of `owner` with this base and definition.
    ///
    /// # Errors
    /// A base that Redshift does not take as a job's name: it may hold no hyphen.
    pub fn new(property: &str, base: &str, owner: &str, copy: &Copy) -> Result<Self, InvalidValue> {
        Self::check_base(property, base)?;
        let mut hash = Sha256::new();
        for part in [owner, base, &copy.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        Ok(Self(format!("{base}_{}", hex::encode(&hash.finalize()[..4]))))
    }

    /// A job's name as Redshift shows it.
    ///
    /// # Errors
    /// Not a name that this kit makes.
    pub fn existing(name: &str) -> Result<Self, InvalidValue> {
        Self::check_characters("JobName", name, 127)?;
        Ok(Self(name.to_owned()))
    }

    fn check_base(property: &str, base: &str) -> Result<(), InvalidValue> {
        Self::check_characters(property, base, LONGEST_BASE)
    }

    fn check_characters(property: &str, name: &str, longest: usize) -> Result<(), InvalidValue> {
        if name.contains('-') {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} holds a hyphen, which the name of a COPY JOB cannot; use an underscore: {}",
                    shown(name),
                    shown(&name.replace('-', "_"))
                ),
            ));
        }
        let mut bytes = name.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        if !starts_well || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(InvalidValue::new(
                property,
                format!(
                    "expected a lower-case letter or underscore followed by lower-case letters, digits and underscores, found {}",
                    shown(name)
                ),
            ));
        }
        if name.len() > longest {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} is {} characters long, and at most {longest} are possible",
                    shown(name),
                    name.len()
                ),
            ));
        }
        Ok(())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Lower-case letters, digits and underscores need no quotes, and the syntax of COPY JOB shows none.
        f.write_str(&self.0)
    }
}

/// A copy job: what it loads and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyJob {
    /// Its name.
    pub name: JobName,
    /// What it loads.
    pub copy: Copy,
}

impl CopyJob {
    /// `COPY … JOB CREATE name AUTO ON|OFF`. Not allowed inside a transaction block.
    pub fn create(&self, auto: bool) -> String {
        format!("{} JOB CREATE {} AUTO {}", self.copy, self.name, on_off(auto))
    }
}

impl JobName {
    /// `COPY JOB ALTER name AUTO ON|OFF`.
    pub fn alter_auto(&self, auto: bool) -> String {
        format!("COPY JOB ALTER {self} AUTO {}", on_off(auto))
    }

    /// `COPY JOB DROP name`. Not allowed inside a transaction block.
    pub fn drop_job(&self) -> String {
        format!("COPY JOB DROP {self}")
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

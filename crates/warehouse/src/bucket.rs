//! Names of buckets that an S3 event integration takes.

use crate::value::{InvalidValue, shown};

/// The name of a bucket without a period.
///
/// Redshift makes no S3 event integration for a bucket whose name holds one. Source: "Create an S3 event integration to
/// automatically copy files from Amazon S3 buckets" of the Redshift management guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// Checks a name; `property` is what an error names.
    ///
    /// # Errors
    /// Not a bucket's name, or one with a period.
    pub fn new(property: &str, name: &str) -> Result<Self, InvalidValue> {
        if name.contains('.') {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} holds a period, and Redshift makes no S3 event integration for such a bucket; use a bucket without one",
                    shown(name)
                ),
            ));
        }
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let is_name = (3..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && edge(name.bytes().next())
            && edge(name.bytes().last());
        if !is_name {
            return Err(InvalidValue::new(
                property,
                format!(
                    "expected the name of a bucket (3 to 63 lower-case letters, digits and hyphens), found {}",
                    shown(name)
                ),
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bucket's ARN in this partition.
    pub fn arn(&self, partition: &str) -> String {
        format!("arn:{partition}:s3:::{}", self.0)
    }
}

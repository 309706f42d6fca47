//! Names of buckets for S3 event integrations.

use crate::value::{InvalidValue, escape};

/// The name of a bucket without a period.
///
/// Redshift does not create an S3 event integration for a bucket whose name has one. Source:
/// "Create an S3 event integration to automatically copy files from Amazon S3 buckets" of the
/// Redshift management guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// Checks a name. Errors name `property`.
    ///
    /// # Errors
    /// The name is invalid for a bucket, or has a period.
    pub fn new(property: &str, name: &str) -> Result<Self, InvalidValue> {
        if name.contains('.') {
            return Err(InvalidValue::new(
                property,
                format!(
                    "{} holds a period, and Redshift creates no S3 event integration for such a bucket; use a bucket without one",
                    escape(name)
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
                    escape(name)
                ),
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the bucket's ARN in this partition.
    pub fn arn(&self, partition: &str) -> String {
        format!("arn:{partition}:s3:::{}", self.0)
    }
}

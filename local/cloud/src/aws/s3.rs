//! Amazon S3 in path style.

use super::{Account, AwsError, Element, failure};

impl Account {
    /// Creates a bucket in this Region.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), AwsError> {
        let body = match self.region() {
            // The one Region whose name may not be given as a constraint (S3 API reference,
            // CreateBucket).
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        self.rest("s3", "PUT", &format!("/{bucket}"), &[], body.as_bytes()).map(drop)
    }

    /// Uploads an object.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn put_object(&self, bucket: &str, key: &str, body: &[u8]) -> Result<(), AwsError> {
        let headers = [("content-type", "binary/octet-stream")];
        self.rest("s3", "PUT", &object_path(bucket, key), &headers, body).map(drop)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn get_object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, AwsError> {
        self.rest("s3", "GET", &object_path(bucket, key), &[], &[]).map(|answer| answer.body)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn delete_object(&self, bucket: &str, key: &str) -> Result<(), AwsError> {
        self.rest("s3", "DELETE", &object_path(bucket, key), &[], &[]).map(drop)
    }

    /// The keys of a bucket that start with `prefix`, up to 1000.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn list_keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, AwsError> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("list-type", "2")
            .append_pair("prefix", prefix)
            .finish();
        let answer = self.rest("s3", "GET", &format!("/{bucket}?{query}"), &[], &[])?;
        let listing = Element::parse(&answer.text())
            .map_err(|message| failure("s3", "ListObjectsV2", answer.status, "NotXml", message))?;
        Ok(listing.all("Key").iter().map(|key| key.value.clone()).collect())
    }

    /// The bucket's policy, or `None` if it has none.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn bucket_policy(&self, bucket: &str) -> Result<Option<serde_json::Value>, AwsError> {
        match self.rest("s3", "GET", &format!("/{bucket}?policy"), &[], &[]) {
            Ok(answer) => Ok(Some(answer.json())),
            Err(error) if error.code == "NoSuchBucketPolicy" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the bucket's policy.
    ///
    /// # Errors
    /// Amazon S3's error.
    pub fn put_bucket_policy(&self, bucket: &str, policy: &serde_json::Value) -> Result<(), AwsError> {
        let headers = [("content-type", "application/json")];
        let body = policy.to_string();
        self.rest("s3", "PUT", &format!("/{bucket}?policy"), &headers, body.as_bytes()).map(drop)
    }
}

/// Path of an object: everything but unreserved characters and slashes is escaped.
fn object_path(bucket: &str, key: &str) -> String {
    let mut path = format!("/{bucket}/");
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                path.push(char::from(byte))
            }
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_escaped_except_its_slashes() {
        assert_eq!(object_path("b", "in/a b'é?.csv"), "/b/in/a%20b%27%C3%A9%3F.csv");
    }
}

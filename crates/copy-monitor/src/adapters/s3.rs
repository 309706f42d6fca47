//! The objects of buckets.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::EncodingType;
use lambda_kit::call::CallError;
use percent_encoding::percent_decode_str;

use crate::moment::Moment;
use crate::ports::{Object, Objects};

/// Buckets, read with `s3:ListBucket`.
#[derive(Debug, Clone)]
pub struct Buckets(Client);

impl Buckets {
    /// Read with this client.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Objects for Buckets {
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<(Vec<Object>, bool), CallError> {
        let output = self
            .0
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .max_keys(limit.into())
            // Keys may hold characters that XML cannot.
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .map_err(|error| CallError::new("s3:ListBucket", &error))?;
        let encoded = output.encoding_type() == Some(&EncodingType::Url);
        let objects = output
            .contents()
            .iter()
            .filter_map(|object| {
                let key = object.key()?;
                Some(Object {
                    key: if encoded { decoded(key) } else { key.to_owned() },
                    etag: object.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
                    size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    modified: Moment::from_micros(
                        i64::try_from(object.last_modified()?.as_nanos() / 1000).unwrap_or(i64::MAX),
                    ),
                })
            })
            .collect();
        Ok((objects, output.is_truncated() == Some(true)))
    }
}

/// A key as S3 encodes it in a listing: a blank is a plus sign.
fn decoded(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

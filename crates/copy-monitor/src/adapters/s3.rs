//! The objects of buckets.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::EncodingType;
use futures_util::future::FutureExt;
use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use percent_encoding::percent_decode_str;

use crate::ports::{Call, Listing, Object, Objects};

/// Buckets. Permission: `s3:ListBucket`.
#[derive(Debug, Clone)]
pub struct Buckets(Client);

impl Buckets {
    /// Makes the port with a client.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Objects for Buckets {
    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u16,
    ) -> Call<'a, Listing> {
        self.page(bucket, prefix, after, limit).boxed()
    }
}

impl Buckets {
    async fn page(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Listing, CallError> {
        let output = self
            .0
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .max_keys(limit.into())
            // Keys may have characters that XML has not.
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
        Ok(Listing { objects, more: output.is_truncated() == Some(true) })
    }
}

/// Decodes a key of a listing, in which a blank is a plus sign.
fn decoded(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

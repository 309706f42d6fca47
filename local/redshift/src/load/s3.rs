//! Reads from S3 with the role of the COPY.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::arn;
use crate::caller::Caller;
use crate::data_api::Session;
use crate::gateway::{Credentials, GatewayError, xml_text, xml_texts};
use crate::sql::{CopyStatement, Format, Role, SqlError};

use super::columnar::Source;

/// An object to load.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Bucket.
    pub(crate) bucket: String,
    /// Key.
    pub(crate) key: String,
    /// Bytes.
    pub(crate) size: i64,
}

impl Object {
    /// As the system views name it.
    pub(super) fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

#[derive(Deserialize)]
struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    url: String,
    #[serde(default)]
    mandatory: bool,
    /// [D: COPY from Amazon S3] required for ORC and Parquet.
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    content_length: i64,
}

/// Reads objects as the role.
pub(super) struct Reader<'a> {
    session: &'a Session,
    copy: &'a CopyStatement,
    credentials: Credentials,
    region: String,
}

impl<'a> Reader<'a> {
    /// Assumes the role: it must be attached to the warehouse and in sync, and trust Redshift.
    pub(super) async fn new(session: &'a Session, copy: &'a CopyStatement) -> Result<Self, SqlError> {
        let Role::Arn(role) = &copy.role else {
            return Err(SqlError::not_imitated("IAM_ROLE default; name the role"));
        };
        if role.contains(',') {
            return Err(SqlError::not_imitated("chained roles in IAM_ROLE"));
        }
        let (place, attached) = {
            let world = session.app.world();
            let warehouse = world
                .warehouses
                .get(&session.namespace_id)
                .ok_or_else(|| SqlError::new("the warehouse has been deleted"))?;
            let delay = session.app.settings.role_delay;
            let attached = warehouse
                .roles
                .iter()
                .any(|known| known.arn == *role && known.status(delay) == Some("in-sync"));
            (warehouse.place.clone(), attached)
        };
        let not_authorized = || {
            // [K] Redshift's message, the same for a role that is not attached and for one that
            // does not trust it.
            SqlError::new(format!(
                "User arn:{}:redshift:{}:{}:dbuser:{}/{} is not authorized to assume IAM Role {role}",
                arn::partition(&place.region),
                place.region,
                place.account,
                session.target_name,
                session.user
            ))
        };
        if !attached {
            return Err(not_authorized());
        }
        crate::assume_role::demand_copy(session, role).await?;
        let region = copy.options.region.clone().unwrap_or_else(|| place.region.clone());
        let credentials = assume(session, role, &place.region).await?.ok_or_else(not_authorized)?;
        let bucket = session
            .app
            .gateway
            .bucket(&copy.bucket)
            .await
            .map_err(|error| SqlError::new(error.to_string()))?;
        if bucket.is_some_and(|bucket| bucket.region != region) {
            // [D: COPY, REGION] a bucket of another Region needs REGION; the text is known from the
            // field.
            return Err(SqlError::new(
                "S3ServiceException:The S3 bucket addressed by the query is in a different region from this cluster.,Status 301,\
                 Error PermanentRedirect",
            ));
        }
        Ok(Self { session, copy, credentials, region })
    }

    /// Every object below the prefix.
    pub(super) async fn list(&self) -> Result<Vec<Object>, SqlError> {
        self.list_below(&self.copy.bucket, &self.copy.prefix).await
    }

    async fn list_below(&self, bucket: &str, prefix: &str) -> Result<Vec<Object>, SqlError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix)];
            if let Some(token) = &token {
                query.push(("continuation-token", token));
            }
            let answer = self
                .session
                .app
                .gateway
                .s3_get(&self.region, &self.credentials, bucket, "", &query)
                .await
                .map_err(s3_error)?;
            let xml = String::from_utf8_lossy(&answer);
            let sizes = xml_texts(&xml, "Size");
            for (key, size) in xml_texts(&xml, "Key").into_iter().zip(sizes) {
                found.push(Object { bucket: bucket.to_owned(), key, size: size.parse().unwrap_or(0) });
            }
            token = xml_text(&xml, "NextContinuationToken");
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The objects that a manifest lists [D: Using a manifest to specify data files]. A missing one
    /// is an error if it is `mandatory`, and left out otherwise.
    pub(super) async fn manifest(&self) -> Result<Vec<Object>, SqlError> {
        let bytes = self.read(&self.copy.bucket, &self.copy.prefix).await?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
            SqlError::new(format!("the manifest {} is not valid: {error}", self.copy.prefix))
        })?;
        let mut found = Vec::new();
        for Entry { url, mandatory, meta } in manifest.entries {
            if self.copy.format == Format::Parquet && meta.is_none_or(|meta| meta.content_length < 0) {
                return Err(SqlError::new(format!(
                    "the manifest {} has no meta.content_length for {url}, which a COPY of Parquet files needs",
                    self.copy.prefix
                )));
            }
            let (bucket, key) =
                url.strip_prefix("s3://").and_then(|path| path.split_once('/')).ok_or_else(|| {
                    SqlError::new(format!("the manifest names {url:?}, which is not s3://bucket/key"))
                })?;
            let listed = self.list_below(bucket, key).await?;
            match listed.into_iter().find(|object| object.key == key) {
                Some(object) => found.push(object),
                None if mandatory => {
                    return Err(SqlError::new(format!(
                        "Problem reading manifest file - mandatory entry {url} not found"
                    )));
                }
                None => {}
            }
        }
        Ok(found)
    }

    /// The names of an object in the errors of Redshift Spectrum.
    pub(super) fn source(&self, object: &Object) -> Source {
        let host = format!("s3.{}.amazonaws.com", self.region);
        Source { uri: object.name(), url: format!("https://{host}/{}/{}", object.bucket, object.key) }
    }

    /// One object.
    pub(super) async fn get(&self, object: &Object) -> Result<Bytes, SqlError> {
        self.read(&object.bucket, &object.key).await
    }

    /// An object by its `s3://` path.
    pub(super) async fn get_path(&self, path: &str) -> Result<Bytes, SqlError> {
        let (bucket, key) =
            path.strip_prefix("s3://").and_then(|path| path.split_once('/')).unwrap_or((path, ""));
        self.read(bucket, key).await
    }

    async fn read(&self, bucket: &str, key: &str) -> Result<Bytes, SqlError> {
        self.session
            .app
            .gateway
            .s3_get(&self.region, &self.credentials, bucket, key, &[])
            .await
            .map_err(s3_error)
    }
}

/// [K] S3's errors as Redshift prints them.
fn s3_error(error: GatewayError) -> SqlError {
    match error {
        GatewayError::Refused { status, code, message } => {
            SqlError::new(format!("S3ServiceException:{message},Status {status},Error {code}"))
        }
        other => SqlError::new(other.to_string()),
    }
}

/// A session of the role; `None` if the role does not exist or does not trust Redshift.
async fn assume(session: &Session, role: &str, region: &str) -> Result<Option<Credentials>, SqlError> {
    let failed = |error: GatewayError| SqlError::new(error.to_string());
    let Some(parsed) = arn::parse(role) else { return Ok(None) };
    let Some(name) = parsed.resource.strip_prefix("role/").and_then(|path| path.rsplit('/').next()) else {
        return Ok(None);
    };
    let root = Caller::root_of(parsed.account, region);
    let credentials = Credentials { access_key: root.access_key, token: None };
    let gateway = &session.app.gateway;
    let parameters = [("Action", "GetRole"), ("Version", "2010-05-08"), ("RoleName", name)];
    let answer = match gateway.query("iam", region, &credentials, &parameters).await {
        Ok(answer) => answer,
        Err(error) if error.code() == Some("NoSuchEntity") => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let trust = xml_text(&answer, "AssumeRolePolicyDocument").unwrap_or_default();
    let trust = percent_encoding::percent_decode_str(&trust).decode_utf8_lossy().into_owned();
    let decision =
        gateway.authorize_service("sts:AssumeRole", role, &json!({}), &trust).await.map_err(failed)?;
    if !decision.allowed {
        return Ok(None);
    }
    let parameters = [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", "RedshiftIamRoleSession"),
    ];
    let answer = gateway.query("sts", region, &credentials, &parameters).await.map_err(failed)?;
    let access_key = xml_text(&answer, "AccessKeyId")
        .ok_or_else(|| SqlError::new("AssumeRole answered without credentials"))?;
    Ok(Some(Credentials { access_key, token: xml_text(&answer, "SessionToken") }))
}

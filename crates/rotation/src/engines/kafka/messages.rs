//! The eight requests of a rotation to a broker, and their responses.
//!
//! Source: the message definitions of Apache Kafka
//! (`clients/src/main/resources/common/message/*.json`), each in the one version that every broker
//! with SCRAM over the admin protocol supports: Apache Kafka 2.7 and later, also 4.x (KIP-554,
//! KIP-896).

use secrecy::zeroize::Zeroizing;

use super::wire::{Reader, WireError, Writer};

/// A kind of request, in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Api {
    /// The name, for texts.
    pub(crate) name: &'static str,
    /// The number.
    pub(crate) key: i16,
    /// The version.
    pub(crate) version: i16,
    /// True if its headers have tagged fields.
    flexible: bool,
}

const fn api(name: &'static str, key: i16, version: i16, flexible: bool) -> Api {
    Api { name, key, version, flexible }
}

/// Returns brokers and controller.
pub(crate) const METADATA: Api = api("Metadata", 3, 4, false);
/// Chooses the mechanism.
pub(crate) const SASL_HANDSHAKE: Api = api("SaslHandshake", 17, 1, false);
/// Returns the supported versions.
pub(crate) const API_VERSIONS: Api = api("ApiVersions", 18, 0, false);
/// Lists ACLs.
pub(crate) const DESCRIBE_ACLS: Api = api("DescribeAcls", 29, 2, true);
/// Creates ACLs.
pub(crate) const CREATE_ACLS: Api = api("CreateAcls", 30, 2, true);
/// Carries the messages of the mechanism.
pub(crate) const SASL_AUTHENTICATE: Api = api("SaslAuthenticate", 36, 1, false);
/// Lists the mechanisms of users.
pub(crate) const DESCRIBE_SCRAM: Api = api("DescribeUserScramCredentials", 50, 0, true);
/// Sets the passwords of users.
pub(crate) const ALTER_SCRAM: Api = api("AlterUserScramCredentials", 51, 0, true);

/// A request without its header.
pub(crate) struct Request {
    /// The kind of request.
    pub(crate) api: Api,
    body: Zeroizing<Vec<u8>>,
}

impl Request {
    pub(super) fn new(api: Api, body: Writer) -> Self {
        Self { api, body: body.into_bytes() }
    }

    /// Returns the request with its length and header: version 1, or 2 if flexible.
    pub(crate) fn frame(&self, correlation: i32, client: &str) -> Zeroizing<Vec<u8>> {
        let header =
            Writer::new().int16(self.api.key).int16(self.api.version).int32(correlation).string(client);
        let header = if self.api.flexible { header.no_tags() } else { header }.into_bytes();
        let length = header.len() + self.body.len();
        let mut frame = Zeroizing::new(Vec::with_capacity(4 + length));
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(&self.body);
        frame
    }
}

/// Returns the correlation id and the body of a response. The header is version 0, or 1 if
/// flexible; ApiVersions always has version 0.
///
/// # Errors
/// There is no header.
pub(crate) fn open(api: Api, frame: &[u8]) -> Result<(i32, &[u8]), WireError> {
    let mut reader = Reader::new(frame);
    let correlation = reader.int32("correlation id")?;
    if api.flexible {
        reader.skip_tags()?;
    }
    Ok((correlation, reader.rest()))
}

/// Creates an ApiVersions request.
pub(crate) fn api_versions() -> Request {
    Request::new(API_VERSIONS, Writer::new())
}

/// The versions that a broker supports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The error code.
    pub(crate) error: i16,
    /// The number of each request, its first and its last version.
    pub(crate) ranges: Vec<(i16, i16, i16)>,
}

impl Versions {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let error = reader.int16("error")?;
        let ranges = reader.array("requests", |reader| {
            Ok((reader.int16("key")?, reader.int16("first version")?, reader.int16("last version")?))
        })?;
        Ok(Self { error, ranges })
    }

    /// Returns true if the broker supports a request.
    pub(crate) fn speak(&self, api: Api) -> bool {
        self.ranges
            .iter()
            .any(|(key, first, last)| *key == api.key && (*first..=*last).contains(&api.version))
    }
}

/// Creates a SaslHandshake request.
pub(crate) fn sasl_handshake(mechanism: &str) -> Request {
    Request::new(SASL_HANDSHAKE, Writer::new().string(mechanism))
}

/// The mechanisms of the listener.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// The error code.
    pub(crate) error: i16,
    /// The mechanisms.
    pub(crate) mechanisms: Vec<String>,
}

impl Handshake {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let error = reader.int16("error")?;
        let mechanisms =
            reader.array("mechanisms", |reader| reader.string("mechanism").map(str::to_owned))?;
        Ok(Self { error, mechanisms })
    }
}

/// Creates a SaslAuthenticate request.
pub(crate) fn sasl_authenticate(message: &[u8]) -> Request {
    Request::new(SASL_AUTHENTICATE, Writer::new().bytes(message))
}

/// The mechanism's response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authenticated {
    /// The error code.
    pub(crate) error: i16,
    /// The error's text.
    pub(crate) text: Option<String>,
    /// The mechanism's message.
    pub(crate) message: Vec<u8>,
}

impl Authenticated {
    /// Parses the response. The lifetime of the session is ignored: every session here ends after a
    /// few requests.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let error = reader.int16("error")?;
        let text = reader.nullable_string("error text")?.map(str::to_owned);
        let message = reader.bytes("message")?.to_vec();
        Ok(Self { error, text, message })
    }
}

/// Creates a Metadata request for no topic.
pub(crate) fn metadata() -> Request {
    const AUTO_CREATE: bool = false;
    Request::new(METADATA, Writer::new().int32(0).boolean(AUTO_CREATE))
}

/// The address of the controller. The topics that follow are ignored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// The host and port. A cluster may have no controller for a moment.
    pub(crate) controller: Option<(String, u16)>,
}

impl Cluster {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let _throttled = reader.int32("throttle time")?;
        let brokers = reader.array("brokers", |reader| {
            let id = reader.int32("broker")?;
            let host = reader.string("host")?.to_owned();
            let port = u16::try_from(reader.int32("port")?).map_err(|_| WireError::Malformed("port"))?;
            reader.nullable_string("rack")?;
            Ok((id, host, port))
        })?;
        reader.nullable_string("cluster")?;
        let controller = reader.int32("controller")?;
        let found = brokers.into_iter().find(|(id, ..)| *id == controller);
        Ok(Self { controller: found.map(|(_, host, port)| (host, port)) })
    }
}

/// Creates a DescribeUserScramCredentials request for one user.
pub(crate) fn describe_scram(user: &str) -> Request {
    let body = Writer::new().compact_array(1).compact_string(user).no_tags();
    Request::new(DESCRIBE_SCRAM, body.no_tags())
}

/// An error code, 0 for none, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// The code.
    pub(crate) code: i16,
    /// The broker's words.
    pub(crate) text: Option<String>,
}

impl Status {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let code = reader.int16("error")?;
        let text = reader.compact_nullable_string("error text")?.map(str::to_owned);
        Ok(Self { code, text })
    }
}

/// The mechanisms of users.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// The status of the whole request.
    pub(crate) status: Status,
    /// The users, and the numbers of their mechanisms.
    pub(crate) users: Vec<(String, Status, Vec<i8>)>,
}

impl Described {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let _throttled = reader.int32("throttle time")?;
        let status = Status::read(&mut reader)?;
        let users = reader.compact_array("users", |reader| {
            let user = reader.compact_string("user")?.to_owned();
            let status = Status::read(reader)?;
            let mechanisms = reader.compact_array("credentials", |reader| {
                let mechanism = reader.int8("mechanism")?;
                let _iterations = reader.int32("iterations")?;
                reader.skip_tags()?;
                Ok(mechanism)
            })?;
            reader.skip_tags()?;
            Ok((user, status, mechanisms))
        })?;
        reader.finish()?;
        Ok(Self { status, users })
    }
}

/// A new credential. The salted password is as secret as the password.
pub(crate) struct Upsertion<'a> {
    /// The user.
    pub(crate) user: &'a str,
    /// The number of the mechanism.
    pub(crate) mechanism: i8,
    /// The iterations of PBKDF2.
    pub(crate) iterations: u32,
    /// The salt.
    pub(crate) salt: &'a [u8],
    /// The PBKDF2 output for the password.
    pub(crate) salted_password: &'a [u8],
}

/// Creates an AlterUserScramCredentials request with one upsertion.
pub(crate) fn alter_scram(new: &Upsertion<'_>) -> Request {
    const NO_DELETIONS: usize = 0;
    let body = Writer::new()
        .compact_array(NO_DELETIONS)
        .compact_array(1)
        .compact_string(new.user)
        .int8(new.mechanism)
        .int32(i32::try_from(new.iterations).unwrap_or(i32::MAX))
        .compact_bytes(new.salt)
        .compact_bytes(new.salted_password)
        .no_tags();
    Request::new(ALTER_SCRAM, body.no_tags())
}

/// The result for each user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Altered(pub(crate) Vec<(String, Status)>);

impl Altered {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let _throttled = reader.int32("throttle time")?;
        let users = reader.compact_array("users", |reader| {
            let user = reader.compact_string("user")?.to_owned();
            let status = Status::read(reader)?;
            reader.skip_tags()?;
            Ok((user, status))
        })?;
        reader.finish()?;
        Ok(Self(users))
    }
}

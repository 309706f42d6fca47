//! The eight requests that a rotation makes of a broker, and their answers.
//!
//! Source: the message definitions of Apache Kafka (`clients/src/main/resources/common/message/*.json`), in the one version of each that
//! every broker with SCRAM over the admin protocol speaks: Apache Kafka 2.7 and later, 4.x too (KIP-554, KIP-896).

use secrecy::zeroize::Zeroizing;

use super::wire::{Reader, WireError, Writer};

/// A request and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Api {
    /// Name in texts.
    pub(crate) name: &'static str,
    /// Number.
    pub(crate) key: i16,
    /// Version.
    pub(crate) version: i16,
    /// Whether its headers have tagged fields.
    flexible: bool,
}

const fn api(name: &'static str, key: i16, version: i16, flexible: bool) -> Api {
    Api { name, key, version, flexible }
}

/// Brokers and controller.
pub(crate) const METADATA: Api = api("Metadata", 3, 4, false);
/// Chooses the mechanism.
pub(crate) const SASL_HANDSHAKE: Api = api("SaslHandshake", 17, 1, false);
/// What a broker speaks.
pub(crate) const API_VERSIONS: Api = api("ApiVersions", 18, 0, false);
/// Lists ACLs.
pub(crate) const DESCRIBE_ACLS: Api = api("DescribeAcls", 29, 2, true);
/// Makes ACLs.
pub(crate) const CREATE_ACLS: Api = api("CreateAcls", 30, 2, true);
/// Carries the messages of the mechanism.
pub(crate) const SASL_AUTHENTICATE: Api = api("SaslAuthenticate", 36, 1, false);
/// Lists mechanisms of users.
pub(crate) const DESCRIBE_SCRAM: Api = api("DescribeUserScramCredentials", 50, 0, true);
/// Sets passwords of users.
pub(crate) const ALTER_SCRAM: Api = api("AlterUserScramCredentials", 51, 0, true);

/// A request without its header.
pub(crate) struct Request {
    /// Which.
    pub(crate) api: Api,
    body: Zeroizing<Vec<u8>>,
}

impl Request {
    pub(super) fn new(api: Api, body: Writer) -> Self {
        Self { api, body: body.into_bytes() }
    }

    /// With its length and header: version 1, or 2 if flexible.
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

/// The correlation id and the body of an answer. The header is version 0, or 1 if flexible; ApiVersions always has 0.
///
/// # Errors
/// It has no header.
pub(crate) fn open(api: Api, frame: &[u8]) -> Result<(i32, &[u8]), WireError> {
    let mut reader = Reader::new(frame);
    let correlation = reader.int32("correlation id")?;
    if api.flexible {
        reader.skip_tags()?;
    }
    Ok((correlation, reader.rest()))
}

/// ApiVersions.
pub(crate) fn api_versions() -> Request {
    Request::new(API_VERSIONS, Writer::new())
}

/// What a broker speaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// Error code.
    pub(crate) error: i16,
    /// Number of a request, first and last version.
    pub(crate) ranges: Vec<(i16, i16, i16)>,
}

impl Versions {
    /// From the answer.
    ///
    /// # Errors
    /// It is none, as for all others.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let error = reader.int16("error")?;
        let ranges = reader.array("requests", |reader| {
            Ok((reader.int16("key")?, reader.int16("first version")?, reader.int16("last version")?))
        })?;
        Ok(Self { error, ranges })
    }

    /// Whether a request is understood.
    pub(crate) fn speak(&self, api: Api) -> bool {
        self.ranges
            .iter()
            .any(|(key, first, last)| *key == api.key && (*first..=*last).contains(&api.version))
    }
}

/// SaslHandshake.
pub(crate) fn sasl_handshake(mechanism: &str) -> Request {
    Request::new(SASL_HANDSHAKE, Writer::new().string(mechanism))
}

/// What the listener takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// Error code.
    pub(crate) error: i16,
    /// Mechanisms.
    pub(crate) mechanisms: Vec<String>,
}

impl Handshake {
    /// From the answer.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let error = reader.int16("error")?;
        let mechanisms =
            reader.array("mechanisms", |reader| reader.string("mechanism").map(str::to_owned))?;
        Ok(Self { error, mechanisms })
    }
}

/// SaslAuthenticate.
pub(crate) fn sasl_authenticate(message: &[u8]) -> Request {
    Request::new(SASL_AUTHENTICATE, Writer::new().bytes(message))
}

/// The mechanism's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authenticated {
    /// Error code.
    pub(crate) error: i16,
    /// In words.
    pub(crate) text: Option<String>,
    /// The mechanism's message.
    pub(crate) message: Vec<u8>,
}

impl Authenticated {
    /// From the answer. The lifetime of the session is of no interest: no session here is longer than a few requests.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let error = reader.int16("error")?;
        let text = reader.nullable_string("error text")?.map(str::to_owned);
        let message = reader.bytes("message")?.to_vec();
        Ok(Self { error, text, message })
    }
}

/// Metadata of no topic.
pub(crate) fn metadata() -> Request {
    const AUTO_CREATE: bool = false;
    Request::new(METADATA, Writer::new().int32(0).boolean(AUTO_CREATE))
}

/// Where the controller is. Topics follow, of which none was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Host and port; a cluster may have none for a moment.
    pub(crate) controller: Option<(String, u16)>,
}

impl Cluster {
    /// From the answer.
    ///
    /// # Errors
    /// It is none.
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

/// DescribeUserScramCredentials of one user.
pub(crate) fn describe_scram(user: &str) -> Request {
    let body = Writer::new().compact_array(1).compact_string(user).no_tags();
    Request::new(DESCRIBE_SCRAM, body.no_tags())
}

/// An error and its text; code 0 is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// Code.
    pub(crate) code: i16,
    /// In the broker's words.
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
    /// Of the whole request.
    pub(crate) status: Status,
    /// Users, and the numbers of their mechanisms.
    pub(crate) users: Vec<(String, Status, Vec<i8>)>,
}

impl Described {
    /// From the answer.
    ///
    /// # Errors
    /// It is none.
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

/// A credential to be set. The salted password is as good as the password.
pub(crate) struct Upsertion<'a> {
    /// User.
    pub(crate) user: &'a str,
    /// Number of the mechanism.
    pub(crate) mechanism: i8,
    /// Rounds.
    pub(crate) iterations: u32,
    /// Salt.
    pub(crate) salt: &'a [u8],
    /// PBKDF2 of the password.
    pub(crate) salted_password: &'a [u8],
}

/// AlterUserScramCredentials with one upsertion.
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

/// What became of each user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Altered(pub(crate) Vec<(String, Status)>);

impl Altered {
    /// From the answer.
    ///
    /// # Errors
    /// It is none.
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

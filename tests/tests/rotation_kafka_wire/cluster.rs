//! A cluster in memory that answers as Apache Kafka does, written from its sources: several
//! brokers, one of them the controller; users, ACLs; news that take their time; and answers that no
//! broker should give. Messages are read and written by the crate `kafka-protocol`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, ApiKey, ApiVersionsResponse,
    BrokerId, CreateAclsRequest, CreateAclsResponse, DescribeAclsRequest, DescribeAclsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, MetadataRequest,
    MetadataResponse, ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes, decode_request_header_from_buffer};

use super::scram::{Credential, Exchange, client_first, mechanism_number};

/// The reaction of a broker instead of a response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instead {
    /// Announces more than any answer has.
    HugeLength,
    /// Announces a hundred bytes, sends ten, and goes.
    Truncated,
    /// Sends bytes that are no answer.
    Garbage,
    /// Answers another request.
    OtherCorrelation,
    /// Goes.
    Closes,
    /// Answers with this error.
    Error(i16),
    /// Signs the SCRAM exchange with another key.
    WrongSignature,
    /// Continues another nonce.
    OtherNonce,
    /// Asks for so many iterations.
    Iterations(u32),
}

/// Resource type, resource, pattern, principal, host, operation, permission.
pub type Acl = (i8, String, i8, String, String, i8, i8);

pub struct State {
    /// By user: each credential, and since when.
    pub users: HashMap<String, Vec<(Credential, Instant)>>,
    pub acls: Vec<Acl>,
    pub has_authorizer: bool,
    /// Returns the ACLs of other principals too.
    pub returns_other_acls: bool,
    /// The users who may change users.
    pub super_users: Vec<String>,
    pub controller: usize,
    /// Brokers forward changes to the controller, as those of KRaft do.
    pub forwards: bool,
    /// The time until brokers other than the controller know a credential.
    pub lag: Duration,
    /// The requests that are not supported.
    pub without: Vec<i16>,
    pub mechanisms: Vec<&'static str>,
    pub instead: HashMap<i16, Instead>,
    pub ports: Vec<u16>,
    /// Broker and number of every request.
    pub seen: Vec<(usize, i16)>,
}

#[derive(Clone)]
pub struct Cluster(Arc<Mutex<State>>);

/// The state of one connection.
#[derive(Default)]
pub struct Session {
    mechanism: Option<i8>,
    exchange: Option<(String, Exchange)>,
    user: Option<String>,
}

pub enum Reply {
    Frame(BytesMut),
    /// The frame, and the end of the connection.
    Last(BytesMut),
    Raw(Vec<u8>),
}

const SPOKEN: [(i16, i16, i16); 8] =
    // As Apache Kafka 4.0 has them.
    [(3, 0, 13), (17, 0, 1), (18, 0, 4), (29, 1, 3), (30, 1, 3), (36, 0, 2), (50, 0, 0), (51, 0, 0)];

impl Cluster {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            users: HashMap::new(),
            acls: Vec::new(),
            has_authorizer: true,
            returns_other_acls: false,
            super_users: vec!["admin".to_owned()],
            controller: 0,
            forwards: true,
            lag: Duration::ZERO,
            without: Vec::new(),
            mechanisms: vec!["SCRAM-SHA-256", "SCRAM-SHA-512"],
            instead: HashMap::new(),
            ports: Vec::new(),
            seen: Vec::new(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn set_user(&self, user: &str, mechanism: i8, password: &str) {
        let credential = Credential::of_password(mechanism, password);
        self.state().set(user, credential, Instant::now() - Duration::from_secs(3600));
    }

    /// Answers a frame on a broker.
    pub fn answer(&self, broker: usize, session: &mut Session, frame: &[u8]) -> Reply {
        let mut buffer = Bytes::copy_from_slice(frame);
        let header = decode_request_header_from_buffer(&mut buffer).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("sluice-rotation"));
        let (key, version) = (header.request_api_key, header.request_api_version);
        let mut state = self.state();
        state.seen.push((broker, key));
        let instead = state.instead.get(&key).copied();
        match instead {
            Some(Instead::HugeLength) => return Reply::Raw(vec![0x7f, 0xff, 0xff, 0xff, 1, 2, 3]),
            Some(Instead::Truncated) => return Reply::Raw([&[0, 0, 0, 100][..], &[0; 10]].concat()),
            Some(Instead::Closes) => return Reply::Raw(Vec::new()),
            _ => {}
        }
        // Before a login brokers answer nothing else than what leads to it.
        if session.user.is_none() && ![17, 18, 36].contains(&key) {
            return Reply::Raw(Vec::new());
        }
        let correlation = header.correlation_id + i32::from(instead == Some(Instead::OtherCorrelation));
        let mut reply = BytesMut::new();
        let api = ApiKey::try_from(key).unwrap();
        ResponseHeader::default()
            .with_correlation_id(correlation)
            .encode(&mut reply, api.response_header_version(version))
            .unwrap();
        if instead == Some(Instead::Garbage) {
            reply.extend_from_slice(&[0xff; 3]);
            return Reply::Frame(reply);
        }
        let error = match instead {
            Some(Instead::Error(code)) => code,
            _ => 0,
        };
        let done = match key {
            18 => state.versions(error).encode(&mut reply, version),
            17 => state.handshake(session, &read(&mut buffer, version), error).encode(&mut reply, version),
            36 => {
                let answer = state.authenticate(broker, session, &read(&mut buffer, version), error, instead);
                answer.encode(&mut reply, version).unwrap();
                return if answer.error_code == 0 { Reply::Frame(reply) } else { Reply::Last(reply) };
            }
            3 => state.metadata(&read(&mut buffer, version)).encode(&mut reply, version),
            50 => state.describe(session, &read(&mut buffer, version), error).encode(&mut reply, version),
            51 => {
                state.alter(broker, session, &read(&mut buffer, version), error).encode(&mut reply, version)
            }
            29 => {
                state.describe_acls(session, &read(&mut buffer, version), error).encode(&mut reply, version)
            }
            30 => state.create_acls(session, &read(&mut buffer, version), error).encode(&mut reply, version),
            other => panic!("request {other}"),
        };
        done.unwrap();
        Reply::Frame(reply)
    }
}

/// The whole of a request; what is left over would be a mistake of the client.
fn read<T: Decodable>(buffer: &mut Bytes, version: i16) -> T {
    let request = T::decode(buffer, version).unwrap();
    assert!(buffer.is_empty(), "{} bytes too many", buffer.len());
    request
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl State {
    fn set(&mut self, user: &str, credential: Credential, since: Instant) {
        let credentials = self.users.entry(user.to_owned()).or_default();
        credentials.push((credential, since));
    }

    /// The newest credential that a broker has heard of.
    fn credential(&self, broker: usize, user: &str, mechanism: i8) -> Option<Credential> {
        let lag = if broker == self.controller { Duration::ZERO } else { self.lag };
        let known = self.users.get(user)?.iter().rev();
        let mut heard =
            known.filter(|(credential, since)| credential.mechanism == mechanism && since.elapsed() >= lag);
        heard.next().map(|(credential, _)| credential.clone())
    }

    fn may_alter(&self, session: &Session) -> bool {
        session.user.as_ref().is_some_and(|user| self.super_users.contains(user))
    }

    fn versions(&self, error: i16) -> ApiVersionsResponse {
        let spoken = SPOKEN.into_iter().filter(|(key, ..)| !self.without.contains(key));
        let range = |(key, first, last)| {
            ApiVersion::default().with_api_key(key).with_min_version(first).with_max_version(last)
        };
        ApiVersionsResponse::default().with_error_code(error).with_api_keys(spoken.map(range).collect())
    }

    fn handshake(
        &self,
        session: &mut Session,
        request: &SaslHandshakeRequest,
        error: i16,
    ) -> SaslHandshakeResponse {
        let taken = self.mechanisms.contains(&request.mechanism.as_str());
        session.mechanism = mechanism_number(&request.mechanism).filter(|_| taken);
        SaslHandshakeResponse::default()
            .with_error_code(if error == 0 && !taken { 33 } else { error })
            .with_mechanisms(self.mechanisms.iter().map(|name| text(name)).collect())
    }

    fn authenticate(
        &self,
        broker: usize,
        session: &mut Session,
        request: &SaslAuthenticateRequest,
        error: i16,
        instead: Option<Instead>,
    ) -> SaslAuthenticateResponse {
        let refused = |code| {
            SaslAuthenticateResponse::default().with_error_code(code).with_error_message(Some(text(
                "Authentication failed during authentication due to invalid credentials",
            )))
        };
        if error != 0 {
            return refused(error);
        }
        let message = std::str::from_utf8(&request.auth_bytes).unwrap();
        let answered = match session.exchange.take() {
            None => session.mechanism.and_then(|mechanism| {
                let (user, bare) = client_first(message)?;
                let mut exchange = Exchange::begin(self.credential(broker, &user, mechanism)?, bare)?;
                match instead {
                    Some(Instead::OtherNonce) => exchange.server_first.replace_range(2..3, "#"),
                    Some(Instead::Iterations(number)) => {
                        exchange.server_first =
                            exchange.server_first.replace("i=4096", &format!("i={number}"));
                    }
                    _ => {}
                }
                let first = exchange.server_first.clone();
                session.exchange = Some((user, exchange));
                Some(first)
            }),
            Some((user, exchange)) => exchange.end(message).map(|last| {
                session.user = Some(user);
                if instead == Some(Instead::WrongSignature) { format!("v=AAAA{}", &last[6..]) } else { last }
            }),
        };
        match answered {
            Some(answer) => SaslAuthenticateResponse::default().with_auth_bytes(Bytes::from(answer)),
            None => refused(58),
        }
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        assert_eq!(request.topics.as_deref(), Some(&[][..]), "no topic was to be asked for");
        let broker = |(id, port): (usize, &u16)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(i32::try_from(id).unwrap()))
                .with_host(text("localhost"))
                .with_port(i32::from(*port))
        };
        MetadataResponse::default()
            .with_brokers(self.ports.iter().enumerate().map(broker).collect())
            .with_cluster_id(Some(text("model")))
            .with_controller_id(BrokerId(i32::try_from(self.controller).unwrap()))
    }

    fn describe(
        &self,
        session: &Session,
        request: &DescribeUserScramCredentialsRequest,
        error: i16,
    ) -> DescribeUserScramCredentialsResponse {
        let denied = if self.may_alter(session) { error } else { 31 };
        let user = |name: &StrBytes| {
            let mut numbers: Vec<i8> =
                self.users.get(name.as_str()).into_iter().flatten().map(|(one, _)| one.mechanism).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let info = |number: &i8| CredentialInfo::default().with_mechanism(*number).with_iterations(4096);
            DescribeUserScramCredentialsResult::default()
                .with_user(name.clone())
                .with_error_code(if numbers.is_empty() { 91 } else { 0 })
                .with_credential_infos(numbers.iter().map(info).collect())
        };
        let users = request.users.iter().flatten().map(|asked| user(&asked.name));
        DescribeUserScramCredentialsResponse::default().with_error_code(denied).with_results(if denied == 0 {
            users.collect()
        } else {
            Vec::new()
        })
    }

    fn alter(
        &mut self,
        broker: usize,
        session: &Session,
        request: &AlterUserScramCredentialsRequest,
        error: i16,
    ) -> AlterUserScramCredentialsResponse {
        assert!(request.deletions.is_empty());
        let mut codes: Vec<(StrBytes, i16)> = Vec::new();
        for new in &request.upsertions {
            // KRaft's controller takes one change of a user in a request.
            let twice = request.upsertions.iter().filter(|other| other.name == new.name).count() > 1;
            let code = if error != 0 {
                error
            } else if broker != self.controller && !self.forwards {
                41
            } else if !self.may_alter(session) {
                31
            } else if twice {
                92
            } else if !(4096..=16_384).contains(&new.iterations) || new.name.is_empty() {
                93
            } else {
                assert_eq!(new.salt.len(), 32);
                let credential = Credential::of_salted(
                    new.mechanism,
                    new.salt.to_vec(),
                    new.iterations,
                    &new.salted_password,
                );
                self.set(&new.name, credential, Instant::now());
                0
            };
            codes.push((new.name.clone(), code));
        }
        let result = |(user, code)| {
            AlterUserScramCredentialsResult::default()
                .with_user(user)
                .with_error_code(code)
                .with_error_message((code != 0).then(|| text("in the controller's words")))
        };
        AlterUserScramCredentialsResponse::default().with_results(codes.into_iter().map(result).collect())
    }

    fn describe_acls(
        &self,
        session: &Session,
        request: &DescribeAclsRequest,
        error: i16,
    ) -> DescribeAclsResponse {
        let any = (
            request.resource_type_filter,
            request.pattern_type_filter,
            request.operation,
            request.permission_type,
        );
        assert_eq!(any, (1, 1, 1, 1), "all of a principal's were to be asked for");
        let code = match (error, self.has_authorizer, self.may_alter(session)) {
            (0, _, false) => 31,
            (0, false, _) => 54,
            (code, ..) => code,
        };
        let wanted = request.principal_filter.as_deref();
        let resource = |(resource_type, name, pattern, principal, host, operation, permission): &Acl| {
            let rule = AclDescription::default()
                .with_principal(text(principal))
                .with_host(text(host))
                .with_operation(*operation)
                .with_permission_type(*permission);
            DescribeAclsResource::default()
                .with_resource_type(*resource_type)
                .with_resource_name(text(name))
                .with_pattern_type(*pattern)
                .with_acls(vec![rule])
        };
        let found = self
            .acls
            .iter()
            .filter(|acl| code == 0 && (self.returns_other_acls || wanted == Some(acl.3.as_str())));
        DescribeAclsResponse::default().with_error_code(code).with_resources(found.map(resource).collect())
    }

    fn create_acls(
        &mut self,
        session: &Session,
        request: &CreateAclsRequest,
        error: i16,
    ) -> CreateAclsResponse {
        let mut results = Vec::new();
        for new in &request.creations {
            let code = if self.may_alter(session) { error } else { 31 };
            let acl: Acl = (
                new.resource_type,
                new.resource_name.to_string(),
                new.resource_pattern_type,
                new.principal.to_string(),
                new.host.to_string(),
                new.operation,
                new.permission_type,
            );
            if code == 0 && !self.acls.contains(&acl) {
                self.acls.push(acl);
            }
            results.push(AclCreationResult::default().with_error_code(code));
        }
        CreateAclsResponse::default().with_results(results)
    }
}

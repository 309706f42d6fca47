//! One connection to a broker: requests, responses of a limited size, and the login.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use super::codes;
use super::messages::{self, Api, Authenticated, Cluster, Handshake, Request, Versions};
use super::scram::{Begun, Mechanism, Verdict};
use super::wire::WireError;
use crate::engine::{Account, EngineError, Login, Server};
use crate::engines::bounded::Bounded;
use crate::engines::trust::Tls;

/// The timeout of one response. A broker forwards a change to the controller before it responds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest response, in bytes: thousands of ACLs, each of about a hundred bytes.
const MAX_RESPONSE: u32 = 4 << 20;
/// The client id in the brokers' request logs and quotas.
const CLIENT: &str = "sluice-rotation";
/// The random bytes of a nonce.
const NONCE: usize = 24;

/// An error of a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no connection, or its certificate is not trusted.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The connection broke, or there was no response.
    #[error("{0}")]
    Broken(String),
    /// The response is invalid, or is a permanent error.
    #[error("{0}")]
    Answer(String),
}

impl Fault {
    /// Returns the error of a failed login.
    pub(super) fn of_login(self, account: &Account, server: &Server) -> EngineError {
        let server = server.clone();
        match self {
            Self::Engine(error) => error,
            Self::Broken(problem) => EngineError::ServerUnreachable { server, problem },
            Self::Answer(problem) => {
                EngineError::InsufficientPrivileges { server, user: account.user.clone(), problem }
            }
        }
    }

    /// Returns the error of a failed change.
    pub(super) fn of_change(self, server: &Server, user: &str) -> EngineError {
        match self {
            Self::Engine(error) => error,
            other => EngineError::SetPasswordFailed {
                server: server.clone(),
                user: user.to_owned(),
                problem: other.to_string(),
            },
        }
    }
}

/// A connection over TLS, with the versions that its broker supports.
pub(super) struct Connection {
    stream: TlsStream<Bounded>,
    versions: Versions,
    asked: i32,
}

impl Connection {
    /// Connects to one broker.
    pub(super) async fn open(tls: &Tls, server: &Server) -> Result<Self, Fault> {
        let stream = tls.connect(server).await?;
        let mut connection = Self { stream, versions: Versions { error: 0, ranges: Vec::new() }, asked: 0 };
        let request = messages::api_versions();
        let body = connection.exchange(&request).await?;
        let versions = readable(request.api, Versions::read(&body))?;
        if versions.error != codes::NONE {
            return Err(Fault::Answer(codes::failed(request.api, versions.error, None)));
        }
        connection.versions = versions;
        Ok(connection)
    }

    /// Sends a request and parses the response.
    pub(super) async fn ask<T>(
        &mut self,
        request: &Request,
        read: impl FnOnce(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, Fault> {
        let api = request.api;
        if !self.versions.speak(api) {
            let problem = format!(
                "it does not support {} version {}; expected Apache Kafka 2.7 or later, or a compatible broker",
                api.name, api.version
            );
            return Err(Fault::Answer(problem));
        }
        let body = self.exchange(request).await?;
        readable(api, read(&body))
    }

    async fn exchange(&mut self, request: &Request) -> Result<Vec<u8>, Fault> {
        let api = request.api;
        self.asked += 1;
        let frame = request.frame(self.asked, CLIENT);
        let answer = match tokio::time::timeout(RESPONSE_TIMEOUT, exchange(&mut self.stream, &frame)).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(length))) => {
                let problem = format!(
                    "its response to {} has {length} bytes, the limit is {MAX_RESPONSE}; check that it is a \
                     listener of Kafka",
                    api.name
                );
                return Err(Fault::Answer(problem));
            }
            Ok(Err(error)) => {
                return Err(Fault::Broken(format!("the connection broke at {}: {error}", api.name)));
            }
            Err(_) => {
                let seconds = RESPONSE_TIMEOUT.as_secs();
                return Err(Fault::Broken(format!("no response to {} within {seconds} s", api.name)));
            }
        };
        let (correlation, body) = readable(api, messages::open(api, &answer))?;
        if correlation != self.asked {
            return Err(Fault::Answer(format!("its response to {} is for another request", api.name)));
        }
        Ok(body.to_vec())
    }

    /// Logs in with the account's mechanism, and proves the session with a request that brokers
    /// answer only after a login.
    pub(super) async fn log_in(&mut self, account: &Account, mechanism: Mechanism) -> Result<Login, Fault> {
        self.choose(mechanism).await?;
        let first = Begun::new(mechanism, &account.user, nonce()?);
        let Some(server_first) = self.authenticate(first.message().as_bytes()).await? else {
            return Ok(Login::Refused);
        };
        let answer = first.answer(account.password.expose_secret(), &server_first);
        let (message, answered) = answer.map_err(|error| Fault::Answer(error.to_string()))?;
        let Some(server_final) = self.authenticate(message.as_bytes()).await? else {
            return Ok(Login::Refused);
        };
        match answered.verdict(&server_final).map_err(|error| Fault::Answer(error.to_string()))? {
            Verdict::Refused => Ok(Login::Refused),
            Verdict::Proven => {
                self.cluster().await?;
                Ok(Login::Accepted)
            }
        }
    }

    async fn choose(&mut self, mechanism: Mechanism) -> Result<(), Fault> {
        let request = messages::sasl_handshake(mechanism.name());
        let handshake = self.ask(&request, Handshake::read).await?;
        match handshake.error {
            codes::NONE => Ok(()),
            codes::UNSUPPORTED_SASL_MECHANISM => {
                let taken = codes::printable(&handshake.mechanisms.join(", "));
                Err(Fault::Answer(format!(
                    "its listener accepts {taken}, not {}; set `mechanism` of the secret to SCRAM-SHA-256 or \
                     SCRAM-SHA-512, whichever is in the listener's sasl.enabled.mechanisms",
                    mechanism.name()
                )))
            }
            code => Err(Fault::Answer(codes::failed(request.api, code, None))),
        }
    }

    /// Returns the mechanism's response; `None` if the credential is refused.
    async fn authenticate(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let request = messages::sasl_authenticate(message);
        let answer = self.ask(&request, Authenticated::read).await?;
        match answer.error {
            codes::NONE => Ok(Some(answer.message)),
            codes::SASL_AUTHENTICATION_FAILED => Ok(None),
            code => Err(Fault::Answer(codes::failed(request.api, code, answer.text.as_deref()))),
        }
    }

    /// Returns the address of the controller.
    pub(super) async fn cluster(&mut self) -> Result<Cluster, Fault> {
        self.ask(&messages::metadata(), Cluster::read).await
    }
}

/// Sends a frame and reads the next one. If that is too large, its length is the error.
async fn exchange(stream: &mut TlsStream<Bounded>, frame: &[u8]) -> std::io::Result<Result<Vec<u8>, u32>> {
    stream.write_all(frame).await?;
    stream.flush().await?;
    let length = stream.read_u32().await?;
    if length > MAX_RESPONSE {
        return Ok(Err(length));
    }
    // The buffer grows with what arrives: a length alone allocates no memory.
    let mut answer = Vec::new();
    let read = stream.take(length.into()).read_to_end(&mut answer).await?;
    if read as u64 != u64::from(length) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Ok(answer))
}

fn readable<T>(api: Api, read: Result<T, WireError>) -> Result<T, Fault> {
    read.map_err(|error| {
        Fault::Answer(format!(
            "its response to {} is invalid: {error}; check that it is a listener of Kafka",
            api.name
        ))
    })
}

fn nonce() -> Result<String, Fault> {
    let mut bytes = [0; NONCE];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Fault::Answer("the system has no random bytes".to_owned()))?;
    Ok(BASE64.encode(bytes))
}

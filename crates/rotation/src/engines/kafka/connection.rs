//! One connection to a broker: requests, answers of a bounded size, and the login.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::codes;
use super::messages::{self, Api, Authenticated, Cluster, Handshake, Request, Versions};
use super::scram::{Begun, Mechanism, Verdict};
use super::wire::WireError;
use crate::engine::{Account, EngineError, Login, Server};
use crate::engines::trust::Tls;

/// How long one answer may take. A broker hands a change on to the controller before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read: thousands of ACLs, each of about a hundred bytes.
const LARGEST_ANSWER: u32 = 4 << 20;
/// What brokers see of us, in their request logs and quotas.
const CLIENT: &str = "sluice-rotation";
/// Random bytes of a nonce.
const NONCE: usize = 24;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection, or one that nobody vouches for.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The connection broke, or the answer did not come.
    #[error("{0}")]
    Broken(String),
    /// An answer that no broker should give, or one that leaves nothing to do.
    #[error("{0}")]
    Answer(String),
}

impl Fault {
    /// As what it is when a login fails.
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

    /// As what it is when a user is not set.
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

/// A connection over TLS, and what its broker speaks.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    versions: Versions,
    asked: i32,
}

impl Connection {
    /// To one broker.
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

    /// Asks, and reads the answer.
    pub(super) async fn ask<T>(
        &mut self,
        request: &Request,
        read: impl FnOnce(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, Fault> {
        let api = request.api;
        if !self.versions.speak(api) {
            let problem = format!(
                "it does not speak {} version {}; expected Apache Kafka 2.7 or later, or a broker compatible with it",
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
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, exchange(&mut self.stream, &frame)).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(length))) => {
                let problem = format!(
                    "its answer to {} claims {length} bytes, expected {LARGEST_ANSWER} at most; is it a listener of Kafka?",
                    api.name
                );
                return Err(Fault::Answer(problem));
            }
            Ok(Err(error)) => {
                return Err(Fault::Broken(format!("the connection broke at {}: {error}", api.name)));
            }
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                return Err(Fault::Broken(format!("no answer to {} within {seconds} s", api.name)));
            }
        };
        let (correlation, body) = readable(api, messages::open(api, &answer))?;
        if correlation != self.asked {
            return Err(Fault::Answer(format!("its answer to {} is one to another request", api.name)));
        }
        Ok(body.to_vec())
    }

    /// Logs in by the account's mechanism, and proves the session with a request that brokers answer only after that.
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
                    "its listener takes {taken}, not {}; `mechanism` of the secret is SCRAM-SHA-256 or SCRAM-SHA-512, as the listener's \
                     sasl.enabled.mechanisms has it",
                    mechanism.name()
                )))
            }
            code => Err(Fault::Answer(codes::failed(request.api, code, None))),
        }
    }

    /// The mechanism's answer; `None` if the credential is refused.
    async fn authenticate(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let request = messages::sasl_authenticate(message);
        let answer = self.ask(&request, Authenticated::read).await?;
        match answer.error {
            codes::NONE => Ok(Some(answer.message)),
            codes::SASL_AUTHENTICATION_FAILED => Ok(None),
            code => Err(Fault::Answer(codes::failed(request.api, code, answer.text.as_deref()))),
        }
    }

    /// Where the controller is.
    pub(super) async fn cluster(&mut self) -> Result<Cluster, Fault> {
        self.ask(&messages::metadata(), Cluster::read).await
    }
}

/// Sends a frame and reads the next one; one that is too large is not read, and its length is given.
async fn exchange(stream: &mut TlsStream<TcpStream>, frame: &[u8]) -> std::io::Result<Result<Vec<u8>, u32>> {
    stream.write_all(frame).await?;
    stream.flush().await?;
    let length = stream.read_u32().await?;
    if length > LARGEST_ANSWER {
        return Ok(Err(length));
    }
    // Grows with what arrives: a length alone takes no memory.
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
            "its answer to {} cannot be read: {error}; is it a listener of Kafka?",
            api.name
        ))
    })
}

fn nonce() -> Result<String, Fault> {
    let mut bytes = [0; NONCE];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Fault::Answer("the system gave no random bytes".to_owned()))?;
    Ok(BASE64.encode(bytes))
}

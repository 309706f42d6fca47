//! The client's side of the protocol, as far as a rotation needs it: TLS, a login, statements without parameters.
//!
//! Nothing but the request for TLS goes over the connection before the server's certificate is checked. Several statements in one are never
//! asked for, so the server takes one at a time. Source: "Client/Server Protocol" of MySQL's source documentation; MariaDB's own is the same
//! in these parts.

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::auth::{self, Method};
use crate::engine::{Account, EngineError};
use crate::engines::trust::{CONNECT_TIMEOUT, Tls};

const LONG_PASSWORD: u32 = 1;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// utf8mb4_general_ci, which every server has.
const UTF8MB4: u8 = 45;
/// Longest packet that is read; what a rotation asks for is far shorter.
const LONGEST_PACKET: usize = (1 << 24) - 2;
const QUIT: u8 = 1;
const QUERY: u8 = 3;

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// In the server's words.
    Server {
        /// Number of the error.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The server wants the password in a way that this client does not offer.
    Method(String),
    /// The connection ended, or what came over it is not this protocol.
    Broken(String),
    /// There was no connection.
    Engine(EngineError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

fn broken(problem: &str) -> Failure {
    Failure::Broken(problem.to_owned())
}

/// A row of texts.
pub(super) type Row = Vec<Option<String>>;

/// A session.
pub(super) struct Connection {
    packets: Packets<TlsStream<TcpStream>>,
}

impl Connection {
    /// Logs in.
    pub(super) async fn open(tls: &Tls, account: &Account) -> Result<Self, Failure> {
        let plain = tls.connect_plain(&account.server).await?;
        match tokio::time::timeout(2 * CONNECT_TIMEOUT, Self::log_in(tls, account, plain)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Broken(format!("no login within {} s", 2 * CONNECT_TIMEOUT.as_secs()))),
        }
    }

    async fn log_in(tls: &Tls, account: &Account, plain: TcpStream) -> Result<Self, Failure> {
        let mut packets = Packets { stream: plain, next: 0 };
        let greeting = Greeting::parse(&packets.read().await?)?;
        if greeting.capabilities & SSL == 0 {
            let problem = "it offers no TLS, and a password is only ever sent inside TLS".to_owned();
            return Err(EngineError::Untrusted { server: account.server.clone(), problem }.into());
        }
        let database = &account.server.database;
        if [&account.user, database].into_iter().any(|text| text.contains('\0')) {
            return Err(broken("`username` or `dbname` holds a zero byte"));
        }
        let mut wanted = LONG_PASSWORD | PROTOCOL_41 | SSL | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
        if !database.is_empty() {
            wanted |= CONNECT_WITH_DB;
        }
        let mut head = wanted.to_le_bytes().to_vec();
        head.extend((LONGEST_PACKET as u32).to_le_bytes());
        head.push(UTF8MB4);
        head.extend([0; 23]);
        packets.write(&head).await?;
        let stream = tls.wrap(&account.server, packets.stream).await?;
        let mut packets = Packets { stream, next: packets.next };

        // Whatever the server's default is; for an account with another one it asks to switch.
        let first = Method::of_client(&greeting.plugin)
            .filter(|method| matches!(method, Method::Native | Method::CachingSha2));
        let method = first.unwrap_or(Method::Native);
        let proof = method.proof(&account.password, &greeting.nonce);
        head.extend(account.user.as_bytes());
        head.push(0);
        head.push(u8::try_from(proof.len()).map_err(|_| broken("the proof of the password is too long"))?);
        head.extend(proof);
        if !database.is_empty() {
            head.extend(database.as_bytes());
            head.push(0);
        }
        head.extend(method.name().as_bytes());
        head.push(0);
        packets.write(&head).await?;
        packets.authenticate(method, &account.password).await?;
        Ok(Self { packets })
    }

    /// Runs a statement and gives its rows.
    pub(super) async fn query(&mut self, statement: &str) -> Result<Vec<Row>, Failure> {
        self.packets.next = 0;
        self.packets.write(&[&[QUERY], statement.as_bytes()].concat()).await?;
        let first = self.packets.read_answer().await?;
        let columns = match first.first() {
            Some(0) => return Ok(Vec::new()),
            Some(0xfb) => return Err(broken("the server asks for a file")),
            _ => Fields(&first).length()?,
        };
        for _ in 0..columns {
            self.packets.read_answer().await?;
        }
        if !is_end(&self.packets.read_answer().await?) {
            return Err(broken("the columns of an answer have no end"));
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.packets.read_answer().await?;
            if is_end(&packet) {
                return Ok(rows);
            }
            let mut fields = Fields(&packet);
            rows.push((0..columns).map(|_| fields.text()).collect::<Result<Row, _>>()?);
        }
    }

    /// Takes leave, so that the server does not log a broken connection.
    pub(super) async fn close(mut self) {
        self.packets.next = 0;
        // Whatever the connection was for is done.
        let _gone = self.packets.write(&[QUIT]).await;
        let _gone = self.packets.stream.shutdown().await;
    }
}

fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// What the server says first.
struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: String,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Result<Self, Failure> {
        let mut fields = Fields(packet);
        match fields.bytes(1)? {
            [10] => {}
            [0xff] => return Err(server_error(&packet[1..])),
            _ => return Err(broken("it does not speak the protocol of MySQL")),
        }
        fields.until_zero()?;
        fields.bytes(4)?;
        let mut nonce = fields.bytes(8)?.to_vec();
        fields.bytes(1)?;
        let low = fields.number(2)?;
        fields.bytes(3)?;
        let capabilities = low | (fields.number(2)? << 16);
        let length = fields.number(1)? as usize;
        fields.bytes(10)?;
        let wanted = LONG_ENOUGH.max(length.saturating_sub(8));
        nonce.extend(fields.bytes(wanted.min(fields.0.len()))?);
        nonce.truncate(NONCE);
        Ok(Self { capabilities, nonce, plugin: String::from_utf8_lossy(fields.until_zero()?).into_owned() })
    }
}

/// Bytes of the server's random in the older methods.
const NONCE: usize = 20;
/// Bytes that the second part of it has at least, with the zero at its end.
const LONG_ENOUGH: usize = 13;

/// Packets on a stream, numbered from 0 in each exchange.
struct Packets<S> {
    stream: S,
    next: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        if length > LONGEST_PACKET {
            return Err(broken("an answer is longer than any that is expected"));
        }
        if head[3] != self.next {
            return Err(broken("a packet is out of order"));
        }
        self.next = head[3].wrapping_add(1);
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    /// A packet that is no error.
    async fn read_answer(&mut self) -> Result<Vec<u8>, Failure> {
        let packet = self.read().await?;
        match packet.split_first() {
            Some((0xff, rest)) => Err(server_error(rest)),
            _ => Ok(packet),
        }
    }

    async fn write(&mut self, packet: &[u8]) -> Result<(), Failure> {
        if packet.len() > LONGEST_PACKET {
            return Err(broken("a statement is longer than the protocol takes"));
        }
        let mut bytes = (packet.len() as u32).to_le_bytes();
        bytes[3] = self.next;
        self.next = self.next.wrapping_add(1);
        self.stream.write_all(&[&bytes, packet].concat()).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Answers the server until it lets the user in.
    async fn authenticate(&mut self, first: Method, password: &SecretString) -> Result<(), Failure> {
        let mut method = first;
        loop {
            let packet = self.read_answer().await?;
            match packet.split_first() {
                Some((0, _)) => return Ok(()),
                Some((0xfe, rest)) => {
                    let mut fields = Fields(rest);
                    let plugin = match rest {
                        [] => "mysql_old_password".into(),
                        _ => String::from_utf8_lossy(fields.until_zero()?),
                    };
                    method =
                        Method::of_client(&plugin).ok_or_else(|| Failure::Method(plugin.into_owned()))?;
                    let nonce = fields.0.strip_suffix(&[0]).filter(|nonce| nonce.len() == NONCE);
                    let nonce = nonce.unwrap_or(fields.0);
                    self.write(&method.proof(password, nonce)).await?;
                }
                // Found in the server's memory.
                Some((1, [3])) if method == Method::CachingSha2 => {}
                Some((1, [4])) if method == Method::CachingSha2 => {
                    self.write(&auth::clear(password.expose_secret().as_bytes())).await?;
                }
                _ => return Err(broken("the server's answer to the login is not understood")),
            }
        }
    }
}

/// An error packet behind its first byte.
fn server_error(packet: &[u8]) -> Failure {
    let mut fields = Fields(packet);
    let Ok(code) = fields.number(2) else { return broken("an error packet is cut off") };
    let text = String::from_utf8_lossy(fields.0);
    let state = |text: &str| text.strip_prefix('#').and_then(|text| text.get(5..)).map(str::to_owned);
    Failure::Server { code: code as u16, message: state(&text).unwrap_or_else(|| text.into_owned()) }
}

/// The fields of a packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let (found, rest) = self.0.split_at_checked(count).ok_or_else(|| broken("a packet is cut off"))?;
        self.0 = rest;
        Ok(found)
    }

    fn number(&mut self, bytes: usize) -> Result<u32, Failure> {
        Ok(self.bytes(bytes)?.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    }

    /// Up to a zero or the end.
    fn until_zero(&mut self) -> Result<&'a [u8], Failure> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let found = self.bytes(end.unwrap_or(self.0.len()))?;
        self.0 = self.0.get(1..).unwrap_or_default();
        Ok(found)
    }

    /// A number whose first byte says how long it is.
    fn length(&mut self) -> Result<usize, Failure> {
        match self.number(1)? {
            0xfc => Ok(self.number(2)? as usize),
            0xfd => Ok(self.number(3)? as usize),
            short if short < 0xfb => Ok(short as usize),
            _ => Err(broken("a length is not understood")),
        }
    }

    fn text(&mut self) -> Result<Option<String>, Failure> {
        if let Some((0xfb, rest)) = self.0.split_first() {
            self.0 = rest;
            return Ok(None);
        }
        let length = self.length()?;
        Ok(Some(String::from_utf8_lossy(self.bytes(length)?).into_owned()))
    }
}

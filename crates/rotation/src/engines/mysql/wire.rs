//! The part of the client protocol that a rotation needs: TLS, a login, statements without
//! parameters.
//!
//! Only the request for TLS is sent before the server's certificate is verified. Multiple
//! statements in one are not enabled, so the server accepts one at a time. Source: "Client/Server
//! Protocol" of MySQL's source documentation; MariaDB's is the same in these parts.

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::client::TlsStream;

use super::auth::{self, Method};
pub(super) use super::packets::WireError;
use super::packets::{Fields, LONGEST_PACKET, Packets, broken, server_error};
use crate::engine::{Account, EngineError};
use crate::engines::bounded::Bounded;
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
const QUIT: u8 = 1;
const QUERY: u8 = 3;

/// A row of texts.
pub(super) type Row = Vec<Option<String>>;

/// A session.
pub(super) struct Connection {
    packets: Packets<TlsStream<Bounded>>,
}

impl Connection {
    /// Opens a connection and logs in.
    pub(super) async fn open(tls: &Tls, account: &Account) -> Result<Self, WireError> {
        let plain = tls.connect_plain(&account.server).await?;
        match tokio::time::timeout(2 * CONNECT_TIMEOUT, Self::log_in(tls, account, plain)).await {
            Ok(result) => result,
            Err(_) => Err(WireError::Broken(format!("no login within {} s", 2 * CONNECT_TIMEOUT.as_secs()))),
        }
    }

    async fn log_in(tls: &Tls, account: &Account, plain: Bounded) -> Result<Self, WireError> {
        let mut packets = Packets { stream: plain, next: 0 };
        let greeting = Greeting::parse(&packets.read().await?)?;
        if greeting.capabilities & SSL == 0 {
            let problem = "it offers no TLS, and passwords are only sent inside TLS".to_owned();
            return Err(EngineError::CertificateNotTrusted { server: account.server.clone(), problem }.into());
        }
        let database = &account.server.database;
        if [&account.user, database].into_iter().any(|text| text.contains('\0')) {
            return Err(broken("`username` or `dbname` has a zero byte"));
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

        // The server's default method. For an account with another one, the server requests a
        // switch.
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

    /// Runs a statement and returns its rows.
    pub(super) async fn query(&mut self, statement: &str) -> Result<Vec<Row>, WireError> {
        self.packets.next = 0;
        self.packets.write(&[&[QUERY], statement.as_bytes()].concat()).await?;
        let first = self.packets.read_answer().await?;
        let columns = match first.first() {
            Some(0) => return Ok(Vec::new()),
            Some(0xfb) => return Err(broken("the server requests a file")),
            _ => Fields(&first).length()?,
        };
        for _ in 0..columns {
            self.packets.read_answer().await?;
        }
        if !is_end(&self.packets.read_answer().await?) {
            return Err(broken("the columns of a response have no end"));
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

    /// Ends the session, so that the server does not log an aborted connection.
    pub(super) async fn close(mut self) {
        self.packets.next = 0;
        // The work of the connection is done: errors do not matter.
        let _gone = self.packets.write(&[QUIT]).await;
        let _gone = self.packets.stream.shutdown().await;
    }
}

fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// The server's first message.
struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: String,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields(packet);
        match fields.bytes(1)? {
            [10] => {}
            [0xff] => return Err(server_error(&packet[1..])),
            _ => return Err(broken("it does not use the protocol of MySQL")),
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

/// The length of the server's random bytes in the older methods.
const NONCE: usize = 20;
/// The shortest second part of them, with a zero byte at its end.
const LONG_ENOUGH: usize = 13;

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    /// Responds to the server until it accepts the user.
    async fn authenticate(&mut self, first: Method, password: &SecretString) -> Result<(), WireError> {
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
                        Method::of_client(&plugin).ok_or_else(|| WireError::Method(plugin.into_owned()))?;
                    let nonce = fields.0.strip_suffix(&[0]).filter(|nonce| nonce.len() == NONCE);
                    let nonce = nonce.unwrap_or(fields.0);
                    self.write(&method.proof(password, nonce)).await?;
                }
                // The server's cache contains the password.
                Some((1, [3])) if method == Method::CachingSha2 => {}
                Some((1, [4])) if method == Method::CachingSha2 => {
                    self.write(&auth::clear(password.expose_secret().as_bytes())).await?;
                }
                _ => return Err(broken("the server's response to the login is not understood")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Returns the client's result when the server answers its login with this packet, and what it
    /// sends.
    async fn answer_to(packet: &[u8]) -> (Result<(), WireError>, Vec<u8>) {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut server, mut client) =
            (Packets { stream: server, next: 2 }, Packets { stream: client, next: 2 });
        server.write(packet).await.unwrap();
        let password = "Pw-1".into();
        let result = client.authenticate(Method::CachingSha2, &password);
        let result =
            tokio::time::timeout(std::time::Duration::from_millis(50), result).await.unwrap_or(Ok(()));
        drop(client);
        let mut sent = Vec::new();
        server.stream.read_to_end(&mut sent).await.unwrap();
        (result, sent)
    }

    #[tokio::test]
    async fn password_is_not_sent_with_forwarding_methods() {
        for (packet, method) in [
            (&b"\xfemysql_clear_password\0"[..], "mysql_clear_password"),
            (b"\xfedialog\0Password:", "dialog"),
            (b"\xfe", "mysql_old_password"),
        ] {
            let (result, sent) = answer_to(packet).await;
            assert!(matches!(&result, Err(WireError::Method(found)) if found == method), "{result:?}");
            assert!(sent.is_empty(), "{sent:?}");
        }
    }

    #[tokio::test]
    async fn invalid_responses_end_the_login() {
        for packet in [&b""[..], b"\x01", b"\x01\x09", b"\x02what"] {
            let (result, sent) = answer_to(packet).await;
            assert!(matches!(result, Err(WireError::Broken(_))), "{result:?}");
            assert!(sent.is_empty(), "{sent:?}");
        }
        let (result, sent) = answer_to(b"\xff\x15\x04#28000Access denied").await;
        assert!(
            matches!(&result, Err(WireError::Server { code: 1045, message }) if message == "Access denied"),
            "{result:?}"
        );
        assert!(sent.is_empty());
        // The server's cache does not contain the user: only then the server requests the password
        // itself.
        assert_eq!(answer_to(b"\x01\x04").await.1, b"\x05\0\0\x03Pw-1\0");
        assert!(answer_to(b"\x01\x03").await.1.is_empty());
    }

    #[test]
    fn truncated_greeting_is_an_error() {
        let mut greeting = b"\x0a8.0.46\0\x01\0\0\0abcdefgh\0\xff\xff\x2d\x02\0\xff\xdf\x15".to_vec();
        greeting.extend([0; 10]);
        greeting.extend(b"ijklmnopqrst\0caching_sha2_password\0");
        let found = Greeting::parse(&greeting).unwrap();
        assert_eq!(
            (found.nonce.as_slice(), found.plugin.as_str()),
            (&b"abcdefghijklmnopqrst"[..], "caching_sha2_password")
        );
        assert_ne!(found.capabilities & SSL, 0);
        for end in 0..greeting.len() {
            let _whatever = Greeting::parse(&greeting[..end]);
        }
        for other in [&b""[..], b"HTTP/1.1 400 Bad Request", b"\x09"] {
            assert!(Greeting::parse(other).is_err());
        }
    }
}

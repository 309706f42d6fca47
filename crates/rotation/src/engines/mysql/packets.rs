//! The packets of the protocol, their fields, and their errors.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::engine::EngineError;

/// The longest packet that is read. Those of a rotation are far shorter.
pub(super) const LONGEST_PACKET: usize = (1 << 24) - 2;

/// An error of a connection.
#[derive(Debug)]
pub(super) enum WireError {
    /// The server's error.
    Server {
        /// The error's number.
        code: u16,
        /// The error's text.
        message: String,
    },
    /// The server requires an authentication method that this client does not support.
    Method(String),
    /// The connection ended, or the server does not use this protocol.
    Broken(String),
    /// There is no connection.
    Engine(EngineError),
}

impl From<std::io::Error> for WireError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<EngineError> for WireError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

pub(super) fn broken(problem: &str) -> WireError {
    WireError::Broken(problem.to_owned())
}

/// The packets of a stream, numbered from 0 in each exchange.
pub(super) struct Packets<S> {
    pub(super) stream: S,
    /// The number of the next packet.
    pub(super) next: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    pub(super) async fn read(&mut self) -> Result<Vec<u8>, WireError> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        if length > LONGEST_PACKET {
            return Err(broken("a response is longer than expected"));
        }
        if head[3] != self.next {
            return Err(broken("a packet is out of order"));
        }
        self.next = head[3].wrapping_add(1);
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    /// Reads a packet that is not an error.
    pub(super) async fn read_answer(&mut self) -> Result<Vec<u8>, WireError> {
        let packet = self.read().await?;
        match packet.split_first() {
            Some((0xff, rest)) => Err(server_error(rest)),
            _ => Ok(packet),
        }
    }

    pub(super) async fn write(&mut self, packet: &[u8]) -> Result<(), WireError> {
        if packet.len() > LONGEST_PACKET {
            return Err(broken("a statement is longer than the protocol allows"));
        }
        let mut bytes = (packet.len() as u32).to_le_bytes();
        bytes[3] = self.next;
        self.next = self.next.wrapping_add(1);
        self.stream.write_all(&[&bytes, packet].concat()).await?;
        self.stream.flush().await?;
        Ok(())
    }
}

/// Parses an error packet without its first byte.
pub(super) fn server_error(packet: &[u8]) -> WireError {
    let mut fields = Fields(packet);
    let Ok(code) = fields.number(2) else { return broken("an error packet is cut off") };
    let text = String::from_utf8_lossy(fields.0);
    let state = |text: &str| text.strip_prefix('#').and_then(|text| text.get(5..)).map(str::to_owned);
    WireError::Server { code: code as u16, message: state(&text).unwrap_or_else(|| text.into_owned()) }
}

/// The fields of a packet.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (found, rest) = self.0.split_at_checked(count).ok_or_else(|| broken("a packet is cut off"))?;
        self.0 = rest;
        Ok(found)
    }

    pub(super) fn number(&mut self, bytes: usize) -> Result<u32, WireError> {
        Ok(self.bytes(bytes)?.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    }

    /// Reads until a zero byte or the end.
    pub(super) fn until_zero(&mut self) -> Result<&'a [u8], WireError> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let found = self.bytes(end.unwrap_or(self.0.len()))?;
        self.0 = self.0.get(1..).unwrap_or_default();
        Ok(found)
    }

    /// Reads a number whose first byte has its length.
    pub(super) fn length(&mut self) -> Result<usize, WireError> {
        match self.number(1)? {
            0xfc => Ok(self.number(2)? as usize),
            0xfd => Ok(self.number(3)? as usize),
            short if short < 0xfb => Ok(short as usize),
            _ => Err(broken("a length is not understood")),
        }
    }

    pub(super) fn text(&mut self) -> Result<Option<String>, WireError> {
        if let Some((0xfb, rest)) = self.0.split_first() {
            self.0 = rest;
            return Ok(None);
        }
        let length = self.length()?;
        Ok(Some(String::from_utf8_lossy(self.bytes(length)?).into_owned()))
    }
}

//! The login with a password that is stored as `sha256|…`: Redshift's own authentication request
//! 13, which no PostgreSQL client knows.
//!
//! The stream examines the server's first message. If it requests a digest, the stream responds,
//! and the client above sees only what follows. Any other message passes. Source: AWS's open
//! drivers, redshift_connector 2.2.0 and amazon-redshift-jdbc-driver.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::engines::bounded::Bounded;

/// The bytes before the body of a message: its type and its length.
const HEAD: usize = 5;
/// More than the longest authentication request.
const LONGEST: usize = 4096;
/// `AUTH_REQ_DIGEST`.
const DIGEST: i32 = 13;

/// TLS whose sessions can respond to a request for a digest.
#[derive(Clone)]
pub(super) struct DigestTls<T> {
    pub(super) tls: T,
    pub(super) password: SecretString,
    /// Set if there was such a request.
    pub(super) requested: Arc<AtomicBool>,
}

impl<C: TlsConnect<Bounded>> TlsConnect<Bounded> for DigestTls<C>
where
    C::Future: Send + 'static,
    C::Stream: Unpin,
{
    type Stream = DigestStream<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, socket: Bounded) -> Self::Future {
        let connecting = self.tls.connect(socket);
        let (password, requested) = (self.password, self.requested);
        Box::pin(async move { Ok(DigestStream::new(connecting.await?, password, requested)) })
    }
}

/// A stream whose first message from the server may be a request for a digest.
pub(super) struct DigestStream<S> {
    inner: S,
    password: SecretString,
    requested: Arc<AtomicBool>,
    state: State,
}

enum State {
    /// Reads the first message; these bytes have arrived.
    First(Vec<u8>),
    /// Writes the response; these bytes are left.
    Answer(Vec<u8>),
    /// Passes these bytes, which were read too early, to the client above.
    Rest(Vec<u8>),
    Through,
}

impl<S> DigestStream<S> {
    fn new(inner: S, password: SecretString, requested: Arc<AtomicBool>) -> Self {
        Self { inner, password, requested, state: State::First(Vec::new()) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> DigestStream<S> {
    /// Becomes ready when the next bytes are for the client above.
    fn poll_answered(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::First(seen) => {
                    let wanted = wanted(seen);
                    if seen.len() >= wanted {
                        let message = std::mem::take(seen);
                        self.state = match answer(&message, self.password.expose_secret().as_bytes())? {
                            None => State::Rest(message),
                            Some(answer) => {
                                self.requested.store(true, Ordering::Relaxed);
                                State::Answer(answer)
                            }
                        };
                        continue;
                    }
                    // Only the first message: what follows belongs to the client.
                    let mut bytes = [0; LONGEST];
                    let mut buffer = ReadBuf::new(&mut bytes[..wanted - seen.len()]);
                    ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer))?;
                    if buffer.filled().is_empty() {
                        let ended = std::mem::take(seen);
                        self.state = State::Rest(ended);
                    } else {
                        seen.extend_from_slice(buffer.filled());
                    }
                }
                State::Answer(left) if !left.is_empty() => {
                    let written = ready!(Pin::new(&mut self.inner).poll_write(context, left))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    left.drain(..written);
                }
                State::Answer(_) => {
                    ready!(Pin::new(&mut self.inner).poll_flush(context))?;
                    self.state = State::Through;
                }
                State::Rest(_) | State::Through => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Returns the known length of the first message. Only an authentication request is read
/// completely.
fn wanted(seen: &[u8]) -> usize {
    match seen {
        [b'R', a, b, c, d, ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1).clamp(HEAD, LONGEST)
        }
        [b'R', ..] | [] => HEAD,
        [_, ..] => seen.len(),
    }
}

/// Returns the response to a request for a digest; `None` if the message is something else.
fn answer(message: &[u8], password: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = message.get(HEAD..).unwrap_or_default();
    if message.first() != Some(&b'R') || number(&mut body) != Some(DIGEST) {
        return Ok(None);
    }
    let bad = || io::Error::other("the server's request for a digest is of an unknown form");
    // SHA-256 is the only algorithm.
    if number(&mut body) != Some(0) {
        return Err(bad());
    }
    let salt = counted(&mut body).ok_or_else(bad)?;
    let server_nonce = counted(&mut body).ok_or_else(bad)?;
    // Milliseconds since 1970, as in AWS's drivers.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let client_nonce = now.as_millis().to_string();
    let digest = digest(password, salt, server_nonce, client_nonce.as_bytes());
    let mut answer = vec![b'd'];
    // The message has its own length, then each part with its length.
    for part in [&digest[..], client_nonce.as_bytes()] {
        let length = u32::try_from(part.len()).map_err(|_| bad())?;
        answer.extend_from_slice(&length.to_be_bytes());
        answer.extend_from_slice(part);
    }
    let length = u32::try_from(answer.len() - 1 + 4).map_err(|_| bad())?;
    answer.splice(1..1, length.to_be_bytes());
    Ok(Some(answer))
}

fn digest(password: &[u8], salt: &[u8], server_nonce: &[u8], client_nonce: &[u8]) -> [u8; 32] {
    let stored = Sha256::new().chain_update(password).chain_update(salt).finalize();
    Sha256::new().chain_update(stored).chain_update(server_nonce).chain_update(client_nonce).finalize().into()
}

fn number(body: &mut &[u8]) -> Option<i32> {
    let (head, rest) = body.split_first_chunk::<4>()?;
    *body = rest;
    Some(i32::from_be_bytes(*head))
}

fn counted<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(body)?).ok()?;
    let (part, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(part)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for DigestStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_answered(context))?;
        if let State::Rest(rest) = &mut self.state {
            let length = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..length]);
            rest.drain(..length);
            if rest.is_empty() {
                self.state = State::Through;
            }
            if length > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DigestStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for DigestStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const SALT: &[u8] = &[7; 32];
    const NONCE: &[u8] = b"server nonce";

    fn request(algorithm: i32) -> Vec<u8> {
        let mut body = [DIGEST.to_be_bytes(), algorithm.to_be_bytes()].concat();
        for part in [SALT, NONCE] {
            body.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            body.extend(part);
        }
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&b"R"[..], &length, &body].concat()
    }

    fn client(password: &str) -> (DuplexStream, DigestStream<DuplexStream>, Arc<AtomicBool>) {
        // Three bytes at a time: no message arrives in one piece.
        let (server, client) = tokio::io::duplex(3);
        let requested = Arc::new(AtomicBool::new(false));
        (server, DigestStream::new(client, password.into(), Arc::clone(&requested)), requested)
    }

    #[tokio::test]
    async fn digest_response_is_valid_and_the_client_sees_the_rest() {
        let (mut server, mut client, requested) = client("Mypassword1");
        let checking = tokio::spawn(async move {
            server.write_all(&request(0)).await.unwrap();
            let mut head = [0; 5];
            server.read_exact(&mut head).await.unwrap();
            let [kind, length @ ..] = head;
            let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
            server.read_exact(&mut body).await.unwrap();
            let mut rest = &body[..];
            let (digest, nonce) = (counted(&mut rest).unwrap(), counted(&mut rest).unwrap());
            // The server has only what it stored.
            let stored = Sha256::new().chain_update("Mypassword1").chain_update(SALT).finalize();
            let expected =
                Sha256::new().chain_update(stored).chain_update(NONCE).chain_update(nonce).finalize();
            assert_eq!((kind, digest, rest), (b'd', &expected[..], &b""[..]));
            assert!(nonce.iter().all(u8::is_ascii_digit), "{nonce:?}");
            server.write_all(b"R\0\0\0\x08\0\0\0\0Z...").await.unwrap();
        });
        let mut after = [0; 13];
        client.read_exact(&mut after).await.unwrap();
        assert_eq!(&after, b"R\0\0\0\x08\0\0\0\0Z...");
        assert!(requested.load(Ordering::Relaxed));
        checking.await.unwrap();
    }

    #[tokio::test]
    async fn other_first_messages_pass_unchanged() {
        let md5 = b"R\0\0\0\x0c\0\0\0\x05saltmore".as_slice();
        for message in [md5, b"E\0\0\0\x06no".as_slice(), b"R\0".as_slice(), b"".as_slice()] {
            let (mut server, mut client, requested) = client("p");
            let sending = tokio::spawn(async move { server.write_all(message).await.unwrap() });
            let mut seen = Vec::new();
            client.read_to_end(&mut seen).await.unwrap();
            assert_eq!((seen.as_slice(), requested.load(Ordering::Relaxed)), (message, false));
            sending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn unknown_digest_request_ends_the_login() {
        let cut = [b"R".as_slice(), &15_u32.to_be_bytes(), &request(0)[5..16]].concat();
        for message in [request(1), cut] {
            let (mut server, mut client, _) = client("hunter2");
            let sending = tokio::spawn(async move {
                server.write_all(&message).await.unwrap();
                let mut seen = Vec::new();
                server.read_to_end(&mut seen).await.unwrap();
                seen
            });
            let error = client.read_u8().await.unwrap_err();
            assert!(error.to_string().contains("unknown form"), "{error}");
            drop(client);
            assert_eq!(sending.await.unwrap(), b"");
        }
    }
}

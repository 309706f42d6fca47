//! A server that asks for a digest, as Redshift does for a password stored as sha256; no PostgreSQL
//! can. It knows one user and answers every statement with success.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use local_servers::tls::ServerCertificate;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The server.
pub(crate) struct Digesting {
    /// On 127.0.0.1.
    pub(crate) port: u16,
    statements: Arc<Mutex<Vec<String>>>,
    folds: Arc<AtomicBool>,
}

const SALT: &[u8] = b"0123456789abcdef0123456789abcdef";
const NONCE: &[u8] = b"a nonce of the server";

impl Digesting {
    /// With the password of its user.
    pub(crate) async fn start(certificate: &ServerCertificate, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let statements: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&statements);
        let folds: Arc<AtomicBool> = Arc::default();
        let folded = Arc::clone(&folds);
        let stored: [u8; 32] = Sha256::new().chain_update(password).chain_update(SALT).finalize().into();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                let folds = folded.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    // A client that has gone away is no failure.
                    let _ended = serve(socket, acceptor, stored, &seen, folds).await;
                });
            }
        });
        Self { port, statements, folds }
    }

    /// From now on, names are folded to lower case in sessions that do not set
    /// `enable_case_sensitive_identifier`, also in quotes.
    pub(crate) fn fold(&self) {
        self.folds.store(true, Ordering::Relaxed);
    }

    /// Statements that came.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.statements.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    acceptor: TlsAcceptor,
    stored: [u8; 32],
    seen: &Mutex<Vec<String>>,
    mut folds: bool,
) -> std::io::Result<()> {
    // SSLRequest, to be answered before TLS begins.
    body(&mut socket).await?;
    socket.write_all(b"S").await?;
    let mut stream = acceptor.accept(socket).await?;
    // StartupMessage.
    body(&mut stream).await?;
    send(
        &mut stream,
        b'R',
        &[&13_i32.to_be_bytes()[..], &0_i32.to_be_bytes(), &counted(SALT), &counted(NONCE)].concat(),
    )
    .await?;
    assert_eq!(stream.read_u8().await?, b'd');
    let answer = body(&mut stream).await?;
    // 32 bytes of digest, and the client's nonce, each with its length before it.
    let (digest, nonce) = (&answer[4..36], &answer[40..]);
    let expected = Sha256::new().chain_update(stored).chain_update(NONCE).chain_update(nonce).finalize();
    if digest != &expected[..] {
        return send(
            &mut stream,
            b'E',
            b"SFATAL\0C28000\0Mpassword authentication failed for user \"u\"\0\0",
        )
        .await;
    }
    send(&mut stream, b'R', &0_i32.to_be_bytes()).await?;
    send(&mut stream, b'Z', b"I").await?;
    while stream.read_u8().await? == b'Q' {
        let text = body(&mut stream).await?;
        let text = String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned();
        seen.lock().unwrap().push(text.clone());
        folds &= text != "SET enable_case_sensitive_identifier TO true";
        let error = match text.as_str() {
            text if folds && text.contains("\"LoaderUser\"") => "user \"loaderuser\" does not exist",
            text if folds && text.contains("\"A\"") => "column reference \"a\" is ambiguous",
            _ => "",
        };
        if error.is_empty() {
            send(&mut stream, b'C', b"ALTER USER\0").await?;
        } else {
            send(&mut stream, b'E', format!("SERROR\0C42000\0M{error}\0\0").as_bytes()).await?;
        }
        send(&mut stream, b'Z', b"I").await?;
    }
    Ok(())
}

async fn body(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_u32().await?).unwrap() - 4;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    stream.write_all(&[&[kind][..], &length, body].concat()).await?;
    stream.flush().await
}

fn counted(part: &[u8]) -> Vec<u8> {
    [&u32::try_from(part.len()).unwrap().to_be_bytes(), part].concat()
}

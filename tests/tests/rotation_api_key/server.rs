//! The provider of keys behind TLS, on a free port, and connections that break as ordered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use test_support::rotation::KeyProvider;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The treatment of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// It is closed before TLS.
    BeforeTls,
    /// It is closed after the request was read, which has no effect.
    BeforeEffect,
    /// It is closed after the request had its effect.
    BeforeAnswer,
    /// It is closed in the middle of the answer.
    InTheAnswer,
}

impl Break {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::BeforeTls, Self::BeforeEffect, Self::BeforeAnswer, Self::InTheAnswer];
}

type Plan = Arc<Mutex<VecDeque<Option<Break>>>>;

/// The server; it ends with this value.
pub(crate) struct Server {
    /// The runtime that it runs on, for the test's own use too.
    pub(crate) runtime: Runtime,
    /// Certificate of its CA.
    pub(crate) ca: String,
    address: SocketAddr,
    plan: Plan,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_provider(Arc::default()).0
    }

    /// Serves whatever provider is in the slot.
    pub(crate) fn with_provider(slot: Slot) -> (Self, Slot) {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        let made = local_servers::tls::make("key provider", &ca_file).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Plan::default();
        let (served, planned) = (Arc::clone(&slot), Arc::clone(&plan));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let broken = planned.lock().unwrap().pop_front().flatten();
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&served), broken));
            }
        });
        let ca = std::fs::read_to_string(&ca_file).unwrap();
        (Self { runtime, ca, address, plan }, slot)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The connection with this number from now on breaks, counted from 0.
    pub(crate) fn break_connection(&self, number: usize, how: Break) {
        let mut plan = self.plan.lock().unwrap();
        plan.clear();
        plan.resize(number, None);
        plan.push_back(Some(how));
    }

    /// Returns true if the ordered connection was broken.
    pub(crate) fn has_broken(&self) -> bool {
        self.plan.lock().unwrap().is_empty()
    }
}

/// The provider that is served now.
pub(crate) type Slot = Arc<Mutex<Option<Arc<KeyProvider>>>>;

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, slot: Slot, broken: Option<Break>) {
    if broken == Some(Break::BeforeTls) {
        return;
    }
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request: Request<Incoming>| {
        let slot = Arc::clone(&slot);
        async move { answer(request, &slot, broken).await.ok_or("broken as ordered") }
    });
    // The client hangs up when it has seen enough.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, slot: &Slot, broken: Option<Break>) -> Option<Response<Text>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    if broken == Some(Break::BeforeEffect) {
        return None;
    }
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let provider = slot.lock().unwrap().clone()?;
    let target = parts.uri.path_and_query()?.as_str();
    let body = String::from_utf8_lossy(&body);
    let reply = provider.handle(parts.method.as_str(), target, authorization, &body);
    if broken == Some(Break::BeforeAnswer) {
        return None;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Text { text: Some(reply.body.into()), broken: broken == Some(Break::InTheAnswer) }).ok()
}

/// A body that may end too early.
struct Text {
    text: Option<Bytes>,
    broken: bool,
}

impl Body for Text {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let broken = self.broken;
        Poll::Ready(match self.text.take() {
            Some(text) if broken => Some(Ok(Frame::data(text.slice(..text.len() / 2)))),
            Some(text) => Some(Ok(Frame::data(text))),
            None if broken => Some(Err(std::io::Error::other("broken as ordered"))),
            None => None,
        })
    }
}

/// A server that speaks HTTP without TLS, and counts who comes.
pub(crate) fn plain_http() -> (u16, Arc<Mutex<usize>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        use std::io::Write;
        for mut stream in listener.incoming().flatten() {
            *counted.lock().unwrap() += 1;
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
        }
    });
    (port, count)
}

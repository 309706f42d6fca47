//! A TLS proxy for a broker without TLS. It counts requests, and can close a connection at one of
//! them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::ServerError;
use crate::tls::{self, ServerCertificate};

/// Largest frame that the proxy forwards.
const LARGEST: u32 = 16 << 20;

/// The moment at which a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the broker gets the request.
    Before,
    /// After the broker's response, and before the client gets it.
    Answered,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<i16>,
    cut: Option<(usize, Cut)>,
}

/// A listener with TLS, in a thread of its own.
#[derive(Debug)]
pub struct Front {
    port: u16,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Front {
    /// Starts a proxy for the plain listener on a port of 127.0.0.1.
    ///
    /// # Errors
    /// The certificate cannot be used, or there is no port.
    pub fn start(certificate: &ServerCertificate, behind: u16) -> Result<Self, ServerError> {
        let acceptor = tls::acceptor(certificate)?;
        let cannot = |error: std::io::Error| failed(&error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, acceptor, behind, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { port, state, stop: Some(stop), thread: Some(thread) })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// API keys of the requests since the last call, including those whose connection was closed.
    #[must_use]
    pub fn take_requests(&self) -> Vec<i16> {
        std::mem::take(&mut lock(&self.state).requests)
    }

    /// Closes one connection at the request of this number, counted from 0 since the last
    /// [`Front::take_requests`].
    pub fn cut_at(&self, request: usize, cut: Cut) {
        lock(&self.state).cut = Some((request, cut));
    }

    /// Cancels the closing of a connection; returns true if it has not happened yet.
    #[must_use]
    pub fn take_cut(&self) -> bool {
        lock(&self.state).cut.take().is_some()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may already have ended.
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: &dyn std::fmt::Display) -> ServerError {
    ServerError::Program { program: "TLS before Kafka".to_owned(), output: error.to_string() }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: u16, state: Arc<Mutex<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // A small response does not wait for the acknowledgement of the one before (40 ms).
            let Ok(()) = client.set_nodelay(true) else { return };
            let Ok(client) = acceptor.accept(client).await else { return };
            let Ok(broker) = TcpStream::connect(("127.0.0.1", behind)).await else { return };
            let Ok(()) = broker.set_nodelay(true) else { return };
            // Both sides notice a broken connection themselves.
            let _ended = pass(client, broker, &state).await;
        });
    }
}

/// Forwards requests and responses until one side ends or the connection is closed.
async fn pass(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut broker: TcpStream,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    loop {
        let request = frame(&mut client).await?;
        let cut = {
            let mut state = lock(state);
            let number = state.requests.len();
            let key = request.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(i16::from_be_bytes);
            state.requests.push(key.unwrap_or(-1));
            state.cut.take_if(|(at, _)| *at == number).map(|(_, cut)| cut)
        };
        if cut == Some(Cut::Before) {
            return Ok(());
        }
        broker.write_all(&request).await?;
        let answer = frame(&mut broker).await?;
        if cut == Some(Cut::Answered) {
            return Ok(());
        }
        client.write_all(&answer).await?;
        client.flush().await?;
    }
}

/// A frame with its length.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    if length > LARGEST {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut frame = length.to_be_bytes().to_vec();
    let read = stream.take(length.into()).read_to_end(&mut frame).await?;
    if read as u64 != u64::from(length) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

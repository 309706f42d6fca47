//! A connection that breaks right before or right after the n-th thing that the client sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The point at which a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server does not see it any more.
    Before,
    /// The server sees it, the client no answer.
    After,
}

/// Between a client and a server on 127.0.0.1.
pub(crate) struct Proxy {
    /// Its own port.
    pub(crate) port: u16,
    plan: Arc<Plan>,
}

struct Plan {
    /// Things that clients sent. A client of the wire protocol sends one, and waits.
    sent: AtomicUsize,
    cut_at: AtomicUsize,
    after: std::sync::atomic::AtomicBool,
}

impl Proxy {
    /// To a port.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Plan {
            sent: AtomicUsize::new(0),
            cut_at: AtomicUsize::new(usize::MAX),
            after: false.into(),
        });
        let shared = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                client.set_nodelay(true).and(server.set_nodelay(true)).unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, plan }
    }

    /// Breaks at the n-th thing from now, counted from 0; once.
    pub(crate) fn cut(&self, at: usize, cut: Cut) {
        self.plan.sent.store(0, Ordering::SeqCst);
        self.plan.after.store(cut == Cut::After, Ordering::SeqCst);
        self.plan.cut_at.store(at, Ordering::SeqCst);
    }

    /// Things that were sent since then.
    pub(crate) fn sent(&self) -> usize {
        self.plan.sent.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        let _ended = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
        let cut = plan.sent.fetch_add(1, Ordering::SeqCst) == plan.cut_at.load(Ordering::SeqCst);
        if cut && !plan.after.load(Ordering::SeqCst) {
            break;
        }
        if cut {
            // No answer gets back.
            back.abort();
        }
        if to_server.write_all(&bytes[..length]).await.is_err() || cut {
            break;
        }
    }
    back.abort();
}

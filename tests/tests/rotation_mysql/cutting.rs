//! A proxy that breaks the connection before or after the n-th message of a client, and an engine
//! that changes passwords through it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rotation::document::{DocumentError, SecretDocument};
use rotation::engine::{Account, Engine, EngineError, Login};
use rotation::engines::mysql::Mysql;
use rotation::password::PasswordPolicy;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The point at which the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never sees the message.
    Before,
    /// The server has done what the message asks for, and its answer is lost.
    After,
}

/// Which message it is, counted from 0 over all connections: the client's end of the handshake of
/// TLS, its login, each statement.
type Plan = Arc<Mutex<Option<(Cut, usize)>>>;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    plan: Plan,
}

impl Proxy {
    pub(crate) fn start(runtime: &Runtime, server: u16) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Plan::default();
        let plans = Arc::clone(&plan);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                client.set_nodelay(true).and(server.set_nodelay(true)).unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&plans)));
            }
        });
        Self { port, plan }
    }

    pub(crate) fn arm(&self, cut: Cut, number: usize) {
        *self.plan.lock().unwrap() = Some((cut, number));
    }

    /// Returns true if the connection was broken.
    pub(crate) fn disarm(&self) -> bool {
        self.plan.lock().unwrap().take().is_none()
    }
}

/// The cut that is due at this message.
fn due(plan: &Plan) -> Option<Cut> {
    let mut plan = plan.lock().unwrap();
    match &mut *plan {
        Some((_, left)) if *left > 0 => {
            *left -= 1;
            None
        }
        other => other.take().map(|(cut, _)| cut),
    }
}

async fn pass(client: TcpStream, server: TcpStream, plan: Plan) -> Option<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let silent = Arc::new(AtomicBool::new(false));
    let quiet = Arc::clone(&silent);
    let answers = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if !quiet.load(Ordering::SeqCst) && to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    });
    // The request for TLS: a packet of 32 bytes.
    let mut request = [0; 36];
    from_client.read_exact(&mut request).await.ok()?;
    to_server.write_all(&request).await.ok()?;
    loop {
        // A record of TLS: type, version, length.
        let mut record = vec![0; 5];
        from_client.read_exact(&mut record).await.ok()?;
        let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
        record.resize(5 + length, 0);
        from_client.read_exact(&mut record[5..]).await.ok()?;
        let cut = if record[0] == 0x17 { due(&plan) } else { None };
        if cut == Some(Cut::Before) {
            answers.abort();
            return None;
        }
        if cut == Some(Cut::After) {
            silent.store(true, Ordering::SeqCst);
        }
        to_server.write_all(&record).await.ok()?;
        if cut == Some(Cut::After) {
            // The server does what it was asked for, and then sees that nobody is there any more.
            to_server.shutdown().await.ok()?;
            answers.await.ok()?;
            return None;
        }
    }
}

/// The engine, which changes passwords through the proxy and logs in past it.
pub(crate) struct Cutting<'a> {
    pub(crate) engine: &'a Mysql,
    pub(crate) port: u16,
}

impl Cutting<'_> {
    fn through(&self, by: &Account) -> Account {
        let mut by = by.clone();
        by.server.port = self.port;
        by
    }
}

impl Engine for Cutting<'_> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn password_policy(&self) -> PasswordPolicy {
        self.engine.password_policy()
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        self.engine.account(document)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        self.engine.log_in(account).await
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        self.engine.set_password(&self.through(by), user, new).await
    }

    fn max_user_bytes(&self) -> Option<usize> {
        self.engine.max_user_bytes()
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        like: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        self.engine.set_other_user(&self.through(admin), like, user, new).await
    }
}

//! A cluster behind listeners with TLS, and an engine that trusts their CA.

use std::collections::HashMap;

use local_servers::tls;
use rotation::document::SecretDocument;
use rotation::engine::{Engine, Login};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::engines::trust::Tls;
use rotation::event::Step;
use serde_json::{Value, json};
use test_support::rotation::{Drill, MemorySecret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::cluster::{Cluster, Reply, Session};

pub const USER: &str = "app";
pub const FIRST: &str = "first-password";
const ADMIN_PASSWORD: &str = "admin-password";

pub struct Stage {
    pub cluster: Cluster,
    pub engine: Kafka,
    ca: String,
}

impl Stage {
    pub async fn new(brokers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        let certificate = tls::make("model", &ca_file).unwrap();
        let ca = std::fs::read_to_string(&ca_file).unwrap();
        let acceptor = tls::acceptor(&certificate).unwrap();
        let cluster = Cluster::new();
        for broker in 0..brokers {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            cluster.state().ports.push(listener.local_addr().unwrap().port());
            tokio::spawn(listen(listener, acceptor.clone(), cluster.clone(), broker));
        }
        let tls = Tls::new(Some(&ca), None).unwrap();
        let engine = Kafka::new(tls, Kafka::default_policy(), Iterations::new(4096).unwrap());
        cluster.set_user("admin", 2, ADMIN_PASSWORD);
        cluster.state().super_users.push(USER.to_owned());
        let stage = Self { cluster, engine, ca };
        stage.reset(&[2]);
        stage
    }

    pub fn tls(&self) -> Tls {
        Tls::new(Some(&self.ca), None).unwrap()
    }

    /// The user as in the beginning, with credentials for these mechanisms, and no other but the
    /// admin.
    pub fn reset(&self, mechanisms: &[i8]) {
        self.cluster.state().users.retain(|user, _| user == "admin");
        for mechanism in mechanisms {
            self.cluster.set_user(USER, *mechanism, FIRST);
        }
    }

    pub fn value(&self) -> Value {
        let port = self.cluster.state().ports[0];
        json!({"engine": "kafka", "host": "localhost", "port": port, "username": USER, "password": FIRST, "note": "keep me"})
    }

    pub fn secret(&self, value: &Value) -> MemorySecret {
        let mut admin = self.value();
        admin["username"] = "admin".into();
        admin["password"] = ADMIN_PASSWORD.into();
        MemorySecret::new(&value.to_string()).with_admin(&admin.to_string())
    }

    pub async fn log_in(&self, value: &Value) -> Result<Login, String> {
        let document = SecretDocument::parse(&value.to_string().into()).unwrap();
        let account = self.engine.account(&document).unwrap();
        self.engine.log_in(&account).await.map_err(|error| format!("{}: {error}", error.name()))
    }

    /// createSecret and setSecret of a single user; the new password, or the error.
    pub async fn set(&self, value: &Value) -> Result<String, String> {
        let secret = self.secret(value);
        let drill = Drill::new(&secret, &self.engine, HashMap::new());
        drill.step(Step::Create).await.unwrap().unwrap();
        match drill.step(Step::Set).await.unwrap() {
            Ok(_) => Ok(secret.document("AWSPENDING").unwrap().text("password").unwrap().to_owned()),
            Err(error) => Err(format!("{}: {error}", error.name())),
        }
    }
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, cluster: Cluster, broker: usize) {
    while let Ok((stream, _)) = listener.accept().await {
        // A small response does not wait for the acknowledgement of the one before (40 ms).
        stream.set_nodelay(true).unwrap();
        let (acceptor, cluster) = (acceptor.clone(), cluster.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut session = Session::default();
            while let Ok(length) = stream.read_u32().await {
                let mut frame = vec![0; usize::try_from(length).unwrap()];
                stream.read_exact(&mut frame).await.unwrap();
                let (bytes, ends) = match cluster.answer(broker, &mut session, &frame) {
                    Reply::Frame(body) => (framed(&body), false),
                    Reply::Last(body) => (framed(&body), true),
                    Reply::Raw(bytes) => (bytes, true),
                };
                if stream.write_all(&bytes).await.is_err() || ends {
                    break;
                }
            }
            // The client may have gone.
            let _gone = stream.shutdown().await;
        });
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

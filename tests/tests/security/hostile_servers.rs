//! Servers that answer with anything but what they should, before and inside TLS: a login ends with an
//! error in bounded time and memory, and no password leaves without a valid certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use local_servers::tls;
use rotation::document::SecretDocument;
use rotation::engine::{Account, Engine, Login};
use rotation::engines::kafka::{Iterations, Kafka};
use rotation::engines::mysql::{Mysql, OldPassword};
use rotation::engines::postgres::Postgres;
use rotation::engines::redis;
use rotation::engines::trust::Tls;
use rotation::keys::http::{Http, Https};
use rotation::keys::request::Request;
use rotation::keys::shape::{Auth, Method};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The longest time that a login may take.
const WITHIN: Duration = Duration::from_secs(30);
/// The largest number of bytes that a client reads from an endless answer: buffers of both ends of
/// the connection included.
const MOST: u64 = 48 << 20;
const PASSWORD: &str = "Never-In-The-Clear-0815";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Postgres,
    Mysql,
    Kafka,
    Redis,
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Closes the connection.
    Nothing,
    /// Never answers, and keeps the connection.
    Silence,
    Garbage,
    /// The announcement of a huge message, then bytes without an end.
    Endless,
    /// A server that speaks TLS 1.1 only.
    OldTls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certificate {
    /// Valid: the answer comes inside TLS.
    Valid,
    /// Of another CA.
    OtherCa,
    /// For another name.
    OtherName,
    /// There is no TLS: the answer comes at once.
    None,
}

#[derive(Default)]
struct Traffic {
    /// The bytes that a client sent before a TLS handshake succeeded.
    plain: std::sync::Mutex<Vec<u8>>,
    /// The number of bytes that a server could send.
    sent: AtomicU64,
}

/// A message of the client's protocol that announces as much as its length field can.
fn endless(client: Client) -> Vec<u8> {
    match client {
        // A row description of two gigabytes.
        Client::Postgres => [&b"T"[..], &i32::MAX.to_be_bytes()].concat(),
        Client::Mysql => vec![0xfd, 0xff, 0xff, 2, 1],
        Client::Kafka => i32::MAX.to_be_bytes().to_vec(),
        Client::Redis => b"+".to_vec(),
        Client::Https => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
    }
}

/// What the server sends before TLS, where the client waits for it.
async fn preface<S: AsyncRead + AsyncWrite + Unpin>(client: Client, stream: &mut S) -> std::io::Result<()> {
    match client {
        Client::Postgres => {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await?;
            stream.write_all(b"S").await
        }
        Client::Mysql => {
            stream.write_all(&greeting()).await?;
            let mut request = [0; 36];
            stream.read_exact(&mut request).await.map(|_| ())
        }
        Client::Kafka | Client::Redis | Client::Https => Ok(()),
    }
}

/// A greeting of MySQL 8.0 that offers TLS.
fn greeting() -> Vec<u8> {
    let mut body = b"\x0a8.0.36\0\x01\0\0\0abcdefgh\0\xff\xff\x2d\x02\0\xff\xdf\x15".to_vec();
    body.extend([0; 10]);
    body.extend(b"ijklmnopqrst\0caching_sha2_password\0");
    let mut packet = u32::try_from(body.len()).unwrap().to_le_bytes()[..3].to_vec();
    packet.push(0);
    packet.extend(body);
    packet
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    client: Client,
    answer: Answer,
    stream: &mut S,
    traffic: &Traffic,
    is_plain: bool,
) {
    let mut buffer = [0; 4096];
    let mut keep = async |stream: &mut S| {
        let read = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut buffer)).await;
        if let (Ok(Ok(length)), true) = (read, is_plain) {
            traffic.plain.lock().unwrap().extend(&buffer[..length]);
        }
    };
    keep(stream).await;
    match answer {
        Answer::Nothing => {}
        Answer::Silence => {
            while tokio::time::timeout(WITHIN, stream.read(&mut buffer))
                .await
                .is_ok_and(|read| read.is_ok_and(|length| length > 0))
            {}
        }
        Answer::Garbage => {
            let _gone = stream.write_all(&[0xe7; 4096]).await;
            keep(stream).await;
        }
        Answer::OldTls => {
            // A handshake record with a ServerHello of version 3.2, which is TLS 1.1, without
            // extensions. Source: RFC 4346, 7.4.1.3.
            let mut hello = vec![2, 0, 0, 38, 3, 2];
            hello.extend([7; 32]);
            hello.extend([0, 0, 0x2f, 0]);
            let mut record = vec![22, 3, 2, 0, u8::try_from(hello.len()).unwrap()];
            record.extend(hello);
            let _gone = stream.write_all(&record).await;
            keep(stream).await;
        }
        Answer::Endless => {
            let _gone = stream.write_all(&endless(client)).await;
            let chunk = vec![b'x'; 1 << 16];
            while stream.write_all(&chunk).await.is_ok() {
                if traffic.sent.fetch_add(1 << 16, Ordering::Relaxed) > 4 * MOST {
                    break;
                }
            }
        }
    }
}

async fn serve(
    listener: TcpListener,
    client: Client,
    behaviour: (Certificate, Answer),
    acceptor: TlsAcceptor,
    traffic: Arc<Traffic>,
) {
    let (certificate, kind) = behaviour;
    while let Ok((mut stream, _)) = listener.accept().await {
        let (acceptor, traffic) = (acceptor.clone(), Arc::clone(&traffic));
        tokio::spawn(async move {
            if certificate == Certificate::None {
                if kind == Answer::OldTls && preface(client, &mut stream).await.is_err() {
                    return;
                }
                answer(client, kind, &mut stream, &traffic, true).await;
                return;
            }
            if preface(client, &mut stream).await.is_err() {
                return;
            }
            if let Ok(mut stream) = acceptor.accept(stream).await {
                answer(client, kind, &mut stream, &traffic, certificate != Certificate::Valid).await;
            }
        });
    }
}

/// Two CAs, of which the client trusts the first.
struct Trust {
    ca: String,
    valid: TlsAcceptor,
    of_other_ca: TlsAcceptor,
}

impl Trust {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.pem"), folder.path().join("other.pem"));
        let valid = tls::acceptor(&tls::make("one", &one).unwrap()).unwrap();
        let of_other_ca = tls::acceptor(&tls::make("other", &other).unwrap()).unwrap();
        Self { ca: std::fs::read_to_string(one).unwrap(), valid, of_other_ca }
    }
}

/// Tries a login; the error with its public name.
async fn log_in(client: Client, tls: Tls, port: u16) -> Result<String, String> {
    let document = |engine: &str| {
        let value = json!({"engine": engine, "host": "127.0.0.1", "port": port, "username": "app", "password": PASSWORD, "dbname": "app"});
        SecretDocument::parse(&value.to_string().into()).unwrap()
    };
    async fn with<E: Engine>(
        engine: E,
        document: &SecretDocument,
    ) -> Result<Login, rotation::engine::EngineError> {
        let account: Account = engine.account(document).unwrap();
        engine.log_in(&account).await
    }
    let result = match client {
        Client::Postgres => with(Postgres::new(tls, Postgres::default_policy()), &document("postgres")).await,
        Client::Mysql => {
            with(Mysql::new(tls, Mysql::default_policy(), OldPassword::KeptIfPossible), &document("mysql"))
                .await
        }
        Client::Kafka => {
            let iterations = Iterations::new(4096).unwrap();
            with(Kafka::new(tls, Kafka::default_policy(), iterations), &document("kafka")).await
        }
        Client::Redis => {
            let postgres = Postgres::new(tls.clone(), Postgres::default_policy());
            redis::log_in(&tls, &postgres.account(&document("postgres")).unwrap()).await
        }
        Client::Https => {
            let request = Request {
                method: Method::Get,
                host: "127.0.0.1".into(),
                port,
                target: "/".into(),
                auth: Auth::Bearer,
                headers: Vec::new(),
                body: None,
            };
            let headers = [("authorization", format!("Bearer {PASSWORD}").into())];
            return match Https::new(tls).send(&request, &headers, true).await {
                Ok(response) => Ok(format!("status {}", response.status)),
                Err(error) => Err(format!("{error:?}")),
            };
        }
    };
    result.map(|login| format!("{login:?}")).map_err(|error| format!("{}: {error}", error.name()))
}

/// Tries one behaviour; returns what is wrong with the client.
#[allow(clippy::print_stdout, reason = "the answers are for whoever reads the test's output")]
async fn attack(client: Client, certificate: Certificate, kind: Answer, trust: Arc<Trust>) -> Option<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let traffic = Arc::new(Traffic::default());
    let acceptor = if certificate == Certificate::OtherCa { &trust.of_other_ca } else { &trust.valid };
    let server =
        tokio::spawn(serve(listener, client, (certificate, kind), acceptor.clone(), Arc::clone(&traffic)));
    let name = (certificate == Certificate::OtherName).then_some("db.example.com");
    let tls = Tls::new(Some(&trust.ca), name).unwrap();
    let begun = Instant::now();
    let result = tokio::time::timeout(WITHIN, log_in(client, tls, port)).await;
    let took = begun.elapsed();
    server.abort();
    let case = format!("{client:?}, certificate {certificate:?}, {kind:?}");
    println!(
        "{case}: {:.1} s, {} KiB: {result:?}",
        took.as_secs_f64(),
        traffic.sent.load(Ordering::Relaxed) >> 10
    );
    let plain = traffic.plain.lock().unwrap().clone();
    let shows = |text: &[u8]| plain.windows(text.len()).any(|window| window == text);
    let expected = match certificate {
        Certificate::OtherCa | Certificate::OtherName => "trusted",
        _ => "",
    };
    let problem = match &result {
        Err(_) => format!("no end after {} s", WITHIN.as_secs()),
        Ok(Ok(login)) => format!("it was taken for an answer: {login}"),
        Ok(Err(error)) if !error.to_lowercase().contains(expected) => format!("another error: {error}"),
        Ok(Err(error)) if error.contains(PASSWORD) => "the error shows the password".to_owned(),
        Ok(Err(_)) if shows(PASSWORD.as_bytes()) => "the password was sent in the clear".to_owned(),
        Ok(Err(_)) if traffic.sent.load(Ordering::Relaxed) > MOST => {
            format!("it read {} MiB", traffic.sent.load(Ordering::Relaxed) >> 20)
        }
        Ok(Err(_)) => return None,
    };
    Some(format!("{case}: {problem}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_servers_get_no_password_time_or_memory() {
    let trust = Arc::new(Trust::new());
    let mut attacks = tokio::task::JoinSet::new();
    for client in [Client::Postgres, Client::Mysql, Client::Kafka, Client::Redis, Client::Https] {
        for kind in [Answer::Nothing, Answer::Silence, Answer::Garbage, Answer::Endless] {
            attacks.spawn(attack(client, Certificate::None, kind, Arc::clone(&trust)));
            attacks.spawn(attack(client, Certificate::Valid, kind, Arc::clone(&trust)));
        }
        attacks.spawn(attack(client, Certificate::None, Answer::OldTls, Arc::clone(&trust)));
        attacks.spawn(attack(client, Certificate::OtherCa, Answer::Silence, Arc::clone(&trust)));
        attacks.spawn(attack(client, Certificate::OtherName, Answer::Silence, Arc::clone(&trust)));
    }
    assert_eq!(attacks.len(), 55);
    let problems: Vec<String> = attacks.join_all().await.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

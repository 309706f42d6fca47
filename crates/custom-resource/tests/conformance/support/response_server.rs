//! The server behind the response URL: it listens on a free port and follows a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::http::{Received, read_request, write_response};

/// Path and query of every response URL here. The escapes (in either case), the `+` and the `/` in
/// the query would all change under a client that decodes and encodes again, and the signature
/// would no longer fit.
pub(crate) const TARGET: &str = "/arn%3Aaws%3acloudformation/r%7Cid?AWSAccessKeyId=AKIAEXAMPLE&Expires=1800000000&\
                          Signature=bearer%2Bcredential%2F+x/~%3d&X-Amz-Security-Token=a*b(c)";

/// Parts of the response URL. No log line, error or state machine input may hold any of these.
pub(crate) const URL_SECRETS: [&str; 4] =
    ["bearer%2B", "AKIAEXAMPLE", "X-Amz-Security-Token", "arn%3Aaws%3acloud"];

/// The server's reaction to one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// Answers with this status.
    Status(u16),
    /// Reads the request and never answers.
    Never,
    /// Reads the request and hangs up.
    HangUp,
    /// Answers with this status and a body that does not end.
    Endless(u16),
    /// Answers late.
    After(Duration, u16),
}

/// The server; dropping it ends the server.
pub(crate) struct ResponseServer {
    address: SocketAddr,
    puts: Arc<Mutex<Vec<Received>>>,
    accepting: JoinHandle<()>,
}

impl ResponseServer {
    /// Starts a server that sends `replies` in order, then 200 to every request.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let puts = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
        let kept = Arc::clone(&puts);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&replies)));
            }
        });
        Self { address, puts, accepting }
    }

    /// The response URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{TARGET}", self.address)
    }

    /// Returns the requests so far.
    pub(crate) fn puts(&self) -> Vec<Received> {
        self.puts.lock().unwrap().clone()
    }

    /// Returns the bodies so far. Checks each PUT against the requirements of S3.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.puts()
            .iter()
            .map(|put| {
                assert_eq!(put.method, "PUT");
                assert_eq!(put.target, TARGET, "the URL is part of the signature and must arrive as it was");
                assert_eq!(put.header("content-type"), None, "the header is part of the signature");
                assert_eq!(put.header("transfer-encoding"), None, "S3 takes no chunked PUT");
                assert_eq!(put.header("content-length"), Some(put.body.len().to_string().as_str()));
                assert!(put.body.len() <= 4096, "{} bytes, and CloudFormation takes 4096", put.body.len());
                serde_json::from_slice(&put.body).unwrap()
            })
            .collect()
    }
}

impl Drop for ResponseServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, puts: Arc<Mutex<Vec<Received>>>, replies: Arc<Mutex<VecDeque<Reply>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(put) = read_request(&mut stream).await {
        puts.lock().unwrap().push(put);
        let reply = replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(200));
        let status = match reply {
            Reply::Status(status) => status,
            Reply::Never => std::future::pending().await,
            Reply::HangUp => return,
            Reply::Endless(status) => {
                let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: 1000000000000\r\n\r\n");
                let mut sent = stream.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    sent = stream.write_all(&[b'x'; 1024]).await;
                }
                return;
            }
            Reply::After(time, status) => {
                tokio::time::sleep(time).await;
                status
            }
        };
        // S3 quotes the signed text in its error responses.
        let body =
            if status < 300 { String::new() } else { format!("<Error><Signed>{TARGET}</Signed></Error>") };
        if write_response(&mut stream, status, &[], &body).await.is_err() {
            return;
        }
    }
}

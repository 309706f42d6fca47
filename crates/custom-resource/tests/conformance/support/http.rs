//! As much HTTP/1.1 as the two servers of these tests need, parsed from the bytes themselves: the
//! tests check what the client really sent (its target, its headers, its framing).

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A request as received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query, byte for byte.
    pub(crate) target: String,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Returns the next request of a connection, or `None` at its end.
pub(crate) async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let first = line(stream).await?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let text = line(stream).await?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut received = Received { method, target, headers, body: Vec::new() };
    if received.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(line(stream).await?.trim(), 16).ok()?;
            let at = received.body.len();
            received.body.resize(at + size, 0);
            stream.read_exact(&mut received.body[at..]).await.ok()?;
            line(stream).await?;
            if size == 0 {
                return Some(received);
            }
        }
    }
    let length = received.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    received.body.resize(length, 0);
    stream.read_exact(&mut received.body).await.ok()?;
    Some(received)
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut text = String::new();
    let read = stream.read_line(&mut text).await.ok()?;
    (read > 0).then(|| text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Sends a response; the connection stays open.
pub(crate) async fn write_response(
    stream: &mut BufReader<TcpStream>,
    status: u16,
    headers: &[(&str, String)],
    body: &str,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

//! The part of the Lambda Runtime API that a measured function needs, the response URL of custom
//! resources, and the endpoint for AWS calls.
//!
//! Paths and headers are those of "Using the Lambda runtime API for custom runtimes" in the AWS
//! Lambda guide.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use super::aws;

/// An action of the function, with its time.
#[derive(Debug)]
pub(crate) enum Sign {
    /// It requested the next event, which is sent through the channel.
    Next(Instant, mpsc::Sender<Vec<u8>>),
    /// It responded to an event, with a result or an error.
    Answered {
        /// Time at which the response was complete.
        at: Instant,
        /// True for a result, false for an error.
        success: bool,
        /// The result or the error.
        text: String,
    },
    /// It called AWS and gets a response; the text is `X-Amz-Target`.
    Called(String),
    /// It called an AWS action that is not available here.
    OtherCall(String),
    /// It could not start.
    InitError(String),
    /// It responded to CloudFormation.
    CustomResource(String),
}

/// A server for one function; it ends with the process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    /// `127.0.0.1:PORT`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    /// The actions of the function, in order.
    pub(crate) signs: mpsc::Receiver<Sign>,
}

impl RuntimeApi {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (sender, signs) = mpsc::channel();
        let count = Arc::new(Mutex::new(0));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, count) = (sender.clone(), Arc::clone(&count));
                // A broken connection shows as a missing action, which the measurement reports.
                thread::spawn(move || drop(serve(&stream, &sender, &count)));
            }
        });
        Ok(Self { address, signs })
    }
}

fn serve(stream: &TcpStream, signs: &mpsc::Sender<Sign>, count: &Mutex<u32>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(Request { path, target, body }) = read_request(&mut reader)? {
        let now = Instant::now();
        let gone = |_| io::Error::other("the measurement is over");
        let text = || String::from_utf8_lossy(&body).into_owned();
        if path.ends_with("/invocation/next") {
            let (sender, event) = mpsc::channel();
            signs.send(Sign::Next(now, sender)).map_err(gone)?;
            let Ok(event) = event.recv() else { return Ok(()) };
            let id = {
                let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
                *count += 1;
                *count
            };
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let deadline = since.as_millis() + 60_000;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 lambda-runtime-aws-request-id: 00000000-0000-0000-0000-{id:012}\r\n\
                 lambda-runtime-deadline-ms: {deadline}\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:111111111111:function:bench\r\n\
                 lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n\r\n",
                event.len()
            );
            writer.write_all(&[head.as_bytes(), &event].concat())?;
            continue;
        }
        if let Some(target) = target {
            let found = aws::answer(&target);
            let sign = if found.is_some() { Sign::Called(target) } else { Sign::OtherCall(target) };
            let (status, answer) = match found {
                Some(answer) => ("200 OK", answer),
                None => ("400 Bad Request", json!({"__type": "ValidationException", "message": "not here"})),
            };
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            // The action is sent first, because it must precede the response to the event.
            signs.send(sign).map_err(gone)?;
            writer.write_all((head + &answer).as_bytes())?;
            continue;
        }
        let sign = if path.ends_with("/init/error") {
            Sign::InitError(text())
        } else if path.contains("/invocation/") {
            Sign::Answered { at: now, success: path.ends_with("/response"), text: text() }
        } else {
            Sign::CustomResource(text())
        };
        // The response is sent first, because the function waits for it.
        writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
        signs.send(sign).map_err(gone)?;
    }
    Ok(())
}

/// The parts of a request that are used here.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    path: String,
    /// `X-Amz-Target`, the action of an AWS service with a JSON protocol.
    target: Option<String>,
    body: Vec<u8>,
}

/// The next request, or `None` at the end of the connection.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut chunked, mut target) = (0, false, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.to_ascii_lowercase().contains("chunked"),
            "x-amz-target" => target = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        return Ok(Some(Request { path, target, body }));
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if size == 0 {
            return Ok(Some(Request { path, target, body }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_in_order_with_headers_in_any_case() {
        let mut sent =
            "POST / HTTP/1.1\r\nX-Amz-Target: secretsmanager.DescribeSecret\r\nContent-Length: 2\r\n\r\n{}\
                        POST /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
                .as_bytes();
        let target = Some("secretsmanager.DescribeSecret".to_owned());
        let first = Request { path: "/".into(), target, body: b"{}".to_vec() };
        assert_eq!(read_request(&mut sent).unwrap(), Some(first));
        let second = Request { path: "/a".into(), target: None, body: b"abcd".to_vec() };
        assert_eq!(read_request(&mut sent).unwrap(), Some(second));
        assert_eq!(read_request(&mut sent).unwrap(), None);
    }
}

//! The Lambda Runtime API, as much of it as a function needs to be measured, and the place that custom resources
//! answer to.
//!
//! Paths and headers are those of "Using the Lambda runtime API for custom runtimes" in the AWS Lambda guide.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// What the function did, and when.
#[derive(Debug)]
pub(crate) enum Sign {
    /// It asked for the next event; an event sent through the channel is its answer.
    Next(Instant, mpsc::Sender<Vec<u8>>),
    /// It answered an event, with a result or an error.
    Answered {
        /// When the whole answer was there.
        at: Instant,
        /// Whether it was a result.
        success: bool,
    },
    /// It could not start.
    InitError(String),
    /// It answered CloudFormation.
    CustomResource(String),
}

/// A server for one function; it ends with the process.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    /// `127.0.0.1:PORT`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    /// What happens, in order.
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
                // A broken connection shows as a missing sign, which the measurement reports.
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
    while let Some((path, body)) = read_request(&mut reader)? {
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
        let sign = if path.ends_with("/init/error") {
            Sign::InitError(text())
        } else if path.contains("/invocation/") {
            Sign::Answered { at: now, success: path.ends_with("/response") }
        } else {
            Sign::CustomResource(text())
        };
        // First the answer: it is part of what the function waits for.
        writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
        signs.send(sign).map_err(gone)?;
    }
    Ok(())
}

/// Path and body of the next request, or `None` at the end of the connection.
fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            Some(("transfer-encoding", value)) => chunked = value.contains("chunked"),
            Some(_) => {}
            None => break,
        }
    }
    if !chunked {
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        return Ok(Some((path, body)));
    }
    let mut body = Vec::new();
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
            return Ok(Some((path, body)));
        }
    }
}

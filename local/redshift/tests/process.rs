//! The process: it starts, serves, and leaves no process behind.
#![allow(clippy::expect_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HEADERS: &str = "x-sluice-account: 222222222222\r\nx-sluice-region: us-east-1\r\nx-sluice-access-key: 222222222222\r\n\
                       x-sluice-principal: arn:aws:iam::222222222222:root\r\n";

struct Running {
    child: Child,
    address: String,
    data: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended, in most tests.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn start() -> Running {
    let data = tempfile::tempdir().expect("a temporary folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice-redshift"))
        .args(["--listen", "127.0.0.1:0", "--gateway", "http://127.0.0.1:1", "--data-dir"])
        .arg(data.path())
        .args(["--template-cache", env!("CARGO_TARGET_TMPDIR")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    Running { child, address: line["listening"].as_str().expect("an address").to_owned(), data }
}

fn request(running: &Running, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(&running.address).expect("it listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{HEADERS}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !check() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a cluster and returns the port of its server.
fn with_cluster(running: &Running) -> u16 {
    let create = "Action=CreateCluster&ClusterIdentifier=c1&NodeType=ra3.large&MasterUsername=admin&MasterUserPassword=Secret-123";
    assert!(request(running, "POST", "/aws/redshift", create).starts_with("HTTP/1.1 200"));
    let mut answer = String::new();
    until("available", || {
        answer = request(running, "POST", "/aws/redshift", "Action=DescribeClusters");
        answer.contains("<ClusterStatus>available")
    });
    let port = answer.split("<Port>").nth(1).and_then(|rest| rest.split('<').next()).expect("a port");
    port.parse().expect("a number")
}

fn is_free(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

#[test]
fn signals_stop_the_process_and_its_servers() {
    for signal in ["TERM", "INT"] {
        let mut running = start();
        assert!(request(&running, "GET", "/health", "").starts_with("HTTP/1.1 200"));
        let port = with_cluster(&running);
        assert!(!is_free(port));
        let id = running.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill").success());
        assert!(running.child.wait().expect("its end").success(), "{signal}");
        assert!(is_free(port), "the server of the cluster ended before the process did");
    }
}

#[test]
fn its_servers_end_even_when_it_is_killed() {
    let mut running = start();
    let port = with_cluster(&running);
    running.child.kill().expect("killed");
    running.child.wait().expect("its end");
    until("the server's end", || is_free(port));
}

#[test]
fn wire_port_has_a_certificate_of_the_ca() {
    let running = start();
    let ca = running.data.path().join("redshift-ca.pem");
    assert!(std::fs::read_to_string(&ca).expect("the CA").starts_with("-----BEGIN CERTIFICATE-----"));
    if !Path::new("/usr/bin/psql").exists() {
        return;
    }
    let port = with_cluster(&running);
    let connect = |ca: &str| {
        let target =
            format!("host=127.0.0.1 port={port} user=admin dbname=dev sslmode=verify-full sslrootcert={ca}");
        Command::new("psql")
            .arg(target)
            .args(["-c", "SELECT 1"])
            .env("PGPASSWORD", "Secret-123")
            .output()
            .expect("psql")
    };
    let verified = connect(&ca.display().to_string());
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert!(!connect("/dev/null").status.success(), "an unknown CA is rejected");
}

#[test]
fn without_postgresql_one_line_says_what_to_install() {
    if Path::new("/usr/lib/postgresql").exists() {
        // The binaries are found there with any PATH, so only the message itself is checked.
        let error = local_servers::postgres::NOT_INSTALLED.to_string();
        assert!(error.contains("apt-get install postgresql") && !error.contains('\n'), "{error}");
        return;
    }
    let data = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_sluice-redshift"))
        .args(["--gateway", "http://127.0.0.1:1", "--data-dir"])
        .arg(data.path())
        .env("PATH", "")
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("apt-get install postgresql"));
}

//! Start and end of a local cloud, for a user and for a test.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use cloud::{
    Cloud, Options, SECOND, SOURCE, TARGET,
    wait::{self, Seen},
};

const DEADLINE: Duration = Duration::from_secs(30);

fn start() -> Cloud {
    Cloud::start(&Options::default(), &|_| {}).unwrap()
}

fn serves(endpoint: &str) -> bool {
    let address = endpoint.trim_start_matches("http://");
    std::net::TcpStream::connect(address).is_ok()
}

/// Processes that carry an instance's folder in their environment or command line.
fn processes_of(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    let about = |pid: &str, file| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|pid| pid.parse::<u32>().is_ok() && *pid != std::process::id().to_string())
        .filter(|pid| {
            let own = [about(pid, "environ"), about(pid, "cmdline")].concat();
            String::from_utf8_lossy(&own).contains(directory)
        })
        .collect()
}

fn wait_until_gone(directory: &Path, endpoint: &str) {
    wait::until("everything to be gone", DEADLINE, || {
        let left = processes_of(directory);
        let gone = left.is_empty() && !directory.exists() && !serves(endpoint);
        let seen = format!("processes {left:?}, folder there: {}", directory.exists());
        Ok(if gone { Seen::Yes(()) } else { Seen::NotYet(seen) })
    })
    .unwrap();
}

#[test]
fn two_clouds_run_at_once_and_stop_independently() {
    let (first, second) = (start(), start());
    first.account(SOURCE).create_bucket("only-in-the-first").unwrap();
    assert!(second.account(SOURCE).list_keys("only-in-the-first", "").is_err());

    let (directory, endpoint) = (first.directory().to_owned(), first.endpoint().to_owned());
    drop(first);
    assert!(!directory.exists());
    assert!(!serves(&endpoint));
    assert_eq!(processes_of(&directory), Vec::<String>::new());
    second.check().unwrap();
    second.account(SOURCE).create_bucket("still-there").unwrap();
}

#[test]
fn each_aws_profile_calls_its_own_account() {
    let cloud = start();
    for profile in [SOURCE, TARGET, SECOND] {
        let words =
            ["--profile", profile.name, "sts", "get-caller-identity", "--query", "Arn", "--output", "text"];
        let output = cloud.command("aws").args(words).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim(), format!("arn:aws:iam::{}:root", profile.account));
    }
}

#[test]
fn unknown_access_key_is_rejected() {
    let cloud = start();
    let stranger = cloud.account(SOURCE).with_key("AKIAIOSFODNN7EXAMPLE", None);
    let error = stranger.create_bucket("not-for-strangers").unwrap_err();
    assert_eq!(error.status, 403, "{error}");
}

#[test]
fn printed_environment_serves_every_aws_cli_service() {
    let (mut launcher, directory, endpoint) = launch();
    let run = |command: &str| {
        let script = format!(". '{}/env' && {command}", directory.display());
        // Without a proxy and with one attempt, so that a call that leaves this machine fails at
        // once.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        let output = shell.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    run("aws --profile target sqs create-queue --queue-name from-the-shell");
    let queues = run("aws --profile target sqs list-queues --query QueueUrls --output text");
    assert_eq!(queues.trim(), format!("{endpoint}/222222222222/from-the-shell"));
    assert!(run("aws --profile source s3api list-buckets --query Buckets").contains("[]"));
    signal(&launcher, "INT");
    launcher.wait().unwrap();
}

#[test]
fn ctrl_c_exits_with_success_and_removes_everything() {
    let (mut launcher, directory, endpoint) = launch();
    signal(&launcher, "INT");
    assert!(launcher.wait().unwrap().success());
    assert!(!directory.exists(), "the launcher ended before everything was gone");
    wait_until_gone(&directory, &endpoint);
}

#[test]
fn everything_is_removed_after_the_launcher_is_killed() {
    let (mut launcher, directory, endpoint) = launch();
    signal(&launcher, "KILL");
    launcher.wait().unwrap();
    wait_until_gone(&directory, &endpoint);
}

#[test]
fn gateway_on_a_port_in_use_is_an_error() {
    let cloud = start();
    // The first gateway keeps its port, so a second one cannot use it.
    let port = cloud.endpoint().rsplit(':').next().unwrap().to_owned();
    let options = Options { environment: vec![("GATEWAY_PORT".into(), port)], ..Options::default() };
    let error = Cloud::start(&options, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("gateway") && error.contains("already in use"), "{error}");
}

/// Starts `sluice-cloud up` as a user does; returns it with the folder and endpoint that it prints.
fn launch() -> (Child, PathBuf, String) {
    let mut launcher = Command::new(env!("CARGO_BIN_EXE_sluice-cloud"))
        .arg("up")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(launcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut after = |words: &str| {
        let found = lines.find_map(|line| line.split_once(words).map(|(_, rest)| rest.to_owned()));
        found.unwrap_or_else(|| panic!("the launcher ended without printing `{words}`"))
    };
    let endpoint = after("endpoint at ");
    let script = after("    . ");
    (launcher, Path::new(&script).parent().unwrap().to_owned(), endpoint)
}

fn signal(process: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.id().to_string()]).status().unwrap();
    assert!(status.success());
}

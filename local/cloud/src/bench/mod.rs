//! `make bench`: what a start of each function costs, beside a function that does nothing, in one run.

mod runtime_api;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use cloud::{Error, setup::Environment, workspace};
use runtime_api::{RuntimeApi, Sign};
use serde_json::json;

use crate::table;

/// The function that everything is measured against.
const FLOOR: &str = "empty-function";
/// Rounds; every function is measured once in each, so that a busy moment of the machine hits all alike.
const ROUNDS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(10);

/// One start of a function.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// From the start of the process to its first request for an event.
    start: Duration,
    /// From the first event to its answer.
    first: Duration,
    /// The same for the second.
    warm: Duration,
    /// Most memory that it held at once, in KiB.
    memory: u64,
}

pub(crate) fn run() -> Result<(), Error> {
    let folder = workspace::root().join("target/lambda");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("bootstrap").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| (name != FLOOR, name.clone()));
    if names.first().is_none_or(|name| name != FLOOR) {
        return Err(Error::Missing {
            what: format!("{}", folder.join(FLOOR).display()),
            remedy: "build the functions first with `make build`".into(),
        });
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); names.len()];
    for _ in 0..ROUNDS {
        for (name, own) in names.iter().zip(&mut samples) {
            own.push(measure(name, &folder.join(name).join("bootstrap"))?);
        }
    }
    let sizes = names.iter().map(|name| zip_size(&folder.join(name))).collect::<Result<Vec<_>, _>>()?;

    let median = |samples: &[Sample], of: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let start = |samples: &[Sample]| median(samples, |sample| milliseconds(sample.start));
    let floor = samples.first().map(|own| start(own)).unwrap_or_default();
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(&samples)
        .zip(&sizes)
        .map(|((name, own), size)| {
            vec![
                name.clone(),
                format!("{:.1}", start(own)),
                format!("{:.1}", start(own) / floor),
                format!("{:.1}", median(own, |sample| milliseconds(sample.first))),
                format!("{:.1}", median(own, |sample| milliseconds(sample.warm))),
                format!("{:.1}", median(own, |sample| sample.memory as f64 / 1024.0)),
                format!("{:.2}", *size as f64 / 1_000_000.0),
            ]
        })
        .collect();
    let columns = ["function", "start ms", "x empty", "first call ms", "warm call ms", "peak MiB", "zip MB"];
    let title = format!("Medians of {ROUNDS} starts of each function, taken in turns");
    print!("{}", table::render(&title, &columns, &rows));
    println!(
        "\nStart: from the start of the process to its first poll. The call: CloudFormation's Delete of a resource \
         that was never made,\nanswered without a call of AWS; of a rotation function, an event that it refuses. Aims: start at most 3 x the empty function, zip at \
         most 3 MB."
    );
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Kills the function at the end of its measurement, whatever that end is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(name: &str, bootstrap: &Path) -> Result<Sample, Error> {
    let api =
        RuntimeApi::start().map_err(|source| Error::Io { action: "listen on 127.0.0.1".into(), source })?;
    // What Lambda sets; credentials and endpoint lead nowhere, so that a call of AWS would be seen as a failure.
    let environment = [
        ("AWS_LAMBDA_RUNTIME_API", api.address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("ACCESS_GRANT_WAIT_SECONDS", "0"),
        ("WAIT_STATE_MACHINE_ARN", "arn:aws:states:us-east-1:111111111111:stateMachine:bench"),
        ("WAIT_KEY_ARN", "arn:aws:kms:us-east-1:111111111111:key/00000000-0000-0000-0000-000000000000"),
        ("_HANDLER", "bootstrap"),
    ];
    let event = json!({
        "RequestType": "Delete",
        "ResponseURL": format!("http://{}/answer", api.address),
        "StackId": "arn:aws:cloudformation:us-east-1:111111111111:stack/bench/00000000-0000-0000-0000-000000000000",
        "RequestId": "bench",
        "ResourceType": "Custom::Bench",
        "LogicalResourceId": "Bench",
        "PhysicalResourceId": "never-made",
        "ResourceProperties": {"ServiceToken": "arn:aws:lambda:us-east-1:111111111111:function:bench"},
    });
    // A rotation function has nothing to do without AWS; what it refuses at the door costs it the same.
    let rotates = name.starts_with("rotate-");
    let event = if rotates { json!({"Step": "none"}) } else { event }.to_string().into_bytes();
    let wrong = |what: String| Error::Command {
        command: name.to_owned(),
        status: "an unfit measurement".into(),
        last_line: what,
    };

    let spawned = Instant::now();
    let child = Command::new(bootstrap)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Io { action: format!("start {}", bootstrap.display()), source })?;
    let running = Running(child);

    let (mut polls, mut sent, mut calls) = (Vec::new(), spawned, Vec::new());
    while calls.len() < 2 || polls.len() < 3 {
        match api.signs.recv_timeout(PATIENCE) {
            Ok(Sign::Next(at, reply)) => {
                polls.push(at - spawned);
                if polls.len() < 3 {
                    sent = Instant::now();
                    reply
                        .send(event.clone())
                        .map_err(|_| wrong("hung up while it asked for an event".into()))?;
                }
            }
            Ok(Sign::Answered { at, success }) if success != rotates => calls.push(at - sent),
            Ok(Sign::Answered { .. }) => return Err(wrong("answered with an error".into())),
            Ok(Sign::InitError(text)) => return Err(wrong(format!("could not start: {text}"))),
            Ok(Sign::CustomResource(text)) if text.contains("FAILED") => {
                return Err(wrong(format!("refused the Delete: {text}")));
            }
            Ok(Sign::CustomResource(_)) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(wrong(format!("was silent for {} s", PATIENCE.as_secs())));
            }
        }
    }
    let memory = peak_memory(&running.0).ok_or_else(|| wrong("has no VmHWM in /proc".into()))?;
    match (polls.as_slice(), calls.as_slice()) {
        ([start, ..], [first, warm, ..]) => Ok(Sample { start: *start, first: *first, warm: *warm, memory }),
        _ => Err(wrong("did not answer twice".into())),
    }
}

/// The most memory that a process held at once, in KiB (proc(5), VmHWM).
fn peak_memory(process: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Size of the zip that `sam package` would upload: it uses the same Python module with the same compression.
fn zip_size(folder: &Path) -> Result<u64, Error> {
    let python = Environment::Sam.ensure(&|_| {})?.program("python");
    let zip: PathBuf = folder.with_extension("bench.zip");
    let failed = |source| Error::Io { action: format!("make {}", zip.display()), source };
    let script = "import sys, zipfile\n\
                  with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z: z.write(sys.argv[2], 'bootstrap')";
    let done = Command::new(python)
        .args(["-c", script])
        .arg(&zip)
        .arg(folder.join("bootstrap"))
        .status()
        .map_err(failed)?;
    let size = fs::metadata(&zip).map(|data| data.len()).map_err(failed);
    // What cannot be removed now goes with `make clean`.
    let _ = fs::remove_file(&zip);
    if done.success() { size } else { Err(failed(std::io::Error::other(done.to_string()))) }
}

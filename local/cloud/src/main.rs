//! The command line of the local cloud; `make help` lists the targets that call it.

// A command line talks on its outputs.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod demo;
mod table;

use std::{
    env,
    ffi::OsString,
    fs,
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use cloud::{Cloud, Error, Options, REGION, Stopper, setup};
use signal_hook::{consts, iterator::Signals};

#[derive(Debug, Parser)]
#[command(about = "Runs Sluice without AWS")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install what the local cloud and the build need into the cache
    Setup,
    /// Start the local cloud and stay until Ctrl-C
    Up {
        /// Region of the AWS profiles
        #[arg(long, default_value = REGION)]
        region: String,
    },
    /// Deploy both accounts to a local cloud, load files and show what arrived
    Demo,
    /// Measure start, first call, memory and zip of each function beside an empty one and the Python originals
    Bench,
    /// Run a command with an environment's programs in front of PATH
    Exec {
        /// Which environment
        environment: EnvironmentName,
        /// The command
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EnvironmentName {
    Gateway,
    GatewayTests,
    Sam,
    Tools,
    Nextest,
    Deny,
    Kafka,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().action {
        Action::Setup => prepare(),
        Action::Up { region } => up(region),
        Action::Demo => demo::run(),
        Action::Bench => bench::run(),
        Action::Exec { environment, command } => exec(environment, &command),
    };
    unless_interrupted();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    println!("{line}");
}

fn prepare() -> Result<(), Error> {
    setup::postgres()?;
    setup::Environment::ensure_all(&setup::Environment::NEEDED, &say)
}

fn exec(environment: EnvironmentName, words: &[OsString]) -> Result<(), Error> {
    let environment = match environment {
        EnvironmentName::Gateway => setup::Environment::Gateway,
        EnvironmentName::Sam => setup::Environment::Sam,
        EnvironmentName::Tools => setup::Environment::Tools,
        EnvironmentName::GatewayTests => setup::Environment::GatewayTests,
        EnvironmentName::Nextest => setup::Environment::Nextest,
        EnvironmentName::Deny => setup::Environment::Deny,
        EnvironmentName::Kafka => setup::Environment::Kafka,
    };
    let venv = environment.ensure(&|line| eprintln!("{line}"))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(venv.bin()).chain(env::split_paths(&path));
    let path = env::join_paths(folders).unwrap_or(path);
    let Some((program, words)) = words.split_first() else { return Ok(()) };
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    let program = found.unwrap_or_else(|| program.into());
    let source = Command::new(&program).args(words).env("PATH", path).exec();
    Err(Error::Io { action: format!("start {}", program.display()), source })
}

/// Whether a signal is ending this process; then no failure is worth a word, for everything is being killed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Comes back only if no signal is ending this process.
pub(crate) fn unless_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Stops the instance and ends the process when the user or the system asks for it; `interrupted` is the exit status
/// after Ctrl-C. `tidy` comes last.
pub(crate) fn stop_on_signals(
    stopper: Stopper,
    interrupted: i32,
    tidy: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    let mut signals = Signals::new([consts::SIGINT, consts::SIGTERM, consts::SIGHUP])
        .map_err(|source| Error::Io { action: "wait for signals".into(), source })?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            eprintln!("\nstopping");
            stopper.stop();
            tidy();
            // Only now may the process end: the shell's prompt comes back when everything is gone.
            std::process::exit(if signal == consts::SIGINT { interrupted } else { 128 + signal });
        }
    });
    Ok(())
}

fn up(region: String) -> Result<(), Error> {
    let options = Options { region, ..Options::default() };
    let cloud = Cloud::start(&options, &say)?;
    // Ctrl-C is how this is meant to end.
    stop_on_signals(cloud.stopper(), 0, || {})?;
    let script = cloud.directory().join("env");
    write_script(&cloud, &script)?;
    print!(
        "\
The local cloud serves every AWS endpoint at {endpoint}

  In another terminal, point the AWS CLI and sam at it:

    . {script}

  and then, for example:

    aws --profile source s3 ls
    aws --profile target redshift describe-clusters
    make build deploy-network deploy-warehouse

  Accounts: source 111111111111, target 222222222222, second 333333333333; Region {region}.
  Dashboards that were deployed: {endpoint}/_sluice/dashboards
  Logs: {logs}
  Ctrl-C stops everything and removes it.
",
        endpoint = cloud.endpoint(),
        script = script.display(),
        region = cloud.region(),
        logs = cloud.logs().display(),
    );
    loop {
        thread::sleep(Duration::from_millis(500));
        cloud.check()?;
    }
}

/// A script for the user's shell that leads its AWS commands here.
fn write_script(cloud: &Cloud, path: &std::path::Path) -> Result<(), Error> {
    let io = |source| Error::Io { action: format!("write {}", path.display()), source };
    let mut file = fs::File::create(path).map_err(io)?;
    writeln!(file, "unset {}", cloud::CLEARED.join(" ")).map_err(io)?;
    for (name, value) in cloud.environment() {
        let value = value.to_string_lossy();
        match name {
            // The shell's own PATH may differ from ours, so only the part in front is set.
            "PATH" => {
                let first = value.split(':').next().unwrap_or_default();
                writeln!(file, "export PATH={}:\"$PATH\"", quoted(first)).map_err(io)?;
            }
            _ => writeln!(file, "export {name}={}", quoted(&value)).map_err(io)?,
        }
    }
    Ok(())
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

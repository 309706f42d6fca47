//! Start and stop of an instance.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use local_ports::free_port;
use serde_json::json;

use crate::{
    Error, Profile, aws,
    janitor::{self, Janitor},
    process::{Server, log_file},
    profiles,
    setup::{self, Environment, Venv},
    workspace,
};

/// The clock of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Scheduled rules and schedules start only on request (`POST /_sluice/tick`), and no
    /// rotation starts by its schedule. For tests.
    #[default]
    Ticks,
    /// Rules, schedules and rotations start when they are due, by this machine's clock.
    Machine,
}

impl Clock {
    /// The gateway's settings (`local/ministack/README.md`, "Clock and ticks").
    fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ticks => &[],
            Self::Machine => &[("SLUICE_CLOCK_SECONDS", "1"), ("SLUICE_ALARM_EVALUATION_SECONDS", "10")],
        }
    }
}

/// The reaction to breaches of AWS's service models that an instance has seen when it is dropped
/// ([`Cloud::take_breaches`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBreach {
    /// Panic, so that the test fails that sent the requests.
    #[default]
    Panic,
    /// Nothing; they are in the gateway's log.
    Ignore,
}

/// The options of an instance.
#[derive(Debug, Clone)]
pub struct Options {
    /// Region of the AWS profiles.
    pub region: String,
    /// The clock of the instance.
    pub clock: Clock,
    /// Folder for the logs, which stays when the instance is stopped. With `None` the logs are
    /// removed with the instance.
    pub logs: Option<PathBuf>,
    /// Further environment variables of the gateway and the stand-in.
    pub environment: Vec<(String, String)>,
    /// The reaction to breaches of AWS's service models.
    pub on_breach: OnBreach,
    /// The time that each part may take to start.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: profiles::REGION.to_owned(),
            clock: Clock::default(),
            logs: None,
            environment: Vec::new(),
            on_breach: OnBreach::default(),
            deadline: Duration::from_secs(60),
        }
    }
}

/// A running local cloud. It ends when this is dropped.
///
/// # Panics
/// The drop panics if a deployed function has sent a request, or got an answer, that differs from
/// AWS's service models (`local/ministack/README.md`, "Contracts"), unless the test has taken the
/// breaches or [`OnBreach::Ignore`] is set.
#[derive(Debug)]
pub struct Cloud {
    directory: PathBuf,
    logs: PathBuf,
    region: String,
    endpoint: String,
    redshift_endpoint: String,
    sam: Venv,
    stopper: Stopper,
    servers: [Server; 2],
    on_breach: OnBreach,
}

/// Stops an instance from anywhere, such as a thread that waits for signals.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Mutex<Janitor>>);

impl Stopper {
    /// Ends every process of the instance and removes its files; returns when that is done.
    pub fn stop(&self) {
        self.janitor().finish();
    }

    fn has_stopped(&self) -> bool {
        self.janitor().has_finished()
    }

    fn janitor(&self) -> MutexGuard<'_, Janitor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let ignored = self.on_breach == OnBreach::Ignore || self.stopper.has_stopped();
        let breaches = if ignored { Ok(Vec::new()) } else { self.take_breaches() };
        self.stopper.stop();
        let report = match breaches {
            Ok(found) if found.is_empty() => return,
            Ok(found) => Error::Contracts { breaches: found }.to_string(),
            Err(error) => format!("could not read the breaches of contracts: {}", error.chain()),
        };
        // A second panic would end the process without the message of the first.
        assert!(thread::panicking(), "{report}");
        // There is nobody to tell if standard error is closed.
        let _ = writeln!(io::stderr(), "{report}");
    }
}

/// Attempts of a start, because another process may take the port before the gateway listens.
const ATTEMPTS: u32 = 3;

impl Cloud {
    /// Installs missing packages, starts the stand-in for Redshift and the gateway, and waits until
    /// both serve. `progress` is called for steps that take long.
    ///
    /// # Errors
    /// A program is not installed, or a part does not start.
    pub fn start(options: &Options, progress: &dyn Fn(&str)) -> Result<Self, Error> {
        let postgres = setup::postgres()?;
        let gateway_venv = Environment::Gateway.ensure(progress)?;
        let sam = Environment::Sam.ensure(progress)?;
        let redshift_binary = workspace::binary("sluice-redshift", "SLUICE_REDSHIFT_BIN")?;
        let mut attempt = 1;
        loop {
            let starting = Starting::new(options)?;
            match starting.run(options, &redshift_binary, &gateway_venv, &sam, &postgres) {
                Err(Error::Start { .. }) if attempt < ATTEMPTS && starting.port_is_taken() => attempt += 1,
                Err(error) => {
                    starting.stopper.stop();
                    return Err(starting.keep_log(error));
                }
                Ok(cloud) => return Ok(cloud),
            }
        }
    }

    /// The address of every AWS service, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The address of the stand-in for Redshift, for its own paths.
    pub fn redshift_endpoint(&self) -> &str {
        &self.redshift_endpoint
    }

    /// The folder with the instance's files; removed at the end.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The folder with `gateway.log` and `redshift.log`.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The Region of the profiles.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A handle that stops this instance.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Checks that no part has ended.
    ///
    /// # Errors
    /// The part, how it ended, and its log.
    pub fn check(&self) -> Result<(), Error> {
        self.servers.iter().try_for_each(Server::check)
    }

    /// Returns the breaches of AWS's service models since the last call, one sentence each, and
    /// removes them (`local/ministack/README.md`, "Contracts").
    ///
    /// # Errors
    /// The gateway does not answer.
    pub fn take_breaches(&self) -> Result<Vec<String>, Error> {
        let account = self.account(profiles::SOURCE);
        let found = account.rest("s3", "GET", "/_sluice/breaches", &[], &[])?.json();
        let found = found["breaches"].as_array().cloned().unwrap_or_default();
        if !found.is_empty() {
            account.rest("s3", "DELETE", "/_sluice/breaches", &[], &[])?;
        }
        Ok(found.iter().filter_map(|one| one["sentence"].as_str().map(str::to_owned)).collect())
    }

    /// Calls AWS services as an account's root.
    pub fn account(&self, profile: Profile) -> aws::Account {
        aws::Account::root(&self.endpoint, &self.region, profile.account)
    }

    /// Starts a scheduled rule of a stack (`local/ministack/README.md`, "Clock and ticks").
    ///
    /// # Errors
    /// There is no such rule.
    pub fn fire(&self, profile: Profile, stack: &str, rule: &str) -> Result<(), Error> {
        let account = self.account(profile);
        let name = account.physical_id(stack, rule)?;
        let body = json!({"rule": format!("arn:aws:events:{}:{}:rule/{name}", self.region, profile.account)});
        account.rest("s3", "POST", "/_sluice/tick", &[], body.to_string().as_bytes())?;
        Ok(())
    }

    /// The variables that direct the `aws` and `sam` commands to this instance, `PATH` included.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = profiles::environment(&self.directory);
        variables.push(("PATH", path_with(&profiles::commands(&self.directory))));
        variables
    }

    /// Writes a script with the same variables for the user's shell, and returns its path.
    ///
    /// # Errors
    /// The script could not be written.
    pub fn write_script(&self) -> Result<PathBuf, Error> {
        profiles::write_script(&self.directory)
    }

    /// A command with this instance's environment, in the root of the checkout.
    pub fn command(&self, program: &str) -> Command {
        // `Command` looks a name up in the PATH of this process, not in the one that it is given.
        let own = [profiles::commands(&self.directory).join(program), self.sam.program(program)];
        let own = own.into_iter().find(|file| file.is_file());
        let mut command = Command::new(own.unwrap_or_else(|| program.into()));
        for name in profiles::CLEARED {
            command.env_remove(name);
        }
        command
            .envs(self.environment())
            .env(janitor::MARK, &self.directory)
            .current_dir(workspace::root())
            .stdin(Stdio::null());
        command
    }
}

/// An instance that is starting.
struct Starting {
    directory: PathBuf,
    logs: PathBuf,
    port: u16,
    stopper: Stopper,
}

impl Starting {
    fn new(options: &Options) -> Result<Self, Error> {
        let directory = tempfile::Builder::new()
            .prefix("sluice-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?
            .keep();
        let janitor = Janitor::start(&directory)?;
        let stopper = Stopper(Arc::new(Mutex::new(janitor)));
        // PostgreSQL does not run as root: its user must be able to pass through to its data.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o711))
            .map_err(Error::io(format!("open {} to the database's user", directory.display())))?;
        let logs = options.logs.clone().unwrap_or_else(|| directory.join("logs"));
        for folder in [&logs, &directory.join("tmp"), &directory.join("redshift")] {
            fs::create_dir_all(folder).map_err(Error::io(format!("create {}", folder.display())))?;
        }
        Ok(Self { directory, logs, port: free_port()?, stopper })
    }

    fn run(
        &self,
        options: &Options,
        redshift_binary: &Path,
        gateway_venv: &Venv,
        sam: &Venv,
        postgres: &Path,
    ) -> Result<Cloud, Error> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        profiles::write(&self.directory, &endpoint, &options.region)?;
        profiles::write_commands(&self.directory, &endpoint, sam)?;

        let mut command = Command::new(redshift_binary);
        command
            .args(["--listen", "127.0.0.1:0", "--gateway", &endpoint, "--data-dir"])
            .arg(self.directory.join("redshift"))
            .arg("--template-cache")
            .arg(workspace::cache()?)
            .env("PATH", path_with(postgres))
            .stdout(Stdio::piped());
        let (redshift, output) = self.spawn("sluice-redshift", command, options)?;
        let redshift_endpoint =
            first_line(output, &self.logs.join("redshift.log"), &redshift, options.deadline)?;
        wait_healthy(&redshift, &format!("{redshift_endpoint}/health"), options.deadline)?;

        let mut command = Command::new(gateway_venv.program("python"));
        command
            .args(["-m", "sluice_ministack"])
            .env("PYTHONPATH", workspace::root().join("local/ministack"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1")
            .env("GATEWAY_PORT", self.port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("AUTH", "true")
            .env("IOT_MTLS_ENABLED", "0")
            .env("LAMBDA_EXECUTOR", "local")
            .env("AWS_ENDPOINT_URL", &endpoint)
            // Waits of state machines are meant for AWS's latency; here fifteen seconds become less
            // than one.
            .env("SFN_WAIT_SCALE", "0.05")
            .env("MINISTACK_REGION", &options.region)
            .env("SLUICE_REDSHIFT_URL", &redshift_endpoint)
            .envs(options.clock.environment().iter().copied())
            .env("HOME", &self.directory);
        let (gateway, _) = self.spawn("gateway", command, options)?;
        wait_healthy(&gateway, &format!("{endpoint}/_ministack/health"), options.deadline)?;

        Ok(Cloud {
            directory: self.directory.clone(),
            logs: self.logs.clone(),
            region: options.region.clone(),
            endpoint,
            redshift_endpoint,
            sam: sam.clone(),
            stopper: self.stopper.clone(),
            servers: [redshift, gateway],
            on_breach: options.on_breach,
        })
    }

    /// Starts a server in a process group of its own, with its output in a log.
    fn spawn(
        &self,
        name: &'static str,
        mut command: Command,
        options: &Options,
    ) -> Result<(Server, Option<ChildStdout>), Error> {
        let file = match name {
            "gateway" => "gateway.log",
            _ => "redshift.log",
        };
        let path = self.logs.join(file);
        let log = log_file(&path)?;
        for variable in profiles::CLEARED.iter().filter(|name| **name != "AWS_ENDPOINT_URL") {
            command.env_remove(variable);
        }
        if name == "gateway" {
            command.stdout(log.try_clone().map_err(Error::io(format!("open {}", path.display())))?);
        }
        command
            .env(janitor::MARK, &self.directory)
            .env("TMPDIR", self.directory.join("tmp"))
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stderr(log)
            .process_group(0);
        let mut child = command.spawn().map_err(Error::io(format!("start {name}")))?;
        self.stopper.janitor().adopt(child.id())?;
        let output = child.stdout.take();
        Ok((Server::watch(name, child, path), output))
    }

    fn port_is_taken(&self) -> bool {
        let ours = fs::read_to_string(self.logs.join("gateway.log")).unwrap_or_default();
        let taken = ours.contains("already in use");
        if taken {
            self.stopper.stop();
        }
        taken
    }

    /// Replaces the path of a log that is removed with the instance in the error.
    fn keep_log(&self, error: Error) -> Error {
        match error {
            Error::Start { part, what, log, last_line } if log.starts_with(&self.directory) => {
                Error::Start { part, what, log: PathBuf::from("removed with the instance"), last_line }
            }
            other => other,
        }
    }
}

/// `PATH` with `folder` in front.
fn path_with(folder: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    // This fails only for a folder with a colon in its name; its programs are then not found.
    env::join_paths(folders).unwrap_or(path)
}

/// Reads the address that the stand-in prints when it listens; its later output goes to its log.
fn first_line(
    output: Option<ChildStdout>,
    log: &Path,
    server: &Server,
    deadline: Duration,
) -> Result<String, Error> {
    let Some(output) = output else { return Err(server.error("has no standard output".into())) };
    let (sender, receiver) = mpsc::channel();
    let mut log =
        fs::File::options().append(true).open(log).map_err(Error::io(format!("open {}", log.display())))?;
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = sender.send(line);
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut chunk) {
            let _ = log.write_all(&chunk[..length]);
        }
    });
    let line = receiver
        .recv_timeout(deadline)
        .map_err(|_| server.error(format!("did not print its address within {} s", deadline.as_secs())))?;
    let address = serde_json::from_str::<serde_json::Value>(&line)
        .ok()
        .and_then(|value| value.get("listening")?.as_str().map(str::to_owned));
    match address {
        Some(address) => Ok(format!("http://{address}")),
        None if line.trim().is_empty() => Err(server.error("ended before it listened".into())),
        None => Err(server.error(format!("printed `{}` instead of its address", line.trim()))),
    }
}

/// Requests `url` until the status is 200.
fn wait_healthy(server: &Server, url: &str, deadline: Duration) -> Result<(), Error> {
    let agent = aws::agent(Duration::from_secs(2));
    let started = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        server.check()?;
        let seen = match agent.get(url).call() {
            Ok(answer) if answer.status() == 200 => {
                // Another process may answer if our server could not bind its port.
                return server.check();
            }
            Ok(answer) => format!("status {}", answer.status()),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > deadline {
            return Err(server.error(format!("did not serve {url} within {} s: {seen}", deadline.as_secs())));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

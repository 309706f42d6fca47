//! The deployment with the real SAM CLI, as users run it, against an instance.

use std::{fs, io::Write, path::Path, process::Stdio};

use crate::{Cloud, Error, Profile, SOURCE, TARGET, functions, kit, process, stacks, workspace};

/// Runs a command in the instance's environment with its output appended to `log`.
///
/// # Errors
/// The command could not be started, or did not end with success; the error has the last line that
/// it wrote.
pub fn run(cloud: &Cloud, program: &str, words: &[&str], log: &Path) -> Result<(), Error> {
    let open = || fs::File::options().create(true).append(true).open(log);
    let mut file = open().map_err(Error::io(format!("open {}", log.display())))?;
    let start = file.metadata().map(|data| data.len()).unwrap_or(0);
    writeln!(file, "$ {program} {}", words.join(" "))
        .map_err(Error::io(format!("write {}", log.display())))?;
    let errors = file.try_clone().map_err(Error::io(format!("open {}", log.display())))?;
    let mut command = cloud.command(program);
    // So scripts/deploy need not read the Region with the AWS CLI, which takes half a second to
    // start.
    command.env("AWS_REGION", cloud.region());
    command.args(words).stdout(Stdio::from(file)).stderr(Stdio::from(errors));
    let status = command.status().map_err(Error::io(format!("start {program}")))?;
    if status.success() {
        return Ok(());
    }
    let written = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&written);
    let own = text.get(usize::try_from(start).unwrap_or(0)..).unwrap_or_default();
    Err(process::failure(&command, status, process::last_line(own)))
}

/// A stack that the demo deploys.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    /// The name for `scripts/deploy`.
    pub name: &'static str,
    /// The account that it goes to.
    pub profile: Profile,
    /// The name of its template, without folder and suffix.
    pub template: &'static str,
}

impl Stack {
    const fn new(name: &'static str, profile: Profile, template: &'static str) -> Self {
        Self { name, profile, template }
    }

    /// Returns the name that CloudFormation has of it.
    pub fn stack_name(&self) -> String {
        format!("sluice-{}", self.name)
    }
}

/// Stacks in the order of their deployment.
pub const STACKS: [Stack; 6] = [
    Stack::new("hub", TARGET, "alerts-hub"),
    Stack::new("network", TARGET, "network"),
    Stack::new("warehouse", TARGET, "warehouse"),
    Stack::new("target", TARGET, "copy-target"),
    Stack::new("source", SOURCE, "copy-source"),
    Stack::new("job", TARGET, "copy-job"),
];

/// Parameters that are not outputs of earlier stacks, for the files in `local/sample`.
pub fn sample_parameters(stack: &str) -> &'static [(&'static str, &'static str)] {
    match stack {
        "network" => &[("NatGateways", "none")],
        "job" => &kit::SAMPLE_JOB,
        _ => &[],
    }
}

/// `sam build` and `scripts/deploy` for one stack, as `make deploy-*` runs them. The built
/// templates are in one place of the checkout, so only one deployment runs at a time.
///
/// # Errors
/// A command failed; where the stack failed, with its reason.
pub fn with_sam(
    cloud: &Cloud,
    stack: &str,
    profile: Profile,
    parameters: &[(&str, &str)],
    log: &Path,
) -> Result<(), Error> {
    let folder = workspace::root().join(".aws-sam");
    fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
    let lock = folder.join("lock");
    let lock = fs::File::create(&lock).map_err(Error::io(format!("create {}", lock.display())))?;
    lock.lock().map_err(Error::io("wait for another deployment"))?;

    let config = format!("samconfig/{stack}.toml");
    functions::place(&template_of(&config)?)?;
    run(cloud, "sam", &["build", "--config-file", &config], log)?;
    let architecture = ("Architecture", architecture());
    // The other stacks have functions.
    let own = (!["network", "spoke", "consumers"].contains(&stack)).then_some(&architecture);
    let words: Vec<_> = parameters.iter().chain(own).map(|(name, value)| format!("{name}={value}")).collect();
    let words: Vec<_> = std::iter::once(stack).chain(words.iter().map(String::as_str)).collect();
    // The templates of rotations have one stack name in common.
    let name = if stack.starts_with("rotation-") { "rotation" } else { stack };
    run(cloud, "scripts/deploy", &words, log)
        .map_err(|error| explain(cloud, profile, &format!("sluice-{name}"), error))
}

/// The text of the template that a stack's SAM configuration names.
fn template_of(config: &str) -> Result<String, Error> {
    let read = |place: &str| {
        let path = workspace::root().join(place);
        fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))
    };
    let text = read(config)?;
    let named = text.lines().find_map(|line| line.strip_prefix("template_file = \"templates/"));
    let name = named.map(|name| name.trim_end_matches('"')).ok_or_else(|| Error::Missing {
        what: format!("a template in {config}"),
        remedy: "name it as template_file = \"templates/...\"".into(),
    })?;
    read(&format!("templates/{name}"))
}

/// The functions' architecture that this machine can run, as the templates name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// Adds the reason of a failed stack, from CloudFormation's events, to the error of the deployment.
fn explain(cloud: &Cloud, profile: Profile, stack: &str, error: Error) -> Error {
    let Error::Command { command, status, last_line } = error else { return error };
    let events = cloud.account(profile).stack_events(stack).unwrap_or_default();
    let last_line = stacks::first_failure(&events).unwrap_or(last_line);
    Error::Command { command, status, last_line }
}

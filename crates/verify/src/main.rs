//! The command line of the checks, `make verify-aws ARGS='…'`; see docs/verify-aws.md.

// A command-line program prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use signal_hook::{consts, iterator::Signals};
use verify::{
    catalog::Catalog,
    engine::{Engine, Finished, Request, World, defaults},
    money::Usd,
    page,
    process::{Processes, SystemClock, Terminal},
    state::FileStore,
};

/// Answers the open questions of docs/not-verified-on-aws.md in your AWS accounts.
///
/// Profiles and stack names come from the environment variables of scripts/deploy
/// (SOURCE_PROFILE, TARGET_PROFILE, HUB_PROFILE, SPOKE_PROFILE, STAGE, NAME_STACK, AWS_REGION).
#[derive(Debug, Parser)]
#[command(name = "verify-aws", after_help = EXITS)]
struct Arguments {
    /// Checks to run; all without a name
    checks: Vec<String>,
    /// Print the checks with their costs and settings
    #[arg(long, conflicts_with_all = ["resume", "clean_up", "page"])]
    list: bool,
    /// Start without a question
    #[arg(long)]
    yes: bool,
    /// Value of a setting of a check
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Largest sum of estimated costs in US dollars [default: 1.00]
    #[arg(long, value_name = "USD")]
    max_cost: Option<Usd>,
    /// Hours until everything is removed [default: 2]
    #[arg(long, value_name = "HOURS", value_parser = hours, conflicts_with = "until")]
    hours: Option<SignedDuration>,
    /// Time at which everything is removed, such as 2026-12-01T18:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Continue a run that was interrupted
    #[arg(long, conflicts_with_all = ["checks", "clean_up"])]
    resume: bool,
    /// Remove everything of a run that was interrupted, and run nothing
    #[arg(long, conflicts_with = "checks")]
    clean_up: bool,
    /// Folder of the state and the report
    #[arg(long, default_value = ".verify")]
    folder: PathBuf,
    /// File with checks in place of those of the kit
    #[arg(long, value_name = "FILE", hide = true)]
    catalog: Option<PathBuf>,
    /// Print the commands of all checks as JSON, with their variables
    #[arg(long, hide = true)]
    commands: bool,
    /// Print the page docs/not-verified-on-aws.md
    #[arg(long, conflicts_with_all = ["resume", "clean_up"])]
    page: bool,
}

const EXITS: &str = "Exit status:
  0  each check that ran was answered as Sluice assumes, or needs AWS
  1  nothing was run: bad input, an unfinished run, another account
  3  a check was answered otherwise
  4  a check failed or was not run
  5  something was not removed";

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("'{text}' is not of the form NAME=VALUE"))?;
    Ok((name.into(), value.into()))
}

fn hours(text: &str) -> Result<SignedDuration, String> {
    let hours = text.parse::<f64>().ok().filter(|hours| (0.0..=168.0).contains(hours) && *hours > 0.0);
    let duration = hours.and_then(|hours| SignedDuration::try_from_secs_f64(hours * 3600.0).ok());
    duration.ok_or_else(|| format!("'{text}' is not a number of hours above 0 and at most 168"))
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        // clap's own status for bad input is 2; here all bad input has one status.
        std::process::exit(i32::from(error.use_stderr()))
    });
    match run(&arguments) {
        Ok(code) => code.into(),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, Box<dyn Error>> {
    let catalog = match &arguments.catalog {
        None => Catalog::of_the_kit()?,
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Catalog::parse(&[(&path.to_string_lossy(), &text)])?
        }
    };
    if arguments.page {
        print!("{}", page::page(&catalog));
        return Ok(0);
    }
    if arguments.commands {
        let checks: Vec<_> = catalog.checks().map(|check| check.commands()).collect();
        println!("{}", serde_json::to_string(&checks)?);
        return Ok(0);
    }
    if arguments.list {
        list(&catalog, &arguments.checks)?;
        return Ok(0);
    }
    let environment: BTreeMap<String, String> = env::vars().collect();
    let stop = Arc::new(AtomicBool::new(false));
    stop_at_signals(&stop)?;
    let runner = Processes { aws: environment.get("AWS").cloned().unwrap_or_else(|| "aws".into()) };
    let store = FileStore::new(&arguments.folder);
    let terminal = Terminal { stop };
    let world = World { runner: &runner, clock: &SystemClock, store: &store, operator: &terminal };
    let mut engine = Engine::new(world, &catalog, &environment);
    let now = Timestamp::now();
    let ends = match (arguments.hours, arguments.until) {
        (Some(hours), _) => Some(now.checked_add(hours)?),
        (None, until) => until,
    };
    if let Some(ends) = ends.filter(|ends| *ends <= now) {
        return Err(format!("--until {ends} is in the past").into());
    }
    let request = Request {
        checks: arguments.checks.clone(),
        settings: arguments.settings.iter().cloned().collect(),
        max_cost: arguments.max_cost,
        ends,
        yes: arguments.yes,
    };
    let finished = if arguments.clean_up {
        match engine.clean_up()? {
            Some(finished) => finished,
            None => {
                println!("There is nothing to clean up.");
                return Ok(0);
            }
        }
    } else if arguments.resume {
        engine.resume(&request)?
    } else {
        engine.start(&format!("{:06x}", fastrand::u32(..) >> 8), &request)?
    };
    write_report(&arguments.folder, &finished)?;
    Ok(status(&finished))
}

fn write_report(folder: &std::path::Path, finished: &Finished) -> Result<(), Box<dyn Error>> {
    let text = finished.report.text();
    print!("{text}");
    fs::create_dir_all(folder)?;
    for (name, contents) in [("report.txt", text), ("report.json", finished.report.json()?)] {
        let path = folder.join(name);
        fs::write(&path, contents).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    eprintln!("report: {0}/report.txt and {0}/report.json", folder.display());
    if finished.is_unfinished {
        eprintln!("The run has not ended: continue it with --resume, or forget it with --clean-up.");
    }
    Ok(())
}

fn status(finished: &Finished) -> u8 {
    let count = |name: &str| finished.report.counts.get(name).copied().unwrap_or_default();
    if finished.report.not_removed > 0 {
        5
    } else if count("other") > 0 {
        3
    } else if count("failed") + count("not run") > 0 {
        4
    } else {
        0
    }
}

fn list(catalog: &Catalog, names: &[String]) -> Result<(), Box<dyn Error>> {
    let selected = catalog.select(names)?;
    for check in &selected {
        println!(
            "{}  {}, {} min{}",
            check.id,
            check.cost.usd,
            check.cost.minutes,
            if check.needs_aws.is_some() { ", needs AWS" } else { "" }
        );
        println!("    {}", check.question.trim());
        for stack in check.all_stacks() {
            println!("    needs stack {}", stack.name());
        }
        for (name, what) in &check.settings {
            println!("    --set {name}=VALUE: {what}");
        }
    }
    println!("{} checks; default cost cap ${:.2}", selected.len(), defaults::MAX_COST);
    Ok(())
}

/// The first signal stops the run, which then removes what it made. The second one ends the
/// process; the state remains for `--clean-up`.
fn stop_at_signals(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let mut signals = Signals::new([consts::SIGINT, consts::SIGTERM, consts::SIGHUP])?;
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        for _ in signals.forever() {
            if stop.swap(true, Ordering::Relaxed) {
                eprintln!("verify-aws: ended; run it with --clean-up to remove what is left");
                std::process::exit(5);
            }
            eprintln!("verify-aws: stopping and removing everything; once more ends at once and leaves it");
        }
    });
    Ok(())
}

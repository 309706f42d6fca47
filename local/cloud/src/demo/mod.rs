//! `make demo`: deploys both accounts with the real `sam deploy`, uploads files, and shows their
//! load status.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use cloud::{
    Cloud, Error, OnBreach, Options, SOURCE, TARGET, deploy,
    inbox::Inbox,
    kit, process,
    sql::{Database, Rows},
    stacks::Outputs,
    wait::{self, Seen},
    workspace,
};
use serde_json::Value;

use crate::{
    progress::{step, write},
    stop_on_signals, table, unless_interrupted,
};

/// Deadline of each wait; the local cloud loads a file within about a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo, and then the command, if there is one, before the cloud is removed.
pub(crate) fn run(then: &[OsString]) -> Result<(), Error> {
    let started = Instant::now();
    let folder = workspace::root().join(format!(".cloud/demo-{}", std::process::id()));
    let io = |action: String| move |source| Error::Io { action, source };
    fs::create_dir_all(&folder).map_err(io(format!("create {}", folder.display())))?;
    let demo = Demo { log: folder.join("demo.log"), folder };
    match demo.run(then) {
        Ok(()) => {
            fs::remove_dir_all(&demo.folder).map_err(io(format!("remove {}", demo.folder.display())))?;
            write(&format!("\nEverything above ran on this machine in {} s.\n", started.elapsed().as_secs()));
            Ok(())
        }
        Err(error) => {
            unless_interrupted();
            write(&format!("\nThe logs are in {}\n", demo.folder.display()));
            Err(error)
        }
    }
}

struct Demo {
    folder: PathBuf,
    log: PathBuf,
}

impl Demo {
    fn run(&self, then: &[OsString]) -> Result<(), Error> {
        write(&format!(
            "\nSluice: files flow from account {} into account {}\n\n",
            SOURCE.account, TARGET.account
        ));
        let options =
            Options { logs: Some(self.folder.clone()), on_breach: OnBreach::Ignore, ..Options::default() };
        let cloud = step("start the local cloud", || Cloud::start(&options, &|_| {}))?;
        let folder = self.folder.clone();
        // An interrupted demo needs no logs; files that cannot be removed stay below .cloud.
        stop_on_signals(cloud.stopper(), 130, move || drop(fs::remove_dir_all(folder)))?;

        for deploy::Stack { name, profile, .. } in deploy::STACKS {
            step(&format!("deploy the {name} stack (account {})", profile.account), || {
                deploy::with_sam(&cloud, name, profile, deploy::sample_parameters(name), &self.log)
            })?;
        }
        let outputs = deploy::STACKS
            .iter()
            .map(|stack| Ok((stack.name, cloud.account(stack.profile).stack_outputs(&stack.stack_name())?)))
            .collect::<Result<BTreeMap<_, _>, Error>>()?;
        let loading = Loading::new(&cloud, &outputs)?;
        let topic = outputs["hub"].get("TopicArn").cloned().unwrap_or_default();
        let inbox = Inbox::of(&cloud.account(TARGET), "on-call", &topic)?;

        for file in ["first.csv", "second.csv"] {
            step(&format!("upload {file}"), || self.upload(&cloud, &loading.bucket, file))?;
        }
        step("wait for ten rows", || loading.wait_for_rows(10))?;
        step("wait for both files to be recorded", || loading.wait_for_state("first.csv", "I"))?;
        loading.wait_for_state("second.csv", "I")?;

        for stack in deploy::STACKS {
            let rows: Vec<_> =
                outputs[stack.name].iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
            let title = format!("Outputs of {} in account {}", stack.stack_name(), stack.profile.account);
            write(&table::render(&title, &["output", "value"], &rows));
        }
        loading.print_integration()?;
        loading.print("Copy job (SYS_COPY_JOB, SVV_COPY_JOB_INTEGRATIONS)", JOB)?;
        loading.print("Files (SYS_COPY_JOB_DETAIL)", FILES)?;
        let rows = loading.print("Rows of public.measurements", ROWS)?;
        loading.expect_rows(&rows, 10)?;

        write("\nA file with a malformed row\n\n");
        step("upload malformed.csv", || self.upload(&cloud, &loading.bucket, "malformed.csv"))?;
        step("wait for Redshift to reject it", || loading.wait_for_state("malformed.csv", "E"))?;
        loading.print("Files (SYS_COPY_JOB_DETAIL)", FILES)?;
        let errors = loading.print("Errors (SYS_LOAD_ERROR_DETAIL)", ERRORS)?;
        if errors.rows.is_empty() {
            return Err(loading.unexpected("an error for malformed.csv in SYS_LOAD_ERROR_DETAIL", "none"));
        }
        loading.wait_for_rows(10)?;
        write("\nThe table still has ten rows: Redshift loads a file completely or not at all.\n");

        write("\nAlert sent to the on-call engineer\n\n");
        step("start the copy monitor's scheduled rule", || {
            cloud.fire(TARGET, "sluice-target", "MonitorSchedule")
        })?;
        let alert = step("wait for the alert", || {
            wait::until("an alert about malformed.csv", PATIENCE, || {
                let all = inbox.all()?;
                let found = all.iter().find(|one| one["kind"] == "file-rejected").cloned();
                Ok(found.map_or_else(|| Seen::NotYet(format!("{} other messages", all.len())), Seen::Yes))
            })
        })?;
        print_alert(&alert);
        cloud.check()?;
        run_in(&cloud, then)?;
        let breaches = cloud.take_breaches()?;
        if breaches.is_empty() { Ok(()) } else { Err(Error::Contracts { breaches }) }
    }

    fn upload(&self, cloud: &Cloud, bucket: &str, file: &str) -> Result<(), Error> {
        let path = format!("local/sample/{file}");
        let place = format!("s3://{bucket}/{file}");
        deploy::run(cloud, "aws", &["--profile", SOURCE.name, "s3", "cp", &path, &place], &self.log)
    }
}

/// Runs a command with the environment of the cloud, on this process's terminal.
fn run_in(cloud: &Cloud, words: &[OsString]) -> Result<(), Error> {
    let Some((program, words)) = words.split_first() else { return Ok(()) };
    let program = program.to_string_lossy();
    let mut command = cloud.command(&program);
    command.args(words).stdin(Stdio::inherit()).env("AWS_REGION", cloud.region());
    let status =
        command.status().map_err(|source| Error::Io { action: format!("start {program}"), source })?;
    let failure = || process::failure(&command, status, Some("its output is above"));
    if status.success() { Ok(()) } else { Err(failure()) }
}

/// Prints an alert with the labels of the e-mail. The command stays on one line, so that it can be
/// copied.
fn print_alert(alert: &Value) {
    let text = |name: &str| alert[name].as_str().unwrap_or_default();
    write(&format!("\n{}\n\n", text("title")));
    let labels = [("What", "what"), ("Impact", "impact"), ("Cause", "cause"), ("Action", "action")];
    for (label, name) in labels {
        write(&table::paragraph(label, text(name)));
    }
    write(&format!("  Command:\n\n{}\n\n", text("command")));
    write(&table::paragraph("Runbook", text("runbook")));
}

const JOB: &str = "SELECT j.job_id, j.job_name, j.is_auto, i.bucket, i.channel_state FROM sys_copy_job j \
                   LEFT JOIN svv_copy_job_integrations i ON i.job_name = j.job_name";
const FILES: &str = "SELECT file_name, file_size, status, CASE status WHEN 'I' THEN 'loaded' WHEN 'E' THEN 'error' \
                     WHEN 'P' THEN 'pending' ELSE 'unknown' END AS meaning FROM sys_copy_job_detail ORDER BY enqueue_time, file_name";
const ROWS: &str = "SELECT id, name, value, \"timestamp\" FROM public.measurements ORDER BY id";
const ERRORS: &str = "SELECT file_name, line_number AS line, column_name AS \"column\", column_type AS type, error_code AS code, \
                      error_message AS message FROM sys_load_error_detail ORDER BY start_time";

/// Reads and prints the tables.
struct Loading<'a> {
    cloud: &'a Cloud,
    bucket: String,
    integration: String,
    database: Database,
}

impl<'a> Loading<'a> {
    fn new(cloud: &'a Cloud, outputs: &BTreeMap<&str, Outputs>) -> Result<Self, Error> {
        let output = |stack: &str, name: &str| {
            outputs.get(stack).and_then(|all| all.get(name)).cloned().ok_or_else(|| Error::Missing {
                what: format!("output {name} of sluice-{stack}"),
                remedy: format!("compare the outputs of the {stack} stack's template"),
            })
        };
        let warehouse = outputs.get("warehouse").cloned().unwrap_or_default();
        Ok(Self {
            cloud,
            bucket: output("source", "BucketName")?,
            integration: output("source", "IntegrationArn")?,
            database: kit::database(cloud, &warehouse),
        })
    }

    fn wait_for_rows(&self, wanted: usize) -> Result<(), Error> {
        wait::until(&format!("{wanted} rows in public.measurements"), PATIENCE, || {
            let count = self.database.query("SELECT count(*) FROM public.measurements")?;
            let count = count.rows.first().and_then(|row| row.first()?.clone()).unwrap_or_default();
            Ok(if count == wanted.to_string() {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{count} rows"))
            })
        })
    }

    fn wait_for_state(&self, file: &str, state: &str) -> Result<(), Error> {
        wait::until(&format!("state {state} of {file} in SYS_COPY_JOB_DETAIL"), PATIENCE, || {
            let files = self.database.query(FILES)?;
            let cell = |row: &[Option<String>], index: usize| {
                row.get(index).cloned().flatten().unwrap_or_default().trim_end().to_owned()
            };
            let found = files.rows.iter().find(|row| cell(row, 0) == file).map(|row| cell(row, 2));
            Ok(match found {
                Some(found) if found == state => Seen::Yes(()),
                Some(found) => Seen::NotYet(format!("state {found}")),
                None => Seen::NotYet("no such file".into()),
            })
        })
    }

    fn print_integration(&self) -> Result<(), Error> {
        let answer = self.cloud.account(SOURCE).query(
            "redshift",
            "DescribeIntegrations",
            &[("IntegrationArn", &self.integration)],
        )?;
        let field = |name| answer.text(name).unwrap_or_default();
        let status = field("Status");
        let rows = ["IntegrationName", "Status", "SourceArn", "TargetArn", "CreateTime"]
            .map(|name| vec![name.to_owned(), field(name)]);
        write(&table::render("Integration (DescribeIntegrations)", &["member", "value"], &rows));
        if status == "active" { Ok(()) } else { Err(self.unexpected("an active integration", &status)) }
    }

    fn print(&self, title: &str, sql: &str) -> Result<Rows, Error> {
        let found = self.database.query(sql)?;
        write(&table::of_query(title, &found));
        Ok(found)
    }

    fn expect_rows(&self, found: &Rows, wanted: usize) -> Result<(), Error> {
        if found.rows.len() == wanted {
            return Ok(());
        }
        Err(self.unexpected(&format!("{wanted} rows"), &found.rows.len().to_string()))
    }

    fn unexpected(&self, what: &str, seen: &str) -> Error {
        Error::Timeout { what: what.to_owned(), seen: seen.to_owned(), waited: Duration::ZERO }
    }
}

//! The cost of a run for different numbers of jobs and files: statements, calls, memory, time.
//!
//! Warehouse, buckets and ledger make their rows while they are read, so that the measured memory
//! is the monitor's. `SLUICE_SCALE=full` measures up to 200 jobs and 10^6 files; without it the
//! table is small. Times are those of this machine and this build, without any network.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod lazy;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alerts::notifier::Notifier;
use alerts::state::Policy;
use copy_monitor::report::{Outcome, Report};
use copy_monitor::settings::{Settings, Watched};
use copy_monitor::{Completion, Monitor, STATEMENTS_PER_RUN};
use lambda_kit::moment::Moment;
use lambda_kit::window::InvocationWindow;
use warehouse::data_api::Login;
use warehouse::target::Target;

use crate::lazy::{BAD, Lazy, PAGE, beginning};

/// Files that arrive between two runs, once the ledger is filled.
const NEW: u64 = 1000;

fn settings() -> Settings {
    Settings::new(Watched {
        name: "main".into(),
        account: "222222222222".into(),
        region: "us-east-1".into(),
        target: Target::Cluster("main".into()),
        database: "dev".into(),
        login: Login::DbUser("reader".into()),
        loader: None,
    })
}

/// Runs a tick and its event.
async fn run(lazy: &Lazy, settings: &Settings, now: Moment) -> Report {
    let window = InvocationWindow { now, deadline: now.plus(Duration::from_secs(900)) };
    let work_until = tokio::time::Instant::now() + Duration::from_secs(3600);
    let notifier = Notifier::new(lazy, lazy, Policy::default());
    let monitor = Monitor::new(settings, (lazy, lazy, lazy), &notifier, window, work_until);
    monitor.tick().await.unwrap();
    let number = {
        let documents = &lazy.state.lock().unwrap().documents;
        let state: serde_json::Value = serde_json::from_str(&documents["views"].body).unwrap();
        state["run"].as_u64().unwrap()
    };
    let completion =
        Completion { name: format!("sluice-copy-monitor.main.{number}"), id: "id".into(), finished: true };
    let report = monitor.completed(&completion).await.unwrap();
    assert_eq!(report.outcome, Outcome::Read);
    report
}

/// Returns the peak memory of this process since the last call, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    let peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    // Where this is not allowed, the peak includes everything before.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak
}

struct Measured {
    filled: BTreeMap<&'static str, u64>,
    runs: u64,
    fill_time: Duration,
    usual: BTreeMap<&'static str, u64>,
    usual_time: Duration,
    cycle_pages: u64,
    peak: u64,
    state: usize,
}

async fn measure(jobs: u64, files: u64) -> Measured {
    let (lazy, settings) = (Lazy::new(jobs, files), settings());
    let _ = peak();
    let begun = Instant::now();
    let mut now = beginning().plus(Duration::from_secs(86_400));
    let (mut runs, mut read) = (0, 0);
    while read < files {
        let report = run(&lazy, &settings, now).await;
        read += report.rows;
        runs += 1;
        assert!(report.rows <= u64::from(settings.rows_per_run));
        now = now.plus(Duration::from_secs(300));
        assert!(runs <= files / u64::from(settings.rows_per_run) + 2, "the ledger is never filled");
    }
    assert_eq!(lazy.state.lock().unwrap().entries, files);
    assert_eq!(lazy.rejected_recorded(), files.div_ceil(BAD));
    let filled = std::mem::take(&mut lazy.state.lock().unwrap().calls);
    let fill_time = begun.elapsed();

    // A usual run: some new files, some pages of the buckets.
    let jumped = Duration::from_secs(86_400 * 3);
    now = now.plus(jumped);
    run(&lazy, &settings, now).await;
    lazy.state.lock().unwrap().calls.clear();
    now = now.plus(Duration::from_secs(300));
    {
        let mut state = lazy.state.lock().unwrap();
        state.late = Some((files, Moment::from_micros(now.micros() - 16 * 60_000_000)));
        state.files += NEW;
    }
    let begun = Instant::now();
    run(&lazy, &settings, now).await;
    let usual_time = begun.elapsed();
    let usual = lazy.state.lock().unwrap().calls.clone();

    // The end of the current cycle, and a complete one.
    let mut cycles = Vec::new();
    for _ in 0..200 {
        now = now.plus(Duration::from_secs(300));
        let monitor = run(&lazy, &settings, now);
        monitor.await;
        let documents = &lazy.state.lock().unwrap().documents;
        let sweep: serde_json::Value = serde_json::from_str(&documents["sweep"].body).unwrap();
        let cycle =
            (sweep["last_cycle"]["objects"].as_u64(), sweep["last_cycle"]["pages"].as_u64().unwrap_or(0));
        if cycle.0.is_some_and(|objects| objects >= files + NEW) {
            cycles.push(cycle.1);
            break;
        }
    }
    let cycle_pages = *cycles.last().unwrap();
    let state = lazy.state.lock().unwrap().documents["views"].body.len();
    Measured { filled, runs, fill_time, usual, usual_time, cycle_pages, peak: peak(), state }
}

#[tokio::test]
#[allow(clippy::disallowed_methods)]
async fn statements_do_not_depend_on_jobs_nor_memory_on_files() {
    let full = std::env::var("SLUICE_SCALE").is_ok_and(|scale| scale == "full");
    let (jobs, files): (&[u64], &[u64]) = if full {
        (&[10, 50, 200], &[1_000, 10_000, 100_000, 1_000_000])
    } else {
        (&[10, 200], &[1_000, 20_000])
    };
    println!(
        "| jobs | files | runs to fill | statements a run | result pages | ledger calls | fill s | usual run: statements | result pages | listings | ledger calls | ms | \
         pages a cycle over the buckets | peak MiB | state KB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut peaks = BTreeMap::new();
    for jobs in jobs {
        for files in files {
            let got = measure(*jobs, *files).await;
            let (filled, usual) = (
                |name| got.filled.get(name).copied().unwrap_or(0),
                |name| got.usual.get(name).copied().unwrap_or(0),
            );
            println!(
                "| {jobs} | {files} | {} | {} | {} | {} | {:.1} | {} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                got.runs,
                filled("statements") / got.runs,
                filled("result pages"),
                filled("ledger"),
                got.fill_time.as_secs_f64(),
                usual("statements"),
                usual("result pages"),
                usual("listings"),
                usual("ledger"),
                got.usual_time.as_millis(),
                got.cycle_pages,
                got.peak as f64 / 1024.0,
                got.state as f64 / 1000.0,
            );
            assert_eq!(filled("statements"), got.runs * STATEMENTS_PER_RUN as u64);
            assert_eq!(usual("statements"), STATEMENTS_PER_RUN as u64);
            // 40 writes of 25 entries and a page of the result for each 1000 files, and what a run
            // costs by itself.
            let thousands = files.div_ceil(PAGE);
            assert!(
                filled("ledger") <= thousands * 42 + got.runs * 60 + files.div_ceil(BAD) * 4,
                "{}",
                filled("ledger")
            );
            assert!(filled("result pages") <= thousands + got.runs * 12, "{}", filled("result pages"));
            assert_eq!(usual("result pages"), STATEMENTS_PER_RUN as u64);
            // 40 writes for the new files; for each listing a Query; documents and the failures'
            // ids.
            assert!(usual("ledger") <= 40 + usual("listings") + 16, "{usual:?}", usual = got.usual);
            assert!(usual("listings") <= 51, "{usual:?}", usual = got.usual);
            peaks.entry(*jobs).or_insert_with(Vec::new).push(got.peak);
        }
    }
    for (jobs, peaks) in peaks {
        let (least, most) = (peaks.iter().min().unwrap(), peaks.iter().max().unwrap());
        assert!(most - least < 16 * 1024, "memory grows with the files of {jobs} jobs: {peaks:?} KiB");
    }
}

//! Starts the stand-in for Amazon Redshift and stops it with all its servers.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal and for the launcher"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use sluice_redshift::app::{App, Settings};
use sluice_redshift::http::router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The stand-in for Amazon Redshift on real PostgreSQL.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Address of the gateway, for example http://127.0.0.1:4566.
    #[arg(long)]
    gateway: String,
    /// Folder for data, which a later run does not read.
    #[arg(long)]
    data_dir: PathBuf,
    /// Folder that keeps PostgreSQL's template between runs, so that the next start is faster.
    #[arg(long)]
    template_cache: Option<PathBuf>,
    /// Milliseconds that an integration stays creating or deleting.
    #[arg(long, default_value_t = 1000)]
    integration_delay_ms: u64,
    /// Milliseconds that an IAM role stays adding or removing.
    #[arg(long, default_value_t = 500)]
    role_delay_ms: u64,
    /// Milliseconds that a new administrator's password stays pending.
    #[arg(long, default_value_t = 500)]
    password_delay_ms: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sluice-redshift: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-redshift: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(&arguments.data_dir)
        .map_err(|error| format!("cannot create {}: {error}", arguments.data_dir.display()))?;
    let settings = Settings {
        gateway: arguments.gateway,
        data_dir: arguments.data_dir.canonicalize()?,
        template_cache: arguments.template_cache,
        integration_delay: Duration::from_millis(arguments.integration_delay_ms),
        role_delay: Duration::from_millis(arguments.role_delay_ms),
        password_delay: Duration::from_millis(arguments.password_delay_ms),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = tokio::task::spawn_blocking(move || App::prepare(settings)).await??;
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    println!("{{\"listening\":\"{}\"}}", listener.local_addr()?);
    let serving = axum::serve(listener, router(Arc::clone(&app))).into_future();
    let outcome = tokio::select! {
        served = serving => served.map_err(Into::into),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    tokio::task::spawn_blocking(move || app.stop()).await?;
    outcome
}

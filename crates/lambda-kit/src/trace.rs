//! Logs as Lambda wants them: one JSON object a line, level from the function's logging configuration.

use tracing_subscriber::EnvFilter;

use crate::env::Env;

/// Starts logging for the process. Call once, first of all.
///
/// The level is `AWS_LAMBDA_LOG_LEVEL` (set by the function's `LoggingConfig`), INFO by default. The SDK and HTTP crates
/// are kept at WARN whatever the level: at DEBUG they would log headers and bodies, among them secrets.
pub fn init(env: Env<'_>) {
    let level = env.optional("AWS_LAMBDA_LOG_LEVEL").unwrap_or_else(|| "INFO".to_owned());
    let quiet = ["aws_", "hyper", "hyper_util", "h2", "rustls", "tower", "lambda_runtime"];
    let mut filter = EnvFilter::try_new(&level).unwrap_or_else(|_| EnvFilter::new("INFO"));
    for target in quiet {
        // Every directive here is a crate name and a level, which always parses.
        if let Ok(directive) = format!("{target}=warn").parse() {
            filter = filter.add_directive(directive);
        }
    }
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter)
        .try_init();
}

//! Logs in Lambda's format: one JSON object a line, at the level of the function's logging
//! configuration.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::env::Env;

/// Prefixes of crate names that log headers and bodies at DEBUG, which may hold secrets.
const NEVER_VERBOSE: [&str; 7] = ["aws_", "hyper", "hyper_util", "h2", "rustls", "tower", "lambda_runtime"];

/// Starts logging for the process. Call it once, before anything else.
///
/// The level is `AWS_LAMBDA_LOG_LEVEL` (set by the function's `LoggingConfig`), INFO by default.
/// The SDK and the HTTP crates never log below WARN.
pub fn init(env: Env<'_>) {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false);
    // This fails only if logging was started before.
    let _ = tracing_subscriber::registry().with(lines).with(filter(env)).try_init();
}

/// Returns the filter for the configured level.
fn filter(env: Env<'_>) -> Targets {
    let level = match env.optional("AWS_LAMBDA_LOG_LEVEL").as_deref() {
        // Lambda has one level more than tracing.
        Some("FATAL") => LevelFilter::ERROR,
        Some(level) => level.parse().unwrap_or(LevelFilter::INFO),
        None => LevelFilter::INFO,
    };
    let theirs = level.min(LevelFilter::WARN);
    Targets::new().with_default(level).with_targets(NEVER_VERBOSE.map(|target| (target, theirs)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn logged(level: Option<&str>, target: &str, of: Level) -> bool {
        let source = |name: &str| level.filter(|_| name == "AWS_LAMBDA_LOG_LEVEL").map(str::to_owned);
        filter(Env::from(&source)).would_enable(target, &of)
    }

    #[test]
    fn level_comes_from_the_functions_logging_configuration() {
        assert!(logged(None, "warehouse::roles", Level::INFO));
        assert!(!logged(None, "warehouse::roles", Level::DEBUG));
        assert!(logged(Some("DEBUG"), "warehouse::roles", Level::DEBUG));
        assert!(!logged(Some("FATAL"), "warehouse::roles", Level::WARN));
        assert!(logged(Some("FATAL"), "warehouse::roles", Level::ERROR));
    }

    #[test]
    fn crates_that_log_bodies_never_log_below_warn() {
        for target in
            ["aws_smithy_runtime::client", "hyper_util::client", "rustls::conn", "lambda_runtime::requests"]
        {
            assert!(!logged(Some("TRACE"), target, Level::INFO), "{target}");
            assert!(logged(Some("TRACE"), target, Level::WARN), "{target}");
            assert!(!logged(Some("ERROR"), target, Level::WARN), "{target}");
        }
    }
}

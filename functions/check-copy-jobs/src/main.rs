//! Checks the copy jobs of a warehouse. A schedule and the completion events of the function's own
//! statements invoke it.

mod config;
mod event;
mod handler;

use lambda_kit::start::Invocation;

use crate::handler::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda_kit::start::run(
        |env| async move { Handler::from_env(env) },
        async |handler: &Handler, invocation: Invocation| handler.handle(invocation).await,
    )
    .await
}

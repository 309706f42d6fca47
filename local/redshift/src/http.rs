//! The routes (local/README.md, seam 1).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::HeaderMap;

use crate::answer::{ApiError, respond};
use crate::app::App;
use crate::caller::Caller;
use crate::world::{S3Event, Switches};
use crate::{auto_copy, control, data_api, serverless};

/// The routes of the process.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/aws/{service}", post(aws))
        .route("/internal/s3-event", post(s3_event))
        .route("/internal/switches", post(switches))
        .layer(DefaultBodyLimit::max(8 << 20))
        .with_state(app)
}

async fn aws(
    State(app): State<Arc<App>>,
    Path(service): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let caller = match Caller::from_headers(&headers) {
        Ok(caller) => caller,
        Err(error) if service == "redshift" => return error.into_xml(),
        Err(error) => return error.into_json(),
    };
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match service.as_str() {
        "redshift" => control::serve(&app, &caller, &body).await,
        "redshift-data" => data_api::serve(&app, &caller, target, &body).await,
        "redshift-serverless" => serverless::serve(&app, &caller, target, &body).await,
        other => ApiError::not_imitated(format!("the service {other}")).into_json(),
    }
}

async fn s3_event(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let event: S3Event = match serde_json::from_slice(&body) {
        Ok(event) => event,
        Err(error) => return ApiError::validation(format!("not an S3 event: {error}")).into_json(),
    };
    auto_copy::deliver(&app, &event);
    respond(204, "text/plain", String::new())
}

async fn switches(State(app): State<Arc<App>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Switches>(&body) {
        Ok(switches) => {
            app.world().switches = switches;
            respond(204, "text/plain", String::new())
        }
        Err(error) => ApiError::validation(format!("not a set of switches: {error}")).into_json(),
    }
}

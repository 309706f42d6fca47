//! The control plane `redshift-serverless` (JSON 1.1, 2021-04-21).

mod namespaces;
mod tags;
mod workgroups;

use std::sync::Arc;

use axum::response::Response;
use serde_json::Value;

use crate::answer::{ApiError, json_answer};
use crate::app::App;
use crate::arn;
use crate::caller::Caller;
use crate::world::{Place, Workgroup};

/// Handles one request.
pub async fn serve(app: &Arc<App>, caller: &Caller, target: &str, body: &[u8]) -> Response {
    let operation = target.rsplit('.').next().unwrap_or_default();
    match dispatch(app, caller, operation, body).await {
        Ok(answer) => json_answer(&answer),
        Err(error) => error.into_json(),
    }
}

async fn dispatch(app: &Arc<App>, caller: &Caller, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
    let input: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::new("SerializationException", format!("The body is not JSON: {error}")))?;
    match operation {
        "CreateNamespace" => namespaces::create(app, caller, &input).await,
        "GetNamespace" => namespaces::get(app, caller, &input),
        "ListNamespaces" => namespaces::list(app, caller),
        "UpdateNamespace" => namespaces::update(app, caller, &input).await,
        "DeleteNamespace" => namespaces::delete(app, caller, &input),
        "CreateWorkgroup" => workgroups::create(app, caller, &input),
        "GetWorkgroup" => workgroups::get(app, caller, &input),
        "ListWorkgroups" => workgroups::list(app, caller),
        "UpdateWorkgroup" => workgroups::update(app, caller, &input),
        "DeleteWorkgroup" => workgroups::delete(app, caller, &input),
        "GetCredentials" => workgroups::credentials(app, caller, &input).await,
        "TagResource" => tags::tag(app, caller, &input),
        "UntagResource" => tags::untag(app, caller, &input),
        "ListTagsForResource" => tags::list(app, caller, &input),
        other => Err(ApiError::not_imitated(format!("the action redshift-serverless:{other}"))),
    }
}

/// ARN of a workgroup.
#[must_use]
pub fn workgroup_arn(place: &Place, workgroup: &Workgroup) -> String {
    let Place { account, region } = place;
    format!(
        "arn:{}:redshift-serverless:{region}:{account}:workgroup/{}",
        arn::partition(region),
        workgroup.id
    )
}

fn place(caller: &Caller) -> Place {
    Place { account: caller.account.clone(), region: caller.region.clone() }
}

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

fn required<'a>(input: &'a Value, name: &str) -> Result<&'a str, ApiError> {
    text(input, name).ok_or_else(|| ApiError::validation(format!("{name} is required.")))
}

fn strings(input: &Value, name: &str) -> Option<Vec<String>> {
    let list = input.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn not_found(what: &str, name: &str) -> ApiError {
    ApiError::new("ResourceNotFoundException", format!("The {what} {name} does not exist."))
}

/// 3 to 64 lower-case letters, digits and hyphens [M: redshift-serverless].
fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let well_formed = (3..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if well_formed {
        return Ok(());
    }
    Err(ApiError::validation(format!(
        "{what} must have 3 to 64 lower-case letters, digits and hyphens; found {name:?}."
    )))
}

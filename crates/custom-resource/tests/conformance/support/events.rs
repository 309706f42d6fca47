//! CloudFormation's requests, and the expected responses.

use serde_json::{Map, Value, json};

pub(crate) const STACK: &str =
    "arn:aws:cloudformation:us-east-1:111111111111:stack/demo/0a1b2c3d-0000-4000-8000-000000000000";
pub(crate) const REQUEST: &str = "00000000-0000-4000-8000-0000000000ff";
pub(crate) const LOGICAL: &str = "Thing";

/// The id of the thing `a`. Its middle is the start of the SHA-256 of stack id, NUL and logical id.
/// It is a literal: an id that changes between versions orphans every existing resource.
pub(crate) const ID_A: &str = "conformance:e48ac103:a";
pub(crate) const ID_B: &str = "conformance:e48ac103:b";

/// A placeholder for the response URL in an event until its delivery.
pub(crate) const URL_PLACE: &str = "(the response URL)";

/// Texts that no log, response or state machine may hold.
pub(crate) const SECRETS: &[&str] = &["hunter2"];

fn event(request_type: &str, properties: Value) -> Value {
    let mut properties = properties;
    // As in CloudFormation, its own properties are among the provider's.
    properties["ServiceToken"] = json!("arn:aws:lambda:us-east-1:111111111111:function:thing");
    properties["ServiceTimeout"] = json!("900");
    json!({
        "RequestType": request_type,
        "ServiceToken": "arn:aws:lambda:us-east-1:111111111111:function:thing",
        "ResponseURL": URL_PLACE,
        "StackId": STACK,
        "RequestId": REQUEST,
        "LogicalResourceId": LOGICAL,
        "ResourceType": "Custom::Thing",
        "ResourceProperties": properties,
    })
}

pub(crate) fn create(properties: Value) -> Value {
    event("Create", properties)
}

pub(crate) fn update(id: &str, from: Value, to: Value) -> Value {
    let mut event = event("Update", to);
    event["PhysicalResourceId"] = json!(id);
    event["OldResourceProperties"] = from;
    event["OldResourceProperties"]["ServiceToken"] =
        json!("arn:aws:lambda:us-east-1:111111111111:function:old");
    event
}

pub(crate) fn delete(id: &str, properties: Value) -> Value {
    let mut event = event("Delete", properties);
    event["PhysicalResourceId"] = json!(id);
    event
}

/// Returns the event without one of its fields.
pub(crate) fn without(mut event: Value, field: &str) -> Value {
    event.as_object_mut().unwrap().remove(field).unwrap();
    event
}

/// Returns the event with another value of one of its fields.
pub(crate) fn with(mut event: Value, field: &str, value: Value) -> Value {
    event[field] = value;
    event
}

fn answer(status: &str, id: &str, more: Value) -> Value {
    let mut body = json!({
        "Status": status, "PhysicalResourceId": id, "StackId": STACK, "RequestId": REQUEST, "LogicalResourceId": LOGICAL,
    });
    let more: Map<String, Value> = serde_json::from_value(more).unwrap();
    body.as_object_mut().unwrap().extend(more);
    body
}

/// Returns the whole body of a success without attributes.
pub(crate) fn done(id: &str) -> Value {
    answer("SUCCESS", id, json!({}))
}

/// Returns the whole body of a success with these attributes.
pub(crate) fn success(id: &str, data: Value) -> Value {
    answer("SUCCESS", id, json!({"Data": data}))
}

/// Returns the whole body of a success whose attributes CloudFormation masks.
pub(crate) fn masked(id: &str, data: Value) -> Value {
    answer("SUCCESS", id, json!({"Data": data, "NoEcho": true}))
}

/// Returns the whole body of a failure.
pub(crate) fn failed(id: &str, reason: &str) -> Value {
    answer("FAILED", id, json!({"Reason": reason}))
}

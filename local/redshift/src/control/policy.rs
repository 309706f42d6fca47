//! Put, Get and DeleteResourcePolicy of a namespace, provisioned or Serverless.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Map, Value};

use crate::answer::ApiError;
use crate::app::App;
use crate::arn;
use crate::caller::Caller;
use crate::query::{Params, answer};

fn not_found(resource: &str) -> ApiError {
    ApiError::new("ResourceNotFoundFault", format!("The resource {resource} does not exist."))
        .with_status(404)
}

fn invalid(why: impl std::fmt::Display) -> ApiError {
    ApiError::new("InvalidPolicyFault", format!("The resource policy is not valid: {why}."))
}

/// Finds a namespace of the caller's account and Region; others count as missing.
fn own(caller: &Caller, resource: &str) -> Result<(), ApiError> {
    let parsed = arn::parse(resource).ok_or_else(|| not_found(resource))?;
    if arn::namespace_id(resource).is_none() {
        return Err(ApiError::new(
            "UnsupportedOperation",
            format!("Resource policies are for namespaces; found {resource}."),
        ));
    }
    if parsed.account == caller.account && parsed.region == caller.region {
        Ok(())
    } else {
        Err(not_found(resource))
    }
}

pub(super) async fn put(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let resource = params.require("ResourceArn")?;
    let text = params.require("Policy")?;
    own(caller, resource)?;
    let stored = normalise(text, &caller.region)?.to_string();
    let namespace_id = {
        let mut world = app.world();
        if world.warehouse_by_arn(resource).is_some() && world.switches.policy_conflicts > 0 {
            world.switches.policy_conflicts -= 1;
            return Err(ApiError::new(
                "ConflictPolicyUpdateFault",
                "There is a conflict while updating the resource policy.",
            )
            .with_status(409));
        }
        let warehouse = world.warehouse_by_arn_mut(resource).ok_or_else(|| not_found(resource))?;
        warehouse.policy = Some(stored.clone());
        warehouse.namespace_id.clone()
    };
    super::review_integrations(app, &namespace_id).await;
    Ok(answer("PutResourcePolicy", |xml| {
        xml.element("ResourcePolicy", |xml| {
            xml.text("ResourceArn", resource);
            xml.text("Policy", &stored);
        });
    }))
}

pub(super) fn get(app: &App, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let resource = params.require("ResourceArn")?;
    own(caller, resource)?;
    let world = app.world();
    let warehouse = world.warehouse_by_arn(resource).ok_or_else(|| not_found(resource))?;
    let policy = warehouse.policy.as_ref().ok_or_else(|| {
        ApiError::new("ResourceNotFoundFault", format!("The resource {resource} has no resource policy."))
            .with_status(404)
    })?;
    Ok(answer("GetResourcePolicy", |xml| {
        xml.element("ResourcePolicy", |xml| {
            xml.text("ResourceArn", resource);
            xml.text("Policy", policy);
        });
    }))
}

pub(super) async fn delete(app: &Arc<App>, caller: &Caller, params: &Params) -> Result<Response, ApiError> {
    let resource = params.require("ResourceArn")?;
    own(caller, resource)?;
    let namespace_id = {
        let mut world = app.world();
        let warehouse = world.warehouse_by_arn_mut(resource).ok_or_else(|| not_found(resource))?;
        warehouse.policy = None;
        warehouse.namespace_id.clone()
    };
    super::review_integrations(app, &namespace_id).await;
    Ok(answer("DeleteResourcePolicy", |_| {}))
}

/// The policy as Redshift stores it: keys in another order, lists of one as a scalar, a bare
/// account id as the ARN of its root [D for the account id; I for the rest].
fn normalise(text: &str, region: &str) -> Result<Value, ApiError> {
    let policy: Value =
        serde_json::from_str(text).map_err(|error| invalid(format!("it is not JSON ({error})")))?;
    let Value::Object(mut policy) = policy else { return Err(invalid("a JSON object is expected")) };
    let statements = match policy.remove("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements,
        Some(Value::Object(one)) => vec![Value::Object(one)],
        _ => return Err(invalid("Statement must hold at least one statement")),
    };
    let mut sids = std::collections::BTreeSet::new();
    let mut stored = Vec::new();
    for statement in statements {
        let Value::Object(statement) = statement else {
            return Err(invalid("a statement must be an object"));
        };
        check_statement(&statement)?;
        if let Some(sid) = statement.get("Sid").and_then(Value::as_str)
            && !sids.insert(sid.to_owned())
        {
            return Err(invalid(format!("the Sid {sid} occurs twice")));
        }
        stored.push(scalars(Value::Object(root_arns(statement, region))));
    }
    policy.insert("Statement".to_owned(), Value::Array(stored));
    Ok(Value::Object(policy))
}

fn check_statement(statement: &Map<String, Value>) -> Result<(), ApiError> {
    let effect = statement.get("Effect").and_then(Value::as_str);
    if !matches!(effect, Some("Allow" | "Deny")) {
        return Err(invalid("Effect must be Allow or Deny"));
    }
    for name in ["Principal", "Action", "Resource"] {
        if !statement.contains_key(name) {
            return Err(invalid(format!("a statement lacks {name}")));
        }
    }
    for action in strings(&statement["Action"]) {
        if !action.starts_with("redshift:") && !action.starts_with("redshift-serverless:") {
            return Err(invalid(format!("the action {action} is not one of Redshift")));
        }
    }
    // [D: Configure authorization] account ids in conditions are quoted strings.
    let numbers = |value: &Value| matches!(value, Value::Number(_));
    let conditions = statement.get("Condition").and_then(Value::as_object);
    for operator in conditions.into_iter().flat_map(Map::values).filter_map(Value::as_object) {
        for (key, value) in operator {
            if numbers(value) || value.as_array().is_some_and(|list| list.iter().any(numbers)) {
                return Err(invalid(format!("the value of {key} must be a string")));
            }
        }
    }
    Ok(())
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn root_arns(mut statement: Map<String, Value>, region: &str) -> Map<String, Value> {
    let root = |value: &mut Value| {
        if let Value::String(text) = value
            && text.len() == 12
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            *text = format!("arn:{}:iam::{text}:root", arn::partition(region));
        }
    };
    if let Some(principal) = statement.get_mut("Principal").and_then(|principal| principal.get_mut("AWS")) {
        match principal {
            Value::Array(list) => list.iter_mut().for_each(root),
            other => root(other),
        }
    }
    statement
}

fn scalars(value: Value) -> Value {
    match value {
        Value::Array(mut list) if list.len() == 1 => scalars(list.remove(0)),
        Value::Array(list) => Value::Array(list.into_iter().map(scalars).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, scalars(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_is_stored_with_scalars_and_root_arns() {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":["111111111111"]},
            "Action":["redshift:CreateInboundIntegration"],"Resource":"r"}]}"#;
        let stored = normalise(text, "us-east-1").expect("valid");
        let statement = &stored["Statement"][0];
        assert_eq!(statement["Principal"]["AWS"], "arn:aws:iam::111111111111:root");
        assert_eq!(statement["Action"], "redshift:CreateInboundIntegration");
    }

    #[test]
    fn a_policy_that_is_not_one_is_an_invalid_policy_fault() {
        for bad in [
            "no",
            "[]",
            r#"{"Statement":[]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"redshift:X","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"redshift:X","Resource":"*",
                "Condition":{"StringEquals":{"aws:SourceAccount":111111111111}}}]}"#,
        ] {
            assert_eq!(normalise(bad, "us-east-1").expect_err(bad).code, "InvalidPolicyFault");
        }
    }
}

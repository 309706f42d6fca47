//! The rules: from an event to observations of incidents. Pure: the results of lookups are parameters.

mod access;
mod alarm;
mod backup;
mod change;
mod database;
mod dead_letter;
mod execution;
mod function;
mod principals;
mod ranges;
mod rotation;
mod stack;
mod unrecognized;
mod warehouse;

pub use access::{AccessRules, ReadHistory, SecretRead};
pub use dead_letter::{QueueContents, QueuedMessage, dead_letters};
pub use rotation::{
    ROTATION_TAG, RotationHistory, RotationRules, RotationStatus, SecretRotation, is_unexpected_write,
    rotation_switch, secret_call, slow_rotation, subject as secret_of,
};
pub use stack::{Cause, Operation, StackEvent, StackQuery, beginning, first_cause, stack_query};
pub use unrecognized::unrecognized_event;
pub use warehouse::{MONITOR_STATEMENT_PREFIX, RELOAD_STATEMENT_PREFIX};

use crate::event::{Detail, Event};
use crate::incident::AccountRegion;
use crate::state::Observation;

/// Evaluates an event. Calls to Secrets Manager need rules of their own: see [`secret_call`] and
/// [`ReadHistory`].
pub fn evaluate(event: &Event) -> Vec<Observation> {
    evaluate_with(event, &Operation::default())
}

/// Evaluates an event about a stack together with the operation that was read from the stack's events.
pub fn evaluate_with(event: &Event, operation: &Operation) -> Vec<Observation> {
    match &event.detail {
        Detail::Rotation(rotation) => rotation::outcome(event, rotation),
        Detail::Stack(stack) => stack::status(event, stack, operation),
        Detail::StackResource(resource) => stack::resource(event, resource, operation),
        Detail::Execution(execution) => execution::status(event, execution),
        Detail::Statement(statement) => warehouse::statement(event, statement),
        Detail::Integration(integration) => warehouse::integration(event, integration),
        Detail::WarehouseCall(record) => warehouse::call(event, record),
        Detail::NetworkCall(record) => change::security_group(event, record),
        Detail::Alarm(alarm) => alarm::state(event, alarm),
        Detail::Backup(backup) => backup::job(event, backup),
        Detail::BackupCopy(copy) => backup::copy(event, copy),
        Detail::Database(database) => database::event(event, database),
        Detail::FunctionFailure(failure) => function::failure(event, failure),
        Detail::SecretCall(_) | Detail::SecretLabel(_) | Detail::Schedule => Vec::new(),
    }
}

/// Returns the name of a secret from its ARN, without the six characters that Secrets Manager adds. A
/// name is returned unchanged.
pub(crate) fn secret_name(id: &str) -> &str {
    let Some((_, name)) = id.split_once(":secret:") else { return id };
    match name.rsplit_once('-') {
        Some((name, suffix))
            if suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            name
        }
        _ => name,
    }
}

/// Returns the account of a secret: that of its ARN, or of the event if only a name is known. The record
/// of a call across accounts is also in the caller's account.
pub(crate) fn account_of<'a>(secret: &'a str, location: &'a AccountRegion) -> &'a str {
    match secret.split(':').nth(4) {
        Some(account) if secret.starts_with("arn:") => account,
        _ => &location.account,
    }
}

/// Returns the last part of an ARN, after a slash or a colon.
pub(crate) fn last_part(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().filter(|name| !name.is_empty()).unwrap_or(arn)
}

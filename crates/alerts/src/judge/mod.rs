//! From an event to what it says about incidents. Pure: what has to be looked up comes in as a value.

mod access;
mod alarm;
mod backup;
mod change;
mod database;
mod dead_letter;
mod execution;
mod function;
mod rotation;
mod stack;
mod unknown;
mod warehouse;

pub use access::{AccessRules, Reading, Readings};
pub use dead_letter::{Held, HeldMessage, dead_letters};
pub use rotation::{
    History, ROTATION_TAG, Rotated, RotationRules, changes_a_value, secret_call, slow, subject as secret_of,
    switch,
};
pub use stack::{Cause, Operation, Question, StackEvent, asks_the_stack, beginning, first_cause};
pub use unknown::unknown_event;
pub use warehouse::MONITOR_STATEMENTS;

use crate::event::{Event, Known};
use crate::state::Signal;

/// What an event says by itself. Calls to Secrets Manager say nothing without their rules: see [`secret_call`] and [`Readings`].
pub fn judge(known: &Known) -> Vec<Signal> {
    judge_with(known, &Operation::default())
}

/// The same with what was found in the own events of the stack that an event is about, if it is about one.
pub fn judge_with(known: &Known, operation: &Operation) -> Vec<Signal> {
    match &known.event {
        Event::Rotation(rotation) => rotation::outcome(known, rotation),
        Event::Stack(stack) => stack::status(known, stack, operation),
        Event::StackResource(resource) => stack::resource(known, resource, operation),
        Event::Execution(execution) => execution::status(known, execution),
        Event::Statement(statement) => warehouse::statement(known, statement),
        Event::Integration(integration) => warehouse::integration(known, integration),
        Event::WarehouseCall(trail) => warehouse::call(known, trail),
        Event::NetworkCall(trail) => change::security_group(known, trail),
        Event::Alarm(alarm) => alarm::state(known, alarm),
        Event::Backup(backup) => backup::job(known, backup),
        Event::BackupCopy(copy) => backup::copy(known, copy),
        Event::Database(database) => database::event(known, database),
        Event::FunctionFailure(failure) => function::failure(known, failure),
        Event::SecretCall(_) | Event::SecretLabel(_) | Event::Tick => Vec::new(),
    }
}

/// What a secret is called: the name in its ARN, without the six characters that Secrets Manager adds.
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

/// The last part of an ARN, after a slash or a colon.
pub(crate) fn last_part(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().filter(|name| !name.is_empty()).unwrap_or(arn)
}

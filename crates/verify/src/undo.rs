//! Removal of what a run created.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    engine::{World, output_of, refusal_of},
    ports::Ran,
    state::{Removal, RemovalCommand, RunState, StateError},
    text::shell_line,
};

/// The pause between two attempts to remove something.
const PAUSE: Duration = Duration::from_secs(5);

/// The time for which an empty list is not believed: lists of AWS lag behind a creation. AWS's own
/// handler of integrations waits for as long (aws-cloudformation-resource-providers-redshift).
const LAG: SignedDuration = SignedDuration::from_secs(30);

/// Removes what is pending and belongs to `check`, or everything, newest first. What could not be
/// removed stays in the state and is reported with its commands.
///
/// # Errors
/// The state could not be written. Everything was attempted before.
pub(crate) fn remove(world: &World<'_>, state: &mut RunState, check: Option<&str>) -> Result<(), StateError> {
    let mut first_error = None;
    for index in (0..state.pending.len()).rev() {
        if check.is_some_and(|check| state.pending[index].check != check) {
            continue;
        }
        match remove_one(world, &state.pending[index]) {
            None => drop(state.pending.remove(index)),
            Some(failure) => {
                report(world, &state.pending[index], &failure);
                state.pending[index].failure = Some(failure);
            }
        }
        // A state that cannot be written must not keep the rest from being removed.
        if let Err(error) = world.store.save(state) {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// Runs the commands of a removal and returns the first failure.
fn remove_one(world: &World<'_>, removal: &Removal) -> Option<String> {
    let mut failure = None;
    for command in &removal.commands {
        // The later ones run too: they may remove other things.
        if let Err(reason) = run(world, command) {
            failure.get_or_insert(reason);
        }
    }
    failure
}

fn run(world: &World<'_>, command: &RemovalCommand) -> Result<(), String> {
    let seconds = i64::try_from(command.within).unwrap_or(i64::MAX);
    let deadline =
        world.clock.now().saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let Some(find) = &command.find else { return persist(world, &command.run, deadline).map(drop) };
    let settled = world.clock.now().saturating_add(LAG).unwrap_or(Timestamp::MAX);
    let mut found = items(&persist(world, find, deadline)?.unwrap_or_default());
    while found.is_empty() && world.clock.now() < settled {
        world.clock.sleep(PAUSE);
        found = items(&persist(world, find, deadline)?.unwrap_or_default());
    }
    for item in found {
        let words: Vec<_> = command.run.iter().map(|word| word.replace("${found}", &item)).collect();
        persist(world, &words, deadline)?;
    }
    Ok(())
}

/// Runs a command until it succeeds and returns its output, `None` if what it is about does not
/// exist.
fn persist(world: &World<'_>, words: &[String], deadline: Timestamp) -> Result<Option<String>, String> {
    loop {
        let left = deadline.duration_since(world.clock.now()).max(SignedDuration::from_secs(1));
        // The operator's wish to stop is why this runs; it must not stop this.
        let ran = world.runner.run(words, left.unsigned_abs(), &|| false);
        if ran.succeeded {
            return Ok(Some(output_of(&ran)));
        }
        if is_absent(&ran) {
            return Ok(None);
        }
        if world.clock.now() >= deadline {
            return Err(refusal_of(&ran));
        }
        world.clock.sleep(PAUSE);
    }
}

/// Returns true for an answer that the thing does not exist, such as `ResourceNotFoundException`.
fn is_absent(ran: &Ran) -> bool {
    let refusal = refusal_of(ran);
    let code = refusal.split(':').next().unwrap_or_default();
    let by_code =
        ["NotFound", "NoSuch", "NonExistent", "DoesNotExist"].iter().any(|part| code.contains(part));
    by_code || code == "ValidationError" && refusal.contains("does not exist")
}

/// Returns the items of a list in JSON, or the lines of a text.
fn items(output: &str) -> Vec<String> {
    match serde_json::from_str::<serde_json::Value>(output) {
        Ok(serde_json::Value::Array(items)) => items
            .into_iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect(),
        _ => output.lines().map(str::to_owned).filter(|line| !line.is_empty() && line != "None").collect(),
    }
}

fn report(world: &World<'_>, removal: &Removal, failure: &str) {
    let say = |line: &str| world.operator.say(line);
    say(&format!(
        "NOT REMOVED: something of check `{}` may still exist and cost money: {failure}",
        removal.check
    ));
    say("  Run --clean-up to try again, or remove it by hand:");
    for command in &removal.commands {
        if let Some(find) = &command.find {
            say(&format!("    {}", shell_line(find.iter().map(String::as_str))));
            say("  and for each item of its output, in place of ${found}:");
        }
        say(&format!("    {}", shell_line(command.run.iter().map(String::as_str))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_things_are_told_from_other_refusals() {
        let refused = |text: &str| Ran { stderr: text.into(), ..Ran::default() };
        let error = |code: &str, message: &str| {
            refused(&format!("\nAn error occurred ({code}) when calling the DeleteX operation: {message}\n"))
        };
        for code in [
            "ResourceNotFoundException",
            "NoSuchBucket",
            "AWS.SimpleQueueService.NonExistentQueue",
            "ClusterNotFound",
        ] {
            assert!(is_absent(&error(code, "")), "{code}");
        }
        assert!(is_absent(&error("ValidationError", "Stack with id x does not exist")));
        for ran in [
            error("AccessDenied", "NoSuchBucket"),
            error("ValidationError", "x"),
            refused("Could not connect"),
        ] {
            assert!(!is_absent(&ran), "{}", ran.stderr);
        }
    }

    #[test]
    fn lists_are_read_from_json_and_from_lines() {
        assert_eq!(items(r#"["a","b"]"#), ["a", "b"]);
        assert_eq!(items("a\n\nb"), ["a", "b"]);
        assert_eq!(items(""), Vec::<String>::new());
        assert_eq!(items("[]"), Vec::<String>::new());
    }
}
